"""Two saved runs compared: conditions that differ, kernels that are comparable, and a verdict for each of these.

A verdict needs two things: the medians differ at the level (Student's t over processes, Holm-corrected over all
metrics), and by more than the margin. So two runs of one machine are called different no more often than the level
allows, and a real but negligible difference is not reported. Runs that were not measured in turns, or by one process
each, must differ by more than a drift of the machine or the spread between processes could make.
"""

from collections.abc import Iterator, Sequence
from math import exp, log
from statistics import fmean, median
from typing import ClassVar, Literal

from msgspec import Struct
from msgspec.structs import replace

from hwbench.answers import Answer
from hwbench.errors import InputError
from hwbench.measure.environment.snapshot import DISTURBANCES
from hwbench.measure.record import Measurement, Record, Sample, Where, size_text
from hwbench.notices import Notice, notice
from hwbench.stats.comparison import ASSUMED_SPREAD, Ratio, holm, ratio_of_medians
from hwbench.stats.intervals import LEVEL
from hwbench.study.compare.conditions import Difference, differences

MARGIN = 0.03
DRIFT = 0.1
"""Share by which a machine may drift between two runs, or a process differ from others, where neither was measured."""
Verdict = Literal["faster", "slower", "equivalent", "inconclusive"]
_SPEEDS = ("FLOP/s", "op/s", "B/s", "s")
"""Units of a kernel's speed; FLOP/cycle repeats another measurement, Hz is the clock, B a size."""
_ALIKE = ("dtype", "isa", "threads", "size", "unit", "where", "core_class")
"""Attributes in which two measurements of a kernel must agree."""
Pair = tuple[Measurement, Measurement]
"""One kernel in both runs."""


class Metric(Struct, frozen=True):
    """One kernel in both runs: medians in `unit`, and `ratio`, how many times as fast `b` is, with its interval.

    `p_equal` and `p_apart` are Holm-corrected over all metrics of the comparison (see `Ratio`). `spread_assumed`: a run
    has one process, so that its spread from process to process is assumed. `allowance` is the share that a difference
    has to exceed for a verdict because a drift, or the spread, could make it.
    """

    kernel: str
    variant: str
    dtype: str | None
    isa: str | None
    threads: int
    size: str | None
    where: Where
    core_class: str | None
    unit: str
    a: float
    b: float
    ratio: float
    interval: tuple[float, float]
    p_equal: float
    p_apart: float
    verdict: Verdict
    processes: int
    samples: tuple[int, int]
    spread_assumed: bool
    allowance: float = 0.0


class Blocked(Struct, frozen=True):
    """A kernel that is not compared, and why."""

    kernel: str
    variant: str
    reason: str


class Overall(Struct, frozen=True):
    """The geometric mean of the ratios over `kernels` identical kernels.

    Its interval is over processes; that of single processes has the kernels' own uncertainty and an assumed spread.
    """

    ratio: float
    interval: tuple[float, float]
    kernels: int
    processes: int
    spread_assumed: bool


class RunComparison(Answer, Struct, frozen=True):
    """Run `b` compared with run `a`, the baseline; `in_turns` tells whether their processes were run in turns.

    `names` are the settings in which they differ, else names or ids.
    """

    SCHEMA: ClassVar[str] = "compare-runs/2"
    MAIN: ClassVar[tuple[str, ...]] = ("a", "b", "margin", "level", "geometric_mean.ratio")
    ROWS: ClassVar[str] = "metrics"

    a: str
    b: str
    margin: float
    level: float
    differences: tuple[Difference, ...]
    metrics: tuple[Metric, ...]
    blocked: tuple[Blocked, ...]
    geometric_mean: Overall | None
    notices: tuple[Notice, ...]
    in_turns: bool = False
    names: tuple[str, str] = ("", "")


def compare_runs(a: Record, b: Record, margin: float = MARGIN, level: float = LEVEL) -> RunComparison:
    """Compare run `b` with run `a`. Raises InputError where they share no comparable kernel."""
    pairs, blocked = _pairs(a, b)
    if not pairs:
        reasons = "; ".join(f"{kernel.kernel} {kernel.variant}: {kernel.reason}" for kernel in blocked[:3])
        message = f"Runs {a.id} and {b.id} have no kernel that can be compared ({reasons or 'they are empty'})."
        raise InputError("nothing-comparable", message)
    method = _Method(margin, level, in_turns(a, b), bool(_disturbances(a, b)))
    ratios = [method.ratio([pair]) for pair in pairs]
    equal, apart = holm([ratio.p_equal for ratio in ratios]), holm([ratio.p_apart for ratio in ratios])
    metrics = tuple(
        _metric(pair, replace(ratio, p_equal=p_equal, p_apart=p_apart), method)
        for pair, ratio, p_equal, p_apart in zip(pairs, ratios, equal, apart, strict=True)
    )
    differing = differences(a, b)
    return RunComparison(
        a=a.id,
        b=b.id,
        margin=margin,
        level=level,
        differences=differing,
        metrics=metrics,
        blocked=tuple(blocked),
        geometric_mean=_overall(pairs, method),
        notices=tuple(_notices(a, b, differing, metrics, pairs)),
        in_turns=method.in_turns,
        names=_names(a, b),
    )


