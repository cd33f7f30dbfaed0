"""Dot products of rows of quantized weights, in blocks as GGUF files hold them, with a vector of bytes.

The layouts of blocks are those of ggml (`ggml/src/ggml-common.h`):

    format  weights and bytes of a block                                           weight
    q4_0    32: a scale (fp16), 16 bytes with weights i and i + 16 each            scale · (q - 8)
    q8_0    32: a scale (fp16), 32 bytes with a sign                               scale · q
    q4_k    256: two scales (fp16), 8 scales and 8 minima of 6 bits in 12 bytes,   first · scale · q - second · minimum
            128 bytes, of which each 32 hold weights i and i + 32 of 64

A step takes 256 weights. 64 at a time, they become bytes, which the CPU's dot products multiply with the vector's, to
sums of 32 bits in 16 lanes; each is then multiplied by its block's scale. Upper halves of bytes stay where they are, so
that their products are 16 times too large, for which the vector's scales make up.
"""

import functools
from collections.abc import Callable

from llvmlite import ir
from numba import void

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled, emits
from hwbench.measure.codegen.dots import by_lane, dot, widths
from hwbench.measure.codegen.vectors import I8, I32, constant, offset

STEP = 256
"""Weights of a step."""

GROUP = 64
"""Weights that are multiplied at once: a vector of 512 bits; narrower vectors take several instructions."""

GROUPS = STEP // GROUP
"""Groups of a step, each with sums of its own, so that none waits for another's."""

LANES = 16
"""Sums of a group."""

SIZES = {"q4_0": 8 * 18, "q8_0": 8 * 34, "q4_k": 144}
"""Bytes of a step by format; their order is the formats' number."""

VECTOR_BYTES = STEP + 2 * 4 * LANES
"""Bytes of the vector for a step: its bytes, then in fp32 what a row's 16 factors are multiplied by before they are
spread over the lanes of the four groups, and what makes up for the part of weights that is the same in a block."""

BYTES = ir.VectorType(I8, GROUP)
WORDS = ir.VectorType(I32, LANES)
SINGLES = ir.VectorType(ir.FloatType(), LANES)
HALF = ir.HalfType()


def _pick(builder: ir.IRBuilder, value: ir.Value, places: list[int], other: ir.Value | None = None) -> ir.Value:
    """Emit a vector of the elements at these places of one vector, or of two."""
    numbers = ir.Constant(ir.VectorType(I32, len(places)), places)
    return builder.shuffle_vector(value, value if other is None else other, numbers)


def _load(builder: ir.IRBuilder, address: ir.Value, amount: int, kind: ir.Type) -> ir.Value:
    return vectors.load(builder, offset(builder, address, amount), kind, 1)


def _bytes(builder: ir.IRBuilder, address: ir.Value, amount: int, count: int) -> ir.Value:
    return _load(builder, address, amount, ir.VectorType(I8, count))


def _halves(builder: ir.IRBuilder, address: ir.Value, starts: list[int], places: list[int]) -> ir.Value:
    """Emit numbers of fp16 from these places in memory as fp32, in these lanes."""
    halves = vectors.of_elements(builder, [_load(builder, address, start, HALF) for start in starts])
    return _pick(builder, builder.fpext(halves, ir.VectorType(ir.FloatType(), len(starts))), places)


def _masked(builder: ir.IRBuilder, twice: ir.Value) -> ir.Value:
    """Emit the lower halves of the first 32 bytes and the upper ones of the last 32."""
    return builder.and_(twice, ir.Constant(BYTES, [0x0F] * 32 + [0xF0] * 32))


def _q4_0(builder: ir.IRBuilder, weights: ir.Value, group: int) -> ir.Value:
    first, second = (_bytes(builder, weights, 18 * block + 2, 16) for block in (2 * group, 2 * group + 1))
    both = _pick(builder, first, list(range(32)), second)
    return _masked(builder, _pick(builder, both, [*range(32), *range(32)]))


def _q8_0(builder: ir.IRBuilder, weights: ir.Value, group: int) -> ir.Value:
    first, second = (_bytes(builder, weights, 34 * block + 2, 32) for block in (2 * group, 2 * group + 1))
    both = _pick(builder, first, list(range(64)), second)
    # x86 multiplies bytes without a sign by bytes with one, Arm two with one.
    return builder.xor(both, ir.Constant(BYTES, [0x80] * GROUP)) if vectors.target().x86 else both


def _q4_k(builder: ir.IRBuilder, weights: ir.Value, group: int) -> ir.Value:
    return _masked(builder, _pick(builder, _bytes(builder, weights, 16 + 32 * group, 32), [*range(32), *range(32)]))


def _of_blocks(size: int) -> Callable[[ir.IRBuilder, ir.Value], ir.Value]:
    """Return what emits the scales of eight blocks, twice."""
    starts = [size * block for block in range(8)]
    return lambda builder, weights: _halves(builder, weights, starts, [*range(8), *range(8)])


