"""Threads of the matrix multiply: how the work is split, and workers that stay, each on a CPU of its own.

Workers are threads of Python that run compiled code without the interpreter's lock. After a job they spin for a
moment, so that the next one starts in under a microsecond, then sleep until they are called.
"""

import itertools
import os
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import numpy as np
from msgspec import Struct

from hwbench.measure.codegen.gate import PLACE, all_done, hand_out, ticket
from hwbench.measure.gemm.intrinsics import vector_of
from hwbench.measure.gemm.loops import run
from hwbench.measure.gemm.microkernel import ROWS, Tile

PACKING, READING = 16, 8
"""What packing a row of B costs, in rows of A that could be multiplied with it meanwhile; what reading a column of A
costs, in columns of B."""

LOOKS = 20_000
"""Looks at the ticket before a worker sleeps, or before who waits for the workers lets others run: about 1 ms."""

JOB_STRIDE = 32
"""64-bit integers from one thread's job to the next: two pairs of cache lines, so that none is shared."""

PINS = hasattr(os, "sched_setaffinity")


class Share(Struct, frozen=True):
    """The part of C that one thread computes: from `row` and `column` on."""

    row: int
    column: int
    rows: int
    columns: int


NOTHING = Share(0, 0, 0, 0)
"""What a thread has to do when there is less to do than threads."""


def shares(rows: int, columns: int, threads: int, tile: Tile) -> tuple[Share, ...]:
    """C in at most `threads` parts: a grid of whole vectors and tiles' rows, the one whose longest part is shortest.

    Columns cost nothing to split; threads with the same columns pack the same part of B, each for itself.
    """
    grids = [(down, threads // down) for down in range(1, threads + 1)]
    row_cuts, column_cuts = min(
        ((_cuts(rows, down, ROWS), _cuts(columns, across, tile.lanes)) for down, across in grids),
        key=lambda cuts: (_longest(cuts[0]) + PACKING) * (_longest(cuts[1]) + READING),
    )
    return tuple(
        Share(top, left, bottom - top, right - left)
        for top, bottom in itertools.pairwise(row_cuts)
        for left, right in itertools.pairwise(column_cuts)
    )


def _cuts(whole: int, parts: int, step: int) -> list[int]:
    """Where to cut into at most so many parts of nearly the same number of steps."""
    steps = -(-whole // step)
    parts = min(parts, steps)
    return [min(whole, steps * part // parts * step) for part in range(parts + 1)]


def _longest(cuts: list[int]) -> int:
    return max(after - before for before, after in itertools.pairwise(cuts))


class Crew:
    """The calling thread and workers beside it, one for each further CPU. One job at a time."""

    def __init__(self, cpus: Sequence[int], vector: Any) -> None:
        self.cpus = tuple(cpus)
        self.vector = vector
        self.jobs = np.zeros((len(self.cpus), JOB_STRIDE), np.int64)
        self._room = np.zeros((len(self.cpus) + 1) * PLACE, np.uint8)
        self._places = self._room.ctypes.data + -self._room.ctypes.data % PLACE
        self._ticket = 0
        self._held: Any = None
        self._lock = threading.Lock()
        self._called = threading.Condition()
        self._settle()
        ticket(self._places)  # compiled now, not while a job waits
        hand_out(self._places, 0, 0)
        for position in range(1, len(self.cpus)):
            threading.Thread(target=self._serve, args=(position,), name=f"hwbench-gemm-{position}", daemon=True).start()

    def multiply(self, jobs: Any, held: Any) -> None:
        """Run the jobs, a row of 64-bit integers for each thread, together; returns when all are done.

        `held` keeps alive what the jobs point to. An interrupted call leaves workers busy: the next one waits for them.
        """
        with self._lock:
            self._settle()
            self._held = held
            before = os.sched_getaffinity(0) if PINS else None
            try:
                self.jobs[:] = jobs
                self._start()
                pin({self.cpus[0]})
                run(self.vector, self.jobs[0], 0, 0, 0)
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
            seen = run(self.vector, job, place, seen, LOOKS)
            with self._called:
                while ticket(place) == seen:
                    self._called.wait()


@cache
def crew(cpus: tuple[int, ...], tile: Tile) -> Crew:
    """The crew on these CPUs for a tile's vectors; it stays for the life of the process."""
    return Crew(cpus, vector_of(tile))


def pin(cpus: Iterable[int] | None) -> None:
    """Keep this thread on some CPUs; where the system cannot or may not, it runs where the kernel puts it."""
    if PINS and cpus is not None:
        with suppress(OSError):
            os.sched_setaffinity(0, cpus)
