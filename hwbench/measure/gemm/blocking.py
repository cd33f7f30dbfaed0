"""Sizes of the blocks of a matrix multiply, from the caches of the CPU and the tile that its registers hold."""

from collections.abc import Iterable

from msgspec import Struct, structs

from hwbench.machine.device import Cache
from hwbench.measure.codegen.vectors import SIZES
from hwbench.measure.gemm.microkernel import LINE, UNROLL_EDGE, Tile
from hwbench.measure.gemm.thin import FEW, pitch

SMALL_L1, SMALL_L2 = 32 << 10, 256 << 10
"""Bytes of the caches where nothing is known: those of the smallest desktop cores of the last fifteen years."""

SHARE_L1 = 9 / 16
"""Of L1, the six rows of A that are read again for every strip of B."""

SHARE_L2 = 3 / 4
"""Of L2, the packed block of B; rows of A and C pass through the rest."""

LARGEST_BLOCK = 768 << 10
"""Bytes of a block of B above which nothing is gained, and speed begins to depend on which pages the buffer got."""

STRIPS = 4
"""Strips of a block of B at least, so that rows of A that came from afar are used as often."""

DEPTH_STEP = 16
"""Blocks are a multiple of this deep: whole rounds of the kernel, whole cache lines of A."""

LONGEST_CHAIN = 176
"""Products summed up in a register before the sum goes to C: rounding errors are then those of the best libraries."""

LARGEST_ASIDE = 32 << 20
"""Bytes of B up to which the kernel packs the next block on the side; more comes too late from main memory. So does a
far B that is one block deep: long rows are read faster one by one. With vectors of 128 bits the kernel never does: on
some Arm cores its accumulators would not fit the registers."""

FEW_ROWS, FEW_ROWS_CLASHING = 44, 24
"""Rows of A up to which B is read in place: each element is used too rarely to pay for packing. The second is for a B
whose rows fall on the same few sets of the caches, so that it does not stay there for the next rows of A."""

CLASHING = 2048
"""Bytes: half of what one way of L1 holds. Rows at a multiple of it clash."""

SHALLOW = 32
"""Rows of B, at most, in a block that is read in place while the next one is fetched in the order in which it lies:
more are more pages at once than memory serves well, fewer add to C too often."""

SHALLOW_L2 = 1 / 4
"""Of L2, such a block; the next one and C's rows are there as well."""

FAR_B = 1 / 2
"""Of one core's share of the last cache, a B that comes from memory: only then are shallow blocks worth it."""

DIRECT_DEPTH = 256
"""Rows of B in a block that is read in place where B comes from a cache: the next strip's are on pages that the TLB
still holds."""

SMALL_B = 1 / 8
"""Of L2, a B that is read in place as well, and at its whole depth: packing would cost more than it saves."""

HEAD_STRIPS = 8
"""Strips at least in a row of C for which a narrow one goes ahead, so that the others begin with a cache line."""


class BlockLimits(Struct, frozen=True):
    """The largest block of B, `depth` × `columns` elements; in bytes the largest B that is not packed for however many
    rows, the largest that a cache still holds, and the largest block that is read in place of one that none does."""

    depth: int
    columns: int
    unpacked: float
    near: float
    shallow: float


class Blocks(Struct, frozen=True):
    """How one multiply is cut: blocks of B of `depth` × `columns` elements are packed, on the side where `aside`.

    Where `in_place` they are not packed, and `together` rows of A go along a whole block before others do; `in_order`
    the rows below are fetched meanwhile in the order in which they lie. Where A is one row or one column, it is `thin`:
    then writing C is all the work, and whole rows are written fastest. The last `few` columns are dot products. After
    `chain` products a sum goes to C.
    """

    depth: int
    columns: int
    in_place: bool
    in_order: bool
    together: int
    thin: bool
    few: int
    aside: bool
    chain: int


NOTHING = Blocks(1, 1, False, False, 1, False, 0, False, 1)
"""Of a multiply without columns."""


