"""ONNX graphs built by hand against numbers derived by hand, the zoo's light models, and files that are broken."""

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

from hwbench.errors import InputError  # noqa: E402
from hwbench.workload import counting  # noqa: E402
from hwbench.workload.formulas import onnx as onnx_formulas  # noqa: E402
from hwbench.workload.formulas.cost import Cost  # noqa: E402
from hwbench.workload.onnx import graph as onnx_graph  # noqa: E402
from hwbench.workload.ops import Activations, Workload  # noqa: E402
from hwbench.workload.request import ModelRequest  # noqa: E402

FLOAT, INT64, INT8, UINT8, INT32 = (
    TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32,
)  # fmt: skip
SHARED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def weight(name: str, *dims: int, dtype: int = FLOAT) -> Any:
    """A weight whose values do not matter."""
    size = {FLOAT: 4, INT8: 1, UINT8: 1, INT32: 4, INT64: 8}[dtype]
    elements = 1
    for dim in dims:
        elements *= dim
    return TensorProto(name=name, data_type=dtype, dims=dims, raw_data=bytes(size * elements))


def ints(name: str, *values: int) -> Any:
    return helper.make_tensor(name, INT64, [len(values)], values)


def info(name: str, *dims: Any, dtype: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, dims)


def model(nodes: list[Any], inputs: list[Any], weights: list[Any] = [], opset: int = 17, **more: Any) -> Any:  # noqa: B006
    last = nodes[-1].output[0]
    graph = helper.make_graph(
        nodes,
        "graph",
        inputs,
        [helper.make_tensor_value_info(last, FLOAT, None)],
        weights,
        value_info=more.pop("stated", []),
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("my", 1)]
    return helper.make_model(graph, opset_imports=domains, **more)


def counted(path: Path, proto: Any, **request: Any) -> Workload:
    file = path / "model.onnx"
    file.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    return onnx_graph.workload(str(file), ModelRequest("onnx:model", **request))


def node(op: str, inputs: str, output: str = "y", domain: str = "", **attributes: Any) -> Any:
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(op, names, output.split(), name=f"{op}-node", domain=domain, **attributes)


