"""Which caches a sweep of working sets shows: plateaus of the read bandwidth over size, found by change points.

1. A smaller working set cannot be read more slowly than a larger one, so each point is raised to the best of those at
   and above its size: what is left of a disturbed point is its neighbor's value.
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
from itertools import pairwise
from statistics import fmean, median

from msgspec import Struct

from hwbench.machine.device import Cache

PENALTY = 0.02
"""What a segment costs, in squared logarithms: two points each side pay for a step of 15 %, eight for one of 7 %."""

FLAT = 1.15
SAME = 1.10
DOUBLING = 2.0
MEMORY = "memory"


class Point(Struct, frozen=True):
    """The bandwidth in B/s at which a working set of `size` bytes is read."""

    size: float
    bandwidth: float


class Level(Struct, frozen=True):
    """A level of the memory: `size` bytes are the largest working set that fits, `beyond` the next, which does not.

    Both are None for main memory. `bandwidth`: of the plateau, in B/s; `first` and `last`: its working sets in bytes.
    """

    bandwidth: float
    first: float
    last: float
    size: float | None = None
    beyond: float | None = None


def levels(points: Sequence[Point]) -> tuple[Level, ...]:
    """The levels that points show, the fastest first; none where there are fewer than two points."""
    ordered = raised(sorted(points, key=lambda point: point.size))
    plateaus = merged([part for part in map(flat, segments(ordered)) if part[-1].size >= DOUBLING * part[0].size])
    if not plateaus:
        return ()
    found = []
    for here, following in pairwise(plateaus):
        bound = math.sqrt(rate(here) * rate(following))
        fitting = [point.size for point in ordered if point.bandwidth >= bound]
        beyond = next(point.size for point in ordered if point.size > fitting[-1])
        found.append(Level(rate(here), here[0].size, here[-1].size, fitting[-1], beyond))
    last = plateaus[-1]
    return (*found, Level(rate(last), last[0].size, last[-1].size))


def raised(points: Sequence[Point]) -> list[Point]:
    """Points by size, each with the best bandwidth of all at or above its size."""
    best = 0.0
    found = []
    for point in reversed(points):
        best = max(best, point.bandwidth)
        found.append(Point(point.size, best))
    return found[::-1]


def segments(points: Sequence[Point]) -> list[list[Point]]:
    """The points cut where it pays: least squared deviation of the logarithms, plus `PENALTY` a segment."""
    logs = [math.log(point.bandwidth) for point in points]
    sums, squares = [0.0], [0.0]
    for value in logs:
        sums.append(sums[-1] + value)
        squares.append(squares[-1] + value * value)

    def deviation(start: int, end: int) -> float:
        total = sums[end] - sums[start]
        return max(0.0, squares[end] - squares[start] - total * total / (end - start))

    least, cuts = [0.0], [0]
    for end in range(1, len(points) + 1):
        cost, start = min((least[start] + deviation(start, end) + PENALTY, start) for start in range(end))
        least.append(cost)
        cuts.append(start)
    parts = []
    end = len(points)
    while end:
        parts.append(list(points[cuts[end] : end]))
        end = cuts[end]
    return parts[::-1]


def flat(part: Sequence[Point]) -> list[Point]:
    """The points of a segment that lie near its median: a slow way down may have been taken for its beginning."""
    center = rate(part)
    return [point for point in part if center / FLAT <= point.bandwidth <= center * FLAT]


def rate(part: Sequence[Point]) -> float:
    """A plateau's bandwidth: the median of its points."""
    return median(point.bandwidth for point in part)


def merged(plateaus: Sequence[list[Point]]) -> list[list[Point]]:
    """Plateaus, those that are hardly apart taken together."""
    found: list[list[Point]] = []
    for part in plateaus:
        if found and rate(found[-1]) < SAME * rate(part):
            found[-1] = [*found[-1], *part]
        else:
            found.append(list(part))
    return found


def names(found: Sequence[Level], caches: Sequence[Cache]) -> tuple[str, ...]:
    """What to call levels: by the caches that the system reports where their sizes tell them apart, else by order.

    The last is `memory`; a reported size that is far off (guests are told anything) still tells which cache it is.
    """
    sizes = [level.size for level in found if level.size]
    nearest = [min(caches, key=lambda cache: abs(math.log(cache.size / size))).name if caches else "" for size in sizes]
    if not caches or len(set(nearest)) < len(nearest):
        nearest = [f"L{position}" for position in range(1, len(sizes) + 1)]
    return (*nearest, MEMORY) if found else ()


def middle(level: Level) -> float:
    """A working set in bytes from the middle of a plateau, by its logarithm."""
    return math.exp(fmean([math.log(level.first), math.log(level.last)]))
