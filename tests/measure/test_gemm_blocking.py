"""Block sizes: laws for any caches and shapes, and what they come to on CPUs that are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.machine.device import Cache
from hwbench.measure import blocking
from hwbench.measure.blocking import DEPTH_STEP, LONGEST_CHAIN
from hwbench.measure.microkernel import Tile
from hwbench.measure.vectors import SIZES
from hwbench.units import Bytes

WIDE, NARROW = Tile("fp32", 16, 6, 4), Tile("fp64", 2, 6, 2)
KIB = 1 << 10


def caches(l1: int, l2: int, sharers: int | None = 1) -> tuple[Cache, ...]:
    return Cache("L1d", Bytes(l1)), Cache("L2", Bytes(l2), sharers), Cache("L3", Bytes(32 << 20), 8)


@pytest.mark.parametrize(("tile", "known", "depth", "columns"), [
    (WIDE, caches(32 * KIB, 1 << 20), 768, 256),  # Zen 4
    (WIDE, caches(48 * KIB, 2 << 20), 768, 256),  # Sapphire Rapids
    (Tile("fp64", 8, 6, 4), caches(32 * KIB, 1 << 20), 384, 256),
    (Tile("fp32", 8, 6, 2), caches(32 * KIB, 256 * KIB), 768, 64),  # Haswell
    (Tile("fp32", 4, 6, 4), caches(128 * KIB, 12 << 20, 4), 3072, 64),  # Apple M1
    (Tile("fp32", 8, 6, 2), (), 768, 64),
])  # fmt: skip
def test_blocks_of_known_caches(tile, known, depth, columns) -> None:
    limits = blocking.limits(tile, known)
    assert (limits.depth, limits.columns) == (depth, columns)


def test_the_smallest_class_of_cores_counts() -> None:
    hybrid = (Cache("P-core L2", Bytes(1280 * KIB), 1), Cache("E-core L2", Bytes(2 << 20), 4))
    assert blocking.cache_bytes(hybrid, "L2") == 512 * KIB
    assert blocking.cache_bytes(hybrid, "L1d") is None


sizes = st.integers(1, 5000)


@given(st.sampled_from([WIDE, NARROW]), st.integers(64, 1 << 20), st.integers(64, 1 << 25), sizes, sizes, sizes)
def test_blocks_fit_their_limits_and_the_buffer(tile: Tile, l1: int, l2: int, rows: int, columns: int, depth: int):
    limits = blocking.limits(tile, caches(l1, l2))
    for masks in (True, False):
        blocks = blocking.fitted(limits, tile, rows, columns, depth, columns * SIZES[tile.dtype], masks)
        assert 0 < blocks.depth <= limits.depth
        assert 0 < blocks.columns <= limits.columns
        assert blocks.columns % tile.columns == 0
        assert blocks.chain % DEPTH_STEP == blocks.depth % blocks.chain == 0
        assert blocks.chain <= LONGEST_CHAIN
        strips = -(-min(columns, blocks.columns) // tile.columns)
        assert blocks.depth * strips * tile.bytes <= blocking.buffer_bytes(limits, tile)
        assert not (blocks.aside and tile.narrow)
        assert masks or not blocks.direct or columns % tile.columns == 0


def test_which_b_is_read_in_place() -> None:
    limits = blocking.limits(WIDE, caches(32 * KIB, 1 << 20))

    def direct(rows: int, columns: int, depth: int, row_b: int = 4000) -> int:
        return blocking.fitted(limits, WIDE, rows, columns, depth, row_b, masks=True).direct

    assert direct(2000, 100, 100) == 100  # small
    assert direct(2000, 1000, 1000) == 0
    assert direct(30, 1000, 1000) == blocking.DIRECT_DEPTH  # few rows
    assert direct(30, 1000, 1000, row_b=4096) == 0  # but they clash
    assert direct(12, 1000, 1000, row_b=4096) == blocking.DIRECT_DEPTH


def test_which_products_are_thin() -> None:
    limits = blocking.limits(WIDE, caches(32 * KIB, 1 << 20))
    shapes = {
        (1, 900, 900): 1,
        (900, 900, 1): 1,
        (900, 900, 2): 0,
        (900, 4, 900): 2,
        (900, 5, 900): 0,
        (2, 900, 900): 0,
    }
    for (rows, columns, depth), thin in shapes.items():
        assert blocking.fitted(limits, WIDE, rows, columns, depth, 4 * columns, masks=True).thin == thin


def test_cuts_are_even() -> None:
    limits = blocking.limits(WIDE, caches(32 * KIB, 1 << 20))
    blocks = blocking.fitted(limits, WIDE, 1000, 1000, 1000, 4000, masks=True)
    assert (blocks.chain, blocks.depth, blocks.columns) == (176, 528, 256)
    assert blocking.fitted(limits, WIDE, 100, 600, 1000, 4000, masks=True).columns == 192
