"""What exporters of all ages write, operators of com.microsoft, and operators that onnx defines by others: by hand."""

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
