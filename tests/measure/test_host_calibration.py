"""The networks that calibrate this machine are timed in full or not at all."""

from types import SimpleNamespace

import msgspec
import pytest

from hwbench.errors import HwbenchError, InputError
from hwbench.measure import engines, host_calibration, settings
from hwbench.measure.record import Measurement, Sample
from hwbench.workload import load


def quiet(_share: float, _text: str) -> None:
    """Show nothing."""


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
    found = host_calibration.times(settings.settings(), ["torch-eager"], quiet)["torch-eager"]
    assert [(workload, batch) for workload, batch, _ in found] == list(host_calibration.NETWORKS)
    measured[0] = msgspec.structs.replace(measured[0], checked=False)
    with pytest.raises(HwbenchError, match="openvino gave another output of alexnet"):
        host_calibration.times(settings.settings(), ["openvino"], quiet)
    measured[:] = [msgspec.structs.replace(one, stopped="interrupted") for one in measured[2:]]
    with pytest.raises(KeyboardInterrupt):
        host_calibration.times(settings.settings(), ["torch-eager"], quiet)


def test_every_network_is_in_the_catalog() -> None:
    assert {name for name, _ in (*host_calibration.NETWORKS, *host_calibration.GPU_NETWORKS)} <= set(load.workloads())


@pytest.mark.slow
def test_networks_are_timed_on_a_gpu_as_on_any_device_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from hwbench.measure.torch.device import TorchDevice

    networks = (("squeezenet1.0", 1), ("mobilenet-v2", 2))
    monkeypatch.setattr(host_calibration, "GPU_NETWORKS", networks)
    monkeypatch.setattr(host_calibration, "BUDGET_S", 0.5)
    place = TorchDevice("cpu", "a GPU")
    found = host_calibration.times(settings.settings(), ["torch-eager"], quiet, place)["torch-eager"]
    assert [(workload.name, batch) for workload, batch, _ in found] == list(networks)
    assert all(time > 0 for *_, time in found)


@pytest.mark.slow
def test_networks_are_timed_in_each_runtime_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "onnxruntime", "onnxscript"):
        pytest.importorskip(name)
    shown: list[tuple[float, str]] = []
    monkeypatch.setattr(host_calibration, "NETWORKS", (("lenet5", 1), ("lenet5", 4)))
    monkeypatch.setattr(host_calibration, "BUDGET_S", 0.5)
    names = ["torch-eager", "onnxruntime"]
    found = host_calibration.times(settings.settings(), names, lambda *pair: shown.append(pair))
    assert list(found) == names
    assert [batch for _, batch, _ in found["onnxruntime"]] == [1, 4]
    assert found["onnxruntime"] != found["torch-eager"]
    shares, texts = zip(*shown, strict=True)
    assert list(shares) == sorted(shares)
    assert list(dict.fromkeys(texts)) == [f"timing networks in {name}" for name in names]


def test_runtimes_are_those_installed_that_do_not_compile_for_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_package", lambda name: name != "openvino")
    assert host_calibration.chosen((), on_gpu=False) == ["torch-eager", "onnxruntime"]
    assert host_calibration.chosen((), on_gpu=True) == ["torch-eager"]
    assert host_calibration.chosen(["torch-compile", "torch"], on_gpu=True) == ["torch-compile", "torch-eager"]
    assert host_calibration.chosen(["all"], on_gpu=False) == ["torch-eager", "torch-compile", "onnxruntime"]
    assert host_calibration.chosen(["all"], on_gpu=True) == ["torch-eager", "torch-compile"]
    for names, on_gpu, code in (
        (["openvino"], False, "engine-missing"), (["tvm"], False, "unknown-runtime"),
        (["onnxruntime"], True, "engine-on-gpu"),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            host_calibration.chosen(names, on_gpu)
        assert caught.value.code == code
