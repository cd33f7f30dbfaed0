"""What a sweep of working sets shows: effective sizes and bandwidths of caches and main memory."""

from collections.abc import Sequence
from itertools import chain
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
    swept = [(row.subject, summarize(row)) for row in measurements if isinstance(row.subject, WorkingSet)]
    alone = [(subject, result) for subject, result in swept if result.threads == 1]
    together = [msgspec.structs.replace(result, kernel="cache", variant=subject.level)
                for subject, result in swept if subject.level]  # fmt: skip
    classes = dict.fromkeys(result.core_class for _, result in alone)
    levels_of = [_levels([pair for pair in alone if pair[1].core_class == core_class]) for core_class in classes]
    return (*chain.from_iterable(levels_of), *together)


def _levels(swept: Sequence[tuple[WorkingSet, Result]]) -> list[Result]:
    results = {subject.bytes: result for subject, result in swept}
    # Each set's best sample shows what fits: other work on the machine evicts from caches, and never fills them for us.
    shown = levels.levels([Point(size, result.best or result.value) for size, result in results.items()])
    reported = swept[0][0].reported
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
