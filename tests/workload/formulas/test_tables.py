"""What an element costs in the tables of torch's and ONNX's operators, by what is done, and what can be weights."""

from math import prod
from typing import Any

import pytest

from hwbench.workload.formulas import aten, onnx
from hwbench.workload.formulas.cost import Call, Cost, Tensor


def tensor(*shape: int, **more: Any) -> Tensor:
    return Tensor(shape, prod(shape), **more)


READ, WRITTEN = tensor(2, 3, 8, 5), tensor(2, 3, 4, 5)

AN_ELEMENT_WRITTEN: tuple[tuple[int, str, str], ...] = (
    # operations, torch's operators, ONNX's
    (0, "upsample_nearest1d upsample_nearest2d _upsample_nearest_exact3d fill_ zeros arange randn native_dropout", ""),
    (0, "clone cat constant_pad_nd index_put scatter_add roll tril one_hot", "Concat Split Pad Tile Expand MaxUnpool"),
    (0, "", "Cast CastLike Transpose OneHot Range ConstantOfShape Resize Slice Gather com.microsoft.QLinearConcat"),
    (1, "relu add mul exp tanh where bitwise_and floor_divide threshold_backward", "Relu Add Mul Exp Tanh Where"),
    (1, "max_pool2d_with_indices_backward avg_pool2d_backward embedding_dense_backward", "Bernoulli Multinomial"),
    (2, "hardtanh clamp clamp_", "Clip Shrink Hardmax DequantizeLinear"),  # two comparisons; shift and multiply
    (3, "sigmoid_backward softplus addcmul addcdiv_ lerp tanh_backward", "Softplus Softsign"),
    (3, "upsample_linear1d", "RotaryEmbedding com.microsoft.RotaryEmbedding"),  # between two neighbors: a + t (b - a)
    (4, "sigmoid sigmoid_ hardsigmoid elu log_sigmoid_forward", "Sigmoid HardSigmoid Elu Celu Selu"),  # 1 / (1 + e⁻ˣ)
    (4, "_softmax_backward_data _log_softmax_backward_data", "QuantizeLinear"),  # divide, round, shift, saturate
    (5, "gelu silu silu_ hardswish", "Gelu Swish HardSwish com.microsoft.Gelu com.microsoft.QuickGelu"),
    (5, "_softmax _log_softmax _safe_softmax", "Softmax LogSoftmax com.microsoft.QLinearSoftmax"),
    (5, "", "com.microsoft.QLinearAdd com.microsoft.QLinearMul com.microsoft.QLinearLeakyRelu"),  # 1 + requantization
    (6, "mish mish_", "Mish com.microsoft.BiasGelu DynamicQuantizeLinear"),
    (8, "silu_backward", "com.microsoft.FastGelu com.microsoft.QLinearSigmoid"),
    (9, "upsample_bilinear2d _upsample_bilinear2d_aa grid_sampler_2d", "GridSample"),  # three of the linear ones
    (9, "", "com.microsoft.EmbedLayerNormalization"),
    (10, "gelu_backward", "RoiAlign"),
    (21, "upsample_trilinear3d grid_sampler_3d", ""),  # seven linear ones
    (35, "upsample_bicubic2d _upsample_bicubic2d_aa", ""),  # five cubics of seven
)
AN_ELEMENT_READ: tuple[tuple[int, str, str], ...] = (
    (1, "sum mean amax argmin any cumsum logsumexp norm trace histc", "ReduceSum ReduceMax ReduceL1 ArgMax"),
    (1, "_adaptive_avg_pool2d adaptive_max_pool2d fractional_max_pool2d", "GlobalAveragePool GlobalMaxPool MaxRoiPool"),
    (1, "", "CumSum CumProd NonZero Compress NegativeLogLikelihoodLoss com.microsoft.QLinearGlobalAveragePool"),
    (2, "native_batch_norm cudnn_batch_norm _native_batch_norm_legit_no_training", "BatchNormalization"),
    (2, "", "ReduceL2 ReduceSumSquare ReduceLogSum GlobalLpPool"),  # a square or a logarithm, and a sum
    (3, "_weight_norm_interface", "ReduceLogSumExp"),  # maximum, exponential, add
    (4, "var var_mean std_mean", ""),  # mean, subtract, square, add
    (4, "_fused_rms_norm rms_norm", "RMSNormalization SimplifiedLayerNormalization"),  # square, add, scale, multiply
    (5, "", "com.microsoft.SkipSimplifiedLayerNormalization MeanVarianceNormalization LpNormalization"),
    (6, "", "SoftmaxCrossEntropyLoss"),
    (7, "native_layer_norm native_group_norm", "LayerNormalization GroupNormalization InstanceNormalization"),
    (8, "", "com.microsoft.SkipLayerNormalization"),
    (10, "native_batch_norm_backward native_layer_norm_backward _fused_rms_norm_backward batch_norm_backward", ""),
)


