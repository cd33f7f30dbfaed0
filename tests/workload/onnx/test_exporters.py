"""What exporters of all ages write, operators of com.microsoft, and operators that onnx defines by others: by hand."""

import math
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402

from hwbench.errors import InputError  # noqa: E402
from hwbench.workload.formulas import onnx as onnx_formulas  # noqa: E402
from tests.workload.onnx.test_graph import FLOAT, INT64, UINT8, counted, info, ints, model, node, weight  # noqa: E402


def flattening(opset: int, idiom: str) -> Any:
    """A `batch×3×4×4` image made a row for a product with ten columns."""
    axes = {"axes": [0]} if opset < 13 else {}
    extra = " axes" if opset >= 13 else ""
    shape = [
        node("Shape", "x", "s"),
        node("Constant", "", "zero", value=helper.make_tensor("", INT64, [], [0])),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", f"n{extra}", "n1", **axes),
        node("Constant", "", "rest", value=helper.make_tensor("", INT64, [1], [-1])),
        node("Concat", "n1 rest", "to", axis=0),
        node("Reshape", "x to", "f"),
    ]
    slicing = [
        node("Shape", "x", "s"),
        node("Slice", "s", "n1", starts=[0], ends=[1], axes=[0])
        if opset < 10 else node("Slice", "s begin end axes", "n1"),
        node("Constant", "", "rest", value=helper.make_tensor("", INT64, [1], [48])),
        node("Concat", "n1 rest", "to", axis=0),
        node("Reshape", "x to", "f"),
    ]  # fmt: skip
    idioms = {"gather": shape, "slice": slicing, "flatten": [node("Flatten", "x", "f", axis=1)]}
    nodes = [*idioms[idiom], node("Gemm", "f w b", transB=1)]
    weights = [weight("w", 10, 48), weight("b", 10), ints("axes", 0), ints("begin", 0), ints("end", 1)]
    return model(nodes, [info("x", "N", 3, 4, 4)], weights, opset)


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12, 13, 17, 21, 24])
@pytest.mark.parametrize("idiom", ["gather", "slice", "flatten"])
def test_images_become_rows_in_all_opsets(tmp_path: Path, opset: int, idiom: str) -> None:
    found = counted(tmp_path, flattening(opset, idiom))
    assert (found.macs, found.params, found.uncounted) == (480, 490, ())
    assert found.operations("mac", 3) == 3 * 480


@pytest.mark.parametrize("nameless", ["?", "", "-1", "*"])
def test_dimensions_without_a_name_are_not_alike(tmp_path: Path, nameless: str) -> None:
    proto = model([node("Conv", "x w", pads=[1] * 4)], [info("x", *[nameless] * 4)], [weight("w", 8, 3, 3, 3)])
    assert counted(tmp_path, proto, input="1x3x48x192").macs == 48 * 192 * 8 * 27
    with pytest.raises(InputError, match="Dimension 1") as refused:
        counted(tmp_path, proto)
    assert refused.value.code == "input-needed"


def graph(name: str, nodes: list[Any]) -> Any:
    return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, None)])


@pytest.mark.parametrize("first", [True, False])
def test_a_branch_that_does_not_fit_the_input_is_not_the_one_that_runs(tmp_path: Path, first: bool) -> None:
    fits, other = (
        graph("a", [node("MatMul", "x w", "a")]),
        graph("b", [node("MatMul", "x v", "b"), node("Relu", "b", "c")]),
    )
    chosen = {"then_branch": fits if first else other, "else_branch": other if first else fits}
    proto = model(
        [helper.make_node("If", ["go"], ["y"], name="if", **chosen)],
        [info("x", 1, 16), info("go", dtype=TensorProto.BOOL)],
        [weight("w", 16, 8), weight("v", 32, 8)],
    )
    found = counted(tmp_path, proto)
    assert (found.macs, found.uncounted) == (128, ())
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5
    with pytest.raises(InputError, match="MatMul"):
        counted(tmp_path, proto)


