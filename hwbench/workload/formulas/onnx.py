"""Costs of ONNX's operators in one table, and operators that launch no kernel.

Operators of com.microsoft are named with their domain. onnx is not imported.
"""

from collections.abc import Callable

from msgspec import Struct

from hwbench.workload.formulas import onnx_cost as count
from hwbench.workload.formulas.cost import Call, Cost, norm, per_input, per_output


class OnnxFormula(Struct, frozen=True):
    """Operators that share a count, and the source of the count.

    `params` are the inputs that can be trainable parameters (None: any); `open_ended` states that the shape of the
    output depends on the data, so that the count does not use it.
    """

    operators: tuple[str, ...]
    cost: Callable[[Call], Cost]
    reference: str
    params: tuple[int, ...] | None = None
    open_ended: bool = False


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _microsoft(text: str) -> tuple[str, ...]:
    return tuple(f"com.microsoft.{name}" for name in text.split())


_COUNTING = (
    "2·m·n·k of a product of m×k by k×n (Golub and Van Loan, Matrix Computations, section 1.1.11), as one MAC each"
)
_DUMOULIN = "kernel × channels / groups for each output (Dumoulin and Visin, arXiv:1603.07285)"
_VASWANI = "two products of queries × keys × width (Vaswani et al., arXiv:1706.03762, equation 1)"
_OURS = "adds, multiplies, compares and transcendental functions of one element, counted in elementwise.py's way"
_QUANTIZED = "onnx/docs/Operators.md; requantization: scale, round, shift, saturate"
_ORT = "onnxruntime/docs/ContribOperators.md"
_BATCH_NORM = "Ioffe and Szegedy, arXiv:1502.03167: at inference a multiply-add by per-channel constants"
_LAYER_NORM = "Ba et al., arXiv:1607.06450: see elementwise.layer_norm"

