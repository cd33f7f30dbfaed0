"""The loops around the kernel of products by tiles, compiled by numba.

For every block of B, which is packed in panels of 32 columns and stays in L2: go down A, 32 rows at a time, pack them
to L1, and multiply them with every panel. What is no whole panel of C goes there by way of a scratch.
"""

from typing import Any

from hwbench.measure.codegen.compile import compiled, inlined
from hwbench.measure.codegen.gate import DONE, TICKET, await_other, write
from hwbench.measure.codegen.tiles import ROW_BYTES, ROWS
from hwbench.measure.gemm.job import Panel, TileJob
from hwbench.measure.gemm.tile_kernel import (
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


@inlined
def pack_b(kind: Any, job: TileJob, start: int, column: int, steps: int, columns: int, place: int) -> None:
    """Pack a block of B: rows of lanes of each panel, one after another, and zeros below the last row."""
    elements = 4 // job.size
    for row in range(steps * ROWS):
        above = start + row * elements
        source = job.b + min(above, job.depth - 1) * job.row_b + column * job.size
        live = min(elements, job.depth - above)
        for first in range(0, columns, SIDE):
            target = place + first // SIDE * steps * STEP_BYTES + row * STRIP_BYTES
            interleave_panel(kind, target, source + first * job.size, job.row_b, live, min(SIDE, columns - first))


@inlined
def multiply_rows(kind: Any, job: TileJob, row: int, column: int, columns: int, start: int, steps: int, b: int) -> None:
    """Multiply the packed rows of A from `row` on with a packed block of B."""
    rows = min(SIDE, job.rows - row)
    for first in range(0, columns, SIDE):
        c = job.c + row * job.row_c + (column + first) * 4
        packed = b + first // SIDE * steps * STEP_BYTES
        wide = min(SIDE, columns - first)
        if rows == SIDE and wide == SIDE:
            panel = Panel(job.packed_a, steps * ROW_BYTES, packed, c, job.row_c, steps, start)
            multiply_panel(kind, panel, rows, wide)
        else:
            if start > 0:
                for line in range(rows):
                    copy_bytes(kind, job.scratch + line * STRIP_BYTES, c + line * job.row_c, wide * 4)
            panel = Panel(job.packed_a, steps * ROW_BYTES, packed, job.scratch, STRIP_BYTES, steps, start)
            multiply_panel(kind, panel, rows, wide)
            for line in range(rows):
                copy_bytes(kind, c + line * job.row_c, job.scratch + line * STRIP_BYTES, wide * 4)


@inlined
def multiply(kind: Any, job: TileJob) -> None:
    """Compute C block after block of B; those of a constant B are kept, and packed once."""
    place = job.packed_b
    for column in range(0, job.columns, job.block_columns):
        columns = min(job.block_columns, job.columns - column)
        for start in range(0, job.depth, job.block_depth):
            depth = min(job.block_depth, job.depth - start)
            steps = (depth * job.size + ROW_BYTES - 1) // ROW_BYTES
            if job.packs == 1:
                pack_b(kind, job, start, column, steps, columns, place)
            for row in range(0, job.rows, SIDE):
                for line in range(min(SIDE, job.rows - row)):
                    source = job.a + (row + line) * job.row_a + start * job.size
                    copy_padded(kind, job.packed_a + line * steps * ROW_BYTES, source, depth * job.size)
                multiply_rows(kind, job, row, column, columns, start, steps, place)
            if job.keeps == 1:
                place += (columns + SIDE - 1) // SIDE * steps * STEP_BYTES


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
