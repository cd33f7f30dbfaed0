"""ONNX files run by engines in a process of their own: random weights, inputs of a batch, errors about the file."""

from pathlib import Path

import numpy as np
import pytest

from hwbench import api
from hwbench.errors import InputError
from hwbench.workload.request import ModelRequest

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from hwbench.workload.onnx.runnable import runnable  # noqa: E402


def graph(path: Path, kind: str = "Relu", domain: str = "") -> str:
    """Write conv 3→64, an activation and conv 64→64 on 8×8 images; the second weight is large, and stored outside."""
    small = numpy_helper.from_array(np.full((64, 3, 3, 3), 0.1, np.float32), "small")
    large = TensorProto(name="large", data_type=TensorProto.FLOAT, dims=(64, 64, 3, 3))
    large.data_location = TensorProto.EXTERNAL
    large.external_data.add(key="location", value="/etc/passwd")
    nodes = [
        helper.make_node("Conv", ["x", "small"], ["a"], name="first"),
        helper.make_node(kind, ["a"], ["b"], name="middle", domain=domain),
        helper.make_node("Conv", ["b", "large"], ["y"], name="second"),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64, 4, 4])
    body = helper.make_graph(nodes, "net", [image], [output], [small, large])
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    path.write_bytes(helper.make_model(body, opset_imports=opsets, ir_version=8).SerializeToString())
    return str(path)


FLOPS = 2 * (64 * 3 * 9 * 36 + 64 * 64 * 9 * 16)


def test_small_weights_stay_and_large_ones_are_random(tmp_path: Path) -> None:
    found = runnable(graph(tmp_path / "net.onnx"), ModelRequest("net"), 5)
    assert found.inputs == (((5, 3, 8, 8), "float32"),)
    weights = {
        each.name: numpy_helper.to_array(each) for each in onnx.load_from_string(found.content).graph.initializer
    }
    assert (weights["small"] == np.float32(0.1)).all()
    assert weights["large"].shape == (64, 64, 3, 3)
    assert weights["large"].std() == pytest.approx(0.02, rel=0.05)
    again = runnable(graph(tmp_path / "net.onnx"), ModelRequest("net"), 5)
    assert again.content == found.content


def test_an_engine_takes_the_graph(tmp_path: Path) -> None:
    from hwbench.measure.engines import engine

    torch = pytest.importorskip("torch")
    found = runnable(graph(tmp_path / "net.onnx"), ModelRequest("net"), 2)
    prepared = engine("onnxruntime").prepare(found.content, [(torch.ones(2, 3, 8, 8),)], batch=2)
    assert prepared.outputs()[0].shape == (2, 64, 4, 4)
    with pytest.raises(InputError) as caught:
        engine("onnxruntime").prepare(found.content, [(torch.ones(2, 3, 8, 8),)], dtype="fp16")
    assert caught.value.code == "unsupported-dtype"


def test_an_input_of_a_stated_value_is_part_of_the_graph(tmp_path: Path) -> None:
    proto = onnx.load(graph(tmp_path / "net.onnx"), load_external_data=False)
    proto.graph.node.append(helper.make_node("Mul", ["y", "scale"], ["z"]))
    proto.graph.input.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, [1]))
    onnx.save(proto, str(tmp_path / "scaled.onnx"))
    request = ModelRequest("net", values=(("scale", 3.0),))
    found = runnable(str(tmp_path / "scaled.onnx"), request, 2)
    body = onnx.load_from_string(found.content).graph
    stated = {each.name: numpy_helper.to_array(each).tolist() for each in body.initializer if each.dims == [1]}
    assert (found.inputs, [each.name for each in body.input]) == ((((2, 3, 8, 8), "float32"),), ["x"])
    assert stated == {"scale": [3.0]}


@pytest.mark.slow
@pytest.mark.realtime
def test_a_file_is_run_beside_what_is_counted(tmp_path: Path) -> None:
    path = graph(tmp_path / "net.onnx")
    answer = api.run(path, runtimes=("onnxruntime", "openvino"), batches=(2,), threads=1, budget=0.5)
    rows = [(row.runtime, row.batch, row.flops, row.checked) for row in answer.runs]
    assert rows == [("onnxruntime", 2, 2 * FLOPS, True), ("openvino", 2, 2 * FLOPS, True)]
    assert len(answer.run.measurements) == 2
    assert answer.fastest[0].time_s == min(row.time_s for row in answer.runs)


@pytest.mark.slow
@pytest.mark.realtime
def test_an_operator_that_no_engine_knows_is_an_error_about_the_file(tmp_path: Path) -> None:
    path = graph(tmp_path / "net.onnx", "Mystery", "com.example")
    with pytest.raises(InputError) as caught:
        api.run(path, runtimes=("onnxruntime",), threads=1, budget=0.5)
    assert (caught.value.code, caught.value.file) == ("not-runnable", path)
    assert "Mystery" in caught.value.message
