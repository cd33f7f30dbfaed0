"""Launches of ops: family, counts, product and layout by hand."""

from typing import Any

import pytest

from hwbench.predict.model.launch import UNSTATED, Counts, Layout, Product, family_of, launch_of
from hwbench.workload.ops import Op


def op(kind: str, shape: tuple[int, ...] = (4,), **more: Any) -> Op:
    return Op(kind, shape, **more)


@pytest.mark.parametrize(
    ("kind", "fields", "family"),
    [
        ("conv", {"macs": 1, "window": 9, "depth": 36}, "stem"),
        ("conv", {"macs": 1, "window": 9, "depth": 37}, "conv"),
        ("conv", {"macs": 1, "window": 9, "depth": 0}, "conv"),
        ("conv", {"macs": 1, "window": 1, "depth": 3}, "conv"),
        ("conv", {"macs": 1, "window": 2, "depth": 1}, "stem"),
        ("conv_backward", {"macs": 1, "window": 9, "depth": 360}, "conv"),
        ("grouped_conv", {"macs": 1, "window": 9, "depth": 18}, "depthwise"),
        ("grouped_conv", {"macs": 1, "window": 9, "depth": 19}, "grouped"),
        ("strange", {"macs": 1}, "linear"),
        ("strange", {}, "unknown"),
        ("elementwise", {}, "map"),
        ("elementwise", {"name": "x:gelu"}, "erf"),
        ("elementwise", {"strided": True}, "strided"),
        ("elementwise", {"strided": True, "broadcast": True}, "strided"),
        ("elementwise", {"broadcast": True}, "broadcast"),
        ("softmax", {"strided": True, "broadcast": True}, "softmax"),
        ("softmax", {"name": "x:gelu"}, "softmax"),
    ],
)
def test_families(kind: str, fields: dict[str, Any], family: str) -> None:
    assert family_of(op(kind, **fields)) == family


COUNTED = {
    "macs": 6000, "elementwise_flops": 7, "input_elements": 11, "fixed_input_bytes": 1, "weight_elements": 13,
    "fixed_weight_bytes": 2, "output_elements": 17, "fixed_output_bytes": 3, "fused_elements": 5, "fused_bytes": 4,
}  # fmt: skip


def test_a_batch_multiplies_everything_but_weights() -> None:
    found = launch_of(op("linear", (10, 3), columns=10, depth=30, groups=2, count=9, **COUNTED), 5, 16)
    assert found.counts == Counts(60000, 35, 23 * 5, 28, 37 * 5, 150, 14 * 5)
    assert found.product == Product(rows=50, columns=10, depth=30, groups=2)
    assert found.layout == Layout(window=1, stride=1, channels_last=False, strided=False, half=True, positions=0)
    assert (found.count, found.unfused, found.backward, found.masked, found.fused) == (9, False, False, False, False)
    constant = launch_of(op("linear", (10, 3), columns=10, depth=30, groups=2, constant=True, **COUNTED), 5, 16)
    assert constant.counts == Counts(12000, 7, 23, 28, 37, 30, 14)


@pytest.mark.parametrize("kind", ["batched_matmul", "attention", "attention_backward"])
def test_where_each_sample_has_its_own_operands_a_batch_is_more_products(kind: str) -> None:
    found = launch_of(op(kind, (2, 3, 4, 5), macs=6000, columns=10, depth=30, groups=2, masked=True), 5, 32)
    assert found.product == Product(rows=10, columns=10, depth=30, groups=10)
    assert (found.unfused, found.backward, found.masked) == (True, kind.endswith("_backward"), True)
    assert not launch_of(op(kind, (2, 3, 4), macs=1), 1, 32).unfused


def test_unknown_shapes_and_ops_without_products() -> None:
    assert launch_of(op("linear", macs=UNSTATED**2), 3, 32).product == Product(3, UNSTATED, UNSTATED, 1)
    assert launch_of(op("layer_norm", depth=8, columns=2), 3, 32).product == Product(0, 2, 8, 1)


@pytest.mark.parametrize(
    ("dtype", "bits", "half"),
    [(None, 16, True), (None, 17, False), (None, 8, True), ("fp16", 32, True), ("bf16", 32, True), ("fp32", 16, False)],
)
def test_elements_of_two_bytes_or_fewer(dtype: str | None, bits: int, half: bool) -> None:
    assert launch_of(op("conv", dtype=dtype), 1, bits).layout.half == half


@pytest.mark.parametrize(
    ("kind", "shape", "fields", "positions"),
    [
        ("upsample", (3, 5, 7), {"elementwise_flops": 421}, 35),
        ("upsample", (3, 5, 7), {"elementwise_flops": 420}, 0),
        ("upsample", (3, 5, 7), {"elementwise_flops": 421, "channels_last": True}, 0),
        ("upsample", (5, 7), {"elementwise_flops": 1000}, 0),
        ("max_pool", (3, 5, 7), {"elementwise_flops": 1000}, 0),
    ],
)
def test_positions_that_are_interpolated(
    kind: str, shape: tuple[int, ...], fields: dict[str, Any], positions: int
) -> None:
    assert launch_of(op(kind, shape, **fields), 2, 32).layout.positions == positions
