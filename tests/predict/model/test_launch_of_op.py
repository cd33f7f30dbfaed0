"""Launches of ops: family, counts, product and layout by hand."""

from collections.abc import Iterator
from math import prod
from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.predict.model.launch import (
    UNSTATED,
    Counts,
    Layout,
    Product,
    epilogues,
    family_of,
    launch_of,
    launches_of,
    variant_of,
)
from hwbench.workload.ops import Op, Workload
from hwbench.workload.request import ModelRequest
from hwbench.workload.saved import shipped


def op(kind: str, shape: tuple[int, ...] = (4,), **more: Any) -> Op:
    return Op(kind, shape, **more)


def network(*ops: Op, **more: Any) -> Workload:
    return Workload("net", "Net", (4,), ops, **more)


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
        ("elementwise", {"name": "x:silu_"}, "exp"),
        ("elementwise", {"name": "x:silu", "strided": True}, "strided"),
        ("elementwise", {"name": "x:sigmoid", "broadcast": True}, "broadcast"),
        ("elementwise", {"name": "x:hardswish"}, "map"),
        ("sigmoid", {}, "exp"),
        ("silu_backward", {}, "exp"),
        ("gelu", {}, "erf"),
        ("relu", {"name": "gelu"}, "map"),
        ("batch_norm", {"input_elements": 4}, "batch_norm"),
        ("batch_norm", {"fixed_input_bytes": 8, "fixed_weight_bytes": 8}, "batch_norm"),
        ("batch_norm", {}, "batch_norm"),
        ("batch_norm", {"weight_elements": 4}, "group_norm"),
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
    assert found.counts == Counts(60000, 35, 23 * 5, 28, 37 * 5, 85, 14 * 5, 0)
    assert found.product == Product(rows=50, columns=10, depth=30, groups=2)
    assert found.layout == Layout(window=1, stride=1, channels_last=False, strided=False, half=True, positions=0)
    assert (found.count, found.unfused, found.backward, found.masked, found.fused) == (9, False, False, False, False)
    constant = launch_of(op("linear", (10, 3), columns=10, depth=30, groups=2, constant=True, **COUNTED), 5, 16)
    assert constant.counts == Counts(12000, 7, 23, 28, 37, 17, 14, 0)


def test_the_bias_of_a_convolution_is_what_its_weights_have_beyond_the_product() -> None:
    shape: dict[str, Any] = {"macs": 360, "columns": 2, "depth": 9, "groups": 4, "output_elements": 20}

    def biased(kind: str, **more: Any) -> Any:
        return launch_of(op(kind, (8, 5, 1), **shape, **more), 3, 32).counts.biased_bytes

    assert biased("grouped_conv", weight_elements=72) == 0
    assert biased("grouped_conv", weight_elements=80) == 20 * 4 * 3
    assert biased("grouped_conv", fixed_weight_bytes=144, dtype="fp16") == 0
    assert biased("grouped_conv", fixed_weight_bytes=160, dtype="fp16") == 20 * 4 * 3
    assert biased("linear", weight_elements=80) == 0
    assert biased("conv_backward", weight_elements=80) == 0


@pytest.mark.parametrize("kind", ["batched_matmul", "attention", "attention_backward"])
def test_where_each_sample_has_its_own_operands_a_batch_is_more_products(kind: str) -> None:
    found = launch_of(op(kind, (2, 3, 4, 5), macs=6000, columns=10, depth=30, groups=2, masked=True), 5, 32)
    assert found.product == Product(rows=10, columns=10, depth=30, groups=10)
    assert (found.backward, found.masked) == (kind.endswith("_backward"), True)


@pytest.mark.parametrize(
    ("shape", "heads", "unfused"),
    [
        ((12, 197, 64), 12, False),  # batch × 12 heads
        ((32, 2, 49, 32), 32, False),  # the 16 windows of two samples are the batch of 2 heads
        ((3, 16, 196, 32), 48, True),  # batch × 3 heads × 16 windows
        ((24, 196, 64), 12, True),  # the heads of two samples are the batch: three dimensions
        ((197, 768), 12, False),  # a network file, with heads in the width
    ],
)
def test_torch_fuses_attention_in_four_dimensions(shape: tuple[int, ...], heads: int, unfused: bool) -> None:
    assert launch_of(op("attention", shape, macs=1, groups=heads), 1, 32).unfused == unfused
    assert not launch_of(op("batched_matmul", shape, macs=1, groups=heads), 1, 32).unfused


def packed(mode: str) -> Iterator[Workload]:
    """Yield every trace of a mode that comes with hwbench."""
    index = shipped.index()
    assert index is not None
    autocast = "fp16" if mode == "amp" else None
    for name, model in index.models.items():
        for side in model.sides:
            found = shipped.workload(ModelRequest(f"timm:{name}", image_size=side, autocast=autocast))
            if found is not None:
                yield found


