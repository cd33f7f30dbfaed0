"""The loops around the kernel of products by tiles, compiled by numba.

For every block of B, which is packed in panels of 32 columns and stays in L2: go down A, 32 rows at a time, pack them
to L1, and multiply them with every panel. Sums of a block of C stay in L2 over its depth. What is no whole panel of C
goes there by way of a scratch.
"""

from typing import Any, NamedTuple

from hwbench.measure.codegen.compile import compiled, inlined
from hwbench.measure.codegen.gate import DONE, TICKET, await_other, write
from hwbench.measure.codegen.tiles import ROW_BYTES, ROWS
from hwbench.measure.gemm.job import TileJob, TilePanel
from hwbench.measure.gemm.tile_kernel import (
    FETCHED,
    SIDE,
    STRIP_BYTES,
    configure_tiles,
    copy_bytes,
    copy_padded,
    interleave_panel,
    multiply_panel,
    release_tiles,
    tile_job_of,
)

STEP_BYTES = ROWS * STRIP_BYTES
"""Bytes of a step of a packed panel of B."""


SUMS_BYTES = SIDE * STRIP_BYTES
"""Bytes of a panel's sums."""


class TileBlock(NamedTuple):
    """A block of B: its columns, its depth in elements, from `start` on, and in steps."""

    column: int
    columns: int
    start: int
    depth: int
    steps: int


@inlined
def pack_b(kind: Any, job: TileJob, block: TileBlock, place: int) -> None:
    """Pack a block of B: rows of lanes of each panel, one after another, and zeros below the last row."""
    elements = 4 // job.size
    for row in range(block.steps * ROWS):
        above = block.start + row * elements
        source = job.b + min(above, job.depth - 1) * job.row_b + block.column * job.size
        live = min(elements, job.depth - above)
        for first in range(0, block.columns, SIDE):
            target = place + first // SIDE * block.steps * STEP_BYTES + row * STRIP_BYTES
            interleave_panel(kind, target, source + first * job.size, job.row_b, live, min(SIDE, block.columns - first))


@inlined
def multiply_rows(kind: Any, job: TileJob, block: TileBlock, row: int, sums: int, b: int, following: int) -> None:
    """Multiply the packed rows of A from `row` on with a packed block of B; rows of A at `following` are fetched.

    Sums of a depth of several blocks are kept at `sums` until the last.
    """
    rows, last = min(SIDE, job.rows - row), block.start + block.depth >= job.depth
    for first in range(0, block.columns, SIDE):
        c = job.c + row * job.row_c + (block.column + first) * 4
        packed = b + first // SIDE * block.steps * STEP_BYTES
        wide = min(SIDE, block.columns - first)
        subtotal, direct = sums + first // SIDE * SUMS_BYTES, last and rows == SIDE and wide == SIDE
        next_c = c + STRIP_BYTES
        if first + SIDE >= block.columns:
            next_c = job.c + (row + SIDE) * job.row_c + block.column * 4
        panel = TilePanel(
            job.packed_a,
            block.steps * ROW_BYTES,
            packed,
            subtotal,
            STRIP_BYTES,
            c if direct else job.scratch if last else subtotal,
            job.row_c if direct else STRIP_BYTES,
            block.steps,
            block.start,
            following + first // SIDE * FETCHED % SIDE * job.row_a,
            job.row_a,
            next_c if last else subtotal + SUMS_BYTES,
            job.row_c if last else STRIP_BYTES,
        )
        multiply_panel(kind, panel, rows, wide)
        if last and not direct:
            for line in range(rows):
                copy_bytes(kind, c + line * job.row_c, job.scratch + line * STRIP_BYTES, wide * 4)


@inlined
def multiply_block(kind: Any, job: TileJob, block: TileBlock, top: int, b: int) -> None:
    """Multiply the rows of A from `top` on with a packed block of B, 32 at a time, which are packed before."""
    bottom = min(top + job.block_rows, job.rows)
    sums = job.sums
    for row in range(top, bottom, SIDE):
        for line in range(min(SIDE, job.rows - row)):
            source = job.a + (row + line) * job.row_a + block.start * job.size
            copy_padded(kind, job.packed_a + line * block.steps * ROW_BYTES, source, block.depth * job.size)
        following = job.a + (row + SIDE) * job.row_a + block.start * job.size
        if row + SIDE >= bottom:
            following = job.a + top * job.row_a + (block.start + block.depth) * job.size
        multiply_rows(kind, job, block, row, sums, b, following)
        sums += (block.columns + SIDE - 1) // SIDE * SUMS_BYTES


@inlined
def multiply(kind: Any, job: TileJob) -> None:
    """Compute C block after block; packed blocks of a constant B are kept, and packed once."""
    every = (job.depth * job.size + ROW_BYTES - 1) // ROW_BYTES
    for column in range(0, job.columns, job.block_columns):
        columns = min(job.block_columns, job.columns - column)
        for top in range(0, job.rows, job.block_rows):
            for start in range(0, job.depth, job.block_depth):
                depth = min(job.block_depth, job.depth - start)
                block = TileBlock(column, columns, start, depth, (depth * job.size + ROW_BYTES - 1) // ROW_BYTES)
                place = job.packed_b
                if job.keeps == 1:
                    above = start * job.size // ROW_BYTES * ((columns + SIDE - 1) // SIDE)
                    place += (column // SIDE * every + above) * STEP_BYTES
                if job.packs == 1 and (job.keeps == 0 or top == 0):
                    pack_b(kind, job, block, place)
                multiply_block(kind, job, block, top, place)


@compiled
def run(kind: Any, numbers: Any, place: int, seen: int, looks: int) -> int:
    """Compute C = A · B for the numbers of a `TileJob`; `kind` is an array of A's dtype. Else as `loops.run`."""
    while True:
        if place != 0:
            ticket = await_other(place + TICKET, seen, looks)
            if ticket == seen:
                return seen
            seen = ticket
        job = tile_job_of(numbers)
        if job.rows > 0:
            configure_tiles(kind, job.config)
            multiply(kind, job)
            release_tiles(kind)
        if place == 0:
            return 0
        write(place + DONE, seen)
