"""What compiled loops call: the kernels of the matrix multiply as numba's intrinsics, and the job that they work on."""

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.vectors import SIZES, constant, offset
from hwbench.measure.gemm import microkernel
from hwbench.measure.gemm import thin as gemm_thin
from hwbench.measure.gemm.microkernel import ARGUMENTS, LINE, ROWS, Tile, Variant
from hwbench.measure.gemm.thin import AT_ONCE, FEW

DTYPES = {types.float32: "fp32", types.float64: "fp64"}
NUMPY = {"fp32": np.float32, "fp64": np.float64}


class Job(NamedTuple):
    """A multiply for one thread: addresses, distances between rows in bytes, sizes in elements.

    `buffer` and `spare` hold a packed block of B each. `in_place` is 1 where B is not packed, `in_order` where it is
    then fetched in the order in which it lies; `together` rows of A go along all strips of B before others do; `head`
    columns come before the first whole strip. `thin` is 1 for one row or column of A. The `few` columns after `columns`
    are dot products. `aside` is 1 where the kernel packs the next block; `chain` is how many products are summed up in
    a register, `unroll` how many in one round of the kernel.
    """

    a: int
    row_a: int
    b: int
    row_b: int
    c: int
    row_c: int
    rows: int
    columns: int
    depth: int
    buffer: int
    spare: int
    block_depth: int
    block_columns: int
    in_place: int
    in_order: int
    together: int
    head: int
    thin: int
    few: int
    aside: int
    chain: int
    unroll: int
    tile_columns: int
    size: int


def vector_of(tile: Tile) -> Any:
    """A small array whose type tells the compiler which vectors to use: 2 × 2 × … of a dtype, as many as lanes."""
    return np.zeros((2,) * (tile.lanes.bit_length() - 1), NUMPY[tile.dtype])


def tile_of(vector: Any) -> Tile:
    """The tile for the numba type of an array that is a vector: see `vector_of`."""
    return microkernel.tile_for(DTYPES[vector.dtype], 2**vector.ndim, vectors.target())


def _given(builder: ir.IRBuilder, names: str, arguments: Any) -> dict[str, ir.Value]:
    """What a kernel is called with, by name: the members of a job, then arguments of these names, then what is left.

    By default no other rows of A are fetched ahead, and the tile of C that comes next is this one.
    """
    _, job, *values = arguments
    given = {name: builder.extract_value(job, position) for position, name in enumerate(Job._fields)}
    given |= {"rows": constant(ROWS), "columns": constant(0), "ahead": constant(0), "ahead_too": constant(0)}
    given |= {"next_b": given["b"], "spread": constant(0), "step_b": constant(0)}
    given |= {"source": constant(0), "copy": constant(0), "row_source": given["row_b"]}
    given |= dict(zip(names.split(), values, strict=True))
    return {"next_c": given["c"], **given}


def _call(builder: ir.IRBuilder, variant: Variant, given: dict[str, ir.Value]) -> None:
    builder.call(microkernel.kernel(builder.module, variant), [given[name] for name in ARGUMENTS])


