"""The loops around the kernels of the matrix multiply, compiled by numba: which blocks of A, B and C meet when.

For every block of B (`block_depth` × `block_columns`, kept in L2): pack it in strips of a tile's width, then go down A
six rows at a time, and along the strips. While the last tiles of a block are computed, the kernel packs the next block.
Few rows do not pay for packing B: then it is read in place, a few rows of B at a time, while the next ones are fetched
in the order of their addresses, which memory and TLB serve fastest.

    call                 A           B                                 C
    multiply_tile        6 rows      a packed strip, padded            a whole tile
    multiply_tile_aside  6 rows      the same; packs the next block    a whole tile
    multiply_edge        1 to 6      a packed strip, or B in place     1 to 6 rows, 1 to `tile_columns` columns
    add_rows, add_row    1 element   whole rows in place               a part of one row
    dot_one, dot_few     1 to 6      1 to 4 columns, turned into rows  1 to 6 rows of them

Assumed everywhere: elements of a row are adjacent in A, B and C; rows are `row_a`, `row_b`, `row_c` bytes apart; packed
blocks begin at a page; nothing is assumed of the alignment of A, B and C but that of an element.
"""

from typing import Any, NamedTuple

from hwbench.measure.codegen.compile import compiled, inlined
from hwbench.measure.codegen.gate import DONE, TICKET, await_other, write
from hwbench.measure.gemm.intrinsics import (
    add_row,
    add_rows,
    copy_element,
    copy_part,
    copy_row,
    dot_few,
    dot_one,
    interleave,
    job_of,
    multiply_edge,
    multiply_tile,
    multiply_tile_aside,
    subtract,
)
from hwbench.measure.gemm.job import Ahead, Aside, Dots, Edge, Job, Operands, RowSum
from hwbench.measure.gemm.microkernel import LINE, ROWS
from hwbench.measure.gemm.thin import AT_ONCE, DOT_DEPTH, ROW_BYTES

AHEAD_PACK = 8
"""Rows of B that packing fetches early."""

AHEAD_IN_PLACE = 4
"""Rows of B that are fetched early where it is read in place, but not fetched in order."""


class Block(NamedTuple):
    """A block of B: where it begins, in elements, and its size; one without columns is empty."""

    row: int
    column: int
    depth: int
    columns: int


@inlined
def pack(vector: Any, job: Job, block: Block, place: int, packed: int) -> None:
    """Pack a block of B: the whole strips after the first `packed`, then the part of a strip, padded."""
    whole = block.columns // job.tile_columns
    rest = block.columns - whole * job.tile_columns
    width = job.tile_columns * job.size
    if packed < whole or rest > 0:
        for row in range(block.depth):
            source = job.b + (block.row + row) * job.row_b + block.column * job.size
            target = place + row * width
            for strip in range(packed, whole):
                copy_row(vector, target + strip * block.depth * width, source + strip * width, AHEAD_PACK * job.row_b)
            if rest > 0:
                copy_part(vector, target + whole * block.depth * width, source + whole * width, rest)


@inlined
def make_lanes(vector: Any, job: Job, block: Block, place: int, row_b: int) -> None:
    """Make lanes of a block of B, rows `row_b` bytes apart, and add up what products exceed by."""
    for start in range(0, block.depth, AT_ONCE):
        end, first = min(start + AT_ONCE, block.depth), place + start * row_b
        for row in range(start, end):
            above = (block.row + row) * job.elements
            source = job.narrow + above * job.row_narrow + block.column * job.narrow_size
            live = min(job.elements, job.narrow_depth - above)
            interleave(vector, place + row * row_b, source, job.row_narrow, live, block.columns)
        if job.shift != 0:
            factors, sums = job.shift + (block.row + start) * job.size, job.sums + block.column * job.size
            part = Block(block.row + start, block.column, end - start, block.columns)
            add_products(vector, job, factors, first, sums, part, row_b)


@compiled
def widen_rows(
    vector: Any, target: int, row_target: int, source: int, row_source: int, rows: int, columns: int
) -> None:
    """Write rows of fp16 as fp32."""
    for row in range(rows):
        interleave(vector, target + row * row_target, source + row * row_source, row_source, 1, columns)


@inlined
def add_products(vector: Any, job: Job, a: int, b: int, c: int, block: Block, row_b: int) -> None:
    """Add the products of a row of A from address `a` on with a block of B at `b` to what C holds of blocks above."""
    row = 0
    while row + AT_ONCE <= block.depth:
        add_rows(vector, RowSum(a + row * job.size, b + row * row_b, row_b, c, block.columns, block.row + row))
        row += AT_ONCE
    while row < block.depth:
        add_row(vector, RowSum(a + row * job.size, b + row * row_b, row_b, c, block.columns, block.row + row))
        row += 1