X = info("x", 2, 8, 10, 10)
T = info("x", 2, 6, 32)
IMAGE_INT8 = info("x", 2, 8, 10, 10, dtype=UINT8)
Q_CONV = "x s z w s z s z b"
SCALES = [weight("s"), weight("z", dtype=UINT8)]
CASES: dict[str, tuple[Any, int, int, str]] = {
    # name: model, macs of a sample, parameters, kind of the first op
    "conv": (model([node("Conv", "x w b")], [X], [weight("w", 4, 8, 3, 3), weight("b", 4)]), 4 * 64 * 72, 292, "conv"),
    "conv-same": (
        model([node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2])], [X], [weight("w", 4, 8, 3, 3)]),
        4 * 25 * 72,
        288,
        "conv",
    ),
    "grouped": (
        model([node("Conv", "x w", group=2)], [X], [weight("w", 4, 4, 3, 3)]),
        4 * 64 * 36,
        144,
        "grouped_conv",
    ),
    "depthwise": (
        model([node("Conv", "x w", group=8)], [X], [weight("w", 8, 1, 3, 3)]),
        8 * 64 * 9,
        72,
        "depthwise_conv",
    ),
    "transposed": (
        model([node("ConvTranspose", "x w", strides=[2, 2])], [X], [weight("w", 8, 5, 2, 2)]),
        800 * 20,
        160,
        "transposed_conv",
    ),
    "gemm": (
        model([node("Gemm", "x w b", transB=1)], [info("x", 2, 32)], [weight("w", 5, 32), weight("b", 5)]),
        160,
        165,
        "linear",
    ),
    "gemm-transposed": (
        model([node("Gemm", "x w", transA=1)], [info("x", 32, 2)], [weight("w", 32, 5)]),
        2 * 160,  # of both columns: no first dimension is a batch
        160,
        "linear",
    ),
    "matmul": (model([node("MatMul", "x w")], [T], [weight("w", 32, 7)]), 6 * 32 * 7, 224, "linear"),
    "matmul-of-data": (model([node("MatMul", "x x2")], [T, info("x2", 2, 32, 5)]), 6 * 32 * 5, 0, "batched_matmul"),
    "matmul-integer": (
        model([node("MatMulInteger", "x w")], [info("x", 2, 6, 32, dtype=UINT8)], [weight("w", 32, 7, dtype=INT8)]),
        6 * 32 * 7,
        224,
        "linear",
    ),
    "conv-integer": (
        model([node("ConvInteger", "x w")], [IMAGE_INT8], [weight("w", 4, 8, 3, 3, dtype=UINT8)]),
        4 * 64 * 72,
        288,
        "conv",
    ),
    "qlinear-conv": (
        model(
            [node("QLinearConv", Q_CONV)],
            [IMAGE_INT8],
            [weight("w", 4, 8, 3, 3, dtype=UINT8), weight("b", 4, dtype=INT32), *SCALES],
        ),
        4 * 64 * 72,
        292,
        "conv",
    ),
    "qlinear-matmul": (
        model(
            [node("QLinearMatMul", "x s z w s z s z")],
            [info("x", 2, 32, dtype=UINT8)],
            [weight("w", 32, 7, dtype=UINT8), *SCALES],
        ),
        224,
        224,
        "linear",
    ),
    "quantize-dequantize": (
        model(
            [node("DequantizeLinear", "w s z", "v"), node("Conv", "x v", "y")],
            [X],
            [weight("w", 4, 8, 1, 1, dtype=UINT8), *SCALES],
        ),
        3200,
        32,
        "cast",
    ),
    "attention-4d": (
        model(
            [node("Attention", "q k v")],
            [info("q", 2, 4, 6, 8), info("k", 2, 2, 9, 8), info("v", 2, 2, 9, 8)],
            opset=23,
        ),
        4 * 6 * 9 * 16,
        0,
        "attention",
    ),
    "attention-3d": (
        model([node("Attention", "x x x", q_num_heads=4, kv_num_heads=4)], [T], opset=23),
        2 * 6 * 6 * 32,
        0,
        "attention",
    ),
    "lstm": (
        model(
            [node("LSTM", "x w r b", hidden_size=5)],
            [info("x", 7, "batch", 3)],
            [weight("w", 1, 20, 3), weight("r", 1, 20, 5), weight("b", 1, 40)],
        ),
        7 * 20 * 8,
        200,
        "recurrent",
    ),
    "gru-bidirectional": (
        model(
            [node("GRU", "x w r", hidden_size=5, direction="bidirectional")],
            [info("x", 7, "batch", 3)],
            [weight("w", 2, 15, 3), weight("r", 2, 15, 5)],
        ),
        7 * 2 * 15 * 8,
        240,
        "recurrent",
    ),
    "einsum": (
        model([node("Einsum", "x w", equation="btc,cd->btd")], [T], [weight("w", 32, 7)]),
        6 * 32 * 7,
        224,
        "batched_matmul",
    ),
    "shared": (
        model([node("MatMul", "x w", "a"), node("MatMul", "a w", "y")], [T], [weight("w", 32, 32)]),
        2 * 6 * 32 * 32,
        1024,
        "linear",
    ),
    "open-batch": (
        model([node("MatMul", "x w")], [info("x", "N", 32)], [weight("w", 32, 7)]),
        224,
        224,
        "linear",
    ),
    "batch-norm": (
        model([node("BatchNormalization", "x a b c d")], [X], [weight(name, 8) for name in "abcd"]),
        0,
        16,
        "batch_norm",
    ),
    "embedding": (
        model([node("Gather", "w x")], [info("x", 2, 6, dtype=INT64)], [weight("w", 100, 16)]),
        0,
        1600,
        "embedding",
    ),
    "fused-conv": (
        model([node("FusedConv", "x w", domain="com.microsoft", activation="Relu")], [X], [weight("w", 4, 8, 3, 3)]),
        4 * 64 * 72,
        288,
        "conv",
    ),
    "packed-attention": (
        model(
            [node("Attention", "x w b", domain="com.microsoft", num_heads=4)],
            [T],
            [weight("w", 32, 96), weight("b", 96)],
        ),
        6 * 32 * 96 + 2 * 36 * 32,
        32 * 96 + 96,
        "attention",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_counts_are_those_derived_by_hand(tmp_path: Path, name: str) -> None:
    proto, macs, params, kind = CASES[name]
    found = counted(tmp_path, proto)
    assert (found.macs, found.params, found.ops[0].kind, found.uncounted) == (macs, params, kind, ())


RECURRENT = [weight("w", 1, 32, 8), weight("r", 1, 32, 8)]
STATES = [node("Shape", "x", "s", end=1), node("Concat", "s h", "t", axis=0), node("ConstantOfShape", "t", "c")]
BATCHES: dict[str, tuple[Any, int, int]] = {
    # name: model, macs of what the file states, its batch
    "given": (model([node("MatMul", "x w")], [info("x", 8, 32)], [weight("w", 32, 7)]), 8 * 224, 8),
    "open": (model([node("MatMul", "x w")], [info("x", "N", 32)], [weight("w", 32, 7)]), 224, 1),
    "open, another name": (model([node("MatMul", "x w")], [info("x", "a", 32)], [weight("w", 32, 7)]), 224, 1),
    "steps first": (
        model([node("LSTM", "x w r", hidden_size=8)], [info("x", 100, 3, 8)], RECURRENT), 3 * 100 * 4 * 8 * 16, 3,
    ),
    "steps second": (
        model([node("Transpose", "x", "t", perm=[1, 0, 2]), node("LSTM", "t w r", hidden_size=8)],
              [info("x", 3, 100, 8)], RECURRENT), 3 * 100 * 4 * 8 * 16, 3,
    ),
    "a waveform": (
        model([node("Unsqueeze", "x axes", "u"), node("Conv", "u w", strides=[160])], [info("x", 16000)],
              [ints("axes", 0, 1), weight("w", 4, 1, 400)]), 98 * 4 * 400, 1,
    ),
    "zero states": (
        model([*STATES, node("MatMul", "c v", "a"), node("MatMul", "x w", "b"), node("Add", "a b", "y")],
              [info("x", "batch", 32)], [ints("h", 16), weight("v", 16, 16), weight("w", 32, 16)]), 768, 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BATCHES)
def test_what_a_file_states_is_counted_and_says_its_batch(tmp_path: Path, name: str) -> None:
    proto, macs, batch = BATCHES[name]
    found = counted(tmp_path, proto)
    assert (found.operations("mac", found.batch), found.batch) == (macs, batch)
    if name != "a waveform":
        assert found.operations("mac", 7) * batch == 7 * macs
        assert counted(tmp_path, proto, batch=7).operations("mac", 7) * batch == 7 * macs


def test_zeros_made_for_the_batch_are_no_parameters(tmp_path: Path) -> None:
    assert counted(tmp_path, BATCHES["zero states"][0]).params == 16 * 16 + 32 * 16


def test_another_batch_of_a_waveform_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        counted(tmp_path, BATCHES["a waveform"][0], batch=2)
    assert raised.value.code == "batch-unknown"


def test_an_open_dimension_that_is_no_batch_needs_a_size(tmp_path: Path) -> None:
    proto = model([node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "x t", "y")], [info("x", "tokens", 32)])
    with pytest.raises(InputError) as raised:
        counted(tmp_path, proto)
    assert raised.value.code == "input-needed"
    assert counted(tmp_path, proto, input="6x32").macs == 6 * 6 * 32
    assert counted(tmp_path, proto, input="6x32", batch=7, batch_dim=0).macs == 7 * 7 * 32


LIGHT = {
    "resnet50": (4_089_184_256, 25_557_032),
    "bvlc_alexnet": (654_560_384, 60_965_224),
    "vgg19": (19_632_062_464, 143_667_240),
}


@pytest.mark.parametrize("name", LIGHT)
def test_zoo_models_have_their_published_counts(tmp_path: Path, name: str) -> None:
    """Parameters as torchvision and Caffe publish them; the zoo's AlexNet takes 224 pixels, hence 54 positions."""
    path = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light", f"light_{name}.onnx")
    if not os.path.exists(path):
        pytest.skip("this onnx does not ship the zoo's light models")
    found = onnx_graph.workload(path, ModelRequest(f"onnx:{name}"))
    assert (found.macs, found.params, found.uncounted) == (*LIGHT[name], ())


def test_traffic_of_a_convolution(tmp_path: Path) -> None:
    op = counted(tmp_path, CASES["conv"][0]).ops[0]
    assert (op.input_elements, op.weight_elements, op.output_elements) == (800, 292, 256)
    assert (op.bias_adds, op.output_shape, op.name, op.constant) == (256, (4, 8, 8), "Conv-node", False)
    quantized = counted(tmp_path, CASES["qlinear-conv"][0]).ops[0]
    assert (quantized.input_elements, quantized.fixed_input_bytes, quantized.dtype) == (0, 800, "int8")


def test_a_bias_added_after_a_product_is_one(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "a"), node("Add", "a b", "y")]
    found = counted(tmp_path, model(nodes, [T], [weight("w", 32, 7), weight("b", 7)]))
    assert (found.ops[1].bias_adds, found.ops[1].elementwise_flops, found.params) == (42, 0, 231)


