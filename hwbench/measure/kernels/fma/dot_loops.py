"""Loops of dot products in registers: instructions that add products of neighboring narrow elements to 32-bit sums.

Each lane of 32 bits holds two bf16 or four bytes. x86's VDPBF16PS and VPDPBUSD add the products of one lane to its sum
(Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2); so do Arm's BFDOT and SDOT, while BFMMLA and
SMMLA multiply two rows of 64 bits by two others (Arm Architecture Reference Manual, section C7).

Every sum takes a step forth by a·b and one back by c·d, so that its bits change each time; both together leave 1, so
that the answer after any number of rounds is known. All numbers are small and whole: no sum is rounded.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from llvmlite import ir
from msgspec import Struct
from numba import int64

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled, emits
from hwbench.measure.codegen.vectors import I8, I32, I64, Target

DotDtype = Literal["bf16", "int8"]

STEPS = 4
"""Instructions on each sum in one round of the throughput loop: even, so that it ends where it began."""

DEPENDENT = 32
"""Instructions in one round of the latency loop."""

ELEMENTS: dict[DotDtype, int] = {"bf16": 2, "int8": 4}
"""Elements of a lane of 32 bits."""

FACTORS: dict[DotDtype, tuple[tuple[int, ...], ...]] = {
    "bf16": ((3, 5), (7, -2), (-3, 2), (4, 1)), "int8": ((3, 5, 7, 11), (7, -2, 9, 1), (12, 2, 4, 6), (-7, 3, -3, 1)),
}  # fmt: skip
"""a, b, c and d: those of a lane. Of bytes, a and c are not negative: x86 reads them without a sign."""


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's `bfloat`, which llvmlite lacks."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


class Dot(Struct, frozen=True):
    """An instruction: its name, the CPU's feature, LLVM's intrinsic by width, and products in each 128 bits."""

    name: str
    dtype: DotDtype
    isa: str
    feature: str
    intrinsics: dict[int, str]
    products: int

    @property
    def steps(self) -> int:
        """Times that the products of one lane are added to a sum."""
        return self.products // 4 // ELEMENTS[self.dtype]


def _by_width(name: str, *widths: int) -> dict[int, str]:
    return {bits: f"llvm.x86.{name}.{bits}" for bits in widths}


X86_DOTS = (
    Dot("vdpbf16ps", "bf16", "avx512-bf16", "avx512bf16", _by_width("avx512bf16.dpbf16ps", 128, 256, 512), 8),
    Dot("vpdpbusd", "int8", "avx512-vnni", "avx512vnni", _by_width("avx512.vpdpbusd", 128, 256, 512), 16),
    Dot("vpdpbusd", "int8", "avx-vnni", "avxvnni", _by_width("avx512.vpdpbusd", 128, 256), 16),
)
ARM_DOTS = (
    Dot("bfdot", "bf16", "neon-bfdot", "bf16", {128: "llvm.aarch64.neon.bfdot.v4f32.v8bf16"}, 8),
    Dot("bfmmla", "bf16", "neon-bf16", "bf16", {128: "llvm.aarch64.neon.bfmmla"}, 16),
    Dot("sdot", "int8", "neon", "dotprod", {128: "llvm.aarch64.neon.sdot.v4i32.v16i8"}, 16),
    Dot("smmla", "int8", "neon-i8mm", "i8mm", {128: "llvm.aarch64.neon.smmla.v4i32.v16i8"}, 32),
)


def dots(target: Target) -> tuple[Dot, ...]:
    """Return the instructions that a target has; where AVX-512 has one, not its form for narrower vectors alone."""
    every = X86_DOTS if target.x86 else ARM_DOTS if target.arm else ()
    result = tuple(dot for dot in every if dot.feature in target.features)
    wide = any(dot.isa == "avx512-vnni" for dot in result)
    return tuple(dot for dot in result if not (wide and dot.isa == "avx-vnni"))


def widths(dot: Dot, target: Target) -> tuple[int, ...]:
    """Return the widths in bits of an instruction's vectors on a target, the narrowest first."""
    narrow = not dot.isa.startswith("avx512") or "avx512vl" in target.features
    return tuple(bits for bits in dot.intrinsics if bits in target.widths and (narrow or bits == 512))