def flops(name: str, table: Any, **attributes: Any) -> int:
    call = Call(name, (READ, READ, READ), attributes, (WRITTEN,))
    found = table(call)
    assert isinstance(found, Cost), name
    assert (found.macs, found.bias_adds) == (0, 0)
    return found.elementwise_flops


def torchs(name: str, pointwise: bool = True) -> int:
    return flops(f"aten.{name}", lambda call: aten.cost(call, pointwise, False))


def onnxs(name: str) -> int:
    formula = onnx.formula(name)
    assert formula is not None, name
    return flops(name, formula.cost)


@pytest.mark.parametrize(("each", "torch", "other"), AN_ELEMENT_WRITTEN)
def test_operations_for_each_element_written(each: int, torch: str, other: str) -> None:
    assert [torchs(name) for name in torch.split()] == [120 * each for _ in torch.split()]
    assert [onnxs(name) for name in other.split()] == [120 * each for _ in other.split()]


@pytest.mark.parametrize(("each", "torch", "other"), AN_ELEMENT_READ)
def test_operations_for_each_element_read(each: int, torch: str, other: str) -> None:
    assert [torchs(name) for name in torch.split()] == [240 * each for _ in torch.split()]
    assert [onnxs(name) for name in other.split()] == [240 * each for _ in other.split()]


def test_an_operator_without_a_row_is_counted_by_its_tag_or_not_at_all() -> None:
    call = Call("aten.unheard_of", (READ,), {}, (WRITTEN,))
    assert aten.cost(call, pointwise=True, reduction=False) == Cost("elementwise", elementwise_flops=120)
    assert aten.cost(call, pointwise=True, reduction=True) == Cost("elementwise", elementwise_flops=120)
    assert aten.cost(call, pointwise=False, reduction=True) == Cost("reduction", elementwise_flops=240)
    assert aten.cost(call, pointwise=False, reduction=False) is None
    for nothing_to_reduce in ((), (3,)):
        assert aten.cost(Call("aten.x", nothing_to_reduce, {}, (WRITTEN,)), False, True) is None
    assert aten.cost(Call("aten.clamp", (READ,), {}, (WRITTEN,)), False, False) == Cost("elementwise", 0, 0, 240)
    assert onnx.formula("UnheardOf") is None


def test_an_operator_in_place_costs_what_it_does_elsewhere() -> None:
    product = Call("aten.addmm_", (tensor(3, 5), tensor(3, 4), tensor(4, 5)), {}, (tensor(3, 5),))
    assert aten.cost(product, False, False) == Cost("matmul", 60, 15, columns=5, depth=4)


@pytest.mark.parametrize(
    ("operator", "operands", "adds", "after"),
    [
        ("MatMul", "a b", 0, 0),
        ("MatMulInteger", "a b za zb", 0, 0),
        ("com.microsoft.FusedMatMul", "a b", 0, 0),
        ("Gemm", "a b bias", 1, 0),
        ("com.microsoft.FusedGemm", "a b bias", 1, 1),
        ("com.microsoft.QGemm", "a sa za b sb zb bias", 1, 4),
        ("QLinearMatMul", "a sa za b sb zb sy zy", 0, 4),
        ("com.microsoft.MatMulIntegerToFloat", "a b sa sb za zb bias", 1, 2),
        ("com.microsoft.DynamicQuantizeMatMul", "a b sb zb bias", 1, 2),
    ],
)
def test_inputs_of_products(operator: str, operands: str, adds: int, after: int) -> None:
    """Scales and zero points lie between the operands; what follows a product costs `after` operations an output."""
    tensors = {"a": tensor(6, 32), "b": tensor(32, 7, role="weight"), "bias": tensor(7)}
    formula, names = onnx.formula(operator), operands.split()
    assert formula is not None
    call = Call(operator, tuple(tensors.get(name, tensor(1)) for name in names), {}, (tensor(6, 7),))
    assert formula.cost(call) == Cost("linear", 42 * 32, 42 * adds, 42 * after, columns=7, depth=32)
    assert formula.params is not None
    assert {names[index] for index in formula.params} >= {"b", *(["bias"] if adds else [])}
    assert {names[index] for index in formula.params} <= {"a", "b", "bias"}


