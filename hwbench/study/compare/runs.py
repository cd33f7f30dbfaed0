"""Two saved runs compared: conditions that differ, kernels that are comparable, and a verdict for each of these.

A verdict needs two things: the medians differ at the level (Welch's t over resampled processes, Holm-corrected over
all metrics), and by more than the margin. So two runs of one machine are called different no more often than the level
allows, and a real but negligible difference is not reported.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
from msgspec import Struct

from hwbench.answers import Answer
from hwbench.errors import InputError
from hwbench.measure.record import Measurement, Record, Sample, Where
from hwbench.notices import Notice, notice
from hwbench.stats.comparison import ASSUMED_SPREAD, Ratio, holm, ratio_of_medians
from hwbench.stats.intervals import LEVEL

MARGIN = 0.03
Verdict = Literal["faster", "slower", "equivalent", "inconclusive"]
_SPEEDS = ("FLOP/s", "op/s", "B/s", "s")
"""Units of a kernel's speed; FLOP/cycle repeats another measurement, Hz is the clock, B a size."""
_ALIKE = ("dtype", "isa", "threads", "size", "unit", "where", "core_class")
"""Attributes in which two measurements of a kernel must agree."""
_CONDITIONS = {
    "versions.blas": "another BLAS",
    "variables.OPENBLAS_": "another BLAS",
    "governor": "another frequency governor",
    "turbo": "another turbo setting",
    "hypervisor": "another virtualization",
    "hwbench_version": "kernels of another version of hwbench",
}
"""Conditions that change results without being the machine's own speed, by the beginning of their path."""


class Difference(Struct, frozen=True):
    """A condition in which two runs differ, by its path; `warning` names one that makes the comparison doubtful."""

    field: str
    a: Any
    b: Any
    warning: str | None = None


