"""The fastest runtime and its reasons, worked out by hand from profiles."""

import pytest
from msgspec.structs import replace

from hwbench.measure.engines.base import EngineLayer
from hwbench.report.text.inference import reasons
from hwbench.stats.intervals import Interval
from hwbench.study.inference import Inference, TimedRun, inference
from hwbench.study.runtimes import PRODUCTS, Part, contenders, fastest

EAGER = TimedRun(Interval(0.010, 0.0099, 0.0101, 0.95), "torch-eager", "torch-2.13-eager", "fp32", "fp32", "fp32", 1, 1,
                 "A", (), 9, True)  # fmt: skip


def run(runtime: str, seconds: float, batch: int = 1, precision: str = "fp32") -> Inference:
    time = Interval(seconds, 0.99 * seconds, 1.01 * seconds, 0.95)
    timed = replace(EAGER, runtime=runtime, time=time, batch=batch, precision=precision)
    return inference(timed, "net", "host", (1000, 1000), None)


RUNS = [run("torch-eager", 0.010), run("openvino", 0.004), run("onnxruntime", 0.006)]
PROFILES = {
    ("torch-eager", "fp32", 1): [
        EngineLayer("a", "aten::conv2d", 0.004), EngineLayer("b", "aten::batch_norm", 0.002),
        EngineLayer("c", "aten::relu", 0.001),
    ],
    ("openvino", "fp32", 1): [EngineLayer("a", "Convolution", 0.0035), EngineLayer("b", "Reorder", 0.0002)],
}  # fmt: skip


def test_the_parts_add_up_to_the_difference() -> None:
    (best,) = fastest(RUNS, PROFILES)
    assert (best.runtime, best.baseline, best.batch) == ("openvino", "torch-eager", 1)
    assert best.ratio == pytest.approx(2.5)
    saved = {part.part: part.saved_s for part in best.parts}
    assert list(saved) == ["layers", "between"], "convolutions save less than a tenth of the difference"
    assert saved == pytest.approx({"layers": 0.0028, "between": 0.0027})
    assert [(part.layers, part.baseline_layers) for part in best.parts] == [(1, 2), (0, 0)]
    quicker = [EngineLayer("a", "Convolution", 0.0031), EngineLayer("b", "Reorder", 0.0002)]
    (best,) = fastest(RUNS, {**PROFILES, ("openvino", "fp32", 1): quicker})
    assert [part.part for part in best.parts] == ["layers", "between", "products"], "a seventh is a reason"
    assert best.tied == ()
    part = Part("layers", 1.0, 2.0)
    assert (part.layers, part.baseline_layers, part.saved_s) == (0, 0, 1.0)


def test_a_profile_of_more_than_the_time_is_scaled_down_to_it() -> None:
    slow = [replace(layer, time_s=10 * layer.time_s) for layer in PROFILES["torch-eager", "fp32", 1]]
    (best,) = fastest(RUNS, {**PROFILES, ("torch-eager", "fp32", 1): slow})
    parts = {part.part: part.baseline_time_s for part in best.parts}
    assert parts == pytest.approx({"layers": 0.010 * 3 / 7, "products": 0.010 * 4 / 7})


def test_each_batch_has_its_fastest_and_overlaps_are_named() -> None:
    runs = [run("torch-eager", 0.010), run("openvino", 0.004), run("onnxruntime", 0.00405), run("openvino", 0.1, 8)]
    assert [(best.runtime, other.runtime) for best, other in contenders(runs)] == [("openvino", "torch-eager")]
    (best,) = fastest(runs, {})
    assert (best.tied, best.parts) == (("onnxruntime in fp32",), ())


def test_precision_is_a_reason_and_one_runtime_has_no_sentence() -> None:
    (best,) = fastest([run("torch-eager", 0.010), run("openvino", 0.004, precision="bf16")], PROFILES | {
        ("openvino", "fp32", 1): [EngineLayer("a", "Convolution", 0.0035)]})  # fmt: skip
    (text,) = [" ".join(reasons([best])).strip()]
    assert "bf16" in text
    assert "4 ms" in text
    assert "10 ms" in text
    assert reasons([replace(best, baseline="openvino")]) == []


@pytest.mark.parametrize("kind", ["aten::conv2d", "aten::addmm", "FusedConv", "MatMul", "FullyConnected", "LSTMCell",
                                  "mkldnn::_convolution_pointwise", "mkldnn::_linear_pointwise", "Gemm"])  # fmt: skip
def test_layers_that_multiply_matrices(kind: str) -> None:
    assert PRODUCTS.search(kind.lower())


@pytest.mark.parametrize("kind", ["Convert", "aten::relu_", "Reorder", "aten::batch_norm", "QLinearAdd", "Subgraph"])
def test_layers_that_do_not(kind: str) -> None:
    assert not PRODUCTS.search(kind.lower())
