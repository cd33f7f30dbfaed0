"""A run of `hwbench bench` in this process: conditions, kernels, samples, record."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from hwbench import __version__
from hwbench.errors import HwbenchError, InputError, shown
from hwbench.machine.host.describe import Host, host
from hwbench.measure import harness, kernels, store
from hwbench.measure import settings as cpus
from hwbench.measure.environment import machine as environment
from hwbench.measure.environment import others, snapshot
from hwbench.measure.record import Measurement, Record
from hwbench.notices import Notice, notice, unique

BUDGET_S, QUICK_S = 78.0, 13.0
"""Seconds of measuring, so that a run with its start and end takes 90 at most, and a quick one 15."""
QUICK_SAMPLE_S = 0.004
"""Shortest sample of a quick run in s: it is interrupted less often than a longer one, and there are more of them."""


FP16_FLAGS = frozenset({"avx512_fp16", "amx_fp16", "fphp", "asimdhp"})
"""Flags of CPUs that compute in fp16 (x86, Arm)."""


CHOICES = {"dtypes": {"fma", "gpu", "matmul"}, "sizes": {"gpu", "matmul"}}
"""Kernels that have dtypes and sizes to choose from."""


class BenchRequest(Struct, frozen=True):
    """What to measure and how long; None and empty leave the choice to the kernels. The record states `command`.

    With a `model`, its forward passes at `batch` are measured instead of kernels, by fresh processes only.
    """

    kernels: tuple[str, ...] = ()
    quick: bool = False
    budget_s: float | None = None
    threads: tuple[int, ...] | None = None
    dtypes: tuple[str, ...] | None = None
    sizes: tuple[tuple[int, int, int], ...] | None = None
    command: tuple[str, ...] = ()
    model: str | None = None
    batch: int = 1

    @property
    def seconds(self) -> float:
        """The budget in s."""
        return self.budget_s or (QUICK_S if self.quick else BUDGET_S)


def _refuse_choices(request: BenchRequest) -> None:
    """Raise InputError for dtypes or sizes of kernels that have none, and for what is no size."""
    for field, owners in CHOICES.items():
        if getattr(request, field) is not None and request.kernels and not owners & set(request.kernels):
            text = f"Only {', '.join(sorted(owners))} have {field}, not {' and '.join(request.kernels)}."
            raise InputError("nothing-to-measure", text, field=field)
    for size in request.sizes or ():
        sides = tuple(size) if isinstance(size, tuple | list) else ()
        if len(sides) != 3 or not all(type(side) is int and side > 0 for side in sides):
            text = f"'{shown(str(size), 40)}' is not a size: three whole numbers, m, k and n."
            raise InputError("size-range", text, field="size")


def bench(request: BenchRequest, progress: harness.Report | None = None) -> Record:
    """Measure a request. An interrupt ends it early and keeps what was measured (see harness.measure).

    Raises InputError for what cannot be measured here, KeyboardInterrupt when interrupted before the first sample.
    """
    start = time.monotonic()
    chosen = kernels.select(request.kernels)
    _refuse_choices(request)
    machine = host()
    settings = cpus.settings(
        machine, quick=request.quick, threads=request.threads, dtypes=request.dtypes, sizes=request.sizes
    )
    cpus.refuse_threads(max(request.threads or (1,)), settings)
    tasks, notices = kernels.tasks(chosen, settings, named=bool(request.kernels))
    if (
        machine.flags
        and not FP16_FLAGS.intersection(machine.flags)
        and any((task.kernel, task.dtype) == ("matmul", "fp16") and task.cpus for task in tasks)
    ):
        notices.append(notice("emulated-dtype", dtype="fp16"))
    if not tasks:
        raise InputError("nothing-to-measure", "Nothing is to be measured with these kernels, dtypes and sizes.")
    limits = harness.SamplingLimits(sample_s=QUICK_SAMPLE_S) if request.quick else None

    def measure() -> tuple[Measurement, ...]:
        left = request.seconds - (time.monotonic() - start)
        return harness.measure(tasks, max(left, 0.5 * request.seconds), limits=limits, progress=progress)

    return record(measure, machine, settings.classes, request.command, notices)


def record(
    measure: Callable[[], Sequence[Measurement]],
    machine: Host,
    classes: tuple[cpus.CpuClass, ...],
    command: tuple[str, ...] = (),
    notices: Sequence[Notice] = (),
) -> Record:
    """Measure, and return the record: measurements, environment, conditions before and after, and notices.

    `measure` takes the measurements; `hwbench run` makes its records by this too.
    """
    with Surroundings(machine, classes) as around:
        measurements = tuple(measure())
    return around.record(measurements, command, notices)


class Surroundings:
    """The conditions around whatever is measured in this context, of which `record` makes a record afterwards."""

    def __init__(self, machine: Host, classes: tuple[cpus.CpuClass, ...]) -> None:
        self.machine, self.classes = machine, classes
        self._numbers = [cpu for core_class in classes for cpu in core_class.cpus]
        self._others = ExitStack()

    def __enter__(self) -> Self:
        self.start = datetime.now(UTC)
        self.before = snapshot.snapshot(self._numbers)
        self._alone = self._others.enter_context(others.alone())
        return self

    def __exit__(self, *_: object) -> None:
        self.disturbed = [] if self._alone() else [notice("other-hwbench")]
        self._others.close()

    def record(
        self, measurements: tuple[Measurement, ...], command: tuple[str, ...] = (), notices: Sequence[Notice] = ()
    ) -> Record:
        """Return the record of what was measured in the context. Raises HwbenchError for nothing."""
        after = snapshot.snapshot(self._numbers)
        if not measurements:
            raise HwbenchError("Nothing was measured.")
        surroundings = environment.environment(self.machine, self.classes)
        changes = snapshot.disturbances(self.before, after)
        every = [*notices, *environment.cautions(surroundings), *changes, *self.disturbed]
        if wrong := dict.fromkeys(f"{each.kernel} {each.variant}" for each in measurements if each.checked is False):
            every.append(notice("wrong-answers", kernels=list(wrong)))
        if interrupted(measurements):
            every.append(notice("interrupted"))
        return Record(
            id=store.new_id(self.start),
            created=self.start.isoformat(timespec="milliseconds"),
            hwbench_version=__version__,
            command=command,
            environment=surroundings,
            before=self.before,
            after=after,
            measurements=measurements,
            notices=unique(every),
            device=self.machine.device,
        )


def interrupted(measurements: Sequence[Measurement]) -> bool:
    """Return whether somebody stopped the measurement."""
    return any(measurement.stopped == "interrupted" for measurement in measurements)


def joined(runs: Sequence[Record], command: tuple[str, ...] = (), turns: str | None = None) -> Record:
    """Return runs of fresh processes as one, whose samples are numbered by process.

    Another run whose processes took turns with these has the same `turns`.

    Conditions are those before the first and after the last run. Raises HwbenchError without runs.
    """
    if not runs:
        raise HwbenchError("No process measured anything.")
    by_key: dict[tuple[str, ...], list[tuple[int, Measurement]]] = {}
    for process, run in enumerate(runs):
        for measurement in run.measurements:
            by_key.setdefault(measurement.key, []).append((process, measurement))
    return replace(
        runs[0],
        id=store.new_id(),
        command=command,
        after=runs[-1].after,
        measurements=tuple(_together(parts) for parts in by_key.values()),
        notices=unique(_largest([each for run in runs for each in run.notices])),
        processes=len(runs),
        turns=turns,
    )


def _largest(notices: Sequence[Notice]) -> Iterator[Notice]:
    """Yield notices, of those that state a share the one with the largest, where the first of them was."""
    shares = {each.code: each for each in sorted(notices, key=lambda each: each.data.get("share", 0.0))}
    for each in notices:
        yield shares[each.code] if set(each.data) == {"share"} else each


def _together(parts: Sequence[tuple[int, Measurement]]) -> Measurement:
    checks = [measurement.checked for _, measurement in parts if measurement.checked is not None]
    stops = {measurement.stopped for _, measurement in parts}
    return replace(
        parts[0][1],
        samples=tuple(replace(sample, process=process) for process, part in parts for sample in part.samples),
        checked=all(checks) if checks else None,
        stopped=next(stop for stop in ("interrupted", "budget", "settled") if stop in stops),
    )
