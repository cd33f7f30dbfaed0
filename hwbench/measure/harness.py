"""The timing of tasks: samples of all of them in turns, until the medians are precise enough or the time is over.

A kernel makes `Task`s; `measure` prepares them, finds how many repetitions make a sample long enough to time, and takes
samples of all of them in random order, so that a drift of the machine affects all alike. Every sample is kept with its
wall and its CPU time; preempted ones are marked, not dropped.
"""

import gc
import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

from msgspec import Struct

from hwbench.measure.record import Measurement, Sample, Stopped, Timer, Unit, Where, label
from hwbench.measure.subject import Subject
from hwbench.measure.summary import graded, interval, judged, spread

SAMPLE_S = 0.02
"""Shortest duration of a sample in s: the resolution of clocks and ticks is then below a thousandth of it."""
_LEAD_IN_S = 0.025  # a single repetition longer than this warms itself up
_SETTLE_S = 0.1
_MAX_WAITING = 20.0  # wall time over CPU time up to which several threads are taken to wait for CPUs only
_NOT_PYTHONS = (signal.SIG_IGN, signal.SIG_DFL, None)
_GROWTH = 50.0
_PREPARED, _CALIBRATED = 0.3, 0.4
"""Shares of the whole measurement that are shown as done when all tasks are prepared, and calibrated."""


