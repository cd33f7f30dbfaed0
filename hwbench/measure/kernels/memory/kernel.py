"""The memory of this machine: tasks for STREAM, a sweep of working sets, and latency.

Sizes of arrays do not depend on the caches that the system reports, which may be wrong in a virtual machine: a quick
sweep comes first, and what lies beyond its last step is main memory.
"""

import math
from collections.abc import Sequence

from msgspec import Struct

from hwbench.machine.host.files import Files
from hwbench.machine.parts import Cache
from hwbench.measure.environment import machine as environment
from hwbench.measure.harness import Task, pinned
from hwbench.measure.kernels.buffers import ALIGNMENT, affordable
from hwbench.measure.kernels.clock.kernel import cpu_seconds
from hwbench.measure.kernels.memory import latency, levels, stream, working_set
from hwbench.measure.kernels.memory.levels import Level, Point
from hwbench.measure.kernels.memory.working_set import Buffer
from hwbench.measure.kernels.team import Placement, first, one_of_each
from hwbench.measure.settings import Settings
from hwbench.measure.subject import WorkingSet

USUAL_SET, QUICK_SET = 512 << 20, 256 << 20
"""Largest working set in bytes, where memory allows."""

MAX_SET = 1 << 30
"""Largest working set in bytes where large caches are reported."""

TIMES_CACHE = 4
"""Size of arrays as a multiple of the last-level cache, after STREAM's rules."""

MAX_REPORTED = 4
"""A reported cache of up to so many times the measured one counts when arrays are sized."""

LATENCIES = (16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20)
"""Working sets in bytes for which the latency is measured."""

_LOOKS = 3
"""Readings of each working set in the quick sweep."""


class MemorySizes(Struct, frozen=True):
    """Sizes in bytes: the last-level cache for which arrays are sized, limits of all arrays and of all rings."""

    cache: int
    arrays: int
    chased: int


