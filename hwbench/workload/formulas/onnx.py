"""Costs of ONNX's operators in one table, and operators that launch no kernel.

Operators of com.microsoft are named with their domain. onnx is not imported.
"""

from collections.abc import Callable, Mapping

from hwbench.workload.formulas import cost as shared
from hwbench.workload.formulas import onnx_cost as count
from hwbench.workload.formulas import special, stated_attention
from hwbench.workload.formulas.cost import Call, Cost, Formula, norm, per_input, per_output

_PRODUCTS, _CONVOLUTIONS, _ELEMENTS = shared.PRODUCTS, shared.CONVOLUTIONS, shared.ELEMENTS
_ATTENTION = "two products of queries × keys × width (Vaswani et al., arXiv:1706.03762, equation 1)"
_QUANTIZED = "onnx/docs/Operators.md; requantization: scale, round, shift, saturate"
_EXPERTS = "each token meets the chosen experts (Shazeer et al., arXiv:1701.06538)"
_ORT = "onnxruntime/docs/ContribOperators.md"

FORMULAS: dict[str, Formula] = {
    "Conv": Formula(count.conv(), _CONVOLUTIONS, (1, 2)),
    "com.microsoft.FusedConv": Formula(count.conv(after=1), f"{_CONVOLUTIONS}, and an activation", (1, 2)),
    "com.microsoft.NhwcConv": Formula(count.conv(last=True), f"{_CONVOLUTIONS}; {_ORT}", (1, 2)),
    "com.microsoft.NhwcFusedConv": Formula(count.conv(after=1, last=True), f"{_CONVOLUTIONS}; {_ORT}", (1, 2)),
    "com.microsoft.nchwc.Conv": Formula(count.blocked_conv, f"{_CONVOLUTIONS}, with a sum and an activation", (1, 2)),
    "ConvInteger": Formula(count.conv(bias=None), _CONVOLUTIONS, (1,)),
    "QLinearConv com.microsoft.QLinearConv":
        Formula(count.conv(0, 3, 8, after=4), f"{_CONVOLUTIONS}; {_QUANTIZED}", (3, 8)),
    "ConvTranspose": Formula(count.conv_transpose, _CONVOLUTIONS, (1, 2)),
    "DeformConv": Formula(special.deform_conv(3), "Dai et al., arXiv:1703.06211", (1, 3)),
    "Gemm": Formula(count.matmul(bias=2), _PRODUCTS, (0, 1, 2)),
    "com.microsoft.FusedGemm": Formula(count.matmul(bias=2, after=1), _PRODUCTS, (0, 1, 2)),
    "com.microsoft.QGemm": Formula(count.matmul(0, 3, 6, after=4), f"{_PRODUCTS}; {_QUANTIZED}", (3, 6)),
    "com.microsoft.GemmFloat8": Formula(count.matmul(bias=2, after=2), f"{_PRODUCTS}; {_ORT}", (0, 1, 2)),
    "com.microsoft.GemmFastGelu": Formula(count.matmul(bias=2, after=8), f"{_PRODUCTS}; {_ORT}", (1, 2)),
    "MatMul com.microsoft.FusedMatMul com.microsoft.TransposeMatMul MatMulInteger":
        Formula(count.matmul(), _PRODUCTS, (0, 1)),
    "QLinearMatMul": Formula(count.matmul(0, 3, after=4), f"{_PRODUCTS}; {_QUANTIZED}", (0, 3)),
    "com.microsoft.MatMulIntegerToFloat": Formula(count.matmul(bias=6, after=2), f"{_PRODUCTS}; {_ORT}", (1, 6)),
    "com.microsoft.DynamicQuantizeMatMul": Formula(count.matmul(bias=4, after=2), f"{_PRODUCTS}; {_ORT}", (1, 4)),
    "com.microsoft.MatMulBnb4": Formula(count.blockwise_matmul, f"{_PRODUCTS}; {_ORT}", (1,)),
    "com.microsoft.MatMulNBits": Formula(count.blockwise_matmul, f"{_PRODUCTS}; {_ORT}", (1, 5)),
    "Einsum": Formula(count.einsum, "contraction from left to right, as torch.einsum does without a path"),
    "Attention": Formula(count.attention, _ATTENTION, (0, 1, 2)),
    "com.microsoft.PackedAttention": Formula(count.unpadded_attention(True), f"{_ATTENTION}; {_ORT}", (1, 2)),
    "com.microsoft.PackedMultiHeadAttention":
        Formula(count.unpadded_attention(False), f"{_ATTENTION}; {_ORT}", (3,)),
    "com.microsoft.DecoderMaskedSelfAttention":
        Formula(count.packed_attention(4), f"{_ATTENTION}; {_ORT}", (1, 2)),
    "com.microsoft.Attention": Formula(count.packed_attention(4), f"{_ATTENTION}; {_ORT}", (1, 2)),
    "com.microsoft.QAttention": Formula(count.packed_attention(8), f"{_ATTENTION}; {_ORT}", (1, 2)),
    "com.microsoft.MultiHeadAttention": Formula(count.multi_head_attention(6), f"{_ATTENTION}; {_ORT}", (3,)),
    "com.microsoft.DecoderMaskedMultiHeadAttention":
        Formula(count.multi_head_attention(5), f"{_ATTENTION}; {_ORT}", (10,)),
    "com.microsoft.GroupQueryAttention": Formula(count.grouped_query_attention, f"{_ATTENTION}; {_ORT}", ()),
    "com.microsoft.SparseAttention": Formula(stated_attention.block_sparse, f"{_ATTENTION}; {_ORT}", ()),
    "com.microsoft.LongformerAttention":
        Formula(stated_attention.windowed_with_global_tokens, f"arXiv:2004.05150; {_ORT}", (1, 2, 4, 5)),
    "com.microsoft.PagedAttention": Formula(stated_attention.paged, f"{_ATTENTION}; {_ORT}", ()),
    "com.microsoft.MoE": Formula(count.experts((2, 4, 6)), f"{_EXPERTS}; {_ORT}", (2, 3, 4, 5, 6, 7)),
    "com.microsoft.QMoE": Formula(count.experts((2, 5, 8), True), f"{_EXPERTS}; {_ORT}", (2, 5, 8)),
    "DFT": Formula(count.fourier, "Frigo and Johnson, FFTW benchmark methodology: 5 n log2 n"),
    "STFT": Formula(count.short_fourier, "Frigo and Johnson, FFTW benchmark methodology: 5 n log2 n"),
    "com.microsoft.DynamicQuantizeLSTM": Formula(count.recurrent, f"{_QUANTIZED}; {_ORT}", (1, 2, 3)),
    "LSTM GRU RNN":
        Formula(count.recurrent, "onnx/docs/Operators.md: Xt·Wᵀ + Ht-1·Rᵀ for all gates", (1, 2, 3, 7)),
    "BatchNormalization": Formula(norm("batch_norm", 2), shared.BATCH_NORM, (1, 2)),
    "LayerNormalization com.microsoft.LayerNormalization": Formula(norm("layer_norm", 7), shared.LAYER_NORM),
    "com.microsoft.SkipLayerNormalization": Formula(norm("layer_norm", 8), f"{shared.LAYER_NORM}, after a sum"),
    "com.microsoft.EmbedLayerNormalization":
        Formula(count.embedded, f"{shared.LAYER_NORM}, after a sum of look-ups"),
    "com.microsoft.GroupNorm": Formula(norm("group_norm", 7), "Wu and He, arXiv:1803.08494"),
    "com.microsoft.SkipGroupNorm": Formula(norm("group_norm", 8), "Wu and He, after a sum"),
    "GroupNormalization": Formula(norm("group_norm", 7), "Wu and He, arXiv:1803.08494"),
    "InstanceNormalization": Formula(norm("instance_norm", 7), "Ulyanov et al., arXiv:1607.08022"),
    "RMSNormalization SimplifiedLayerNormalization com.microsoft.SimplifiedLayerNormalization":
        Formula(norm("rms_norm", 4), "Zhang and Sennrich, arXiv:1910.07467"),
    "com.microsoft.SkipSimplifiedLayerNormalization":
        Formula(norm("rms_norm", 5), "Zhang and Sennrich, after a sum"),
    "MeanVarianceNormalization LpNormalization": Formula(norm("layer_norm", 5), _ELEMENTS),
    "LRN": Formula(count.lrn, "Krizhevsky et al. 2012, section 3.3"),
    "Softmax LogSoftmax com.microsoft.QLinearSoftmax": Formula(per_output("softmax", 5), _ELEMENTS, ()),
    "com.microsoft.BiasSoftmax": Formula(per_output("softmax", 6), _ELEMENTS, ()),
    "Hardmax": Formula(per_output("softmax", 2), _ELEMENTS),
    "MaxPool com.microsoft.nchwc.MaxPool": Formula(count.pool("max_pool", 1, less=1), _ELEMENTS),
    "AveragePool com.microsoft.nchwc.AveragePool": Formula(count.pool("avg_pool", 1), _ELEMENTS),
    "com.microsoft.QLinearAveragePool": Formula(count.pool("avg_pool", 1), _ELEMENTS, ()),
    "LpPool": Formula(count.pool("avg_pool", 2), _ELEMENTS),
    "GlobalAveragePool com.microsoft.nchwc.GlobalAveragePool": Formula(per_input("avg_pool"), _ELEMENTS),
    "com.microsoft.QLinearGlobalAveragePool": Formula(per_input("avg_pool"), _ELEMENTS, ()),
    "GlobalMaxPool com.microsoft.nchwc.GlobalMaxPool": Formula(per_input("max_pool"), _ELEMENTS),
    "GlobalLpPool": Formula(per_input("avg_pool", 2), _ELEMENTS),
    "MaxRoiPool": Formula(per_input("max_pool"), "Girshick, arXiv:1504.08083: regions overlap; each pixel once"),
    "RoiAlign": Formula(special.roi_align, "He et al., arXiv:1703.06870, section 3"),
    "MaxUnpool": Formula(per_output("copy"), "read once, written once"),
    "Resize Upsample com.microsoft.nchwc.Upsample": Formula(count.resize, "see aten.py's upsample_*", (0,)),
    "AffineGrid": Formula(special.affine_grid, "Jaderberg et al., arXiv:1506.02025", (0,)),
    "GridSample": Formula(count.grid_sample, "Jaderberg et al., arXiv:1506.02025"),
    "Gather GatherElements GatherND": Formula(count.gather, "no more is read than written"),
    "com.microsoft.GatherBlockQuantized": Formula(count.gather_quantized, f"shift, multiply; {_ORT}", (0,)),
    "Scatter ScatterElements ScatterND TensorScatter": Formula(count.scatter, "read once, written once"),
    "Slice CenterCropPad": Formula(shared.part("copy"), "no more is read than written", (0,)),
    """Concat Split Pad Tile Expand DepthToSpace SpaceToDepth ReverseSequence Trilu Col2Im ConcatFromSequence
    com.microsoft.Trilu""":
        Formula(per_output("copy"), "read once, written once"),
    "SplitToSequence": Formula(per_input("copy", 0), "read once", (0,), open_ended=True),
    "com.microsoft.QLinearConcat": Formula(per_output("copy"), "read once, written once", ()),
    "Transpose com.microsoft.nchwc.ReorderInput com.microsoft.nchwc.ReorderOutput":
        Formula(per_output("strided_copy"), "read once, written once"),
    "Cast CastLike": Formula(per_output("cast"), "read once, written once", (0,)),
    "QuantizeLinear com.microsoft.QuantizeLinear":
        Formula(per_output("cast", 4), "divide, round, shift, saturate: onnx/docs/Operators.md", (0,)),
    "DynamicQuantizeLinear": Formula(per_output("cast", 6), "minimum and maximum, then as QuantizeLinear"),
    "DequantizeLinear com.microsoft.DequantizeLinear":
        Formula(per_output("cast", 2), "shift, multiply: onnx/docs/Operators.md", (0,)),
    """OneHot EyeLike Range ConstantOfShape RandomNormal RandomNormalLike RandomUniform RandomUniformLike HannWindow
    HammingWindow BlackmanWindow MelWeightMatrix""":
        Formula(per_output("fill"), "written once", ()),
    "Bernoulli Multinomial": Formula(per_output("fill", 1), "a comparison for each element written", ()),
    "TopK Unique": Formula(special.sort, "n log2 n comparisons", open_ended=True),
    "NonMaxSuppression": Formula(count.suppression, "n log2 n comparisons of scores", (), open_ended=True),
    "NonZero Compress": Formula(per_input("gather"), "one comparison for each element read", open_ended=True),
    "Sum Max Min Mean": Formula(count.variadic, _ELEMENTS),
    "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ArgMax ArgMin CumSum CumProd":
        Formula(per_input("reduction"), "one operation for each element read"),
    "ReduceL2 ReduceSumSquare ReduceLogSum": Formula(per_input("reduction", 2), "square or logarithm, and add"),
    "ReduceLogSumExp": Formula(per_input("reduction", 3), "maximum, exponential, add"),
    "NegativeLogLikelihoodLoss": Formula(per_input("reduction"), _ELEMENTS),
    "SoftmaxCrossEntropyLoss": Formula(per_input("softmax", 6), _ELEMENTS),
    "RotaryEmbedding com.microsoft.RotaryEmbedding":
        Formula(per_output("elementwise", 3), "Su et al., arXiv:2104.09864"),
}  # fmt: skip
"""Operators that are not elementwise."""

