"""A measured time compared with its predictions: utilization, ratios, layers."""

from typing import Any

import msgspec
import pytest

from hwbench.machine import catalog
from hwbench.predict.estimate import estimate
from hwbench.report.text import inference as report
from hwbench.stats.intervals import Interval
from hwbench.study import inference as study
from hwbench.workload import load

NET, CARD = load.workload("lenet5"), catalog.device("rtx3090")
PREDICTED = estimate(NET, CARD)
WORK = (NET.operations("flop"), NET.work(32).traffic)


def timed(seconds: float, **changes: Any) -> study.TimedRun:
    usual: dict[str, Any] = {
        "time": Interval(seconds, seconds * 0.99, seconds * 1.02), "runtime": "torch-eager", "dtype": "fp32",
        "software": "torch-2.13-eager", "precision": "fp32", "default_precision": "fp32",
        "batch": 1, "threads": 2, "grade": "A", "reasons": (), "samples": 9, "checked": True,
    }  # fmt: skip
    return study.TimedRun(**{**usual, **changes})


def test_what_follows_from_a_time() -> None:
    found = study.inference(timed(1e-3), "lenet5", "rtx3090", WORK, PREDICTED)
    assert found.throughput_per_s == pytest.approx(1000)
    assert found.achieved_flops_per_second == pytest.approx(833040 / 1e-3)
    assert found.utilization == pytest.approx(833040 / 1e-3 / PREDICTED.peak_flops_per_second)
    assert found.roofline_ratio == pytest.approx(1e-3 / (PREDICTED.roofline_time_s or 0))
    assert found.interval_s == pytest.approx((0.99e-3, 1.02e-3))
    assert found.notices == ()


def test_without_a_device_there_is_no_prediction() -> None:
    found = study.inference(timed(1e-3), "lenet5", "A card", WORK, None)
    assert (found.utilization, found.ideal_time_s, found.roofline_ratio, found.expected_time_s) == (None,) * 4
    assert "roofline" not in "\n".join(report.single(found))


def test_a_run_above_the_peak_and_a_wrong_output_are_noticed() -> None:
    found = study.inference(timed(1e-9, checked=False), "lenet5", "rtx3090", WORK, PREDICTED)
    assert [notice.code for notice in found.notices] == ["run-above-peak", "run-output-wrong"]
    assert found.notices[0].data["utilization"] == found.utilization


def test_ratios_and_rates_by_hand() -> None:
    """Two images in 4 ms: 1e9 FLOP at a peak of 5e11, a roofline of 2 ms."""
    forecast = msgspec.structs.replace(PREDICTED.forecast, time_s=8e-3, interval_s=(5e-3, 9e-3))
    bounds = {"peak_flops_per_second": 5e11, "roofline_time_s": 2e-3, "ideal_time_s": 1e-3}
    predicted = msgspec.structs.replace(PREDICTED, **bounds, forecast=forecast)
    found = study.inference(timed(4e-3, batch=2), "net", "card", (10**9, 2000), predicted)
    assert (found.throughput_per_s, found.achieved_flops_per_second) == pytest.approx((500, 2.5e11))
    assert (found.utilization, found.roofline_ratio, found.expected_ratio) == pytest.approx((0.5, 2, 0.5))
    assert (found.expected_time_s, found.expected_interval_s, found.ideal_time_s) == (8e-3, (5e-3, 9e-3), 1e-3)
    assert (found.flops, found.traffic_bytes, found.interval_level) == (10**9, 2000, 0.95)
    assert (found.layers, found.between_s) == ((), None)
    at_the_peak = study.inference(timed(2e-3), "net", "card", (10**9, 2000), predicted)
    assert (at_the_peak.utilization, at_the_peak.notices) == (1, ())
    nothing = msgspec.structs.replace(predicted, peak_flops_per_second=None, roofline_time_s=None, forecast=None)
    unknown = study.inference(timed(2e-3), "net", "card", (10**9, 2000), nothing)
    assert (unknown.utilization, unknown.roofline_ratio, unknown.expected_time_s, unknown.expected_ratio) == (None,) * 4