def test_what_no_data_goes_into_runs_once(tmp_path: Path) -> None:
    nodes = [node("Transpose", "w", "v"), node("MatMul", "x v", "y")]
    transposed, product = counted(tmp_path, model(nodes, [T], [weight("w", 200, 32)])).ops
    assert (transposed.constant, transposed.params, transposed.kind) == (True, 6400, "strided_copy")
    assert (product.constant, product.params, product.kind) == (False, 0, "linear")


def test_shapes_are_followed_through_shape_arithmetic(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Unsqueeze", "n axes", "n1"),
        node("Concat", "n1 rest", "t", axis=0), node("Reshape", "x t", "r"), node("MatMul", "r w", "m"),
        node("Shape", "m", "ms"), node("ConstantOfShape", "ms", "c"), node("Where", "mask m c", "y"),
    ]  # fmt: skip
    weights = [helper.make_tensor("zero", INT64, [], [0]), ints("axes", 0), ints("rest", -1, 8), weight("w", 8, 3)]
    mask = helper.make_tensor("mask", TensorProto.BOOL, [1], [True])
    found = counted(tmp_path, model(nodes, [info("x", "batch", 6, 32)], [*weights, mask]))
    assert found.macs == 24 * 8 * 3
    assert found.uncounted == ()
    assert [op.kind for op in found.ops] == ["linear", "elementwise"]


