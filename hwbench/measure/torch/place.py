"""Where torch computes: the CPU, or a GPU through CUDA, ROCm or MPS; how its time is taken, and which device it is.

The same path runs on `cpu`, which is how tests hold it: no event of a real GPU has been timed by the project's tests.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from hwbench.errors import InputError, shown
from hwbench.machine import catalog
from hwbench.machine.device import Clock, Device, Memory, Provenance, Units
from hwbench.units import Bytes, Hertz

NAMES = ("cpu", "cuda", "mps")
"""What `--device` of `hwbench run` may name; ROCm calls itself `cuda` in torch. `cuda:1` is the second GPU."""

CAPABILITIES = {
    (3, 5): "kepler-gk110", (3, 7): "kepler-gk110", (5, 0): "maxwell", (5, 2): "maxwell", (6, 0): "pascal-gp100",
    (6, 1): "pascal", (7, 0): "volta", (7, 5): "turing", (8, 0): "ampere-ga100", (8, 6): "ampere-ga10x",
    (8, 7): "ampere-ga10b", (8, 9): "ada", (9, 0): "hopper", (10, 0): "blackwell-b200", (12, 0): "blackwell-rtx",
}  # fmt: skip
"""Architecture of a CUDA compute capability, for cards that the catalog does not know by name."""
_AMD = {
    "gfx908": "cdna1", "gfx90a": "cdna2", "gfx942": "cdna3", "gfx1030": "rdna2", "gfx1100": "rdna3", "gfx1201": "rdna4",
}  # fmt: skip


class Place(Struct, frozen=True):
    """A device of torch's by torch's name (`cpu`, `cuda:0`, `mps`), and what it calls itself."""

    torch_name: str
    title: str

    @property
    def kind(self) -> str:
        """Its sort: `cpu`, `cuda` or `mps`."""
        return self.torch_name.partition(":")[0]

    def synchronize(self) -> None:
        """Wait until everything that was asked of it is done."""
        import torch

        if self.kind == "cuda":
            torch.cuda.synchronize(self.torch_name)
        elif self.kind == "mps":
            torch.mps.synchronize()

    def mark(self) -> Any:
        """A point in time: of the CPU's clock, or an event in the device's own queue of work."""
        if self.kind == "cpu":
            return time.perf_counter()
        import torch

        if self.kind == "mps":
            event = torch.mps.event.Event(enable_timing=True)
            event.record()
        else:  # on the stream of this card, which need not be the current one
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self.torch_name))
        return event

    def between(self, start: Any, end: Any) -> float:
        """Seconds between two marks, the last of which the device has reached."""
        return float(end - start) if self.kind == "cpu" else float(start.elapsed_time(end)) * 1e-3


class Stopwatch:
    """Times stretches of calls by the device's own events, or by the wall clock on a CPU.

    `step(i)` is called with a running number, by which a kernel rotates its inputs; `before` is called ahead of each
    stretch, untimed. `seconds` is the last stretch's.
    """

    def __init__(self, place: Place, step: Callable[[int], Any], before: Callable[[], None] | None = None) -> None:
        self.place, self.step, self.before = place, step, before
        self.seconds = 0.0
        self.number = 0

    def __call__(self, repetitions: int) -> None:
        """Time one stretch of `repetitions` calls."""
        first, self.number = self.number, self.number + repetitions
        step = self.step
        if self.before:
            self.before()
        self.place.synchronize()  # nothing asked for earlier falls into the stretch
        start = self.place.mark()
        for number in range(first, first + repetitions):
            step(number)
        end = self.place.mark()
        self.place.synchronize()
        self.seconds = self.place.between(start, end)


def place(name: str) -> Place:
    """The device that a name such as `cuda` means. Raises InputError where torch does not reach one."""
    torch = torch_module(f"--device {shown(name)}")
    kind, _, index = name.lower().partition(":")
    if kind not in NAMES or (index and (kind != "cuda" or not index.isascii() or not index.isdigit())):
        raise InputError(f"'{shown(name)}' is not where torch can run: choose from {', '.join(NAMES)}, or cuda:1")
    if kind == "cpu":
        return Place("cpu", "CPU")
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("torch finds no MPS device here: it needs a Mac with an Apple GPU")
        return Place("mps", "Apple GPU")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= count:
        built = torch.version.cuda or torch.version.hip
        why = f"it finds {count}" if built else f"torch {torch.__version__} was built without CUDA and ROCm"
        raise InputError(f"torch has no device {shown(name)}: {why}")
    return Place(f"cuda:{int(index or 0)}", torch.cuda.get_device_name(int(index or 0)))


def torch_module(what: str) -> Any:
    """The torch package. Raises InputError that says `what` needs it and how to install it."""
    try:
        import torch
    except ImportError as error:
        raise InputError(f"{what} needs torch ({shown(error)}): pip install 'hwbench[torch]'") from None
    return torch


def accelerator() -> Place | None:
    """The first GPU that torch reaches, None where there is none or no torch."""
    for name in NAMES[1:]:
        try:
            return place(name)
        except InputError:
            continue
    return None


def describe(where: Place) -> Device | None:
    """A GPU as a device: the catalog's by its name, with the counts that the driver states; else by its architecture.

    None for the CPU, which `machine.host` describes, and where nothing is known but a name.
    """
    if where.kind == "cpu":
        return None
    if where.kind == "mps":
        return _known(f"{_apple()} gpu")
    import torch

    facts = torch.cuda.get_device_properties(where.torch_name)
    known = _known(where.title)
    if known is None:
        return _by_architecture(where, facts)
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
        try:
            return catalog.device(name)
        except InputError:
            continue
    return None


def _apple() -> str:
    from hwbench.machine.host.describe import host

    return host().brand


def _by_architecture(where: Place, facts: Any) -> Device | None:
    """A card that the catalog lacks: its driver's count of units and clock, its architecture's rates."""
    amd = getattr(facts, "gcnArchName", "").partition(":")[0]
    name = _AMD.get(amd) if amd.startswith("gfx") else CAPABILITIES.get((facts.major, facts.minor))
    clock = readings(where).get("clock_max_hz") or getattr(facts, "clock_rate", 0) * 1e3
    if name is None or not clock:
        return None
    found = catalog.architecture(name)
    units = Units(
        architecture=name,
        count=int(facts.multi_processor_count),
        clock=Clock(boost=Hertz(clock)),
        name=found.unit,
        rates=found.rates,
    )
    return Device(
        title=where.title,
        kind="gpu",
        vendor=found.vendor,
        units=(units,),
        memory=Memory(size=Bytes(facts.total_memory)),
        provenance={f"units.{found.unit}": "os", f"units.{found.unit}.rates": "spec", "memory": "os"},
        name=where.torch_name,
    )


def readings(where: Place) -> dict[str, Any]:
    """What the driver says of an NVIDIA GPU now: clocks in Hz, power and its limit in W, °C, why it is throttled.

    Empty where NVML cannot be read: no nvidia-ml-py (the extra `nvidia`), no NVIDIA driver, another vendor.
    """
    if where.kind != "cuda":
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
        return _nvml(pynvml, where)
    finally:
        pynvml.nvmlShutdown()


def _nvml(nvml: Any, where: Place) -> dict[str, Any]:
    """Every reading that this card and driver give."""
    import torch

    uuid = getattr(torch.cuda.get_device_properties(where.torch_name), "uuid", None)
    index = int(where.torch_name.partition(":")[2] or 0)
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}") if uuid else nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError:
        return {}
    asked: dict[str, tuple[Callable[[], Any], float]] = {
        "clock_hz": (lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM), 1e6),
        "clock_max_hz": (lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM), 1e6),
        "memory_clock_hz": (lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM), 1e6),
        "power_w": (lambda: nvml.nvmlDeviceGetPowerUsage(handle), 1e-3),
        "power_limit_w": (lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle), 1e-3),
        "power_limit_default_w": (lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(handle), 1e-3),
        "temperature_c": (lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU), 1),
        "throttle_reasons": (lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle), 1),
    }
    found: dict[str, Any] = {}
    for name, (ask, scale) in asked.items():
        try:
            found[name] = ask() * scale
        except nvml.NVMLError:
            continue
    return found


def set_fp32(where: Place, strict: bool) -> None:
    """Have torch compute fp32 products and convolutions on a GPU as fp32 (`strict`) or as tf32, from now on."""
    if where.kind != "cuda":
        return
    import torch

    torch.backends.cuda.matmul.allow_tf32 = not strict
    torch.backends.cudnn.allow_tf32 = not strict


def free_memory(where: Place) -> float | None:
    """Bytes that a model may take there now; None where it is not told."""
    if where.kind == "cuda":
        import torch

        return float(torch.cuda.mem_get_info(where.torch_name)[0])
    import psutil

    return float(psutil.virtual_memory().available)
