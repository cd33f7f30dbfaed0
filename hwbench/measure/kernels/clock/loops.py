"""A chain of dependent integer operations: one a clock cycle on any CPU, so that counting them counts cycles.

The chain is `v = (v + y) ^ z` on run-time values: LLVM would fold constants, and recent CPUs add constants while
renaming registers, in no cycle. An addition and an exclusive or of registers take a cycle each on every known 64-bit
core (Agner Fog, Instruction tables; uops.info), and neither can be reordered across the other.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from llvmlite import ir
from numba import int64

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled, emits

PAIRS = 64
"""Pairs of an addition and an exclusive or in one round of the loop."""

CYCLES = 2 * PAIRS
"""Clock cycles of one round: the loop's own counter runs in parallel with the chain."""

STEP, MASK = 0x9E3779B97F4A7C15 - (1 << 64), 0x5851F42D4C957F2D
"""The number that is added and the one that is exclusive-ored: any odd numbers with many bits."""

WORD = (1 << 64) - 1


def pair(builder: ir.IRBuilder, value: ir.Value, step: ir.Value, mask: ir.Value) -> ir.Value:
    """Emit the chain's value two cycles later."""
    return builder.xor(builder.add(value, step), mask)


@emits(int64(int64, int64, int64, int64))
def _chain(builder: ir.IRBuilder, rounds: ir.Value, start: ir.Value, step: ir.Value, mask: ir.Value) -> ir.Value:
    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        value = values[0]
        for _ in range(PAIRS):
            value = pair(builder, value, step, mask)
        return [value]

    return vectors.loop(builder, rounds, [start], body)[0]


@compiled
def chain(rounds: int, start: int, step: int, mask: int) -> Any:
    """Run `CYCLES` dependent operations `rounds` times; returns the chain's last value."""
    return _chain(rounds, start, step, mask)


def values(start: int, step: int = STEP, mask: int = MASK) -> Iterator[int]:
    """Yield the chain's value after each pair as a signed 64-bit number, computed in Python to check the kernel."""
    value = start
    while True:
        value = ((value + step) ^ mask) & WORD
        yield value - (1 << 64) if value >> 63 else value


def expected(pairs: int, start: int) -> int:
    """Return the chain's value after so many pairs (at least one)."""
    return next(islice(values(start), pairs - 1, None))


def check() -> bool:
    """Return whether the kernel runs the whole chain: its value after three rounds is the one that Python computes."""
    return bool(chain(3, 7, STEP, MASK) == expected(3 * PAIRS, 7))
