"""Saved runs compared: blocked kernels, notices, and, by seeded simulation, how often a verdict is wrong."""

from typing import Any

import msgspec
import numpy as np
import pytest

from hwbench.errors import InputError
from hwbench.measure.record import Measurement, Record, Sample
from hwbench.notices import notice
from hwbench.stats.comparison import ASSUMED_SPREAD, holm
from hwbench.study.compare.runs import DRIFT, compare_runs
from hwbench.study.compare.simulation import PROCESSES, RATE, SAMPLES, WORK, Noise, compare_simulated, record


def _samples(values: Any, unit: str = "FLOP/s") -> tuple[Sample, ...]:
    """Samples of values[process][sample] in the unit, for a measurement of WORK."""
    return tuple(
        Sample(wall_s=wall, repetitions=1, cpu_s=wall, process=process)
        for process, own in enumerate(values)
        for value in own
        for wall in ((value * WORK if unit == "s" else WORK / value),)
    )


def _measurement(values: Any, unit: Any = "FLOP/s", **changed: Any) -> Measurement:
    fields: dict[str, Any] = {
        "kernel": "matmul",
        "variant": "numba",
        "dtype": "fp32",
        "size": "512x512x512",
        "timer": "cpu",
    }
    return Measurement(unit=unit, work=WORK, samples=_samples(values, unit), **{**fields, **changed})


def _run(name: str, *measurements: Measurement, **environment: Any) -> Record:
    created, command = "2026-11-24T08:00:00Z", ("bench",)
    return Record(name, created, "0.2.0", command, environment, {}, {}, measurements, (), PROCESSES, turns="the same")


def _apart(run: Record) -> Record:
    """A run that took no turns with another."""
    return msgspec.structs.replace(run, turns=None)


def _at_most(share: float, trials: int) -> float:
    """Three standard deviations above a share: what a sound procedure hardly ever exceeds."""
    return share + 3 * (share * (1 - share) / trials) ** 0.5


def test_a_against_a_differs_no_more_often_than_the_level_says() -> None:
    trials = 400
    found = [compare_simulated(seed, 1.0).metrics[0] for seed in range(trials)]
    differing = sum(metric.p_equal < 0.05 for metric in found) / trials
    assert 0.005 < differing <= _at_most(0.05, trials)
    assert sum(metric.verdict in ("faster", "slower") for metric in found) <= differing * trials


@pytest.mark.slow
def test_any_false_verdict_among_many_kernels_is_as_rare() -> None:
    trials, kernels = 100, 8
    found = [compare_simulated(seed, 1.0, kernels) for seed in range(trials)]
    wrong = sum(any(metric.p_equal < 0.05 for metric in one.metrics) for one in found) / trials
    assert wrong <= _at_most(0.05, trials)
    covered = sum(one.geometric_mean.interval[0] <= 1 <= one.geometric_mean.interval[1] for one in found)  # type: ignore[union-attr]
    assert covered / trials >= 0.95 - 3 * (0.95 * 0.05 / trials) ** 0.5


@pytest.mark.parametrize(("scale", "verdict"), [(1.05, "faster"), (1 / 1.05, "slower")])
def test_a_true_difference_of_five_percent_is_found(scale: float, verdict: str) -> None:
    trials = 200
    found = [compare_simulated(1000 + seed, scale).metrics[0] for seed in range(trials)]
    assert sum(metric.verdict == verdict for metric in found) / trials >= 0.9
    assert not any(metric.verdict in {"faster", "slower"} - {verdict} for metric in found)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    trials, truth = 400, 1.2
    held = 0
    for seed in range(trials):
        metric = compare_simulated(5000 + seed, truth).metrics[0]
        held += metric.interval[0] <= truth <= metric.interval[1]
    assert held / trials >= 0.95 - 3 * (0.95 * 0.05 / trials) ** 0.5


def test_a_difference_of_the_margin_is_not_called_equivalent() -> None:
    trials = 200
    found = [compare_simulated(9000 + seed, 1.03).metrics[0].verdict for seed in range(trials)]
    assert found.count("equivalent") / trials <= _at_most(0.05, trials)


def test_verdicts_of_quiet_runs() -> None:
    random = np.random.default_rng(0)
    quiet = [1e11 * np.exp(random.normal(0, 1e-4, (5, 9))) for _ in range(2)]
    verdicts = {}
    for scale in (1.0, 1.02, 1.1, 0.9):
        one = compare_runs(_run("a", _measurement(quiet[0])), _run("b", _measurement(quiet[1] * scale)))
        verdicts[scale] = one.metrics[0].verdict
    assert verdicts == {1.0: "equivalent", 1.02: "equivalent", 1.1: "faster", 0.9: "slower"}
    narrow = compare_runs(_run("a", _measurement(quiet[0])), _run("b", _measurement(quiet[1] * 1.02)), margin=0.01)
    assert narrow.metrics[0].verdict == "faster"


