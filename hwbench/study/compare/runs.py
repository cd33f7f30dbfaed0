"""Two saved runs compared: first what differs in their conditions, then what may be compared, then by how much.

A verdict needs two things: the medians differ at the level (Welch's t over resampled processes, Holm-corrected over
all metrics), and by more than the margin. So two runs of one machine are called different no more often than the level
says, and no real but negligible difference is called one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import Struct

from hwbench.errors import InputError
from hwbench.measure.record import Measurement, Record, Sample, Where
from hwbench.stats.comparison import LEVEL, Ratio, holm, ratio_of_medians

MARGIN = 0.03
Verdict = Literal["faster", "slower", "equivalent", "inconclusive"]
_SPEEDS = ("FLOP/s", "op/s", "B/s", "s")
"""Units of a kernel's speed; FLOP/cycle repeats one that is there, Hz is the clock, B a size."""
_WARNED = {
    "blas": "another BLAS",
    "governor": "another frequency governor",
    "turbo": "another turbo setting",
    "boost": "another turbo setting",
    "hypervisor": "another virtualization",
    "virtual": "another virtualization",
    "hwbench_version": "kernels of another version of hwbench",
}
"""Words in the path of a condition that changes results without being the machine's own speed, and what to say."""


class Difference(Struct, frozen=True):
    """A condition in which two runs differ, by its path; `warning` where it makes the comparison doubtful."""

    field: str
    a: Any
    b: Any
    warning: str | None = None