class Task(Struct, frozen=True):
    """Something to time. `call(repetitions)` runs it that many times; one repetition does `work` (see Measurement).

    `prepare` compiles and allocates, untimed and called once, and may return the `subject` that it found; `check` then
    tells whether the answer is right, None where nothing is there to compare it with; `cycles` gives the clock cycles
    that the last call counted, `elapsed` the time in s of the last call by a device's own clock (then `timer` is
    `device`); `close` frees what `prepare` took. `warm` runs untimed before every timed stretch, where `call` alone
    would not bring the caches to the state that is measured. A task of one thread is pinned to the first of `cpus`; one
    of several threads pins its own, as do `own_threads`, those of a library that does the work while the calling thread
    waits.
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
    check: Callable[[], bool | None] | None = None
    cycles: Callable[[], float] | None = None
    elapsed: Callable[[], float] | None = None
    close: Callable[[], None] | None = None
    warm: Callable[[], None] | None = None
    own_threads: bool = False

    @property
    def label(self) -> str:
        """Return what people call it: `fma throughput avx512 fp32 ×2`."""
        return label(self)


class Progress(Struct, frozen=True):
    """The progress of a measurement: `share` of the work that is done (0 to 1), and what is being done now."""

    share: float
    stage: Literal["preparing", "calibrating", "sampling"]
    label: str


class SamplingLimits(Struct, frozen=True):
    """When a task needs no more samples: `max_samples`, or `settled`, the half-width of the median's interval over it.

    The interval counts from `min_samples` on. `share` of the budget is reserved for sampling, however long preparation
    took: a first run compiles for a minute.
    """

    share: float = 0.4
    sample_s: float = SAMPLE_S
    settled: float = 0.01
    min_samples: int = 9
    max_samples: int = 200


Report = Callable[[Progress], None]
_SETTING = tuple(name for name in Task.__struct_fields__ if name in Measurement.__struct_fields__)
"""The fields of a task that its measurement has too."""


class _TaskState(Struct):
    task: Task
    subject: Subject | None
    repetitions: int = 1
    once_s: float = 0.0
    checked: bool | None = None
    samples: list[Sample] = []
    stopped: Stopped | None = None

    def measurement(self) -> Measurement:
        setting = {name: getattr(self.task, name) for name in _SETTING}
        return Measurement(
            **{**setting, "subject": self.subject},
            samples=judged(self.samples, self.task.threads, self.task.timer),
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
    """Return samples of every task, within `budget_s` seconds in all, of which sampling gets its share.

    Every task gets one sample, even if that takes longer. An interrupt (KeyboardInterrupt) ends it early: tasks with
    samples are returned with `stopped` `interrupted`; without any sample the interrupt is raised.
    """
    limits = limits or SamplingLimits()
    report = progress or (lambda _progress: None)
    states = [_TaskState(task, task.subject) for task in tasks]
    order = random.Random(seed)
    interrupted = False
    try:
        with _steady():
            deadline = time.perf_counter() + budget_s
            for number, state in enumerate(states):
                report(Progress(_PREPARED * number / len(states), "preparing", state.task.label))
                with _whole():
                    if state.task.prepare is not None:
                        state.subject = state.task.prepare() or state.subject
                    if state.task.check is not None:
                        agrees = state.task.check()
                        state.checked = None if agrees is None else bool(agrees)
            _sample_all(states, limits, max(deadline, time.perf_counter() + limits.share * budget_s), report, order)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        for state in states:
            if state.task.close is not None:
                state.task.close()
    measurements = tuple(state.measurement() for state in states if state.samples)
    if interrupted and not measurements:
        raise KeyboardInterrupt
    return measurements


@contextmanager
def _whole() -> Iterator[None]:
    """Hold an interrupt back until the end; a second one is raised at once.

    One that reaches Python inside of LLVM prints a traceback and leaves a kernel half compiled.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) in _NOT_PYTHONS:
        yield
        return
    received: list[int] = []

    def hold(number: int, _frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if received:
        raise KeyboardInterrupt


def _sample_all(
    states: list[_TaskState], limits: SamplingLimits, deadline: float, report: Report, order: random.Random
) -> None:
    """Calibrate every task, then sample all in random order, tasks of one thread before those of several.

    Every second round is only for tasks that would still be graded D: there the time tells most.
    """
    for number, state in enumerate(states):
        report(Progress(_PREPARED + (_CALIBRATED - _PREPARED) * number / len(states), "calibrating", state.task.label))
        _calibrate(state, limits.sample_s)
    calibrated = time.perf_counter()
    for number in itertools.count():
        running = [state for state in states if state.stopped is None]
        if not running:
            return
        if number % 2:
            running = [state for state in running if _is_doubtful(state)] or running
        order.shuffle(running)
        running.sort(key=lambda state: state.task.threads > 1)
        crowd = False
        for state in running:
            if time.perf_counter() > deadline and state.samples:
                state.stopped = "budget"
                continue
            spent = (time.perf_counter() - calibrated) / max(deadline - calibrated, 1e-3)
            settled = sum(other.stopped is not None for other in states) / len(states)
            report(
                Progress(_CALIBRATED + (1 - _CALIBRATED) * max(min(1.0, spent), settled), "sampling", state.task.label)
            )
            if state.task.threads > 1 and not crowd:
                crowd = True
                _settle(state)
            with pinned(_place(state.task)):
                if state.once_s < _LEAD_IN_S:  # brings caches and clock to the state that the task itself causes
                    state.task.call(max(1, state.repetitions // 8))
                state.samples.append(_stretch(state.task, state.repetitions))
            if _enough(state, limits):
                state.stopped = "settled"


def _calibrate(state: _TaskState, sample_s: float) -> None:
    """Increase the repetitions until a stretch lasts a little more than `sample_s`; the first stretch is a warm-up.

    Where a single repetition lasts as long as that, even the first, no second one is needed. CPU time counts, that of
    one of several threads, so that waiting for a CPU shortens no sample.
    """

    def elapsed_in(repetitions: int) -> float:
        sample = _stretch(state.task, repetitions, counting=False)
        if sample.cpu_s is None:
            return sample.wall_s
        if state.task.timer == "cpu" and state.task.threads == 1:
            return sample.cpu_s
        return max(sample.cpu_s / state.task.threads, sample.wall_s / _MAX_WAITING)

    with pinned(_place(state.task)):
        state.once_s = elapsed_in(1)
        while state.once_s < 2 * sample_s:
            elapsed = elapsed_in(state.repetitions)
            state.once_s = elapsed / state.repetitions
            if elapsed >= sample_s:
                return
            growth = min(_GROWTH, 1.2 * sample_s / max(elapsed, 1e-9))
            state.repetitions = max(state.repetitions + 1, int(state.repetitions * growth))


def _settle(state: _TaskState) -> None:
    """Let all cores reach the clock that they sustain together, before the first all-core sample of a round."""
    end, now = time.perf_counter() + _SETTLE_S, 0.0
    while now < end:
        state.task.call(state.repetitions)
        now = time.perf_counter()


def _stretch(task: Task, repetitions: int, counting: bool = True) -> Sample:
    """Time one stretch, and count its cycles afterwards if wanted, which takes as long as a short sample.

    The CPU time is this thread's where it works alone, the process's where others do.
    """
    cpu_clock = time.thread_time_ns if task.threads == 1 and not task.own_threads else time.process_time_ns
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


def _enough(state: _TaskState, limits: SamplingLimits) -> bool:
    count = len(state.samples)
    if count >= limits.max_samples:
        return True
    return count >= limits.min_samples and spread(state.measurement(), limits.min_samples) < limits.settled


def _is_doubtful(state: _TaskState) -> bool:
    """Return whether the samples so far would be graded D."""
    measurement = state.measurement()
    return graded(measurement, interval(measurement))[0] == "D"


@contextmanager
def _steady() -> Iterator[None]:
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
    """Keep this thread on one CPU, and restore its affinity afterwards; None leaves it alone."""
    if cpu is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    with suppress(OSError):  # a CPU is offline, or a sandbox forbids it: measure on any CPU
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setaffinity(0, before)


def _place(task: Task) -> int | None:
    """Return the CPU for a task of one thread. Tasks of several pin their own: their threads would inherit this pin."""
    return task.cpus[0] if task.threads == 1 and task.cpus else None
