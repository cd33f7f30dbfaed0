"""Elasticity of a model to the clock: the roofline's, worked out layer by layer, and its limits."""

import math

import msgspec
import pytest

from hwbench.machine import catalog
from hwbench.machine.parts import Cache, Memory
from hwbench.predict.estimate import estimate
from hwbench.study.clock import elasticity
from hwbench.units import Bytes, BytesPerSecond
from hwbench.workload import load


@pytest.mark.parametrize(("model", "device", "batch"), [("alexnet", "i7-6700k", 1), ("resnet18", "rtx3090", 64)])
def test_by_the_roofline(model: str, device: str, batch: int) -> None:
    machine, workload = catalog.device(device), load.workload(model)
    machine = msgspec.structs.replace(machine, caches=(Cache("L2", Bytes(1)),))  # all traffic reaches memory
    assert machine.memory.bandwidth is not None
    top = machine.peak("fp32").flops_per_second

    def time(clock: float) -> float:
        works = [op.work(32, batch) for op in workload.ops]
        return sum(
            max(work.flops / (top * clock), work.traffic / float(machine.memory.bandwidth or 0)) for work in works
        )

    expected = math.log(time(1.1**-0.5) / time(1.1**0.5)) / math.log(1.1)
    found = elasticity.elasticity(workload, machine, "fp32", batch)
    assert found.elasticity_roofline == pytest.approx(expected, rel=1e-5)
    assert found.roofline_time_s == pytest.approx(time(1), rel=1e-5)
    assert found.model in found.verdict


@pytest.mark.parametrize(("bandwidth", "value", "words"), [(1e18, 1, "alone predicts"), (1e6, 0, "not on the clock")])
def test_the_clock_is_everything_without_a_memory_bound_and_nothing_under_one(
    bandwidth: float, value: float, words: str
) -> None:
    machine = msgspec.structs.replace(catalog.device("i7-6700k"), memory=Memory(bandwidth=BytesPerSecond(bandwidth)))
    found = elasticity.elasticity(load.workload("alexnet"), machine, "fp32", 1024)
    assert found.elasticity_roofline == pytest.approx(value, abs=1e-6)
    by = found.elasticity_expected
    assert by is None or (by > 0.9 if value else by < 0.1)
    assert words in found.verdict


def test_a_clock_scales_every_class_of_units_and_memory_stays() -> None:
    machine = catalog.device("i7-12700h")
    faster = elasticity.at_clock(machine, 2.0)
    assert faster.peak("fp32").flops_per_second == pytest.approx(2 * machine.peak("fp32").flops_per_second)
    assert faster.memory == machine.memory
    assert [units.count for units in faster.units] == [units.count for units in machine.units]
    assert [units.clock.base for units in faster.units] == [2 * (units.clock.base or 0) for units in machine.units]


def test_the_expected_time_shrinks_as_the_estimate_says() -> None:
    machine, workload = catalog.device("i7-6700k"), load.workload("resnet18")
    bounds = estimate(workload, machine)
    found = elasticity.elasticity(workload, machine)
    assert bounds.forecast is not None
    assert found.elasticity_expected is not None
    assert found.elasticity_expected == bounds.forecast.elasticities.clock
    assert found.expected_time_s == bounds.forecast.time_s
    assert "By the forecast" in found.verdict
