"""Records of older schemas as data of the newest: files that were saved once keep loading."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hwbench.errors import InputError
from hwbench.files import documents
from hwbench.machine.device import Device
from hwbench.measure import subject

TAGS = {"fma": "multiply-adds", "matmul": "gpu", "launch": "gpu"}
"""The tag of a kernel's subject, where it is not the kernel's name."""


def from_1(data: dict[str, Any]) -> dict[str, Any]:
    """Return a record of schema 1 as one of schema 2.

    Measurements had untyped `parameters`, `clock` in place of `timer`, `core_class` "gpu" in place of `where`, and
    notes that repeated `checked`; the device was part of the environment, and notices were sentences.
    """
    measurements, warnings, environment = data.get("measurements"), data.pop("warnings", []), data.get("environment")
    if isinstance(measurements, list):
        data["measurements"] = [_measurement(each) if isinstance(each, dict) else each for each in measurements]
    if isinstance(warnings, list):
        warnings = [{"code": "recorded", "data": {"text": text}} for text in warnings]
    if isinstance(environment, dict):
        device = environment.get("device")
        data["environment"] = {key: value for key, value in environment.items() if key != "device"}
        data["device"] = device if _is_device(device) else None
    return {**data, "notices": warnings}


def _is_device(data: Any) -> bool:
    """Whether data describes a device: a record without one could be read before, and still can."""
    with suppress(InputError):
        return isinstance(data, dict) and bool(documents.convert(documents.Document("", "{}", data), Device))
    return False


def _measurement(data: dict[str, Any]) -> dict[str, Any]:
    changed = {key: value for key, value in data.items() if key not in ("parameters", "clock", "core_class", "notes")}
    on_gpu = data.get("core_class") == "gpu"
    if "clock" in data:
        changed["timer"] = data["clock"]
    if on_gpu:
        changed["where"] = "gpu"
    elif "core_class" in data:
        changed["core_class"] = data["core_class"]
    parameters = data.get("parameters")
    if isinstance(parameters, dict) and parameters:
        kernel = str(data.get("kernel"))
        tag = "gpu" if on_gpu and kernel != "inference" else TAGS.get(kernel, kernel)
        kinds = {kind.__struct_config__.tag: kind for kind in subject.Subject.__args__}
        if tag in kinds:
            known = kinds[tag].__struct_fields__
            changed["subject"] = {"type": tag, **{key: parameters[key] for key in known if key in parameters}}
    return changed


UPGRADES: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (from_1,)
"""UPGRADES[n - 1] returns the data of schema n as that of schema n + 1."""