def operands(dtype: DotDtype) -> tuple[int, int, int, int]:
    """Return a, b, c and d as the 32 bits of a lane each."""
    a, b, c, d = (_lane(dtype, numbers) for numbers in FACTORS[dtype])
    return a, b, c, d


def _lane(dtype: DotDtype, numbers: Sequence[int]) -> int:
    if dtype == "int8":
        return int(np.array(numbers, np.int8).view(np.int32)[0])
    halves = (np.array(numbers, np.float32).view(np.uint32) >> 16).astype(np.uint16)  # a bf16 is a float's upper half
    return int(halves.view(np.int32)[0])


def emitted(builder: ir.IRBuilder, dot: Dot, sums: ir.Value, a: ir.Value, b: ir.Value, target: Target) -> ir.Value:
    """Emit one instruction; `a` and `b` are vectors of 32-bit lanes. LLVM reads x86's bf16 in such lanes too."""
    bits = 32 * sums.type.count
    if target.arm:
        element = _BFloat() if dot.dtype == "bf16" else I8
        kind = ir.VectorType(element, 4 * ELEMENTS[dot.dtype])
        a, b = builder.bitcast(a, kind), builder.bitcast(b, kind)
    return vectors.call(builder, dot.intrinsics[bits], sums.type, [sums, a, b])


def loop_ir(
    builder: ir.IRBuilder, rounds: ir.Value, scalars: Sequence[ir.Value], dot: Dot, bits: int, count: int, steps: int,
    target: Target,
) -> ir.Value:  # fmt: skip
    """Emit `steps` instructions a round on each of `count` sums, which start at 0, 1, 2 ...; gives the sum of all."""
    lanes = bits // 32
    constants = [vectors.splat(builder, builder.trunc(scalar, I32), lanes) for scalar in scalars]
    element = ir.FloatType() if dot.dtype == "bf16" else I32
    starts = [ir.Constant(ir.VectorType(element, lanes), [float(k) if dot.dtype == "bf16" else k] * lanes)
              for k in range(count)]  # fmt: skip

    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        for number in range(steps):
            pair = constants[2:] if number % 2 else constants[:2]
            values = [emitted(builder, dot, value, pair[0], pair[1], target) for value in values]
        return values

    add = builder.fadd if dot.dtype == "bf16" else builder.add
    total = functools.reduce(add, vectors.loop(builder, rounds, starts, body))
    whole = functools.reduce(add, [builder.extract_element(total, ir.Constant(I32, lane)) for lane in range(lanes)])
    return builder.fptosi(whole, I64) if dot.dtype == "bf16" else builder.sext(whole, I64)


def answer(dot: Dot, bits: int, count: int, pairs: int) -> int:
    """Return what the loop gives after so many pairs of steps: each adds 1 to every sum, as often as `dot.steps`."""
    return bits // 32 * sum(k + pairs * dot.steps for k in range(count))


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
    target, scalars = vectors.target(), (a, b, c, d)
    count = sums(target)
    return _emit(
        builder, which, bits, lambda dot, width: loop_ir(builder, rounds, scalars, dot, width, count, STEPS, target)
    )


@emits(_SIGNATURE)
def _latency(builder: ir.IRBuilder, which: Any, bits: Any, rounds: Any, a: Any, b: Any, c: Any, d: Any) -> ir.Value:
    target, scalars = vectors.target(), (a, b, c, d)
    return _emit(
        builder, which, bits, lambda dot, width: loop_ir(builder, rounds, scalars, dot, width, 1, DEPENDENT, target)
    )


def sums(target: Target) -> int:
    """Return how many sums fit the registers beside a, b, c and d and leave no pipe idle: 12 of 16, 24 of 32."""
    return 24 if target.registers >= 32 else target.registers - 4


@compiled
def throughput(which: int, bits: int, rounds: int, a: int, b: int, c: int, d: int) -> Any:
    """Run independent dot products of the instruction of this number on vectors of `bits` bits."""
    return _throughput(which, bits, rounds, a, b, c, d)


@compiled
def latency(which: int, bits: int, rounds: int, a: int, b: int, c: int, d: int) -> Any:
    """Run `DEPENDENT` dot products a round, each of which waits for the sum of the one before."""
    return _latency(which, bits, rounds, a, b, c, d)
