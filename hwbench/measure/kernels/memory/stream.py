"""Main memory's bandwidth in B/s by STREAM's four kernels, with ordinary and with non-temporal stores.

Bytes are counted as STREAM counts them (J. D. McCalpin, IEEE TCCA Newsletter, 1995): what the program reads and writes.
An ordinary store also reads the line that it fills, which is not counted; a non-temporal one does not, and so shows
what the memory can carry. Sources and destination are separate arrays, so that no value grows from pass to pass.
"""

import functools
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from msgspec import Struct
from numba import types
from numba.extending import intrinsic

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled
from hwbench.measure.harness import Task
from hwbench.measure.kernels.buffers import ALIGNMENT, aligned
from hwbench.measure.kernels.team import Team

ELEMENT = 8
"""Bytes of an element: fp64, as STREAM has it."""

PIECE = 1 << 18
"""Elements that are filled or checked at a time: no second array is needed, and the piece stays in a cache."""

CHECKED = 16
"""Pieces that are compared with numpy's answer."""

FACTOR = 3.0
UNROLL = 4
"""Vectors a round of the loop: a chunk is a number of pages, which every width divides."""

COPY, SCALE, ADD, TRIAD = range(4)


def pass_ir(builder: ir.IRBuilder, arguments: Sequence[ir.Value], operation: int, bits: int, nontemporal: bool) -> None:
    """One pass of an operation over fp64 arrays.

    `arguments`: addresses of the destination and of two sources, all aligned to a vector, the bytes of each array, and
    the factor; the second source is read where the operation has one.
    """
    destination, left, right, size, factor = arguments
    kind = vectors.vector("fp64", vectors.lanes("fp64", bits))
    width = bits // 8
    scale = vectors.splat(builder, factor, kind.count)

    def result(place: ir.Value) -> ir.Value:
        first = vectors.load(builder, builder.add(left, place), kind, width)
        if operation == COPY:
            return first
        if operation == SCALE:
            return builder.fmul(scale, first)
        second = vectors.load(builder, builder.add(right, place), kind, width)
        if operation == ADD:
            return builder.fadd(first, second)
        return vectors.multiply_add(builder, scale, second, first)

    def body(number: ir.Value, _values: list[ir.Value]) -> list[ir.Value]:
        place = builder.mul(number, vectors.constant(UNROLL * width))
        for part in range(UNROLL):
            here = vectors.offset(builder, place, part * width)
            vectors.store(builder, result(here), builder.add(destination, here), width, nontemporal)
        return []

    vectors.loop(builder, builder.udiv(size, vectors.constant(UNROLL * width)), [], body)
    if nontemporal:
        builder.fence("seq_cst")


@intrinsic
def _pass(
    _context: Any, _destination: Any, _left: Any, _right: Any, _size: Any, _factor: Any, _kind: Any, _store: Any,
    _bits: Any,
) -> Any:  # fmt: skip
    def generate(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: list[ir.Value]) -> ir.Value:
        choices = itertools.product(range(len(OPERATIONS)), (False, True), vectors.target().widths)
        for operation, nontemporal, bits in choices:
            wanted = zip(arguments[5:], (operation, int(nontemporal), bits), strict=True)
            tests = [builder.icmp_signed("==", value, vectors.constant(known)) for value, known in wanted]
            with builder.if_then(functools.reduce(builder.and_, tests)):
                pass_ir(builder, arguments[:5], operation, bits, nontemporal)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(whole, whole, whole, whole, types.float64, whole, whole, whole), generate


@compiled
def one_pass(
    destination: int, left: int, right: int, size: int, factor: float, operation: int, store: int, bits: int
) -> None:
    """One pass of `operation` over `size` bytes; `store`: 1 for non-temporal; `bits`: width of vectors."""
    _pass(destination, left, right, size, factor, operation, store, bits)


