"""Sizes of the blocks of a matrix multiply, from the caches of the CPU and the tile in its registers."""

from collections.abc import Iterable

from msgspec import Struct, structs

from hwbench.machine.parts import Cache
from hwbench.measure.gemm.microkernel import LINE, UNROLL_EDGE, Tile
from hwbench.measure.gemm.thin import AT_ONCE, FEW, ROW_BYTES, pitch

SMALL_L1, SMALL_L2 = 32 << 10, 256 << 10
"""Bytes of unknown caches: those of the smallest desktop cores of the last fifteen years."""

SHARE_L1 = 9 / 16
"""Share of L1 for the six rows of A that are read again for every strip of B."""

SHARE_L2 = 3 / 4
"""Share of L2 for the packed block of B; rows of A and C pass through the rest."""

MAX_BLOCK = 768 << 10
"""Bytes of a block of B above which speed does not grow, and begins to depend on the buffer's pages."""

MIN_STRIPS = 4
"""Strips of a block of B, so that rows of A from memory are used as often."""

DEPTH_STEP = 16
"""Depths of blocks are multiples of this: whole rounds of the kernel, whole cache lines of A."""

MAX_CHAIN = 176
"""Products summed up in a register before the sum goes to C, so that rounding errors equal those of good libraries.
Sums of narrow products go there at the end of a block: bytes have no such errors, and those of bf16 are below the ones
of fp32 all the same."""

MAX_ASIDE = 32 << 20
"""Bytes of B up to which the kernel packs the next block; a larger B arrives too late from main memory. So does a B in
memory that is one block deep: long rows are read faster one by one. With vectors of 128 bits the kernel never packs,
since on some Arm cores its accumulators would not fit the registers."""

FEW_ROWS, FEW_ROWS_CLASHING = 44, 24
"""Rows of A up to which B is read in place, since each element is used too rarely to pay for packing. The second is for
a B whose rows map to the same few sets of the caches, so that it is evicted before the next rows of A."""

FEW_ROWS_LANES = 64
"""Rows of A up to which lanes of B are made block by block, in a cache, and not for all of B in memory."""

LANES_DEPTH = 64
"""Rows of lanes in such a block: C is read and written once a block."""

CLASHING = 2048
"""Half of the bytes in one way of L1: rows at multiples of it map to the same sets."""

SHALLOW = 32
"""Rows of B in a block that is read in place while the next block is fetched in order: more rows are more pages at once
than memory serves well, fewer add to C too often."""

SHALLOW_L2 = 1 / 4
"""Share of L2 for such a block; the next block and rows of C are there as well."""

FAR_B = 1 / 2
"""Share of one core's part of the last cache above which B comes from memory: only then do shallow blocks pay."""

DIRECT_DEPTH = 256
"""Rows of B in a block that is read in place from a cache: the next strip is then on pages that the TLB still holds."""

SMALL_B = 1 / 8
"""Share of L2 up to which B is read in place for any number of rows, at its whole depth: packing would not pay."""

MIN_HEAD_STRIPS = 8
"""Strips in a row of C from which a narrow strip goes first, so that the others begin with a cache line."""


class BlockLimits(Struct, frozen=True):
    """The largest block of B, `depth` × `columns` elements, and limits in bytes.

    `unpacked`: of a B that is read in place for any number of rows; `near`: of a B that a cache holds; `shallow`: of a
    block of a B in memory that is read in place.
    """

    depth: int
    columns: int
    unpacked: float
    near: float
    shallow: float


class Blocks(Struct, frozen=True):
    """How one multiply is cut: into blocks of B of `block_depth` × `block_columns` elements.

    Blocks are packed, where `aside` by the kernel. Where `in_place` they are not packed, and `together` rows of A go
    along a whole block before others do; `in_order` the rows below are fetched meanwhile in the order of their
    addresses. Where A is one row or one column, the multiply is `thin`: it mainly writes C, whose whole rows are
    written fastest. The last `few` columns are dot products. Lanes of narrow elements are made of all of B first, or
    `by_block`, in a cache. After `chain` products a sum goes to C.
    """

    block_depth: int
    block_columns: int
    in_place: bool
    in_order: bool
    together: int
    thin: bool
    few: int
    aside: bool
    by_block: bool
    chain: int


NOTHING = Blocks(1, 1, False, False, 1, False, 0, False, False, 1)
"""The blocks of a multiply without columns."""