def tasks(settings: Settings) -> Sequence[Task]:
    """Return the tasks: STREAM and cache reads on one and all cores, sweep and latencies on one core of each class."""
    memory = affordable()
    largest = largest_set(settings, memory // 4)
    buffer = Buffer(largest)
    seen = quick_sweep(buffer, settings.cpus[0], 1 if settings.quick else 2)
    sizes = MemorySizes(last_cache(seen, settings.caches, largest), memory // 2, memory // 4)
    result: list[Task] = []
    arrays = stream_arrays(settings, sizes)
    for threads in settings.threads:
        result += streams(settings, arrays[threads])
        if threads > 1:
            result += all_cores(settings, sizes, seen, first(settings, threads))
    for core in one_of_each(settings):
        result += sweep(settings, buffer if core.cpus == settings.cpus[:1] else Buffer(largest), core)
        result += [latency.task(size, core) for size in chased(settings, sizes, seen)]
    return result


def largest_set(settings: Settings, memory: int) -> int:
    """Return the largest working set in bytes: well beyond the reported caches, but limited in time and memory."""
    reported = max((cache.size for cache in settings.caches), default=0)
    wanted = QUICK_SET if settings.quick else max(USUAL_SET, min(MAX_SET, TIMES_CACHE * reported))
    return int(max(1 << 20, min(wanted, memory))) // ALIGNMENT * ALIGNMENT


def quick_sweep(buffer: Buffer, cpu: int, steps: int) -> tuple[Level, ...]:
    """Return the levels that a short sweep by one core shows, `steps` an octave: the best of three readings a set."""
    points = []
    with pinned(cpu):
        buffer.allocate()
        for size in working_set.sizes(buffer.size, steps):
            passes = max(1, (2 << 20) // size)
            best = min(cpu_seconds(buffer.read, size, passes) for _ in range(_LOOKS))
            points.append(Point(size, size * passes / max(best, 1e-9)))
    return levels.levels(points)


def last_cache(seen: Sequence[Level], caches: Sequence[Cache], largest: int) -> int:
    """Return the bytes above which one core reads memory: as measured, or the reported cache if that is not far off.

    Where the sweep shows no cache, a share of the largest working set.
    """
    reported = max((cache.size for cache in caches), default=0)
    measured = max((level.beyond for level in seen if level.beyond), default=None)
    if measured is None:
        return int(reported if 0 < reported <= largest else largest / TIMES_CACHE)
    return int(max(measured, reported) if reported <= MAX_REPORTED * measured else measured)


def stream_arrays(settings: Settings, sizes: MemorySizes) -> dict[int, stream.StreamArrays]:
    """Return STREAM's arrays by number of threads; where quick and there is one NUMA node, all share the largest."""
    result: dict[int, stream.StreamArrays] = {}
    shared = settings.quick and (environment.numa_nodes(Files()) or 1) == 1
    for threads in sorted(settings.threads, reverse=True):
        lender = next(iter(result.values()), None) if shared else None
        size, cores = array_size(settings, sizes, threads), first(settings, threads)
        result[threads] = stream.StreamArrays(size, cores, lender)
    return result


def streams(settings: Settings, arrays: stream.StreamArrays) -> list[Task]:
    """Return STREAM's tasks with both kinds of stores; where quick, those of triad only."""
    operations = stream.OPERATIONS[-1 if settings.quick else 0 :]
    return [stream.task(operation, nontemporal, arrays) for nontemporal in (False, True) for operation in operations]


def array_size(settings: Settings, sizes: MemorySizes, threads: int) -> int:
    """Return the bytes of one of STREAM's arrays: four times the caches of so many threads, if memory allows."""
    last = max(settings.caches, key=lambda cache: cache.size, default=None)
    instances = math.ceil(threads / last.shared_by) if last and last.shared_by else 1
    limit = sizes.arrays // (3 * len(settings.threads))
    return max(ALIGNMENT * threads, min(TIMES_CACHE * sizes.cache * instances, limit))


def sweep(settings: Settings, buffer: Buffer, core: Placement) -> list[Task]:
    """Return the tasks that read every working set in a buffer by one core."""
    reported = {cache.name: float(cache.size) for cache in settings.caches}
    return [
        working_set.task([buffer], size, core, WorkingSet(size, reported=reported))
        for size in working_set.sizes(buffer.size, 1 if settings.quick else 2)
    ]


def all_cores(settings: Settings, sizes: MemorySizes, seen: Sequence[Level], cores: Placement) -> list[Task]:
    """Return the tasks that read each measured level by all cores, each from the middle of its share."""
    threads = len(cores)
    wanted = [share(level, before, settings.caches, threads)
              for level, before in zip(seen[:-1], (None, *seen), strict=False)]  # fmt: skip
    if seen:
        wanted.append(array_size(settings, sizes, threads) // threads)
    whole = [max(ALIGNMENT, size // ALIGNMENT * ALIGNMENT) for size in wanted]
    buffers = [Buffer(max(whole, default=ALIGNMENT)) for _ in range(threads)]
    labels = levels.names(seen, settings.caches)
    return [working_set.task(buffers, size, cores, WorkingSet(size, label))
            for size, label in zip(whole, labels, strict=True)]  # fmt: skip


def share(level: Level, before: Level | None, caches: Sequence[Cache], threads: int) -> int:
    """Return the bytes that each of so many threads reads to measure a level, shared as the system reports it."""
    size = level.size or level.last
    cache = min(caches, key=lambda cache: abs(math.log(cache.size / size)), default=None)
    sharing = min(threads, cache.shared_by or threads) if cache else 1
    floor = before.beyond if before and before.beyond else 0.0
    return int(max(levels.middle(level) / sharing, min(floor, size / sharing)))


def chased(settings: Settings, sizes: MemorySizes, seen: Sequence[Level]) -> list[int]:
    """Return working sets for latency: those that memory allows; where quick, one in each level and one beyond."""
    fitting = [size for size in LATENCIES if size <= sizes.chased // 2]
    if not settings.quick or not seen:
        return fitting
    tops = [level.size / 2 for level in seen if level.size]
    inside = {max((size for size in fitting if size <= top), default=LATENCIES[0]) for top in tops}
    beyond = [size for size in fitting if size >= 2 * sizes.cache]
    return sorted({*inside, *beyond[:1]})
