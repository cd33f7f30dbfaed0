"""The networks that calibrate this machine are timed in full or not at all."""

from types import SimpleNamespace

import msgspec
import pytest

from hwbench.measure import host_calibration, settings
from hwbench.measure.record import Measurement, Sample
from hwbench.workload import load


def test_an_interrupt_gives_no_factors(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from hwbench.measure.inference import model, tasks

    samples = (Sample(0.01, 1, 0.01),)
    measured = [
        Measurement("inference", "eager", "s", 1.0, samples, size=f"{name} batch {batch}", stopped="settled")
        for name, batch in host_calibration.NETWORKS
    ]
    monkeypatch.setattr(model, "build", lambda request: SimpleNamespace(workload=request.model))
    monkeypatch.setattr(tasks, "task", lambda *_given: None)
    monkeypatch.setattr(host_calibration, "measure", lambda *_given, **_options: tuple(measured))
    found = host_calibration.times(settings.settings(), lambda _share: None)
    assert [(workload, batch) for workload, batch, _ in found] == list(host_calibration.NETWORKS)
    measured[:] = [msgspec.structs.replace(one, stopped="interrupted") for one in measured[2:]]
    with pytest.raises(KeyboardInterrupt):
        host_calibration.times(settings.settings(), lambda _share: None)


def test_every_network_is_in_the_catalog() -> None:
    assert {name for name, _ in (*host_calibration.NETWORKS, *host_calibration.GPU_NETWORKS)} <= set(load.workloads())


def test_networks_are_timed_on_a_gpu_as_on_any_device_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from hwbench.measure.torch.device import TorchDevice

    networks = (("squeezenet1.0", 1), ("mobilenet-v2", 2))
    monkeypatch.setattr(host_calibration, "GPU_NETWORKS", networks)
    monkeypatch.setattr(host_calibration, "BUDGET_S", 0.5)
    found = host_calibration.times(settings.settings(), lambda _share: None, TorchDevice("cpu", "a GPU"))
    assert [(workload.name, batch) for workload, batch, _ in found] == list(networks)
    assert all(time > 0 for *_, time in found)
