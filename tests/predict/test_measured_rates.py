"""Feeding back what the model itself assumes of a device changes no forecast, for CPUs and GPUs."""

import pytest
from msgspec.structs import replace

from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.parts import Sustained, SustainedRate
from hwbench.predict.forecast import forecast
from hwbench.predict.model.hardware import BOOST, MATMUL_SHARE, STREAM_SHARE, hardware_of
from hwbench.predict.model.parameters import parameters
from hwbench.units import BytesPerSecond, FlopsPerSecond
from hwbench.workload import load

DTYPES = {"gpu": ("fp32", "tf32", "fp16"), "cpu": ("fp32",)}


def measured(device: Device, kernel: str) -> Device:
    """Return the device with the rates and the bandwidth that benchmarks are assumed to find on it."""
    dtypes = DTYPES[device.kind]
    hardware = hardware_of(device, dtypes)
    assert hardware is not None
    share = 1.0 if kernel == "fma" else MATMUL_SHARE
    clock = hardware.headroom * BOOST if device.kind == "gpu" else 1.0
    rates = tuple(
        SustainedRate(
            "fma" if kernel == "fma" else "matmul",
            "matrix" if hardware.rates[dtype].matrix else "vector",
            dtype,
            FlopsPerSecond(hardware.rates[dtype].flops_per_second * clock * share),
            device.count,
        )
        for dtype in dtypes
    )
    cpu = parameters().runtimes["torch-eager-cpu"].cpu
    assert cpu is not None
    stream = STREAM_SHARE if device.kind == "gpu" else cpu.memory
    bandwidth = BytesPerSecond(hardware.bandwidth * stream)
    return replace(device, sustained=Sustained("bench", rates, bandwidth))


@pytest.mark.parametrize("kernel", ["fma", "matmul"])
@pytest.mark.parametrize(
    "name",
    ["rtx3090", "rtx4070", "rtx-pro-6000-blackwell-max-q", "l40s", "h100-sxm", "i9-10940x", "i7-12700h", "epyc-7763"],
)
def test_what_the_model_assumes_changes_nothing_when_it_is_measured(name: str, kernel: str) -> None:
    device = catalog.device(name)
    for model in ("vgg16", "mobilenet-v2", "bert-base"):
        for dtype in {"fp32", DTYPES[device.kind][-1]}:
            before, after = (
                forecast(load.workload(model), one, dtype, 32) for one in (device, measured(device, kernel))
            )
            assert before is not None
            assert after is not None
            assert after.time_s == pytest.approx(before.time_s, rel=1e-6)
