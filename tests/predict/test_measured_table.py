"""Forecasts of runtimes on CPUs against a sample of the table that the campaign measured on one core."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from hwbench.predict.data import splits, tables
from hwbench.predict.replay.replay import replay

MEASURED = Path(__file__).parents[2] / "results/measured"
TABLE = MEASURED / "epyc-9r14/times.csv"


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "limit"), [("torch", 0.12), ("onnxruntime", 0.1), ("openvino", 0.08)])
def test_networks_of_timm_are_forecast(runtime: str, limit: float) -> None:
    """Of every second model, whose traces come with hwbench, most lie in the interval of families held out."""
    table = tables.read([str(TABLE)])
    rows = [row for row in table.rows if row.model.startswith("timm:") and (row.runtime or "").startswith(runtime)]
    found = replay(replace(table, rows=tuple(rows[::2]), skipped=())).rows
    assert len(found) >= 20
    assert sum(abs(row.error) for row in found) / len(found) <= limit
    inside = [row.interval_s[0] <= row.measured_s <= row.interval_s[1] for row in found]
    assert sum(inside) >= 0.7 * len(inside)


@pytest.mark.parametrize(("runtime", "limit"), [("torch", 0.18), ("onnxruntime", 0.16), ("openvino", 0.12)])
def test_networks_on_a_machine_that_was_not_fitted(runtime: str, limit: float) -> None:
    """The measured caches of an Intel core carry what was fitted on AMD's; at the rate of L2 times are too short."""
    table = tables.read([str(MEASURED / "emerald-rapids/times.csv")])
    rows = [row for row in table.rows if row.model.startswith("timm:") and (row.runtime or "").startswith(runtime)]
    found = replay(replace(table, rows=tuple(rows), skipped=())).rows
    assert len(found) >= 15
    assert sum(abs(row.error) for row in found) / len(found) <= limit
    inside = [row.interval_s[0] <= row.measured_s <= row.interval_s[1] for row in found]
    assert sum(inside) >= 0.7 * len(inside)


def test_kinds_of_layers_are_families() -> None:
    assert splits.family("layers:transposed-four") == "layers:transposed"
    assert splits.family("timm:transposed_four") == "transposed"
    assert [splits.member(name) for name in ("layers:conv-7", "timm:resnet50_b")] == ["layers:conv-7", "resnet"]
    assert [splits.kind(name) for name in ("layers:conv-7", "resnet")] == ["layers:conv", "resnet"]