@pytest.mark.parametrize("turns", [True, False])
def test_runs_that_other_work_disturbed_get_a_verdict_only_in_turns(turns: bool) -> None:
    fast, slow = (_run(name, _measurement([[rate] * 9] * 5)) for name, rate in (("a", 2e11), ("b", 1e11)))
    busy = msgspec.structs.replace(slow, notices=(notice("other-work", share=0.8),))
    if not turns:
        fast, busy = _apart(fast), _apart(busy)
    found = compare_runs(fast, busy)
    assert found.metrics[0].verdict == ("slower" if turns else "inconclusive")
    assert compare_runs(_apart(fast), _apart(slow)).metrics[0].verdict == "slower"
    assert [any(each.data.get("disturbed") for each in found.notices)] == [not turns]


def test_the_ratio_is_that_of_the_processes_medians_and_a_time_counts_the_other_way_round() -> None:
    a, b = [[1.0, 2.0, 30.0], [3.0, 4.0, 5.0]], [[2.0, 6.0, 7.0], [8.0, 8.0, 80.0]]
    rate = compare_runs(_run("a", _measurement(a)), _run("b", _measurement(b))).metrics[0]
    assert (rate.a, rate.b) == (pytest.approx(8**0.5), pytest.approx(48**0.5))
    assert rate.ratio == pytest.approx(6**0.5)
    times = [_measurement(values, "s", kernel="latency", size=None) for values in (a, b)]
    slow = compare_runs(_run("a", times[0]), _run("b", times[1])).metrics[0]
    assert slow.ratio == pytest.approx(1 / rate.ratio)


def test_rejected_samples_do_not_count() -> None:
    good, bad = [[1e11] * 9] * 5, [[1e9] * 9] * 5
    clean = _measurement(good)
    spoilt = tuple(Sample(s.wall_s, 1, s.cpu_s, s.process, "preempted") for s in _samples(bad))
    mixed = Measurement(
        **{f: getattr(clean, f) for f in clean.__struct_fields__ if f != "samples"}, samples=clean.samples + spoilt
    )
    found = compare_runs(_run("a", clean), _run("b", mixed)).metrics[0]
    assert found.ratio == 1
    assert found.samples == (45, 45)


FLAT = [[1e11, 1.01e11]] * 5


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"dtype": "fp64"}, "differ in dtype fp32 against fp64"),
        ({"isa": "avx2"}, "differ in isa none against avx2"),
        ({"threads": 2}, "differ in threads 1 against 2"),
        ({"size": "1024x1024x1024"}, "differ in size 512³ against 1024³"),
        ({"unit": "FLOP/cycle"}, "differ in unit FLOP/s against FLOP/cycle"),
        ({"timer": "wall"}, "differ in convention: cpu time against wall time"),
        ({"work": 2 * WORK}, "differ in convention: 1e+09 FLOP against 2e+09 FLOP for the same size"),
        ({"checked": False}, "its answer was wrong"),
        ({"variant": "numpy"}, "not in run b"),
        ({"samples": ()}, "a run has no accepted sample of it"),
    ],
)
def test_blocked(changed: dict[str, Any], reason: str) -> None:
    one = _measurement(FLAT)
    other = Measurement(**{**{field: getattr(one, field) for field in one.__struct_fields__}, **changed})
    shared = _measurement(FLAT, variant="shared")
    found = compare_runs(_run("a", one, shared), _run("b", other, shared))
    assert [metric.variant for metric in found.metrics] == ["shared"]
    assert reason in [blocked.reason for blocked in found.blocked]
    with pytest.raises(InputError) as caught:
        compare_runs(_run("a", one), _apart(_run("b", other)))
    assert caught.value.code == "nothing-comparable"


def test_nothing_in_common() -> None:
    with pytest.raises(InputError) as caught:
        compare_runs(_run("a"), _run("b"))
    assert caught.value.code == "nothing-comparable"


