"""Costs of calls by hand, from shapes alone: torch is not needed."""

from math import prod
from typing import Any

import pytest

from hwbench.workload.formulas import attention, cost, special
from hwbench.workload.formulas.cost import Call, Cost, Tensor


def tensor(*shape: int, role: Any = "data", elements: int | None = None, **more: Any) -> Tensor:
    return Tensor(shape, prod(shape) if elements is None else elements, role=role, **more)


def call(*args: Any, out: Tensor | None = None, name: str = "aten.x", samples: int = 1, **kwargs: Any) -> Call:
    return Call(name, args, kwargs, (out,) if out else (), samples)


def test_products() -> None:
    a, b, out = tensor(3, 4), tensor(4, 5), tensor(3, 5)
    assert cost.mm(call(a, b, out=out)) == Cost("matmul", macs=60, columns=5, depth=4)
    weight = tensor(4, 5, role="weight")
    assert cost.addmm(call(out, a, weight, out=out)) == Cost("linear", macs=60, bias_adds=15, columns=5, depth=4)
    batched = cost.mm(call(tensor(2, 3, 4), tensor(2, 4, 5), out=tensor(2, 3, 5)))
    assert batched == Cost("batched_matmul", macs=120, groups=2, columns=5, depth=4)
    vector = cost.vector_product(call(a, tensor(4), out=tensor(3)))
    assert vector == Cost("matmul", macs=12, columns=1, depth=4)
    added = cost.vector_product(call(tensor(3), a, tensor(4), out=tensor(3), name="aten.addmv"))
    assert added == Cost("matmul", macs=12, bias_adds=3, columns=1, depth=4)
    layer = call(a, tensor(5, 4), tensor(5), out=out)
    assert cost.linear(layer) == Cost("linear", macs=60, bias_adds=15, columns=5, depth=4)
    assert cost.linear(call(a, tensor(5, 4), out=out)).bias_adds == 0


@pytest.mark.parametrize(("rows", "samples", "experts"), [(2, 4, 1), (8, 4, 2), (8, 1, 8), (400, 1, 16)])
def test_no_more_experts_are_read_than_a_sample_has_rows_and_one_at_least(
    rows: int, samples: int, experts: int
) -> None:
    found = cost.grouped_mm(call(tensor(rows, 8), tensor(16, 8, 4), samples=samples))
    assert found == Cost("grouped_matmul", macs=rows * 32, reads_second=experts * 32)


def test_groups_in_other_places() -> None:
    assert cost.grouped_mm(call(tensor(3, 2, 8), tensor(3, 8, 4))) == Cost("grouped_matmul", macs=192)
    assert cost.grouped_mm(call(tensor(2, 8), tensor(8, 4))) == Cost("grouped_matmul", macs=64)
    a, b = tensor(2, 8), tensor(16, 8, 4)
    backward = Call("aten.x", (tensor(2, 4), a, b), {}, (a, b))
    assert cost.grouped_mm_backward(backward) == Cost("grouped_matmul_backward", macs=128)


def test_a_trilinear_product_sums_as_early_as_possible() -> None:
    """As torch.bilinear: x (2, 3), weight (5, 3, 4), y (2, 4) over dimensions batch, out, x, y."""
    x, weight, y = tensor(2, 3), tensor(5, 3, 4), tensor(2, 4)
    found = cost.trilinear(call(x, weight, y, [1, 3], [0], [1, 2], [2, 3]))
    assert found == Cost("bilinear", macs=2 * 5 * 3 * 4 + 2 * 5 * 4)


def test_recurrent_gates_cost_ten_operations_each() -> None:
    """An LSTM of 3 wide states: 12 gates at each of 6 steps, in two matrices each counted with five."""
    weights = [tensor(12, 4), tensor(12, 3), tensor(12), tensor(12)]
    found = cost.recurrent(call(tensor(3, 2, 4), None, weights))
    assert found == Cost("recurrent", macs=6 * (48 + 36), bias_adds=6 * 24, elementwise_flops=6 * 12 * 10)


