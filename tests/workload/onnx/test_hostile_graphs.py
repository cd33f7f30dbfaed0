"""Graphs by which onnx's own inference aborts, divides by zero or takes all memory: each is an error here."""

from pathlib import Path
from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.workload import load

onnx = pytest.importorskip("onnx")


def written(folder: Path, nodes: list[Any], shape: list[int], constants: dict[str, list[int]] | None = None) -> str:
    from onnx import TensorProto, helper

    tensors = [helper.make_tensor(k, TensorProto.INT64, [len(v)], v) for k, v in (constants or {}).items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    path = folder / "x.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())
    return str(path)


def node(operator: str, inputs: str = "x", outputs: str = "y", **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


@pytest.mark.parametrize("number", [1, 3, 10**9, 2**62])
def test_a_split_has_the_outputs_that_it_states(tmp_path: Path, number: int) -> None:
    with pytest.raises(InputError) as caught:
        load.workload(written(tmp_path, [node("Split", outputs="y z", num_outputs=number)], [4, 4]))
    assert caught.value.code == "bad-node"


def test_a_split_into_more_parts_than_there_are_is_refused(tmp_path: Path) -> None:
    names = " ".join(f"y{i}" for i in range(9))
    with pytest.raises(InputError):
        load.workload(written(tmp_path, [node("Split", outputs=names, num_outputs=9)], [4, 4]))


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool", "LpPool"])
def test_a_window_wider_than_its_input_is_refused(tmp_path: Path, operator: str) -> None:
    nodes = [node(operator, kernel_shape=[9, 9]), node("Slice", "y a b c", "z")]
    constants = {"a": [0], "b": [2], "c": [2]}
    with pytest.raises(InputError) as caught:
        load.workload(written(tmp_path, nodes, [1, 3, 4, 4], constants))
    assert caught.value.code == "bad-node"


@pytest.mark.parametrize("size", [0, -1, 2**32, 2**62])
def test_a_block_of_any_size_divides_by_nothing(tmp_path: Path, size: int) -> None:
    with pytest.raises(InputError):
        load.workload(written(tmp_path, [node("SpaceToDepth", blocksize=size)], [1, 3, 4, 4]))


def test_a_tensor_larger_than_any_memory_is_refused(tmp_path: Path) -> None:
    nodes = [node("Expand", "x a"), node("Reshape", "y b", "z")]
    with pytest.raises(InputError) as caught:
        load.workload(written(tmp_path, nodes, [1, 1], {"a": [2**40, 2**40], "b": [-1]}))
    assert caught.value.code == "too-large"


def test_functions_that_double_are_refused_early(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    opset = [helper.make_opsetid("", 18), helper.make_opsetid("me", 1)]
    functions = [helper.make_function("me", "f0", ["x"], ["y"], [node("Relu", "x", "y")], opset)]
    for index in range(1, 20):
        inner = [helper.make_node(f"f{index - 1}", *pair, domain="me") for pair in ((["x"], ["z"]), (["z"], ["y"]))]
        functions.append(helper.make_function("me", f"f{index}", ["x"], ["y"], inner, opset))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("f19", ["x"], ["y"], domain="me")], "g", [x], [y])
    model = helper.make_model(graph, functions=functions, opset_imports=opset)
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError) as caught:
        load.workload(str(tmp_path / "x.onnx"))
    assert caught.value.code == "too-large"