def test_conditions_that_differ_come_with_a_warning_where_they_matter() -> None:
    one = _measurement(FLAT)
    first = _run(
        "a", one, versions={"blas": "OpenBLAS", "python": "3.11"}, governor="performance", flags=["avx", "sse"]
    )
    second = _run("b", one, versions={"blas": "MKL", "python": "3.12"}, hypervisor="KVM", flags=["avx", "avx2"])
    found = compare_runs(first, second)
    assert {d.field: (d.a, d.b) for d in found.differences} == {
        "versions.blas": ("OpenBLAS", "MKL"),
        "governor": ("performance", None),
        "hypervisor": (None, "KVM"),
        "versions.python": ("3.11", "3.12"),
        "flags": (["sse"], ["avx2"]),
    }
    assert [bool(d.warning) for d in found.differences] == [True, True, True, False, False]
    assert [(notice.code, notice.data.get("what")) for notice in found.notices] == [
        ("same-run", None),
        ("condition-differs", "another BLAS"),
        ("condition-differs", "another frequency governor"),
        ("condition-differs", "another virtualization"),
    ]
    assert compare_runs(first, first).differences == ()


def test_the_geometric_mean_is_over_identical_kernels_alone() -> None:
    values = np.full((5, 9), 1e11)
    first = [_measurement(values, variant="x"), _measurement(values, variant="y"), _measurement(values, variant="only")]
    second = [
        _measurement(2 * values, variant="x"),
        _measurement(8 * values, variant="y"),
        _measurement(values, variant="y", unit="FLOP/cycle"),
    ]
    found = compare_runs(_run("a", *first), _run("b", *second)).geometric_mean
    assert found
    assert found.kernels == 2
    assert found.ratio == pytest.approx(4)
    assert compare_runs(_run("a", first[0]), _run("b", second[0])).geometric_mean is None


def test_one_process_says_that_its_spread_is_assumed() -> None:
    values = 1e11 * np.exp(np.random.default_rng(1).normal(0, 1e-4, (1, 20)))
    found = compare_runs(_run("a", _measurement(values)), _run("b", _measurement(values * 1.1)))
    metric = found.metrics[0]
    assert (metric.spread_assumed, metric.processes, metric.allowance) == (True, 1, DRIFT)
    assert metric.verdict == "inconclusive"  # two processes of one machine may differ by 10 %
    assert [notice.code for notice in found.notices] == ["spread-assumed"]
    twice = compare_runs(_run("a", _measurement(values)), _run("b", _measurement(values * 2)))
    assert twice.metrics[0].verdict == "faster"


@pytest.mark.parametrize(("processes", "allowance"), [(1, DRIFT), (2, 0.0), (3, 0.0)])
def test_processes_in_turns_need_no_allowance(processes: int, allowance: float) -> None:
    values = [[100.0, 101.0, 102.0]] * processes
    found = compare_runs(_run("a", _measurement(values)), _run("b", _measurement(np.array(values) * 1.2)))
    assert found.metrics[0].allowance == allowance


def test_runs_one_after_the_other_differ_by_more_than_a_drift_could_make() -> None:
    a, b, c = (_run(str(n), _measurement(_processes_around(100.0 * s, 0.001))) for n, s in enumerate((1, 1.09, 1.2)))
    assert [compare_runs(a, other).metrics[0].verdict for other in (b, c)] == ["faster", "faster"]
    found = [compare_runs(a, _apart(other)) for other in (b, c)]
    assert [one.metrics[0].verdict for one in found] == ["inconclusive", "faster"]
    assert {one.in_turns for one in found} == {False}
    assert {notice.code for one in found for notice in one.notices} == {"not-in-turns"}
    assert {notice.data["two_machines"] for one in found for notice in one.notices} == {False}
    there = _apart(_run("d", _measurement(_processes_around(120.0, 0.001)), machine="another"))
    notices = [notice for notice in compare_runs(a, there).notices if notice.code == "not-in-turns"]
    assert [notice.data["two_machines"] for notice in notices] == [True]
    assert not compare_runs(_apart(a), _apart(b)).in_turns


def test_a_run_against_itself_is_said() -> None:
    one = _run("a", _measurement([[100.0], [101.0]]))
    for other, itself in ((_apart(one), True), (msgspec.structs.replace(one, id="b"), False)):
        found = compare_runs(one, other)
        assert [(n.code, n.data) for n in found.notices] == [("same-run", {"same_id": itself})]
        assert found.metrics[0].ratio == 1


def test_interrupted_runs_are_named() -> None:
    one = _measurement(FLAT, stopped="interrupted")
    notices = compare_runs(_run("a", one), _run("b", one)).notices
    assert [notice.code for notice in notices] == ["same-run", "measured-in-part"]
    assert notices[1].data == {"kernels": ["matmul numba"]}


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def _processes_around(value: float, apart: float) -> list[list[float]]:
    return [[value * (1 + step * apart)] for step in (-2, -1, 0, 1, 2)]