@pytest.mark.slow
def test_derived_fields_of_the_packed_traces_follow_their_definitions() -> None:
    for workload in packed("plain"):
        for one in workload.ops:
            found, elements = launch_of(one, 1, 32), one.output_elements
            assert not elements or found.counts.elements == elements
            assert found.layout.positions in (0, prod(one.output_shape[-2:]))
            if one.kind == "attention":  # all of the batch of two, or one sample without the dimension of the batch
                rank = len(one.output_shape) + (prod(one.output_shape) == elements)
                assert prod(one.output_shape) in (elements, 2 * elements)
                assert found.unfused == (rank != 4), one
    for workload in packed("amp"):
        for one in (op for op in workload.ops if op.macs):
            size = 4 if one.dtype == "fp32" else 2
            assert launch_of(one, 1, 16).counts.elements * size == one.fixed_output_bytes


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


@pytest.mark.parametrize(
    ("kind", "shape", "fields", "variant"),
    [
        ("conv", (8, 4, 4), {"macs": 1, "window": 9, "depth": 144}, "conv"),
        ("conv", (8, 4, 4, 4), {"macs": 1, "window": 27, "depth": 432}, "volume"),
        ("conv", (8, 4), {"macs": 1, "window": 3, "depth": 48}, "signal"),
        ("transposed_conv", (8, 4, 4), {"macs": 1, "window": 9, "depth": 16}, "transposed"),
        ("transposed_conv", (8, 4, 4), {"macs": 1, "window": 9, "depth": 15, "groups": 2}, "transposed_narrow"),
        ("depthwise_conv", (8, 4, 4), {"macs": 1, "window": 9, "depth": 9, "groups": 8}, "depthwise"),
        ("depthwise_conv", (8, 4, 4), {"macs": 1, "window": 9, "depth": 9, "columns": 2}, "multiplied"),
        ("depthwise_conv", (8, 4, 4), {"macs": 1, "window": 50, "depth": 50}, "wide"),
        ("recurrent", (8,), {"macs": 1, "name": "layer:lstm"}, "lstm"),
        ("recurrent", (8,), {"macs": 1, "name": "a.b:rnn_relu"}, "rnn"),
        ("recurrent", (8,), {"macs": 1, "name": "a.b:gru_cell"}, "cell"),
        ("upsample", (8, 4, 4), {"output_elements": 128, "elementwise_flops": 513}, "interpolated"),
        ("upsample", (8, 4, 4), {"output_elements": 128, "elementwise_flops": 512}, "upsample"),
        ("max_pool", (8, 4, 4), {}, "max_pool"),
        ("copy", (8, 4, 4), {"name": "a:pixel_shuffle"}, "shuffled"),
        ("reduction", (8,), {"name": "a:linalg_vector_norm"}, "moment"),
        ("layer_norm", (8, 4), {"strided": True}, "turned"),
        ("layer_norm", (8, 4), {"strided": True, "channels_last": True}, "row_norm"),
        ("batch_norm", (8, 4), {"input_elements": 32}, "group_norm"),
        ("grouped_conv", (8, 4, 4), {"macs": 1, "window": 9, "depth": 15 * 9}, "narrow"),
        ("grouped_conv", (8, 4, 4), {"macs": 1, "window": 9, "depth": 16 * 9}, "grouped"),
        ("pointwise_conv", (8, 4, 4, 4), {"macs": 1, "window": 1, "depth": 16}, "pointwise"),
        ("elementwise", (8,), {"name": "a.b:tanh"}, "exp"),
        ("silu", (8,), {}, "exp"),
        ("elementwise", (8,), {"name": "a.b:mish"}, "log"),
        ("elementwise", (8,), {"name": "a.b:gelu"}, "erf"),
        ("softmax", (8,), {"name": "a.b:exp"}, "softmax"),
    ],
)
def test_variants(kind: str, shape: tuple[int, ...], fields: dict[str, Any], variant: str) -> None:
    assert variant_of(op(kind, shape, **fields)) == variant


def test_epilogues_follow_a_product_without_a_gap() -> None:
    """A norm, an activation and a sum after a convolution; not after a pool, nor where the size is another one."""
    conv = op("conv", (8, 4, 4), macs=9, output_elements=128)
    norm = op("batch_norm", (8, 4, 4), input_elements=128, output_elements=128, weight_elements=32)
    relu, total = (op(kind, (8, 4, 4), output_elements=128) for kind in ("relu", "add"))
    pool, half = op("max_pool", (8, 4, 4), output_elements=128), op("relu", (4, 4, 4), output_elements=64)
    assert epilogues([norm, conv, norm, relu, total]) == [False, False, True, True, True]
    assert epilogues([conv, pool, relu]) == [False, False, False]
    assert epilogues([conv, half, relu]) == [False, False, False]
    launches = launches_of(network(conv, relu), 3, 32)
    assert [each.epilogue for each in launches] == [False, True]
    assert epilogues([op("relu", (1,), output_elements=1)]) == [False]
    assert launches[1].counts.output_bytes == 3 * 128 * 4


