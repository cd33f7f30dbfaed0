"""Block sizes: laws for any caches and shapes, and what they come to on CPUs that are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.machine.parts import Cache
from hwbench.measure.codegen.vectors import SIZES
from hwbench.measure.gemm import blocking
from hwbench.measure.gemm.blocking import DEPTH_STEP, LANES_DEPTH, MAX_CHAIN, Blocks
from hwbench.measure.gemm.microkernel import Tile
from hwbench.measure.gemm.thin import AT_ONCE, FEW, ROW_BYTES
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
        left = columns - blocks.few
        assert blocks.block_depth > 0
        assert blocks.block_columns > 0
        assert 0 <= blocks.few <= min(columns, FEW)
        assert masks or not blocks.in_place or left % tile.columns == 0
        assert not (blocks.aside and tile.narrow)
        assert blocks.in_place or not blocks.in_order
        assert blocks.chain <= MAX_CHAIN
        if blocks.in_place or not left:
            continue
        assert blocks.block_columns % tile.columns == 0
        assert blocks.chain % DEPTH_STEP == blocks.block_depth % blocks.chain == 0
        strips = -(-min(left, blocks.block_columns) // tile.columns)
        assert blocks.block_depth * strips * tile.bytes <= blocking.buffer_bytes(limits, tile)


@given(st.sampled_from([WIDE, NARROW]), st.integers(64, 1 << 20), st.integers(64, 1 << 25), sizes, sizes, sizes)
def test_lanes_made_by_block_fit_the_buffer(tile: Tile, l1: int, l2: int, rows: int, columns: int, depth: int) -> None:
    limits = blocking.limits(tile, caches(l1, l2))
    blocks = blocking.fitted(limits, tile, rows, columns, depth, columns * tile.size, masks=True, lanes=True)
    assert not (blocks.by_block and (blocks.few or blocks.in_order or not blocks.in_place))
    if blocks.by_block:
        made = (AT_ONCE, min(columns, ROW_BYTES // tile.size)) if blocks.thin else (LANES_DEPTH, blocks.block_columns)
        assert blocks.thin or blocks.block_depth == LANES_DEPTH
        assert made[0] * blocking.lanes_pitch(made[1], tile.size) <= blocking.buffer_bytes(limits, tile)


@given(sizes, sizes, sizes)
def test_what_is_fetched_in_order_beside_a_strip_is_no_more_than_a_row(rows: int, columns: int, depth: int) -> None:
    for l2 in (64 * KIB, 1 << 20):
        for tile in (WIDE, NARROW):
            blocks = blocking.fitted(
                blocking.limits(tile, caches(32 * KIB, l2)), tile, rows, columns, depth, 4000, masks=True
            )
            if blocks.in_order:
                assert blocks.block_depth * tile.columns <= blocks.block_columns


def zen(rows: int, columns: int, depth: int, tile: Tile = WIDE, row_b: int = 4000) -> Blocks:
    limits = blocking.limits(tile, caches(32 * KIB, 1 << 20))
    return blocking.fitted(limits, tile, rows, columns, depth, row_b, masks=True)


def test_which_b_is_read_in_place() -> None:
    small = zen(2000, 100, 100)
    assert (small.in_place, small.block_depth, small.block_columns, small.together) == (True, 100, 100 - small.few, 6)
    assert not zen(2000, 1000, 1000).in_place
    few = zen(30, 500, 1000)
    assert (few.in_place, few.in_order, few.block_depth, few.together) == (True, False, blocking.DIRECT_DEPTH, 30)
    assert not zen(45, 500, 1000).in_place
    assert not zen(25, 500, 1000, row_b=4096).in_place  # clashing
    assert zen(24, 500, 1000, row_b=4096).in_place


@pytest.mark.parametrize(("columns", "depth", "in_order", "block"), [
    (2048, 2048, True, (32, 2048)), (4096, 2048, True, (32, 2048)), (1900, 2048, True, (28, 1920)),
    (3000, 2048, True, (24, 1536)), (1030, 2048, True, (16, 1088)),
    (901, 2048, False, (256, 901)),  # too few strips
    (2048, 100, False, (256, 2048)),  # near
])  # fmt: skip
def test_which_b_is_fetched_in_order(columns: int, depth: int, in_order: bool, block: tuple[int, int]) -> None:
    blocks = zen(12, columns, depth)
    assert (blocks.in_order, (blocks.block_depth, blocks.block_columns)) == (in_order, block)


def test_which_products_are_thin() -> None:
    shapes = {(1, 900, 900): True, (900, 900, 1): True, (1, 3, 900): True, (900, 900, 2): False, (2, 900, 900): False}
    for shape, thin in shapes.items():
        assert zen(*shape).thin == thin


@pytest.mark.parametrize(("tile", "columns", "few"), [
    (WIDE, 4, 4), (WIDE, 5, 0), (WIDE, 16, 0), (WIDE, 17, 1), (WIDE, 84, 4), (WIDE, 85, 0),
    (NARROW, 3, 3), (NARROW, 4, 4), (NARROW, 5, 1), (NARROW, 6, 0),
    (Tile("fp32", 4, 6, 4), 9, 1), (Tile("fp32", 4, 6, 4), 10, 0),  # two are as much work as a vector of four
])  # fmt: skip
def test_which_columns_are_dot_products(tile: Tile, columns: int, few: int) -> None:
    assert zen(900, columns, 900, tile).few == few
    assert zen(5, columns, 900, tile).few == 0
    assert zen(900, columns, 1, tile).few == 0


def test_cuts_are_even() -> None:
    blocks = zen(1000, 1000, 1000)
    assert (blocks.chain, blocks.block_depth, blocks.block_columns) == (176, 528, 256)
    assert zen(100, 600, 1000).block_columns == 192
    shallow = zen(2000, 5000, 64)
    assert (shallow.block_depth, shallow.block_columns) == (64, 1280)  # a quarter
    assert zen(2000, 20_000, 64).block_columns == 2880  # as many bytes as a deep block


def test_what_the_kernel_packs_on_the_side() -> None:
    assert zen(2000, 2000, 2000).aside
    assert not zen(2000, 4000, 4000).aside
    assert zen(2000, 6000, 64).aside
    assert not zen(2000, 20_000, 64).aside  # far and not deep
    assert not zen(2000, 2000, 2000, NARROW).aside


def test_strips_of_c_begin_with_cache_lines() -> None:
    blocks = zen(2000, 2048, 8)
    assert blocking.head(blocks, WIDE, 2048, 64 + 16, 8192) == 12
    assert blocking.head(blocks, WIDE, 2048, 64, 8192) == 0
    assert blocking.head(blocks, WIDE, 2048, 64 + 16, 8196) == 0  # each row lies otherwise
    assert blocking.head(blocks, WIDE, 2048, 64 + 2, 8192) == 0  # no element lies so
    assert blocking.head(blocks, WIDE, 300, 64 + 16, 8192) == 0  # too few strips
    assert blocking.head(zen(2000, 2000, 2000), WIDE, 2000, 64 + 16, 8192) == 0
