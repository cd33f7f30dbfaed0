"""How things are timed: one sample after another, in turns, until the medians are known well enough or time is up.

A kernel gives `Task`s; `measure` prepares them, finds how many repetitions make a sample long enough to time, and
takes samples of all of them in random order, so that a drift of the machine falls on all alike. Every sample is kept
with its wall and its CPU time; those that were preempted are marked, not dropped.
"""

import gc
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

import msgspec
from msgspec import Struct

from hwbench.measure.record import Measurement, Sample, Stopped, Timer, Unit, Where, label
from hwbench.measure.subject import Subject
from hwbench.measure.summary import judged, spread

SAMPLE_S = 0.02
"""Least duration of a sample in s: clocks and the scheduler's ticks are then below a thousandth of it."""
SETTLED = 0.01
"""Half-width of the median's interval, as a share of it, at which a task needs no more samples."""
FEWEST = 9
"""Samples below which no interval is believed."""
MOST = 200
_LEAD_IN_S = 0.025  # a single repetition longer than this warms itself up
_SETTLE_S = 0.1
_GROWTH = 50.0


class Task(Struct, frozen=True):
    """One thing to be timed. `call(repetitions)` runs it that many times; one repetition does `work` (see Measurement).

    `prepare` compiles and allocates, untimed and called once, and may return the `subject` that it found; `check` then
    tells whether the answer is right; `cycles` gives the clock cycles that the last call counted, `elapsed` the time in
    s of the last call by a device's own clock (then `timer` is `device`); `close` frees what `prepare` took. `warm`
    runs untimed before every timed stretch, where `call` alone would not bring the caches to the state that is
    measured. A task of one thread is pinned to the first of `cpus`; one of several threads pins its own.
    """

    kernel: str
    variant: str
    unit: Unit
    work: float
    call: Callable[[int], None]
    dtype: str | None = None
    isa: str | None = None
    threads: int = 1
    size: str | None = None
    timer: Timer = "cpu"
    cpus: tuple[int, ...] = ()
    where: Where = "cpu"
    core_class: str | None = None
    subject: Subject | None = None
    prepare: Callable[[], Subject | None] | None = None
    check: Callable[[], bool] | None = None
    cycles: Callable[[], float] | None = None
    elapsed: Callable[[], float] | None = None
    close: Callable[[], None] | None = None
    warm: Callable[[], None] | None = None

    @property
    def label(self) -> str:
        """Return what people call it: `fma throughput avx512 fp32 ×2`."""
        return label(self)


class Progress(Struct, frozen=True):
    """Where a measurement stands: `share` of the work that is done (0 to 1), and what is being done now."""

    share: float
    stage: Literal["preparing", "calibrating", "sampling"]
    label: str


class SamplingLimits(Struct, frozen=True):
    """When sampling stops: `budget_s` in all, `fewest` samples before an interval is believed, `most` of one task.

    `share` of the budget is kept for sampling, however long preparation took: a first run compiles for a minute.
    """

    budget_s: float = 30.0
    share: float = 0.4
    sample_s: float = SAMPLE_S
    settled: float = SETTLED
    fewest: int = FEWEST
    most: int = MOST


Report = Callable[[Progress], None]


