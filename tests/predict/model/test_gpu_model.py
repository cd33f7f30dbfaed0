"""Times of kernels on a GPU, each formula by hand on a device of round numbers."""

from math import ceil
from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.predict.model import gpu, scalar
from hwbench.predict.model.hardware import Hardware, Rates
from hwbench.predict.model.launch import Counts, Launch, Layout, Product
from hwbench.predict.model.parameters import GpuParameters, parameters

SHIPPED = parameters().runtimes["torch-eager-cuda"].gpu
assert SHIPPED is not None
PARAMETERS: GpuParameters = replace(
    SHIPPED,
    compute={
        "conv": 0.5, "stem": 0.4, "linear": 0.8, "attention": 0.6, "grouped": 0.3, "depthwise_last": 0.2,
        "depthwise_first": 0.1,
    },
    memory={"unknown": 0.5, "conv": 0.8, "pointwise": 0.8, "depthwise": 0.8},
    prologue=32.0, ramp=0.5, feed=10.0, feed_growth=0.5, misaligned=1.5, group_width=32.0, group_power=0.5,
    ragged_group=1.25, wide_stem=3.0, row=1e-6, window_last=0.5, window_first=2.0, wide_window=1.75, wide_tensor=4.0,
    masked=0.7, transpose_window=0.25, transpose_point=0.125, transpose_mixed=0.0625,
    transpose_grouped=0.5, cache_share=0.5, cache_speed=3.0, winograd=1.4, score_bytes=6.0, interpolation=1e-8,
    bias=2.0, launch=2e-6, host=5e-6, fusion=0.5,
)  # fmt: skip
MATRIX, VECTOR = Rates(1e14, 2048.0, True), Rates(2e13, 512.0, False)
HARDWARE = Hardware(
    kind="gpu", units=10.0, rates={"fp32": VECTOR, "fp16": MATRIX}, vector=VECTOR, bandwidth=1e12, cache=4e6,
    lanes=128.0, headroom=0.9, cycles=1e9, measured=frozenset(), assumed=(),
)  # fmt: skip
COUNTS = Counts(
    flops=6e9, elementwise_flops=5e5, input_bytes=1e6, weight_bytes=3e5, output_bytes=5e5, elements=2.5e5,
    saved_bytes=4e5, biased_bytes=5e5,
)  # fmt: skip
PRODUCT = Product(rows=640.0, columns=192.0, depth=512.0, groups=2.0)
TILES = ((256, 128), (128, 256), (128, 128), (128, 64), (64, 128), (64, 64), (128, 32), (32, 128))
LAYOUT = Layout(window=1, stride=1, channels_last=True, strided=False, half=False, positions=0)


def launch(family: str, product: Product = PRODUCT, layout: dict[str, Any] | None = None, **more: Any) -> Launch:
    fields: dict[str, Any] = {"fused": False, "masked": False, "unfused": False, "backward": False, **more}
    return Launch(family, 1, COUNTS, product, replace(LAYOUT, **(layout or {})), **fields)


def compute(family: str, dtype: str = "fp16", **changes: Any) -> float:
    return float(gpu.compute_time(scalar, launch(family, **changes), HARDWARE, dtype, PARAMETERS))


def memory(family: str, weights: float = 3e5, fuses: bool = False, **layout: Any) -> float:
    return float(gpu.memory_time(scalar, launch(family, layout=layout), HARDWARE, PARAMETERS, weights, fuses))


def test_attention_computes_blocks_of_queries_and_keys() -> None:
    """100 queries in 2 blocks of 64, 70 keys in 2, a width of 40 in 2 of 32; 8 heads; 4 FLOP each."""
    product = Product(rows=200.0, columns=70.0, depth=40.0, groups=8.0)
    forward = 4 * 128 * 128 * 64 * 8 / (1e14 * 0.6 * 0.9)
    assert compute("attention", product=product) == pytest.approx(forward)
    assert compute("attention", product=product, masked=True) == pytest.approx(forward / 0.7)
    assert compute("attention", product=product, backward=True) == pytest.approx(2.5 * forward)
    two = Product(rows=2 * 129.0, columns=65.0, depth=33.0, groups=8.0)
    assert compute("attention", product=two) == pytest.approx(4 * 192 * 128 * 64 * 8 / (1e14 * 0.6 * 0.9))
    scores = 6 * 100 * 70 * 8 / 1e12
    assert compute("attention", product=product, unfused=True) == pytest.approx(scores)


