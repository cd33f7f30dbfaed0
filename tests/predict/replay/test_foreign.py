"""Factors of engines without parameters: those shipped follow from the published times, and of a device's others."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.machine import catalog
from hwbench.predict.data import tables
from hwbench.predict.forecast import forecast
from hwbench.predict.model.parameters import EngineFactor, parameters
from hwbench.predict.model.runtimes import engine_of
from hwbench.predict.replay.foreign import factors
from hwbench.predict.replay.replay import replay
from hwbench.workload import load

WITHOUT = replace(parameters(), engines={})


@pytest.fixture(scope="module")
def rows() -> Any:
    return replay(tables.read(tables.shipped()), known=WITHOUT).rows


def test_the_shipped_factors_follow_from_the_published_times(rows: Any) -> None:
    assert factors(rows) == parameters().engines
    assert {"mxnet-cuda", "ncnn-cpu", "ncnn-vulkan-cuda"} == parameters().engines.keys()


def test_a_factor_is_the_mean_of_devices_and_held_out_of_its_own(rows: Any) -> None:
    """Medians of 2, 4 and 8 times as long on three devices, whatever the number of their rows."""
    first = next(row for row in rows if row.runtime == "ncnn")
    times = {"rtx3090": (2.0, 2.0, 2.0), "rtx4090": (4.0,), "h100-sxm": (7.0, 8.0, 9.0)}
    own = [
        replace(first, device=f"{device} units=2", runtime="mine-2.1", measured_s=ratio, forecast_s=1.0)
        for device, some in times.items() for ratio in some
    ]  # fmt: skip
    [(name, engine)] = factors(own).items()
    assert name == engine_of("mine-2.1", "gpu") == "mine-cuda"
    assert engine.factor == pytest.approx(64 ** (1 / 3.5), rel=1e-3)
    assert engine.of("rtx4090") == pytest.approx(16 ** (1 / 2.5), rel=1e-3)
    assert engine.of("another") == engine.factor
    assert factors(own[:4]) == {}


def test_a_factor_makes_the_whole_forecast_longer() -> None:
    device, workload = catalog.device("rtx3090"), load.workload("alexnet")
    known = replace(WITHOUT, engines={"mine-cuda": EngineFactor(3.0, 0.1, {"rtx4090": 5.0})})
    plain, longer = (forecast(workload, device, foreign="mine-cuda", known=each) for each in (WITHOUT, known))
    assert plain is not None
    assert longer is not None
    assert longer.time_s == pytest.approx(3 * plain.time_s)
    assert sum(op.time_s for op in longer.ops) == pytest.approx(longer.time_s)
    assert longer.shares == plain.shares
    spread = WITHOUT.runtimes["torch-eager-cuda"].spread
    squares = [math.log(each.interval_s[1] / each.time_s) ** 2 for each in (plain, longer)]
    assert squares[0] - squares[1] == pytest.approx(spread.foreign**2 - 0.1**2)
    other = forecast(workload, catalog.device("rtx4090"), foreign="mine-cuda", known=known)
    alone = forecast(workload, catalog.device("rtx4090"), foreign="mine-cuda", known=WITHOUT)
    assert other is not None
    assert alone is not None
    assert other.time_s == pytest.approx(5 * alone.time_s)
