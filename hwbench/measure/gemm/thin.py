"""Products of a matrix with a vector or little more: one row of A, or a few columns of B. Memory limits their speed.

With one row, rows of B are added up, a few at a time, while the row of C stays in L1; B is read once, in the order of
its addresses. Few columns are turned into rows, and every element of C is a dot product of two rows.
"""

from llvmlite import ir

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.vectors import SIZES, constant, offset
from hwbench.measure.gemm.job import Dots, RowSum
from hwbench.measure.gemm.microkernel import ROWS, Tile, repeated, write_sums

AT_ONCE = 8
"""Rows of B that are added to C at once. Fewer rows read and write C more often; more rows are more streams than memory
serves in the order of its pages."""

FEW = 4
"""Columns of B that are few."""

DOT_DEPTH = 4096
"""Elements of a row that are multiplied at once: four turned columns of fp64 then fit L2."""

ROW_BYTES = 16 << 10
"""Bytes of a row of C that are computed at once, so that they stay in L1."""


def pitch(dtype: str) -> int:
    """Return the bytes from one turned column to the next: a cache line more than it has, so that they do not clash."""
    return DOT_DEPTH * SIZES[dtype] + 64


def add_rows(module: ir.Module, tile: Tile, rows: int) -> ir.Function:
    """Return the kernel that adds multiples of so many rows of B to a row of C; its arguments are those of `RowSum`."""
    name = f"hwbench_rows_{tile.dtype}x{tile.lanes}_{rows}"
    return vectors.function(
        module, name, RowSum._fields, lambda builder, by_name: _Thin(builder, tile).add_rows(rows, **by_name)
    )


def dots(module: ir.Module, tile: Tile, columns: int) -> ir.Function:
    """Return the kernel for six rows of A with so many turned columns of B; its arguments are those of `Dots`."""
    name = f"hwbench_dots_{tile.dtype}x{tile.lanes}_{columns}"
    return vectors.function(
        module, name, Dots._fields, lambda builder, by_name: _Thin(builder, tile).dots(columns, **by_name)
    )


class _Thin:
    """Emits kernels for one kind of vectors; `tile` states which, and how many accumulators the registers hold."""

    def __init__(self, builder: ir.IRBuilder, tile: Tile) -> None:
        self.builder, self.tile = builder, tile

    def add_rows(self, count: int, a: ir.Value, b: ir.Value, row_b: ir.Value, c: ir.Value, columns: ir.Value,
                 accumulate: ir.Value) -> None:  # fmt: skip
        """Emit C (+)= elements of A times as many rows of B: strips of a tile's width, then vectors, then a part."""
        builder = self.builder
        factors = [self.tile.spread(builder, offset(builder, a, row * self.tile.size)) for row in range(count)]
        add = builder.icmp_signed("!=", accumulate, constant(0))

        def strip(places: list[ir.Value], count: int, mask: ir.Value | None) -> list[ir.Value]:
            place, target = places
            sums = [vectors.zeros(self.tile.type)] * count
            for factor in factors:
                for column in range(count):
                    value = self.tile.load(builder, offset(builder, place, column * self.tile.width), mask)
                    sums[column] = self.tile.multiply_add(builder, factor, value, sums[column])
                place = builder.add(place, row_b)
            targets = [(offset(builder, target, column * self.tile.width), mask) for column in range(count)]
            write_sums(builder, sums, targets, add, self.tile.size)
            return [offset(builder, start, count * self.tile.width) for start in places]

        strips = builder.sdiv(columns, constant(self.tile.columns))
        rest = builder.srem(columns, constant(self.tile.columns))
        places = vectors.loop(builder, strips, [b, c], lambda _, at: strip(at, self.tile.vectors, None))
        whole = builder.sdiv(rest, constant(self.tile.lanes))
        places = vectors.loop(builder, whole, places, lambda _, at: strip(at, 1, None))
        left = builder.srem(rest, constant(self.tile.lanes))
        mask = vectors.mask(builder, left, self.tile.lanes)
        once = builder.select(builder.icmp_signed(">", left, constant(0)), constant(1), constant(0))
        vectors.loop(builder, once, places, lambda _, at: strip(at, 1, mask))

    def dot(self, a: list[ir.Value], b: list[ir.Value], depth: ir.Value, row_a: ir.Value) -> list[ir.Value]:
        """Emit dot products of every row of A with every turned column of B.

        The next rows of A are fetched meanwhile, except with one column, which leaves no time for more than loads.
        """
        builder = self.builder
        starts = [*a, *b]
        ahead = builder.mul(row_a, constant(len(a)))

        def step(number: ir.Value, sums: list[ir.Value], mask: ir.Value | None = None) -> list[ir.Value]:
            distance = builder.mul(number, constant(self.tile.width))
            places = [builder.add(start, distance) for start in starts]
            others = [self.tile.load(builder, place, mask) for place in places[len(a) :]]
            result = []
            for row, place in enumerate(places[: len(a)]):
                value = self.tile.load(builder, place, mask)
                if len(b) > 1:
                    vectors.prefetch(builder, builder.add(place, ahead), locality=2)
                for column, other in enumerate(others):
                    result.append(self.tile.multiply_add(builder, value, other, sums[row * len(b) + column]))
            return result

        whole = builder.sdiv(depth, constant(self.tile.lanes))
        left = builder.srem(depth, constant(self.tile.lanes))
        sums = vectors.loop(builder, whole, [vectors.zeros(self.tile.type)] * (len(a) * len(b)), step)
        rest = vectors.mask(builder, left, self.tile.lanes)
        sums = vectors.choose(
            builder, builder.icmp_signed(">", left, constant(0)), lambda: step(whole, sums, rest), sums
        )
        return vectors.add_lanes(builder, sums)

    def dots(
        self, count: int, a: ir.Value, row_a: ir.Value, b: ir.Value, row_b: ir.Value, c: ir.Value, row_c: ir.Value,
        depth: ir.Value, accumulate: ir.Value, rows: ir.Value, columns: ir.Value,
    ) -> None:  # fmt: skip
        """Emit C (+)= dot products. Rows and columns that are not live repeat the last; the columns are not written."""
        builder = self.builder
        starts_a = repeated(builder, a, row_a, ROWS, rows)
        starts_b = repeated(builder, b, row_b, count, columns)
        sums = self.dot(starts_a, starts_b, depth, row_a)
        mask = vectors.mask(builder, columns, count) if count > 1 else None
        add = builder.icmp_signed("!=", accumulate, constant(0))
        totals = [vectors.of_elements(builder, sums[row * count : (row + 1) * count]) for row in range(ROWS)]
        places = [(place, mask) for place in repeated(builder, c, row_c, ROWS, rows)]
        write_sums(builder, totals, places, add, self.tile.size)