def tiled(share: float, product: Product = PRODUCT, rate: Rates = MATRIX) -> float:
    feed = 10 * (rate.flops_per_cycle / 512) ** 0.5
    costs = []
    for rows, columns in TILES:
        tiles = ceil(product.rows / rows) * ceil(product.columns / columns) * product.groups
        costs.append((ceil(tiles / 10) + 0.5) * 2 * (rows * columns + feed * (rows + columns)))
    for rows, columns in ((64, 64), (8, 128)):
        tiles = ceil(product.rows / rows) * ceil(product.columns / columns) * product.groups
        costs.append((tiles / 10 + 1.5 * min(1, 256 / product.depth)) * 2 * (rows * columns + feed * (rows + columns)))
    return min(costs) * (ceil(product.depth / 16) * 16 + 32) * 10 / (rate.flops_per_second * share * 0.9)


@pytest.mark.parametrize(
    "product",
    [
        PRODUCT,
        Product(rows=64.0, columns=64.0, depth=4096.0, groups=1.0),
        Product(rows=8.0, columns=1000.0, depth=200.0, groups=1.0),
        Product(rows=5000.0, columns=96.0, depth=72.0, groups=3.0),
        *(  # each tile is the best of one
            Product(rows, columns, depth, groups)
            for rows, columns, depth, groups in (
                (1184.0, 4096.0, 512.0, 25.0), (92.0, 1824.0, 512.0, 2.0), (608.0, 4224.0, 4096.0, 3.0),
                (355.0, 1408.0, 512.0, 32.0), (1705.0, 32.0, 4096.0, 14.0), (316.0, 1600.0, 512.0, 20.0),
                (192.0, 448.0, 512.0, 38.0),
            )
        ),
    ],
)  # fmt: skip
def test_a_product_waits_for_the_last_tile_of_a_wave(product: Product) -> None:
    assert compute("linear", product=product) == pytest.approx(tiled(0.8, product))


@pytest.mark.parametrize(
    ("columns", "depth", "window"), [(190.0, 512.0, 1), (192.0, 500.0, 1), (192.0, 36.0, 9), (192.0, 16.0, 4)]
)
def test_channels_that_are_no_multiple_of_eight_are_slower(columns: float, depth: float, window: int) -> None:
    product = replace(PRODUCT, columns=columns, depth=depth)
    assert compute("linear", product=product, layout={"window": window}) == pytest.approx(1.5 * tiled(0.8, product))


def test_a_stem_is_slower_with_a_wide_window_alone() -> None:
    product = replace(PRODUCT, columns=190.0)
    assert compute("stem", product=product, layout={"window": 256}) == pytest.approx(tiled(0.4, product))
    assert compute("stem", product=product, layout={"window": 257}) == pytest.approx(3 * tiled(0.4, product))


@pytest.mark.parametrize(
    ("window", "stride", "gain"), [(9, 1, 1.4), (25, 1, 1.4), (49, 1, 1.0), (9, 2, 1.0), (1, 1, 1.0)]
)
def test_windows_of_three_and_five_on_lanes_without_a_matrix_engine(window: int, stride: int, gain: float) -> None:
    product = replace(PRODUCT, depth=8.0 * window)
    changes: dict[str, Any] = {"product": product, "layout": {"window": window, "stride": stride}}
    assert compute("conv", "fp32", **changes) == pytest.approx(tiled(0.5, product, VECTOR) / gain)
    assert compute("conv", **changes) == pytest.approx(tiled(0.5, product))


@pytest.mark.parametrize(
    ("columns", "depth", "last", "slowdown"),
    [
        (64.0, 64.0, 0, 1.0),
        (64.0, 64.0, 1, 1.0),
        (8.0, 16.0, 0, 2.0),
        (64.0, 8.0, 1, 2.0),
        (20.0, 20.0, 1, 1.25 * 1.6**0.5),
        (20.0, 20.0, 0, 1.6**0.5),
        (16.0, 64.0, 1, 2**0.5),
    ],
)
def test_narrow_groups_starve_the_matrix_engine(columns: float, depth: float, last: int, slowdown: float) -> None:
    product = Product(rows=100.0, columns=columns, depth=depth * 9, groups=4.0)
    found = compute("grouped", product=product, layout={"window": 9, "channels_last": last})
    assert found == pytest.approx(6e9 * slowdown / (1e14 * 0.3 * 0.9))


