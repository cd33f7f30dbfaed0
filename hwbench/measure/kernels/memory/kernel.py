"""The memory of this machine: STREAM, a sweep of working sets with the caches it shows, and latency.

How large arrays must be is not asked of the system, which in a guest may report any cache: a quick look at all working
sets comes first, and what lies beyond its last step is main memory.
"""

import math
import time
from collections.abc import Sequence
from statistics import median, median_low

import msgspec
from msgspec import Struct

from hwbench.machine.device import Cache
from hwbench.machine.host.facts import Files
from hwbench.measure.environment import machine as environment
from hwbench.measure.harness import Task
from hwbench.measure.kernels.buffers import ALIGNMENT, affordable
from hwbench.measure.kernels.clock.kernel import class_name
from hwbench.measure.kernels.memory import latency, levels, stream, working_set
from hwbench.measure.kernels.memory.levels import Level, Point
from hwbench.measure.kernels.memory.working_set import Buffer
from hwbench.measure.kernels.team import Team
from hwbench.measure.record import Measurement, Result
from hwbench.measure.settings import CpuClass, Settings
from hwbench.measure.subject import WorkingSet
from hwbench.measure.summary import summarize
from hwbench.units import Bytes

SWEPT, SWEPT_QUICK = 512 << 20, 256 << 20
"""Largest working set in bytes, where memory allows."""

SWEPT_MOST = 1 << 30
TIMES_CACHE = 4
"""Arrays are so many times the last-level cache, as STREAM's rules ask."""

PLAUSIBLE = 4
"""A reported cache up to so many times the one that was seen is believed when arrays are sized."""

LATENCIES = (16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20)
"""Working sets in bytes for which the latency is measured."""

_LOOK_S = 0.001
_LOOKS = 3


class MemorySizes(Struct, frozen=True):
    """How large things are, in bytes: the last-level cache for arrays, all arrays, and all rings of pointers."""

    cache: int
    arrays: int
    chased: int