def test_steps_of_a_recurrent_layer_and_one_small_volume() -> None:
    assert launch_of(op("recurrent", (32, 8), macs=3200, weight_elements=100), 5, 32).steps == 32
    assert launch_of(op("linear", (32, 8), macs=3200, weight_elements=100), 5, 32).steps == 0
    volume = op("conv", (8, 4, 4, 4), macs=1, window=27, depth=81, input_elements=4 * 20480)
    assert [bool(launch_of(volume, samples, 32).plain) for samples in (1, 2)] == [True, False]
    assert not launch_of(op("conv", (8, 4, 4, 4), macs=1, input_elements=4 * 20480 + 1), 1, 32).plain


def test_one_small_image_is_convolved_without_groups_and_windows_above_three() -> None:
    fields = {"macs": 1, "window": 9, "depth": 81, "input_elements": 20480}
    for changed, plain in (
        ({}, True),
        ({"input_elements": 20481}, False),
        ({"window": 16}, False),
        ({"groups": 2}, False),
    ):
        assert bool(launch_of(op("conv", (8, 4, 4), **fields | changed), 1, 32).plain) == plain, changed


def test_share_of_windows_inside_an_image() -> None:
    """3 positions see 2, 3 and 2 of a window of 3; all 3 see all of 3, whatever reaches farther."""
    three = op("conv", (8, 3, 3), macs=1, window=9, depth=81)
    assert launch_of(three, 1, 32).layout.inside == pytest.approx((7 / 9) ** 2)
    assert launch_of(replace(three, window=25), 1, 32).layout.inside == pytest.approx((9 / 15) ** 2)
    assert launch_of(replace(three, window=49), 1, 32).layout.inside == pytest.approx((9 / 21) ** 2)
    assert launch_of(replace(three, stride=9), 1, 32).layout.inside == 1
    assert launch_of(replace(three, kind="transposed_conv"), 1, 32).layout.inside == 1


def test_elements_that_enter_and_leave_convolutions() -> None:
    first = op("conv", (8, 4, 4), macs=9, input_elements=48, output_elements=128)
    again = op("conv", (8, 4, 4), macs=9, input_elements=128, output_elements=128, count=2)
    relu, linear = op("relu", (8, 4, 4), output_elements=128), op("linear", (10,), macs=1, output_elements=10)
    assert [each.edge for each in launches_of(network(first, again, relu), 3, 32)] == [144, 192, 0]
    assert [each.edge for each in launches_of(network(first, relu, linear), 3, 32)] == [144, 0, 0]
    assert [each.edge for each in launches_of(network(relu, first), 1, 32)] == [0, 176]


def test_ops_counted_for_a_batch_at_once_are_those_of_one_sample_repeated() -> None:
    """A step of training is traced at its batch: neither one small image, nor a volume, nor attention without a kernel.

    Amounts grow with the samples but for weights; so do the products of attention, but not those of a layer.
    """
    small = {"macs": 96, "window": 9, "depth": 81, "columns": 8, "input_elements": 1152, "weight_elements": 648}
    ops = (
        op("conv", (8, 12, 12), output_elements=1152, **small),
        op("conv_backward", (8, 12, 12), output_elements=1800, part="backward", **small),
        op("relu", (8, 12, 12), input_elements=1152, output_elements=1152, fused_elements=2304, elementwise_flops=1152),
        op("attention", (3, 7, 5), macs=1470, groups=3, columns=7, depth=5, output_elements=105),
        op("linear", (7, 4), macs=420, columns=4, depth=15, output_elements=28, weight_elements=60),
        op("upsample", (8, 12, 12), elementwise_flops=9 * 1152, fixed_output_bytes=2304, fixed_input_bytes=36),
        op("recurrent", (7, 4), macs=700, weight_elements=100, input_elements=105, output_elements=28),
        op("copy", (7, 4), input_elements=28, output_elements=28, constant=True),
    )
    grows = ("macs", "elementwise_flops", "input_elements", "output_elements", "fixed_input_bytes",
             "fixed_output_bytes", "fused_elements")  # fmt: skip
    whole = [
        replace(one, **{name: 6 * getattr(one, name) for name in grows}, output_shape=(6, *one.output_shape))
        for one in ops[:-1]
    ]
    whole[3] = replace(whole[3], groups=18)
    whole[4] = replace(whole[4], output_shape=(42, 4))
    whole[6] = replace(whole[6], output_shape=(7, 6, 4))
    for batch in (6, 18):
        traced = launches_of(network(*whole, ops[-1], samples=6), batch, 32)
        repeated = launches_of(network(*ops), batch, 32)
        assert traced == repeated
        assert [launch.variant for launch in traced[:2]] == ["conv", "conv"]
        assert not any(launch.plain or launch.unfused for launch in traced)
    assert [bool(launch.plain) for launch in launches_of(network(*ops), 1, 32)[:2]] == [True, True]