def branch(name: str, inner: list[Any], output: str) -> Any:
    return helper.make_graph(inner, name, [], [helper.make_tensor_value_info(output, FLOAT, None)])


def conditional(weights: list[Any], inputs: list[Any]) -> Any:
    one = branch("one", [node("MatMul", "x w", "a")], "a")
    two = branch("two", [node("MatMul", "x w", "b"), node("MatMul", "b v", "c")], "c")
    nodes = [helper.make_node("If", ["go"], ["y"], name="if", then_branch=one, else_branch=two)]
    return model(nodes, [T, *inputs], [weight("w", 32, 7), weight("v", 7, 7), *weights])


def test_if_takes_the_branch_that_is_known_else_the_one_with_more_work(tmp_path: Path) -> None:
    known = helper.make_tensor("go", TensorProto.BOOL, [], [True])
    found = counted(tmp_path, conditional([known], []))
    assert (found.macs, found.params, found.uncounted) == (6 * 32 * 7, 224, ())
    found = counted(tmp_path, conditional([], [info("go", dtype=TensorProto.BOOL)]))
    assert (found.macs, found.params) == (6 * 32 * 7 + 6 * 7 * 7, 273)
    assert found.uncounted == ("If (the branch with more work) (1 of 2 operators)",)


def test_values_of_inputs_choose_branches(tmp_path: Path) -> None:
    proto = conditional([], [info("go", dtype=TensorProto.BOOL)])
    for value, macs in ((True, 6 * 32 * 7), (False, 6 * 32 * 7 + 6 * 7 * 7)):
        found = counted(tmp_path, proto, values=(("go", value),))
        assert (found.macs, found.uncounted) == (macs, ())
    refused = {"go": 1, "x": "three", "so": True}
    for name, value in refused.items():
        with pytest.raises(InputError) as raised:
            counted(tmp_path, proto, values=((name, value),))
        assert (raised.value.field, name in raised.value.message) == ("values", True)
    rates = [helper.make_tensor("at", INT64, [], [16000]), node("Equal", "sr at", "go")]
    proto = conditional(rates[:1], [info("sr", dtype=INT64)])
    proto.graph.node.insert(0, rates[1])
    for rate, macs in ((16000, 6 * 32 * 7), (8000, 6 * 32 * 7 + 6 * 7 * 7)):
        found = counted(tmp_path, proto, values=(("sr", rate),))
        assert (found.macs, found.uncounted) == (macs, ())
    with pytest.raises(InputError, match="out of the range"):
        counted(tmp_path, proto, values=(("sr", 1 << 80),))


