"""Kinds of runtime: which one a measurement's words mean, which run on a kind of device, which calibration counts."""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from msgspec import to_builtins

from hwbench.errors import InputError, nearest, shown
from hwbench.machine.device import Device
from hwbench.machine.parts import DeviceCalibration
from hwbench.notices import Notice, notice

Math = Literal["default", "strict"]
"""How a runtime computes fp32: by default (torch on NVIDIA's GPUs: convolutions in tf32), or in fp32 throughout."""
RUNTIMES = (
    "torch-eager-cuda", "torch-compile-cuda", "torch-eager-cpu", "torch-compile-cpu", "onnxruntime-cpu", "openvino-cpu",
)  # fmt: skip
"""Those that the time model has parameters for."""
MEASURABLE = ("torch-eager", "torch-compile", "onnxruntime", "openvino")
"""Those that `hwbench run` times networks in, without the kind of device."""
UNMODELLED = "unmodelled"
"""The software of accelerators, of which the time model knows nothing: bounds take it for one that fuses ops."""
DEFAULT_RUNTIMES = {"gpu": "torch-eager-cuda", "cpu": "torch-eager-cpu", "accelerator": UNMODELLED}
KERNELS = ("fp64", "fp32", "tf32", "fp16", "bf16", "amp")
"""Dtypes in which torch has kernels for whole networks: it has no convolutions of narrower ones."""
_FUSING = ("compile", "dynamo", "inductor", "tensorrt", "openvino", "onednn", "ncnn", "xla", "onnxruntime", "tvm")
"""Words of runtimes that fuse; every other one runs op by op."""
_TORCH = ("torch", "pytorch", "eager", "compile", "dynamo", "inductor")


def full_name(runtime: str, kind: str) -> str:
    """Return a runtime with the kind of device that it runs on: `torch-eager` on a GPU is `torch-eager-cuda`."""
    return runtime if runtime in RUNTIMES else f"{runtime}-{'cuda' if kind == 'gpu' else 'cpu'}"


def runs_on(runtime: str, kind: str) -> bool:
    """Return whether a runtime, with or without its kind of device, is for a kind of device."""
    ending = {"gpu": "cuda", "cpu": "cpu"}.get(kind)
    return ending is not None and (name := full_name(runtime, kind)) in RUNTIMES and name.endswith(ending)


def runtimes_on(kind: str) -> tuple[str, ...]:
    """Return the runtimes that have parameters for a kind of device."""
    return tuple(name for name in RUNTIMES if runs_on(name, kind))


def without_parameters(kind: str) -> tuple[str, ...]:
    """Return the runtimes that can be measured, but have no parameters for a kind of device."""
    return tuple(name for name in MEASURABLE if not runs_on(name, kind))


def runtime_of(text: str | None, kind: str) -> str:
    """Return the kind of runtime nearest to a measurement's: `torch-2.4-eager` on a GPU is `torch-eager-cuda`."""
    if not text:
        return DEFAULT_RUNTIMES[kind]
    if text in RUNTIMES:
        return text
    if own := _engine(text, kind):
        return own
    how = "compile" if any(word in text.lower() for word in _FUSING) else "eager"
    return f"torch-{how}-{'cuda' if kind == 'gpu' else 'cpu'}"


def _engine(text: str, kind: str) -> str | None:
    """Return the runtime with parameters of its own that a measurement's words begin with: `openvino-2026.4`."""
    name = f"{text.lower().replace('_', '-').partition('-')[0]}-{kind}"
    return name if name in RUNTIMES else None


def is_foreign(text: str | None, runtime: str) -> bool:
    """Return whether a measurement's words mean other software than the `runtime` that is nearest to it."""
    own = runtime.partition("-")[0]
    words = set(str(text).lower().replace("_", "-").split("-"))
    return bool(text) and not words & (set(_TORCH) if own == "torch" else {own})


def engine_of(text: str, kind: str) -> str:
    """Return the name of other software, without its version and with the kind of device: `mxnet-cuda`."""
    match = re.match("[a-z]+(-vulkan)?", text.lower())
    return f"{match[0] if match else text}-{'cuda' if kind == 'gpu' else 'cpu'}"


def version_of(text: str | None) -> tuple[int, int] | None:
    """Return the version of torch in a runtime's words: (2, 4) in `torch-2.4-eager`, None if there is none."""
    match = re.search(r"torch-([0-9]{1,4})\.([0-9]{1,4})", text or "")
    return (int(match[1]), int(match[2])) if match else None


def check_runtime(runtime: str) -> None:
    """Raise InputError for a runtime that the time model has no parameters for on any kind of device."""
    if not runs_on(runtime, "cpu") and not runs_on(runtime, "gpu"):
        choices = nearest(runtime, RUNTIMES) or RUNTIMES
        message = f"There is no runtime '{shown(runtime)}'."
        raise InputError("unknown-runtime", message, field="runtime", nearest=choices)


def runtime_for(kind: str, runtime: str | None, phase: str | None = None) -> str:
    """Return a runtime for a kind of device. Raises InputError if it does not run on that.

    If none is given it is eager, and compiled for a phase of a language model, which nobody serves eagerly.
    """
    if runtime is None:
        return full_name("torch-compile", kind) if phase and runtimes_on(kind) else DEFAULT_RUNTIMES[kind]
    check_runtime(runtime)
    if not runs_on(runtime, kind):
        message = f"The runtime '{runtime}' is not for this kind of device ({kind})."
        raise InputError("runtime-for-other-device", message, field="runtime", nearest=runtimes_on(kind))
    return full_name(runtime, kind)


def calibration_of(device: Device, name: str) -> DeviceCalibration | None:
    """Return the calibration of a device in a runtime, by the full name of its parameters: that of no other counts."""
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
