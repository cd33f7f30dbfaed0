"""From launches to a network's time, by hand."""

import pytest
from msgspec.structs import replace

from hwbench.predict.model import cpu, gpu, scalar
from hwbench.predict.model.bounds import compute_dtype, traffic
from hwbench.predict.model.hardware import Hardware, Rates
from hwbench.predict.model.launch import launch_of
from hwbench.predict.model.parameters import PartFactors, Runtime, parameters
from hwbench.predict.model.time import (
    LaunchTime,
    device_and_host_time,
    device_time,
    launch_time,
    launch_times,
    parts,
    scaled,
    total_time,
    weight_bytes,
)
from hwbench.workload.ops import Op, Workload

NONE = {"devices": {}, "architectures": {}, "others": PartFactors()}
RUNTIMES = {name: replace(runtime, **NONE) for name, runtime in parameters().runtimes.items()}
GPU, CPU = RUNTIMES["torch-eager-cuda"], RUNTIMES["torch-eager-cpu"]
FUSING = {"gpu": RUNTIMES["torch-compile-cuda"], "cpu": RUNTIMES["torch-compile-cpu"]}
RATE = Rates(1e12, 64.0, False)
HARDWARE = Hardware(
    kind="gpu", units=8.0, rates={"fp32": RATE, "tf32": Rates(4e12, 256.0, True)}, vector=RATE, bandwidth=1e11,
    cache=1e6, lanes=16.0, headroom=1.0, cycles=1e9, measured=frozenset(), assumed=(),
)  # fmt: skip
OP = Op(
    "linear", (1000,), macs=1_000_000, columns=1000, depth=1000, input_elements=1000, weight_elements=1_001_000,
    output_elements=1000, fixed_weight_bytes=10, count=3,
)  # fmt: skip
WORKLOAD = Workload("w", "w", (1000,), (OP, replace(OP, count=1, dtype="tf32")))


def test_weights_are_those_of_all_ops() -> None:
    assert weight_bytes(WORKLOAD, 16) == 4 * (2 * 1_001_000 + 10)


def test_a_gpu_overlaps_in_squares_and_a_cpu_adds() -> None:
    time = LaunchTime(3.0, 4.0, 1.0, 0.5, 2)
    assert device_time(scalar, time, GPU) == 6.0
    assert device_time(scalar, time, CPU) == 8.0
    copied = replace(time, copies=2.0)
    assert device_time(scalar, copied, GPU) == 8.0
    assert parts(scalar, copied, GPU) == (9 / 5, 16 / 5 + 2)
    assert scaled(copied, (2.0, 3.0, 5.0)) == LaunchTime(6.0, 12.0, 5.0, 2.5, 2, 6.0)
    other = LaunchTime(0.0, 1.0, 0.0, 2.0, 1)
    assert device_and_host_time(scalar, [time, other], GPU) == (13.0, 3.0)
    assert total_time(scalar, 3.0, 0.0) == pytest.approx(3.0)
    assert total_time(scalar, 2.0, 3.0) == pytest.approx((16 + 81) ** 0.25)


def test_the_host_and_the_gap_of_a_kernel() -> None:
    launch = launch_of(OP, 2, 32)
    found = launch_time(scalar, launch, "fp32", HARDWARE, GPU, 5e6)
    assert GPU.gpu is not None
    assert found.compute == gpu.compute_time(scalar, launch, HARDWARE, "fp32", GPU.gpu)
    assert found.memory == gpu.memory_time(scalar, launch, HARDWARE, GPU.gpu, 5e6)
    assert (found.overhead, found.host, found.count) == (GPU.gpu.launch, GPU.gpu.host, 3)
    hosted = launch_time(scalar, launch, "fp32", replace(HARDWARE, op_overhead=7e-6), GPU, 5e6)
    assert hosted == replace(found, host=7e-6)
    merged = replace(launch, fused=True)
    fused = launch_time(scalar, merged, "fp32", HARDWARE, FUSING["gpu"], 5e6)
    assert (fused.overhead, fused.host) == (0, 0)
    assert launch_time(scalar, merged, "fp32", HARDWARE, GPU, 5e6).host == GPU.gpu.host
    assert launch_time(scalar, launch, "fp32", HARDWARE, FUSING["gpu"], 5e6).host > 0


