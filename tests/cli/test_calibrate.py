"""`hwbench calibrate --device D`: kept by runtime, named in its forecasts, removed; refused if disturbed or few."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwbench.api import accuracy, machines
from hwbench.api.checks import LocatedDevice
from hwbench.machine import catalog
from hwbench.measure import engines, host_calibration
from hwbench.measure.environment import snapshot
from hwbench.measure.torch import device as devices
from hwbench.measure.torch import gpu
from hwbench.notices import notice
from hwbench.predict.forecast import forecast
from hwbench.predict.model.runtimes import runtime_of
from hwbench.workload import load

CPU = catalog.device("ryzen7-5800x")


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that took half as long again as this CPU is expected to take, and in OpenVINO twice as long."""

    def times(_settings: object, runtimes: list[str], *_arguments: object) -> dict[str, list[tuple[Any, int, float]]]:
        return {runtime: timed_in(runtime) for runtime in runtimes}

    def timed_in(runtime: str) -> list[tuple[Any, int, float]]:
        rows = []
        for name, batch in host_calibration.NETWORKS:
            workload = load.workload(name)
            prediction = forecast(workload, CPU, batch=batch, runtime=runtime)
            assert prediction is not None
            rows.append((workload, batch, (2.0 if runtime == "openvino" else 1.5) * prediction.time_s))
        return rows

    monkeypatch.setattr(host_calibration, "times", times)
    monkeypatch.setattr(machines, "measured", lambda _machine: LocatedDevice(CPU))


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(accuracy, "REST_S", 0.0)


def codes(answer: Any) -> list[str]:
    return codes_of(answer.json)


def codes_of(body: Any) -> list[str]:
    return [row["code"] for row in body["notices"]]


@pytest.mark.usefixtures("timed")
def test_a_calibration_is_kept_named_in_forecasts_and_removed(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "disturbances", lambda *_arguments: [])
    assert cli("calibrate --show --device host --json").json["calibrations"] == []
    result = cli("calibrate --device host --runtime torch --json").json
    assert result["warnings"] == []
    (factors,) = result["calibrations"]
    assert [factors[part] for part in ("compute", "memory")] == pytest.approx([1.5, 1.5], rel=0.1)
    assert (factors["timings"], len(result["timed"])) == (7, 7)
    assert result["file"] in cli("calibrate --show --device host").out.replace("\n", "")
    assert cli("calibrate --show --device host --json").json["calibrations"] == [factors]
    for command in ("estimate -m alexnet -d host", "compare host rtx3090 -m alexnet", "sweep -m alexnet -d host"):
        assert "calibrated" in codes(cli(f"{command} --json")), command
    assert factors["created"][:10] in cli("estimate -m alexnet -d host").out
    assert cli("estimate -m alexnet -d host --json").json["calibration"] == factors
    assert cli("calibrate --reset --json").json["removed"]
    assert not cli("calibrate --reset --device host --json").json["removed"]
    assert "calibrated" not in codes(cli("estimate -m alexnet -d host --json"))


@pytest.mark.slow
@pytest.mark.usefixtures("timed")
def test_each_runtime_has_a_calibration_of_its_own(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "disturbances", lambda *_arguments: [])
    monkeypatch.setattr(engines, "_package", lambda name: name != "torch-compile")

    def expected() -> dict[str, float]:
        rows = cli("estimate -m resnet50 -d host --runtime all --json").json["estimates"]
        for row in rows:
            assert (row["calibration"] is None) == (row["runtime"] not in calibrated), row["runtime"]
            assert not row["calibration"] or row["runtime"] == f"{row['calibration']['runtime']}-cpu"
        return {row["runtime"]: row["expected_time_s"] for row in rows}

    calibrated: set[str] = set()
    before = expected()
    cli("calibrate --device host --runtime onnxruntime,openvino --json")
    calibrated = {"onnxruntime-cpu", "openvino-cpu"}
    after = expected()
    assert {name: after[name] / before[name] for name in after} == {
        "torch-eager-cpu": 1.0, "torch-compile-cpu": 1.0, "onnxruntime-cpu": pytest.approx(1.5, rel=0.1),
        "openvino-cpu": pytest.approx(2.0, rel=0.1),
    }  # fmt: skip
    assert "calibrated" in codes(cli("sweep -m alexnet -d host --runtime openvino --json"))
    assert "calibrated" not in codes(cli("sweep -m alexnet -d host --json"))
    assert "calibrated" in codes(cli("require -m alexnet -d host --rate 1/s --runtime openvino --json"))
    assert "calibrated" not in codes(cli("compare host rtx3090 -m alexnet --json"))
    cli("calibrate --device host --runtime torch --json")
    shown = cli("calibrate --show --device host --json").json["calibrations"]
    assert [each["runtime"] for each in shown] == ["onnxruntime", "openvino", "torch-eager"]
    only = cli("calibrate --show --device host --runtime openvino")
    assert "openvino: calibrated at" in only.out
    assert "onnxruntime" not in only.out
    assert cli("calibrate --reset --device host --runtime onnxruntime --json").json["removed"]
    calibrated = {"torch-eager-cpu", "openvino-cpu"}
    assert expected()["onnxruntime-cpu"] == before["onnxruntime-cpu"]
    assert cli("calibrate --reset --device host --json").json["removed"]
    calibrated = set()
    assert expected() == before


