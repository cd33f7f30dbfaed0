"""Costs of ONNX nodes by hand, from shapes alone: onnx is not needed."""

import re
from math import log2, prod
from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.workload.formulas import onnx_cost as cost
from hwbench.workload.formulas import special
from hwbench.workload.formulas.cost import Call, Cost, Tensor


def tensor(*shape: int, role: Any = "data", **more: Any) -> Tensor:
    return Tensor(shape, prod(shape), role=role, **more)


def call(*args: Any, out: Tensor | None = None, name: str = "X", **attributes: Any) -> Call:
    return Call(name, args, attributes, (out,) if out else ())


IMAGE, OUT, BIAS = tensor(2, 8, 10, 10), tensor(2, 4, 8, 8), tensor(4)


def test_a_convolution_in_groups() -> None:
    """512 outputs of 3 × 3 × 4 products, in two groups of two channels."""
    shape = {"groups": 2, "columns": 2, "depth": 36, "window": 9}
    grouped = {"out": OUT, "group": 2}
    found = cost.conv()(call(IMAGE, tensor(4, 4, 3, 3), BIAS, strides=[2, 3], **grouped))
    assert found == Cost("grouped_conv", macs=512 * 36, bias_adds=512, stride=6, **shape)
    assert cost.conv()(call(IMAGE, tensor(4, 4, 3, 3), **grouped)) == Cost("grouped_conv", macs=512 * 36, **shape)
    quantized = call(IMAGE, None, None, tensor(4, 4, 3, 3), None, None, None, None, BIAS, **grouped)
    assert cost.conv(0, 3, 8, after=4)(quantized) == Cost("grouped_conv", 512 * 36, 512, 4 * 512, **shape)
    whole = cost.conv()(call(IMAGE, tensor(4, 8, 3, 3), out=OUT))
    assert whole == Cost("conv", macs=512 * 72, columns=4, depth=72, window=9)
    assert cost.conv()(call(IMAGE, tensor(4, 8, 1, 1), out=OUT)).kind == "pointwise_conv"


@pytest.mark.parametrize("groups", [1, 4])
def test_channels_that_do_not_fit_are_refused(groups: int) -> None:
    with pytest.raises(InputError) as caught:
        cost.conv()(call(IMAGE, tensor(4, 4, 3, 3), out=OUT, group=groups))
    assert caught.value.code == "bad-node"
    assert [int(number) for number in re.findall(r"\d+", caught.value.message)] == [4, 8, groups]


def test_other_convolutions() -> None:
    transposed = call(tensor(2, 8, 4, 4), tensor(8, 5, 2, 2), tensor(5), out=tensor(2, 5, 8, 8))
    assert cost.conv_transpose(transposed) == Cost("transposed_conv", macs=256 * 20, bias_adds=640)
    deformed = call(IMAGE, tensor(4, 8, 3, 3), tensor(2, 18, 8, 8), BIAS, out=OUT)
    samples = 2 * 8 * 64 * 9  # of every channel at every position, one for each product
    assert special.deform_conv(3)(deformed) == Cost(
        "conv", macs=512 * 72, bias_adds=512, elementwise_flops=10 * samples
    )


WEIGHT = tensor(32, 7, role="weight")


def test_products() -> None:
    out = tensor(6, 7)
    found = cost.matmul(bias=2, after=3)(call(tensor(6, 32), WEIGHT, tensor(7), out=out))
    assert found == Cost("linear", 42 * 32, 42, 3 * 42, columns=7, depth=32)
    plain = cost.matmul()(call(tensor(6, 32), tensor(32, 7), tensor(7), out=out))
    assert plain == Cost("matmul", 42 * 32, columns=7, depth=32)
    assert cost.matmul()(call(tensor(32, 6), WEIGHT, out=out, transA=1)).macs == 42 * 32
    quantized = call(tensor(6, 32), None, None, WEIGHT, out=out)
    assert cost.matmul(0, 3)(quantized) == Cost("linear", 42 * 32, columns=7, depth=32)
    dot = cost.matmul()(call(tensor(32), tensor(32), out=tensor()))
    assert dot == Cost("matmul", 32, columns=1, depth=32)