def test_a_module_has_the_sums_over_its_ops_and_the_kind_of_the_largest() -> None:
    small, large, other = PREDICTED.layers[:3]
    changes = (("a:1", 10, 7, 1e-6, 3e-6), ("a:2", 30, 5, 2e-6, 5e-6), ("b:1", 0, 9, 4e-6, None))
    names = ("name", "flops", "traffic_bytes", "roofline_time_s", "expected_time_s")
    ops = tuple(
        msgspec.structs.replace(op, kind=kind, **dict(zip(names, values, strict=True)))
        for op, kind, values in zip((small, large, other), ("small", "large", "other"), changes, strict=True)
    )
    predicted = msgspec.structs.replace(PREDICTED, layers=ops, peak_flops_per_second=1e7)
    layers = {"a": Interval(8e-6, 7e-6, 9e-6), "b": Interval(1e-6, 1e-6, 1e-6)}
    found = study.inference(timed(2e-5, layers=layers), "net", "card", WORK, predicted, traced=True)
    a, b = found.layers
    assert (a.kind, a.flops, a.traffic_bytes, a.interval_s) == ("large", 40, 12, (7e-6, 9e-6))
    assert (a.roofline_time_s, a.expected_time_s, a.share, a.utilization) == pytest.approx((3e-6, 8e-6, 0.4, 0.5))
    assert (b.kind, b.expected_time_s, b.utilization) == ("other", None, None)
    assert found.between_s == pytest.approx(1.1e-5)


def test_layers_join_the_estimate_by_name() -> None:
    layers = {op.name: Interval(1e-5, 1e-5, 1e-5) for op in NET.ops}
    found = study.inference(timed(2e-4, layers=layers), "lenet5", "rtx3090", WORK, PREDICTED)
    assert [layer.name for layer in found.layers] == [op.name for op in NET.ops]
    assert sum(layer.flops for layer in found.layers) == WORK[0]
    assert found.between_s == pytest.approx(2e-4 - 1e-5 * len(NET.ops))
    assert found.layers[0].share == pytest.approx(0.05)
    first = PREDICTED.layers[0]
    assert found.layers[0].roofline_time_s == first.roofline_time_s
    assert found.layers[0].utilization == pytest.approx(first.flops / 1e-5 / PREDICTED.peak_flops_per_second)
    assert found.layers[1].utilization is None  # an activation has no multiply-adds
    text = report.single(found)
    assert max(map(len, text)) <= 100
    assert any("without operations" in line for line in text)


def test_layers_of_a_traced_model_are_modules() -> None:
    ops = tuple(
        msgspec.structs.replace(layer, name=f"{'head' if index else ''}:op{index}")
        for index, layer in enumerate(PREDICTED.layers)
    )
    traced = msgspec.structs.replace(PREDICTED, layers=ops)
    layers = {name: Interval(1e-5, 1e-5, 1e-5) for name in ("", "head", "dropout")}
    found = study.inference(timed(1e-4, layers=layers), "net", "rtx3090", WORK, traced, traced=True)
    assert [layer.name for layer in found.layers] == [study.WHOLE, "head"]  # a module without ops is none
    assert found.layers[1].flops == sum(layer.flops for layer in PREDICTED.layers[1:])


def test_text_of_several_and_of_one_sample() -> None:
    runs = [study.inference(timed(1e-3, samples=samples), "lenet5", "rtx3090", WORK, PREDICTED) for samples in (1, 9)]
    lines = report.several(runs)
    assert max(map(len, lines)) <= 100
    assert [line.count("±") for line in lines[-2:]] == [0, 1]
    assert "one sample" in "\n".join(report.single(runs[0]))


def test_what_an_engine_does_by_itself_is_noticed() -> None:
    def codes(**changes: str) -> list[str]:
        return [each.code for each in study.inference(timed(1e-3, **changes), "lenet5", "host", WORK, None).notices]

    assert codes() == []
    assert codes(runtime="onnxruntime", dtype="fp16") == ["engine-precision"]
    assert codes(runtime="openvino", default_precision="bf16") == ["engine-default"]
    assert codes(runtime="openvino", dtype="bf16", precision="bf16", default_precision="bf16") == []
    assert codes(dtype="amp", precision="fp16") == [], "autocast computes in fp16 as it should"
