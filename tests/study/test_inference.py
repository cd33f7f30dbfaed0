"""A measured time compared with its predictions: utilization, ratios, layers."""

from typing import Any

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
        "time": Interval(seconds, seconds * 0.99, seconds * 1.02), "runtime": "torch-2.13-eager", "dtype": "fp32",
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
    import msgspec

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
