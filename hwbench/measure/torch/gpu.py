"""GPUs that torch reaches as devices of the catalog, and what an NVIDIA driver reports of them now."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.parts import Clock, Memory, Provenance, Units
from hwbench.measure.torch.device import TorchDevice
from hwbench.units import Bytes, Hertz

CAPABILITIES = {
    (3, 5): "kepler-gk110", (3, 7): "kepler-gk110", (5, 0): "maxwell", (5, 2): "maxwell", (6, 0): "pascal-gp100",
    (6, 1): "pascal", (7, 0): "volta", (7, 5): "turing", (8, 0): "ampere-ga100", (8, 6): "ampere-ga10x",
    (8, 7): "ampere-ga10b", (8, 9): "ada", (9, 0): "hopper", (10, 0): "blackwell-b200", (12, 0): "blackwell-rtx",
}  # fmt: skip
"""Architecture of a CUDA compute capability, for cards that the catalog does not know by name."""
_AMD = {
    "gfx908": "cdna1", "gfx90a": "cdna2", "gfx942": "cdna3", "gfx1030": "rdna2", "gfx1100": "rdna3", "gfx1201": "rdna4",
}  # fmt: skip


def describe(torch_device: TorchDevice) -> Device | None:
    """Return a GPU as a device: from the catalog with the counts that the driver states, else by its architecture.

    None for the CPU, which `machine.host` describes, and for a GPU of unknown architecture.
    """
    if torch_device.kind == "cpu":
        return None
    if torch_device.kind == "mps":
        from hwbench.machine.host.describe import host

        return _known(f"{host().brand} gpu")
    import torch

    facts = torch.cuda.get_device_properties(torch_device.torch_name)
    known = _known(torch_device.title)
    if known is None:
        return _by_architecture(torch_device, facts)
    provenance: dict[str, Provenance] = dict(known.provenance)
    units, count = known.units[0], int(facts.multi_processor_count)
    if len(known.units) == 1 and units.count != count and units.name == "SM":
        units = msgspec.structs.replace(units, count=count)
        provenance[f"units.{units.name}.count"] = "os"
    memory = msgspec.structs.replace(known.memory, size=Bytes(facts.total_memory))
    provenance["memory.size"] = "os"
    return msgspec.structs.replace(known, units=(units, *known.units[1:]), memory=memory, provenance=provenance)


def _known(title: str) -> Device | None:
    for name in (title, title.removeprefix("NVIDIA ").removeprefix("AMD ")):
        with suppress(InputError):
            return catalog.device(name)
    return None


_CONSUMER = ("GeForce", "TITAN", "Radeon RX")
"""Words in the names that drivers give to consumer cards: all there is to go by for a card that the catalog lacks."""


def _by_architecture(torch_device: TorchDevice, facts: Any) -> Device | None:
    """Return a card that the catalog lacks: its driver's count of units and clock, its architecture's rates."""
    amd = getattr(facts, "gcnArchName", "").partition(":")[0]
    name = _AMD.get(amd) if amd.startswith("gfx") else CAPABILITIES.get((facts.major, facts.minor))
    clock = readings(torch_device).get("clock_max_hz") or getattr(facts, "clock_rate", 0) * 1e3
    if name is None or not clock:
        return None
    architecture = catalog.architecture(name)
    units = Units(
        architecture=name,
        count=int(facts.multi_processor_count),
        clock=Clock(boost=Hertz(clock)),
        name=architecture.unit,
        rates=architecture.rates,
    )
    return Device(
        title=torch_device.title,
        kind="gpu",
        vendor=architecture.vendor,
        units=(units,),
        segment="consumer" if any(word in torch_device.title for word in _CONSUMER) else None,
        memory=Memory(size=Bytes(facts.total_memory)),
        provenance={f"units.{architecture.unit}": "os", f"units.{architecture.unit}.rates": "spec", "memory": "os"},
        name=torch_device.torch_name,
    )


def readings(torch_device: TorchDevice) -> dict[str, Any]:
    """Return what the driver reports of an NVIDIA GPU now: clocks in Hz, power and its limit in W, °C, throttling.

    Empty where NVML cannot be read: no nvidia-ml-py (the extra `nvidia`), no NVIDIA driver, another vendor.
    """
    if torch_device.kind != "cuda":
        return {}
    try:
        import pynvml
    except ImportError:
        return {}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return {}
    try:
        return _nvml(pynvml, torch_device)
    finally:
        pynvml.nvmlShutdown()


def _nvml(nvml: Any, torch_device: TorchDevice) -> dict[str, Any]:
    """Return every reading that this card and driver support."""
    import torch

    uuid = getattr(torch.cuda.get_device_properties(torch_device.torch_name), "uuid", None)
    index = int(torch_device.torch_name.partition(":")[2] or 0)
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}") if uuid else nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError:
        return {}
    queries: dict[str, tuple[Callable[[], Any], float]] = {
        "clock_hz": (lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM), 1e6),
        "clock_max_hz": (lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM), 1e6),
        "memory_clock_hz": (lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM), 1e6),
        "power_w": (lambda: nvml.nvmlDeviceGetPowerUsage(handle), 1e-3),
        "power_limit_w": (lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle), 1e-3),
        "power_limit_default_w": (lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(handle), 1e-3),
        "temperature_c": (lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU), 1),
        "throttle_reasons": (lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle), 1),
    }
    result: dict[str, Any] = {}
    for name, (query, scale) in queries.items():
        with suppress(nvml.NVMLError):
            result[name] = query() * scale
    return result