class Metric(Struct, frozen=True):
    """One kernel in both runs: medians in `unit`, and `ratio`, how many times as fast `b` is, with its interval.

    `p_equal` and `p_apart` are Holm-corrected over all metrics of the comparison (see stats.Ratio). `spread_assumed`
    tells that a run has one process, whose spread from process to process is not known but assumed.
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


class RunComparison(Struct, frozen=True):
    """Run `b` beside run `a`, the baseline."""

    a: str
    b: str
    margin: float
    level: float
    differences: tuple[Difference, ...]
    metrics: tuple[Metric, ...]
    blocked: tuple[Blocked, ...]
    geometric_mean: Overall | None
    warnings: tuple[str, ...]


def compare_runs(a: Record, b: Record, margin: float = MARGIN, level: float = LEVEL) -> RunComparison:
    """Run `b` against run `a`. Raises InputError where they share no comparable kernel."""
    pairs, blocked = _paired(a, b)
    if not pairs:
        reasons = "; ".join(f"{one.kernel} {one.variant}: {one.reason}" for one in blocked[:3])
        raise InputError(f"runs {a.id} and {b.id} have no kernel that can be compared ({reasons or 'nothing in them'})")
    ratios = [_ratio(first, second, margin, level) for first, second in pairs]
    equal, apart = holm([one.p_equal for one in ratios]), holm([one.p_apart for one in ratios])
    metrics = tuple(
        _metric(pair, one, p_equal, p_apart, margin, level)
        for pair, one, p_equal, p_apart in zip(pairs, ratios, equal, apart, strict=True)
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
        warnings=_warnings(differences, metrics, pairs),
    )


def _paired(a: Record, b: Record) -> tuple[list[tuple[Measurement, Measurement]], list[Blocked]]:
    """Measurements of the same thing in both runs, and those that have no partner, with the reason."""
    others = {one.key: one for one in b.measurements}
    pairs, blocked, used = [], [], set()
    for one in a.measurements:
        partner = others.get(one.key)
        reason = _no_partner(one, b.measurements, "b") if partner is None else _not_alike(one, partner)
        if partner is not None:
            used.add(one.key)
        if partner is None or reason:
            blocked.append(Blocked(one.kernel, one.variant, reason or ""))
        else:
            pairs.append((one, partner))
    for one in b.measurements:
        reason = None if one.key in used else _no_partner(one, a.measurements, "a")
        if reason and not reason.startswith("differ"):  # the pair that differs is named once
            blocked.append(Blocked(one.kernel, one.variant, reason))
    return pairs, blocked


def _no_partner(one: Measurement, others: Sequence[Measurement], where: str) -> str:
    """Why the other run has nothing to compare a measurement with."""
    alike = [other for other in others if (other.kernel, other.variant) == (one.kernel, one.variant)]
    if not alike:
        return f"not in run {where}"
    attributes = ("dtype", "isa", "threads", "size", "unit", "where", "core_class")

    def unlike(other: Measurement) -> list[str]:
        return [name for name in attributes if getattr(one, name) != getattr(other, name)]

    nearest = min(alike, key=lambda other: len(unlike(other)))
    parts = [f"{name.replace('_', ' ')} {_said(one, name)} against {_said(nearest, name)}" for name in unlike(nearest)]
    return f"differ in {', '.join(parts if where == 'b' else reversed(parts))}"


def _said(one: Measurement, name: str) -> str:
    value = getattr(one, name)
    return "none" if value is None else str(value)


def _not_alike(one: Measurement, other: Measurement) -> str | None:
    """Why two measurements of one kernel must not be compared; None where they may be."""
    if one.checked is False or other.checked is False:
        return "its answer was wrong"
    if one.timer != other.timer:
        return f"differ in convention: {one.timer} time against {other.timer} time"
    if one.unit == "FLOP/s" and one.size and abs(one.work / other.work - 1) > 1e-6:
        return f"differ in convention: {one.work:.6g} FLOP against {other.work:.6g} FLOP for the same size"
    if not (_processes(one) and _processes(other)):
        return "a run has no sample of it that counts"
    return None


def _processes(one: Measurement) -> dict[int, list[float]]:
    """Positive values of the samples that count, by process; each process is judged by itself, so that none is lost."""
    samples: dict[int, list[Sample]] = {}
    for sample in one.samples:
        samples.setdefault(sample.process, []).append(sample)
    found = {}
    for process, own in sorted(samples.items()):
        accepted = msgspec.structs.replace(one, samples=tuple(own)).accepted
        values = [value for value in map(one.value, accepted) if value > 0]
        if values:
            found[process] = values
    return found


def _ratio(a: Measurement, b: Measurement, margin: float, level: float) -> Ratio:
    """How many times as fast `b` is: rates are divided, times the other way round."""
    first, second = (list(_processes(one).values()) for one in (a, b))
    if a.unit == "s":
        first, second = second, first
    return ratio_of_medians(first, second, margin, level)


def _metric(
    pair: tuple[Measurement, Measurement], ratio: Ratio, p_equal: float, p_apart: float, margin: float, level: float
) -> Metric:
    a = pair[0]
    values = [np.concatenate(list(_processes(one).values())) for one in pair]
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
    """Different if it is significant and beyond the margin, equivalent if a difference of the margin is ruled out."""
    if p_apart < 1 - level:
        return "equivalent"
    if p_equal < 1 - level and ratio > 1 + margin:
        return "faster"
    if p_equal < 1 - level and ratio < 1 / (1 + margin):
        return "slower"
    return "inconclusive"


def _overall(pairs: Sequence[tuple[Measurement, Measurement]], margin: float, level: float) -> Overall | None:
    """The geometric mean of the speeds' ratios, resampling processes whole: their kernels rise and fall together.

    Over kernels that every process measured, so that all processes are means of the same.
    """
    speeds = [tuple(_speeds(one) for one in pair) for pair in pairs if pair[0].unit in _SPEEDS]
    every = [set().union(*(pair[side] for pair in speeds)) for side in (0, 1)]
    whole = [pair for pair in speeds if set(pair[0]) == every[0] and set(pair[1]) == every[1]]
    if len(whole) < 2:
        return None
    sides = [
        [[float(np.exp(np.mean([pair[side][process] for pair in whole])))] for process in sorted(every[side])]
        for side in (0, 1)
    ]
    found = ratio_of_medians(sides[0], sides[1], margin, level)
    return Overall(found.value, (found.low, found.high), len(whole), found.processes, found.assumed)


def _speeds(one: Measurement) -> dict[int, float]:
    """Log of the median speed by process."""
    sign = -1.0 if one.unit == "s" else 1.0
    return {process: sign * float(np.log(np.median(values))) for process, values in _processes(one).items()}


def _differences(a: Record, b: Record) -> tuple[Difference, ...]:
    """Conditions of the two environments that are not the same, those that make doubtful first."""
    first = {"hwbench_version": a.hwbench_version, **_flat(a.environment)}
    second = {"hwbench_version": b.hwbench_version, **_flat(b.environment)}
    found = []
    for path in dict.fromkeys([*first, *second]):
        one, other = first.get(path), second.get(path)
        if one != other:
            one, other = _without_the_common(one, other)
            words = (text for word, text in _WARNED.items() if word in path.lower())
            found.append(Difference(path, one, other, next(words, None)))
    return tuple(sorted(found, key=lambda difference: difference.warning is None))


def _without_the_common(one: Any, other: Any) -> tuple[Any, Any]:
    """Of two lists, such as flags of a CPU, what only one of them has."""
    if isinstance(one, list) and isinstance(other, list):
        return [item for item in one if item not in other], [item for item in other if item not in one]
    return one, other


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """A nested mapping by dotted paths; lists are values."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{above}.{name}" if above else str(name)
        found.update(_flat(value, path) if isinstance(value, Mapping) else {path: value})
    return found


def _warnings(
    differences: Sequence[Difference],
    metrics: Sequence[Metric],
    pairs: Sequence[tuple[Measurement, Measurement]],
) -> tuple[str, ...]:
    """What a reader must know before believing a verdict."""
    told = [f"{one.warning}: {one.field} {_short(one.a)} against {_short(one.b)}" for one in differences if one.warning]
    if any(metric.spread_assumed for metric in metrics):
        told.append(
            "a run has one process: how much one process differs from the next is assumed (2 %), not measured; "
            "`hwbench bench --processes 5` measures it"
        )
    cut = {f"{m.kernel} {m.variant}" for pair in pairs for m in pair if m.stopped == "interrupted"}
    if cut:
        told.append(f"measured in part only, the run was interrupted: {', '.join(sorted(cut))}")
    return tuple(told)


def _short(value: Any) -> str:
    return "unknown" if value is None else str(value)[:60]
