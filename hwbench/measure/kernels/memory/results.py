"""What a sweep of working sets shows: effective sizes and bandwidths of caches and main memory."""

from collections.abc import Sequence
from statistics import median, median_low

import msgspec

from hwbench.machine.parts import Cache
from hwbench.measure.kernels.memory import levels
from hwbench.measure.kernels.memory.levels import Point
from hwbench.measure.record import Measurement, Result
from hwbench.measure.subject import WorkingSet
from hwbench.measure.summary import summarize
from hwbench.units import Bytes


def rows(measurements: Sequence[Measurement]) -> tuple[Result, ...]:
    """Return each level's effective size in B and its bandwidth in B/s, for one core and for all cores."""
    swept = [row for row in measurements if isinstance(row.subject, WorkingSet)]
    alone = [row for row in swept if row.threads == 1]
    result: list[Result] = []
    for core_class in dict.fromkeys(row.core_class for row in alone):
        result += _levels([row for row in alone if row.core_class == core_class])
    for row in swept:
        if isinstance(row.subject, WorkingSet) and row.subject.level:
            result.append(msgspec.structs.replace(summarize(row), kernel="cache", variant=row.subject.level))
    return tuple(result)


def _levels(measurements: Sequence[Measurement]) -> list[Result]:
    sets = [row.subject for row in measurements if isinstance(row.subject, WorkingSet)]
    results = {subject.bytes: summarize(row) for subject, row in zip(sets, measurements, strict=True)}
    # Each set's best sample shows what fits: other work on the machine evicts from caches, and never fills them for us.
    shown = levels.levels([Point(size, result.best or result.value) for size, result in results.items()])
    reported = sets[0].reported
    caches = [Cache(name, Bytes(size)) for name, size in reported.items()]
    rows = []
    for level, name in zip(shown, levels.names(shown, caches), strict=True):
        inside = [result for size, result in results.items() if level.first <= size <= level.last]
        doubts: tuple[str, ...] = ()
        if level.size is None and max(results) < 2 * max(reported.values(), default=0):
            doubts = ("no working set was twice as large as the reported last-level cache: this may still be a cache",)
        if level.size is not None and level.beyond is not None:
            rows.append(_summary(inside, name, "B", level.size, (level.size, level.beyond), ()))
        rates = [result.value for result in inside]
        rows.append(_summary(inside, name, "B/s", median(rates), (min(rates), max(rates)), doubts))
    return rows


def _summary(
    inside: Sequence[Result], name: str, unit: str, value: float, interval: tuple[float, float], doubts: tuple[str, ...]
) -> Result:
    """Return one result; its grade is the median of its points' grades."""
    grade = median_low([result.grade for result in inside])
    first = next(result for result in inside if result.grade == grade)
    return msgspec.structs.replace(
        first,
        kernel="cache",
        variant=name,
        size=None,
        value=value,
        unit=unit,
        interval=interval,
        grade=grade if not doubts else "D",
        reasons=(*doubts, *first.reasons),
        samples=sum(result.samples for result in inside),
        rejected=sum(result.rejected for result in inside),
        best=None,
    )
