"""How fast a core reads working sets of growing size, in B/s: each cache shows as a plateau (see levels.py).

The kernel adds up vectors of integers, eight sums at once, pass after pass over the same bytes: loads, and nothing
that takes longer than they do.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled
from hwbench.measure.harness import Task
from hwbench.measure.kernels.buffers import aligned, natural
from hwbench.measure.kernels.team import Team

SUMS = 8
PIECE = 1 << 18
SMALLEST = 4 << 10


def read_ir(builder: ir.IRBuilder, address: ir.Value, size: ir.Value, passes: ir.Value, bits: int) -> ir.Value:
    """Add up the 64-bit words of `size` bytes, so many times; `size` is a multiple of `SUMS` vectors."""
    kind = ir.VectorType(vectors.I64, bits // 64)
    width = bits // 8
    zero = ir.Constant(kind, [0] * kind.count)
    rounds = builder.udiv(size, vectors.constant(SUMS * width))

    def part(number: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        place = builder.add(address, builder.mul(number, vectors.constant(SUMS * width)))
        return [
            builder.add(value, vectors.load(builder, vectors.offset(builder, place, k * width), kind, width))
            for k, value in enumerate(sums)
        ]

    def whole(_number: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        return vectors.loop(builder, rounds, sums, part)

    total = vectors.constant(0)
    for value in vectors.loop(builder, passes, [zero] * SUMS, whole):
        for lane in range(kind.count):
            total = builder.add(total, builder.extract_element(value, ir.Constant(vectors.I32, lane)))
    return total


@intrinsic
def _read(_context: Any, _address: Any, _size: Any, _passes: Any) -> Any:
    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: list[ir.Value]) -> ir.Value:
        address, size, passes = arguments
        return read_ir(builder, address, size, passes, vectors.target().widths[-1])

    return types.int64(types.int64, types.int64, types.int64), generate


@compiled
def read(address: int, size: int, passes: int) -> Any:
    """The sum of the 64-bit words of `size` bytes (a multiple of 512) over so many passes, modulo 2^64."""
    return _read(address, size, passes)


class Buffer:
    """One buffer, whose first bytes are every working set; its words are numbered, so that their sum is known."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.bytes: Any = None
        self.address = 0

    def allocate(self) -> None:
        """Take and fill the memory, unless it is there."""
        if self.bytes is None:
            self.bytes = aligned(self.size, natural(self.size))
            words = self.bytes.view(np.int64)
            for at in range(0, len(words), PIECE):
                words[at : at + PIECE] = np.arange(at, min(at + PIECE, len(words)))
            self.address = self.bytes.ctypes.data

    def read(self, size: int, passes: int) -> int:
        """Read the first `size` bytes so often; gives their sum."""
        return int(read(self.address, size, passes))

    def right(self, size: int) -> bool:
        """Whether two passes give twice the sum of the first `size` bytes' words."""
        words = size // 8
        total = words * (words - 1)  # twice the sum of 0 to words - 1
        return self.read(size, 2) == (total + 2**63) % 2**64 - 2**63

    def free(self) -> None:
        """Give the memory back."""
        self.bytes = None


def sizes(largest: int, steps: int) -> tuple[int, ...]:
    """Working sets in bytes from 4 KiB to at most `largest`: `steps` an octave (1 or 2), multiples of 2 KiB."""
    found = []
    size = SMALLEST
    while size <= largest:
        found += [size, size * 3 // 2] if steps == 2 and size * 3 // 2 <= largest else [size]
        size *= 2
    return tuple(found)


def task(
    buffer: Buffer, size: int, cpus: tuple[int, ...], core_class: str | None, parameters: dict[str, Any]
) -> Task:  # fmt: skip
    """Reading one working set by one core."""

    def call(passes: int) -> None:
        buffer.read(size, passes)

    return Task(
        kernel="working-set",
        variant="read",
        unit="B/s",
        work=size,
        call=call,
        size=str(size),
        cpus=cpus,
        core_class=core_class,
        parameters={"bytes": size, **parameters},
        prepare=buffer.allocate,
        check=lambda: buffer.right(size),
        close=buffer.free,
    )


def team_task(buffers: Sequence[Buffer], size: int, team: Team, cpus: tuple[int, ...], level: str) -> Task:
    """Reading a working set by each core of a team, from a buffer of its own; `level`: where those sets fit."""

    def together(job: Callable[[Buffer], object]) -> None:
        team.run(lambda position: void(job(buffers[position])))

    return Task(
        kernel="working-set",
        variant="read",
        unit="B/s",
        work=size * len(team),
        call=lambda passes: together(lambda buffer: buffer.read(size, passes)),
        threads=len(team),
        size=str(size),
        clock="wall",
        cpus=cpus,
        parameters={"bytes": size, "level": level},
        prepare=lambda: together(lambda buffer: buffer.allocate()),
        check=lambda: all(buffer.right(size) for buffer in buffers),
        close=lambda: close(buffers, team),
    )


def close(buffers: Sequence[Buffer], team: Team) -> None:
    """Give back what a team's task took."""
    team.close()
    for buffer in buffers:
        buffer.free()


def void(_value: object) -> None:
    """Drop a value."""
