"""`hwbench calibrate --device host`: factors are kept and used from then on, and a disturbed machine is said."""

from collections.abc import Callable
from typing import Any

import pytest

from hwbench.api import lookup
from hwbench.machine import catalog
from hwbench.measure import host_calibration
from hwbench.measure.environment import snapshot
from hwbench.predict.forecast import forecast
from hwbench.workload import load

CPU = catalog.device("ryzen7-5800x")


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that took half as long again as this CPU is expected to take."""

    def times(*_given: object) -> list[tuple[Any, int, float]]:
        found = []
        for name, batch in host_calibration.NETWORKS:
            workload = load.workload(name)
            prediction = forecast(workload, CPU, batch=batch)
            assert prediction is not None
            found.append((workload, batch, 1.5 * prediction.time_s))
        return found

    monkeypatch.setattr(host_calibration, "times", times)
    monkeypatch.setattr(lookup, "at_measured", lambda *_given: (CPU, ()))


@pytest.mark.usefixtures("timed")
def test_factors_of_this_machine_are_kept(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "disturbances", lambda *_given: [])
    answer = cli("calibrate --device host --json")
    assert answer.code == 0
    found = answer.json
    assert found["warnings"] == []
    assert [found["factors"][part] for part in ("compute", "memory")] == pytest.approx([1.5, 1.5], rel=0.1)
    kept = cli("calibrate --device host").out
    assert found["file"] in kept.replace("\n", "")


@pytest.mark.usefixtures("timed")
def test_a_disturbed_calibration_says_so(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    told = "Other work took 52 % of the CPUs' time while measuring."
    monkeypatch.setattr(snapshot, "disturbances", lambda *_given: [told])
    first, second = cli("calibrate --device host --json").json["warnings"]
    assert first == told
    assert "calibrate again" in second