@pytest.mark.parametrize(("scale", "verdict"), [(0.98, "inconclusive"), (1.02, "inconclusive"), (0.95, "slower")])
def test_a_significant_difference_within_the_margin_is_no_verdict(scale: float, verdict: str) -> None:
    values = _processes_around(100.0, 0.0045), _processes_around(100.0 * scale, 0.0045)[::-1]
    (metric,) = compare_runs(*(_run(str(n), _measurement(each)) for n, each in enumerate(values))).metrics
    assert metric.ratio == pytest.approx(scale)
    assert metric.p_equal < 0.05 < metric.p_apart
    assert metric.verdict == verdict


def test_work_of_one_size_agrees_to_a_millionth() -> None:
    one = _measurement([[100.0], [101.0]])
    for factor, comparable in ((1 + 1e-3, False), (1 - 1e-3, False), (1 + 1e-7, True)):
        other = _run("b", msgspec.structs.replace(one, work=WORK * factor), _measurement([[1.0]], kernel="fma"))
        found = compare_runs(_run("a", one, _measurement([[1.0]], kernel="fma")), other)
        assert ("matmul" in {metric.kernel for metric in found.metrics}) == comparable


def test_a_mean_over_times_and_rates_is_of_speeds() -> None:
    """Half the time is twice the speed; together with 8 times the rate the geometric mean is 4."""
    a = _run("a", _measurement([[2.0], [2.0]], "s"), _measurement([[3.0], [3.0]], kernel="fma"))
    b = _run("b", _measurement([[1.0], [1.0]], "s"), _measurement([[24.0], [24.0]], kernel="fma"))
    overall = compare_runs(a, b).geometric_mean
    assert overall is not None
    assert (overall.ratio, overall.kernels, overall.processes) == (pytest.approx(4), 2, 2)


def rate(happened: list[bool]) -> float:
    return sum(happened) / len(happened)


@pytest.mark.parametrize(
    ("processes", "noise", "drift"),
    [
        (1, Noise(0.04), 0.0),
        (5, Noise(0.01), 0.05),
        (5, Noise(0.01), 0.08),
        (5, Noise(0.04), 0.0),
        (2, Noise(0.04), 0.0),
    ],
)
def test_neither_a_drift_nor_single_processes_give_verdicts(processes: int, noise: Noise, drift: float) -> None:
    """A/A pairs, one run after the other: a drift of 8 %, or 4 % between processes of which one is measured."""
    found = [compare_simulated(n, 1 + drift, 1, noise, turns=None, processes=processes) for n in range(300)]
    assert rate([one.metrics[0].verdict in ("faster", "slower") for one in found]) <= 0.05


@pytest.mark.sample(1)
@pytest.mark.parametrize("processes", [1, 2, 5])
def test_the_overall_interval_carries_the_kernels_own_uncertainty(processes: int) -> None:
    """Ten kernels, two of them so noisy that the mean of ten is unsure by several percent."""
    trials, noises = 400, [0.02] * 8 + [0.5, 1.5]
    held, widths = [], []
    for seed in range(trials):
        random = np.random.default_rng(seed)
        sides = []
        for _ in range(2):
            level = random.normal(0, ASSUMED_SPREAD, (processes, 1))
            kernels = [RATE * np.exp(level - random.exponential(own, (processes, SAMPLES))) for own in noises]
            sides.append(record("a", kernels, "turns"))
        overall = compare_runs(*sides).geometric_mean
        assert overall is not None
        held.append(overall.interval[0] <= 1 <= overall.interval[1])
        widths.append(np.log(overall.interval[1] / overall.interval[0]))
    assert rate(held) >= 0.95 - 3 * (0.95 * 0.05 / trials) ** 0.5
    assert np.mean(widths) > 2 * 1.96 * ASSUMED_SPREAD * (2 / processes) ** 0.5  # of the processes alone


def test_runs_in_turns_on_other_numbers_of_threads_compare_these() -> None:
    one, two = (
        _run(str(n), _measurement([[v], [v]], threads=n, timer=t)) for n, v, t in ((1, 1.0, "cpu"), (2, 1.9, "wall"))
    )
    found = compare_runs(one, two)
    assert [metric.ratio for metric in found.metrics] == [pytest.approx(1.9)]
    with pytest.raises(InputError):
        compare_runs(one, _apart(two))


def test_runs_are_called_by_the_settings_in_which_they_differ() -> None:
    one, two = (_run(name, _measurement([[1.0]]), setting=text) for name, text in (("a", "here"), ("b", "A=1")))
    assert compare_runs(one, two).names == ("here", "A=1")
    assert compare_runs(one, msgspec.structs.replace(one, id="c")).names == ("a", "c")