PER_ELEMENT: dict[int, str] = {
    1: """
        Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Cos Cosh
        Div Equal Erf Exp Floor Greater GreaterOrEqual IsInf IsNaN LeakyRelu Less LessOrEqual Log Mod Mul Neg Not Or
        PRelu Pow Reciprocal Relu Round Sign Sin Sinh Sqrt Sub Tan Tanh ThresholdedRelu Where Xor
    """,
    2: "Clip Shrink com.microsoft.BiasAdd com.microsoft.BiasDropout",
    3: "Softplus Softsign",
    4: "Celu Elu HardSigmoid Selu Sigmoid",
    5: "Gelu HardSwish Swish com.microsoft.Gelu com.microsoft.QuickGelu",
    6: "Mish com.microsoft.BiasGelu",
    7: "com.microsoft.BiasSplitGelu",
    8: "com.microsoft.FastGelu",
}
"""Elementwise operators by their operations an element, as in aten.py."""

SCALED: dict[int, str] = {
    5: "com.microsoft.QLinearAdd com.microsoft.QLinearMul com.microsoft.QLinearLeakyRelu",
    8: "com.microsoft.QLinearSigmoid",
}
"""The same of quantized ones, which scale, round, shift and saturate too."""

FREE = frozenset(
    """
    Reshape Flatten Squeeze Unsqueeze Identity Shape Size Constant Dropout BitCast Optional OptionalGetElement
    OptionalHasElement SequenceConstruct SequenceEmpty SequenceInsert SequenceErase SequenceAt SequenceLength
    """.split()  # noqa: SIM905
)
"""Operators that launch no kernel: views, questions about shapes, and dropout, which does nothing at inference."""

