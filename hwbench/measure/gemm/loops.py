"""The loops around the inner kernel of the matrix multiply: which blocks of A, B and C meet when, compiled by numba.

For every block of B (`block_depth` × `block_columns`, at home in L2): pack it in strips of a tile's width, then go
down A six rows at a time, and along the strips. While the last tiles of a block are computed, the kernel packs the
next block on the side. Few rows are not worth packing B: then it is read where it lies, a few rows of B at a time,
while the next ones are fetched in the order in which they lie, which memory and TLB serve fastest.
"""

from typing import Any, NamedTuple

from hwbench.measure.codegen.compile import compiled, inlined
from hwbench.measure.codegen.gate import DONE, TICKET, await_other, write
from hwbench.measure.gemm.intrinsics import (
    Job,
    add_row,
    add_rows,
    copy_element,
    copy_part,
    copy_row,
    dot_few,
    dot_one,
    multiply_edge,
    multiply_tile,
    multiply_tile_aside,
)
from hwbench.measure.gemm.microkernel import LINE, ROWS
from hwbench.measure.gemm.thin import AT_ONCE, DOT_DEPTH, ROW_BYTES

AHEAD_PACK = 8
"""Rows of B that packing asks for early."""

AHEAD_IN_PLACE = 4
"""Rows of B that are asked for early where it is read in place, but not fetched in order."""


class Block(NamedTuple):
    """A block of B: where it begins, in elements, and its size. One without columns is no block."""

    row: int
    column: int
    depth: int
    columns: int


@inlined
def pack(vector: Any, job: Job, block: Block, place: int, done: int) -> None:
    """Pack a block of B: the whole strips after the first `done`, then the part of one, padded."""
    whole = block.columns // job.tile_columns
    rest = block.columns - whole * job.tile_columns
    width = job.tile_columns * job.size
    if done < whole or rest > 0:
        for row in range(block.depth):
            source = job.b + (block.row + row) * job.row_b + block.column * job.size
            target = place + row * width
            for strip in range(done, whole):
                copy_row(vector, target + strip * block.depth * width, source + strip * width, AHEAD_PACK * job.row_b)
            if rest > 0:
                copy_part(vector, target + whole * block.depth * width, source + whole * width, rest)