@pytest.mark.parametrize("runtime", [CPU, FUSING["cpu"]])
def test_factors_of_a_machine_scale_each_part(runtime: Runtime) -> None:
    launch, hardware = launch_of(OP, 2, 32), replace(HARDWARE, kind="cpu")
    plain = launch_time(scalar, launch, "fp32", hardware, runtime, 5e6)
    assert runtime.cpu is not None
    assert plain.compute == cpu.compute_time(scalar, launch, hardware, "fp32", runtime.cpu)
    assert plain.memory == cpu.memory_time(scalar, launch, hardware, runtime.cpu, 5e6, runtime.fuses)
    assert plain.overhead == cpu.overhead(scalar, launch, hardware, runtime.cpu, runtime.fuses)
    timed = launch_time(scalar, launch, "fp32", replace(hardware, factors=(2.0, 3.0, 5.0)), runtime, 5e6)
    expected = (2 * plain.compute, 3 * plain.memory, 5 * plain.overhead, 0.0, 3)
    assert (timed.compute, timed.memory, timed.overhead, timed.host, timed.count) == expected


def test_fp32_convolutions_compute_in_tf32_where_the_runtime_uses_it() -> None:
    assert compute_dtype("fp32", "conv", True) == "tf32"
    assert compute_dtype("fp16", "conv", True) == "fp16"
    assert compute_dtype("fp32", "linear", True) == "fp32"
    assert compute_dtype("fp32", "conv", False) == "fp32"


def test_no_launch_beats_its_ceilings() -> None:
    """The runtime's shares exceed 1 here: the peak of the data sheet, or its boost, and its bandwidth hold."""
    assert GPU.gpu is not None
    shares = replace(GPU.gpu, compute=dict.fromkeys(GPU.gpu.compute, 9.0), memory=dict.fromkeys(GPU.gpu.memory, 9.0))
    runtime = replace(GPU, gpu=replace(shares, cache_share=1e-9))
    rate = Rates(1e12, 64.0, False, 1e12)
    hardware = replace(HARDWARE, rates={"fp32": rate}, memory_ceiling=1e11)
    launch = launch_of(replace(OP, weight_elements=10**8), 1000, 32)
    found = launch_time(scalar, launch, "fp32", hardware, runtime, 4e8)
    assert found.compute == pytest.approx(2e6 * 1000 / 1e12)
    assert found.memory == pytest.approx((2 * (4e6 - 1e6) + 4e8 * (1 - 1 / 400) + 10) / 1e11)
    boosted = launch_time(scalar, launch, "fp32", replace(hardware, boost=1.12), runtime, 4e8)
    assert (boosted.compute, boosted.memory) == (pytest.approx(found.compute / 1.12), found.memory)


def test_every_op_of_a_network_is_one_launch_in_its_own_dtype() -> None:
    first, second = launch_times(scalar, WORKLOAD, HARDWARE, "fp32", 32, 2, GPU)
    weights = weight_bytes(WORKLOAD, 32)
    assert first == launch_time(scalar, launch_of(OP, 2, 32), "fp32", HARDWARE, GPU, weights)
    assert second == launch_time(scalar, launch_of(WORKLOAD.ops[1], 2, 32), "tf32", HARDWARE, GPU, weights)


def test_no_kernel_is_below_the_ceiling_of_its_dtype() -> None:
    rates = {"fp32": Rates(1e12, 64.0, False, 2e12), "tf32": Rates(4e12, 256.0, True, 5e12)}
    quick = replace(HARDWARE, rates=rates, factors=(1e-12, 1e-12, 1.0), boost=1.25, memory_ceiling=3e11)
    launch = launch_of(OP, 2, 32)
    for dtype, ceiling in (("fp32", 2e12), ("tf32", 5e12)):
        found = launch_time(scalar, launch, dtype, quick, GPU, 5e6)
        assert found.compute == pytest.approx(2 * 2 * 1_000_000 / (ceiling * 1.25))
        assert found.memory == pytest.approx(traffic(scalar, launch, quick.cache, 5e6, False) / 3e11)
