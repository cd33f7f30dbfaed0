"""The kernel of products by tiles of AMX, and what else their loops call, as intrinsics of numba.

32 × 32 sums stay in four tiles, while tiles of A and B stream by. Both factors are packed. Rows of A, 64 bytes a step,
are tiles as they lie; of B a step is 16 rows of 32 lanes, each two bf16 or four bytes of a column, and holds two tiles
side by side. The depth is padded with zeros to whole steps. The other four tiles are the factors: a step is four
products for four loads, which take half the time.
"""

import itertools
from functools import partial

from llvmlite import ir
from numba import types

from hwbench.measure.codegen import tiles, vectors
from hwbench.measure.codegen.dots import ELEMENTS
from hwbench.measure.codegen.tiles import COLUMNS, ROW_BYTES, ROWS
from hwbench.measure.codegen.vectors import I8, constant, offset
from hwbench.measure.gemm import lanes, microkernel
from hwbench.measure.gemm.intrinsics import Members, first, reader, selected
from hwbench.measure.gemm.job import TileJob, TilePanel

SIDE = 2 * ROWS
"""Rows and columns of C that a kernel computes."""

STRIP_BYTES = 4 * SIDE
"""Bytes of a row of lanes of packed B, and of a row of C."""

FETCHED = 2
"""Rows of the next sums that a step fetches."""

KINDS = tuple(itertools.product((1, 2), (1, 2)))
"""Tiles of sums down and across of the kernels, the smallest first."""

DTYPES = {types.uint16: "bf16", types.int8: "int8", types.uint8: "uint8"}

Tiles = tiles.Tiles
"""What emits instructions on tiles: tests on CPUs without them put in place what computes the same in memory."""


of_kind = partial(selected, lambda kind: DTYPES[kind.dtype])
"""Make an intrinsic of what emits instructions for the products of an array's dtype, A's."""

tile_job_of = reader(TileJob)


def kernel(module: ir.Module, kind: str, tall: int, wide: int) -> ir.Function:
    """Return the kernel of so many tiles of sums for one of `tiles.PRODUCTS`, with the arguments of `TilePanel`."""
    name = f"hwbench_tiles_{kind}_{tall}x{wide}"
    return vectors.function(
        module, name, TilePanel._fields, lambda builder, by_name: _emit(builder, kind, tall, wide, **by_name)
    )