def test_a_product_of_data_is_batched_from_three_dimensions_on() -> None:
    batched = Cost("batched_matmul", 2 * 5 * 6 * 7 * 32, groups=10, columns=7, depth=32)
    out = tensor(2, 5, 6, 7)
    assert cost.matmul()(call(tensor(2, 5, 6, 32), tensor(2, 5, 32, 7), out=out)) == batched
    assert cost.matmul()(call(tensor(2, 5, 6, 32), tensor(32, 7), out=out)) == batched
    weights = cost.matmul()(call(tensor(2, 5, 6, 32), WEIGHT, out=out))
    assert (weights.kind, weights.groups, weights.macs) == ("linear", 1, batched.macs)
    experts = cost.matmul()(call(tensor(2, 6, 32), tensor(2, 32, 7, role="weight"), out=tensor(2, 6, 7)))
    assert (experts.kind, experts.groups) == ("batched_matmul", 2)


def test_weights_of_few_bits_are_scaled_and_shifted() -> None:
    found = cost.blockwise_matmul(call(tensor(6, 32), tensor(7, 1, 16), out=tensor(6, 7), N=7, K=32))
    assert found == Cost("linear", macs=42 * 32, elementwise_flops=2 * 7 * 32, params=7 * 32)


A, B, C, D = 2, 3, 5, 7
EINSUMS: dict[str, tuple[list[tuple[int, ...]], str, int, int]] = {
    # equation: shapes, kind, multiply-adds, other operations
    "ab,bc->ac": ([(A, B), (B, C)], "batched_matmul", A * B * C, 0),
    "ab, bc": ([(A, B), (B, C)], "batched_matmul", A * B * C, 0),
    "ba,bc": ([(B, A), (B, C)], "batched_matmul", A * B * C, 0),
    "ab,bc,cd->ad": ([(A, B), (B, C), (C, D)], "batched_matmul", A * B * C + A * C * D, 0),
    "ab,bc,cd->bd": ([(A, B), (B, C), (C, D)], "batched_matmul", B * C * D, A * B + B * C),
    "ab,bc->c": ([(A, B), (B, C)], "batched_matmul", B * C, A * B),
    "bc,ab->c": ([(B, C), (A, B)], "batched_matmul", B * C, A * B),
    "ab,ab->ab": ([(A, B), (A, B)], "elementwise", 0, A * B),
    "a,b->ab": ([(A,), (B,)], "elementwise", 0, A * B),
    "ab,cd->ac": ([(A, B), (C, D)], "elementwise", 0, A * B + C * D + A * C),
    "ab->a": ([(A, B)], "elementwise", 0, A * B),
    "ab->ba": ([(A, B)], "elementwise", 0, 0),
    "ab,ab->ab ": ([(A, 1), (1, B)], "elementwise", 0, A * B),
    "...ab,...bc->...ac": ([(4, A, B), (4, B, C)], "batched_matmul", 4 * A * B * C, 0),
    "...ab,...bc": ([(6, 4, A, B), (4, B, C)], "batched_matmul", 6 * 4 * A * B * C, 0),
    "...a,a->...": ([(6, 4, A), (A,)], "batched_matmul", 6 * 4 * A, 0),
    "a...,ab->b...": ([(A, 6, 4), (A, B)], "batched_matmul", 6 * 4 * A * B, 0),
}


@pytest.mark.parametrize("equation", EINSUMS)
def test_contractions_from_left_to_right(equation: str) -> None:
    shapes, kind, macs, flops = EINSUMS[equation]
    found = cost.einsum(call(*(tensor(*shape) for shape in shapes), equation=equation))
    assert found == Cost(kind, macs, elementwise_flops=flops)