def _names(a: Record, b: Record) -> tuple[str, str]:
    """Return what people call two runs: the settings in which they differ, or their names or ids."""
    first, second = (run.environment.get("setting") for run in (a, b))
    return (str(first), str(second)) if first and second and first != second else (a.name or a.id, b.name or b.id)


def in_turns(a: Record, b: Record) -> bool:
    """Return whether the processes of two runs took turns, so that a drift of the machine fell on both alike."""
    return a.turns is not None and a.turns == b.turns


def _disturbances(*runs: Record) -> list[str]:
    return [f"{run.name or run.id}: {each}" for run in runs for each in run.notices if each.code in DISTURBANCES]


def _pairs(a: Record, b: Record) -> tuple[list[Pair], list[Blocked]]:
    """Return measurements of the same thing in both runs, and those without a partner, with the reason.

    Runs in turns that have no number of threads in common were made to compare these, by wall time.
    """
    threads = [{measurement.threads for measurement in run.measurements} for run in (a, b)]
    if in_turns(a, b) and len(threads[0]) == len(threads[1]) == 1 and threads[0] != threads[1]:
        count = threads[0].pop()
        a, b = (
            replace(run, measurements=tuple(replace(m, threads=count, timer="wall") for m in run.measurements))
            for run in (a, b)
        )
    in_b = {measurement.key: measurement for measurement in b.measurements}
    pairs, blocked = [], []
    for measurement in a.measurements:
        partner = in_b.get(measurement.key)
        reason = _no_partner(measurement, b) if partner is None else _incomparable(measurement, partner)
        if partner is None or reason:
            blocked.append(Blocked(measurement.kernel, measurement.variant, reason or ""))
        else:
            pairs.append((measurement, partner))
    in_a = {(measurement.kernel, measurement.variant) for measurement in a.measurements}
    blocked += [
        Blocked(measurement.kernel, measurement.variant, "not in run a")
        for measurement in b.measurements
        if (measurement.kernel, measurement.variant) not in in_a  # others are blocked as measurements of a
    ]
    return pairs, blocked


def _no_partner(measurement: Measurement, other: Record) -> str:
    """Return why run `b` has nothing to compare a measurement with."""
    kernel = (measurement.kernel, measurement.variant)
    variants = [candidate for candidate in other.measurements if (candidate.kernel, candidate.variant) == kernel]
    if not variants:
        return "not in run b"

    def unlike(candidate: Measurement) -> list[str]:
        return [name for name in _ALIKE if getattr(measurement, name) != getattr(candidate, name)]

    nearest = min(variants, key=lambda candidate: len(unlike(candidate)))
    parts = (
        f"{name.replace('_', ' ')} {_value(measurement, name)} against {_value(nearest, name)}"
        for name in unlike(nearest)
    )
    return f"differ in {', '.join(parts)}"


def _value(measurement: Measurement, name: str) -> str:
    value = getattr(measurement, name)
    return "none" if value is None else size_text(value) if name == "size" else str(value)


def _incomparable(a: Measurement, b: Measurement) -> str | None:
    """Return why two measurements of one kernel cannot be compared; None where they can."""
    if a.checked is False or b.checked is False:
        return "its answer was wrong"
    if a.timer != b.timer:
        return f"differ in convention: {a.timer} time against {b.timer} time"
    if a.unit == "FLOP/s" and a.size and abs(a.work / b.work - 1) > 1e-6:
        return f"differ in convention: {a.work:.6g} FLOP against {b.work:.6g} FLOP for the same size"
    if not (_processes(a) and _processes(b)):
        return "a run has no accepted sample of it"
    return None


def _processes(measurement: Measurement) -> dict[int, list[float]]:
    """Return the positive values of accepted samples by process; each process keeps some of its samples."""
    samples: dict[int, list[Sample]] = {}
    for sample in measurement.samples:
        samples.setdefault(sample.process, []).append(sample)
    values = {}
    for process, own in sorted(samples.items()):
        accepted = replace(measurement, samples=tuple(own)).accepted
        positive = [value for value in map(measurement.value, accepted) if value > 0]
        if positive:
            values[process] = positive
    return values