def tasks(settings: Settings) -> Sequence[Task]:
    """STREAM on one and all cores, the sweep and the latencies on one core of each class, cache reads on all cores."""
    room = affordable()
    largest = swept(settings, room // 4)
    buffer = Buffer(largest)
    seen = look(buffer, settings.cpus[0], 1 if settings.quick else 2)
    sizes = MemorySizes(last_cache(seen, settings.caches, largest), room // 2, room // 4)
    found: list[Task] = []
    arrays = stream_arrays(settings, sizes)
    for threads in settings.threads:
        found += streams(settings, arrays[threads], threads)
        if threads > 1:
            found += all_cores(settings, sizes, seen, threads)
    for core_class in settings.classes:
        found += sweep(settings, buffer if settings.cpus[0] in core_class.cpus else Buffer(largest), core_class)
        cpus, name = core_class.cpus[:1], class_name(settings, core_class)
        found += [latency.task(size, cpus, name) for size in chased(settings, sizes, seen)]
    return found


def swept(settings: Settings, room: int) -> int:
    """The largest working set: well past the reported caches, but not so large as to take long or too much memory."""
    reported = max((cache.size for cache in settings.caches), default=0)
    wanted = SWEPT_QUICK if settings.quick else max(SWEPT, min(SWEPT_MOST, TIMES_CACHE * reported))
    return int(max(1 << 20, min(wanted, room))) // ALIGNMENT * ALIGNMENT


def look(buffer: Buffer, cpu: int, steps: int) -> tuple[Level, ...]:
    """The levels that a short sweep by one core shows, `steps` an octave: the best of three looks at each set."""
    points: list[Point] = []

    def job(_position: int) -> None:
        buffer.allocate()
        for size in working_set.sizes(buffer.size, steps):
            passes = max(1, (2 << 20) // size)
            best = math.inf
            for _ in range(_LOOKS):
                before = time.thread_time()
                buffer.read(size, passes)
                best = min(best, time.thread_time() - before)
            points.append(Point(size, size * passes / max(best, 1e-9)))

    team = Team((cpu,))
    try:
        team.run(job)
    finally:
        team.close()
    return levels.levels(points)


def last_cache(seen: Sequence[Level], caches: Sequence[Cache], largest: int) -> int:
    """Bytes from which on memory is read, by one core: what was seen, or the reported cache if it is not far off.

    Where nothing was seen, as much as was looked at.
    """
    reported = max((cache.size for cache in caches), default=0)
    found = max((level.beyond for level in seen if level.beyond), default=None)
    if found is None:
        return int(reported if 0 < reported <= largest else largest / TIMES_CACHE)
    return int(max(found, reported) if reported <= PLAUSIBLE * found else found)


def stream_arrays(settings: Settings, sizes: MemorySizes) -> dict[int, stream.StreamArrays]:
    """STREAM's arrays by number of threads; where quick and no memory is far from any CPU, all share the largest."""
    found: dict[int, stream.StreamArrays] = {}
    shared = settings.quick and (environment.numa_nodes(Files()) or 1) == 1
    for threads in sorted(settings.threads, reverse=True):
        team = Team(settings.cpus[:threads]) if threads > 1 else None
        lender = next(iter(found.values()), None) if shared else None
        found[threads] = stream.StreamArrays(array_size(settings, sizes, threads), team, settings.quick, lender)
    return found


def streams(settings: Settings, arrays: stream.StreamArrays, threads: int) -> list[Task]:
    """STREAM's kernels with both kinds of stores by so many threads; where quick, all four with all threads alone."""
    few = settings.quick and threads < max(settings.threads)
    operations = stream.OPERATIONS[-1 if few else 0 :]
    cpus = settings.cpus[:threads]
    return [
        stream.task(operation, nontemporal, arrays, cpus) for nontemporal in (False, True) for operation in operations
    ]


def array_size(settings: Settings, sizes: MemorySizes, threads: int) -> int:
    """Bytes of one of STREAM's arrays: four times the caches that so many threads have, if the memory allows."""
    instances = 1
    last = max(settings.caches, key=lambda cache: cache.size, default=None)
    if last is not None and last.shared_by:
        instances = math.ceil(threads / last.shared_by)
    room = sizes.arrays // (3 * len(settings.threads))
    return max(ALIGNMENT * threads, min(TIMES_CACHE * sizes.cache * instances, room))


def sweep(settings: Settings, buffer: Buffer, core_class: CpuClass) -> list[Task]:
    """Reading every working set in a buffer by one core of a class."""
    reported = {cache.name: float(cache.size) for cache in settings.caches}
    return [
        working_set.task(buffer, size, core_class.cpus[:1], class_name(settings, core_class), reported)
        for size in working_set.sizes(buffer.size, 1 if settings.quick else 2)
    ]


def all_cores(settings: Settings, sizes: MemorySizes, seen: Sequence[Level], threads: int) -> list[Task]:
    """What all cores together read from each level that was seen, each core from the middle of its share."""
    cpus = settings.cpus[:threads]
    team = Team(cpus)
    wanted = [share(level, before, settings.caches, threads)
              for level, before in zip(seen[:-1], (None, *seen), strict=False)]  # fmt: skip
    if seen:
        wanted.append(array_size(settings, sizes, threads) // threads)
    whole = [max(ALIGNMENT, size // ALIGNMENT * ALIGNMENT) for size in wanted]
    buffers = [Buffer(max(whole, default=ALIGNMENT)) for _ in cpus]
    labels = levels.names(seen, settings.caches)
    return [working_set.team_task(buffers, size, team, cpus, label)
            for size, label in zip(whole, labels, strict=True)]  # fmt: skip


def share(level: Level, before: Level | None, caches: Sequence[Cache], threads: int) -> int:
    """Bytes that each of so many threads reads to find a level's bandwidth, if they share it as the system says."""
    size = level.size or level.last
    cache = min(caches, key=lambda cache: abs(math.log(cache.size / size)), default=None)
    sharing = min(threads, cache.shared_by or threads) if cache else 1
    floor = before.beyond if before and before.beyond else 0.0
    return int(max(levels.middle(level) / sharing, min(floor, size / sharing)))


def chased(settings: Settings, sizes: MemorySizes, seen: Sequence[Level]) -> list[int]:
    """Working sets for latency: the usual ones that memory allows; where quick, one in each level and one beyond."""
    fitting = [size for size in LATENCIES if size <= sizes.chased // 2]
    if not settings.quick or not seen:
        return fitting
    tops = [level.size / 2 for level in seen if level.size]
    inside = {max((size for size in fitting if size <= top), default=LATENCIES[0]) for top in tops}
    beyond = [size for size in fitting if size >= 2 * sizes.cache]
    return sorted({*inside, *beyond[:1]})


def rows(measurements: Sequence[Measurement]) -> tuple[Result, ...]:
    """What the sweep shows: each level's effective size in B and bandwidth in B/s, and what all cores read from it."""
    swept_sets = [one for one in measurements if isinstance(one.subject, WorkingSet)]
    found: list[Result] = []
    for core_class in dict.fromkeys(one.core_class for one in swept_sets if one.threads == 1):
        found += _levels([one for one in swept_sets if one.threads == 1 and one.core_class == core_class])
    for one in swept_sets:
        if isinstance(one.subject, WorkingSet) and one.subject.level:
            found.append(_row(summarize(one), one.subject.level))
    return tuple(found)


def _levels(measurements: Sequence[Measurement]) -> list[Result]:
    sets = [one.subject for one in measurements if isinstance(one.subject, WorkingSet)]
    results = {swept.bytes: summarize(one) for swept, one in zip(sets, measurements, strict=True)}
    # What fits is told by each set's best sample: other work on the machine empties caches, and never fills them.
    found = levels.levels([Point(size, result.best or result.value) for size, result in results.items()])
    reported = sets[0].reported
    caches = [Cache(name, Bytes(size)) for name, size in reported.items()]
    rows = []
    for level, name in zip(found, levels.names(found, caches), strict=True):
        inside = [result for size, result in results.items() if level.first <= size <= level.last]
        doubts: tuple[str, ...] = ()
        if level.size is None and max(results) < 2 * max(reported.values(), default=0):
            doubts = ("no working set was twice the reported last-level cache: this may be a cache still",)
        if level.size is not None and level.beyond is not None:
            rows.append(_summary(inside, name, "B", level.size, (level.size, level.beyond), ()))
        rates = [one.value for one in inside]
        rows.append(_summary(inside, name, "B/s", median(rates), (min(rates), max(rates)), doubts))
    return rows


def _summary(
    inside: Sequence[Result], name: str, unit: str, value: float, interval: tuple[float, float], doubts: tuple[str, ...]
) -> Result:
    """One row; its grade is the middle one of its points."""
    grade = median_low([result.grade for result in inside])
    first = next(result for result in inside if result.grade == grade)
    return Result(
        kernel="cache",
        variant=name,
        dtype=None,
        isa=None,
        threads=1,
        size=None,
        value=value,
        unit=unit,
        interval=interval,
        ratio_to_peak=None,
        grade=grade if not doubts else "D",
        reasons=(*doubts, *first.reasons),
        core_class=first.core_class,
        samples=sum(result.samples for result in inside),
        rejected=sum(result.rejected for result in inside),
    )


def _row(result: Result, level: str) -> Result:
    return msgspec.structs.replace(result, kernel="cache", variant=level)