def test_an_equation_has_a_thousand_letters_at_most() -> None:
    longest = "ab->" + "a" * (cost.MAX_EQUATION_LETTERS - 4)
    assert len(longest) == cost.MAX_EQUATION_LETTERS == 1000
    cost.einsum(call(tensor(A, B), equation=longest))
    with pytest.raises(InputError) as caught:
        cost.einsum(call(tensor(A, B), equation=longest + "a"))
    assert caught.value.code == "too-large"


QUERY, KEY, VALUE = tensor(2, 4, 6, 8), tensor(2, 2, 9, 8), tensor(2, 2, 9, 16)


@pytest.mark.parametrize(
    ("operands", "attributes"),
    [
        ((QUERY, KEY, VALUE), {}),
        ((tensor(2, 6, 32), tensor(2, 9, 16), tensor(2, 9, 32)), {"q_num_heads": 4, "kv_num_heads": 2}),
    ],
)
def test_attention_of_four_query_heads_and_two_of_keys(operands: tuple[Tensor, ...], attributes: Any) -> None:
    """432 scores, 8 wide keys, 16 wide values; three more tokens of the past are 144 more scores."""
    shape = {"groups": 8, "depth": 8}
    found = cost.attention(call(*operands, None, None, **attributes))
    assert found == Cost("attention", macs=432 * 24, elementwise_flops=432 * 6, columns=9, **shape)
    past = cost.attention(call(*operands, None, tensor(2, 2, 3, 8), tensor(2, 2, 3, 16), **attributes))
    assert past == Cost("attention", macs=576 * 24, elementwise_flops=576 * 6, columns=12, **shape)


def test_attention_that_projects_first() -> None:
    """Queries, keys and values of 32 from 20: 12 tokens × 20 × 96; then 288 scores of 4 heads of 8."""
    x, weight, bias = tensor(2, 6, 20), tensor(20, 96), tensor(96)
    projected = {"macs": 12 * 20 * 96 + 288 * 16, "elementwise_flops": 6 * 288}
    assert cost.packed_attention(4)(call(x, weight, None, num_heads=4)) == Cost("attention", **projected)
    biased = cost.packed_attention(4)(call(x, weight, bias, num_heads=4))
    assert biased == Cost("attention", bias_adds=12 * 96, **projected)


def test_attention_of_separate_queries_keys_and_values() -> None:
    operands = tensor(2, 6, 32), tensor(2, 9, 32), tensor(2, 9, 64)
    rest: list[Any] = [None] * 4
    found = cost.multi_head_attention(6)(call(*operands, *rest, num_heads=4))
    expected = Cost("attention", macs=432 * 24, elementwise_flops=432 * 6, groups=8, columns=9, depth=8)
    assert found == expected
    past = (*operands, None, None, None, tensor(2, 4, 3, 8))
    assert cost.multi_head_attention(6)(call(*past, num_heads=4)).macs == 2 * 4 * 6 * (9 + 3) * 24


def test_recurrent_layers_of_both_directions() -> None:
    """Seven steps of two samples; 20 gates in each direction, in the weights and in the recurrence."""
    operands = tensor(7, 2, 3), tensor(2, 20, 3), tensor(2, 20, 5)
    macs, flops = 14 * (120 + 200), 14 * 2 * 20 * 10
    assert cost.recurrent(call(*operands, None)) == Cost("recurrent", macs, elementwise_flops=flops)
    assert cost.recurrent(call(*operands, tensor(2, 40))) == Cost("recurrent", macs, 14 * 80, flops)


SMALL = tensor(2, 3, 4)


def test_windows() -> None:
    assert cost.lrn(call(SMALL, size=5)) == Cost("local_response_norm", elementwise_flops=24 * 9)
    for pooled, each in (
        (cost.pool("max_pool", 1, less=1), 5),
        (cost.pool("avg_pool", 1), 6),
        (cost.pool("avg_pool", 2), 12),
    ):
        assert pooled(call(out=SMALL, kernel_shape=[2, 3])).elementwise_flops == 24 * each


