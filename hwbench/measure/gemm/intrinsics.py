"""The kernels of the matrix multiply as intrinsics of numba, which compiled loops call.

Each takes a `vector` first, an array whose type alone matters: it selects the tile (see `vector_of`).
"""

from collections import ChainMap
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import ELEMENTS
from hwbench.measure.codegen.vectors import constant, offset
from hwbench.measure.gemm import lanes, microkernel
from hwbench.measure.gemm import thin as gemm_thin
from hwbench.measure.gemm.job import Job
from hwbench.measure.gemm.microkernel import ARGUMENTS, LINE, ROWS, Tile, Variant
from hwbench.measure.gemm.thin import AT_ONCE, FEW

DTYPES = {types.float32: "fp32", types.float64: "fp64", types.uint16: "fp16", types.uint32: "bf16", types.int32: "int8"}
NUMPY = {"fp32": np.float32, "fp64": np.float64, "fp16": np.uint16, "bf16": np.uint32, "int8": np.int32}
Members = dict[str, ir.Value]


def vector_of(tile: Tile) -> Any:
    """Return an array whose type tells the compiler which vectors to use: 2 × 2 × … of a dtype, as many as lanes."""
    return np.zeros((2,) * (tile.lanes.bit_length() - 1), NUMPY[tile.dtype])


def tile_of(vector: Any) -> Tile:
    """Return the tile for the numba type of an array from `vector_of`."""
    return microkernel.tile_for(DTYPES[vector.dtype], 2**vector.ndim, vectors.target())


def reader(fields: Any) -> Any:
    """Make an intrinsic that returns a named tuple of these fields from an array of 64-bit integers.

    An array is passed in a tenth of the time that a tuple takes.
    """

    def typed(_context: Any, numbers: Any) -> tuple[Any, Any]:
        job = types.NamedUniTuple(types.int64, len(fields._fields), fields)

        def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
            start = context.make_array(signature.args[0])(context, builder, values[0]).data
            members = [builder.load(cgutils.gep(builder, start, position)) for position in range(len(fields._fields))]
            return context.make_tuple(builder, job, members)

        return job(numbers), build

    return intrinsic(typed)


job_of = reader(Job)


def selected(select: Callable[[Any], Any], emit: Callable[..., None]) -> Any:
    """Make a function that emits instructions, given a builder, what its first argument's type selects and the other
    arguments, an intrinsic.

    Named tuples arrive as their members by name.
    """

    @wraps(emit)
    def typed(_context: Any, vector: Any, *kinds: Any) -> tuple[Any, Any]:
        def build(context: Any, builder: ir.IRBuilder, signature: Any, values: Any) -> ir.Value:
            arguments = map(partial(_members, builder), signature.args[1:], values[1:])
            emit(builder, select(signature.args[0]), *arguments)
            return context.get_dummy_value()

        return types.void(vector, *kinds), build

    return intrinsic(typed)


of_tile = partial(selected, tile_of)
"""Make an intrinsic of what emits instructions for the tile of a vector."""


def _members(builder: ir.IRBuilder, kind: Any, value: ir.Value) -> Members | ir.Value:
    if not isinstance(kind, types.BaseNamedTuple):
        return value
    return {name: builder.extract_value(value, position) for position, name in enumerate(kind.fields)}


def _call(builder: ir.IRBuilder, variant: Variant, arguments: Members) -> None:
    builder.call(microkernel.kernel(builder.module, variant), [arguments[name] for name in ARGUMENTS])


def _arguments(job: Members, operands: Members, *others: Members) -> Members:
    """Return a kernel's arguments by name: those of the job, defaults, then those of the other named tuples.

    By default all rows of the tile are live, nothing is fetched or packed, and the next tile of C is this one.
    """
    unused = dict.fromkeys(("columns", "ahead", "ahead_too", "spread", "step_b", "source", "copy"), constant(0))
    defaults = {"rows": constant(ROWS), "next_b": job["b"], "row_source": job["row_b"], "next_c": operands["c"]}
    return dict(ChainMap(*reversed(others), operands, defaults, unused, job))


@of_tile
def multiply_tile(builder: ir.IRBuilder, tile: Tile, job: Members, operands: Members, ahead: Members) -> None:
    """Compute one whole tile of C from packed B (Job, Operands, Ahead)."""
    _call(builder, Variant(tile), _arguments(job, operands, ahead))


@of_tile
def multiply_tile_aside(
    builder: ir.IRBuilder, tile: Tile, job: Members, operands: Members, ahead: Members, aside: Members
) -> None:
    """Compute one whole tile of C and pack some of the next block of B (Job, Operands, Ahead, Aside)."""
    _call(builder, Variant(tile, copying=True), _arguments(job, operands, ahead, aside))


