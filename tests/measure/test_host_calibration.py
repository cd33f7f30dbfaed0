"""The factors of this machine are kept beside its runs, and a damaged file counts as none."""

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from hwbench.machine.host.describe import host
from hwbench.measure import host_calibration, settings
from hwbench.measure.record import Measurement, Sample
from hwbench.workload import load

FACTORS = {"compute": 0.9, "memory": 1.1, "overhead": 1.0, "spread": 0.12}


def test_factors_are_kept_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWBENCH_RESULTS", str(tmp_path / "new"))
    machine = host()
    assert host_calibration.load(machine) == {}
    path = host_calibration.save(machine, FACTORS)
    assert host_calibration.load(machine) == FACTORS
    for text in ("", "{}", '{"compute": 1}', '{"compute":0,"memory":1,"overhead":1,"spread":1}', '["no"]', "\xff"):
        Path(path).write_text(text)
        assert host_calibration.load(machine) == {}


def test_an_interrupt_gives_no_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    inference = pytest.importorskip("hwbench.measure.torch.inference")
    samples = (Sample(0.01, 1, 0.01),)
    measured = [
        Measurement("inference", "eager", "s", 1.0, samples, size=f"{name} batch {batch}", stopped="settled")
        for name, batch in host_calibration.NETWORKS
    ]
    monkeypatch.setattr(inference, "build", lambda request: SimpleNamespace(workload=request.model))
    monkeypatch.setattr(inference, "task", lambda *_given: None)
    monkeypatch.setattr(host_calibration, "measure", lambda *_given, **_options: tuple(measured))
    found = host_calibration.times(settings.settings(), lambda _share: None)
    assert [(workload, batch) for workload, batch, _ in found] == list(host_calibration.NETWORKS)
    measured[:] = [msgspec.structs.replace(one, stopped="interrupted") for one in measured[2:]]
    with pytest.raises(KeyboardInterrupt):
        host_calibration.times(settings.settings(), lambda _share: None)


def test_every_network_is_in_the_catalog() -> None:
    assert {name for name, _ in host_calibration.NETWORKS} <= set(load.workloads())