def limits(tile: Tile, caches: Iterable[Cache]) -> BlockLimits:
    """Return the largest blocks for these caches; unknown caches count as small."""
    known = tuple(caches)
    l1 = cache_bytes(known, "L1d") or SMALL_L1
    l2 = cache_bytes(known, "L2") or SMALL_L2
    l3 = cache_bytes(known, "L3") or l2
    block = min(SHARE_L2 * l2, MAX_BLOCK)
    depth = min(SHARE_L1 * l1 / (tile.rows * tile.size), block / (MIN_STRIPS * tile.bytes))
    depth = max(DEPTH_STEP, int(depth) // DEPTH_STEP * DEPTH_STEP)
    strips = max(MIN_STRIPS, int(block / (depth * tile.bytes)))
    return BlockLimits(depth, strips * tile.columns, SMALL_B * l2, FAR_B * l3, SHALLOW_L2 * l2)


def cache_bytes(caches: Iterable[Cache], level: str) -> float | None:
    """Return one core's share of a level of cache in bytes, on the class of cores that has least; None if unknown."""
    return min((cache.size / (cache.shared_by or 1) for cache in caches if cache.name.endswith(level)), default=None)


def fitted(
    limits: BlockLimits, tile: Tile, rows: int, columns: int, depth: int, row_b: int, masks: bool, lanes: bool = False,
    adds: bool = False,
) -> Blocks:  # fmt: skip
    """Return blocks for one multiply: of nearly equal size, within the limits. `row_b`: bytes between rows of B.

    Reading a part of a strip in place needs `masks`. Where B's `lanes` are to be made, few rows have those of a large B
    made block by block. Where sums begin with a row (`adds`) none are dot products.
    """
    thin, whole = rows == 1 or depth == 1, masks or columns % tile.columns == 0
    small = columns * depth * tile.size <= limits.unpacked
    by_block = lanes and rows <= FEW_ROWS_LANES and whole and depth > 1 and not small
    few = 0 if thin or adds or by_block or rows < tile.rows or depth < tile.lanes else _few(columns, tile.lanes)
    columns -= few
    if columns == 0:
        return structs.replace(NOTHING, few=few)
    of_b = columns * depth * tile.size
    far = of_b > limits.near
    few_rows = FEW_ROWS_CLASHING if row_b % CLASHING == 0 else FEW_ROWS
    in_place = by_block or (whole and (small or rows <= few_rows))
    chain = even(depth, limits.depth if tile.dot else min(MAX_CHAIN, limits.depth), DEPTH_STEP)
    wide, shallow = _shallow(limits, tile, columns)
    in_order = in_place and far and shallow >= DEPTH_STEP and not by_block
    if by_block:
        block = LANES_DEPTH, even(columns, _lanes_columns(limits, tile), tile.columns)
    elif in_order:
        block = shallow, wide
    elif in_place:
        block = depth if small else DIRECT_DEPTH, columns
    else:
        block = _packed(limits, tile, columns, depth, chain)
    together = tile.rows if small else rows
    aside = not tile.narrow and of_b <= MAX_ASIDE and not (far and depth <= block[0])
    return Blocks(*block, in_place, in_order, together, thin, few, aside, by_block, chain)


def _few(columns: int, lanes: int) -> int:
    """Return the columns that become dot products: those after the last whole vector where that is less work than a
    vector, or all columns where they are few."""
    rest = columns % lanes
    return columns if columns <= FEW else rest if rest == 1 or rest <= FEW < lanes else 0


def _shallow(limits: BlockLimits, tile: Tile, columns: int) -> tuple[int, int]:
    """Return columns and depth of blocks that are fetched in order: no fewer strips than rows, so that each strip
    fetches no more than a row."""
    widest = max(1, int(limits.shallow) // (SHALLOW * tile.bytes)) * tile.columns
    wide = even(columns, widest, tile.columns)
    return wide, min(SHALLOW, wide // tile.columns // UNROLL_EDGE * UNROLL_EDGE)


def _lanes_columns(limits: BlockLimits, tile: Tile) -> int:
    """Return the most columns of a block whose lanes are made by block."""
    return max(1, int(limits.shallow) // (LANES_DEPTH * tile.bytes)) * tile.columns


def lanes_pitch(columns: int, size: int) -> int:
    """Return the bytes between rows of such a block, as `loops.reach` has them: a line more than they take."""
    return up(columns * size, LINE) + LINE


def _packed(limits: BlockLimits, tile: Tile, columns: int, depth: int, chain: int) -> tuple[int, int]:
    """Return depth and columns of packed blocks, wider where they are less deep than they may be.

    There are at least four blocks where that leaves two strips each, since the kernel cannot pack the first one.
    """
    deep = even(depth, limits.depth // chain * chain, chain)
    widest = limits.columns * limits.depth // deep // tile.columns * tile.columns
    quarter = max(2 * tile.columns, up(-(-columns // 4), tile.columns))
    return deep, even(columns, min(widest, quarter), tile.columns)


def head(blocks: Blocks, tile: Tile, columns: int, c: int, row_c: int) -> int:
    """Return the columns before the first whole strip, so that strips of C begin with cache lines.

    It is 0 unless C's rows, `row_c` bytes apart from address `c` on, are aligned alike and written once, whole.
    """
    whole = blocks.thin or (blocks.in_place and not blocks.in_order and blocks.together == tile.rows)
    alike = row_c % LINE == 0 and c % tile.size == 0 and columns >= MIN_HEAD_STRIPS * tile.columns
    return -c % LINE // tile.size if whole and alike else 0


def buffer_bytes(limits: BlockLimits, tile: Tile) -> int:
    """Return the bytes of the largest packed block, with a padded strip, or of what else is made in its place: turned
    columns, lanes of a block, lanes of the rows of B that one row of A takes at once; up to a whole page."""
    block = limits.depth * (limits.columns + tile.columns) * tile.size
    lanes = LANES_DEPTH * lanes_pitch(_lanes_columns(limits, tile), tile.size)
    of_row = AT_ONCE * lanes_pitch(ROW_BYTES // tile.size, tile.size)
    return up(max(block, FEW * pitch(tile.dtype), lanes, of_row), 4096)


def even(whole: int, limit: int, step: int) -> int:
    """Return the size, a multiple of `step`, of the fewest nearly equal parts of up to `limit` each."""
    return min(limit, up(-(-whole // -(-whole // limit)), step))


def up(number: int, step: int) -> int:
    """Return the next multiple of a step."""
    return -(-number // step) * step