def loop(trips: int | None) -> Any:
    state = [info("i", dtype=INT64), info("go", dtype=TensorProto.BOOL), info("h", 2, 32)]
    body = [node("Identity", "go", "on"), node("MatMul", "h w", "next")]
    graph = helper.make_graph(body, "body", state, [info("on", dtype=TensorProto.BOOL), info("next", 2, 32)])
    nodes = [helper.make_node("Loop", ["trips", "", "x"], ["y"], name="loop", body=graph)]
    limit = [] if trips is None else [helper.make_tensor("trips", INT64, [], [trips])]
    inputs = [info("x", 2, 32)] + ([] if limit else [info("trips", dtype=INT64)])
    return model(nodes, inputs, [weight("w", 32, 32), *limit])


def test_a_loop_counts_as_often_as_it_runs_else_once(tmp_path: Path) -> None:
    found = counted(tmp_path, loop(5))
    assert (found.macs, found.params, found.uncounted) == (5 * 1024, 1024, ())
    assert found.ops[0].name == "loop/MatMul-node"
    found = counted(tmp_path, loop(None))
    assert (found.macs, found.params) == (1024, 1024)
    assert found.uncounted == ("loop body, counted once (1 of 1 operators)",)


def test_a_scan_runs_along_its_axis(tmp_path: Path) -> None:
    body = [node("MatMul", "h w", "a"), node("Add", "a step", "next"), node("Identity", "next", "out")]
    graph = helper.make_graph(
        body, "body", [info("h", 2, 32), info("step", 2, 32)], [info("next", 2, 32), info("out", 2, 32)]
    )
    nodes = [helper.make_node("Scan", ["x", "steps"], ["y", "all"], num_scan_inputs=1, body=graph)]
    proto = model(
        [*nodes, node("Relu", "all", "z")], [info("x", 2, 32), info("steps", 9, 2, 32)], [weight("w", 32, 32)]
    )
    found = counted(tmp_path, proto)
    assert (found.macs, found.params, found.uncounted) == (9 * 2 * 1024, 1024, ())  # for the two rows given


def test_unknown_operators_are_named_and_what_follows_them_too(tmp_path: Path) -> None:
    nodes = [node("Magic", "x w", "a", domain="my"), node("Relu", "a", "y")]
    weights = [weight("w", 32)]
    found = counted(tmp_path, model(nodes, [T], weights))
    assert found.uncounted == ("Relu of unknown shape (1 of 2 operators)", "my.Magic (1 of 2 operators)")
    found = counted(tmp_path, model(nodes, [T], weights, stated=[info("a", 2, 6, 32)]))
    assert found.uncounted == ("my.Magic (1 of 2 operators)",)
    assert found.params == 32


def test_a_custom_operator_can_be_given_a_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_formulas, "_TABLE", dict(onnx_formulas._TABLE))
    onnx_formulas.register("my.Magic", lambda call: Cost("magic", macs=call.args[0].elements), "none")
    proto = model([node("Magic", "x", "y", domain="my")], [T], stated=[])
    proto.graph.output[0].CopyFrom(info("y", 2, 6, 32))
    assert counted(tmp_path, proto).operations("mac", 2) == 2 * 192


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 17)]
    twice = helper.make_function(
        "my", "Twice", ["a", "w"], ["c"], [node("MatMul", "a w", "b"), node("MatMul", "b w", "c")], opsets
    )
    proto = model([node("Twice", "x w", "y", domain="my")], [T], [weight("w", 32, 32)], functions=[twice])
    found = counted(tmp_path, proto)
    assert (found.macs, found.params, found.uncounted) == (2 * 6 * 1024, 1024, ())


