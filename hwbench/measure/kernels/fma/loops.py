"""Loops of multiply-adds in registers: independent for throughput, dependent for latency, and among the clock's chain.

Every accumulator takes a step forth and a step back, so that its bits change each time, as in real work, and no value
overflows or becomes denormal. Where a multiply-add is one instruction the steps are x → x + a·b and x → x + c·d (Arm's
overwrites its addend, x86's any operand), and c·d is nearly -a·b. Where it is two instructions they are x → x·a + b and
x → x·c + d, since a product of constants would be moved out of the loop. Each pair of steps leaves a small difference,
so that the answer after any number of rounds is known and can be checked.

The loop `loaded` runs the integer chain of clock/loops.py among the multiply-adds. As long as the chain is the slower
of the two, its length is the number of clock cycles, counted under that load.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float32, float64, int64

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled, emits
from hwbench.measure.kernels.clock.loops import MASK, STEP, pair

OPERANDS = 4
"""Registers that hold a, b, c and d."""

STEPS = 4
"""Multiply-adds of each accumulator in one round of the throughput loop: even, so that it ends where it began."""

DEPENDENT = 32
"""Multiply-adds in one round of the latency loop."""

BEATS, BEAT_PAIRS = 4, 4
"""Beats in a round of the loaded loop, and pairs of the chain in a beat, which takes 8 cycles."""

LOADED_CYCLES = 2 * BEATS * BEAT_PAIRS
"""Clock cycles of one round of the loaded loop, where the chain limits it."""

DENSITIES = (1, 3, 6, 12, 24)
"""Multiply-adds a beat: 1, and three quarters of what half a pipe, one, two and four pipes can execute."""


def operands(dtype: str, fused: bool) -> tuple[Any, Any, Any, Any]:
    """Return a, b, c and d as numbers of a dtype: each pair of steps leaves x within 1/1024 of where it was."""
    kind = np.float32 if dtype == "fp32" else np.float64
    a, b, left = 1.3717, 0.7191, 1 - 2**-10
    if fused:
        return kind(a), kind(b), kind(-0.9173), kind(left * a * b / 0.9173)
    goal = 1.1093  # the fixed point of both steps together
    return kind(a), kind(b), kind(left / a), kind(goal - left / a * (a * goal + b))


def step(builder: ir.IRBuilder, value: ir.Value, constants: Sequence[ir.Value], number: int, fused: bool) -> ir.Value:
    """Emit the step of this number of an accumulator: forth where it is even, back where it is odd."""
    first, second = constants[2:] if number % 2 else constants[:2]
    if fused:
        return vectors.fma(builder, first, second, value)
    return vectors.multiply_add(builder, value, first, second)


def accumulators(registers: int) -> int:
    """Return how many accumulators fit the registers and leave no pipe idle: 12 of 16 registers, 24 of 32.

    Needed are pipes × latency, at most 2 × 5 on x86 (Haswell), 4 × 4 on Arm, which has 32 registers.
    """
    return 24 if registers >= 32 else registers - OPERANDS


def splats(builder: ir.IRBuilder, scalars: Sequence[ir.Value], bits: int) -> list[ir.Value]:
    """Emit a vector of each scalar."""
    return [vectors.splat(builder, scalar, bits // vectors.bits_of(scalar.type)) for scalar in scalars]


def starts(builder: ir.IRBuilder, first: ir.Value, bits: int, count: int) -> list[ir.Value]:
    """Emit starts of the accumulators, k/16 apart, so that LLVM cannot merge two of them."""
    return splats(builder, [builder.fadd(first, ir.Constant(first.type, k / 16)) for k in range(count)], bits)


def throughput_ir(
    builder: ir.IRBuilder, rounds: ir.Value, scalars: Sequence[ir.Value], bits: int, count: int, fused: bool,
    steps: int = STEPS,
) -> ir.Value:  # fmt: skip
    """Emit `steps` multiply-adds a round on each of `count` accumulators; gives the sum of all."""
    constants = splats(builder, scalars, bits)

    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        for number in range(steps):
            values = [step(builder, value, constants, number, fused) for value in values]
        return values

    return total(builder, vectors.loop(builder, rounds, starts(builder, scalars[0], bits, count), body))


def loaded_ir(
    builder: ir.IRBuilder, rounds: ir.Value, link: ir.Value, scalars: Sequence[ir.Value], bits: int, density: int,
    count: int, fused: bool,
) -> ir.Value:  # fmt: skip
    """Emit the chain with `density` multiply-adds a beat among it, on up to `count` accumulators.

    `link` is the chain's first value; step and mask are computed from it, so that LLVM cannot know them. The value is
    the sum of all lanes of the accumulators plus the chain's last bit, which keeps LLVM from deleting the chain.
    """
    constants = splats(builder, scalars, bits)
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

    link, *states = vectors.loop(builder, rounds, [link, *starts(builder, scalars[0], bits, turns)], body)
    bit = builder.uitofp(builder.and_(link, vectors.constant(1)), scalars[0].type)
    return builder.fadd(total(builder, states), bit)


def turning(density: int, count: int) -> int:
    """Return the accumulators of the loaded loop: the most, up to `count`, that divide the multiply-adds of a beat."""
    return max(number for number in range(1, count + 1) if density % number == 0)


def total(builder: ir.IRBuilder, values: Sequence[ir.Value]) -> ir.Value:
    """Emit the sum of all lanes of several vectors."""
    return functools.reduce(builder.fadd, vectors.add_lanes(builder, values))


def _signature(*arguments: Any) -> Any:
    """Return the signature for int64 counts and four floats of one kind; None for any other arguments."""
    kind = arguments[-1]
    return kind(*[int64] * (len(arguments) - OPERANDS), *[kind] * OPERANDS) if kind in (float32, float64) else None


def _by_width(builder: ir.IRBuilder, bits: ir.Value, kind: ir.Type, build: Callable[[int], ir.Value]) -> ir.Value:
    """Emit a loop for every width of vectors; at run time `bits` selects one. The value is 0 for any other number."""
    return vectors.switch(builder, bits, vectors.target().widths, build, ir.Constant(kind, 0))


@emits(_signature)
def _throughput(builder: ir.IRBuilder, bits: Any, rounds: Any, a: Any, b: Any, c: Any, d: Any) -> ir.Value:
    target = vectors.target()
    count = accumulators(target.registers)
    return _by_width(
        builder, bits, a.type, lambda width: throughput_ir(builder, rounds, (a, b, c, d), width, count, target.fused)
    )


@emits(_signature)
def _latency(builder: ir.IRBuilder, bits: Any, rounds: Any, a: Any, b: Any, c: Any, d: Any) -> ir.Value:
    # A fused one depends on its addend, as in a dot product: some Arm cores forward that faster than a factor.
    fused = vectors.target().fused
    return _by_width(
        builder, bits, a.type, lambda width: throughput_ir(builder, rounds, (a, b, c, d), width, 1, fused, DEPENDENT)
    )


@emits(_signature)
def _loaded(
    builder: ir.IRBuilder, bits: Any, density: Any, rounds: Any, link: Any, a: Any, b: Any, c: Any, d: Any
) -> ir.Value:  # fmt: skip
    target = vectors.target()
    count, zero = accumulators(target.registers), ir.Constant(a.type, 0)

    def build(width: int) -> ir.Value:
        def build_one(number: int) -> ir.Value:
            return loaded_ir(builder, rounds, link, (a, b, c, d), width, number, count, target.fused)

        return vectors.switch(builder, density, DENSITIES, build_one, zero)

    return _by_width(builder, bits, a.type, build)


# The width is selected at run time, so that one function serves all widths: numba cannot cache what a closure holds,
# and a function that takes `bits` as a literal is type-checked anew at each call, which takes some 4 ms.
@compiled
def throughput(bits: int, rounds: int, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Run `throughput_ir` on vectors of `bits` bits."""
    return _throughput(bits, rounds, a, b, c, d)


@compiled
def latency(bits: int, rounds: int, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Run `DEPENDENT` multiply-adds a round, each of which waits for the one before, on a vector of `bits` bits."""
    return _latency(bits, rounds, a, b, c, d)


@compiled
def loaded(bits: int, density: int, rounds: int, link: int, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Run `loaded_ir` on vectors of `bits` bits; `density` is one of DENSITIES."""
    return _loaded(bits, density, rounds, link, a, b, c, d)


def iterated(dtype: str, pairs: int, count: int, lanes: int, fused: bool) -> float:
    """Return the loops' answer after `pairs` of steps on `count` accumulators, computed in fp64 by numpy."""
    a, b, c, d = (float(operand) for operand in operands(dtype, fused))
    values = a + np.arange(count) / 16
    for _ in range(pairs):
        values = values + a * b + c * d if fused else c * (a * values + b) + d
    return float(values.sum() * lanes)
