"""The calibration of a device that a forecast rests on: that of its own runtime, none of another."""

from collections.abc import Iterable, Iterator

from msgspec import to_builtins

from hwbench.machine.device import Device
from hwbench.machine.parts import DeviceCalibration
from hwbench.notices import Notice, notice
from hwbench.predict.model.runtimes import full_name, runs_on, runtime_for


def calibration_of(device: Device, name: str) -> DeviceCalibration | None:
    """Return the calibration of a device in a runtime, by the full name of its parameters."""
    return next((each for each in device.calibrations or () if full_name(each.runtime, device.kind) == name), None)


def short_name(name: str) -> str:
    """Return the name of parameters without the kind of device: `onnxruntime` of `onnxruntime-cpu`."""
    return name.rpartition("-")[0]


def calibration_notices(device: Device, name: str) -> Iterator[Notice]:
    """Yield the notice of the calibration that forecasts of a runtime rest on, if there is one."""
    if known := calibration_of(device, name):
        yield notice("calibrated", **to_builtins(known))


def of_calibrations(notices: Iterable[Notice]) -> list[Notice]:
    """Return the notices of calibrations among those of a forecast."""
    return [each for each in notices if each.code == "calibrated"]


def notices_on(devices: Iterable[Device], runtime: str | None, phase: str | None) -> Iterator[Notice]:
    """Yield the notices of the calibrations that forecasts of devices rest on, where they run a runtime."""
    for device in devices:
        if device.calibrations and (runtime is None or runs_on(runtime, device.kind)):
            yield from calibration_notices(device, runtime_for(device.kind, runtime, phase))