class Operation(Struct, frozen=True):
    """One of the four: its number, the arrays that it touches, and what its answer is, for numpy to compute."""

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
    """Three arrays of `size` bytes, cut into a chunk of pages for each member of a team, who touches it first.

    So each chunk lies in the memory next to its CPU, where there is more than one. Where `quick`, the first operation
    with a kind of store finds the width of vectors for all of them. A `lender` gives of its own memory, no more than it
    has, which saves the time to take and fill any: only where all memory is as near to every CPU.
    """

    def __init__(self, size: int, team: Team | None, quick: bool = False, lender: "StreamArrays | None" = None) -> None:
        self.team = team
        self.quick = quick
        self.lender = lender
        self.found: dict[tuple[str | None, bool], int] = {}
        self.members = len(team) if team else 1
        room = size if lender is None else min(size, lender.size)
        self.chunk = max(1, room // self.members // ALIGNMENT) * ALIGNMENT
        self.size: int = self.chunk * self.members
        self.parts: tuple[Any, Any, Any] | None = None
        self.places: tuple[int, int, int] = (0, 0, 0)

    def allocate(self) -> None:
        """Take the memory and fill it: the sources with numbers that tell places apart, the destination with none."""
        if self.parts is not None:
            return
        if self.lender is not None:
            self.lender.allocate()
            assert self.lender.parts is not None
            destination, left, right = (part[: self.size // ELEMENT] for part in self.lender.parts)
        else:
            destination, left, right = (aligned(self.size).view(np.float64) for _ in range(3))
        self.places = (destination.ctypes.data, left.ctypes.data, right.ctypes.data)
        self.parts = (destination, left, right)
        if self.lender is None:
            self.together(self._fill)

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

    def together(self, job: Callable[[int], None]) -> None:
        """Run a job once for every chunk, by the member whose it is."""
        if self.team is None:
            job(0)
        else:
            self.team.run(job)

    def run(self, operation: Operation, nontemporal: bool, bits: int, repetitions: int, position: int = 0) -> None:
        """So many passes of an operation over one chunk."""
        destination, left, right = (place + position * self.chunk for place in self.places)
        for _ in range(repetitions):
            one_pass(destination, left, right, self.chunk, FACTOR, operation.number, int(nontemporal), bits)

    def passes(self, operation: Operation, nontemporal: bool, bits: int, repetitions: int) -> None:
        """So many passes over all chunks."""
        self.together(functools.partial(self.run, operation, nontemporal, bits, repetitions))

    def width(self, operation: Operation, nontemporal: bool) -> int:
        """The width of vectors in bits for an operation, looked for once."""
        key = (None if self.quick else operation.name, nontemporal)
        if key not in self.found:
            self.found[key] = self.best_width(operation, nontemporal, vectors.target().widths)
        return self.found[key]

    def best_width(self, operation: Operation, nontemporal: bool, widths: Sequence[int]) -> int:
        """The width of vectors in bits that is fastest here, by the best of three passes each, in turns.

        The widest is not: on Zen 4, 64-byte stores reach less of the memory's bandwidth than 16-byte ones do.
        """
        best = dict.fromkeys(widths, float("inf"))
        for _ in range(3):
            for bits in widths:
                before = time.perf_counter()
                self.passes(operation, nontemporal, bits, 1)
                best[bits] = min(best[bits], time.perf_counter() - before)
        return min(best, key=lambda bits: best[bits])

    def right(self, operation: Operation, nontemporal: bool, bits: int) -> bool:
        """Whether a pass gives numpy's answer, exactly, in pieces all over the arrays, their ends among them."""
        assert self.parts is not None
        destination, left, right = self.parts
        starts = np.linspace(0, max(0, len(left) - PIECE), CHECKED, dtype=np.int64)
        pieces = [slice(at, at + PIECE) for at in starts]
        for one in pieces:
            destination[one] = -1
        self.passes(operation, nontemporal, bits, 1)
        return all(np.array_equal(destination[one], operation.answer(left[one], right[one])) for one in pieces)

    def free(self) -> None:
        """Give the memory back, the lender's too."""
        self.parts = None
        if self.lender is not None:
            self.lender.free()
        if self.team is not None:
            self.team.close()


def task(operation: Operation, nontemporal: bool, arrays: StreamArrays, cpus: tuple[int, ...]) -> Task:
    """One operation with one kind of store over arrays that tasks of the same number of threads share."""
    parameters: dict[str, Any] = {"array_bytes": arrays.size}

    def prepare() -> None:
        arrays.allocate()
        parameters["bits"] = arrays.width(operation, nontemporal)

    return Task(
        kernel="stream",
        variant=f"{operation.name}-nt" if nontemporal else operation.name,
        unit="B/s",
        work=operation.arrays * arrays.size,
        call=lambda repetitions: arrays.passes(operation, nontemporal, parameters["bits"], repetitions),
        dtype="fp64",
        threads=arrays.members,
        clock="wall" if arrays.team else "cpu",
        cpus=cpus,
        parameters=parameters,
        prepare=prepare,
        check=lambda: arrays.right(operation, nontemporal, parameters["bits"]),
        close=arrays.free,
    )
