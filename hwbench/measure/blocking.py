"""Sizes of the blocks of a matrix multiply, from the caches of the CPU and the tile that its registers hold."""

from collections.abc import Iterable

from msgspec import Struct

from hwbench.machine.device import Cache
from hwbench.measure.gemm_thin import FEW, pitch
from hwbench.measure.microkernel import Tile
from hwbench.measure.vectors import SIZES

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
"""Bytes of B up to which the kernel packs the next block on the side; more comes too late from main memory. With
vectors of 128 bits it never does: on some Arm cores its accumulators would not fit the registers."""

FEW_ROWS, FEW_ROWS_CLASHING = 44, 12
"""Rows of A up to which B is read in place: each element is used too rarely to pay for packing. The second is for a B
whose rows fall on the same few sets of L1, so that none is still there for the next rows of A."""

CLASHING = 2048
"""Bytes: half of what one way of L1 holds. Rows at a multiple of it clash."""

DIRECT_DEPTH = 256
"""Depth of the blocks in which B is read in place: rows of a strip that the TLB still holds for the next strip."""


SMALL_B = 1 / 8
"""Of L2, a B that is read in place as well, and at its whole depth: packing would cost more than it saves."""


class Limits(Struct, frozen=True):
    """The largest block of B, `depth` × `columns` elements, and the largest B in bytes that is not packed at all."""

    depth: int
    columns: int
    unpacked: float


class Blocks(Struct, frozen=True):
    """How one multiply is cut: blocks of B of `depth` × `columns` elements are packed, on the side where `aside`.

    Where `direct` is not 0, B is read in place in blocks of that depth. `thin` is 1 where A is one row or one column
    (then writing C is all the work, and whole rows are written fastest), 2 where B has few columns, else 0. After
    `chain` products a sum goes to C.
    """

    depth: int
    columns: int
    direct: int
    thin: int
    aside: bool
    chain: int


def limits(tile: Tile, caches: Iterable[Cache]) -> Limits:
    """The largest blocks for these caches; unknown ones count as small."""
    known = tuple(caches)
    l1 = cache_bytes(known, "L1d") or SMALL_L1
    l2 = cache_bytes(known, "L2") or SMALL_L2
    size = SIZES[tile.dtype]
    block = min(SHARE_L2 * l2, LARGEST_BLOCK)
    depth = min(SHARE_L1 * l1 / (tile.rows * size), block / (STRIPS * tile.bytes))
    depth = max(DEPTH_STEP, int(depth) // DEPTH_STEP * DEPTH_STEP)
    strips = max(STRIPS, int(block / (depth * tile.bytes)))
    return Limits(depth, strips * tile.columns, SMALL_B * l2)


def cache_bytes(caches: Iterable[Cache], level: str) -> float | None:
    """What one core has of a level of cache, in bytes, on the class of cores that has least; None if unknown."""
    return min((cache.size / (cache.shared_by or 1) for cache in caches if cache.name.endswith(level)), default=None)


def fitted(limits: Limits, tile: Tile, rows: int, columns: int, depth: int, row_b: int, masks: bool) -> Blocks:
    """Blocks for one multiply: of nearly equal size, within the limits. `row_b`: bytes between rows of B.

    B is cut into four blocks at least, where that leaves two strips each, since the first one cannot be packed
    on the side. Reading the part of a strip in place takes `masks`.
    """
    size = SIZES[tile.dtype]
    few = FEW_ROWS_CLASHING if row_b % CLASHING == 0 else FEW_ROWS
    direct = depth if columns * depth * size <= limits.unpacked else DIRECT_DEPTH if rows <= few else 0
    if columns % tile.columns and not masks:
        direct = 0
    chain = _even(depth, min(LONGEST_CHAIN, limits.depth), DEPTH_STEP)
    quarter = max(2 * tile.columns, _up(-(-columns // 4), tile.columns))
    return Blocks(
        depth=_even(depth, limits.depth // chain * chain, chain),
        columns=_even(columns, min(limits.columns, quarter), tile.columns),
        direct=direct,
        thin=1 if rows == 1 or depth == 1 else 2 if columns <= FEW and rows >= tile.rows and depth >= tile.lanes else 0,
        aside=not tile.narrow and columns * depth * size <= LARGEST_ASIDE,
        chain=chain,
    )


def buffer_bytes(limits: Limits, tile: Tile) -> int:
    """Bytes that one packed block takes at most, with a padded strip and to a whole page."""
    block = limits.depth * (limits.columns + tile.columns) * SIZES[tile.dtype]
    return _up(max(block, FEW * pitch(tile.dtype)), 4096)


def _even(whole: int, most: int, step: int) -> int:
    """The size, a multiple of `step`, of as few nearly equal parts as have at most `most` each."""
    return min(most, _up(-(-whole // -(-whole // most)), step))


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
