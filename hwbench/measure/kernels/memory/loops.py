"""Loops over memory: one pass of STREAM over arrays, sums over a working set, and a chase of pointers.

Addresses are 64-bit integers, counted in bytes.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import float64, int64, void

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled, emits

COPY, SCALE, ADD, TRIAD = OPERATIONS = range(4)
"""STREAM's operations as `stream_pass` numbers them."""

UNROLL = 4
"""Vectors of an array in one round of a pass: arrays are whole pages, which every width of vectors divides."""

SUMS = 8
"""Independent sums of a read, so that no addition waits for the one before it."""

STEPS = 64
"""Loads in one round of a chase."""


def pass_ir(builder: ir.IRBuilder, arguments: Sequence[ir.Value], operation: int, bits: int, nontemporal: bool) -> None:
    """Emit one pass of an operation over fp64 arrays.

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
        start = builder.mul(number, vectors.constant(UNROLL * width))
        for part in range(UNROLL):
            place = vectors.offset(builder, start, part * width)
            vectors.store(builder, result(place), builder.add(destination, place), width, nontemporal=nontemporal)
        return []

    vectors.loop(builder, builder.udiv(size, vectors.constant(UNROLL * width)), [], body)
    if nontemporal:
        builder.fence("seq_cst")


@emits(void(int64, int64, int64, int64, float64, int64, int64, int64))
def _pass(
    builder: ir.IRBuilder, destination: Any, left: Any, right: Any, size: Any, factor: Any, kind: Any, store: Any,
    width: Any,
) -> None:  # fmt: skip
    for operation, nontemporal, bits in itertools.product(OPERATIONS, (False, True), vectors.target().widths):
        wanted = ((kind, operation), (store, int(nontemporal)), (width, bits))
        tests = [builder.icmp_signed("==", value, vectors.constant(known)) for value, known in wanted]
        with builder.if_then(functools.reduce(builder.and_, tests)):
            pass_ir(builder, (destination, left, right, size, factor), operation, bits, nontemporal)


@compiled
def stream_pass(
    destination: int, left: int, right: int, size: int, factor: float, operation: int, store: int, bits: int
) -> None:
    """Run one pass of `operation` over `size` bytes; `store`: 1 for non-temporal; `bits`: width of vectors."""
    _pass(destination, left, right, size, factor, operation, store, bits)


def read_ir(builder: ir.IRBuilder, address: ir.Value, size: ir.Value, passes: ir.Value, bits: int) -> ir.Value:
    """Emit the sum of the 64-bit words of `size` bytes, a multiple of `SUMS` vectors, over so many passes."""
    kind = ir.VectorType(vectors.I64, bits // 64)
    width = bits // 8
    zero = ir.Constant(kind, [0] * kind.count)
    rounds = builder.udiv(size, vectors.constant(SUMS * width))

    def read_round(number: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        place = builder.add(address, builder.mul(number, vectors.constant(SUMS * width)))
        return [
            builder.add(value, vectors.load(builder, vectors.offset(builder, place, k * width), kind, width))
            for k, value in enumerate(sums)
        ]

    def read_pass(_number: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
        return vectors.loop(builder, rounds, sums, read_round)

    total = vectors.constant(0)
    for value in vectors.loop(builder, passes, [zero] * SUMS, read_pass):
        for lane in range(kind.count):
            total = builder.add(total, builder.extract_element(value, ir.Constant(vectors.I32, lane)))
    return total


@emits(int64(int64, int64, int64))
def _read(builder: ir.IRBuilder, address: ir.Value, size: ir.Value, passes: ir.Value) -> ir.Value:
    return read_ir(builder, address, size, passes, vectors.target().widths[-1])


@compiled
def read(address: int, size: int, passes: int) -> Any:
    """Return the sum of the 64-bit words of `size` bytes (a multiple of 512) over so many passes, modulo 2^64."""
    return _read(address, size, passes)


def chase_ir(builder: ir.IRBuilder, address: ir.Value, rounds: ir.Value) -> ir.Value:
    """Emit a chase of `STEPS` pointers a round; its value is the last one."""

    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        place = values[0]
        for _ in range(STEPS):
            place = vectors.load(builder, place, vectors.I64, 8)
        return [place]

    return vectors.loop(builder, rounds, [address], body)[0]


_chase = emits(int64(int64, int64))(chase_ir)


@compiled
def chase(address: int, rounds: int) -> Any:
    """Follow the pointers from an address, `STEPS` a round; returns the address that the last one holds."""
    return _chase(address, rounds)
