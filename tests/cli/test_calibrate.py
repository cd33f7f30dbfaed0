"""`hwbench calibrate --device host`: factors are saved and used from then on, and a disturbed machine is a notice."""

from collections.abc import Callable
from typing import Any

import pytest

from hwbench.api import machines
from hwbench.api.references import LocatedDevice
from hwbench.machine import catalog
from hwbench.measure import host_calibration
from hwbench.measure.environment import snapshot
from hwbench.notices import notice
from hwbench.predict.forecast import forecast
from hwbench.workload import load

CPU = catalog.device("ryzen7-5800x")


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that took half as long again as this CPU is expected to take."""

    def times(*_arguments: object) -> list[tuple[Any, int, float]]:
        found = []
        for name, batch in host_calibration.NETWORKS:
            workload = load.workload(name)
            prediction = forecast(workload, CPU, batch=batch)
            assert prediction is not None
            found.append((workload, batch, 1.5 * prediction.time_s))
        return found

    monkeypatch.setattr(host_calibration, "times", times)
    monkeypatch.setattr(machines, "measured", lambda _machine: LocatedDevice(CPU))


@pytest.mark.usefixtures("timed")
def test_factors_of_this_machine_are_kept(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "disturbances", lambda *_arguments: [])
    answer = cli("calibrate --device host --json")
    assert answer.code == 0
    result = answer.json
    assert result["warnings"] == []
    assert [result["factors"][part] for part in ("compute", "memory")] == pytest.approx([1.5, 1.5], rel=0.1)
    text = cli("calibrate --device host").out
    assert result["file"] in text.replace("\n", "")


@pytest.mark.usefixtures("timed")
def test_a_disturbed_calibration_has_a_notice(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "disturbances", lambda *_arguments: [notice("other-work", share=0.52)])
    codes = [row["code"] for row in cli("calibrate --device host --json").json["notices"]]
    assert codes == ["other-work", "calibrated-while-disturbed"]
