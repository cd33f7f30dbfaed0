"""What no kernel can do without: operations and bytes of a launch by hand, peaks of a device of round numbers."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.machine.parts import Cache, Clock, Memory, Rate, Units
from hwbench.predict.model import bounds, scalar
from hwbench.predict.model.bounds import DeviceCeilings
from hwbench.predict.model.launch import Counts, Launch, Layout, Product
from hwbench.units import Bytes, BytesPerSecond, Hertz

RATES = (
    Rate("vector", "cuda", "fp32", 256),
    Rate("vector", "cuda", "fp16", 256),
    Rate("matrix", "tensor-core", "bf16", 2048, "fp32"),
    Rate("matrix", "tensor-core", "tf32", 1024, "fp32"),
)
GPU = Device(
    "g", "gpu", "NVIDIA", (Units("arch", 10, Clock(boost=Hertz(1e9)), rates=RATES),),
    Memory(bandwidth=BytesPerSecond(1e11)), caches=(Cache("L2", Bytes(4e6)),),
)  # fmt: skip
CPU = replace(GPU, kind="cpu", units=(replace(GPU.units[0], rates=(Rate("vector", "avx2", "fp32", 32),)),))
COUNTS = Counts(
    flops=3.6e9, elementwise_flops=0.0, input_bytes=9e6, weight_bytes=5e6, output_bytes=7e6, elements=1e6,
    saved_bytes=2e6, biased_bytes=0.0,
)  # fmt: skip


def launch(family: str = "conv", window: int = 1, stride: int = 1) -> Launch:
    layout = Layout(window=window, stride=stride, channels_last=False, strided=False, half=False, positions=0)
    flags: dict[str, Any] = {"fused": False, "masked": False, "unfused": False, "backward": False}
    return Launch(family, 1, COUNTS, Product(1.0, 1.0, 1.0, 1.0), layout, **flags)


@pytest.mark.parametrize(
    ("family", "window", "stride", "winograd", "saved"),
    [
        ("conv", 9, 1, True, 144 / 36),  # an output of 4×4 from a tile of 6×6: 16 · 9 products in 36
        ("conv", 25, 1, True, 100 / 36),  # an output of 2×2: 4 · 25
        ("conv", 49, 1, True, 1),
        ("conv", 9, 2, True, 1),
        ("conv", 9, 1, False, 1),
        ("stem", 9, 1, True, 1),
    ],
)
def test_winograd_saves_multiplications(family: str, window: int, stride: int, winograd: bool, saved: float) -> None:
    found = bounds.operations(scalar, launch(family, window, stride), winograd)
    assert found == pytest.approx(3.6e9 / saved, rel=1e-12)


@pytest.mark.parametrize(
    ("cache", "weights", "fuses", "moved"),
    [
        (4e6, 10e6, False, 5e6 + 3e6 + 5e6 * (1 - 0.4)),
        (8e6, 10e6, False, 1e6 + 0 + 5e6 * (1 - 0.8)),
        (12e6, 10e6, False, 0),
        (4e6, 10e6, True, 8e6 - 2e6 + 3e6),
        (8e6, 10e6, True, 0 + 1e6),  # less than what is saved
        (0.0, 0.0, False, 21e6),
        (0.5, 0.25, False, 21e6 - 1 - 5e6 / 2),
    ],
)
def test_what_a_cache_holds_need_not_move(cache: float, weights: float, fuses: bool, moved: float) -> None:
    assert bounds.traffic(scalar, launch(), cache, weights, fuses) == pytest.approx(moved, rel=1e-12)


def test_the_least_of_a_launch_is_at_the_peak_of_the_engine_it_computes_on() -> None:
    ceilings = DeviceCeilings({"fp32": 4e12, "tf32": 9e12, "fp16": 6e12}, 1e11, 4e6, frozenset({"fp32"}), True)
    moved = 5e6 + 3e6 + 5e6 * 0.6
    assert bounds.least(scalar, launch("conv", 9), "fp32", ceilings, 10e6, False) == (3.6e9 / 9e12, moved)
    assert bounds.least(scalar, launch("linear"), "fp32", ceilings, 10e6, False) == (3.6e9 / 4e12, moved)
    assert bounds.least(scalar, launch("conv", 9), "fp16", ceilings, 10e6, True) == (3.6e9 / 6e12, moved - 2e6)
    plain = replace(ceilings, tf32=False)
    assert bounds.least(scalar, launch("conv", 9), "fp32", plain, 10e6, False) == (3.6e9 / 4 / 4e12, moved)


def test_ceilings_of_a_device() -> None:
    rates, tf32 = bounds.engines(GPU, ["fp32", "fp16", "bf16"])
    assert tf32
    assert {dtype: peak.flops_per_second for dtype, peak in rates.items()} == pytest.approx(
        {"fp32": 2.56e12, "fp16": 2.56e12, "bf16": 2.048e13, "tf32": 1.024e13}
    )
    found = bounds.ceilings_of(GPU, rates, tf32)
    assert (found.bandwidth, found.cache, found.tf32) == (1e11, 4e6, True)
    assert found.winograd == {"fp32", "fp16"}  # not on the matrix engine
    assert found.peaks["bf16"] == pytest.approx(2.048e13)
    assert bounds.engines(GPU, ["fp16"])[1] is False
    assert bounds.engines(GPU, ["fp32"], math="strict") == ({"fp32": bounds.peak_for(GPU, "fp32")}, False)
    bare = bounds.ceilings_of(replace(GPU, memory=Memory(), caches=()), rates, False)
    assert math.isnan(bare.bandwidth)
    assert bare.cache == 10 * 64 * 2**10  # the least of any unit's
    assert bounds.ceilings_of(CPU, bounds.engines(CPU, ["fp32"])[0], False).winograd == frozenset()


def test_a_dtype_without_a_rate() -> None:
    assert bounds.peak_for(GPU, "fp32", every=(bounds.peak_for(CPU, "fp32"),)).isa == "avx2"  # those at hand
    slow = replace(CPU, units=(replace(CPU.units[0], rates=(*CPU.units[0].rates, Rate("vector", "x", "fp16", 8))),))
    assert bounds.peak_for(slow, "fp16").flops_per_second == pytest.approx(10 * 1e9 * 32)
    for device, dtype in ((CPU, "fp16"), (CPU, "bf16"), (GPU, "fp64")):
        with pytest.raises(InputError) as caught:
            bounds.peak_for(device, dtype)
        assert (caught.value.code, "emulate" in caught.value.message) == (
            "unknown-rate",
            (device, dtype) == (CPU, "fp16"),
        )
    for extra, advised in ((), False), ((Rate("vector", "x", "bf16", 8),), True):
        with pytest.raises(InputError) as caught:
            bounds.peak_for(replace(CPU, units=(replace(CPU.units[0], rates=(*CPU.units[0].rates, *extra)),)), "fp16")
        assert ("bf16" in caught.value.message) is advised
    assert bounds.compute_dtype("fp16", "conv", True) == "fp16"
    assert bounds.compute_dtype("fp32", "linear", True) == "fp32"
    assert bounds.compute_dtype("fp32", "depthwise", True) == "tf32"
    assert bounds.compute_dtype("fp32", "depthwise", False) == "fp32"
