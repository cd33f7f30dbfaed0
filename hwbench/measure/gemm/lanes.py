"""Lanes of 32 bits from narrow elements: two bf16, or four bytes, of one column of B side by side, or an fp16 as fp32.

A product of lanes adds the products of all their elements, so that the kernels of fp32 multiply narrow matrices too.
"""

from llvmlite import ir

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import ELEMENTS
from hwbench.measure.codegen.vectors import HALF, I32, constant, offset
from hwbench.measure.gemm.microkernel import LINE, Tile, repeated

LANE = 16
"""Bytes of a vector in which x86 interleaves elements, and of a vector of every CPU."""

HALF_BYTES = 2
"""Bytes of an fp16."""

AHEAD = 2
"""Rows of lanes whose elements are fetched early."""


def interleave(
    builder: ir.IRBuilder, tile: Tile, target: ir.Value, source: ir.Value, row: ir.Value, live: ir.Value,
    columns: ir.Value, round_bytes: int = LINE, step: int = LANE,
) -> None:  # fmt: skip
    """Emit one row of lanes at `target`, from rows of B that are `row` bytes apart: `live` of them, then zeros.

    A round takes so many bytes of each, by vectors of `step` bytes; what is left over goes element by element.
    """
    count = ELEMENTS[tile.dtype]
    size = tile.size // count
    whole = builder.icmp_signed("==", live, constant(count))
    lines = builder.select(whole, builder.sdiv(columns, constant(round_bytes // size)), constant(0))
    ahead = builder.mul(row, constant(AHEAD * count))
    places = repeated(builder, source, row, count, live)

    def line(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        target, *places = values
        for place in places:
            vectors.prefetch(builder, builder.add(place, ahead), locality=2)
        for start in range(0, round_bytes, step):
            kind = ir.VectorType(ir.IntType(8 * size), step // size)
            rows = [vectors.load(builder, offset(builder, place, start), kind, size) for place in places]
            for number, value in enumerate(_side_by_side(builder, [_spread(builder, row, count) for row in rows])):
                vectors.store(builder, value, offset(builder, target, start * count + number * step), tile.size)
        return [
            offset(builder, target, round_bytes * count),
            *(offset(builder, place, round_bytes) for place in places),
        ]

    def element(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        target, *places = values
        lane = ir.Constant(I32, 0)
        for number, place in enumerate(places):
            value = builder.zext(vectors.load(builder, place, ir.IntType(8 * size), size), I32)
            value = builder.select(builder.icmp_signed("<", constant(number), live), value, ir.Constant(I32, 0))
            lane = builder.or_(lane, builder.shl(value, ir.Constant(I32, 8 * size * number)))
        vectors.store(builder, lane, target, tile.size)
        return [offset(builder, target, tile.size), *(offset(builder, place, size) for place in places)]

    values = vectors.loop(builder, lines, [target, *places], line)
    vectors.loop(builder, builder.sub(columns, builder.mul(lines, constant(round_bytes // size))), values, element)


def widen(
    builder: ir.IRBuilder, tile: Tile, target: ir.Value, source: ir.Value, row: ir.Value, columns: ir.Value
) -> None:  # fmt: skip
    """Emit one row of fp32 at `target` from a row of fp16; the one `AHEAD` rows of `row` bytes below is fetched."""
    size, ahead = HALF_BYTES, builder.mul(row, constant(AHEAD))

    def part(places: list[ir.Value], count: int) -> list[ir.Value]:
        kind, wide = (ir.VectorType(element, count) if count > 1 else element for element in (HALF, tile.type.element))
        value = builder.fpext(vectors.load(builder, places[1], kind, size), wide)
        vectors.store(builder, value, places[0], tile.size)
        return [offset(builder, places[0], count * tile.size), offset(builder, places[1], count * size)]

    def line(_number: ir.Value, places: list[ir.Value]) -> list[ir.Value]:
        vectors.prefetch(builder, builder.add(places[1], ahead), locality=2)
        for _ in range(0, LINE // size, tile.lanes):
            places = part(places, tile.lanes)
        return places

    lines = builder.sdiv(columns, constant(LINE // size))
    values = vectors.loop(builder, lines, [target, source], line)
    vectors.loop(builder, builder.srem(columns, constant(LINE // size)), values, lambda _, places: part(places, 1))


def _spread(builder: ir.IRBuilder, row: ir.Value, count: int) -> ir.Value:
    """Emit a vector whose 128-bit parts each hold a group of every `count`-th part of its columns, in their order."""
    size, wide = vectors.bits_of(row.type.element) // 8, row.type.count
    parts, group = wide * size // LANE, LANE // count // size
    order = [
        (place * parts + part) * group + number
        for part in range(parts) for place in range(count) for number in range(group)
    ]  # fmt: skip
    return row if parts == 1 else builder.shuffle_vector(row, row, ir.Constant(ir.VectorType(I32, wide), order))


def _side_by_side(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Emit the elements of two or four vectors interleaved in 128-bit parts: first those of the first groups."""
    size, count = vectors.bits_of(rows[0].type.element) // 8, rows[0].type.count
    if len(rows) == 4:
        pairs = [_side_by_side(builder, rows[:2]), _side_by_side(builder, rows[2:])]
        double = ir.VectorType(ir.IntType(16), count // 2)
        return [
            value
            for pair in zip(*pairs, strict=True)
            for value in _side_by_side(builder, [builder.bitcast(part, double) for part in pair])
        ]
    half = LANE // size // 2
    orders = [
        [place for part in range(0, count, 2 * half) for number in range(part + start, part + start + half)
         for place in (number, count + number)]
        for start in (0, half)
    ]  # fmt: skip
    return [builder.shuffle_vector(*rows, ir.Constant(ir.VectorType(I32, count), order)) for order in orders]


def subtract(
    builder: ir.IRBuilder, tile: Tile, target: ir.Value, first: ir.Value, second: ir.Value, columns: ir.Value
) -> None:  # fmt: skip
    """Emit `target` = `first` - `second` for rows of 32-bit integers."""

    def part(places: list[ir.Value], mask: ir.Value | None) -> list[ir.Value]:
        values = [tile.load(builder, place, mask) for place in places[1:]]
        vectors.store(builder, builder.sub(*values), places[0], tile.size, mask)
        return [offset(builder, place, tile.width) for place in places]

    whole = builder.sdiv(columns, constant(tile.lanes))
    places = vectors.loop(builder, whole, [target, first, second], lambda _, places: part(places, None))
    left = vectors.mask(builder, builder.srem(columns, constant(tile.lanes)), tile.lanes)
    part(places, left)
