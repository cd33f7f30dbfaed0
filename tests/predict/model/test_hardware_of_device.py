"""A device in the time model's units, by hand: rates, clocks, caches, what was measured and what is guessed."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.machine.device import Device
from hwbench.machine.parts import Cache, Clock, DeviceCalibration, Memory, Rate, Sustained, SustainedRate, Units
from hwbench.predict.model.hardware import (
    Hardware,
    Rates,
    hardware_of,
    power_share,
)
from hwbench.units import Bytes, BytesPerSecond, FlopsPerSecond, Hertz, Seconds, Watts

GPU_RATES = (
    Rate("vector", "cuda", "fp32", 256),
    Rate("vector", "cuda", "fp64", 8),
    Rate("matrix", "tensor-core", "fp16", 1024, "fp32"),
    Rate("matrix", "tensor-core", "fp16", 4096, "fp32", "2:4"),
)
CPU_RATES = (Rate("vector", "avx2", "fp32", 32), Rate("vector", "avx2", "fp64", 16))
TURBO = Clock(base=Hertz(2e9), boost=Hertz(4e9))
MEMORY = Memory(bandwidth=BytesPerSecond(1e11))
GPU = Device(
    "g", "gpu", "Nobody", (Units("arch", 10, Clock(boost=Hertz(1e9)), rates=GPU_RATES),), MEMORY, segment="consumer",
    caches=(Cache("L1", Bytes(1e5), 1), Cache("L2", Bytes(4e6)), Cache("L3", Bytes(3e6))),
)  # fmt: skip
CPU = Device(
    "c", "cpu", "Nobody", (Units("arch", 8, TURBO, rates=CPU_RATES),), MEMORY,
    caches=(Cache("L1d", Bytes(32e3), 1), Cache("L2", Bytes(1e6), 2), Cache("L3", Bytes(16e6))),
)  # fmt: skip
SHARE = (2 + 0.35 * 2) / 4


def of(device: Device, *dtypes: str, **more: Any) -> Hardware:
    found = hardware_of(device, dtypes, **more)
    assert found is not None
    return found


def test_a_gpu_by_its_data_sheet() -> None:
    found = of(GPU, "fp16", "bf16")
    lanes, ceiling = Rates(2.56e12, 256, False), Rates(2.56e12, 256, False, 2.56e12)
    assert found.rates == {"fp32": ceiling, "bf16": ceiling, "fp16": Rates(1.024e13, 1024, True, 1.024e13)}
    assert (found.vector, found.units, found.bandwidth, found.cache) == (lanes, 10, 1e11, 4e6)
    assert (found.lanes, found.headroom, found.cycles) == (64, 1, pytest.approx(1e10))
    assert (found.measured, found.assumed, found.op_overhead, found.factors, found.spread) == (
        frozenset(), (), None, None, None,
    )  # fmt: skip


def test_lanes_beyond_what_a_unit_issues_do_not_count() -> None:
    wide = replace(GPU, units=(replace(GPU.units[0], rates=(Rate("vector", "cuda", "fp32", 384),)),))
    assert of(wide).rates["fp32"] == Rates(pytest.approx(2.56e12), 384, False, 3.84e12)


def test_cards_for_data_centers_keep_to_their_printed_boost() -> None:
    server = replace(GPU, segment="datacenter")
    assert of(server).headroom == of(replace(GPU, segment=None)).headroom == 1 / 1.12
    assert of(replace(GPU, segment="workstation")).headroom == of(CPU).headroom == 1


def test_measured_rates_of_a_gpu_are_at_its_true_clock() -> None:
    rates = (SustainedRate("fma", "vector", "fp32", FlopsPerSecond(2e12), 10),)
    card = replace(GPU, sustained=Sustained("here", rates, BytesPerSecond(46e9)))
    assert of(card).vector.flops_per_second == pytest.approx(2e12 / 1.12)
    assert of(card).bandwidth == pytest.approx(46e9 / 0.92)
    assert of(replace(card, segment="datacenter")).vector.flops_per_second == pytest.approx(2e12)


@pytest.mark.parametrize(
    ("power", "released", "rate", "share"),
    [
        (None, "2023-01", 1024, 1.0),
        (18.0, "2023-01", 1024, 1.0),  # 3 W of memory, and 1.5 W for each of 10 units and GHz
        (10.2, "2023-01", 1024, 0.5**0.8),
        (10.2, "2025-01", 1024, 0.5**0.8),
        (10.2, "2023-01", 64, 1.0),  # a sixteenth of the rate needs half of the power
        (10.2, None, 1024, 0.5**0.8),
        (10.2, "2012", 1024, (0.5 / math.exp(0.1 * (2022.8 - 2012.5))) ** 0.8),
        (10.2, "2012-11", 1024, (0.5 / math.exp(0.1 * (2022.8 - 2012 - 11 / 12))) ** 0.8),
        (3.6, "2023-01", 1024, 0.125**0.8),  # memory takes half at most
    ],
)
def test_power_caps_what_units_sustain(power: float | None, released: str | None, rate: float, share: float) -> None:
    card = replace(GPU, vendor="NVIDIA", power=power and Watts(power), released=released)
    assert power_share(card, rate) == pytest.approx(share)
    assert power_share(replace(card, vendor="Nobody"), rate) == 1
    faster = replace(card, memory=replace(MEMORY, type="GDDR6", bandwidth=BytesPerSecond(5e10)))  # at twice the joules
    assert power_share(faster, rate) == pytest.approx(share)
    assert of(card, "fp16").rates["fp16"].flops_per_second == pytest.approx(1.024e13 * power_share(card, 1024))
    assert of(card, "fp16").vector.flops_per_second == pytest.approx(2.56e12 * power_share(card, 256))
    assert of(card, "fp16").power == pytest.approx(power_share(card, 1024))
    fixed = replace(card, units=(replace(card.units[0], clock=Clock(fixed=Hertz(1e9))),))
    assert power_share(fixed, rate) == 1


def test_all_cores_of_a_cpu_run_between_base_and_boost() -> None:
    found = of(CPU, "fp64")
    assert found.vector == Rates(pytest.approx(8 * 4e9 * 32 * SHARE), 32, False)
    assert found.rates["fp32"] == Rates(found.vector.flops_per_second, 32, False, 8 * 4e9 * 32)
    assert found.rates["fp64"] == Rates(pytest.approx(8 * 4e9 * 16 * SHARE), 16, False, 8 * 4e9 * 16)
    assert (found.lanes, found.cycles) == (8, pytest.approx(8 * 4e9 * SHARE))
    assert found.cache == 4 * 1e6 + 16e6
    assert of(CPU, clock="base").vector.flops_per_second == 8 * 2e9 * 32
    fixed = replace(CPU, units=(replace(CPU.units[0], clock=Clock(fixed=Hertz(3e9))),))
    assert of(fixed).vector.flops_per_second == 8 * 3e9 * 32
    single = replace(CPU, units=(replace(CPU.units[0], count=1),))
    assert of(single).vector.flops_per_second == 4e9 * 32


def test_caches_of_a_class_are_those_of_its_units() -> None:
    small = Units("other", 4, TURBO, "E-core", rates=CPU_RATES)
    caches = (
        Cache("P-core L1d", Bytes(48e3), 1), Cache("P-core L2", Bytes(1e6), 1), Cache("E-core L2", Bytes(2e6), 4),
        Cache("L3", Bytes(24e6)),
    )  # fmt: skip
    hybrid = replace(CPU, units=(replace(CPU.units[0], name="P-core"), small), caches=caches)
    assert of(hybrid).cache == 8 * 1e6 + 2e6 + 24e6


def test_a_matrix_engine_keeps_the_clock_of_the_data_sheet() -> None:
    tiles = replace(CPU.units[0], rates=(*CPU_RATES, Rate("matrix", "amx", "bf16", 1024, "fp32")))
    assert of(replace(CPU, units=(tiles,)), "bf16").rates["bf16"] == Rates(8 * 4e9 * 1024, 1024, True, 8 * 4e9 * 1024)


def test_the_mean_share_of_several_classes() -> None:
    small = Units("other", 4, Clock(base=Hertz(3e9), boost=Hertz(3e9)), "small", rates=CPU_RATES)
    found = of(replace(CPU, units=(replace(CPU.units[0], name="big"), small)))
    assert found.vector.flops_per_second == pytest.approx(
        (8 * 4e9 + 4 * 3e9) * 32 * (SHARE + 1) / 2 * (12 * 3e9 / (8 * 4e9 + 4 * 3e9)) ** 0.5
    )


def test_measured_rates_replace_the_data_sheets() -> None:
    rates = (
        SustainedRate("fma", "vector", "fp32", FlopsPerSecond(5e11), 8),
        SustainedRate("matmul", "vector", "fp32", FlopsPerSecond(9e11), 8),
        SustainedRate("matmul", "vector", "fp64", FlopsPerSecond(1.86e11), 8),
        SustainedRate("fma", "vector", "bf16", FlopsPerSecond(7e11), 1),
    )
    here = Sustained("here", rates, BytesPerSecond(8e10), op_overhead=Seconds(3e-6))
    kept = DeviceCalibration("mine", "2026-11-30", "made-up times", 7, 1.5, 2.0, 0.5, 0.1)
    found = of(replace(CPU, sustained=here), "fp64", "bf16", known=kept)
    assert found.vector == found.rates["fp32"] == Rates(5e11, 32, False, 8 * 4e9 * 32)
    assert found.rates["fp64"].flops_per_second == pytest.approx(1.86e11 / 0.93)
    assert found.rates["bf16"].flops_per_second == pytest.approx(8 * 4e9 * 32 * SHARE)  # one unit is not all
    assert (found.bandwidth, found.measured) == (8e10, {"fp32", "fp64", "bandwidth"})
    assert (found.op_overhead, found.factors, found.spread) == (3e-6, (1.5, 2.0, 0.5), 0.1)
    assert found.cycles == pytest.approx(5e11 / 32)


def test_an_overhead_that_is_set_multiplies_launches_alone() -> None:
    assert of(CPU).factors is None
    assert of(CPU.with_(overhead="3")).factors == (1.0, 1.0, 3.0)
    kept = DeviceCalibration("mine", "2026-11-30", "made-up times", 7, 1.5, 2.0, 0.5, 0.1)
    assert of(CPU.with_(overhead="3"), known=kept).factors == (1.5, 2.0, 1.5)


def test_what_is_guessed() -> None:
    assert of(CPU).assumed == ()
    bare = replace(
        CPU, caches=CPU.caches[:1], provenance={"memory.bandwidth": "assumed", "units.units.clock.boost": "os"}
    )
    assert of(bare).assumed == ("memory.bandwidth", "clock", "cache")
    assert of(bare).cache == 8 * 2 * 2**20
    card = replace(GPU, caches=(), provenance={"units.units.clock.boost": "assumed"})
    assert (of(card).assumed, of(card).cache) == (("cache",), 10 * 64 * 2**10)


def test_without_bandwidth_or_rates_there_is_no_model() -> None:
    assert hardware_of(replace(CPU, memory=Memory()), ()) is None
    assert hardware_of(replace(CPU, memory=Memory(), sustained=Sustained("x", bandwidth=BytesPerSecond(1e10))), ())
    integers = replace(CPU.units[0], rates=(Rate("matrix", "amx", "int8", 1024, "int32"),))
    assert hardware_of(replace(CPU, units=(integers,)), ()) is None
    doubles = replace(CPU.units[0], rates=(CPU_RATES[1], replace(CPU_RATES[1], dtype="fp16", flops_per_cycle=20)))
    assert of(replace(CPU, units=(doubles,))).vector.flops_per_cycle == 20


def test_consumer_cards_alone_run_above_their_data_sheet() -> None:
    assert of(GPU).boost == 1.12
    assert of(replace(GPU, segment="datacenter")).boost == of(replace(GPU, segment=None)).boost == 1
    assert of(CPU).boost == 1


def test_convolutions_are_tf32_by_default_on_nvidia_alone() -> None:
    tensor = Rate("matrix", "tensor-core", "tf32", 512, "fp32")
    card = replace(GPU, vendor="NVIDIA", units=(replace(GPU.units[0], rates=(*GPU.units[0].rates, tensor)),))
    assert of(card).tf32
    assert "tf32" in of(card).rates
    assert not of(card, math="strict").tf32
    assert not of(replace(card, vendor="AMD")).tf32
    assert not of(replace(GPU, vendor="NVIDIA")).tf32


def test_the_last_level_takes_longer_than_the_one_before_where_both_were_measured() -> None:
    """Of 8 cores 1 MB for two: 4 MB; 1 / 200 GB/s - 1 / 1 TB/s, less an eighth of what the fitted core takes."""
    rates = {name: BytesPerSecond(rate) for name, rate in (("L1d", 4e12), ("L2", 1e12), ("L3", 2e11))}
    found = of(replace(CPU, sustained=Sustained("x", caches=rates)))
    assert (found.inner, found.step) == (4e6, pytest.approx(4e-12 - 1.6e-12 / 8))
    one = replace(CPU, sustained=Sustained("x", caches={"L3": BytesPerSecond(2e11)}))
    assert (of(one).inner, of(one).step) == (of(CPU).inner, of(CPU).step) == (math.inf, 0.0)
    equal = replace(CPU, sustained=Sustained("x", caches={**rates, "L3": BytesPerSecond(1e12)}))
    assert of(equal).step == 0.0