@pytest.mark.parametrize(
    ("operator", "operands", "adds", "after"),
    [
        ("Conv", "x w bias", 1, 0),
        ("com.microsoft.FusedConv", "x w bias", 1, 1),
        ("ConvInteger", "x w zx zw", 0, 0),
        ("QLinearConv", "x sx zx w sw zw sy zy bias", 1, 4),
    ],
)
def test_inputs_of_convolutions(operator: str, operands: str, adds: int, after: int) -> None:
    tensors = {"x": tensor(1, 8, 4, 4), "w": tensor(5, 8, 3, 3), "bias": tensor(5)}
    formula, names = onnx.formula(operator), operands.split()
    assert formula is not None
    call = Call(operator, tuple(tensors.get(name, tensor(1)) for name in names), {}, (tensor(1, 5, 2, 2),))
    assert formula.cost(call) == Cost("conv", 20 * 72, 20 * adds, 20 * after, columns=5, depth=72, window=9)
    assert [names[index] for index in formula.params or ()] == ["w", *(["bias"] if adds else [])]


@pytest.mark.parametrize(("kind", "each"), [("MaxPool", 5), ("AveragePool", 6), ("LpPool", 12)])
def test_pools_of_six_elements(kind: str, each: int) -> None:
    formula = onnx.formula(kind)
    assert formula is not None
    found = formula.cost(Call(kind, (READ,), {"kernel_shape": [2, 3]}, (WRITTEN,)))
    assert found.elementwise_flops == 120 * each


WEIGHTS = {
    "Conv": "W B",
    "ConvInteger": "w",
    "QLinearConv": "w B",
    "ConvTranspose": "W B",
    "DeformConv": "W B",
    "Gemm": "A B C",
    "MatMul": "A B",
    "MatMulInteger": "A B",
    "QLinearMatMul": "a b",
    "Attention": "Q K V",
    "LSTM": "W R B P",
    "BatchNormalization": "scale B",
    "Resize": "X",
    "Slice": "data",
    "Cast": "input",
    "CastLike": "input",
    "QuantizeLinear": "x",
    "DequantizeLinear": "x",
    "Softmax": "",
    "Range": "",
    "NonMaxSuppression": "",
    "Bernoulli": "",
}


@pytest.mark.parametrize("operator", WEIGHTS)
def test_weights_by_the_names_of_the_specification(operator: str) -> None:
    """Statistics, scales, zero points, sizes and starting states are no trainable parameters."""
    inputs = [each.name for each in pytest.importorskip("onnx").defs.get_schema(operator).inputs]
    formula = onnx.formula(operator)
    assert formula is not None
    assert formula.params is not None
    assert [inputs[index] for index in formula.params] == WEIGHTS[operator].split()


@pytest.mark.parametrize(
    ("operator", "positions"),
    [
        ("com.microsoft.Attention", (1, 2)),
        ("com.microsoft.MultiHeadAttention", (3,)),
        ("com.microsoft.MatMulNBits", (1, 5)),
        ("com.microsoft.QLinearAdd", ()),
        ("Add", None),
        ("LayerNormalization", None),
    ],
)
def test_weights_of_other_operators(operator: str, positions: tuple[int, ...] | None) -> None:
    formula = onnx.formula(operator)
    assert formula is not None
    assert formula.params == positions


def test_outputs_whose_size_depends_on_the_data() -> None:
    """Or that are many in one, of which inference knows no shape."""
    names = [name for name in onnx._TABLE if onnx._TABLE[name].open_ended]
    assert sorted(names) == ["Compress", "NonMaxSuppression", "NonZero", "SplitToSequence", "TopK", "Unique"]