CONVOLUTION = ([2, 2], [0, 0], [1, 1])


def test_a_convolution_in_groups() -> None:
    x, weight, out = tensor(1, 8, 9, 9), tensor(6, 4, 3, 3), tensor(1, 6, 4, 4)
    found = cost.convolution(call(x, weight, tensor(6), *CONVOLUTION, False, [0, 0], 2, out=out))
    assert found == Cost("grouped_conv", macs=96 * 36, bias_adds=96, groups=2, columns=3, depth=36, window=9, stride=4)
    whole = cost.convolution(call(x, tensor(6, 8, 3, 3), None, *CONVOLUTION, False, [0, 0], 1, out=out))
    assert (whole.kind, whole.macs, whole.bias_adds, whole.columns, whole.depth) == ("conv", 96 * 72, 0, 6, 72)
    plain = cost.convolution(call(x, tensor(6, 8, 3, 3), out=out))
    assert plain == Cost("conv", macs=96 * 72, columns=6, depth=72, window=9)


def test_a_transposed_convolution_scatters_a_window_of_each_channel() -> None:
    x, weight, out = tensor(1, 8, 4, 4), tensor(8, 3, 2, 2), tensor(1, 6, 8, 8)
    found = cost.convolution(call(x, weight, tensor(6), *CONVOLUTION, True, [0, 0], 2, out=out))
    assert (found.macs, found.bias_adds, found.groups) == (128 * 12, 384, 2)
    assert (found.columns, found.depth, found.window, found.stride) == (12, 4, 4, 4)
    one = cost.convolution(call(x, weight, None, [3], [0], [1], True, [0], 2, out=out))
    assert one.stride == 9  # one stride applies to both dimensions


@pytest.mark.parametrize(("wanted", "products"), [((1, 1, 1), 2), ((0, 1, 0), 1), ((1, 0, 0), 1), ((0, 0, 1), 0)])
def test_a_convolutions_gradients(wanted: tuple[int, int, int], products: int) -> None:
    gradient, x, weight = tensor(1, 6, 4, 4), tensor(1, 8, 9, 9), tensor(6, 4, 3, 3)
    found = cost.convolution_backward(call(gradient, x, weight, [6], *CONVOLUTION, False, [0, 0], 2, wanted))
    assert (found.kind, found.macs) == ("grouped_conv_backward", products * 96 * 36)
    assert found.elementwise_flops == (96 if wanted[2] else 0)
    assert (found.groups, found.columns, found.depth, found.window, found.stride) == (2, 3, 36, 9, 4)


def test_the_gradients_of_a_transposed_convolution() -> None:
    gradient, x, weight = tensor(1, 6, 8, 8), tensor(1, 8, 4, 4), tensor(8, 3, 2, 2)
    found = cost.convolution_backward(call(gradient, x, weight, [6], *CONVOLUTION, True, [0, 0], 2, (1, 1, 0)))
    assert (found.macs, found.columns, found.depth, found.window) == (2 * 128 * 12, 4, 12, 4)


QUERY, KEY, VALUE = tensor(2, 4, 5, 8), tensor(2, 2, 7, 8), tensor(2, 2, 7, 16)


def test_attention_and_its_gradients() -> None:
    """280 scores: 2 samples × 4 heads × 5 queries × 7 keys; widths of 8 and 16 tell keys from values."""
    shape = {"groups": 8, "columns": 7, "depth": 8}
    forward = Cost("attention", macs=280 * (8 + 16), elementwise_flops=6 * 280, **shape)
    assert attention.attention_call(call(QUERY, KEY, VALUE)) == forward
    assert attention.attention_call(call(QUERY, KEY, VALUE, tensor(5, 7))).masked
    rest = (
        tensor(2, 4, 5, 16),
        tensor(2, 4, 5),
        tensor(2, 4, 5),
        0.0,
    )  # the output and what is kept of the forward pass
    backward = attention.attention_backward_call(call(tensor(2, 4, 5, 16), QUERY, KEY, VALUE, *rest))
    assert backward == Cost("attention_backward", macs=280 * (3 * 8 + 2 * 16), elementwise_flops=10 * 280, **shape)


