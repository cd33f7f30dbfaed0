"""Loops of dot products in registers: bf16 and int8, and multiply-adds of fp16, as throughput and as latency.

Every sum takes a step forth by a·b and one back by c·d, so that its bits change each time; both together leave 1, so
that the answer after any number of rounds is known. All numbers are small and whole: no sum is rounded,
unless rounds are so many that it grows no more.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import int64

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled, emits
from hwbench.measure.codegen.dots import Dot, DotDtype, dot, dots, widths
from hwbench.measure.codegen.vectors import I32, I64
from hwbench.measure.kernels.fma.loops import accumulators

STEPS = 4
"""Instructions on each sum in one round of the throughput loop: even, so that it ends where it began."""

DEPENDENT = 32
"""Instructions in one round of the latency loop."""

FACTORS: dict[DotDtype, tuple[tuple[int, ...], ...]] = {
    "bf16": ((3, 5), (7, -2), (-3, 2), (4, 1)), "fp16": ((3,), (5,), (7,), (-2,)),
    "int8": ((3, 5, 7, 11), (7, -2, 9, 1), (12, 2, 4, 6), (-7, 3, -3, 1)),
}  # fmt: skip
"""a, b, c and d: those of a lane, or of each half of it in fp16. Of bytes, a and c are not negative: x86 reads them
without a sign."""


def operands(dtype: DotDtype) -> tuple[int, int, int, int]:
    """Return a, b, c and d as the 32 bits of a lane each."""
    a, b, c, d = (_lane(dtype, numbers) for numbers in FACTORS[dtype])
    return a, b, c, d


def _lane(dtype: DotDtype, numbers: Sequence[int]) -> int:
    if dtype == "int8":
        return int(np.array(numbers, np.int8).view(np.int32)[0])
    if dtype == "fp16":
        return int(np.array(2 * tuple(numbers), np.float16).view(np.int32)[0])
    halves = (np.array(numbers, np.float32).view(np.uint32) >> 16).astype(np.uint16)  # a bf16 is a float's upper half
    return int(halves.view(np.int32)[0])


def loop_ir(
    builder: ir.IRBuilder, rounds: ir.Value, scalars: Sequence[ir.Value], kind: Dot, bits: int, count: int, steps: int
) -> ir.Value:
    """Emit `steps` instructions a round on each of `count` sums, which start at 0, 1, 2 ...; gives the sum of all."""
    lanes, single = kind.lanes(bits), kind.dtype != "int8"
    constants = [vectors.splat(builder, builder.trunc(scalar, I32), bits // 32) for scalar in scalars]
    sums_type = ir.VectorType(kind.sum_type, lanes)
    starts = [ir.Constant(sums_type, [float(k) if single else k] * lanes) for k in range(count)]

    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        for number in range(steps):
            a, b = constants[2:] if number % 2 else constants[:2]
            values = [dot(builder, kind.intrinsics[bits], a, b, value) for value in values]
        return values

    add = functools.partial(vectors.add, builder)
    sums = vectors.loop(builder, rounds, starts, body)
    if kind.dtype == "fp16":
        sums = [builder.fpext(value, ir.VectorType(ir.FloatType(), lanes)) for value in sums]
    total = functools.reduce(add, sums)
    whole = functools.reduce(add, [builder.extract_element(total, ir.Constant(I32, lane)) for lane in range(lanes)])
    return builder.fptosi(whole, I64) if single else builder.sext(whole, I64)


def answer(kind: Dot, bits: int, count: int, pairs: int) -> int:
    """Return what the loop gives after so many pairs of steps: each adds 1 to every sum, as often as `kind.steps`."""
    return kind.lanes(bits) * sum(k + pairs * kind.steps for k in range(count))


def _emit(builder: ir.IRBuilder, which: ir.Value, bits: ir.Value, build: Callable[[Dot, int], ir.Value]) -> ir.Value:
    """Emit a loop for every instruction and width of this CPU; numbers select one at run time. 0 for any other."""
    target, zero = vectors.target(), ir.Constant(I64, 0)
    every = dots(target)

    def by_width(number: int) -> ir.Value:
        return vectors.switch(builder, bits, widths(every[number], target), lambda w: build(every[number], w), zero)

    return vectors.switch(builder, which, range(len(every)), by_width, zero)


_SIGNATURE = int64(*[int64] * 7)


@emits(_SIGNATURE)
def _throughput(builder: ir.IRBuilder, which: Any, bits: Any, rounds: Any, a: Any, b: Any, c: Any, d: Any) -> ir.Value:
    scalars, count = (a, b, c, d), accumulators(vectors.target().registers)
    return _emit(builder, which, bits, lambda kind, width: loop_ir(builder, rounds, scalars, kind, width, count, STEPS))


@emits(_SIGNATURE)
def _latency(builder: ir.IRBuilder, which: Any, bits: Any, rounds: Any, a: Any, b: Any, c: Any, d: Any) -> ir.Value:
    return _emit(
        builder, which, bits, lambda kind, width: loop_ir(builder, rounds, (a, b, c, d), kind, width, 1, DEPENDENT)
    )


@compiled
def throughput(which: int, bits: int, rounds: int, a: int, b: int, c: int, d: int) -> Any:
    """Run independent dot products of the instruction of this number on vectors of `bits` bits."""
    return _throughput(which, bits, rounds, a, b, c, d)


@compiled
def latency(which: int, bits: int, rounds: int, a: int, b: int, c: int, d: int) -> Any:
    """Run `DEPENDENT` dot products a round, each of which waits for the sum of the one before."""
    return _latency(which, bits, rounds, a, b, c, d)