class Metric(Struct, frozen=True):
    """One kernel in both runs: medians in `unit`, and `ratio`, how many times as fast `b` is, with its interval.

    `p_equal` and `p_apart` are Holm-corrected over all metrics of the comparison (see `Ratio`). `spread_assumed`: a run
    has one process, so that its spread from process to process is assumed.
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


class Blocked(Struct, frozen=True):
    """A kernel that is not compared, and why."""

    kernel: str
    variant: str
    reason: str


class Overall(Struct, frozen=True):
    """The geometric mean of the ratios over `kernels` identical kernels, with its interval over processes."""

    ratio: float
    interval: tuple[float, float]
    kernels: int
    processes: int
    spread_assumed: bool


class RunComparison(Answer, Struct, frozen=True):
    """Run `b` compared with run `a`, the baseline."""

    SCHEMA: ClassVar[str] = "compare-runs"
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


def compare_runs(a: Record, b: Record, margin: float = MARGIN, level: float = LEVEL) -> RunComparison:
    """Compare run `b` with run `a`. Raises InputError where they share no comparable kernel."""
    pairs, blocked = _pairs(a, b)
    if not pairs:
        reasons = "; ".join(f"{kernel.kernel} {kernel.variant}: {kernel.reason}" for kernel in blocked[:3])
        message = f"Runs {a.id} and {b.id} have no kernel that can be compared ({reasons or 'they are empty'})."
        raise InputError("nothing-comparable", message)
    ratios = [_ratio(first, second, margin, level) for first, second in pairs]
    equal, apart = holm([ratio.p_equal for ratio in ratios]), holm([ratio.p_apart for ratio in ratios])
    metrics = tuple(
        _metric(pair, ratio, p_equal, p_apart, margin, level)
        for pair, ratio, p_equal, p_apart in zip(pairs, ratios, equal, apart, strict=True)
    )
    differences = _differences(a, b)
    return RunComparison(
        a=a.id,
        b=b.id,
        margin=margin,
        level=level,
        differences=differences,
        metrics=metrics,
        blocked=tuple(blocked),
        geometric_mean=_overall(pairs, margin, level),
        notices=_notices(differences, metrics, pairs),
    )


def _pairs(a: Record, b: Record) -> tuple[list[tuple[Measurement, Measurement]], list[Blocked]]:
    """Return measurements of the same thing in both runs, and those without a partner, with the reason."""
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
    return "none" if value is None else str(value)


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
        accepted = msgspec.structs.replace(measurement, samples=tuple(own)).accepted
        positive = [value for value in map(measurement.value, accepted) if value > 0]
        if positive:
            values[process] = positive
    return values


def _ratio(a: Measurement, b: Measurement, margin: float, level: float) -> Ratio:
    """Return how many times as fast `b` is: rates are divided, times the other way round."""
    first, second = (list(_processes(measurement).values()) for measurement in (a, b))
    if a.unit == "s":
        first, second = second, first
    return ratio_of_medians(first, second, margin, level)


def _metric(
    pair: tuple[Measurement, Measurement], ratio: Ratio, p_equal: float, p_apart: float, margin: float, level: float
) -> Metric:
    a = pair[0]
    values = [np.concatenate(list(_processes(measurement).values())) for measurement in pair]
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
        a=float(np.median(values[0])),
        b=float(np.median(values[1])),
        ratio=ratio.value,
        interval=(ratio.low, ratio.high),
        p_equal=p_equal,
        p_apart=p_apart,
        verdict=_verdict(ratio.value, p_equal, p_apart, margin, level),
        processes=ratio.processes,
        samples=(len(values[0]), len(values[1])),
        spread_assumed=ratio.assumed,
    )


def _verdict(ratio: float, p_equal: float, p_apart: float, margin: float, level: float) -> Verdict:
    """Return different if significant and beyond the margin, equivalent if a difference of the margin is ruled out."""
    if p_apart < 1 - level:
        return "equivalent"
    if p_equal < 1 - level and ratio > 1 + margin:
        return "faster"
    if p_equal < 1 - level and ratio < 1 / (1 + margin):
        return "slower"
    return "inconclusive"


def _overall(pairs: Sequence[tuple[Measurement, Measurement]], margin: float, level: float) -> Overall | None:
    """Return the geometric mean of the speeds' ratios; processes are resampled whole, as their kernels vary together.

    Only kernels that every process measured count, so that all processes are means of the same.
    """
    speeds = [tuple(_speeds(measurement) for measurement in pair) for pair in pairs if pair[0].unit in _SPEEDS]
    processes = [set().union(*(pair[side] for pair in speeds)) for side in (0, 1)]
    whole = [pair for pair in speeds if set(pair[0]) == processes[0] and set(pair[1]) == processes[1]]
    if len(whole) < 2:
        return None
    sides = [
        [[float(np.exp(np.mean([pair[side][process] for pair in whole])))] for process in sorted(processes[side])]
        for side in (0, 1)
    ]
    ratio = ratio_of_medians(sides[0], sides[1], margin, level)
    return Overall(ratio.value, (ratio.low, ratio.high), len(whole), ratio.processes, ratio.assumed)


def _speeds(measurement: Measurement) -> dict[int, float]:
    """Return the log of the median speed by process."""
    sign = -1.0 if measurement.unit == "s" else 1.0
    return {process: sign * float(np.log(np.median(values))) for process, values in _processes(measurement).items()}


def _differences(a: Record, b: Record) -> tuple[Difference, ...]:
    """Return the conditions in which two environments differ, those that make the comparison doubtful first."""
    first, second = _flat(a.conditions), _flat(b.conditions)
    differences = []
    for path in dict.fromkeys([*first, *second]):
        if first.get(path) != second.get(path):
            warning = next((text for begin, text in _CONDITIONS.items() if path.startswith(begin)), None)
            differences.append(Difference(path, *_without_common(first.get(path), second.get(path)), warning))
    return tuple(sorted(differences, key=lambda difference: difference.warning is None))


def _without_common(a: Any, b: Any) -> tuple[Any, Any]:
    """Return what only one of two lists has, such as flags of a CPU; other values unchanged."""
    if isinstance(a, list) and isinstance(b, list):
        return [item for item in a if item not in b], [item for item in b if item not in a]
    return a, b


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return a nested mapping by dotted paths; lists are values."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{above}.{name}" if above else str(name)
        flat.update(_flat(value, path) if isinstance(value, Mapping) else {path: value})
    return flat


def _notices(
    differences: Sequence[Difference],
    metrics: Sequence[Metric],
    pairs: Sequence[tuple[Measurement, Measurement]],
) -> tuple[Notice, ...]:
    """Return what a reader must know before believing a verdict."""
    notices = [
        notice("condition-differs", what=difference.warning, field=difference.field, a=difference.a, b=difference.b)
        for difference in differences
        if difference.warning
    ]
    if any(metric.spread_assumed for metric in metrics):
        notices.append(notice("spread-assumed", spread=ASSUMED_SPREAD))
    parts = {f"{m.kernel} {m.variant}" for pair in pairs for m in pair if m.stopped == "interrupted"}
    if parts:
        notices.append(notice("measured-in-part", kernels=sorted(parts)))
    return tuple(notices)