def test_bins_of_a_transform_are_half_by_default(tmp_path: Path) -> None:
    constants = [helper.make_tensor("step", INT64, [], [8]), helper.make_tensor("length", INT64, [], [16])]
    for onesided, bins in ((None, 9), (1, 9), (0, 16)):
        chosen = {} if onesided is None else {"onesided": onesided}
        proto = model(
            [node("STFT", "x step - length", "s", **chosen), node("MatMul", "s w")],
            [info("x", 1, 128, 1)],
            [*constants, weight("w", 2, 3)],
        )
        found = counted(tmp_path, proto)
        assert (found.macs, found.uncounted) == (15 * bins * 2 * 3, ())


def test_unpooling_to_a_stated_shape(tmp_path: Path) -> None:
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [node("MaxPool", "x", "p at", **pool), node("MaxUnpool", "p at size", "u", **pool), node("Conv", "u w")]
    proto = model(nodes, [info("x", 1, 1, 9, 9)], [ints("size", 1, 1, 9, 9), weight("w", 4, 1, 3, 3)])
    found = counted(tmp_path, proto)
    assert (found.macs, found.uncounted) == (7 * 7 * 4 * 9, ())


MS = "com.microsoft"
B, H, D, P = 2, 4, 16, 31  # batch, heads, width of a head, past


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "macs"),
    [
        # one token after 31: two products of 4 heads, 32 keys, 16 wide
        ("GroupQueryAttention",
         {"q": (B, 1, 64), "k": (B, 1, 32), "v": (B, 1, 32), "pk": (B, 2, P, D), "pv": (B, 2, P, D)},
         {"kv_num_heads": 2}, 2 * H * 32 * D),
        ("GroupQueryAttention", {"q": (B, 5, 128)}, {"kv_num_heads": 2}, 2 * H * 5 * 5 * D),  # packed
        ("MultiHeadAttention",
         {"q": (B, 1, 64), "k": (B, 1, 64), "v": (B, 1, 64), "-a": (), "-b": (), "-c": (), "pk": (B, H, P, D),
          "pv": (B, H, P, D)}, {}, 2 * H * 32 * D),
        ("MultiHeadAttention", {"q": (B, 5, H, 3, D)}, {}, 2 * H * 5 * 5 * D),
        ("MultiHeadAttention", {"q": (B, 5, 64), "kv": (B, 7, H, 2, D)}, {}, 2 * H * 5 * 7 * D),
        ("MultiHeadAttention", {"q": (B, 5, 64), "k": (B, H, 7, D), "v": (B, H, 7, D)}, {}, 2 * H * 5 * 7 * D),
        ("DecoderMaskedMultiHeadAttention",
         {"q": (B, 1, 64), "k": (B, 1, 64), "v": (B, 1, 64), "-a": (), "-b": (), "pk": (B, H, P, D),
          "pv": (B, H, P, D)}, {}, 2 * H * 32 * D),
    ],
)  # fmt: skip
def test_attention_of_com_microsoft(
    tmp_path: Path, operator: str, inputs: dict[str, tuple[int, ...]], attributes: dict[str, int], macs: int
) -> None:
    names = " ".join("-" if name.startswith("-") else name for name in inputs)
    arguments = [info(name, *shape) for name, shape in inputs.items() if shape]
    nodes = [node(operator, names, "o", MS, num_heads=H, **attributes), node("MatMul", "o w")]
    tokens, width = next(iter(inputs.values()))[1], 64
    found = counted(tmp_path, model(nodes, arguments, [weight("w", width, 3)]))
    assert found.operations("mac", 2) == 2 * (macs + tokens * width * 3)
    assert found.uncounted == ()