def _emit(
    builder: ir.IRBuilder, kind: str, tall: int, wide: int, a: ir.Value, row_a: ir.Value, b: ir.Value, begin: ir.Value,
    row_begin: ir.Value, c: ir.Value, row_c: ir.Value, steps: ir.Value, accumulate: ir.Value, ahead: ir.Value,
    row_ahead: ir.Value, next_c: ir.Value, row_next: ir.Value,
) -> None:  # fmt: skip
    unit, row_b = Tiles(builder), constant(STRIP_BYTES)
    sums = [(down, across, 2 * down + across) for down in range(tall) for across in range(wide)]
    lefts, rights = (4, 5), (6, 7)

    def place(start: ir.Value, row: ir.Value, down: int, across: int) -> ir.Value:
        below = builder.mul(row, constant(down * ROWS))
        return offset(builder, builder.add(start, below), 4 * COLUMNS * across)

    def added() -> list[ir.Value]:
        for down, across, tile in sums:
            unit.load(tile, place(begin, row_begin, down, across), row_begin)
        return []

    def step(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        left, right, rows_a, row = values
        for _ in range(FETCHED):
            for start in range(0, wide * ROW_BYTES, ROW_BYTES):
                vectors.prefetch(builder, offset(builder, row, start), locality=2)
            row = builder.add(row, row_next)
        for line in (rows_a, builder.add(rows_a, row_ahead)):
            vectors.prefetch(builder, line, locality=2)
        for down, across, tile in sums:
            if across == 0:
                unit.load(lefts[down], builder.add(left, builder.mul(row_a, constant(down * ROWS))), row_a)
            if down == 0:
                unit.stream(rights[across], offset(builder, right, ROW_BYTES * across), row_b)
            unit.multiply(kind, tile, lefts[down], rights[across])
        return [offset(builder, left, ROW_BYTES), offset(builder, right, ROWS * STRIP_BYTES),
                offset(builder, rows_a, ROW_BYTES), row]  # fmt: skip

    for _, _, tile in sums:
        unit.zero(tile)
    vectors.choose(builder, builder.icmp_signed("!=", accumulate, constant(0)), added, [])
    vectors.loop(builder, steps, [a, b, ahead, next_c], step)
    for down, across, tile in sums:
        unit.store(tile, place(c, row_c, down, across), row_c)


def _copy(builder: ir.IRBuilder, target: ir.Value, source: ir.Value, size: ir.Value, padded: bool) -> None:
    """Emit copying so many bytes; where `padded`, zeros follow up to a whole row of a tile."""
    kind = ir.VectorType(I8, ROW_BYTES)

    def part(places: list[ir.Value], on: ir.Value | None = None) -> list[ir.Value]:
        value = vectors.load(builder, places[1], kind, 1, on)
        vectors.store(builder, value, places[0], 1, None if padded else on)
        return [offset(builder, place, ROW_BYTES) for place in places]

    whole, left = builder.sdiv(size, constant(ROW_BYTES)), builder.srem(size, constant(ROW_BYTES))
    places = vectors.loop(builder, whole, [target, source], lambda _, places: part(places))
    on = vectors.mask(builder, left, ROW_BYTES)
    vectors.choose(builder, builder.icmp_signed(">", left, constant(0)), lambda: part(places, on)[:0], [])


@of_kind
def configure_tiles(builder: ir.IRBuilder, _kind: str, address: ir.Value) -> None:
    """Give the tiles of AMX their shapes."""
    Tiles(builder).configure(address)


@of_kind
def release_tiles(builder: ir.IRBuilder, _kind: str) -> None:
    """Give the tiles back."""
    Tiles(builder).release()


@of_kind
def multiply_panel(builder: ir.IRBuilder, kind: str, panel: Members, rows: ir.Value, columns: ir.Value) -> None:
    """Compute up to 32 × 32 sums by tiles (TilePanel), by the smallest kernel for the live ones."""

    def fits(tall: int, wide: int) -> ir.Value:
        return builder.and_(
            builder.icmp_signed("<=", rows, constant(tall * tiles.ROWS)),
            builder.icmp_signed("<=", columns, constant(wide * tiles.COLUMNS)),
        )

    def call(tall: int, wide: int) -> None:
        builder.call(kernel(builder.module, kind, tall, wide), list(panel.values()))

    first(builder, [(partial(fits, *shape), partial(call, *shape)) for shape in KINDS])


@of_kind
def interleave_panel(
    builder: ir.IRBuilder, kind: str, target: ir.Value, source: ir.Value, row: ir.Value, live: ir.Value,
    columns: ir.Value,
) -> None:  # fmt: skip
    """Make one row of lanes of a packed panel of B from up to four of its rows, which are `row` bytes apart."""
    tile = microkernel.tile_for("bf16" if kind == "bf16" else "int8", tiles.COLUMNS, vectors.target())
    width = SIDE * tile.size // ELEMENTS[tile.dtype]
    lanes.interleave(builder, tile, target, source, row, live, columns, width, width)


@of_kind
def copy_bytes(builder: ir.IRBuilder, _kind: str, target: ir.Value, source: ir.Value, size: ir.Value) -> None:
    """Copy so many bytes."""
    _copy(builder, target, source, size, padded=False)


@of_kind
def copy_padded(builder: ir.IRBuilder, _kind: str, target: ir.Value, source: ir.Value, size: ir.Value) -> None:
    """Copy so many bytes; zeros follow up to a whole row of a tile."""
    _copy(builder, target, source, size, padded=True)