@of_tile
def multiply_edge(builder: ir.IRBuilder, tile: Tile, job: Members, operands: Members, edge: Members) -> None:
    """Compute a tile of fewer rows or columns, or from B in place, by the smallest kernel (Job, Operands, Edge)."""
    arguments = _arguments(job, operands, edge)
    first(
        builder,
        [
            (partial(_fits, builder, variant.tile, arguments), partial(_call, builder, variant, arguments))
            for variant in microkernel.edges(tile, vectors.target().masks)
        ],
    )


def first(builder: ir.IRBuilder, cases: Sequence[tuple[Callable[[], ir.Value], Callable[[], Any]]]) -> None:
    """Emit what runs the code of the first case whose condition holds."""
    after = builder.append_basic_block("after")
    for condition, code in cases:
        inside = builder.append_basic_block("case")
        following = builder.append_basic_block("larger")
        builder.cbranch(condition(), inside, following)
        builder.position_at_end(inside)
        code()
        builder.branch(after)
        builder.position_at_end(following)
    builder.branch(after)
    builder.position_at_end(after)


def _fits(builder: ir.IRBuilder, tile: Tile, arguments: Members) -> ir.Value:
    """Emit whether the live part of a tile has no more rows than a kernel's, and ends in the last of its vectors."""
    rows = builder.icmp_signed("<=", arguments["rows"], constant(tile.rows))
    wide = builder.icmp_signed(">", arguments["columns"], constant(tile.columns - tile.lanes))
    narrow = builder.icmp_signed("<=", arguments["columns"], constant(tile.columns))
    return builder.and_(rows, builder.and_(wide, narrow))


@of_tile
def copy_row(builder: ir.IRBuilder, tile: Tile, target: ir.Value, source: ir.Value, ahead: ir.Value) -> None:
    """Copy a row of one tile's width to an aligned place, and fetch what lies `ahead` bytes further on."""
    for start in range(0, tile.bytes, LINE):
        vectors.prefetch(builder, offset(builder, builder.add(source, ahead), start))
    for start in range(0, tile.bytes, tile.width):
        value = tile.load(builder, offset(builder, source, start))
        vectors.store(builder, value, offset(builder, target, start), tile.width)


@of_tile
def copy_part(builder: ir.IRBuilder, tile: Tile, target: ir.Value, source: ir.Value, columns: ir.Value) -> None:
    """Copy the first columns of a row of one tile's width; the others become zeros."""
    for number in range(tile.vectors):
        start = number * tile.width
        live = vectors.mask(builder, builder.sub(columns, constant(number * tile.lanes)), tile.lanes)
        value = tile.load(builder, offset(builder, source, start), live)
        vectors.store(builder, value, offset(builder, target, start), tile.width)


@of_tile
def copy_element(builder: ir.IRBuilder, tile: Tile, target: ir.Value, source: ir.Value) -> None:
    """Copy one element."""
    vectors.store(builder, vectors.load(builder, source, tile.type.element, tile.size), target, tile.size)


def _thin(kernel: Callable[..., ir.Function], count: int) -> Any:
    def emit(builder: ir.IRBuilder, tile: Tile, arguments: Members) -> None:
        builder.call(kernel(builder.module, tile, count), list(arguments.values()))

    return of_tile(emit)


add_rows = _thin(gemm_thin.add_rows, AT_ONCE)
"""Add multiples of `AT_ONCE` rows of B to a row of C (RowSum)."""

add_row = _thin(gemm_thin.add_rows, 1)
"""Add a multiple of one row of B to a row of C (RowSum)."""

dot_one = _thin(gemm_thin.dots, 1)
"""Compute dot products of up to six rows of A with one turned column of B (Dots)."""

dot_few = _thin(gemm_thin.dots, FEW)
"""Compute dot products of up to six rows of A with up to four turned columns of B (Dots)."""


@of_tile
def interleave(
    builder: ir.IRBuilder, tile: Tile, target: ir.Value, source: ir.Value, row: ir.Value, live: ir.Value,
    columns: ir.Value,
) -> None:  # fmt: skip
    """Make one row of lanes of up to four rows of B, which are `row` bytes apart; nothing where lanes are elements."""
    if tile.dtype == "fp16":
        lanes.widen(builder, tile, target, source, row, columns)
    elif tile.dtype in ELEMENTS:
        lanes.interleave(builder, tile, target, source, row, live, columns)


@of_tile
def subtract(
    builder: ir.IRBuilder, tile: Tile, target: ir.Value, first: ir.Value, second: ir.Value, columns: ir.Value
) -> None:  # fmt: skip
    """Write the difference of two rows of 32-bit integers; nothing where sums are floats."""
    if tile.dtype == "int8":
        lanes.subtract(builder, tile, target, first, second, columns)