@intrinsic
def multiply_tile(
    _context: Any, vector: Any, job: Any, a: Any, b: Any, c: Any, depth: Any, accumulate: Any,
    ahead: Any, ahead_too: Any, next_c: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Compute one whole tile of C from packed B."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        given = _given(builder, "a b c depth accumulate ahead ahead_too next_c", arguments)
        _call(builder, Variant(tile_of(signature.args[0])), given)
        return context.get_dummy_value()

    return types.void(vector, job, a, b, c, depth, accumulate, ahead, ahead_too, next_c), build


@intrinsic
def multiply_tile_aside(
    _context: Any, vector: Any, job: Any, a: Any, b: Any, c: Any, depth: Any, accumulate: Any,
    ahead: Any, ahead_too: Any, next_c: Any, source: Any, copy: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """The same, packing some of the next block of B on the side."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        given = _given(builder, "a b c depth accumulate ahead ahead_too next_c source copy", arguments)
        _call(builder, Variant(tile_of(signature.args[0]), copying=True), given)
        return context.get_dummy_value()

    return types.void(vector, job, a, b, c, depth, accumulate, ahead, ahead_too, next_c, source, copy), build


@intrinsic
def multiply_edge(
    _context: Any, vector: Any, job: Any, a: Any, b: Any, row_b: Any, c: Any, depth: Any, accumulate: Any,
    rows: Any, columns: Any, next_b: Any, spread: Any, step_b: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Compute a tile of fewer rows or columns, or from B in place, by the smallest kernel that holds it."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        given = _given(builder, "a b row_b c depth accumulate rows columns next_b spread step_b", arguments)
        after = builder.append_basic_block("after_edge")
        for variant in microkernel.edges(tile_of(signature.args[0]), vectors.target().masks):
            inside = builder.append_basic_block("edge")
            following = builder.append_basic_block("larger")
            builder.cbranch(_fits(builder, variant, given), inside, following)
            builder.position_at_end(inside)
            _call(builder, variant, given)
            builder.branch(after)
            builder.position_at_end(following)
        builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    given = (vector, job, a, b, row_b, c, depth, accumulate, rows, columns, next_b, spread, step_b)
    return types.void(*given), build


def _fits(builder: ir.IRBuilder, variant: Variant, given: dict[str, ir.Value]) -> ir.Value:
    """Whether the live part of a tile has no more rows than a kernel, and ends in the last of its vectors."""
    tile = variant.tile
    rows = builder.icmp_signed("<=", given["rows"], constant(tile.rows))
    wide = builder.icmp_signed(">", given["columns"], constant(tile.columns - tile.lanes))
    narrow = builder.icmp_signed("<=", given["columns"], constant(tile.columns))
    return builder.and_(rows, builder.and_(wide, narrow))


@intrinsic
def copy_row(_context: Any, vector: Any, target: Any, source: Any, ahead: Any) -> tuple[Any, Any]:
    """Copy a row of one tile's width to an aligned place, asking for what lies `ahead` bytes further on."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        tile = tile_of(signature.args[0])
        _, target, source, ahead = arguments
        for start in range(0, tile.bytes, LINE):
            vectors.prefetch(builder, offset(builder, builder.add(source, ahead), start))
        type_, size = vectors.vector(tile.dtype, tile.lanes), SIZES[tile.dtype]
        for start in range(0, tile.bytes, tile.lanes * size):
            value = vectors.load(builder, offset(builder, source, start), type_, size)
            vectors.store(builder, value, offset(builder, target, start), tile.lanes * size)
        return context.get_dummy_value()

    return types.void(vector, target, source, ahead), build


@intrinsic
def copy_part(_context: Any, vector: Any, target: Any, source: Any, columns: Any) -> tuple[Any, Any]:
    """Copy the first columns of a row of one tile's width; zeros go to the others."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        tile = tile_of(signature.args[0])
        _, target, source, columns = arguments
        type_, size = vectors.vector(tile.dtype, tile.lanes), SIZES[tile.dtype]
        for number in range(tile.vectors):
            start = number * tile.lanes * size
            live = vectors.mask(builder, builder.sub(columns, constant(number * tile.lanes)), tile.lanes)
            value = vectors.load_masked(builder, offset(builder, source, start), type_, size, live)
            vectors.store(builder, value, offset(builder, target, start), tile.lanes * size)
        return context.get_dummy_value()

    return types.void(vector, target, source, columns), build


def _thin_call(vector: Any, arguments: tuple[Any, ...], kernel: Any, count: int) -> tuple[Any, Any]:
    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        builder.call(kernel(builder.module, tile_of(signature.args[0]), count), list(values[1:]))
        return context.get_dummy_value()

    return types.void(vector, *arguments), build


@intrinsic
def add_rows(
    _context: Any, vector: Any, a: Any, b: Any, row_b: Any, c: Any, columns: Any, accumulate: Any
) -> tuple[Any, Any]:
    """Add multiples of `AT_ONCE` rows of B to a row of C."""
    return _thin_call(vector, (a, b, row_b, c, columns, accumulate), gemm_thin.add_rows, AT_ONCE)


@intrinsic
def add_row(
    _context: Any, vector: Any, a: Any, b: Any, row_b: Any, c: Any, columns: Any, accumulate: Any
) -> tuple[Any, Any]:
    """Add a multiple of one row of B to a row of C."""
    return _thin_call(vector, (a, b, row_b, c, columns, accumulate), gemm_thin.add_rows, 1)


@intrinsic
def dot_one(
    _context: Any, vector: Any, a: Any, row_a: Any, b: Any, row_b: Any, c: Any, row_c: Any, depth: Any,
    accumulate: Any, rows: Any, columns: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Dot products of up to six rows of A with one turned column of B."""
    arguments = (a, row_a, b, row_b, c, row_c, depth, accumulate, rows, columns)
    return _thin_call(vector, arguments, gemm_thin.dots, 1)


@intrinsic
def dot_few(
    _context: Any, vector: Any, a: Any, row_a: Any, b: Any, row_b: Any, c: Any, row_c: Any, depth: Any,
    accumulate: Any, rows: Any, columns: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """Dot products of up to six rows of A with as many turned columns of B as the registers hold, four at most."""
    arguments = (a, row_a, b, row_b, c, row_c, depth, accumulate, rows, columns)
    return _thin_call(vector, arguments, gemm_thin.dots, FEW)


@intrinsic
def copy_element(_context: Any, vector: Any, target: Any, source: Any) -> tuple[Any, Any]:
    """Copy one element."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> ir.Value:
        dtype = tile_of(signature.args[0]).dtype
        value = vectors.load(builder, arguments[2], vectors.FLOATS[dtype], SIZES[dtype])
        vectors.store(builder, value, arguments[1], SIZES[dtype])
        return context.get_dummy_value()

    return types.void(vector, target, source), build
