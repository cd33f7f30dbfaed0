"""Threads of the matrix multiply: how the work is split, and workers that wait, each on its own CPU.

Workers are threads of Python that run compiled code without the interpreter's lock. After a job they spin for a
moment, so that the next job starts in under a microsecond, then sleep until they are called.
"""

import ctypes
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
from msgspec import Struct

from hwbench.measure.codegen.gate import PLACE, all_done, hand_out, ticket

PACKING, READING = 16, 8
"""Cost of packing a row of B, in rows of A that could be multiplied with it meanwhile; cost of reading a column of A,
in columns of B."""

LOOKS = 20_000
"""Looks at the ticket before a worker sleeps, or before the thread that waits for workers yields: about 1 ms."""

JOB_STRIDE = 48
"""64-bit integers from one thread's job to the next: two pairs of cache lines, so that no line is shared."""

PINS = hasattr(os, "sched_setaffinity")


class Share(Struct, frozen=True):
    """The part of C that one thread computes: from `row` and `column` on."""

    row: int
    column: int
    rows: int
    columns: int


NOTHING = Share(0, 0, 0, 0)
"""The share of a thread where there are more threads than shares."""


def shares(rows: int, columns: int, threads: int, tall: int, wide: int) -> tuple[Share, ...]:
    """Split C into up to `threads` parts: the grid of multiples of `tall` × `wide` whose longest part is shortest.

    Splitting columns is free; threads with the same columns pack the same part of B, each for itself.
    """
    grids = [(down, threads // down) for down in range(1, threads + 1)]
    row_cuts, column_cuts = min(
        ((_cuts(rows, down, tall), _cuts(columns, across, wide)) for down, across in grids),
        key=lambda cuts: (_longest(cuts[0]) + PACKING) * (_longest(cuts[1]) + READING),
    )
    return tuple(
        Share(top, left, bottom - top, right - left)
        for top, bottom in itertools.pairwise(row_cuts)
        for left, right in itertools.pairwise(column_cuts)
    )


def _cuts(whole: int, parts: int, step: int) -> list[int]:
    """Return where to cut into up to so many parts of nearly the same number of steps."""
    steps = -(-whole // step)
    parts = min(parts, steps)
    return [min(whole, steps * part // parts * step) for part in range(parts + 1)]


def _longest(cuts: list[int]) -> int:
    return max(after - before for before, after in itertools.pairwise(cuts))


class SpinningTeam:
    """The calling thread and a worker for each further CPU, with one job at a time.

    Why not `kernels.team.Team`: its locks take 20 µs longer to start and end a job, a tenth of a product of 256 on two
    cores. And a Team must not spin, since that would disturb other measurements.
    """

    def __init__(self, cpus: Sequence[int], run: Callable[..., int], kind: Any) -> None:
        self.cpus = tuple(cpus)
        self.run, self.kind = run, kind
        self.jobs = np.zeros((len(self.cpus), JOB_STRIDE), np.int64)
        self._gate = np.zeros((len(self.cpus) + 1) * PLACE, np.uint8)
        self._places = self._gate.ctypes.data + -self._gate.ctypes.data % PLACE
        self._ticket = 0
        self._operands: Any = None
        self._lock = threading.Lock()
        self._called = threading.Condition()
        self._settle()
        ticket(self._places)  # compiled now, not while a job waits
        hand_out(self._places, 0, 0)
        for position in range(1, len(self.cpus)):
            threading.Thread(target=self._serve, args=(position,), name=f"hwbench-gemm-{position}", daemon=True).start()

    def multiply(self, jobs: Any, operands: Any, *, brief: bool = False) -> None:
        """Run the jobs, a row of 64-bit integers for each thread, at once; return when all are done.

        `operands` keeps alive the memory to which the jobs point. The calling thread stays on the first CPU meanwhile,
        but in a `brief` call only where it would else compete with a worker: keeping it there takes 6 µs. An
        interrupted call leaves workers busy; the next call waits for them.
        """
        with self._lock:
            self._settle()
            self._operands = operands
            pins = PINS and not (brief and current_cpu() not in (-1, *self.cpus[1:]))
            before = os.sched_getaffinity(0) if pins else None
            try:
                self.jobs[:] = jobs
                self._start()
                if pins:
                    pin({self.cpus[0]})
                self.run(self.kind, self.jobs[0], 0, 0, 0)
                self._settle()
            finally:
                pin(before)

    def _start(self) -> None:
        self._ticket += 1
        hand_out(self._worker(1), len(self.cpus) - 1, self._ticket)
        with self._called:
            self._called.notify_all()

    def _settle(self) -> None:
        while not all_done(self._worker(1), len(self.cpus) - 1, self._ticket, LOOKS):
            time.sleep(0)

    def _worker(self, position: int) -> int:
        return self._places + position * PLACE

    def _serve(self, position: int) -> None:
        pin({self.cpus[position]})
        place, job, seen = self._worker(position), self.jobs[position], 0
        while True:
            seen = self.run(self.kind, job, place, seen, LOOKS)
            with self._called:
                while ticket(place) == seen:
                    self._called.wait()


@cache
def _cpu_of_caller() -> Any:
    return getattr(ctypes.PyDLL(None), "sched_getcpu", None) if PINS else None


def current_cpu() -> int:
    """Return the CPU that the calling thread is on; -1 where the system does not tell."""
    ask = _cpu_of_caller()
    return int(ask()) if ask else -1


_teams: dict[Any, SpinningTeam] = {}


def team(cpus: tuple[int, ...], run: Callable[..., int], kind: Any) -> SpinningTeam:
    """Return the team on these CPUs for a loop and a type of `kind`; it exists for the life of the process."""
    key = cpus, run, kind.dtype, kind.ndim
    if key not in _teams:
        _teams[key] = SpinningTeam(cpus, run, kind)
    return _teams[key]


def pin(cpus: Iterable[int] | None) -> None:
    """Keep this thread on some CPUs; where the system does not allow it, leave the thread where it is."""
    if PINS and cpus is not None:
        with suppress(OSError):
            os.sched_setaffinity(0, cpus)