@pytest.mark.usefixtures("timed")
def test_a_runtime_that_is_not_installed_is_refused(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_package", lambda name: name != "openvino")
    refused = cli("calibrate --device host --runtime torch,openvino")
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert "pip install 'hwbench[openvino]'" in refused.err
    for words, code in (
        ("--device host --runtime tvm", "unknown-runtime"), ("--show --device host --runtime tvm", "unknown-runtime"),
        ("--device rtx3090 --runtime torch,openvino few.csv", "single-value"),
    ):  # fmt: skip
        assert cli(f"calibrate {words} --json").json["error"]["code"] == code


def test_a_gpu_of_this_machine_is_calibrated_under_its_name_in_the_catalog(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    card, asked = catalog.device("rtx4070"), []

    def times(_settings: object, _runtimes: object, _progress: object, gpu: Any, dtype: str) -> dict[str, list[Any]]:
        asked.append((gpu.torch_name, dtype))
        pairs = [(load.workload(name), batch) for name, batch in host_calibration.GPU_NETWORKS]
        forecasts = [forecast(workload, card, dtype, batch) for workload, batch in pairs]
        rows = [(*pair, 1.5 * found.time_s) for pair, found in zip(pairs, forecasts, strict=True) if found]
        return {"torch-eager": rows}

    monkeypatch.setattr(snapshot, "disturbances", lambda *_arguments: [])
    monkeypatch.setattr(devices, "find_device", lambda name: devices.TorchDevice(name, "NVIDIA GeForce RTX 4070"))
    monkeypatch.setattr(gpu, "describe", lambda _device: card)
    monkeypatch.setattr(host_calibration, "times", times)
    answer = cli("calibrate --device cuda:0 --json").json
    assert asked == [("cuda:0", "amp")]
    (known,) = answer["calibrations"]
    assert (answer["device"], known["timings"]) == ("rtx4070", len(answer["timed"]))
    factors = [known[part] for part in ("compute", "memory", "overhead")]
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
    assert cli("calibrate --show --device host --json").json["calibrations"] == []


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
    (known,) = result["calibrations"]
    assert (known["timings"], known["runtime"], len(result["timed"])) == (12, "torch-eager", 12)
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
    (known,) = result["calibrations"]
    assert (known["timings"], known["runtime"]) == (6, "torch-eager")
    assert known["compute"] == pytest.approx(1.5, rel=0.25)
    cli("calibrate --reset --device rtx4070")


def test_a_table_calibrates_each_runtime_that_it_names(cli: Callable[..., Any], tmp_path: Path) -> None:
    lines = ["device,model,image_size,batch,dtype,layout,runtime,time_ms,source"]
    for runtime, factor in (("onnxruntime-1.32", 1.5), ("openvino-2026.4", 2.0), ("torch-2.14-eager", 0.5)):
        for model in ("resnet50", "vgg16", "alexnet", "mobilenet-v2")[: 1 if factor < 1 else None]:
            own = forecast(load.workload(model), CPU, "fp32", 1, runtime_of(runtime, "cpu"))
            assert own is not None
            lines.append(f"ryzen7-5800x,{model},,1,fp32,,{runtime},{1000 * factor * own.time_s},mine")
    path = tmp_path / "few.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = cli(f"calibrate --device ryzen7-5800x {path} --json").json
    assert {each["runtime"]: each["compute"] for each in result["calibrations"]} == {
        "onnxruntime": pytest.approx(1.5, rel=0.1), "openvino": pytest.approx(2.0, rel=0.1)
    }  # fmt: skip
    assert codes_of(result) == ["runtimes-left-out"]
    judged = cli(f"validate {path} --json").json
    assert [each["text"].split()[2] for each in judged["notices"]] == ["onnxruntime", "openvino"]
    plain = cli(f"validate {path} --uncalibrated --json").json
    assert (plain["notices"], plain["mape"] > 0.3, judged["mape"] < 0.2) == ([], True, True)
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(line.replace("openvino-2026.4", "") for line in lines if "onnx" not in line) + "\n")
    cli("calibrate --reset --device ryzen7-5800x")
    result = cli(f"calibrate --device ryzen7-5800x --runtime openvino {bare} --json").json
    assert [(each["runtime"], each["timings"]) for each in result["calibrations"]] == [("openvino", 4)]


def test_runs_in_an_engine_calibrate_it(cli: Callable[..., Any], tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "docs" / "tutorials" / "runs" / "mobilenet-runtimes.json"
    run = json.loads(file.read_text(encoding="utf-8"))
    own = next(row for row in run["measurements"] if row["subject"]["runtime"].startswith("openvino"))
    rows = []
    for model in ("alexnet", "resnet50", "vgg16"):
        expected = forecast(load.workload(model), catalog.device("epyc-9r14-core"), runtime="openvino")
        assert expected is not None
        sample = {**own["samples"][0], "wall_s": 2 * expected.time_s, "cpu_s": 2 * expected.time_s, "repetitions": 1}
        subject = {**own["subject"], "model": model, "batch": 1}
        rows.append({**own, "samples": [sample] * 5, "subject": subject, "dtype": "fp32", "size": model})
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**run, "measurements": rows}))
    (known,) = cli(f"calibrate --device epyc-9r14-core run:{path} --json").json["calibrations"]
    assert (known["runtime"], known["timings"]) == ("openvino", 3)
    assert known["compute"] == pytest.approx(2.0, rel=0.2)