@inlined
def multiply_block(vector: Any, job: Job, block: Block, packed: int, following: Block, place: int) -> Any:
    """Multiply all of A's rows with a packed block, packing the following one; returns how many strips are packed."""
    whole = block.columns // job.tile_columns
    rest = block.columns - whole * job.tile_columns
    width = job.tile_columns * job.size
    strip_bytes = block.depth * width
    share = (ROWS - 1) // (whole + min(rest, 1)) + 1
    rounds, each, turn, done = packing_turns(job, block, following)
    source = job.b + following.row * job.row_b + following.column * job.size
    for row in range(0, job.rows, ROWS):
        live = min(ROWS, job.rows - row)
        down = min(ROWS, job.rows - row - live)
        a = job.a + row * job.row_a + block.row * job.size
        first_c = job.c + row * job.row_c + block.column * job.size
        for strip in range(whole):
            b, c = packed + strip * strip_bytes, first_c + strip * width
            ahead = min(down, 1) * (ROWS + min(strip * share, down - 1)) * job.row_a
            ahead_too = min(down, 1) * (ROWS + min((strip + 1) * share, down) - 1) * job.row_a
            next_c = c + width if strip + 1 < whole else first_c + down * job.row_c
            if live < ROWS:
                multiply_edge(vector, job, a, b, width, c, block.depth, block.row, live, job.tile_columns, b, 0, 0)
            elif turn < 0:
                multiply_tile(vector, job, a, b, c, block.depth, block.row, ahead, ahead_too, next_c)
            else:
                top = min(turn % each * rounds, following.depth - rounds)
                start = source + turn // each * width + top * job.row_b
                copy = place + (turn // each * following.depth + top) * width
                multiply_tile_aside(vector, job, a, b, c, block.depth, block.row, ahead, ahead_too, next_c, start, copy)
            turn += 1
        if rest > 0:
            b, c = packed + whole * strip_bytes, first_c + whole * width
            multiply_edge(vector, job, a, b, width, c, block.depth, block.row, live, rest, b, 0, 0)
    return done


@inlined
def packing_turns(job: Job, block: Block, following: Block) -> tuple[int, int, int, int]:
    """How the following block is packed on the side, in the last of the calls of the kernel that this block takes.

    Gives the rows that one call packs, the calls for a strip, the number of the first call counted back from the one
    that begins (below 0: so many calls come before), and how many strips are packed in the end.
    """
    rounds = rounds_of(job, block.depth)
    calls = job.rows // ROWS * (block.columns // job.tile_columns)
    if job.aside == 0 or rounds == 0 or following.depth < rounds:
        return 0, 1, -1 - calls, 0
    each = (following.depth + rounds - 1) // rounds
    needed = following.columns // job.tile_columns * each
    return rounds, each, min(0, needed - calls), min(needed, calls) // each


@inlined
def rounds_of(job: Job, depth: int) -> Any:
    """Unrolled rounds of a kernel on the way along the depth, which is cut into chains."""
    return depth // job.chain * (job.chain // job.unroll) + depth % job.chain // job.unroll


@inlined
def multiply_packed(vector: Any, job: Job) -> None:
    """Block after block of B, each packed while the one before it is used."""
    here, there, done = job.buffer, job.spare, 0
    for column in range(0, job.columns, job.block_columns):
        columns = min(job.block_columns, job.columns - column)
        for row in range(0, job.depth, job.block_depth):
            block = Block(row, column, min(job.block_depth, job.depth - row), columns)
            pack(vector, job, block, here, done)
            below = row + block.depth
            if below < job.depth:
                following = Block(below, column, min(job.block_depth, job.depth - below), columns)
            else:
                beside = column + columns
                following = Block(
                    0, beside, min(job.block_depth, job.depth), min(job.block_columns, job.columns - beside)
                )
            done = multiply_block(vector, job, block, here, following, there)
            here, there = there, here


@inlined
def multiply_in_place(vector: Any, job: Job) -> None:
    """Few rows, or a small B: it is read where it lies, block after block."""
    for column in range(0, job.columns, job.block_columns):
        for row in range(0, job.depth, job.block_depth):
            depth, columns = min(job.block_depth, job.depth - row), min(job.block_columns, job.columns - column)
            multiply_block_in_place(vector, job, Block(row, column, depth, columns))


@inlined
def multiply_block_in_place(vector: Any, job: Job, block: Block) -> None:
    """Multiply all rows of A with a block of B that is not packed: `together` of them with strip after strip."""
    for top in range(0, job.rows, job.together):
        bottom = min(top + job.together, job.rows)
        for start in range(job.head - job.tile_columns if job.head > 0 else 0, block.columns, job.tile_columns):
            column = max(start, 0)
            columns = min(start + job.tile_columns, block.columns) - column
            b = job.b + block.row * job.row_b + (block.column + column) * job.size
            for row in range(top, bottom, ROWS):
                a = job.a + row * job.row_a + block.row * job.size
                c = job.c + row * job.row_c + (block.column + column) * job.size
                rows = min(ROWS, bottom - row)
                next_b, spread, step = fetched(job, block, b, row, column)
                multiply_edge(
                    vector, job, a, b, job.row_b, c, block.depth, block.row, rows, columns, next_b, spread, step
                )


@inlined
def fetched(job: Job, block: Block, b: int, row: int, column: int) -> tuple[int, int, int]:
    """What is fetched of B beside a tile that reads it in place: where, how far apart the lines are, how far to go on.

    In order: all tiles of a block, so many groups of rows × so many strips, share the rows below the block evenly.
    """
    if job.in_order == 0:
        return (b + AHEAD_IN_PLACE * job.row_b, LINE, job.row_b) if row == 0 else (b, 0, 0)
    groups, width, length = (job.rows + ROWS - 1) // ROWS, job.tile_columns * job.size, block.columns * job.size
    done = column * block.depth * job.size + row // ROWS * (block.depth * width // groups)
    below = block.row + block.depth + done // length
    place = job.b + below * job.row_b + block.column * job.size + done % length
    return place, LINE // groups, width // LINE * (LINE // groups)


@inlined
def multiply_rows(vector: Any, job: Job) -> None:
    """One row of A after the other, each with whole rows of B: for one row of A, or one row of B."""
    most = ROW_BYTES // job.size
    for line in range(job.rows):
        a = job.a + line * job.row_a
        for start in range(job.head - most if job.head > 0 else 0, job.columns, most):
            column = max(start, 0)
            columns = min(start + most, job.columns) - column
            b, c, row = job.b + column * job.size, job.c + line * job.row_c + column * job.size, 0
            while row + AT_ONCE <= job.depth:
                add_rows(vector, a + row * job.size, b + row * job.row_b, job.row_b, c, columns, row)
                row += AT_ONCE
            while row < job.depth:
                add_row(vector, a + row * job.size, b + row * job.row_b, job.row_b, c, columns, row)
                row += 1


@inlined
def multiply_columns(vector: Any, job: Job) -> None:
    """The last few columns of B, turned into rows in the buffer if they are none as they lie."""
    turned, first = DOT_DEPTH * job.size + LINE, job.columns * job.size
    for start in range(0, job.depth, DOT_DEPTH):
        depth, place = min(DOT_DEPTH, job.depth - start), job.buffer
        if job.row_b == job.size:
            place = job.b + start * job.size
        else:
            for row in range(depth):
                for column in range(job.few):
                    source = job.b + (start + row) * job.row_b + first + column * job.size
                    copy_element(vector, place + column * turned + row * job.size, source)
        for row in range(0, job.rows, ROWS):
            a, c = job.a + row * job.row_a + start * job.size, job.c + row * job.row_c + first
            rows = min(ROWS, job.rows - row)
            if job.few == 1:
                dot_one(vector, a, job.row_a, place, turned, c, job.row_c, depth, start, rows, 1)
            else:
                dot_few(vector, a, job.row_a, place, turned, c, job.row_c, depth, start, rows, job.few)


@inlined
def job_of(numbers: Any) -> Job:
    """The job that an array of 64-bit integers holds: it is passed in a tenth of the time that a tuple takes."""
    return Job(
        numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6], numbers[7], numbers[8],
        numbers[9], numbers[10], numbers[11], numbers[12], numbers[13], numbers[14], numbers[15], numbers[16],
        numbers[17], numbers[18], numbers[19], numbers[20], numbers[21], numbers[22], numbers[23],
    )  # fmt: skip


@compiled
def run(vector: Any, numbers: Any, place: int, seen: int, looks: int) -> int:
    """C = A · B for one job, the numbers of a `Job` in an array; `vector` as `vector_of` makes it.

    With a `place` in a gate it does so whenever a ticket other than `seen` comes, and returns the last one after so
    many looks in vain. Both uses are one function, since the kernels would else be compiled twice.
    """
    while True:
        if place != 0:
            ticket = await_other(place + TICKET, seen, looks)
            if ticket == seen:
                return seen
            seen = ticket
        job = job_of(numbers)
        if job.thin == 1:
            multiply_rows(vector, job)
        elif job.in_place == 1:
            multiply_in_place(vector, job)
        else:
            multiply_packed(vector, job)
        if job.few > 0:
            multiply_columns(vector, job)
        if place == 0:
            return 0
        write(place + DONE, seen)