def limits(tile: Tile, caches: Iterable[Cache]) -> BlockLimits:
    """The largest blocks for these caches; unknown ones count as small."""
    known = tuple(caches)
    l1 = cache_bytes(known, "L1d") or SMALL_L1
    l2 = cache_bytes(known, "L2") or SMALL_L2
    l3 = cache_bytes(known, "L3") or l2
    size = SIZES[tile.dtype]
    block = min(SHARE_L2 * l2, LARGEST_BLOCK)
    depth = min(SHARE_L1 * l1 / (tile.rows * size), block / (STRIPS * tile.bytes))
    depth = max(DEPTH_STEP, int(depth) // DEPTH_STEP * DEPTH_STEP)
    strips = max(STRIPS, int(block / (depth * tile.bytes)))
    return BlockLimits(depth, strips * tile.columns, SMALL_B * l2, FAR_B * l3, SHALLOW_L2 * l2)


def cache_bytes(caches: Iterable[Cache], level: str) -> float | None:
    """What one core has of a level of cache, in bytes, on the class of cores that has least; None if unknown."""
    return min((cache.size / (cache.shared_by or 1) for cache in caches if cache.name.endswith(level)), default=None)


def fitted(limits: BlockLimits, tile: Tile, rows: int, columns: int, depth: int, row_b: int, masks: bool) -> Blocks:
    """Blocks for one multiply: of nearly equal size, within the limits. `row_b`: bytes between rows of B.

    Reading the part of a strip in place takes `masks`.
    """
    thin = rows == 1 or depth == 1
    few = 0 if thin or rows < tile.rows or depth < tile.lanes else _few(columns, tile.lanes)
    columns -= few
    if columns == 0:
        return structs.replace(NOTHING, few=few)
    of_b = columns * depth * SIZES[tile.dtype]
    small, far = of_b <= limits.unpacked, of_b > limits.near
    most = FEW_ROWS_CLASHING if row_b % CLASHING == 0 else FEW_ROWS
    in_place = (small or rows <= most) and (masks or columns % tile.columns == 0)
    chain = _even(depth, min(LONGEST_CHAIN, limits.depth), DEPTH_STEP)
    wide, shallow = _shallow(limits, tile, columns)
    in_order = in_place and far and shallow >= DEPTH_STEP
    if in_order:
        block = shallow, wide
    elif in_place:
        block = depth if small else DIRECT_DEPTH, columns
    else:
        block = _packed(limits, tile, columns, depth, chain)
    return Blocks(
        depth=block[0],
        columns=block[1],
        in_place=in_place,
        in_order=in_order,
        together=tile.rows if small else rows,
        thin=thin,
        few=few,
        aside=not tile.narrow and of_b <= LARGEST_ASIDE and not (far and depth <= block[0]),
        chain=chain,
    )


def _few(columns: int, lanes: int) -> int:
    """Columns to be computed by dot products: those after the last whole vector, where that is less work than a vector,
    or all where they are few."""
    rest = columns % lanes
    return columns if columns <= FEW else rest if rest == 1 or rest <= FEW < lanes else 0


def _shallow(limits: BlockLimits, tile: Tile, columns: int) -> tuple[int, int]:
    """Columns and depth of blocks that are fetched in order: as many strips as rows at least, so that what is fetched
    beside one strip is no more than a row."""
    most = max(1, int(limits.shallow) // (SHALLOW * tile.bytes)) * tile.columns
    wide = _even(columns, most, tile.columns)
    return wide, min(SHALLOW, wide // tile.columns // UNROLL_EDGE * UNROLL_EDGE)


def _packed(limits: BlockLimits, tile: Tile, columns: int, depth: int, chain: int) -> tuple[int, int]:
    """Depth and columns of packed blocks, wider where they are less deep than they may be.

    They are four at least, where that leaves two strips each, since the first one cannot be packed on the side.
    """
    deep = _even(depth, limits.depth // chain * chain, chain)
    most = limits.columns * limits.depth // deep // tile.columns * tile.columns
    quarter = max(2 * tile.columns, _up(-(-columns // 4), tile.columns))
    return deep, _even(columns, min(most, quarter), tile.columns)


def head(blocks: Blocks, tile: Tile, columns: int, c: int, row_c: int) -> int:
    """Columns before the first whole strip, so that strips of C begin with cache lines: where C's rows, `row_c` bytes
    apart from address `c` on, all lie alike and are written once, whole."""
    size = SIZES[tile.dtype]
    whole = blocks.thin or (blocks.in_place and not blocks.in_order and blocks.together == tile.rows)
    alike = row_c % LINE == 0 and c % size == 0 and columns >= HEAD_STRIPS * tile.columns
    return -c % LINE // size if whole and alike else 0


def buffer_bytes(limits: BlockLimits, tile: Tile) -> int:
    """Bytes that one packed block takes at most, with a padded strip and to a whole page."""
    block = limits.depth * (limits.columns + tile.columns) * SIZES[tile.dtype]
    return _up(max(block, FEW * pitch(tile.dtype)), 4096)


def _even(whole: int, most: int, step: int) -> int:
    """The size, a multiple of `step`, of as few nearly equal parts as have at most `most` each."""
    return min(most, _up(-(-whole // -(-whole // most)), step))


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
