"""The kernels of the matrix multiply as intrinsics of numba, which compiled loops call.

Each takes a `vector` first, an array whose type alone matters: it selects the tile (see `vector_of`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.vectors import SIZES, constant, offset
from hwbench.measure.gemm import microkernel
from hwbench.measure.gemm import thin as gemm_thin
from hwbench.measure.gemm.job import Job
from hwbench.measure.gemm.microkernel import ARGUMENTS, LINE, ROWS, Tile, Variant
from hwbench.measure.gemm.thin import AT_ONCE, FEW

DTYPES = {types.float32: "fp32", types.float64: "fp64"}
NUMPY = {"fp32": np.float32, "fp64": np.float64}


def vector_of(tile: Tile) -> Any:
    """Return an array whose type tells the compiler which vectors to use: 2 × 2 × … of a dtype, as many as lanes."""
    return np.zeros((2,) * (tile.lanes.bit_length() - 1), NUMPY[tile.dtype])


def tile_of(vector: Any) -> Tile:
    """Return the tile for the numba type of an array from `vector_of`."""
    return microkernel.tile_for(DTYPES[vector.dtype], 2**vector.ndim, vectors.target())


@intrinsic
def job_of(_context: Any, numbers: Any) -> tuple[Any, Any]:
    """Return the job in an array of 64-bit integers, which is passed in a tenth of the time that a tuple takes."""
    job = types.NamedUniTuple(types.int64, len(Job._fields), Job)

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        start = context.make_array(signature.args[0])(context, builder, values[0]).data
        members = [builder.load(cgutils.gep(builder, start, position)) for position in range(len(Job._fields))]
        return context.make_tuple(builder, job, members)

    return job(numbers), build


def _fields(builder: ir.IRBuilder, kinds: Any, values: Any) -> dict[str, ir.Value]:
    """Return the members of named tuples by name; those of later tuples replace those of earlier ones."""
    members: dict[str, ir.Value] = {}
    for kind, value in zip(kinds, values, strict=True):
        members |= {name: builder.extract_value(value, position) for position, name in enumerate(kind.fields)}
    return members


def _kernel_arguments(builder: ir.IRBuilder, signature: Any, values: Any) -> dict[str, ir.Value]:
    """Return a kernel's arguments by name: those of the job, defaults, then those of the other named tuples.

    By default all rows of the tile are live, nothing is fetched or packed, and the next tile of C is this one.
    """
    job = _fields(builder, signature.args[1:2], values[1:2])
    members = _fields(builder, signature.args[2:], values[2:])
    unused = ("columns", "ahead", "ahead_too", "spread", "step_b", "source", "copy")
    defaults = {"rows": constant(ROWS), "next_b": job["b"], "row_source": job["row_b"], "next_c": members["c"]}
    return {**job, **dict.fromkeys(unused, constant(0)), **defaults, **members}


def _call(builder: ir.IRBuilder, variant: Variant, arguments: dict[str, ir.Value]) -> None:
    builder.call(microkernel.kernel(builder.module, variant), [arguments[name] for name in ARGUMENTS])


@intrinsic
def multiply_tile(_context: Any, vector: Any, job: Any, operands: Any, ahead: Any) -> tuple[Any, Any]:
    """Compute one whole tile of C from packed B (Job, Operands, Ahead)."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        _call(builder, Variant(tile_of(signature.args[0])), _kernel_arguments(builder, signature, values))
        return context.get_dummy_value()

    return types.void(vector, job, operands, ahead), build


