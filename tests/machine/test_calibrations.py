"""Calibrations are kept until they are removed, and a damaged file counts as none."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine import calibrations
from hwbench.machine.parts import DeviceCalibration

KEPT = DeviceCalibration("host", "2026-11-30T02:00:00+00:00", "7 networks", 7, 0.9, 1.1, 1.0, 0.12, "run 1")


def test_a_calibration_is_kept_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert calibrations.load("host-12") == ()
    assert not calibrations.remove("host-12")
    path = calibrations.save("host-12", [KEPT])
    assert calibrations.load("Host 12") == (KEPT,)
    assert calibrations.load("host-13") == ()
    text = Path(path).read_bytes()
    for content in (b"", b"{}", text.replace(b"0.9", b"0"), b'["no"]', text.replace(b"run 1", b"\xff"), b"[" * 60_000):
        Path(path).write_bytes(content)
        assert calibrations.load("host-12") == ()
    assert calibrations.remove("host-12")
    assert not Path(path).exists()


def test_each_runtime_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    other = replace(KEPT, runtime="openvino", compute=1.5)
    calibrations.save("host", [KEPT])
    path = calibrations.save("host", [other])
    assert calibrations.load("host") == (KEPT, other)
    calibrations.save("host", [replace(KEPT, compute=2.0)])
    assert {each.runtime: each.compute for each in calibrations.load("host")} == {"openvino": 1.5, "torch-eager": 2.0}
    assert not calibrations.remove("host", ["onnxruntime"])
    assert calibrations.remove("host", ["torch-eager"])
    assert calibrations.load("host") == (other,)
    assert calibrations.remove("host", ["openvino"])
    assert not Path(path).exists()
    assert not calibrations.remove("host", ["openvino"])


def test_a_file_of_the_first_version_is_of_torch_eager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first = {
        "device": "host", "created": "2026-11-29T12:00:00Z", "source": "7 networks", "timings": 7, "compute": 0.9,
        "memory": 1.1, "overhead": 1.0, "spread": 0.12, "ceilings": "run 1", "schema": "hwbench.calibration/1",
    }  # fmt: skip
    Path(calibrations.path("host")).parent.mkdir(parents=True)
    Path(calibrations.path("host")).write_text(json.dumps(first))
    (known,) = calibrations.load("host")
    assert (known.runtime, known.compute) == ("torch-eager", 0.9)
    other = replace(KEPT, runtime="openvino")
    calibrations.save("host", [other])
    assert calibrations.load("host") == (known, other)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hwbench").write_text("a file")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(InputError) as caught:
        calibrations.save("host", [KEPT])
    assert caught.value.code == "not-writable"