class _Timed:
    """A task on its way: its calibrated repetitions and the samples so far."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.subject = task.subject
        self.repetitions = 1
        self.once_s = 0.0
        self.checked: bool | None = None
        self.samples: list[Sample] = []
        self.stopped: Stopped | None = None

    @property
    def lead_in(self) -> int:
        """Repetitions before a sample that bring the caches and the clock to where the task itself takes them."""
        return max(1, self.repetitions // 8) if self.once_s < _LEAD_IN_S else 0

    def measurement(self) -> Measurement:
        """What is known of it."""
        task = self.task
        return Measurement(
            kernel=task.kernel,
            variant=task.variant,
            unit=task.unit,
            work=task.work,
            samples=judged(self.samples, task.threads, task.timer),
            dtype=task.dtype,
            isa=task.isa,
            threads=task.threads,
            size=task.size,
            timer=task.timer,
            cpus=task.cpus,
            where=task.where,
            core_class=task.core_class,
            subject=self.subject,
            checked=self.checked,
            stopped=self.stopped or "interrupted",
        )


def measure(
    tasks: Sequence[Task],
    budget_s: float = 30.0,
    *,
    limits: SamplingLimits | None = None,
    progress: Report | None = None,
    seed: int | None = None,
) -> tuple[Measurement, ...]:
    """Samples of every task, within `budget_s` seconds in all, of which sampling gets its share (see Limits).

    Every task gets one sample, even if that takes longer.
    An interrupt (KeyboardInterrupt) ends it early: what was sampled is returned with `stopped` `interrupted`, and
    only where nothing was, the interrupt is raised.
    """
    limits = msgspec.structs.replace(limits or SamplingLimits(), budget_s=budget_s)
    told = progress or (lambda _progress: None)
    timed = [_Timed(task) for task in tasks]
    order = random.Random(seed)
    interrupted = False
    try:
        with _steady():
            deadline = time.perf_counter() + budget_s
            for number, one in enumerate(timed):
                told(Progress(number / len(timed), "preparing", one.task.label))
                _prepare(one)
            _sample_all(timed, limits, max(deadline, time.perf_counter() + limits.share * budget_s), told, order)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        for one in timed:
            if one.task.close is not None:
                one.task.close()
    found = tuple(one.measurement() for one in timed if one.samples)
    if interrupted and not found:
        raise KeyboardInterrupt
    return found


def _prepare(one: _Timed) -> None:
    if one.task.prepare is not None:
        one.subject = one.task.prepare() or one.subject
    if one.task.check is not None:
        one.checked = bool(one.task.check())


def _sample_all(
    timed: list[_Timed], limits: SamplingLimits, deadline: float, told: Report, order: random.Random
) -> None:
    """Calibrate every task, then go round in random order; tasks of one thread before those of several."""
    for number, one in enumerate(timed):
        told(Progress(0.2 * number / len(timed), "calibrating", one.task.label))
        _calibrate(one, limits.sample_s)
    calibrated = time.perf_counter()
    while running := [one for one in timed if one.stopped is None]:
        order.shuffle(running)
        running.sort(key=lambda one: one.task.threads > 1)
        crowd = False
        for one in running:
            if time.perf_counter() > deadline and one.samples:
                one.stopped = "budget"
                continue
            now = time.perf_counter()
            share = 0.2 + 0.8 * min(1.0, (now - calibrated) / max(deadline - calibrated, 1e-3))
            settled = sum(other.stopped is not None for other in timed) / len(timed)
            told(Progress(max(share, 0.2 + 0.8 * settled), "sampling", one.task.label))
            if one.task.threads > 1 and not crowd:
                crowd = True
                _settle(one)
            _sample(one)
            if _enough(one, limits):
                one.stopped = "settled"


def _calibrate(one: _Timed, sample_s: float) -> None:
    """Grow the repetitions until a stretch lasts `sample_s`, and a little more. The first stretch is warm-up.

    Where a single repetition lasts as long as that, cold or not, no second one is needed to know it.
    """

    def elapsed_in(repetitions: int) -> float:
        sample = _stretch(one.task, repetitions, counting=False)
        by_cpu = one.task.timer == "cpu" and one.task.threads == 1  # so that being preempted shortens no sample
        return sample.cpu_s if by_cpu and sample.cpu_s else sample.wall_s

    with pinned(_place(one.task)):
        one.once_s = elapsed_in(1)
        while one.once_s < 2 * sample_s:
            elapsed = elapsed_in(one.repetitions)
            one.once_s = elapsed / one.repetitions
            if elapsed >= sample_s:
                return
            growth = min(_GROWTH, 1.2 * sample_s / max(elapsed, 1e-9))
            one.repetitions = max(one.repetitions + 1, int(one.repetitions * growth))


def _settle(one: _Timed) -> None:
    """Let all cores wake and find the clock that they hold together, before the first all-core sample of a round."""
    end = time.perf_counter() + _SETTLE_S
    one.task.call(one.repetitions)
    while time.perf_counter() < end:
        one.task.call(one.repetitions)


def _sample(one: _Timed) -> None:
    with pinned(_place(one.task)):
        if one.lead_in:
            one.task.call(one.lead_in)
        one.samples.append(_stretch(one.task, one.repetitions))


def _stretch(task: Task, repetitions: int, counting: bool = True) -> Sample:
    """One timed stretch, its cycles counted after it if wanted: reading the clock takes as long as a short sample.

    CPU time is this thread's where one works, the process's where several do.
    """
    cpu_clock = time.thread_time_ns if task.threads == 1 else time.process_time_ns
    if task.warm is not None:
        task.warm()
    cpu = cpu_clock()
    wall = time.perf_counter_ns()
    task.call(repetitions)
    wall = time.perf_counter_ns() - wall
    cpu = cpu_clock() - cpu
    return Sample(
        wall_s=(task.elapsed() if task.elapsed else max(wall, 1) * 1e-9),
        repetitions=repetitions,
        cpu_s=None if task.timer == "device" else max(cpu, 1) * 1e-9,
        cycles=task.cycles() if task.cycles and counting else None,
    )


def _enough(one: _Timed, limits: SamplingLimits) -> bool:
    count = len(one.samples)
    if count >= limits.most:
        return True
    return count >= limits.fewest and spread(one.measurement(), limits.fewest) < limits.settled


@contextmanager
def _steady() -> Iterator[None]:
    """No garbage collection inside samples."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def pinned(cpu: int | None) -> Iterator[None]:
    """Keep this thread on one CPU, and afterwards wherever it was allowed before; None leaves it where it is."""
    if cpu is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    with suppress(OSError):  # a CPU went offline, or a sandbox forbids it: measured wherever the kernel puts us
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, before)


def _place(task: Task) -> int | None:
    """The CPU for a task of one thread. Tasks of several pin their own: threads that they start would inherit it."""
    return task.cpus[0] if task.threads == 1 and task.cpus else None
