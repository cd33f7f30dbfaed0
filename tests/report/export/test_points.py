"""Points of sweeps as CSV and JSON: both hold every point with every digit, and parse as what they are."""

import csv
import io
import json

import msgspec
import pytest

from hwbench.machine import catalog
from hwbench.machine.parts import Memory
from hwbench.predict.estimate import estimate
from hwbench.report.export.sweep import COLUMNS, PointWriter
from hwbench.study.sweep.panel import Panel
from hwbench.study.sweep.sweep import chunks, panel
from hwbench.workload import load

MODELS = {name: load.workload(name) for name in ("alexnet", "lenet5")}
ODD_NAME = 'bare, "odd" at 100 %s'


def _panels() -> list[Panel]:
    bare = msgspec.structs.replace(catalog.device("rtx3090"), name=ODD_NAME, memory=Memory(), power=None)
    devices = (catalog.device("rtx3090"), catalog.device("apple-m1"), bare)
    return [
        panel(part)
        for model in ("alexnet", "lenet5")
        for part in chunks(MODELS[model], "fp16", devices, (1, 7, 100_000))
    ]  # fmt: skip


def test_csv_holds_every_point() -> None:
    text = "".join(PointWriter("csv").pieces(_panels()))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 2 * 3 * 3
    assert {row["device"] for row in rows} == {"rtx3090", "apple-m1", ODD_NAME}
    for row in rows:
        name = "rtx3090" if row["device"].startswith("bare") else row["device"]
        point_estimate = estimate(MODELS[row["model"]], catalog.device(name), row["dtype"], int(row["batch"]))
        assert float(row["ideal_time_s"]) == pytest.approx(point_estimate.ideal_time_s, rel=1e-12)
        if row["device"].startswith("bare"):
            assert (row["roofline_time_s"], row["bound"], row["fits"], row["power_w"]) == ("", "", "", "")
            assert row["pareto"] == "false"
            continue
        assert float(row["roofline_time_s"]) == pytest.approx(point_estimate.roofline_time_s, rel=1e-12)
        assert float(row["expected_time_s"]) == pytest.approx(point_estimate.forecast.time_s, rel=1e-9)
        assert float(row["throughput_per_s"]) == pytest.approx(point_estimate.forecast.throughput_per_s, rel=1e-9)
        assert (row["bound"], row["fits"]) == (point_estimate.bound, str(point_estimate.fits).lower())


def test_json_and_csv_hold_the_same() -> None:
    points = json.loads("[" + "".join(PointWriter("json").pieces(_panels())) + "]")
    rows = list(csv.DictReader(io.StringIO("".join(PointWriter("csv").pieces(_panels())))))
    assert len(points) == len(rows)
    for point, row in zip(points, rows, strict=True):
        assert tuple(point) == COLUMNS
        for key, value in point.items():
            text = row[key]
            if value is None:
                assert text == ""
            elif isinstance(value, bool):
                assert text == str(value).lower()
            else:
                assert type(value)(text) == value