FORMULAS: tuple[OnnxFormula, ...] = (
    OnnxFormula(("Conv",), count.conv(), _DUMOULIN, (1, 2)),
    OnnxFormula(_microsoft("FusedConv"), count.conv(after=1), f"{_DUMOULIN}, and an activation", (1, 2)),
    OnnxFormula(("ConvInteger",), count.conv(bias=99), _DUMOULIN, (1,)),
    OnnxFormula(("QLinearConv",), count.conv(0, 3, 8, after=4), f"{_DUMOULIN}; {_QUANTIZED}", (3, 8)),
    OnnxFormula(("ConvTranspose",), count.conv_transpose, _DUMOULIN, (1, 2)),
    OnnxFormula(("DeformConv",), count.deform_conv, "Dai et al., arXiv:1703.06211", (1, 3)),
    OnnxFormula(("Gemm",), count.matmul(bias=2), _COUNTING, (0, 1, 2)),
    OnnxFormula(_microsoft("FusedGemm"), count.matmul(bias=2, after=1), _COUNTING, (0, 1, 2)),
    OnnxFormula(_microsoft("QGemm"), count.matmul(0, 3, 6, after=4), f"{_COUNTING}; {_QUANTIZED}", (3, 6)),
    OnnxFormula(("MatMul", *_microsoft("FusedMatMul")), count.matmul(), _COUNTING, (0, 1)),
    OnnxFormula(("MatMulInteger",), count.matmul(), _COUNTING, (0, 1)),
    OnnxFormula(("QLinearMatMul",), count.matmul(0, 3, after=4), f"{_COUNTING}; {_QUANTIZED}", (0, 3)),
    OnnxFormula(_microsoft("MatMulIntegerToFloat"), count.matmul(bias=6, after=2), f"{_COUNTING}; {_ORT}", (1, 6)),
    OnnxFormula(_microsoft("DynamicQuantizeMatMul"), count.matmul(bias=4, after=2), f"{_COUNTING}; {_ORT}", (1, 4)),
    OnnxFormula(_microsoft("MatMulNBits"), count.blockwise_matmul, f"{_COUNTING}; {_ORT}", (1,)),
    OnnxFormula(("Einsum",), count.einsum, "contraction from left to right, as torch.einsum does without a path"),
    OnnxFormula(("Attention",), count.attention, _VASWANI, (0, 1, 2)),
    OnnxFormula(_microsoft("Attention"), count.packed_attention, f"{_VASWANI}; {_ORT}", (1, 2)),
    OnnxFormula(_microsoft("MultiHeadAttention"), count.multi_head_attention, f"{_VASWANI}; {_ORT}", (3,)),
    OnnxFormula(
        ("LSTM", "GRU", "RNN"), count.recurrent, "onnx/docs/Operators.md: Xt·Wᵀ + Ht-1·Rᵀ for all gates", (1, 2, 3, 7)
    ),
    OnnxFormula(("BatchNormalization",), norm("batch_norm", 2), _BATCH_NORM, (1, 2)),
    OnnxFormula(("LayerNormalization", *_microsoft("LayerNormalization")), norm("layer_norm", 7), _LAYER_NORM),
    OnnxFormula(_microsoft("SkipLayerNormalization"), norm("layer_norm", 8), f"{_LAYER_NORM}, after a sum"),
    OnnxFormula(_microsoft("EmbedLayerNormalization"), count.embedded, f"{_LAYER_NORM}, after a sum of look-ups"),
    OnnxFormula(("GroupNormalization",), norm("group_norm", 7), "Wu and He, arXiv:1803.08494"),
    OnnxFormula(("InstanceNormalization",), norm("instance_norm", 7), "Ulyanov et al., arXiv:1607.08022"),
    OnnxFormula(
        ("RMSNormalization", "SimplifiedLayerNormalization", *_microsoft("SimplifiedLayerNormalization")),
        norm("rms_norm", 4),
        "Zhang and Sennrich, arXiv:1910.07467",
    ),
    OnnxFormula(_microsoft("SkipSimplifiedLayerNormalization"), norm("rms_norm", 5), "Zhang and Sennrich, after a sum"),
    OnnxFormula(("MeanVarianceNormalization", "LpNormalization"), norm("layer_norm", 5), _OURS),
    OnnxFormula(("LRN",), count.lrn, "Krizhevsky et al. 2012, section 3.3"),
    OnnxFormula(("Softmax", "LogSoftmax", *_microsoft("QLinearSoftmax")), per_output("softmax", 5), _OURS, ()),
    OnnxFormula(("Hardmax",), per_output("softmax", 2), _OURS),
    OnnxFormula(("MaxPool",), count.pool("max_pool", 1, less=1), _OURS),
    OnnxFormula(("AveragePool",), count.pool("avg_pool", 1), _OURS),
    OnnxFormula(_microsoft("QLinearAveragePool"), count.pool("avg_pool", 1), _OURS, ()),
    OnnxFormula(("LpPool",), count.pool("avg_pool", 2), _OURS),
    OnnxFormula(("GlobalAveragePool",), per_input("avg_pool"), _OURS),
    OnnxFormula(_microsoft("QLinearGlobalAveragePool"), per_input("avg_pool"), _OURS, ()),
    OnnxFormula(("GlobalMaxPool",), per_input("max_pool"), _OURS),
    OnnxFormula(("GlobalLpPool",), per_input("avg_pool", 2), _OURS),
    OnnxFormula(("MaxRoiPool",), per_input("max_pool"), "Girshick, arXiv:1504.08083: regions overlap; each pixel once"),
    OnnxFormula(("RoiAlign",), count.roi_align, "He et al., arXiv:1703.06870, section 3"),
    OnnxFormula(("MaxUnpool",), per_output("copy"), "read once, written once"),
    OnnxFormula(("Resize", "Upsample"), count.resize, "see aten.py's upsample_*", (0,)),
    OnnxFormula(("GridSample",), count.grid_sample, "Jaderberg et al., arXiv:1506.02025"),
    OnnxFormula(("Gather", "GatherElements", "GatherND"), count.gather, "no more is read than written"),
    OnnxFormula(("Scatter", "ScatterElements", "ScatterND", "TensorScatter"), count.scatter, "read once, written once"),
    OnnxFormula(("Slice", "CenterCropPad"), count.part, "no more is read than written", (0,)),
    OnnxFormula(
        _names("Concat Split Pad Tile Expand DepthToSpace SpaceToDepth ReverseSequence Trilu Col2Im"),
        per_output("copy"),
        "read once, written once",
    ),
    OnnxFormula(_microsoft("QLinearConcat"), per_output("copy"), "read once, written once", ()),
    OnnxFormula(("Transpose",), per_output("strided_copy"), "read once, written once"),
    OnnxFormula(("Cast", "CastLike"), per_output("cast"), "read once, written once", (0,)),
    OnnxFormula(
        ("QuantizeLinear",), per_output("cast", 4), "divide, round, shift, saturate: onnx/docs/Operators.md", (0,)
    ),
    OnnxFormula(("DynamicQuantizeLinear",), per_output("cast", 6), "minimum and maximum, then as QuantizeLinear"),
    OnnxFormula(("DequantizeLinear",), per_output("cast", 2), "shift, multiply: onnx/docs/Operators.md", (0,)),
    OnnxFormula(
        _names("OneHot EyeLike Range ConstantOfShape RandomNormal RandomNormalLike RandomUniform RandomUniformLike"),
        per_output("fill"),
        "written once",
        (),
    ),
    OnnxFormula(("Bernoulli", "Multinomial"), per_output("fill", 1), "a comparison for each element written", ()),
    OnnxFormula(("TopK", "Unique"), count.sort, "n log2 n comparisons", open_ended=True),
    OnnxFormula(("NonMaxSuppression",), count.suppression, "n log2 n comparisons of scores", (), open_ended=True),
    OnnxFormula(("NonZero", "Compress"), per_input("gather"), "one comparison for each element read", open_ended=True),
    OnnxFormula(("Sum", "Max", "Min", "Mean"), count.variadic, _OURS),
    OnnxFormula(
        _names("ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ArgMax ArgMin CumSum CumProd"),
        per_input("reduction"),
        "one operation for each element read",
    ),
    OnnxFormula(
        ("ReduceL2", "ReduceSumSquare", "ReduceLogSum"), per_input("reduction", 2), "square or logarithm, and add"
    ),
    OnnxFormula(("ReduceLogSumExp",), per_input("reduction", 3), "maximum, exponential, add"),
    OnnxFormula(("NegativeLogLikelihoodLoss",), per_input("reduction"), _OURS),
    OnnxFormula(("SoftmaxCrossEntropyLoss",), per_input("softmax", 6), _OURS),
    OnnxFormula(
        ("RotaryEmbedding", *_microsoft("RotaryEmbedding")), per_output("elementwise", 3), "Su et al., arXiv:2104.09864"
    ),
)
"""Operators that are not elementwise."""