def test_attention_with_projections(tmp_path: Path) -> None:
    arguments, weights = [info("x", 2, 5, 64)], [weight("w", 64, 192), weight("b", 192)]
    plain = counted(tmp_path, model([node("Attention", "x w b", domain=MS, num_heads=4)], arguments, weights))
    assert plain.operations("mac", 2) == 2 * (5 * 64 * 192 + 2 * 5 * 5 * 64)
    past = [*arguments, info("p", 2, 2, 4, 31, 16)]
    later = counted(tmp_path, model([node("Attention", "x w b - p", domain=MS, num_heads=4)], past, weights))
    assert later.operations("mac", 2) == 2 * (5 * 64 * 192 + 2 * 5 * 36 * 64)
    packed = [weight("w", 64, 192, dtype=UINT8), weight("b", 192), weight("s", 1)]
    quantized = model([node("QAttention", "x w b s s", domain=MS, num_heads=4)], arguments, packed)
    found = counted(tmp_path, quantized)
    assert (found.operations("mac", 2), found.params) == (plain.operations("mac", 2), 64 * 192 + 192)


def test_parameters_are_elements_not_bytes(tmp_path: Path) -> None:
    """A matrix 64×32 of four bits is stored as 32 rows of two blocks of 16 bytes."""
    weights = [weight("w", 32, 2, 16, dtype=UINT8), weight("s", 64)]
    nodes = [node("MatMulNBits", "x w s", domain=MS, K=64, N=32, bits=4, block_size=32)]
    found = counted(tmp_path, model(nodes, [info("x", 3, 64)], weights))
    assert (found.operations("mac", 3), found.params) == (3 * 64 * 32, 64 * 32)
    four_bits = TensorProto(name="w", data_type=TensorProto.UINT4, dims=[64, 32], raw_data=bytes(1024))
    nodes = [node("DequantizeLinear", "w s", "f"), node("MatMul", "x f")]
    scale = helper.make_tensor("s", FLOAT, [], [1.0])
    found = counted(tmp_path, model(nodes, [info("x", 3, 64)], [four_bits, scale], opset=21))
    assert (found.operations("mac", 3), found.params) == (3 * 64 * 32, 64 * 32)


def test_experts_that_a_token_meets(tmp_path: Path) -> None:
    """Six tokens, two of eight experts each, 32 to 64 and back; packed ones have two weights in a byte."""
    arguments = [info("x", 6, 32), info("r", 6, 8)]
    plain = [weight("a", 8, 64, 32), weight("b", 8, 32, 64)]
    found = counted(tmp_path, model([node("MoE", "x r a - b", domain=MS, k=2)], arguments, plain))
    assert (found.operations("mac", found.batch), found.params) == (6 * 2 * 2 * 64 * 32, 8 * 2 * 64 * 32)
    packed = [weight("a", 8, 64, 16, dtype=UINT8), weight("b", 8, 32, 32, dtype=UINT8), weight("s", 8, 64)]
    quantized = model([node("QMoE", "x r a s - b s", domain=MS, k=2, expert_weight_bits=4)], arguments, packed)
    assert counted(tmp_path, quantized).params == found.params
    assert counted(tmp_path, quantized).operations("mac", 1) == found.operations("mac", 1)


def test_a_quantized_recurrent_layer(tmp_path: Path) -> None:
    weights = [
        weight("w", 1, 8, 32, dtype=UINT8),
        weight("r", 1, 8, 32, dtype=UINT8),
        weight("b", 1, 64),
        weight("s", 1),
    ]
    nodes = [node("DynamicQuantizeLSTM", "x w r b - - - - s s s s", domain=MS, hidden_size=8)]
    found = counted(tmp_path, model(nodes, [info("x", 20, 1, 8)], weights))
    assert (found.operations("mac", found.batch), found.params) == (20 * 2 * 8 * 32, 2 * 8 * 32 + 64)


_IMAGE = [info("x", 1, 8, 8, 3)]
_SCALES = [weight("s", 1), weight("z", 1, dtype=UINT8)]