@pytest.mark.parametrize(("attributes", "samples"), [({}, 1), ({"sampling_ratio": 0}, 1), ({"sampling_ratio": 3}, 9)])
def test_regions_are_sampled_by_ten_operations(attributes: dict[str, int], samples: int) -> None:
    assert special.roi_align(call(out=SMALL, **attributes)) == Cost("roi_align", elementwise_flops=240 * samples)


@pytest.mark.parametrize(
    ("mode", "after", "each"),
    [
        ("nearest", (2, 6, 8), 0),
        ("linear", (2, 3, 4), 0),
        ("linear", (2, 3, 8), 3),
        ("linear", (2, 6, 8), 9),
        ("linear", (4, 6, 8), 21),
        ("bilinear", (2, 6, 8), 9),
        ("cubic", (2, 6, 8), 35),
    ],
)
def test_interpolation_along_what_changes(mode: str, after: tuple[int, ...], each: int) -> None:
    expected = Cost("upsample", elementwise_flops=each * prod(after))
    assert cost.resize(call(SMALL, out=tensor(*after), mode=mode)) == expected
    assert cost.resize(call(SMALL, out=tensor(*after))).elementwise_flops == 0  # nearest unless stated


def test_four_changing_dimensions_cost_what_three_do() -> None:
    found = cost.resize(call(tensor(1, 1, 1, 1), out=tensor(2, 2, 2, 2), mode="linear"))
    assert found.elementwise_flops == 21 * 16


@pytest.mark.parametrize(
    ("attributes", "dimensions", "each"),
    [({}, 4, 9), ({}, 5, 21), ({"mode": "bilinear"}, 4, 9), ({"mode": "bicubic"}, 4, 35), ({"mode": "nearest"}, 4, 0)],
)
def test_interpolation_at_the_positions_of_a_grid(attributes: dict[str, str], dimensions: int, each: int) -> None:
    found = cost.grid_sample(call(tensor(*range(1, dimensions + 1)), out=SMALL, **attributes))
    assert found == Cost("upsample", elementwise_flops=24 * each)


def test_look_ups() -> None:
    for table, kind in (
        (tensor(100, 4, role="weight"), "embedding"),
        (tensor(100, 4), "gather"),
        (tensor(100, 4, 1, role="weight"), "gather"),
        (tensor(100, 4, role="weight", floating=False), "gather"),
    ):
        assert cost.gather(call(table, out=SMALL)) == Cost(kind, reads=24)
    assert cost.embedded(call(out=SMALL)) == Cost("embedding", elementwise_flops=9 * 24)


def test_scattered_updates_are_added_where_they_are_reduced() -> None:
    operands = tensor(100), tensor(6), tensor(6)
    assert cost.scatter(call(*operands)) == cost.scatter(call(*operands, reduction="none")) == Cost("copy")
    assert cost.scatter(call(*operands, reduction="add")) == Cost("copy", elementwise_flops=6)


@pytest.mark.parametrize(("boxes", "flops"), [(8, 16 * 3), (1, 2), (2, 4), (0, 0)])
def test_scores_are_sorted_class_by_class(boxes: int, flops: int) -> None:
    assert cost.suppression(call(tensor(1), tensor(2, boxes))) == Cost("sort", elementwise_flops=flops)


@pytest.mark.parametrize(("name", "each"), [("Sum", 2), ("Max", 2), ("Mean", 3)])
def test_a_mean_of_three_divides_once_more_than_their_sum(name: str, each: int) -> None:
    found = cost.variadic(call(SMALL, SMALL, SMALL, out=SMALL, name=name))
    assert found == Cost("elementwise", elementwise_flops=24 * each)


@pytest.mark.parametrize(
    ("written", "onesided", "each", "points"),
    [(16, 0, 5, 16), (4, 0, 5, 4), (9, 1, 2.5, 16)],
)
def test_a_transform_of_another_length_than_its_input(written: int, onesided: int, each: float, points: int) -> None:
    length, out = tensor(), tensor(2, written, 2)
    found = cost.fourier(call(tensor(2, 8, 2), length, out=out, axis=1, onesided=onesided))
    assert found.elementwise_flops == round(each * 2 * points * log2(points))