def _of_k(builder: ir.IRBuilder, weights: ir.Value) -> ir.Value:
    """Emit the eight scales and eight minima of a block of q4_k: the upper bits of the last four are with the first."""
    low, middle, high = (_load(builder, weights, 4 + 4 * number, I32) for number in range(3))

    def bits(value: ir.Value, shift: int, mask: int) -> ir.Value:
        return builder.and_(builder.lshr(value, ir.Constant(I32, shift)), ir.Constant(I32, mask))

    six, four, upper = 0x3F3F3F3F, 0x0F0F0F0F, 0x30303030
    words = [
        bits(low, 0, six), builder.or_(bits(high, 0, four), bits(low, 2, upper)),
        bits(middle, 0, six), builder.or_(bits(high, 4, four), bits(middle, 2, upper)),
    ]  # fmt: skip
    numbers = builder.bitcast(vectors.of_elements(builder, words), ir.VectorType(I8, LANES))
    return builder.fmul(builder.uitofp(numbers, SINGLES), _halves(builder, weights, [0, 2], [0] * 8 + [1] * 8))


Emit = Callable[[ir.IRBuilder, ir.Value, int], ir.Value]
FORMATS: dict[str, tuple[Emit, Callable[[ir.IRBuilder, ir.Value], ir.Value], Callable[[int], list[int]]]] = {
    "q4_0": (_q4_0, _of_blocks(18), lambda group: [place for first in (0, 8) for place in _pair(first + 2 * group, 4)]),
    "q8_0": (_q8_0, _of_blocks(34), lambda group: _pair(2 * group, 8)),
    "q4_k": (_q4_k, _of_k, lambda group: _pair(2 * group, 8)),
}
"""By format: what emits the bytes of a group, what emits 16 factors of a step, and which of these a group's lanes
take."""


def _pair(first: int, times: int) -> list[int]:
    return [first] * times + [first + 1] * times


def _dot(builder: ir.IRBuilder, weights: ir.Value, others: ir.Value) -> ir.Value:
    """Emit the sums of products of each four bytes, on the widest vectors that the CPU has for it."""
    target = vectors.target()
    kind = by_lane("int8", target)
    assert kind is not None
    bits = widths(kind, target)[-1]
    weights, others = builder.bitcast(weights, WORDS), builder.bitcast(others, WORDS)
    parts = []
    for first in range(0, LANES, bits // 32):
        places = list(range(first, first + bits // 32))
        operands = [_pick(builder, value, places) for value in (weights, others, vectors.zeros(WORDS))]
        parts.append(dot(builder, kind.intrinsics[bits], *operands))
    while len(parts) > 1:
        size = 2 * parts[0].type.count
        parts = [_pick(builder, a, list(range(size)), b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def emit_rows(
    builder: ir.IRBuilder, name: str, weights: ir.Value, vector: ir.Value, out: ir.Value, rows: ir.Value,
    steps: ir.Value,
) -> None:  # fmt: skip
    """Emit a row after the other, step by step. Nothing is fetched early: hardware does it better for one stream."""
    codes, factors, lanes = FORMATS[name]

    def step(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        place, bytes_, *totals = values
        factor = factors(builder, place)
        scales = builder.fmul(factor, _load(builder, bytes_, STEP, SINGLES))
        totals[-1] = vectors.multiply_add(
            builder, factor, _load(builder, bytes_, STEP + 4 * LANES, SINGLES), totals[-1]
        )
        for group in range(GROUPS):
            sums = _dot(builder, codes(builder, place, group), _load(builder, bytes_, GROUP * group, BYTES))
            scale = _pick(builder, scales, lanes(group))
            totals[group] = vectors.multiply_add(builder, builder.sitofp(sums, SINGLES), scale, totals[group])
        return [offset(builder, place, SIZES[name]), offset(builder, bytes_, VECTOR_BYTES), *totals]

    def row(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        place, target = values
        start = [place, vector, *[vectors.zeros(SINGLES)] * (GROUPS + 1)]
        place, _, *totals = vectors.loop(builder, steps, start, step)
        total = functools.reduce(functools.partial(vectors.add, builder), totals)
        (whole,) = vectors.add_lanes(builder, [total])
        vectors.store(builder, whole, target, 4)
        return [place, offset(builder, target, 4)]

    vectors.loop(builder, rows, [weights, out], row)


@emits(void)
def _rows(
    builder: ir.IRBuilder, number: ir.Value, weights: ir.Value, vector: ir.Value, out: ir.Value, rows: ir.Value,
    steps: ir.Value,
) -> None:  # fmt: skip
    for position, name in enumerate(FORMATS):
        inside, after = builder.append_basic_block(name), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("==", number, constant(position)), inside, after)
        builder.position_at_end(inside)
        emit_rows(builder, name, weights, vector, out, rows, steps)
        builder.branch(after)
        builder.position_at_end(after)


@compiled
def multiply_rows(number: int, weights: int, vector: int, out: int, rows: int, steps: int, repetitions: int) -> None:
    """Write the dot product of each row of quantized weights with a vector: addresses, the format's number, sizes.

    A row has so many steps of 256 weights. Nothing is checked.
    """
    for _ in range(repetitions):
        _rows(number, weights, vector, out, rows, steps)