class _Method(Struct, frozen=True):
    """How the kernels of two runs are compared."""

    margin: float
    level: float
    in_turns: bool
    disturbed: bool = False

    def ratio(self, pairs: Sequence[Pair]) -> Ratio:
        """Return how many times as fast run `b` is at a kernel, or in the geometric mean of several."""
        a, b = ([_speeds(pair[side]) for pair in pairs] for side in (0, 1))
        same = set(a[0]) == set(b[0])
        first, second = ([[*kernel.values()] for kernel in side] for side in (a, b))
        allowance = self.allowance(min(len(a[0]), len(b[0])))
        return ratio_of_medians(
            first, second, self.margin, self.level, allowance=allowance, paired=self.in_turns and same
        )

    def allowance(self, processes: int) -> float:
        """Return the share by which runs may differ that are the same."""
        return 0.0 if self.in_turns and processes > 1 else DRIFT

    def verdict(self, ratio: Ratio) -> Verdict:
        """Return equivalent if a difference of the margin is ruled out, different if significant and beyond it.

        Of runs that other work disturbed, not both alike in turns, none is called different.
        """
        if ratio.p_apart < 1 - self.level:
            return "equivalent"
        if self.disturbed and not self.in_turns:
            return "inconclusive"
        if ratio.p_equal < 1 - self.level and ratio.value > 1 + self.margin:
            return "faster"
        if ratio.p_equal < 1 - self.level and ratio.value < 1 / (1 + self.margin):
            return "slower"
        return "inconclusive"


def _speeds(measurement: Measurement) -> dict[int, list[float]]:
    """Return the samples by process, times as speeds."""
    values = _processes(measurement)
    if measurement.unit != "s":
        return values
    return {process: [1 / value for value in own] for process, own in values.items()}


def _metric(pair: Pair, ratio: Ratio, method: _Method) -> Metric:
    """Return a row of the comparison; the p-values of its ratio are corrected."""
    a = pair[0]
    values = [_processes(measurement) for measurement in pair]
    medians = [exp(fmean(log(median(own)) for own in each.values())) for each in values]
    return Metric(
        kernel=a.kernel,
        variant=a.variant,
        dtype=a.dtype,
        isa=a.isa,
        threads=a.threads,
        size=a.size,
        where=a.where,
        core_class=a.core_class,
        unit=a.unit,
        a=medians[0],
        b=medians[1],
        ratio=ratio.value,
        interval=(ratio.low, ratio.high),
        p_equal=ratio.p_equal,
        p_apart=ratio.p_apart,
        verdict=method.verdict(ratio),
        processes=ratio.processes,
        samples=(sum(map(len, values[0].values())), sum(map(len, values[1].values()))),
        spread_assumed=ratio.assumed,
        allowance=method.allowance(ratio.processes),
    )


def _overall(pairs: Sequence[Pair], method: _Method) -> Overall | None:
    """Return the geometric mean of the speeds' ratios, over kernels that every process measured.

    So all processes are means of the same kernels, and what slows a process slows all of its kernels.
    """
    speeds = [pair for pair in pairs if pair[0].unit in _SPEEDS]
    known = [tuple(set(_processes(measurement)) for measurement in pair) for pair in speeds]
    every = [set().union(*(sides[side] for sides in known)) for side in (0, 1)]
    whole = [pair for pair, sides in zip(speeds, known, strict=True) if [*sides] == every]
    if len(whole) < 2:
        return None
    ratio = method.ratio(whole)
    return Overall(ratio.value, (ratio.low, ratio.high), len(whole), ratio.processes, ratio.assumed)


def _notices(
    a: Record, b: Record, differences: Sequence[Difference], metrics: Sequence[Metric], pairs: Sequence[Pair]
) -> Iterator[Notice]:
    """Yield what a reader must know before believing a verdict."""
    same = a.measurements == b.measurements
    if same:
        yield notice("same-run", same_id=a.id == b.id)
    for difference in differences:
        if difference.warning:
            yield notice(
                "condition-differs", what=difference.warning, field=difference.field, a=difference.a, b=difference.b
            )
    if not same and any(metric.spread_assumed for metric in metrics):
        yield notice("spread-assumed", spread=ASSUMED_SPREAD)
    if not same and not in_turns(a, b):
        machines, disturbed = {run.environment.get("machine") for run in (a, b)}, _disturbances(a, b)
        yield notice("not-in-turns", allowance=DRIFT, two_machines=len(machines) > 1, disturbed=disturbed)
    parts = {f"{m.kernel} {m.variant}" for pair in pairs for m in pair if m.stopped == "interrupted"}
    if parts:
        yield notice("measured-in-part", kernels=sorted(parts))
