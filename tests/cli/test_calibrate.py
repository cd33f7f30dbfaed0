"""`hwbench calibrate --device D`: kept, named in every forecast, removed; refused if disturbed, or for few timings."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwbench.api import accuracy, machines
from hwbench.api.checks import LocatedDevice
from hwbench.machine import catalog
from hwbench.measure import host_calibration
from hwbench.measure.environment import snapshot
from hwbench.measure.torch import device as devices
from hwbench.measure.torch import gpu
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


def test_a_gpu_of_this_machine_is_calibrated_under_its_name_in_the_catalog(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    card, asked = catalog.device("rtx4070"), []

    def times(_settings: object, _progress: object, gpu: Any, dtype: str) -> list[tuple[Any, int, float]]:
        asked.append((gpu.torch_name, dtype))
        pairs = [(load.workload(name), batch) for name, batch in host_calibration.GPU_NETWORKS]
        forecasts = [forecast(workload, card, dtype, batch) for workload, batch in pairs]
        return [(*pair, 1.5 * found.time_s) for pair, found in zip(pairs, forecasts, strict=True) if found]

    monkeypatch.setattr(snapshot, "disturbances", lambda *_arguments: [])
    monkeypatch.setattr(devices, "find_device", lambda name: devices.TorchDevice(name, "NVIDIA GeForce RTX 4070"))
    monkeypatch.setattr(gpu, "describe", lambda _device: card)
    monkeypatch.setattr(host_calibration, "times", times)
    answer = cli("calibrate --device cuda:0 --json").json
    assert asked == [("cuda:0", "amp")]
    assert (answer["device"], answer["calibration"]["timings"]) == ("rtx4070", len(answer["timed"]))
    factors = [answer["calibration"][part] for part in ("compute", "memory", "overhead")]
    assert factors == pytest.approx([1.5] * 3, rel=0.15)
    assert "calibrated" in codes(cli("estimate -m alexnet -d rtx4070 --json"))
    monkeypatch.setattr(gpu, "describe", lambda _device: None)
    refused = cli("calibrate --device cuda --json")
    assert (refused.code, refused.json["error"]["code"]) == (2, "unknown-device")
    assert cli("calibrate --device rtx4070 --json").json["error"]["code"] == "missing"


@pytest.mark.usefixtures("timed")
def test_a_disturbed_machine_is_refused(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    found = [notice("other-work", share=0.06), notice("hypervisor-steal", share=0.03)]
    monkeypatch.setattr(snapshot, "disturbances", lambda *_arguments: found)
    assert codes(cli("calibrate --device host --json")) == ["other-work", "hypervisor-steal"]
    found[0] = notice("other-work", share=0.08)
    answer = cli("calibrate --reset --json") and cli("calibrate --device host --json")
    assert (answer.code, answer.json["error"]["code"]) == (2, "disturbed")
    assert cli("calibrate --show --device host --json").json["calibration"] is None


def table(path: Path, rows: int) -> Path:
    """Write timings of an RTX 4070 that takes half as long again as expected, and one of another card."""
    lines = ["device,model,image_size,batch,dtype,layout,runtime,time_ms,source"]
    for batch in (16, 32, 64, 128)[:rows]:
        for model in ("resnet50", "vgg16", "alexnet"):
            found = forecast(load.workload(model), catalog.device("rtx4070"), "fp16", batch)
            assert found is not None
            lines.append(f"rtx 4070,{model},,{batch},fp16,,,{1500 * found.time_s},mine")
    path.write_text("\n".join([*lines, "rtx3090,resnet50,,64,fp16,,,10,other"]) + "\n", encoding="utf-8")
    return path


def test_a_dozen_timings_correct_a_catalogued_device(cli: Callable[..., Any], tmp_path: Path) -> None:
    before = cli("estimate -m resnet18 -d rtx4070 --dtype fp16 --batch 64 --json").json
    result = cli(f"calibrate --device rtx4070 {table(tmp_path / 'few.csv', 4)} --json").json
    assert (result["calibration"]["timings"], len(result["timed"])) == (12, 12)
    assert [each["code"] for each in result["notices"]] == ["rows-left-out"]
    after = cli("estimate -m resnet18 -d geforce-rtx-4070 --dtype fp16 --batch 64 --json").json
    assert after["expected_time_s"] / before["expected_time_s"] == pytest.approx(1.5, rel=0.1)
    width = [body["interval_s"][1] / body["interval_s"][0] for body in (before, after)]
    assert width[1] < width[0]
    assert "calibrated" in [each["code"] for each in after["notices"]]
    assert cli("calibrate --reset --device rtx4070 --json").json["removed"]
    assert cli("estimate -m resnet18 -d rtx4070 --dtype fp16 --batch 64 --json").json == before


def test_too_few_timings_are_refused(cli: Callable[..., Any], tmp_path: Path) -> None:
    answer = cli(f"calibrate --device rtx3090 {table(tmp_path / 'few.csv', 1)} --json")
    assert (answer.code, answer.json["error"]["code"]) == (2, "too-few-cases")


def test_networks_of_a_saved_run_are_timings_too(cli: Callable[..., Any], tmp_path: Path) -> None:
    golden = json.loads((Path(__file__).parents[1] / "golden" / "step-times-bench.json").read_text())
    measurements = []
    for model in ("resnet50", "vgg16", "alexnet"):
        for batch in (16, 64):
            found = forecast(load.workload(model), catalog.device("rtx4070"), "fp16", batch)
            assert found is not None
            sample = {"wall_s": 1.5 * found.time_s, "repetitions": 1}
            subject = {
                "type": "inference",
                "model": model,
                "batch": batch,
                "device": "cuda",
                "runtime": "torch-2.9-eager",
            }
            measurements.append(
                {"kernel": "inference", "variant": "eager", "unit": "s", "work": 1, "samples": [sample] * 5,
                 "dtype": "fp16", "where": "gpu", "subject": subject}
            )  # fmt: skip
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**golden, "measurements": measurements}))
    result = cli(f"calibrate --device rtx4070 run:{path} --json").json
    assert result["calibration"]["timings"] == 6
    assert result["calibration"]["compute"] == pytest.approx(1.5, rel=0.25)
    cli("calibrate --reset --device rtx4070")