@inlined
def reach(vector: Any, job: Job, block: Block) -> tuple[int, int]:
    """Return where a block of B that is not packed begins and the distance of its rows, after making its lanes."""
    if job.by_block == 0:
        return job.b + block.row * job.row_b + block.column * job.size, job.row_b
    row_b = (block.columns * job.size + LINE - 1) // LINE * LINE + LINE  # rows in different sets of the caches
    make_lanes(vector, job, block, job.buffer, row_b)
    return job.buffer, row_b


@inlined
def multiply_block(vector: Any, job: Job, block: Block, packed: int, following: Block, place: int) -> Any:
    """Multiply all rows of A with a packed block and pack the following one; return how many strips are packed."""
    whole = block.columns // job.tile_columns
    rest = block.columns - whole * job.tile_columns
    width = job.tile_columns * job.size
    strip_bytes = block.depth * width
    share = (ROWS - 1) // (whole + min(rest, 1)) + 1
    rounds, calls, turn, strips = packing_turns(job, block, following)
    source = job.b + following.row * job.row_b + following.column * job.size
    bias = job.bias + block.column * job.size
    for row in range(0, job.rows, ROWS):
        live = min(ROWS, job.rows - row)
        down = min(ROWS, job.rows - row - live)
        a = job.a + row * job.row_a + block.row * job.size
        first_c = job.c + row * job.row_c + block.column * job.size
        for strip in range(whole):
            b, c = packed + strip * strip_bytes, first_c + strip * width
            operands = Operands(a, b, c, block.depth, block.row, bias + strip * width)
            ahead = Ahead(
                min(down, 1) * (ROWS + min(strip * share, down - 1)) * job.row_a,
                min(down, 1) * (ROWS + min((strip + 1) * share, down) - 1) * job.row_a,
                c + width if strip + 1 < whole else first_c + down * job.row_c,
            )
            if live < ROWS:
                multiply_edge(vector, job, operands, Edge(width, live, job.tile_columns, b, 0, 0))
            elif turn < 0:
                multiply_tile(vector, job, operands, ahead)
            else:
                top = min(turn % calls * rounds, following.depth - rounds)
                start = source + turn // calls * width + top * job.row_b
                copy = place + (turn // calls * following.depth + top) * width
                multiply_tile_aside(vector, job, operands, ahead, Aside(start, copy))
            turn += 1
        if rest > 0:
            b, c = packed + whole * strip_bytes, first_c + whole * width
            operands = Operands(a, b, c, block.depth, block.row, bias + whole * width)
            multiply_edge(vector, job, operands, Edge(width, live, rest, b, 0, 0))
    return strips


@inlined
def packing_turns(job: Job, block: Block, following: Block) -> tuple[int, int, int, int]:
    """Return how the last calls of the kernel for a block pack the following one on the side.

    These are the rows that one call packs, the calls for a strip, the number of the first call counted from the one
    that begins to pack (below 0: so many calls come before), and how many strips are packed in the end.
    """
    rounds = rounds_of(job, block.depth)
    available = job.rows // ROWS * (block.columns // job.tile_columns)
    if job.aside == 0 or rounds == 0 or following.depth < rounds:
        return 0, 1, -1 - available, 0
    calls = (following.depth + rounds - 1) // rounds
    needed = following.columns // job.tile_columns * calls
    return rounds, calls, min(0, needed - available), min(needed, available) // calls


@inlined
def rounds_of(job: Job, depth: int) -> Any:
    """Return the unrolled rounds of a kernel along the depth, which is cut into chains."""
    return depth // job.chain * (job.chain // job.unroll) + depth % job.chain // job.unroll


@inlined
def multiply_packed(vector: Any, job: Job) -> None:
    """Multiply block after block of B, each packed while the one before it is used."""
    current, other, packed = job.buffer, job.spare, 0
    for column in range(0, job.columns, job.block_columns):
        columns = min(job.block_columns, job.columns - column)
        for row in range(0, job.depth, job.block_depth):
            block = Block(row, column, min(job.block_depth, job.depth - row), columns)
            pack(vector, job, block, current, packed)
            below = row + block.depth
            if below < job.depth:
                following = Block(below, column, min(job.block_depth, job.depth - below), columns)
            else:
                right = column + columns
                following = Block(
                    0, right, min(job.block_depth, job.depth), min(job.block_columns, job.columns - right)
                )
            packed = multiply_block(vector, job, block, current, following, other)
            current, other = other, current


@inlined
def multiply_in_place(vector: Any, job: Job) -> None:
    """Multiply few rows, or with a small B, which is read in place, block after block."""
    for column in range(0, job.columns, job.block_columns):
        for row in range(0, job.depth, job.block_depth):
            depth, columns = min(job.block_depth, job.depth - row), min(job.block_columns, job.columns - column)
            block = Block(row, column, depth, columns)
            b, row_b = reach(vector, job, block)
            multiply_block_in_place(vector, job, block, b, row_b)


@inlined
def multiply_block_in_place(vector: Any, job: Job, block: Block, begin: int, row_b: int) -> None:
    """Multiply all rows of A with a block of B that is not packed: `together` of them with strip after strip."""
    for top in range(0, job.rows, job.together):
        bottom = min(top + job.together, job.rows)
        for start in range(job.head - job.tile_columns if job.head > 0 else 0, block.columns, job.tile_columns):
            column = max(start, 0)
            columns = min(start + job.tile_columns, block.columns) - column
            b = begin + column * job.size
            for row in range(top, bottom, ROWS):
                a = job.a + row * job.row_a + block.row * job.size
                c = job.c + row * job.row_c + (block.column + column) * job.size
                rows = min(ROWS, bottom - row)
                next_b, spread, step = fetched(job, block, b, row, column)
                edge = Edge(row_b, rows, columns, next_b, spread, step)
                bias = job.bias + (block.column + column) * job.size
                multiply_edge(vector, job, Operands(a, b, c, block.depth, block.row, bias), edge)


@inlined
def fetched(job: Job, block: Block, b: int, row: int, column: int) -> tuple[int, int, int]:
    """Return what a tile that reads B in place fetches of it: the address, the distance of lines, the step to the next.

    In order, all tiles of a block, so many groups of rows × so many strips, share the rows below the block evenly.
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
    """Multiply one row of A after the other with whole rows of B, where A has one row or B has one row."""
    width = ROW_BYTES // job.size
    for line in range(job.rows):
        a = job.a + line * job.row_a
        for start in range(job.head - width if job.head > 0 else 0, job.columns, width):
            column = max(start, 0)
            columns = min(start + width, job.columns) - column
            c = job.c + line * job.row_c + column * job.size
            step = AT_ONCE if job.by_block == 1 else job.depth
            for row in range(0, job.depth, step):
                depth = min(step, job.depth - row)
                block = Block(row, column, depth, columns)
                b, row_b = reach(vector, job, block)
                add_products(vector, job, a + row * job.size, b, c, block, row_b)


@inlined
def multiply_columns(vector: Any, job: Job) -> None:
    """Multiply with the last few columns of B, turned into rows in the buffer unless they are adjacent in memory."""
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
            dots = Dots(a, job.row_a, place, turned, c, job.row_c, depth, start, min(ROWS, job.rows - row), job.few)
            if job.few == 1:
                dot_one(vector, dots)
            else:
                dot_few(vector, dots)


@compiled
def run(vector: Any, numbers: Any, place: int, seen: int, looks: int) -> int:
    """Compute C = A · B for one job, the numbers of a `Job` in an array; `vector` is an array from `vector_of`.

    With a `place` in a gate, do so whenever a ticket other than `seen` comes, and return the last ticket after so many
    looks in vain. Both uses are one function, since the kernels would otherwise be compiled twice.
    """
    while True:
        if place != 0:
            ticket = await_other(place + TICKET, seen, looks)
            if ticket == seen:
                return seen
            seen = ticket
        job = job_of(numbers)
        if job.elements > 0 and job.by_block == 0:
            make_lanes(vector, job, Block(0, 0, job.depth, job.columns + job.few), job.b, job.row_b)
            if job.adds == 1:
                subtract(vector, job.bias, job.zeros, job.sums, job.columns)
        if job.thin == 1:
            multiply_rows(vector, job)
        elif job.in_place == 1:
            multiply_in_place(vector, job)
        else:
            multiply_packed(vector, job)
        if job.few > 0:
            multiply_columns(vector, job)
        if job.shift != 0 and job.adds == 0:
            for row in range(job.rows):
                c = job.c + row * job.row_c
                subtract(vector, c, c, job.sums, job.columns)
        if place == 0:
            return 0
        write(place + DONE, seen)