def test_functions_that_never_end_are_refused(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
    itself = helper.make_function("my", "F", ["a"], ["b"], [node("F", "a", "b", domain="my")], opsets)
    endless = model([node("F", "x", "y", domain="my")], [T], functions=[itself])
    assert refused(tmp_path, endless).code == "bad-function"
    many = [
        helper.make_function(
            "my",
            f"F{i}",
            ["a"],
            ["b"],
            [node(f"F{i + 1}" if i < 29 else "Relu", "a", "b", domain="my" if i < 29 else "")] * 10,
            opsets,
        )
        for i in range(30)
    ]
    large = model([node("F0", "x", "y", domain="my")], [T], functions=many)
    assert refused(tmp_path, large).code == "too-large"


def test_input_sizes_come_from_the_request(tmp_path: Path) -> None:
    proto = model([node("Conv", "x w")], [info("x", "N", 8, "H", "W")], [weight("w", 4, 8, 3, 3)])
    assert (error := refused(tmp_path, proto)).code == "input-needed"
    assert "'H' of input 'x'" in error.message
    assert counted(tmp_path, proto, image_size=10).macs == 4 * 64 * 72
    assert counted(tmp_path, proto, input="5x8x10x12").macs == 4 * 80 * 72
    for bad in ("5x7x10x12", "5x8x10", "x", "5x8x10x12:int64", "5x8x10x0", "1,2", "5x8x10x12:floaty"):
        with pytest.raises(InputError):
            counted(tmp_path, proto, input=bad)
    with pytest.raises(InputError) as raised:
        counted(tmp_path, proto, training=True)
    assert (raised.value.code, raised.value.field) == ("not-for-onnx", "mode")


def test_a_graph_that_only_fits_one_sample_is_counted_for_one(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x s", "r"), node("MatMul", "r w", "y")]
    found = counted(tmp_path, model(nodes, [info("x", "N", 6, 32)], [ints("s", 1, -1), weight("w", 192, 3)]))
    assert (found.macs, found.input_shape) == (576, (6, 32))
    nodes = [node("Magic", "x", "a", domain="my"), *nodes, node("Relu", "a", "z")]
    stated = [info("a", "N", 6, 32)]
    found = counted(
        tmp_path, model(nodes, [info("x", "N", 6, 32)], [ints("s", 1, -1), weight("w", 192, 3)], stated=stated)
    )
    assert found.ops[-1].output_elements == 192


def refused(path: Path, proto: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        counted(path, proto)
    assert "model.onnx" in str(caught.value) or caught.value.field == "input"
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("seed", range(200))
def test_random_bytes_are_refused(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    refused(tmp_path, source.randbytes(source.choice((0, 1, 7, 64, 1000))))


def test_truncated_files_are_refused_or_counted(tmp_path: Path) -> None:
    whole = CASES["lstm"][0].SerializeToString()
    for end in range(0, len(whole), max(1, len(whole) // 150)):
        harmless(tmp_path, whole[:end])


def harmless(path: Path, proto: Any) -> None:
    try:
        found = counted(path, proto)
    except InputError as error:
        is_sound = "model.onnx" in str(error) or error.field == "input"
    else:
        is_sound = min(found.macs, found.params) >= 0
    assert is_sound


BROKEN: dict[str, Any] = {
    "stride-type": model([node("Conv", "x w", strides="two")], [X], [weight("w", 4, 8, 3, 3)]),
    "zero-stride": model([node("Conv", "x w", strides=[0, 1])], [X], [weight("w", 4, 8, 3, 3)]),
    "group-type": model([node("Conv", "x w", group="many")], [X], [weight("w", 4, 8, 3, 3)]),
    "channels": model([node("Conv", "x w")], [X], [weight("w", 4, 7, 3, 3)]),
    "cycle": model([node("Relu", "b", "a"), node("Relu", "a", "b")], [X]),
    "missing-initializer": model([node("Conv", "x w")], [X], []),
    "no-inputs": model([node("Conv", "", "y")], [X]),
    "negative-weight": model([node("Relu", "w")], [X], [TensorProto(name="w", data_type=FLOAT, dims=[-4])]),
    "negative-input": model([node("Conv", "x w")], [info("x", 2, 8, -3, 4)], [weight("w", 4, 8, 3, 3)]),
    "no-kernel": model([node("MaxPool", "x")], [X]),
    "empty": b"",
    "equation": model([node("Einsum", "x x", equation="ab->c")], [T]),
    "dimensions": model([node("Expand", "x s")], [T, info("s", 10_000_000, dtype=INT64)]),
    "huge": model(
        [node("MatMul", "x w")],
        [info("x", 2, 1 << 40, 1 << 40)],
        [TensorProto(name="w", data_type=FLOAT, dims=[1 << 40, 1 << 40])],
    ),
    "constant": model([node("Constant", "", "c"), node("Relu", "c")], [X]),
    "no-branch": model([node("If", "x")], [X]),
    "loop-body": model(
        [helper.make_node("Loop", ["", "", "x"], ["y"], body=branch("b", [node("Relu", "x", "a")], "a"))], [X]
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_with_the_file_named(tmp_path: Path, name: str) -> None:
    refused(tmp_path, BROKEN[name])


@pytest.mark.slow
def test_a_shape_of_ten_million_elements_is_not_unfolded(tmp_path: Path) -> None:
    proto = model([node("Reshape", "x s")], [T], [weight("s", 10_000_000, dtype=INT64)])
    harmless(tmp_path, proto)
    harmless(
        tmp_path,
        model([node("Range", "a b c"), node("Relu", "x", "z")], [T], [ints("a", 0), ints("b", 1 << 60), ints("c", 1)]),
    )


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.onnx", "\0", "/dev/null"):
        with pytest.raises(InputError):
            onnx_graph.workload(str(path), ModelRequest("onnx:x"))
    with open(tmp_path / "large.onnx", "wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(InputError) as raised:
        onnx_graph.workload(str(tmp_path / "large.onnx"), ModelRequest("onnx:x"))
    assert raised.value.code == "too-large"


def test_external_data_is_never_opened(tmp_path: Path) -> None:
    outside = weight("w", 8, 3)
    constant = TensorProto(data_type=INT64, dims=[2])
    for tensor in (outside, constant):
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")
    nodes = [node("Constant", "", "s", value=constant), node("Reshape", "x s", "r"), node("MatMul", "x w", "y")]
    file = tmp_path / "model.onnx"
    file.write_bytes(model(nodes, [info("x", "N", 8)], [outside]).SerializeToString())
    script = textwrap.dedent("""
        import sys
        opened = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
        from hwbench.workload.onnx import graph
        from hwbench.workload.request import ModelRequest
        found = graph.workload(sys.argv[1], ModelRequest("onnx:x"))
        assert found.macs == 24 and found.params == 24, found
        assert any("model.onnx" in path for path in opened)
        assert not any("passwd" in path for path in opened), opened
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(file)],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
    )
    assert done.returncode == 0, done.stderr


@SHARED
@given(data=st.data())
def test_damaged_files_are_refused_or_counted(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from([case[0] for case in CASES.values()])).SerializeToString())
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    harmless(tmp_path, bytes(whole))


@SHARED
@given(
    groups=st.integers(1, 3), inputs=st.integers(1, 4), outputs=st.integers(1, 4), side=st.integers(5, 12),
    kernel=st.integers(1, 4), stride=st.integers(1, 3), pad=st.integers(0, 2),
)  # fmt: skip
def test_convolutions_count_as_the_closed_form(
    tmp_path: Path, groups: int, inputs: int, outputs: int, side: int, kernel: int, stride: int, pad: int
) -> None:
    from hwbench.workload.layers import products as layers

    op = layers.conv(
        (groups * inputs, side, side), channels=groups * outputs, kernel=kernel, stride=stride, padding=pad,
        groups=groups, bias=False,
    )  # fmt: skip
    attributes = {"group": groups, "strides": [stride] * 2, "pads": [pad] * 4}
    kernels = weight("w", groups * outputs, inputs, kernel, kernel)
    proto = model([node("Conv", "x w", **attributes)], [info("x", "N", groups * inputs, side, side)], [kernels])
    found = counted(tmp_path, proto).ops[0]
    assert (found.macs, found.params, found.kind) == (op.macs, op.params, op.kind)
    assert (found.input_elements, found.output_elements) == (op.input_elements, op.output_elements)


def test_activations_exist_until_their_last_reader(tmp_path: Path) -> None:
    """At the sum: the input, its two readers' results (one seen as a view), and the sum itself; weights apart."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Reshape", ["a", "shape"], ["view"]),
        helper.make_node("Sigmoid", ["x"], ["b"]),
        helper.make_node("Exp", ["b"], ["c"]),
        helper.make_node("Add", ["view", "c"], ["sum"]),
        helper.make_node("MatMul", ["sum", "w"], ["product"]),
        helper.make_node("Cast", ["product"], ["y"], to=INT8),
    ]
    graph = model(nodes, [info("x", "batch", 16)], [ints("shape", -1, 16), weight("w", 16, 8)])
    found = counted(tmp_path, graph)
    assert found.activations == Activations(4 * 16)
    assert found.memory(16, 10).activations_bytes == 2 * 10 * 4 * 16
    assert found.memory(16, 10).weights_bytes == 2 * 16 * 8


@pytest.mark.parametrize(
    ("nodes", "weights", "dtype", "macs", "flops"),
    [
        ([node("MatMulInteger", "x w")], [weight("w", 32, 5, dtype=INT8)], UINT8, 2 * 6 * 32 * 5, 0),
        ([node("DynamicQuantizeMatMul", "x w s", domain="com.microsoft")],
         [weight("w", 32, 5, dtype=INT8), weight("s", 1)], FLOAT, 2 * 6 * 32 * 5, 0),
        ([node("MatMul", "x w")], [weight("w", 32, 5)], FLOAT, 2 * 6 * 32 * 5, 2 * 2 * 6 * 32 * 5),
    ],
)  # fmt: skip
def test_operations_on_integers_stand_apart(
    tmp_path: Path, nodes: list[Any], weights: list[Any], dtype: int, macs: int, flops: int
) -> None:
    answer = counting.count(
        counted(tmp_path, model(nodes, [info("x", 2, 6, 32, dtype=dtype)], weights)), "flop", "fp32", 32, 2
    )
    assert (answer.macs, answer.flops, answer.integer_ops) == (macs, flops, 2 * macs - flops)
    assert {op.dtype for op in answer.workload.ops if op.macs} == {None if flops else "int8"}


def test_arithmetic_of_indices_is_on_integers(tmp_path: Path) -> None:
    nodes = [node("Add", "x x", "a"), node("Cast", "a", "b", to=FLOAT), node("Exp", "b")]
    answer = counting.count(counted(tmp_path, model(nodes, [info("x", 2, 6, dtype=INT64)])), "flop", "fp32", 32, 2)
    assert (answer.elementwise_integer_ops, answer.elementwise_flops) == (2 * 6, 2 * 6)


@pytest.mark.parametrize(("dims", "batch"), [((1, "n"), 1), (("n", 16), 4), ((1, "batch"), 16), (("seq", "B", 16), 16)])
def test_a_letter_names_the_batch_where_it_comes_first(tmp_path: Path, dims: tuple[Any, ...], batch: int) -> None:
    shape = "x".join(["4" if dims[0] in ("n", "seq") else "1", "16", *("16" for _ in dims[2:])])
    nodes = [node("LSTM", "x w r", "y", hidden_size=4)] if len(dims) == 3 else [node("Relu", "x")]
    weights = [weight("w", 1, 16, 16), weight("r", 1, 16, 4)] if len(dims) == 3 else []
    assert counted(tmp_path, model(nodes, [info("x", *dims)], weights), input=shape).batch == batch


@pytest.mark.parametrize(("layout", "batch"), [(0, 7), (1, 3)])
def test_the_layout_of_a_recurrent_layer_says_which_dimension_is_the_batch(
    tmp_path: Path, layout: int, batch: int
) -> None:
    graph = model(
        [node("LSTM", "x w r", hidden_size=4, layout=layout)],
        [info("x", 3, 7, 6)],
        [weight("w", 1, 16, 6), weight("r", 1, 16, 4)],
    )
    found = counted(tmp_path, graph)
    assert (found.batch, found.operations("mac", batch)) == (batch, 3 * 7 * 16 * 10)
