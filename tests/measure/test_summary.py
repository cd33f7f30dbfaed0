"""From samples to a value: what is rejected, what counts, how it is graded. Laws hold for any samples."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.measure.record import MIN_ACCEPTED, Measurement, Sample
from hwbench.measure.summary import graded, interval, judged, per_cycle, spread, summarize
from hwbench.stats.intervals import Interval, median_interval


def sample(wall: float, cpu: float | None = None, **more: object) -> Sample:
    return Sample(wall_s=wall, repetitions=1, cpu_s=wall if cpu is None else cpu, **more)  # type: ignore[arg-type]


def measurement(samples: list[Sample], unit: str = "FLOP/s", work: float = 1e9, **more: object) -> Measurement:
    return Measurement("fma", "throughput", unit, work, judged(samples, 1), timer="cpu", **more)  # type: ignore[arg-type]


def test_values_by_unit_and_clock() -> None:
    one = Sample(wall_s=2.0, repetitions=10, cpu_s=1.0, cycles=4e9)
    assert Measurement("k", "v", "FLOP/s", 3e9, (one,), timer="cpu").value(one) == 3e10
    assert Measurement("k", "v", "FLOP/s", 3e9, (one,), timer="wall").value(one) == 1.5e10
    assert Measurement("k", "v", "s", 4.0, (one,), timer="cpu").value(one) == 1.0 / 40
    assert Measurement("k", "v", "FLOP/cycle", 4e9, (one,)).value(one) == 10
    device = Sample(wall_s=0.5, repetitions=2)
    assert Measurement("k", "v", "B/s", 100.0, (device,), timer="device").value(device) == 400


def test_a_thread_that_waited_is_rejected() -> None:
    found = judged([sample(1.0), sample(1.04, 1.0), sample(1.2, 1.0)], threads=1)
    assert [one.rejected for one in found] == [None, None, "preempted: wall time 1.20 × CPU time"]


def test_threads_that_were_held_up_are_rejected_but_not_those_that_wait_by_design() -> None:
    found = judged([sample(1.0, 1.5), sample(1.0, 1.45), sample(1.0, 1.2)], threads=2)
    assert [one.rejected for one in found] == [None, None, "preempted: its threads ran 60 % of the time"]


def test_two_samples_have_a_spread_and_one_without_cpu_time_is_accepted() -> None:
    assert spread(measurement([sample(1.0), sample(1.0)])) == 0.0
    assert spread(measurement([sample(1.0)])) == float("inf")
    assert judged([Sample(wall_s=1.0, repetitions=1)], threads=1)[0].rejected is None


def test_a_device_is_not_preempted() -> None:
    samples = [Sample(wall_s=1.0, repetitions=1), Sample(wall_s=9.0, repetitions=1)]
    assert judged(samples, 1, "device") == tuple(samples)


def test_the_least_disturbed_count_where_few_are_left() -> None:
    samples = [sample(1.0 + 0.1 * number, 1.0) for number in range(20)]
    one = measurement(samples)
    assert sum(s.rejected is None for s in one.samples) == 1
    assert [s.wall_s for s in one.accepted] == [s.wall_s for s in samples[:MIN_ACCEPTED]]
    assert len(measurement(samples * 3).accepted) == 15
    assert len(measurement(samples[:2]).accepted) == 2


def test_a_rejected_sample_does_not_move_the_median() -> None:
    clean = [sample(1.0 + 1e-4 * number) for number in range(9)]
    disturbed = [*clean, sample(5.0, 2.0)]
    assert interval(measurement(disturbed)) == interval(measurement(clean))


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=40))
def test_the_median_lies_in_its_interval(times: list[float]) -> None:
    result = summarize(measurement([sample(time) for time in times]))
    low, high = result.interval
    assert low <= result.value * (1 + 1e-12)
    assert result.value <= high * (1 + 1e-12)
    assert result.best == pytest.approx(1e9 / min(times))
    assert result.value <= result.best * (1 + 1e-12)
    assert result.samples + result.rejected == len(times)
    assert result.value == pytest.approx(float(np.median([1e9 / time for time in times])))


@given(st.lists(st.floats(1e-3, 10), min_size=2, max_size=20), st.floats(1e-3, 1e3))
def test_scaling_time_scales_the_value_and_nothing_else(times: list[float], factor: float) -> None:
    one = summarize(measurement([sample(time) for time in times], "s", 1.0))
    other = summarize(measurement([sample(time * factor) for time in times], "s", 1.0))
    assert other.value == pytest.approx(factor * one.value)
    assert other.interval == pytest.approx(tuple(factor * bound for bound in one.interval))


def test_the_best_time_is_the_least() -> None:
    assert summarize(measurement([sample(3.0), sample(2.0)], "s", 1.0)).best == 2.0


def test_peaks_give_ratios_that_are_never_cut() -> None:
    one = measurement([sample(1.0)] * 9, work=3e9)
    result = summarize(one, 2e9, 4e9)
    assert (result.ratio_to_peak, result.ratio_to_measured_peak) == (1.5, 0.75)
    assert summarize(one).ratio_to_peak is None


@pytest.mark.parametrize(("spreads", "grade"), [(0.001, "A"), (0.02, "B"), (0.06, "C"), (0.3, "D")])
def test_grades_follow_the_width(spreads: float, grade: str) -> None:
    """Nine samples that follow no trend; in order they would count for fewer."""
    times = [1.0 + spreads * step for step in (0, -1, 0.75, -0.5, 1, -0.75, 0.5, -0.25, 0.25)]
    assert summarize(measurement([sample(time) for time in times])).grade == grade
    drift = summarize(measurement([sample(time) for time in sorted(times)]))
    assert drift.interval == (1e9 / max(times), 1e9 / min(times))


def test_grades_fall_for_reasons_that_are_told() -> None:
    steady = [sample(1.0) for _ in range(9)]
    cases = [
        (measurement(steady), "A", ()),
        (measurement(steady, stopped="interrupted"), "C", ("interrupted",)),
        (measurement(steady, checked=False), "D", ("the answer is wrong",)),
        (measurement(steady[:3]), "C", ("3 samples",)),
        (measurement(steady[:1]), "D", ("1 sample",)),
        (measurement(steady[:1], stopped="budget"), "D", ("1 sample before the budget ended",)),
        (
            measurement([*steady[:2], sample(2.0, 1.0)], stopped="budget"),
            "C",
            ("3 samples before the budget ended, 1 preempted",),
        ),
        (measurement([*steady, *[sample(2.0, 1.0)] * 3]), "B", ("3 of 12 samples were preempted",)),
        (measurement([*steady, *[sample(2.0, 1.0)] * 9]), "C", ("9 of 18 samples were preempted",)),
    ]
    for one, grade, reasons in cases:
        assert graded(one, interval(one)) == (grade, reasons)


def test_all_preempted_is_a_c_by_cpu_time_and_a_d_by_wall_time() -> None:
    samples = judged([sample(2.0, 1.0)] * 20, 1)
    by_cpu = Measurement("k", "v", "FLOP/s", 1.0, samples, timer="cpu")
    by_wall = Measurement("k", "v", "FLOP/s", 1.0, samples, timer="wall")
    assert [summarize(one).grade for one in (by_cpu, by_wall)] == ["C", "D"]
    assert "20 of 20 samples were preempted" in summarize(by_cpu).reasons[0]


def test_spread_needs_samples() -> None:
    assert spread(measurement([sample(1.0)] * 8), 9) == float("inf")
    assert spread(measurement([sample(1.0)] * 9), 9) == 0.0
    assert spread(measurement([sample(1.0)])) == float("inf")


def test_the_twin_counts_cycles_of_one_core() -> None:
    samples = [sample(1.0, cycles=2e9 * (1 + 1e-3 * n)) for n in range(9)]
    twin = per_cycle(measurement(samples, work=64e9), 64.0)
    assert twin is not None
    assert (twin.unit, twin.value) == ("FLOP/cycle", pytest.approx(32 / 1.004))
    assert twin.ratio_to_measured_peak == pytest.approx(twin.value / 64)
    latency = per_cycle(measurement(samples, "s", 5e8))
    assert latency is not None
    assert (latency.unit, latency.value) == ("cycle", pytest.approx(4.016))
    assert latency.best == pytest.approx(4.0)
    assert latency.ratio_to_measured_peak is None


def test_no_twin_without_cycles() -> None:
    assert per_cycle(measurement([sample(1.0)])) is None
    assert per_cycle(measurement([sample(1.0, cycles=1e9)], "B/s")) is None
    assert per_cycle(measurement([sample(1.0, cycles=1e9), sample(1.0)])) is None


def test_processes_widen_the_interval_where_they_differ() -> None:
    """Five processes that differ by a percent, nine samples each: the samples alone would look surer than that."""
    random = np.random.default_rng(5)
    shifts = random.normal(1, 0.01, 5)
    samples = [
        Sample(wall_s=float(shift * random.normal(1, 1e-4)), repetitions=1, process=process)
        for (process, shift), _ in itertools.product(enumerate(shifts), range(9))
    ]
    apart = Measurement("k", "v", "s", 1.0, tuple(samples), timer="wall")
    in_turns = sorted(samples, key=lambda sample: sample.wall_s % 1e-5)  # neighbors are of different processes
    alike = Measurement("k", "v", "s", 1.0, tuple(Sample(s.wall_s, 1) for s in in_turns), timer="wall")
    assert interval(apart).half_width > 1.3 * interval(alike).half_width
    assert interval(apart).low < float(np.median([s.wall_s for s in samples])) < interval(apart).high


@pytest.mark.parametrize(
    ("half", "grade"), [(1, "A"), (1.2, "B"), (2, "B"), (2.5, "C"), (5, "C"), (6, "D"), (7.4, "D"), (50, "D")]
)
def test_grades_by_the_width_of_the_interval(half: float, grade: str) -> None:
    one = measurement([sample(1.0)] * MIN_ACCEPTED)
    reasons = () if grade == "A" else (f"the interval is ± {half:.1f} %",)
    assert graded(one, Interval(100.0, 100.0 - half, 100.0 + half)) == (grade, reasons)


@pytest.mark.parametrize(("share", "counts"), [(0.94, True), (0.92, False), (0.85, False)])
def test_threads_count_above_93_percent_of_the_best_share(share: float, counts: bool) -> None:
    best, other = judged([sample(1.0, 2.0), sample(1.0, 2.0 * share)], threads=2)
    assert (best.rejected, other.rejected is None) == (None, counts)


@pytest.mark.parametrize(
    ("accepted", "count", "grade"), [(80, 100, "A"), (79, 100, "B"), (51, 100, "B"), (50, 100, "C"), (20, 100, "C")]
)
def test_grades_by_the_share_that_was_preempted(accepted: int, count: int, grade: str) -> None:
    one = measurement([sample(1.0)] * accepted + [sample(2.0, 1.0)] * (count - accepted))
    assert graded(one, Interval(1.0, 1.0, 1.0))[0] == grade


def test_the_interval_of_a_run_in_one_process_is_that_of_its_values() -> None:
    values = [1.0, 1.1, 1.3, 1.2, 1.05, 1.02]
    one = measurement([sample(1 / value) for value in values], work=1.0)
    found, expected = interval(one), median_interval(values)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert spread(one) == median_interval(values).half_width
    assert spread(one, min_samples=6) < float("inf") == spread(one, min_samples=7)
    assert spread(measurement([sample(1.0)]), min_samples=1) == float("inf")


def test_ratios_and_the_best_of_rates_and_times() -> None:
    samples = [sample(wall) for wall in (1.0, 2.0, 4.0)]
    rate = summarize(measurement(samples, work=8.0), peak=16.0, measured_peak=10.0)
    assert (rate.value, rate.best, rate.ratio_to_peak, rate.ratio_to_measured_peak) == (4.0, 8.0, 0.25, 0.4)
    assert (rate.samples, rate.rejected) == (3, 0)
    time = summarize(measurement(samples, unit="s", work=1.0))
    assert (time.value, time.best, time.ratio_to_peak, time.ratio_to_measured_peak) == (2.0, 1.0, None, None)


def test_values_per_cycle_by_hand() -> None:
    samples = [Sample(wall_s=1.0, repetitions=2, cpu_s=1.0, cycles=cycles) for cycles in (4.0, 8.0, 16.0)]
    rate = per_cycle(measurement(samples, work=16.0), flops_per_cycle=8.0)
    assert rate is not None
    assert (rate.unit, rate.value, rate.best, rate.ratio_to_measured_peak) == ("FLOP/cycle", 4.0, 8.0, 0.5)
    time = per_cycle(measurement(samples, unit="s", work=2.0), flops_per_cycle=8.0)
    assert time is not None
    assert (time.unit, time.value, time.best, time.ratio_to_measured_peak) == ("cycle", 2.0, 1.0, None)
    assert per_cycle(measurement([*samples, sample(1.0)])) is None
    assert per_cycle(measurement(samples, unit="B/s")) is None
