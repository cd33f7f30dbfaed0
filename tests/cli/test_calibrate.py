"""`hwbench calibrate --device host`: kept, named in every forecast, removed; refused on a disturbed machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwbench.api import accuracy, machines
from hwbench.api.checks import LocatedDevice
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


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(accuracy, "REST_S", 0.0)


def codes(answer: Any) -> list[str]:
    return [row["code"] for row in answer.json["notices"]]


@pytest.mark.usefixtures("timed")
def test_a_calibration_is_kept_named_in_forecasts_and_removed(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "disturbances", lambda *_arguments: [])
    assert cli("calibrate --show --device host --json").json["calibration"] is None
    result = cli("calibrate --device host --json").json
    assert result["warnings"] == []
    factors = result["calibration"]
    assert [factors[part] for part in ("compute", "memory")] == pytest.approx([1.5, 1.5], rel=0.1)
    assert (factors["timings"], len(result["timed"])) == (7, 7)
    assert result["file"] in cli("calibrate --show --device host").out.replace("\n", "")
    assert cli("calibrate --show --device host --json").json["calibration"] == factors
    for command in ("estimate -m alexnet -d host", "compare host rtx3090 -m alexnet", "sweep -m alexnet -d host"):
        assert "calibrated" in codes(cli(f"{command} --json")), command
    assert factors["created"][:10] in cli("estimate -m alexnet -d host").out
    assert cli("estimate -m alexnet -d host --json").json["calibration"] == factors
    assert cli("calibrate --reset --json").json["removed"]
    assert not cli("calibrate --reset --device host --json").json["removed"]
    assert "calibrated" not in codes(cli("estimate -m alexnet -d host --json"))


@pytest.mark.usefixtures("timed")
def test_a_disturbed_machine_is_refused(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [notice("other-work", share=0.06), notice("hypervisor-steal", share=0.03)]
    monkeypatch.setattr(snapshot, "disturbances", lambda *_arguments: found)
    assert codes(cli("calibrate --device host --json")) == ["other-work", "hypervisor-steal"]
    found[0] = notice("other-work", share=0.08)
    answer = cli("calibrate --reset --json") and cli("calibrate --device host --json")
    assert (answer.code, answer.json["error"]["code"]) == (2, "disturbed")
    assert cli("calibrate --show --device host --json").json["calibration"] is None
