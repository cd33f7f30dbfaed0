"""Calibrations are kept until they are removed, and a damaged file counts as none."""

from pathlib import Path

import pytest

from hwbench.errors import InputError
from hwbench.machine import calibrations
from hwbench.machine.parts import DeviceCalibration

KEPT = DeviceCalibration("host", "2026-11-30T02:00:00+00:00", "7 networks", 7, 0.9, 1.1, 1.0, 0.12, "run 1")


def test_a_calibration_is_kept_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert calibrations.load("host-12") is None
    assert not calibrations.remove("host-12")
    path = calibrations.save("host-12", KEPT)
    assert calibrations.load("Host 12") == KEPT
    assert calibrations.load("host-13") is None
    text = Path(path).read_bytes()
    for content in (b"", b"{}", text.replace(b"0.9", b"0"), b'["no"]', text.replace(b"run 1", b"\xff"), b"[" * 60_000):
        Path(path).write_bytes(content)
        assert calibrations.load("host-12") is None
    assert calibrations.remove("host-12")
    assert not Path(path).exists()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hwbench").write_text("a file")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(InputError) as caught:
        calibrations.save("host", KEPT)
    assert caught.value.code == "not-writable"