PER_ELEMENT: dict[int, tuple[str, ...]] = {
    1: _names("""
        Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Cos Cosh
        Div Equal Erf Exp Floor Greater GreaterOrEqual IsInf IsNaN LeakyRelu Less LessOrEqual Log Mod Mul Neg Not Or
        PRelu Pow Reciprocal Relu Round Sign Sin Sinh Sqrt Sub Tan Tanh ThresholdedRelu Where Xor
    """),
    2: ("Clip", "Shrink"),
    3: ("Softplus", "Softsign"),
    4: ("Celu", "Elu", "HardSigmoid", "Selu", "Sigmoid"),
    5: ("Gelu", "HardSwish", "Swish", *_microsoft("Gelu QLinearAdd QLinearMul QLinearLeakyRelu QuickGelu")),
    6: ("Mish", *_microsoft("BiasGelu")),
    8: _microsoft("QLinearSigmoid FastGelu"),
}
"""Elementwise operators by their operations an element, as in aten.py; quantized ones scale, round, shift, saturate."""

FREE = frozenset(_names("Reshape Flatten Squeeze Unsqueeze Identity Shape Size Constant Dropout BitCast"))
"""Operators that launch no kernel: views, questions about shapes, and dropout, which does nothing at inference."""

_TABLE = {operator: formula for formula in FORMULAS for operator in formula.operators} | {
    operator: OnnxFormula((operator,), per_output("elementwise", each), _OURS)
    for each, operators in PER_ELEMENT.items()
    for operator in operators
}
_SCALED = _microsoft("QLinearAdd QLinearMul QLinearLeakyRelu QLinearSigmoid")
_TABLE |= {operator: OnnxFormula((operator,), _TABLE[operator].cost, _QUANTIZED, ()) for operator in _SCALED}


def formula(operator: str) -> OnnxFormula | None:
    """Return the formula of an operator such as `Conv` or `com.microsoft.FusedConv`; None if it has no formula."""
    return _TABLE.get(operator)


def register(operator: str, cost: Callable[[Call], Cost], reference: str) -> None:
    """Give a custom operator a formula: `register("my.domain.Do", lambda call: Cost("do", macs=...), "paper")`.

    Its output's shape must be in the file's `value_info`, since no one can infer it.
    """
    _TABLE[operator] = OnnxFormula((operator,), cost, reference)