@intrinsic
def multiply_tile_aside(
    _context: Any, vector: Any, job: Any, operands: Any, ahead: Any, aside: Any
) -> tuple[Any, Any]:  # fmt: skip
    """Compute one whole tile of C and pack some of the next block of B (Job, Operands, Ahead, Aside)."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        variant = Variant(tile_of(signature.args[0]), copying=True)
        _call(builder, variant, _kernel_arguments(builder, signature, values))
        return context.get_dummy_value()

    return types.void(vector, job, operands, ahead, aside), build


@intrinsic
def multiply_edge(_context: Any, vector: Any, job: Any, operands: Any, edge: Any) -> tuple[Any, Any]:
    """Compute a tile of fewer rows or columns, or from B in place, by the smallest kernel (Job, Operands, Edge)."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        arguments = _kernel_arguments(builder, signature, values)
        after = builder.append_basic_block("after_edge")
        for variant in microkernel.edges(tile_of(signature.args[0]), vectors.target().masks):
            inside = builder.append_basic_block("edge")
            following = builder.append_basic_block("larger")
            builder.cbranch(_fits(builder, variant, arguments), inside, following)
            builder.position_at_end(inside)
            _call(builder, variant, arguments)
            builder.branch(after)
            builder.position_at_end(following)
        builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return types.void(vector, job, operands, edge), build


def _fits(builder: ir.IRBuilder, variant: Variant, arguments: dict[str, ir.Value]) -> ir.Value:
    """Emit whether the live part of a tile has no more rows than a kernel, and ends in the last of its vectors."""
    tile = variant.tile
    rows = builder.icmp_signed("<=", arguments["rows"], constant(tile.rows))
    wide = builder.icmp_signed(">", arguments["columns"], constant(tile.columns - tile.lanes))
    narrow = builder.icmp_signed("<=", arguments["columns"], constant(tile.columns))
    return builder.and_(rows, builder.and_(wide, narrow))


@intrinsic
def copy_row(_context: Any, vector: Any, target: Any, source: Any, ahead: Any) -> tuple[Any, Any]:
    """Copy a row of one tile's width to an aligned place, and fetch what lies `ahead` bytes further on."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        tile = tile_of(signature.args[0])
        _, target, source, ahead = values
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
    """Copy the first columns of a row of one tile's width; the others become zeros."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        tile = tile_of(signature.args[0])
        _, target, source, columns = values
        type_, size = vectors.vector(tile.dtype, tile.lanes), SIZES[tile.dtype]
        for number in range(tile.vectors):
            start = number * tile.lanes * size
            live = vectors.mask(builder, builder.sub(columns, constant(number * tile.lanes)), tile.lanes)
            value = vectors.load_masked(builder, offset(builder, source, start), type_, size, live)
            vectors.store(builder, value, offset(builder, target, start), tile.lanes * size)
        return context.get_dummy_value()

    return types.void(vector, target, source, columns), build


@intrinsic
def copy_element(_context: Any, vector: Any, target: Any, source: Any) -> tuple[Any, Any]:
    """Copy one element."""

    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        dtype = tile_of(signature.args[0]).dtype
        value = vectors.load(builder, values[2], vectors.FLOATS[dtype], SIZES[dtype])
        vectors.store(builder, value, values[1], SIZES[dtype])
        return context.get_dummy_value()

    return types.void(vector, target, source), build


def _thin(vector: Any, arguments: Any, kernel: Callable[..., ir.Function], count: int) -> tuple[Any, Any]:
    def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
        members = _fields(builder, signature.args[1:], values[1:])
        builder.call(kernel(builder.module, tile_of(signature.args[0]), count), list(members.values()))
        return context.get_dummy_value()

    return types.void(vector, arguments), build


@intrinsic
def add_rows(_context: Any, vector: Any, row_sum: Any) -> tuple[Any, Any]:
    """Add multiples of `AT_ONCE` rows of B to a row of C (RowSum)."""
    return _thin(vector, row_sum, gemm_thin.add_rows, AT_ONCE)


@intrinsic
def add_row(_context: Any, vector: Any, row_sum: Any) -> tuple[Any, Any]:
    """Add a multiple of one row of B to a row of C (RowSum)."""
    return _thin(vector, row_sum, gemm_thin.add_rows, 1)


@intrinsic
def dot_one(_context: Any, vector: Any, dots: Any) -> tuple[Any, Any]:
    """Compute dot products of up to six rows of A with one turned column of B (Dots)."""
    return _thin(vector, dots, gemm_thin.dots, 1)


@intrinsic
def dot_few(_context: Any, vector: Any, dots: Any) -> tuple[Any, Any]:
    """Compute dot products of up to six rows of A with up to four turned columns of B (Dots)."""
    return _thin(vector, dots, gemm_thin.dots, FEW)