@pytest.mark.parametrize(
    ("nodes", "inputs", "weights", "macs", "params"),
    [
        # channels last, 3 to 8, 3×3, stride 2: 16 positions; the product after it takes 8 channels to 2
        ([node("NhwcConv", "x k", "o", MS, pads=[1] * 4, strides=[2, 2], auto_pad="NOTSET")], _IMAGE,
         [weight("k", 8, 3, 3, 3), weight("w", 8, 2)], 16 * 8 * 27 + 16 * 8 * 2, 8 * 27 + 16),
        ([node("NhwcFusedConv", "x k b", "o", MS, auto_pad="SAME_UPPER", strides=[2, 2], activation="Relu")], _IMAGE,
         [weight("k", 8, 3, 3, 3), weight("b", 8), weight("w", 8, 2)], 16 * 8 * 27 + 16 * 8 * 2, 8 * 27 + 8 + 16),
        ([node("QLinearConv", "x s z k s z s z", "q", MS, strides=[2, 2], channels_last=1),
          node("DequantizeLinear", "q s z", "o", MS)], [info("x", 1, 9, 9, 3, dtype=UINT8)],
         [weight("k", 8, 3, 3, 3, dtype=UINT8), *_SCALES, weight("w", 8, 2)], 16 * 8 * 27 + 16 * 8 * 2, 8 * 27 + 16),
        ([node("QLinearConv", "x s z k s z s z", "q", MS, strides=[2, 2]), node("DequantizeLinear", "q s z", "o", MS)],
         [info("x", 1, 3, 9, 9, dtype=UINT8)], [weight("k", 8, 3, 3, 3, dtype=UINT8), *_SCALES, weight("w", 4, 2)],
         16 * 8 * 27 + 8 * 4 * 4 * 2, 8 * 27 + 8),
        # twelve tokens of two sequences, two heads of eight
        ([node("PackedAttention", "x p b at ends", "o", MS, num_heads=2)],
         [info("x", 12, 16), info("at", 2, 6), info("ends", 3)],
         [weight("p", 16, 48), weight("b", 48), weight("w", 16, 2)],
         12 * 16 * 48 + 2 * 2 * 6 * 6 * 16 + 12 * 16 * 2, 16 * 48 + 48 + 32),
        ([node("PackedMultiHeadAttention", "x x x - at ends", "o", MS, num_heads=2)],
         [info("x", 12, 16), info("at", 2, 6), info("ends", 3)], [weight("w", 16, 2)],
         2 * 2 * 6 * 6 * 16 + 12 * 16 * 2, 32),
        ([node("PackedMultiHeadAttention", "x - - - at ends", "o", MS, num_heads=2)],
         [info("x", 12, 2, 3, 8), info("at", 2, 6), info("ends", 3)], [weight("w", 16, 2)],
         2 * 2 * 6 * 6 * 16 + 12 * 16 * 2, 32),
        # products: 64 to 32
        ([node("MatMulBnb4", "x p s", "o", MS, K=64, N=32, block_size=32, quant_type=1)], [info("x", 1, 5, 64)],
         [weight("p", 1024, dtype=UINT8), weight("s", 64), weight("w", 32, 2)], 5 * 64 * 32 + 5 * 32 * 2, 64 * 32 + 64),
        ([node("GemmFastGelu", "x p b", "o", MS)], [info("x", 5, 64)],
         [weight("p", 64, 32), weight("b", 32), weight("w", 32, 2)], 5 * 64 * 32 + 5 * 32 * 2, 64 * 32 + 32 + 64),
        ([node("GemmFloat8", "x p", "o", MS, transB=1)], [info("x", 5, 64)],
         [weight("p", 32, 64), weight("w", 32, 2)], 5 * 64 * 32 + 5 * 32 * 2, 64 * 32 + 64),
        ([node("TransposeMatMul", "x p", "o", MS, transB=1)], [info("x", 5, 64)],
         [weight("p", 32, 64), weight("w", 32, 2)], 5 * 64 * 32 + 5 * 32 * 2, 64 * 32 + 64),
        # what stands in fused diffusion models, and quantization to other types than the standard one
        ([node("SkipGroupNorm", "x g g x", "n", MS, groups=2), node("BiasAdd", "n g x", "o", MS)],
         [info("x", 1, 4, 4, 8)], [weight("g", 8), weight("w", 8, 2)], 16 * 8 * 2, 8 + 16),
        ([node("BiasSplitGelu", "x b", "o", MS)], [info("x", 1, 5, 32)], [weight("b", 32), weight("w", 16, 2)],
         5 * 16 * 2, 32 + 32),
        ([node("QuantizeLinear", "x s z", "q", MS), node("DequantizeLinear", "q s z", "o", MS)], [info("x", 5, 16)],
         [*_SCALES, weight("w", 16, 2)], 5 * 16 * 2, 32),
    ],
)  # fmt: skip
def test_more_operators_of_com_microsoft(
    tmp_path: Path, nodes: list[Any], inputs: list[Any], weights: list[Any], macs: int, params: int
) -> None:
    found = counted(tmp_path, model([*nodes, node("MatMul", "o w")], inputs, weights))
    assert (found.operations("mac", found.batch), found.uncounted) == (macs, ())
    assert found.params == params


