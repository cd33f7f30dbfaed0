"""Loops of multiply-adds in registers: independent ones for throughput, dependent ones for latency, and with the clock.

Every accumulator takes a step there and a step back, so that the operands' bits change each time, as they do in real
work, and no value grows out of bounds or becomes denormal. Where a multiply-add is one instruction the steps are
x → x + a·b and x → x + c·d (Arm's writes over its addend, x86's over any operand), and c·d is nearly -a·b. Where it is
two they are x → x·a + b and x → x·c + d, for a product of constants would be computed once, outside the loop. Each way
there and back leaves a little difference, so that the answer after any number of rounds is known and is checked.

The loop `loaded` runs the integer chain of chain.py among the multiply-adds. As long as the chain is the slower of the
two, its length is the number of clock cycles, counted under that very load.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled
from hwbench.measure.kernels.clock.loops import MASK, STEP, pair

OPERANDS = 4
"""Registers that hold a, b, c and d."""

STEPS = 4
"""Multiply-adds of each accumulator in one round of the throughput loop: even, so that it is back where it began."""

DEPENDENT = 32
"""Multiply-adds in one round of the latency loop."""

BEATS, BEAT_PAIRS = 4, 4
"""A round of the loaded loop has so many beats, each with so many pairs of the chain: 8 cycles a beat."""

LOADED_CYCLES = 2 * BEATS * BEAT_PAIRS
"""Clock cycles of one round of the loaded loop, where the chain is what holds it back."""

DENSITIES = (1, 3, 6, 12, 24)
"""Multiply-adds a beat. From the second: three quarters of what half a pipe, one, two and four pipes can take."""


def operands(dtype: str, fused: bool) -> tuple[Any, Any, Any, Any]:
    """a, b, c and d as numbers of a dtype: each pair of steps leaves x within 1/1024 of where it was."""
    kind = np.float32 if dtype == "fp32" else np.float64
    a, b, left = 1.3717, 0.7191, 1 - 2**-10
    if fused:
        return kind(a), kind(b), kind(-0.9173), kind(left * a * b / 0.9173)
    goal = 1.1093  # the point that both steps together lead to
    return kind(a), kind(b), kind(left / a), kind(goal - left / a * (a * goal + b))


def step(
    builder: ir.IRBuilder, value: ir.Value, constants: Sequence[ir.Value], number: int, fused: bool
) -> ir.Value:  # fmt: skip
    """An accumulator after its step of this number: there where it is even, back where it is odd."""
    one, other = constants[2:] if number % 2 else constants[:2]
    if fused:
        return vectors.fma(builder, one, other, value)
    return vectors.multiply_add(builder, value, one, other)


def accumulators(registers: int) -> int:
    """How many independent accumulators leave no pipe idle and fit: 12 of 16 registers, 24 of 32.

    Needed: pipes × latency, at most 2 × 5 on x86 (Haswell), 4 × 4 on Arm, which has 32 registers.
    """
    return 24 if registers >= 32 else registers - OPERANDS


def starts(builder: ir.IRBuilder, first: ir.Value, lanes: int, count: int) -> list[ir.Value]:
    """Different values for the accumulators, k/16 apart, so that LLVM cannot take two for one."""
    steps = [builder.fadd(first, ir.Constant(first.type, k / 16)) for k in range(count)]
    return [vectors.splat(builder, value, lanes) for value in steps]


def throughput_ir(
    builder: ir.IRBuilder, rounds: ir.Value, scalars: Sequence[ir.Value], bits: int, count: int, fused: bool
) -> ir.Value:
    """Independent multiply-adds: `STEPS` a round on each of `count` accumulators. Gives the sum of all their lanes."""
    lanes = lanes_of(scalars[0].type, bits)
    constants = [vectors.splat(builder, scalar, lanes) for scalar in scalars]

    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        for number in range(STEPS):
            values = [step(builder, value, constants, number, fused) for value in values]
        return values

    return total(builder, vectors.loop(builder, rounds, starts(builder, scalars[0], lanes, count), body))


def latency_ir(
    builder: ir.IRBuilder, rounds: ir.Value, scalars: Sequence[ir.Value], bits: int, fused: bool
) -> ir.Value:  # fmt: skip
    """Multiply-adds of which each waits for the last: `DEPENDENT` a round on one accumulator. Gives its lanes' sum.

    A fused one waits by its addend, as in a dot product: some Arm cores take less time for that than for a factor.
    """
    lanes = lanes_of(scalars[0].type, bits)
    constants = [vectors.splat(builder, scalar, lanes) for scalar in scalars]

    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        for number in range(DEPENDENT):
            values = [step(builder, values[0], constants, number, fused)]
        return values

    return total(builder, vectors.loop(builder, rounds, starts(builder, scalars[0], lanes, 1), body))


def loaded_ir(
    builder: ir.IRBuilder,
    rounds: ir.Value,
    link: ir.Value,
    scalars: Sequence[ir.Value],
    bits: int,
    density: int,
    count: int,
    fused: bool,
) -> ir.Value:
    """The chain with `density` multiply-adds a beat beside it, on at most `count` accumulators.

    `link` is the chain's first value; its step and mask are made of it here, where LLVM cannot know them. Gives the
    sum of all lanes of the accumulators plus the chain's last bit, which is there only to be computed.
    """
    lanes = lanes_of(scalars[0].type, bits)
    constants = [vectors.splat(builder, scalar, lanes) for scalar in scalars]
    turns = turning(density, count)
    added, mask = builder.xor(link, vectors.constant(STEP)), builder.xor(link, vectors.constant(MASK))

    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        link, states = values[0], values[1:]
        done = 0
        for part in range(BEATS * BEAT_PAIRS):
            link = pair(builder, link, added, mask)
            while done * BEAT_PAIRS < density * (part + 1):
                states[done % turns] = step(builder, states[done % turns], constants, done // turns, fused)
                done += 1
        return [link, *states]

    link, *states = vectors.loop(builder, rounds, [link, *starts(builder, scalars[0], lanes, turns)], body)
    bit = builder.uitofp(builder.and_(link, vectors.constant(1)), scalars[0].type)
    return builder.fadd(total(builder, states), bit)


def turning(density: int, count: int) -> int:
    """Accumulators of the loaded loop: the most, up to `count`, that share the multiply-adds of a beat evenly."""
    return max(number for number in range(1, count + 1) if density % number == 0)


def lanes_of(element: ir.Type, bits: int) -> int:
    """Elements of a type in a vector of this width."""
    return bits // (32 if isinstance(element, ir.FloatType) else 64)


def total(builder: ir.IRBuilder, values: Sequence[ir.Value]) -> ir.Value:
    """The sum of all lanes of several vectors."""
    return functools.reduce(builder.fadd, vectors.add_lanes(builder, values))


FLOATS = types.float32, types.float64


def _signature(arguments: Sequence[Any], literals: Sequence[Any]) -> Any:
    """int64 counts, floats of one kind, and what the loop is made for; None for anything else."""
    kind = arguments[-1]
    if kind not in FLOATS:
        return None
    counts = [types.int64] * (len(arguments) - OPERANDS)
    return kind(*counts, *[kind] * OPERANDS, *literals)


@intrinsic(prefer_literal=True)
def _throughput(_context: Any, rounds: Any, a: Any, b: Any, c: Any, d: Any, bits: Any) -> Any:
    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: list[ir.Value]) -> ir.Value:
        target = vectors.target()
        count = accumulators(target.registers)
        return throughput_ir(builder, arguments[0], arguments[1:5], bits.literal_value, count, target.fused)

    return _signature((rounds, a, b, c, d), [bits]), generate


@intrinsic(prefer_literal=True)
def _latency(_context: Any, rounds: Any, a: Any, b: Any, c: Any, d: Any, bits: Any) -> Any:
    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: list[ir.Value]) -> ir.Value:
        return latency_ir(builder, arguments[0], arguments[1:5], bits.literal_value, vectors.target().fused)

    return _signature((rounds, a, b, c, d), [bits]), generate


@intrinsic(prefer_literal=True)
def _loaded(
    _context: Any, density: Any, rounds: Any, link: Any, a: Any, b: Any, c: Any, d: Any, bits: Any
) -> Any:  # fmt: skip
    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: list[ir.Value]) -> ir.Value:
        chosen, rounds, link, *scalars = arguments[:7]
        target = vectors.target()
        answer: ir.Value = ir.Constant(scalars[0].type, 0)
        for number in DENSITIES:

            def build(number: int = number) -> list[ir.Value]:
                count = accumulators(target.registers)
                return [loaded_ir(builder, rounds, link, scalars, bits.literal_value, number, count, target.fused)]

            wanted = builder.icmp_signed("==", chosen, vectors.constant(number))
            answer = vectors.choose(builder, wanted, build, [answer])[0]
        return answer

    return _signature((density, rounds, link, a, b, c, d), [bits]), generate


# numba cannot cache what a closure holds, so that the width has to stand in the code: hence one function a width.
@compiled
def throughput_128(rounds: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """`throughput_ir` on vectors of 128 bits."""
    return _throughput(rounds, a, b, c, d, 128)


@compiled
def throughput_256(rounds: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """`throughput_ir` on vectors of 256 bits."""
    return _throughput(rounds, a, b, c, d, 256)


@compiled
def throughput_512(rounds: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """`throughput_ir` on vectors of 512 bits."""
    return _throughput(rounds, a, b, c, d, 512)


@compiled
def latency_128(rounds: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """`latency_ir` on vectors of 128 bits."""
    return _latency(rounds, a, b, c, d, 128)


@compiled
def latency_256(rounds: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """`latency_ir` on vectors of 256 bits."""
    return _latency(rounds, a, b, c, d, 256)


@compiled
def latency_512(rounds: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """`latency_ir` on vectors of 512 bits."""
    return _latency(rounds, a, b, c, d, 512)


@compiled
def loaded_128(density: Any, rounds: Any, link: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """`loaded_ir` on vectors of 128 bits; `density`: one of DENSITIES."""
    return _loaded(density, rounds, link, a, b, c, d, 128)


@compiled
def loaded_256(density: Any, rounds: Any, link: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """`loaded_ir` on vectors of 256 bits; `density`: one of DENSITIES."""
    return _loaded(density, rounds, link, a, b, c, d, 256)


@compiled
def loaded_512(density: Any, rounds: Any, link: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """`loaded_ir` on vectors of 512 bits; `density`: one of DENSITIES."""
    return _loaded(density, rounds, link, a, b, c, d, 512)


THROUGHPUT: dict[int, Callable[..., Any]] = {128: throughput_128, 256: throughput_256, 512: throughput_512}
LATENCY: dict[int, Callable[..., Any]] = {128: latency_128, 256: latency_256, 512: latency_512}
LOADED: dict[int, Callable[..., Any]] = {128: loaded_128, 256: loaded_256, 512: loaded_512}


def iterated(dtype: str, pairs: int, count: int, lanes: int, fused: bool) -> float:
    """The loops' answer after `pairs` of steps there and back on `count` accumulators, computed in fp64 by numpy."""
    a, b, c, d = (float(operand) for operand in operands(dtype, fused))
    values = a + np.arange(count) / 16
    for _ in range(pairs):
        values = values + a * b + c * d if fused else c * (a * values + b) + d
    return float(values.sum() * lanes)
