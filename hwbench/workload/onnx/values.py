"""Shapes in an ONNX graph, node by node: onnx's own inference for one node, given the values that are known.

Values matter where they are shapes: small tensors that do not depend on data are evaluated by onnx's reference
implementation of a few harmless standard operators. Operators without inference in onnx (com.microsoft,
GroupNormalization) are inferred here.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from msgspec import Struct
from onnx import NodeProto, TensorProto, TypeProto, defs, helper, numpy_helper, shape_inference

from hwbench.errors import InputError, shown
from hwbench.workload.formulas.cost import Role
from hwbench.workload.onnx.file import MAX_DIMENSIONS, MAX_KEPT_ELEMENTS, has_data
from hwbench.workload.ops import MAX_COUNT, Shape

Opsets = Mapping[str, int]
MICROSOFT = "com.microsoft"
BLOCKED = "com.microsoft.nchwc"
"""Operators of graphs that onnxruntime saved after it optimized them, on images whose channels lie in blocks."""
STANDARD = ("", "ai.onnx")

_FOLDED = frozenset(
    """
    Shape Size Gather GatherElements GatherND Concat Slice Squeeze Unsqueeze Reshape Flatten Identity Cast Transpose
    Add Sub Mul Div Mod Neg Abs Min Max Pow Sqrt Floor Ceil Round Sign Not And Or Xor Equal Less LessOrEqual Greater
    GreaterOrEqual Where ConstantOfShape Expand Tile Range ReduceProd ReduceSum ReduceMax ReduceMin ReduceMean CumSum
    NonZero ScatterElements ScatterND Split Clip Sum Trilu Reciprocal
    """.split()  # noqa: SIM905
)
"""Operators whose small results are evaluated: shape arithmetic of exporters."""

_STANDARD_TWIN: dict[str, tuple[str, tuple[int, ...]]] = {
    "FusedConv": ("Conv", (0, 1, 2)), "FusedGemm": ("Gemm", (0, 1, 2)), "QGemm": ("Gemm", (0, 3)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)), "QLinearAveragePool": ("AveragePool", (0,)),
    "QLinearAdd": ("Add", (0, 3)), "QLinearMul": ("Mul", (0, 3)), "QLinearConcat": ("Concat", tuple(range(2, 3000, 3))),
    "GemmFastGelu": ("MatMul", (0, 1)), "GemmFloat8": ("Gemm", (0, 1)),
    "MatMulIntegerToFloat": ("MatMul", (0, 1)), "DynamicQuantizeMatMul": ("MatMul", (0, 1)),
} | dict.fromkeys(
    (
        "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "BiasGelu", "Gelu", "FastGelu", "QuickGelu",
        "LayerNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization", "RotaryEmbedding", "GroupNorm", "SkipGroupNorm", "BiasAdd", "BiasDropout",
        "BiasSoftmax", "Trilu",
    ),
    ("Identity", (0,)),
)  # fmt: skip
"""com.microsoft operators whose output has the shape of a standard operator's on some of their inputs."""
_BLOCKED_TWIN: dict[str, tuple[str, tuple[int, ...]]] = {
    "Conv": ("Conv", (0, 1)), "ReorderInput": ("Identity", (0,)),
    **{name: (name, (0,)) for name in ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")},
}  # fmt: skip
"""The same of operators on blocked images. Blocks pad the channels of an input as far as a kernel's, which count."""
_TWINS = {
    (domain, name): twin
    for domain, twins in ((MICROSOFT, _STANDARD_TWIN), (BLOCKED, _BLOCKED_TWIN))
    for name, twin in twins.items()
}

# In C++ onnx's inference divides, indexes and allocates by some numbers unchecked: it must not be given these.
MAX_ATTRIBUTE = (1 << 31) - 1
"""Of whole numbers whose products onnx computes without a check."""
_POSITIVE = ("strides", "dilations", "kernel_shape", "group", "blocksize", "num_outputs")
_DIMENSIONS = {"Expand": 1, "Reshape": 1, "Unsqueeze": 1, "ConstantOfShape": 0, "AffineGrid": 1}
"""Inputs whose elements are dimensions, by operator."""

_TO_FLOAT = ("MatMulIntegerToFloat", "DynamicQuantizeMatMul")


class Origin(Struct, frozen=True):
    """The initializer, by a running number, or the constant (not certainly a `parameter`) that holds a value."""

    number: int
    parameter: bool


class Value(Struct, frozen=True):
    """What is known of a tensor: `shape` if all of it is, `data` (a TensorProto) if small and independent of inputs.

    `origin` is the initializer that holds its elements; `product` states that a matrix product wrote it.
    """

    type: Any = None
    shape: Shape | None = None
    role: Role = "constant"
    data: Any = None
    origin: Origin | None = None
    product: bool = False

    @property
    def dtype(self) -> int:
        """The ONNX number of the element type; 0 where it is unknown."""
        return int(self.type.tensor_type.elem_type) if self.type is not None else 0


def of_type(proto: Any, role: Role = "constant", symbols: Mapping[str, int] | None = None) -> Value:
    """Return a value of a TypeProto, with the sizes of symbolic dimensions that are in `symbols`."""
    if proto is None or not proto.HasField("tensor_type"):
        return Value(proto, role=role)  # of sequences, too, for what takes a tensor out of one
    if not proto.tensor_type.HasField("shape"):
        return Value(proto, role=role)
    if symbols:
        proto = TypeProto.FromString(proto.SerializeToString())  # a copy: the file's own must not change
    sizes = []
    for dim in proto.tensor_type.shape.dim:
        if symbols and dim.dim_param in symbols:
            dim.dim_value = symbols[dim.dim_param]
        sizes.append(dim.dim_value if dim.HasField("dim_value") else -1)
    return Value(proto, None if any(size < 0 for size in sizes) else tuple(sizes), role)


def shaped(dtype: int, shape: Sequence[int | None], role: Role = "constant") -> Value:
    """Return a value of an element type and a shape, in which dimensions may be unknown."""
    return of_type(helper.make_tensor_type_proto(dtype, shape), role)


def of_tensor(tensor: Any) -> Value:
    """Return the value of an initializer or a constant."""
    proto = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
    return Value(proto, tuple(tensor.dims), data=tensor if has_data(tensor) else None)


def numbers(value: Value | None) -> list[Any] | None:
    """Return the elements of a value, flat; None where they are unknown."""
    if value is None or value.data is None:
        return None
    try:
        return list(numpy_helper.to_array(value.data).reshape(-1).tolist())
    except Exception:  # whatever a malformed tensor raises
        return None


def infer(node: Any, inputs: Sequence[Value | None], opsets: Opsets) -> list[Value]:
    """Return the node's outputs as far as their types are known. Raises InputError where its inputs do not fit."""
    inferred = _inferred(node, inputs, opsets)
    types = [of_type(inferred.get(name)) for name in node.output]
    for position, value in enumerate(types[:3]):
        if value.shape is None:
            types[position] = _own(node, inputs, position) or value
    return _folded(node, inputs, types, opsets)


def _inferred(node: Any, inputs: Sequence[Value | None], opsets: Opsets) -> dict[str, Any]:
    """Return types by onnx's inference, none where it has none."""
    if (node.domain, node.op_type) in _TWINS:
        return _twin(node, inputs, opsets)
    if node.domain not in STANDARD or not opsets.get(""):
        return {}
    present = {name: value for name, value in zip(node.input, inputs, strict=True) if value is not None}
    types = {name: value.type for name, value in present.items()}
    if None in types.values():
        return {}
    data = {name: value.data for name, value in present.items() if value.data is not None}
    if node.op_type == "STFT" and not any(attribute.name == "onesided" for attribute in node.attribute):
        node = _with_default(node, "onesided", 1)  # which onnx reads as 0
    try:
        schema = defs.get_schema(node.op_type, opsets[""], "")
        _check_node(node, inputs)
        _check_types(types)
        inferred = shape_inference.infer_node_outputs(
            schema, node, types, data, opset_imports=[helper.make_opsetid(*item) for item in opsets.items()]
        )
    except defs.SchemaError:
        return {}
    except InputError:
        raise
    except Exception as error:  # of two modules, and of whatever a malformed attribute raises
        raise InputError("bad-node", f"Its inputs do not fit: {shown(error, 300)}") from None
    _check_types(inferred)
    return dict(inferred)


def _with_default(node: Any, name: str, value: int) -> Any:
    copy = NodeProto.FromString(node.SerializeToString())
    copy.attribute.append(helper.make_attribute(name, value))
    return copy


def _check_node(node: Any, inputs: Sequence[Value | None]) -> None:
    """Raise InputError for a node by whose attributes, or number of dimensions, onnx would abort or take all memory."""
    for attribute in node.attribute:
        name, numbers = attribute.name, [*attribute.ints, *([attribute.i] if attribute.HasField("i") else ())]
        if name in _POSITIVE and any(number < 1 for number in numbers or [0]):
            raise InputError("bad-node", f"Its {name} must be positive.")
        if node.op_type != "Shape" and not all(-MAX_ATTRIBUTE - 1 <= number <= MAX_ATTRIBUTE for number in numbers):
            raise InputError("bad-node", f"Its {shown(name, 40)} is out of range.")  # onnx limits those of Shape itself
        if name == "num_outputs" and attribute.i != len(node.output):
            raise InputError("bad-node", f"Its num_outputs is {attribute.i}, but it has {len(node.output)} outputs.")
    position = _DIMENSIONS.get(node.op_type, len(inputs))
    value = inputs[position] if position < len(inputs) else None
    if value is not None and value.shape is not None and prod(value.shape) > MAX_DIMENSIONS:
        raise InputError("too-large", f"Its output would have more than {MAX_DIMENSIONS} dimensions.")


def _check_types(types: Mapping[str, Any]) -> None:
    """Raise InputError for a tensor with a negative size, or with more elements than any machine has memory for."""
    for name, proto in types.items():
        dims = proto.tensor_type.shape.dim
        sizes = [dim.dim_value for dim in dims if dim.HasField("dim_value")]
        if any(size < 0 for size in sizes):
            raise InputError("bad-node", f"The tensor '{shown(name)}' would have a negative size.")
        if prod(sizes) > MAX_COUNT:
            raise InputError("too-large", f"The tensor '{shown(name)}' is larger than the memory of any machine.")
        if len(dims) > MAX_DIMENSIONS:
            raise InputError("too-large", f"The tensor '{shown(name)}' has more than {MAX_DIMENSIONS} dimensions.")


def _twin(node: Any, inputs: Sequence[Value | None], opsets: Opsets) -> dict[str, Any]:
    """Return the output's type as the standard operator infers it, though that may not take the element type."""
    name, positions = _TWINS[node.domain, node.op_type]
    present = [position for position in positions if position < len(inputs)]
    twin = helper.make_node(name, [node.input[position] for position in present], node.output[:1])
    known = defs.get_schema(name).attributes
    twin.attribute.extend(attribute for attribute in node.attribute if attribute.name in known)
    values = [inputs[position] for position in present]
    as_float = [shaped(TensorProto.FLOAT, value.shape) if value and value.shape else None for value in values]
    first = values[0] if values else None
    if first is None or any(value and not floating for value, floating in zip(values, as_float, strict=True)):
        return {}
    inferred = _inferred(twin, as_float, {**opsets, "": max(opsets.get("", 0), 13)})
    for proto in inferred.values():
        if node.op_type not in _TO_FLOAT:
            proto.tensor_type.elem_type = first.dtype
    return inferred


def _own(node: Any, inputs: Sequence[Value | None], position: int) -> Value | None:
    """Return an output's type where onnx has no inference; None where it is not known here either."""
    size = numbers(inputs[2]) if node.op_type == "MaxUnpool" and len(inputs) > 2 else None
    if size and inputs[0] is not None:  # as many positions as the file states; onnx infers none then
        return shaped(inputs[0].dtype, [int(number) for number in size], inputs[0].role)
    rule = _OWN.get((node.domain if node.domain not in STANDARD else "", node.op_type))
    first = inputs[0] if inputs else None
    if rule is None or first is None or any(value is not None and value.shape is None for value in inputs):
        return None
    attributes = {a.name: list(a.ints) if a.ints else a.s or a.i for a in node.attribute}
    attributes[_FIRST] = first.dtype
    try:
        shapes = rule([value.shape or () if value else () for value in inputs], attributes)
        typed = first if position else inputs[_TYPED.get(node.op_type, 0)]
        return shaped(typed.dtype if typed else 0, shapes[position])
    except (IndexError, KeyError, ValueError, TypeError, ArithmeticError):
        return None


_FIRST = "type of the first input"
_TYPED = {"EmbedLayerNormalization": 2, "QuantizeLinear": 2, "DequantizeLinear": 1, "GatherBlockQuantized": 2}
"""Inputs whose element type the first output has, by operator, where that is not the first."""


def _slid(image: Shape, kernel: Shape, attributes: dict[str, Any]) -> Shape:
    """Return the output of a convolution of an image `(batch, size…, channels)`."""
    dims = range(len(kernel) - 2)
    strides, dilations = (attributes.get(name) or [1] * len(dims) for name in ("strides", "dilations"))
    pads = attributes.get("pads") or [0] * 2 * len(dims)
    sizes, automatic = image[1:-1], attributes.get("auto_pad", b"NOTSET")
    if automatic in (b"SAME_UPPER", b"SAME_LOWER"):
        lengths = [-(-sizes[k] // strides[k]) for k in dims]
    else:
        padded = [sizes[k] + (pads[k] + pads[k + len(dims)] if automatic != b"VALID" else 0) for k in dims]
        lengths = [(padded[k] - dilations[k] * (kernel[2 + k] - 1) - 1) // strides[k] + 1 for k in dims]
    if any(length < 1 for length in lengths):
        raise ValueError("the kernel is larger than the image")
    return (image[0], *lengths, kernel[0])


def _unblocked(shapes: list[Shape], attributes: dict[str, Any]) -> list[Shape]:
    """Return an image without the padding of its channels."""
    batch, _, *sizes = shapes[0]
    channels = attributes["channels"]
    return [(batch, *sizes, channels) if attributes.get("channels_last") else (batch, channels, *sizes)]


def _enlarged(shapes: list[Shape], attributes: dict[str, Any]) -> list[Shape]:
    return [tuple(size * scale for size, scale in zip(shapes[0], attributes["scales"], strict=True))]


def _quantized_conv(shapes: list[Shape], attributes: dict[str, Any]) -> list[Shape]:
    image, kernel = shapes[0], shapes[3]
    if attributes.get("channels_last"):
        return [_slid(image, kernel, attributes)]
    batch, *sizes, channels = _slid((image[0], *image[2:], image[1]), kernel, attributes)
    return [(batch, channels, *sizes)]


def _unpadded_attention(shapes: list[Shape], _: dict[str, Any]) -> list[Shape]:
    query, value = shapes[0], shapes[2]
    return [(query[0], query[1] * query[3] if len(query) == 4 else value[-1])]


def _fused_matmul(shapes: list[Shape], attributes: dict[str, int]) -> list[Shape]:
    a, b = shapes[:2]
    rows, columns = a[-1 if attributes.get("transA") else -2], b[-2 if attributes.get("transB") else -1]
    return [(*max(a, b, key=len)[:-2], rows, columns)]


def _packed_attention(shapes: list[Shape], attributes: dict[str, Any]) -> list[Shape]:
    sizes = attributes.get("qkv_hidden_sizes") or [shapes[1][1] // 3]
    return [(*shapes[0][:2], sizes[-1])]


def _attended(shapes: list[Shape], attributes: dict[str, Any], past: int) -> list[Shape]:
    """Return the output of attention over separate or packed queries, keys and values, and longer keys and values."""
    query, key, value = (*shapes, (), ())[:3]
    heads, batch, tokens = attributes["num_heads"], *query[:2]
    width = query[-1] if len(query) == 5 else query[-1] // heads
    keys = tokens if not key else key[2 if len(key) == 4 else 1]
    last = width if not value else value[-1] if len(value) == 4 else value[-1] // heads
    keys += shapes[past][2] if len(shapes) > past and shapes[past] else 0
    return [(batch, tokens, heads * last), (batch, heads, keys, width), (batch, heads, keys, last)]


def _grouped_attention(shapes: list[Shape], attributes: dict[str, Any]) -> list[Shape]:
    query, key, _, past = (*shapes, (), (), ())[:4]
    heads, kv_heads = attributes["num_heads"], attributes["kv_num_heads"]
    width = query[-1] // (heads if key else heads + 2 * kv_heads)
    cache = (query[0], kv_heads, (key[1] if key else query[1]) + (past[2] if past else 0), width)
    return [(*query[:2], heads * width), cache, cache]


def _sparse_attention(shapes: list[Shape], attributes: dict[str, Any]) -> list[Shape]:
    (batch, tokens, _), cache = shapes[0], shapes[3]
    return [(batch, tokens, attributes["num_heads"] * cache[3]), cache, shapes[4]]


def _paged_attention(shapes: list[Shape], attributes: dict[str, Any]) -> list[Shape]:
    query, cache = shapes[0], shapes[3]
    heads, kv_heads = attributes["num_heads"], 2 * attributes["kv_num_heads"]
    width = query[1] // (heads if shapes[1] or attributes.get("kv_cache_layout") == b"LATENT" else heads + kv_heads)
    return [(query[0], heads * (attributes.get("v_head_size") or width)), cache, shapes[4]]


def _gathered(shapes: list[Shape], attributes: dict[str, Any]) -> list[Shape]:
    table, indices = shapes[:2]
    axis = attributes.get("gather_axis", 0) % len(table)
    packed = 8 // attributes.get("bits", 4) if attributes[_FIRST] == TensorProto.UINT8 else 1
    *others, last = (*table[:axis], *indices, *table[axis + 1 :])
    return [(*others, last * packed)]


def _quantized_lstm(shapes: list[Shape], attributes: dict[str, Any]) -> list[Shape]:
    (steps, batch, _), directions, width = shapes[0], shapes[1][0], attributes["hidden_size"]
    return [(steps, directions, batch, width), (directions, batch, width), (directions, batch, width)]


_OWN: dict[tuple[str, str], Callable[[list[Shape], dict[str, Any]], list[Shape]]] = {
    ("", "GroupNormalization"): lambda shapes, _: [shapes[0]],
    ("", "MeanVarianceNormalization"): lambda shapes, _: [shapes[0]],
    (MICROSOFT, "FusedMatMul"): _fused_matmul,
    (MICROSOFT, "TransposeMatMul"): _fused_matmul,
    (MICROSOFT, "NhwcConv"): lambda shapes, attributes: [_slid(shapes[0], shapes[1], attributes)],
    (MICROSOFT, "NhwcFusedConv"): lambda shapes, attributes: [_slid(shapes[0], shapes[1], attributes)],
    (MICROSOFT, "QLinearConv"): _quantized_conv,
    (BLOCKED, "ReorderOutput"): _unblocked,
    (BLOCKED, "Upsample"): _enlarged,
    (MICROSOFT, "MatMulBnb4"): lambda shapes, attributes: [(*shapes[0][:-1], attributes["N"])],
    (MICROSOFT, "BiasSplitGelu"): lambda shapes, _: [(*shapes[0][:-1], shapes[0][-1] // 2)],
    (MICROSOFT, "QuantizeLinear"): lambda shapes, _: [shapes[0]],
    (MICROSOFT, "DequantizeLinear"): lambda shapes, _: [shapes[0]],
    (MICROSOFT, "PackedAttention"): lambda shapes, attributes: [
        (shapes[0][0], (attributes.get("qkv_hidden_sizes") or [shapes[1][1] // 3])[-1])
    ],
    (MICROSOFT, "PackedMultiHeadAttention"): _unpadded_attention,
    (MICROSOFT, "DecoderMaskedSelfAttention"): _packed_attention,
    (MICROSOFT, "MatMulNBits"): lambda shapes, attributes: [(*shapes[0][:-1], attributes["N"])],
    (MICROSOFT, "Attention"): _packed_attention,
    (MICROSOFT, "QAttention"): _packed_attention,
    (MICROSOFT, "MultiHeadAttention"): lambda shapes, attributes: _attended(shapes, attributes, 6),
    (MICROSOFT, "DecoderMaskedMultiHeadAttention"): lambda shapes, attributes: _attended(shapes, attributes, 5),
    (MICROSOFT, "GroupQueryAttention"): _grouped_attention,
    (MICROSOFT, "SparseAttention"): _sparse_attention,
    (MICROSOFT, "LongformerAttention"): lambda shapes, _: [shapes[0]],
    (MICROSOFT, "PagedAttention"): _paged_attention,
    (MICROSOFT, "GatherBlockQuantized"): _gathered,
    (MICROSOFT, "DynamicQuantizeLSTM"): _quantized_lstm,
    (MICROSOFT, "MoE"): lambda shapes, _: [shapes[0]],
    (MICROSOFT, "QMoE"): lambda shapes, _: [shapes[0]],
    (MICROSOFT, "EmbedLayerNormalization"): lambda shapes, _: [(*shapes[0], shapes[2][1]), shapes[0][:1]],
}
"""Output shapes from input shapes and integer attributes, as ORT's ContribOperators.md describes them."""


def _folded(node: Any, inputs: Sequence[Value | None], types: list[Value], opsets: Opsets) -> list[Value]:
    """Return the outputs with their values, where those are small and follow from known ones."""
    if node.domain not in STANDARD or node.op_type not in _FOLDED or not types:
        return types
    if node.op_type in ("Shape", "Size"):
        sizes = inputs[0].shape if inputs and inputs[0] else None
        return types if sizes is None else [_shape_of(node, sizes)]
    if not all(value is None or (value.data is not None and not _is_weight(value)) for value in inputs):
        return types
    unbounded = node.op_type != "NonZero" and any(value.shape is None for value in types)
    if unbounded or sum(prod(value.shape or ()) for value in types) > MAX_KEPT_ELEMENTS:
        return types
    try:
        from onnx import reference

        present = [(name, value.data) for name, value in zip(node.input, inputs, strict=True) if value]
        feeds = {name: numpy_helper.to_array(data) for name, data in present}
        arrays = reference.ReferenceEvaluator(_alone(node, opsets)).run(None, feeds)
        return [of_tensor(numpy_helper.from_array(array)) for array in arrays]
    except Exception:  # whatever a malformed tensor or an operator that numpy cannot do raises
        return types


def _alone(node: Any, opsets: Opsets) -> Any:
    """Return a model of one node; of a node alone the evaluator would take the newest version."""
    names = (list(dict.fromkeys(name for name in side if name)) for side in (node.input, node.output))
    read, written = ([helper.make_value_info(name, TypeProto()) for name in side] for side in names)
    graph = helper.make_graph([node], "node", read, written)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*item) for item in opsets.items()])


def _is_weight(value: Value) -> bool:
    """Return whether a value is a floating-point parameter, which is not folded away however small."""
    return value.origin is not None and value.role == "weight" and value.dtype in FLOATING and bool(value.shape)


def _shape_of(node: Any, sizes: Shape) -> Value:
    if node.op_type == "Size":
        return of_tensor(helper.make_tensor("", TensorProto.INT64, (), [prod(sizes)]))
    limits = {attribute.name: attribute.i for attribute in node.attribute}
    part = sizes[limits.get("start", 0) : limits.get("end", len(sizes))]
    return of_tensor(helper.make_tensor("", TensorProto.INT64, (len(part),), part))


FLOATING = frozenset((TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE))
_BITS = {TensorProto.FLOAT: 32, TensorProto.BOOL: 8} | {
    number: int(size[0]) for name, number in TensorProto.DataType.items() if (size := re.search("[0-9]+", name))
}


def bits(dtype: int) -> int:
    """Return the bits of an element: 64 of DOUBLE, and of text, which counts as a pointer."""
    return _BITS.get(dtype, 64)
