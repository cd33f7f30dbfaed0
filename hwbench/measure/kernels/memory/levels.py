"""The caches that a sweep of working sets shows: plateaus of the read bandwidth over size, found as change points.

1. A smaller working set cannot be read more slowly than a larger one, so each point is raised to the best of those at
   and above its size: a disturbed point gets its neighbor's value.
2. The logarithms of the bandwidth are cut into segments so that the squared deviations from the segments' means, plus a
   penalty for each segment, are least: optimal partitioning, by dynamic programming (B. Jackson et al., An algorithm
   for optimal partitioning of data on an interval, IEEE Signal Processing Letters 12(2), 2005).
3. A plateau is what of a segment lies within 15 % of its median, if that is at least one doubling of the size; what
   lies between two is the way down. Neighbors less than 10 % apart are one plateau.
4. A level's effective size is the largest working set that is read faster than the geometric mean of its plateau and
   the next. The last plateau is main memory, whose size is not found.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import fmean, median

from msgspec import Struct

from hwbench.machine.parts import Cache

PENALTY = 0.02
"""Cost of a segment in squared logarithms: two points on each side justify a step of 15 %, eight a step of 7 %."""

MAX_DEVIATION = 1.15
"""Largest ratio of a plateau's point to its median."""

MIN_STEP = 1.10
"""Smallest ratio of neighboring plateaus."""

MIN_LENGTH = 2.0
"""Smallest ratio of a plateau's last size to its first."""

MEMORY = "memory"


class Point(Struct, frozen=True):
    """The bandwidth in B/s at which a working set of `size` bytes is read."""

    size: float
    bandwidth: float


class Level(Struct, frozen=True):
    """A level of the memory: `size` is the largest working set in bytes that fits, `beyond` the next one.

    Both are None for main memory. `bandwidth`: of the plateau, in B/s; `first` and `last`: its working sets in bytes.
    """

    bandwidth: float
    first: float
    last: float
    size: float | None = None
    beyond: float | None = None


def levels(points: Sequence[Point]) -> tuple[Level, ...]:
    """Return the levels that points show, the fastest first; no level for fewer than two points."""
    ordered = raised(sorted(points, key=lambda point: point.size))
    plateaus = merged([part for part in map(flat, segments(ordered)) if part[-1].size >= MIN_LENGTH * part[0].size])
    if not plateaus:
        return ()
    result = []
    for plateau, following in pairwise(plateaus):
        bound = math.sqrt(rate(plateau) * rate(following))
        fitting = [point.size for point in ordered if point.bandwidth >= bound]
        beyond = next(point.size for point in ordered if point.size > fitting[-1])
        result.append(Level(rate(plateau), plateau[0].size, plateau[-1].size, fitting[-1], beyond))
    last = plateaus[-1]
    return (*result, Level(rate(last), last[0].size, last[-1].size))


def raised(points: Sequence[Point]) -> list[Point]:
    """Return points by size, each with the best bandwidth of all points at or above its size."""
    best = accumulate((point.bandwidth for point in reversed(points)), max)
    return [Point(point.size, bandwidth) for point, bandwidth in zip(reversed(points), best, strict=True)][::-1]


def segments(points: Sequence[Point]) -> list[list[Point]]:
    """Return the points in segments with the least squared deviation of the logarithms, plus `PENALTY` a segment."""
    logs = [math.log(point.bandwidth) for point in points]
    sums = [0.0, *accumulate(logs)]
    squares = [0.0, *accumulate(value * value for value in logs)]

    def deviation(start: int, end: int) -> float:
        total = sums[end] - sums[start]
        return max(0.0, squares[end] - squares[start] - total * total / (end - start))

    least, cuts = [0.0], [0]
    for end in range(1, len(points) + 1):
        cost, start = min((least[start] + deviation(start, end) + PENALTY, start) for start in range(end))
        least.append(cost)
        cuts.append(start)
    ends = [len(points)]
    while ends[-1]:
        ends.append(cuts[ends[-1]])
    return [list(points[start:end]) for start, end in pairwise(reversed(ends))]


def flat(part: Sequence[Point]) -> list[Point]:
    """Return the points of a segment near its median; a slow descent may have been added to its ends."""
    center = rate(part)
    return [point for point in part if center / MAX_DEVIATION <= point.bandwidth <= center * MAX_DEVIATION]


def rate(part: Sequence[Point]) -> float:
    """Return a plateau's bandwidth: the median of its points."""
    return median(point.bandwidth for point in part)


def merged(plateaus: Sequence[list[Point]]) -> list[list[Point]]:
    """Merge neighboring plateaus that hardly differ."""
    result: list[list[Point]] = []
    for part in plateaus:
        if result and rate(result[-1]) < MIN_STEP * rate(part):
            result[-1] = [*result[-1], *part]
        else:
            result.append(list(part))
    return result


def names(measured: Sequence[Level], caches: Sequence[Cache]) -> tuple[str, ...]:
    """Return names of levels: those of reported caches where their sizes distinguish them, else L1, L2 and so on.

    The last is `memory`. A reported size that is far off, as in virtual machines, still identifies a cache.
    """
    sizes = [level.size for level in measured if level.size]
    nearest = [min(caches, key=lambda cache: abs(math.log(cache.size / size))).name if caches else "" for size in sizes]
    if not caches or len(set(nearest)) < len(nearest):
        nearest = [f"L{position}" for position in range(1, len(sizes) + 1)]
    return (*nearest, MEMORY) if measured else ()


def middle(level: Level) -> float:
    """Return the working set in bytes in the middle of a plateau, by its logarithm."""
    return math.exp(fmean([math.log(level.first), math.log(level.last)]))