def test_a_graph_that_onnxruntime_optimized_counts_as_the_one_it_came_from(tmp_path: Path) -> None:
    """It writes convolutions on blocks of 8 or 16 channels, which none of these needs to pad."""
    engine = pytest.importorskip("onnxruntime")
    nodes = [
        node("Conv", "x a", "h", pads=[1] * 4, strides=[2, 2]), node("Relu", "h", "r"),
        node("Conv", "r b", "d", group=16, pads=[1] * 4), node("Conv", "d c", "e"), node("Conv", "r c", "f"),
        node("Add", "e f", "g"), node("MaxPool", "g", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", "p", "q"), node("Flatten", "q", "o"), node("MatMul", "o w"),
    ]  # fmt: skip
    for each in nodes:
        each.name = each.output[0]
    weights = [weight("a", 16, 3, 3, 3), weight("b", 16, 1, 3, 3), weight("c", 32, 16, 1, 1), weight("w", 32, 2)]
    original = model(nodes, [info("x", 1, 3, 16, 16)], weights)
    for tensor in original.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.float_data.extend([0.5] * math.prod(tensor.dims))
    settings = engine.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    settings.log_severity_level = 3
    engine.InferenceSession(original.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    optimized = onnx.load(tmp_path / "optimized.onnx")
    assert "Relu" not in {each.op_type for each in optimized.graph.node}
    before, after = counted(tmp_path, original), counted(tmp_path, optimized)
    assert before.macs == 64 * 16 * 27 + 64 * 16 * 9 + 2 * 64 * 32 * 16 + 64
    assert (after.macs, after.uncounted) == (before.macs, ())
    assert after.params in (before.params, before.params + 32 * 16)  # the kernel that two share may be laid out twice


def test_blocks_of_channels_are_counted_as_they_are_padded(tmp_path: Path) -> None:
    """20 channels are 32 in blocks of 16, of which none is left where the blocks end."""
    blocked = "com.microsoft.nchwc"
    nodes = [
        node("ReorderInput", "x", "i", blocked), node("Conv", "i k b", "c", blocked, pads=[1] * 4, activation="Relu"),
        node("AveragePool", "c", "p", blocked, kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p l - p", "s", blocked), node("Upsample", "s", "u", blocked, scales=[1, 1, 2, 2]),
        node("ReorderOutput", "u", "o", blocked, channels=20, channels_last=1), node("MatMul", "o w"),
    ]  # fmt: skip
    weights = [weight("k", 32, 32, 3, 3), weight("b", 32), weight("l", 32, 32, 1, 1), weight("w", 20, 2)]
    found = counted(tmp_path, model(nodes, [info("x", 1, 20, 8, 8)], weights))
    assert (found.macs, found.uncounted) == (64 * 32 * 288 + 16 * 32 * 32 + 64 * 20 * 2, ())
    first, last = (op for op in found.ops if op.macs and op.kind != "linear")
    assert (first.elementwise_flops, last.elementwise_flops) == (64 * 32, 16 * 32)  # the activation, and the sum


def test_a_convolution_that_cannot_be_has_no_shape(tmp_path: Path) -> None:
    weights = [weight("k", 8, 3, 11, 11), weight("w", 8, 2)]
    for attributes in ({}, {"strides": [0, 0]}, {"pads": [1]}):
        nodes = [node("NhwcConv", "x k", "o", MS, **attributes), node("MatMul", "o w")]
        found = counted(tmp_path, model(nodes, _IMAGE, weights))
        assert (found.macs, len(found.uncounted)) == (0, 2)


def test_quantized_tensors_have_the_bytes_of_their_type(tmp_path: Path) -> None:
    nodes = [node("QuantizeLinear", "x s z", "q", MS), node("DequantizeLinear", "q s z", "y", MS)]
    found = counted(tmp_path, model(nodes, [info("x", 5, 16)], _SCALES))
    quantize, dequantize = found.ops
    assert (quantize.fixed_output_bytes, dequantize.fixed_input_bytes) == (16, 16)  # of one sample


def test_a_tensor_out_of_a_sequence(tmp_path: Path) -> None:
    constants = [helper.make_tensor("two", INT64, [], [2]), helper.make_tensor("first", INT64, [], [0])]
    nodes = [node("SplitToSequence", "x two", "s"), node("SequenceAt", "s first", "o"), node("MatMul", "o w")]
    found = counted(tmp_path, model(nodes, [info("x", 4, 16)], [*constants, weight("w", 16, 3)]))
    assert (found.operations("mac", found.batch), found.uncounted) == (2 * 16 * 3, ())


def test_no_keys_before_the_first_token(tmp_path: Path) -> None:
    nodes = [node("GroupQueryAttention", "x - - pk pv", "y k v", MS, num_heads=4, kv_num_heads=2)]
    past = [info(name, 1, 2, "past", 16) for name in ("pk", "pv")]
    proto = model(nodes, [info("x", 1, 8, 128), *past], [])
    for length in (0, 5):
        found = counted(tmp_path, proto, input=f"1x8x128,1x2x{length}x16")
        assert (found.operations("mac", 1), found.uncounted) == (2 * 4 * 8 * (8 + length) * 16, ())


def test_a_node_of_unusual_inputs_is_listed(tmp_path: Path) -> None:
    nodes = [node("QAttention", "x x", "o", MS), node("MatMul", "x w")]
    found = counted(tmp_path, model(nodes, [info("x", 2, 5, 64)], [weight("w", 64, 3)]))
    assert found.operations("mac", 2) == 2 * 5 * 64 * 3
    assert [line.partition(" (")[0] for line in found.uncounted] == ["com.microsoft.QAttention of unusual inputs"]


def test_operators_that_onnx_defines_by_others(tmp_path: Path) -> None:
    newest = onnx.defs.onnx_opset_version()
    causal = model([node("CausalConvWithState", "x w b", "y state")], [info("x", "batch", 8, 16)],
                   [weight("w", 8, 1, 4), weight("b", 8)], newest)  # fmt: skip
    if newest >= 27:
        found = counted(tmp_path, causal)
        assert (found.macs, found.params, found.uncounted) == (8 * 16 * 4, 40, ())
    theta = model(
        [node("AffineGrid", "t size", "g"), node("Relu", "g")], [info("t", 2, 2, 3)], [ints("size", 2, 3, 5, 7)], 20
    )
    found = counted(tmp_path, theta)
    assert (found.operations("mac", found.batch), found.uncounted) == (2 * 5 * 7 * 2 * 3, ())


def test_every_operator_of_the_specification_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "explanation" / "counting.md").read_text()
    schemas = [schema for schema in onnx.defs.get_all_schemas() if not schema.domain]
    functions = {each.name: each.has_function or each.has_context_dependent_function for each in schemas}
    table = onnx_formulas.states(functions)
    assert table in page, f"write this into docs/explanation/counting.md:\n{table}"
