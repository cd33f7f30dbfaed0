"""One run of `hwbench bench` in this process: conditions, kernels, samples, record."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from hwbench.errors import HwbenchError, InputError
from hwbench.machine.host.describe import Host, host
from hwbench.measure import harness, kernels, store
from hwbench.measure import settings as cpus
from hwbench.measure import settings as measure_settings
from hwbench.measure.environment import machine as environment
from hwbench.measure.environment import snapshot
from hwbench.measure.record import Measurement, Record
from hwbench.notices import Notice, notice, unique
from hwbench.version import VERSION

BUDGET_S, QUICK_S = 78.0, 13.0
"""Seconds that a run may measure for, so that with start and end it takes no more than 90, and 15 where quick."""
QUICK_SAMPLE_S = 0.01


class BenchRequest(Struct, frozen=True):
    """What to measure and how long; None and empty mean the kernels' own choice. `command` goes into the record."""

    kernels: tuple[str, ...] = ()
    quick: bool = False
    budget_s: float | None = None
    threads: tuple[int, ...] | None = None
    dtypes: tuple[str, ...] | None = None
    sizes: tuple[tuple[int, int, int], ...] | None = None
    command: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """The budget in s."""
        return self.budget_s or (QUICK_S if self.quick else BUDGET_S)


def bench(request: BenchRequest, progress: harness.Report | None = None) -> Record:
    """Measure what is asked for. An interrupt ends it early, with what was measured until then (see harness.measure).

    Raises InputError for what cannot be measured here, KeyboardInterrupt when interrupted before the first sample.
    """
    start = time.monotonic()
    picked = kernels.select(request.kernels)
    machine = host()
    settings = cpus.settings(
        machine, quick=request.quick, threads=request.threads, dtypes=request.dtypes, sizes=request.sizes
    )
    _check_threads(request.threads, len(settings.cpus))
    tasks, notices = kernels.tasks(picked, settings, named=bool(request.kernels))
    if not tasks:
        raise InputError("there is nothing to measure with these kernels and options")
    limits = harness.SamplingLimits(sample_s=QUICK_SAMPLE_S if request.quick else harness.SAMPLE_S)

    def measure() -> tuple[Measurement, ...]:
        left = request.seconds - (time.monotonic() - start)
        return harness.measure(tasks, max(left, 0.5 * request.seconds), limits=limits, progress=progress)

    return record(measure, machine, settings.classes, request.command, notices)


def _check_threads(threads: tuple[int, ...] | None, most: int) -> None:
    if threads and max(threads) > most:
        cores = "1 core" if most == 1 else f"{most} cores"
        raise InputError(f"{max(threads)} threads are too many: this process may use {cores}", field="--threads")


def record(
    measure: Callable[[], Sequence[Measurement]],
    machine: Host,
    classes: tuple[measure_settings.CpuClass, ...],
    command: tuple[str, ...] = (),
    notices: Sequence[Notice] = (),
) -> Record:
    """Measure, and return the record: measurements, environment, conditions before and after, and notices.

    `hwbench run` and others that measure by themselves make their records by this too.
    """
    now = datetime.now(UTC)
    numbers = [cpu for one in classes for cpu in one.cpus]
    before = snapshot.snapshot(numbers)
    measurements = tuple(measure())
    after = snapshot.snapshot(numbers)
    if not measurements:
        raise HwbenchError("nothing was measured")
    surroundings = environment.environment(machine, classes)
    found = [*notices, *environment.cautions(surroundings), *snapshot.disturbances(before, after)]
    if wrong := [f"{one.kernel} {one.variant}" for one in measurements if one.checked is False]:
        found.append(notice("wrong-answers", kernels=list(dict.fromkeys(wrong))))
    if interrupted(measurements):
        found.append(notice("interrupted"))
    return Record(
        id=store.new_id(now),
        created=now.isoformat(timespec="milliseconds"),
        hwbench_version=VERSION,
        command=command,
        environment=surroundings,
        before=before,
        after=after,
        measurements=measurements,
        notices=unique(found),
        device=machine.device,
    )


def interrupted(measurements: Sequence[Measurement]) -> bool:
    """Whether somebody stopped the measurement."""
    return any(one.stopped == "interrupted" for one in measurements)


def joined(runs: Sequence[Record], command: tuple[str, ...] = ()) -> Record:
    """Runs of fresh processes as one, whose samples say which process they are of.

    Conditions are those before the first and after the last. Raises HwbenchError without runs.
    """
    if not runs:
        raise HwbenchError("no process measured anything")
    found: dict[tuple[str, ...], list[tuple[int, Measurement]]] = {}
    for process, run in enumerate(runs):
        for one in run.measurements:
            found.setdefault(one.key, []).append((process, one))
    first = runs[0]
    return msgspec.structs.replace(
        first,
        id=store.new_id(),
        command=command,
        after=runs[-1].after,
        measurements=tuple(_together(parts) for parts in found.values()),
        notices=unique(one for run in runs for one in run.notices),
        processes=len(runs),
    )


def _together(parts: Sequence[tuple[int, Measurement]]) -> Measurement:
    every = [one for _, one in parts]
    checks = [one.checked for one in every if one.checked is not None]
    stops = {one.stopped for one in every}
    return msgspec.structs.replace(
        every[0],
        samples=tuple(
            msgspec.structs.replace(sample, process=process) for process, one in parts for sample in one.samples
        ),
        checked=all(checks) if checks else None,
        stopped="interrupted" if "interrupted" in stops else "budget" if "budget" in stops else "settled",
    )
