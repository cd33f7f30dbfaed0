"""Main memory's bandwidth in B/s by STREAM's four operations, with ordinary and with non-temporal stores.

Bytes are counted as STREAM counts them (J. D. McCalpin, IEEE TCCA Newsletter, 1995): what the program reads and writes.
An ordinary store also reads the line that it fills, which is not counted; a non-temporal one does not, and so shows
what the memory can carry. Sources and destination are separate arrays, so that no value grows from pass to pass.
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from hwbench.measure.codegen import vectors
from hwbench.measure.harness import Task
from hwbench.measure.kernels.buffers import ALIGNMENT, aligned
from hwbench.measure.kernels.memory.loops import ADD, COPY, SCALE, TRIAD, stream_pass
from hwbench.measure.kernels.team import Placement
from hwbench.measure.subject import StreamSize

ELEMENT = 8
"""Bytes of an element: fp64, as in STREAM."""

PIECE = 1 << 18
"""Elements that are filled or checked at a time: no second array is needed, and the piece stays in a cache."""

CHECKED_PIECES = 16
"""Pieces that are compared with numpy's answer."""

FACTOR = 3.0


class Operation(Struct, frozen=True):
    """One of the four operations: its number, how many arrays it touches, and its answer, computed by numpy."""

    name: str
    number: int
    arrays: int
    answer: Callable[[Any, Any], Any]


OPERATIONS = (
    Operation("copy", COPY, 2, lambda left, _right: left),
    Operation("scale", SCALE, 2, lambda left, _right: FACTOR * left),
    Operation("add", ADD, 3, lambda left, right: left + right),
    Operation("triad", TRIAD, 3, lambda left, right: left + FACTOR * right),
)


class StreamArrays:
    """Three arrays of `size` bytes, cut into a chunk of pages for each member of a team.

    Each member touches its chunk first, so that it lies in the memory next to the member's CPU. A `lender` shares its
    memory, no more than it has, which saves the time to allocate and fill any: only right where all memory is near to
    every CPU.
    """

    def __init__(self, size: int, cores: Placement, lender: "StreamArrays | None" = None) -> None:
        self.cores, self.lender = cores, lender
        self.widths: dict[tuple[str, bool], int] = {}
        size = size if lender is None else min(size, lender.size)
        self.chunk = max(1, size // len(cores) // ALIGNMENT) * ALIGNMENT
        self.size: int = self.chunk * len(cores)
        self.parts: list[Any] | None = None
        self.places = [0, 0, 0]

    def allocate(self) -> None:
        """Allocate the memory; fill the sources with different numbers, the destination with -1."""
        if self.parts is not None:
            return
        if self.lender is not None:
            self.lender.allocate()
            assert self.lender.parts is not None
            self.parts = [part[: self.size // ELEMENT] for part in self.lender.parts]
        else:
            self.parts = [aligned(self.size).view(np.float64) for _ in range(3)]
            self.cores.run(self._fill)
        self.places = [part.ctypes.data for part in self.parts]

    def _fill(self, position: int) -> None:
        assert self.parts is not None
        destination, left, right = self.parts
        count = self.chunk // ELEMENT
        for at in range(position * count, (position + 1) * count, PIECE):
            piece = slice(at, min(at + PIECE, (position + 1) * count))
            numbers = np.arange(piece.start, piece.stop, dtype=np.float64)
            destination[piece] = -1
            left[piece] = numbers
            right[piece] = len(left) - numbers

    def run(self, operation: Operation, nontemporal: bool, bits: int, repetitions: int, position: int = 0) -> None:
        """Run an operation over one chunk so many times."""
        destination, left, right = (place + position * self.chunk for place in self.places)
        for _ in range(repetitions):
            stream_pass(destination, left, right, self.chunk, FACTOR, operation.number, int(nontemporal), bits)

    def passes(self, operation: Operation, nontemporal: bool, bits: int, repetitions: int) -> None:
        """Run an operation over all chunks so many times."""
        self.cores.run(functools.partial(self.run, operation, nontemporal, bits, repetitions))

    def width(self, operation: Operation, nontemporal: bool) -> int:
        """Return the best width of vectors in bits for an operation; it is measured once."""
        key = (operation.name, nontemporal)
        if key not in self.widths:
            self.widths[key] = self.best_width(operation, nontemporal, vectors.target().widths)
        return self.widths[key]

    def best_width(self, operation: Operation, nontemporal: bool, widths: Sequence[int]) -> int:
        """Return the fastest width of vectors in bits, by the best of three interleaved passes each.

        This need not be the widest: on Zen 4, 64-byte stores reach less of the memory's bandwidth than 16-byte ones.
        """
        best = dict.fromkeys(widths, float("inf"))
        for _ in range(3):
            for bits in widths:
                before = time.perf_counter()
                self.passes(operation, nontemporal, bits, 1)
                best[bits] = min(best[bits], time.perf_counter() - before)
        return min(best, key=lambda bits: best[bits])

    def right(self, operation: Operation, nontemporal: bool, bits: int) -> bool:
        """Return whether a pass gives numpy's answer exactly, in pieces from end to end of the arrays."""
        assert self.parts is not None
        destination, left, right = self.parts
        starts = np.linspace(0, max(0, len(left) - PIECE), CHECKED_PIECES, dtype=np.int64)
        pieces = [slice(at, at + PIECE) for at in starts]
        for piece in pieces:
            destination[piece] = -1
        self.passes(operation, nontemporal, bits, 1)
        return all(np.array_equal(destination[piece], operation.answer(left[piece], right[piece])) for piece in pieces)

    def free(self) -> None:
        """Free the memory, the lender's too."""
        self.parts = None
        if self.lender is not None:
            self.lender.free()
        if self.cores.team is not None:
            self.cores.team.close()


def task(operation: Operation, nontemporal: bool, arrays: StreamArrays) -> Task:
    """Return the task of one operation with one kind of store; tasks of the same number of threads share the arrays."""

    width = functools.partial(arrays.width, operation, nontemporal)

    def prepare() -> StreamSize:
        arrays.allocate()
        return StreamSize(arrays.size, width())

    return Task(
        kernel="stream",
        variant=f"{operation.name}-nt" if nontemporal else operation.name,
        unit="B/s",
        work=operation.arrays * arrays.size,
        call=lambda repetitions: arrays.passes(operation, nontemporal, width(), repetitions),
        dtype="fp64",
        subject=StreamSize(arrays.size),
        prepare=prepare,
        check=lambda: arrays.right(operation, nontemporal, width()),
        **{**arrays.cores.fields, "close": arrays.free},
    )