@pytest.mark.parametrize(
    ("window", "last", "slowdown"),
    [
        (9, 1, 5.0),
        (49, 1, (49 / 9) ** -0.5 * 5),
        (50, 1, (50 / 9) ** -0.5 * 5 * 1.75),
        (81, 1, 9**-0.5 * 5 * 1.75),
        (9, 0, 10.0),
        (81, 0, 90.0),
        (1, 0, 3.0),
    ],
)
def test_depthwise_windows_run_on_lanes(window: int, last: int, slowdown: float) -> None:
    found = compute("depthwise", layout={"window": window, "channels_last": last})
    assert found == pytest.approx(6e9 * slowdown / (2e13 * 0.9))


def test_rows_and_positions_that_are_too_few_for_the_threads() -> None:
    assert compute("row_norm") == pytest.approx(1e-6 * 2.5e5 / 512 / 10)
    assert compute("row_norm", product=replace(PRODUCT, depth=0)) == pytest.approx(1e-6 * 2.5e5 / 10)
    assert compute("pool", layout={"positions": 1}) == pytest.approx(1e-8 * 5e5)
    assert compute("pool", layout={"positions": 100}) == pytest.approx(1e-8 * 5e5 / 100)
    assert compute("pool", layout={"positions": 10**6}) == pytest.approx(1e-8 * 5e5 / 15360)
    assert compute("pool") == compute("map") == 0


def missed(fill: float) -> float:
    return fill**2 / (1 + fill**2)


def test_memory_and_the_last_cache() -> None:
    """The cache counts as 2 MB: the largest tensor fills half of it."""
    far = 1.5e6 * missed(0.5) + 3e5 * missed(3.5)
    expected = (far / 0.5 + (1.8e6 - far) / 3) / 1e12
    assert memory("other", weights=6e6) == pytest.approx(expected)
    far = 1.3e6 * missed(0.5) + 3e5 * missed(3.5)
    saved = replace(PARAMETERS, fusion=9.0)  # no more than all
    all_saved = 3e5 * missed(3.5)
    assert gpu.memory_time(scalar, launch("other"), HARDWARE, saved, 6e6, True) == pytest.approx(
        (all_saved / 0.5 + (3e5 - all_saved) / 3) / 1e12, rel=1e-12
    )
    assert memory("other", weights=6e6, fuses=True) == pytest.approx((far / 0.5 + (1.6e6 - far) / 3) / 1e12)


@pytest.mark.parametrize(
    ("family", "layout", "moved"),
    [
        ("conv", {}, 0.0),
        ("conv", {"strided": True}, 0.0625e6),
        ("conv", {"half": True}, 0.0),
        ("conv", {"half": True, "channels_last": 0}, 1.5e6 * 0.25),
        ("conv", {"channels_last": 0}, 0.0),
        ("pointwise", {"half": True, "channels_last": 0}, 1.5e6 * 0.125),
        ("grouped", {"half": True, "channels_last": 0}, 1.5e6 * 0.5),
        ("depthwise", {"half": True, "channels_last": 0, "strided": True}, 0.0625e6),
        ("group_norm", {"strided": True}, 0.0625e6),
    ],
)
def test_copies_between_layouts_and_a_bias(family: str, layout: dict[str, Any], moved: float) -> None:
    """A compiler merges the bias, and the kernels of depthwise windows add it themselves."""

    def seconds(moved: float) -> float:
        far = moved * missed(0.5)
        return (far + (moved - far) / 3) / 1e12

    op = launch(family, layout=layout)
    assert gpu.copy_time(scalar, op, HARDWARE, PARAMETERS, True) == pytest.approx(seconds(moved))
    biased = moved + (0.0 if family == "depthwise" else 2 * 5e5)
    assert gpu.copy_time(scalar, op, HARDWARE, PARAMETERS, False) == pytest.approx(seconds(biased))
    assert gpu.copy_time(scalar, launch("linear", layout=layout), HARDWARE, PARAMETERS, False) == 0.0


def test_a_depthwise_tensor_beyond_two_to_the_31_elements() -> None:
    huge = replace(launch("depthwise"), counts=replace(COUNTS, input_bytes=2.0**32 + 4))
    first = replace(huge, layout=replace(LAYOUT, channels_last=0))
    last, plain = (float(gpu.memory_time(scalar, each, HARDWARE, PARAMETERS, 0.0)) for each in (huge, first))
    assert last == pytest.approx(4 * plain, rel=1e-3)
    edge = replace(huge, counts=replace(COUNTS, input_bytes=2.0**32))
    assert float(gpu.memory_time(scalar, edge, HARDWARE, PARAMETERS, 0.0)) == pytest.approx(plain, rel=1e-3)