def test_attention_of_three_dimensions() -> None:
    found = attention.attention(tensor(4, 5, 8), tensor(4, 7, 8), tensor(4, 7, 16))
    assert found == Cost("attention", macs=140 * 24, elementwise_flops=6 * 140, groups=4, columns=7, depth=8)


def test_operations_an_element() -> None:
    x, out = tensor(4, 6), tensor(4, 3)
    assert cost.norm("layer_norm", 5)(call(x)) == Cost("layer_norm", elementwise_flops=120, depth=6)
    assert cost.row_wise("softmax", 5)(call(x, out=out)) == Cost("softmax", elementwise_flops=60, depth=6)
    assert cost.norm("layer_norm", 5)(call(tensor())).depth == 1
    assert cost.per_output("add", 2)(call(x, out=out)) == Cost("add", elementwise_flops=24)
    assert cost.per_output("copy")(call(x)) == Cost("copy")
    assert cost.per_input("reduction")(call(x, out=out)) == Cost("reduction", elementwise_flops=24)


def test_pools() -> None:
    x, out = tensor(1, 2, 8, 8), tensor(1, 2, 4, 4)
    largest = cost.pool(call(x, [3, 3], [2, 2], out=out, name="aten.max_pool2d_with_indices"))
    assert (largest.kind, largest.elementwise_flops, largest.window) == ("max_pool", 32 * 8, 9)
    mean = cost.pool(call(x, [2], out=out, name="aten.avg_pool2d"))
    assert (mean.kind, mean.elementwise_flops, mean.window) == ("avg_pool", 32 * 4, 4)
    assert (largest.stride, mean.stride) == (4, 4)
    assert cost.pool(call(x, [2, 2], [3], out=out, name="aten.avg_pool2d")).stride == 9
    assert cost.pool(call(x, 3, out=out, name="aten.avg_pool1d")).window == 3


def test_tables_are_read_as_far_as_they_are_looked_up() -> None:
    assert cost.embedding(call(tensor(100, 8), tensor(5), out=tensor(5, 8))).reads == 40
    assert cost.embedding(call(tensor(2, 8), tensor(5), out=tensor(5, 8))).reads == 16
    bag = cost.embedding_bag(call(tensor(100, 8), tensor(5), out=tensor(1, 8)))
    assert bag == Cost("embedding", elementwise_flops=40, reads=40)
    assert cost.part("gather")(call(tensor(100), out=tensor(7))) == Cost("gather", reads=7)


@pytest.mark.parametrize(("name", "flops"), [("c2c", 5 * 24 * 3), ("r2c", 2.5 * 24 * 3), ("c2r", 2.5 * 48 * 4)])
def test_fourier_transforms(name: str, flops: float) -> None:
    found = special.fft(call(tensor(3, 8), [1], out=tensor(3, 16), name=f"aten._fft_{name}"))
    assert found == Cost("fft", elementwise_flops=round(flops))
    assert special.fft(call(tensor(3, 1), [1], out=tensor(3, 1), name=f"aten._fft_{name}")).elementwise_flops == 0


def test_copies_and_casts() -> None:
    x, strided = tensor(4), tensor(4, contiguous=False)
    assert cost.cast(call(x, out=tensor(4, dtype="float16"))).kind == "cast"
    assert cost.cast(call(x, out=x)).kind == "copy"
    assert cost.cast(call(strided, out=x)).kind == "strided_copy"
    assert cost.copy(call(x, strided, name="aten.copy_")).kind == "strided_copy"
    assert cost.copy(call(strided, x, name="aten.copy_")).kind == "copy"