INTEGER = frozenset(
    """
    ConvInteger MatMulInteger QLinearConv QLinearMatMul com.microsoft.QLinearConv com.microsoft.QGemm
    com.microsoft.MatMulIntegerToFloat com.microsoft.DynamicQuantizeMatMul com.microsoft.DynamicQuantizeLSTM
    """.split()  # noqa: SIM905
)
"""Operators whose products are of 8-bit integers, whatever their other inputs are."""

_TABLE = {operator: formula for operators, formula in FORMULAS.items() for operator in operators.split()} | {
    operator: Formula(per_output("elementwise", each), reference, params)
    for table, reference, params in ((PER_ELEMENT, _ELEMENTS, None), (SCALED, _QUANTIZED, ()))
    for each, operators in table.items()
    for operator in operators.split()
}


def formula(operator: str) -> Formula | None:
    """Return the formula of an operator such as `Conv` or `com.microsoft.FusedConv`; None if it has no formula."""
    return _TABLE.get(operator)


def states(defined: Mapping[str, bool]) -> str:
    """Return a table of how operators are counted; `defined` says of each whether onnx defines it by others."""
    rows: dict[str, list[str]] = {
        row: [] for row in ("by a formula", "free", "as the graphs inside", "as onnx defines it", "not")
    }
    for operator, by_others in sorted(defined.items()):
        inside = operator in ("If", "Loop", "Scan")
        kinds = (operator in _TABLE, operator in FREE, inside, by_others, True)
        rows[next(row for row, applies in zip(rows, kinds, strict=True) if applies)].append(operator)
    lines = [f"| {row} | {len(names)} | {' '.join(names)} |" for row, names in rows.items()]
    return "\n".join(["| counted | operators | |", "| --- | --- | --- |", *lines])


def register(operator: str, cost: Callable[[Call], Cost], reference: str) -> None:
    """Give a custom operator a formula: `register("my.domain.Do", lambda call: Cost("do", macs=...), "paper")`.

    Its output's shape must be in the file's `value_info`, since no one can infer it.
    """
    _TABLE[operator] = Formula(cost, reference)
