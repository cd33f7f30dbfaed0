"""What compiled code passes on: the job of one thread, and the arguments of a kernel.

Kernels take numbers. Their names come from the fields of these tuples: see `microkernel.ARGUMENTS`.
"""

from typing import NamedTuple


class Job(NamedTuple):
    """A multiply for one thread: addresses, distances between rows in bytes, sizes in elements, flags that are 0 or 1.

    It travels as an array of 64-bit integers in the order of these fields. `columns` are those of B without the last
    `few`. `buffer` and `spare` are addresses of memory for packed blocks of B, or for turned columns; `head` columns
    come before the first whole strip; `size` is that of a lane in bytes. From `block_depth` to `chain` the fields are
    those of `blocking.Blocks`; a round of the kernel takes `unroll` products of a chain.

    Where lanes have so many narrow `elements` (else 0) of `narrow_size` bytes, they are made of `narrow_depth` rows of
    B from `narrow` on, that are `row_narrow` bytes apart: of all at `b`, or block by block in the buffer. Where `shift`
    is the address of a row of A's lanes, products are too large by that row times B, which goes to `sums`: where
    `adds`, kernels begin with its difference to a row of `zeros`, at `bias`; else it is subtracted in the end.
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
    head: int
    block_depth: int
    block_columns: int
    in_place: int
    in_order: int
    together: int
    thin: int
    few: int
    aside: int
    by_block: int
    chain: int
    unroll: int
    tile_columns: int
    size: int
    elements: int
    narrow_size: int
    narrow: int
    row_narrow: int
    narrow_depth: int
    shift: int
    sums: int
    zeros: int
    adds: int
    bias: int


class TileJob(NamedTuple):
    """A multiply by tiles for one thread: as `Job`, but for `size`, that of an element of A in bytes.

    Tiles get their shapes from `config`. Memory: 32 packed rows of A, a `scratch` of 32 × 32 sums, `sums` of a block
    of C where the depth has several blocks, and a packed block of B, or all of B where the job `keeps` it; it `packs`
    unless that was done before.
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
    size: int
    block_rows: int
    block_depth: int
    block_columns: int
    config: int
    packed_a: int
    scratch: int
    sums: int
    packed_b: int
    packs: int
    keeps: int


class TilePanel(NamedTuple):
    """Arguments of the kernel of tiles: where it `accumulate`s, to sums at `begin`; rows of A and C to fetch."""

    a: int
    row_a: int
    b: int
    begin: int
    row_begin: int
    c: int
    row_c: int
    steps: int
    accumulate: int
    ahead: int
    row_ahead: int
    next_c: int
    row_next: int


class Operands(NamedTuple):
    """Addresses of one product of a kernel, its depth, whether C is added to from the start, the row to begin with."""

    a: int
    b: int
    c: int
    depth: int
    accumulate: int
    bias: int


class Ahead(NamedTuple):
    """What the main kernel fetches: rows of A at two distances in bytes, and the next tile of C by its address."""

    ahead: int
    ahead_too: int
    next_c: int


class Aside(NamedTuple):
    """Where the main kernel reads rows of B's next block, and where it packs them."""

    source: int
    copy: int


class Edge(NamedTuple):
    """What the kernel for edges needs besides: rows of B, live rows and columns, and what it fetches of B in place."""

    row_b: int
    rows: int
    columns: int
    next_b: int
    spread: int
    step_b: int


class RowSum(NamedTuple):
    """Arguments of the kernel that adds multiples of rows of B to a row of C."""

    a: int
    b: int
    row_b: int
    c: int
    columns: int
    accumulate: int


class Dots(NamedTuple):
    """Arguments of the kernel of dot products: six rows of A, of which `rows` are live, with turned columns of B."""

    a: int
    row_a: int
    b: int
    row_b: int
    c: int
    row_c: int
    depth: int
    accumulate: int
    rows: int
    columns: int
