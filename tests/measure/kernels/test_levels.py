"""Caches from a sweep of working sets: made-up machines whose caches are known, and noise."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.machine.parts import Cache
from hwbench.measure.kernels.memory import levels, working_set
from hwbench.measure.kernels.memory.levels import Level, Point
from hwbench.units import Bytes

KIB, MIB = 1 << 10, 1 << 20


def sweep(plateaus: list[tuple[float, float]], memory: float, *, steps: int = 2, blur: float = 0.0) -> list[Point]:
    """Points of a machine with caches of (size, bandwidth); `blur`: octaves over which one gives way to the next."""
    points = []
    for size in working_set.sizes(512 * MIB, steps):
        bandwidth = memory
        for cache, rate in reversed(plateaus):
            below = math.log2(cache / size)
            share = 1.0 if below >= 0 else max(0.0, 1 + below / blur) if blur else 0.0
            bandwidth = rate**share * bandwidth ** (1 - share)
        points.append(Point(size, bandwidth))
    return points


XEON = [(48 * KIB, 340e9), (2 * MIB, 185e9), (64 * MIB, 30e9)]
EPYC = [(32 * KIB, 222e9), (1 * MIB, 118e9), (16 * MIB, 98e9)]


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize(("plateaus", "memory"), [(XEON, 14e9), (EPYC, 28e9), ([(64 * KIB, 50e9)], 4e9)])
def test_sharp_caches_are_found_with_their_sizes(
    plateaus: list[tuple[float, float]], memory: float, steps: int
) -> None:
    found = levels.levels(sweep(plateaus, memory, steps=steps))
    assert len(found) == len(plateaus) + 1
    for level, (size, rate) in zip(found, plateaus, strict=False):
        assert level.size is not None
        assert level.beyond is not None
        assert level.size <= size < level.beyond
        assert level.bandwidth == pytest.approx(rate)
    assert found[-1].bandwidth == pytest.approx(memory)
    assert found[-1].size is None


def test_a_slow_way_down_is_no_level() -> None:
    found = levels.levels(sweep(EPYC, 28e9, blur=1.5))
    assert [round(level.bandwidth / 1e9) for level in found] == [222, 118, 98, 28]
    assert found[2].size is not None
    assert 16 * MIB <= found[2].size <= 32 * MIB


def test_this_machines_curve_of_november_2026() -> None:
    """Best read bandwidths in GB/s, 4 KiB to 512 MiB, two an octave: a guest on an EPYC of 32 KiB, 1 MiB and 32 MiB."""
    measured = [
        222.2, 223.0, 222.0, 222.1, 223.3, 221.9, 220.9, 121.2, 117.8, 117.9, 118.1, 118.1, 117.9, 100.8, 113.4, 105.7,
        99.8, 96.2, 98.3, 98.2, 94.2, 99.2, 99.2, 85.5, 69.6, 48.0, 36.1, 29.1, 28.6, 28.0, 29.3, 29.0, 28.2, 28.7,
        28.2,
    ]  # fmt: skip
    points = [Point(size, rate) for size, rate in zip(working_set.sizes(512 * MIB, 2), measured, strict=True)]
    found = levels.levels(points)
    assert [level.size for level in found] == [32 * KIB, 512 * KIB, 16 * MIB, None]
    caches = [Cache("L1d", Bytes(32 * KIB)), Cache("L2", Bytes(MIB)), Cache("L3", Bytes(32 * MIB))]
    assert levels.names(found, caches) == ("L1d", "L2", "L3", "memory")


@given(seed=st.integers(0, 10_000), noise=st.floats(0, 0.03))
def test_noise_of_three_percent_changes_nothing(seed: int, noise: float) -> None:
    order = random.Random(seed)
    points = [Point(p.size, p.bandwidth * (1 + order.uniform(-noise, noise))) for p in sweep(XEON, 14e9)]
    found = levels.levels(points)
    assert [level.size for level in found] == [48 * KIB, 2 * MIB, 64 * MIB, None]


@given(seed=st.integers(0, 10_000))
def test_disturbed_points_change_nothing(seed: int) -> None:
    """Other work slows single points; it never speeds one up."""
    order = random.Random(seed)
    points = sweep(XEON, 14e9)
    for place in order.sample(range(len(points) - 1), 3):
        if points[place + 1].bandwidth > 0.9 * points[place].bandwidth:  # its neighbor can stand in for it
            points[place] = Point(points[place].size, points[place].bandwidth * order.uniform(0.2, 0.9))
    found = levels.levels(points)
    assert [round(level.bandwidth / 1e9) for level in found] == [340, 185, 30, 14]


@given(st.lists(st.tuples(st.integers(1, 1 << 40), st.floats(1e3, 1e15)), max_size=40, unique_by=lambda one: one[0]))
def test_laws_of_any_sweep(values: list[tuple[int, float]]) -> None:
    points = [Point(size, bandwidth) for size, bandwidth in values]
    found = levels.levels(points)
    rates = [level.bandwidth for level in found]
    assert rates == sorted(rates, reverse=True)
    sizes = [level.size for level in found[:-1]]
    assert all(size is not None for size in sizes)
    assert sizes == sorted(sizes)
    for level in found[:-1]:
        assert level.size is not None
        assert level.beyond is not None
        assert level.size < level.beyond
    assert not found or found[-1].size is None
    assert found == levels.levels(points[::-1])
    assert levels.names(found, ())[-1:] == (("memory",) if found else ())


def test_too_few_points_show_nothing() -> None:
    assert levels.levels([]) == ()
    assert levels.levels([Point(4096, 1e9)]) == ()


@given(st.lists(st.floats(1.0, 1e12), min_size=1, max_size=30))
def test_raising_keeps_points_above_and_falling(rates: list[float]) -> None:
    points = [Point(float(1 << k), rate) for k, rate in enumerate(rates)]
    raised = levels.raised(points)
    assert all(new.bandwidth >= old.bandwidth for new, old in zip(raised, points, strict=True))
    assert [p.bandwidth for p in raised] == sorted((p.bandwidth for p in raised), reverse=True)
    assert levels.raised(raised) == raised


@given(st.lists(st.floats(1.0, 1e12), min_size=1, max_size=12))
def test_segments_are_the_best_of_all_ways_to_cut(rates: list[float]) -> None:
    points = [Point(float(k + 1), rate) for k, rate in enumerate(rates)]
    parts = levels.segments(points)
    assert [point for part in parts for point in part] == points

    def cost(cut: list[list[Point]]) -> float:
        total = 0.0
        for part in cut:
            logs = [math.log(point.bandwidth) for point in part]
            mean = sum(logs) / len(logs)
            total += levels.PENALTY + sum((value - mean) ** 2 for value in logs)
        return total

    count = len(points)
    every = []
    for cuts in range(1 << (count - 1)):
        cut: list[list[Point]] = [[points[0]]]
        for place in range(1, count):
            if cuts >> (place - 1) & 1:
                cut.append([])
            cut[-1].append(points[place])
        every.append(cost(cut))
    assert cost(parts) == pytest.approx(min(every), rel=1e-6, abs=1e-6)


def level(size: float | None) -> Level:
    return Level(1e9, 1.0, 1.0, size, size * 2 if size else None)


@pytest.mark.parametrize(
    ("sizes", "reported", "expected"),
    [([32e3, 1e6, 32e6], {"L1d": 32e3, "L2": 1e6, "L3": 480e6}, ("L1d", "L2", "L3", "memory")),
     ([32e3, 30e6], {"L1d": 32e3, "L2": 1e6, "L3": 32e6}, ("L1d", "L3", "memory")),
     ([32e3, 40e3], {"L1d": 32e3, "L2": 1e6}, ("L1", "L2", "memory")),
     ([32e3, 1e6], {}, ("L1", "L2", "memory")),
     ([], {"L1d": 32e3}, ("memory",))],
)  # fmt: skip
def test_names_of_levels(sizes: list[float], reported: dict[str, float], expected: tuple[str, ...]) -> None:
    caches = [Cache(name, Bytes(size)) for name, size in reported.items()]
    assert levels.names([*map(level, sizes), level(None)], caches) == expected


def test_the_middle_of_a_plateau_lies_in_it() -> None:
    assert levels.middle(Level(1.0, 4096.0, 16384.0)) == pytest.approx(8192)
