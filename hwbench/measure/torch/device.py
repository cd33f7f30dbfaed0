"""The devices that torch computes on: the CPU, or a GPU through CUDA, ROCm or MPS; and how time is taken there.

Tests run the same code on `cpu`; the project's tests have not timed the events of a real GPU.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec import Struct

from hwbench.errors import InputError, shown
from hwbench.machine.host import memory
from hwbench.machine.host.files import Files
from hwbench.units import whole_number

NAMES = ("cpu", "cuda", "mps")
"""Kinds of devices by torch's name; ROCm is `cuda` in torch. `cuda:1` is the second GPU."""


class TorchDevice(Struct, frozen=True):
    """A device of torch by torch's name (`cpu`, `cuda:0`, `mps`), with the title that its driver gives it."""

    torch_name: str
    title: str

    @property
    def kind(self) -> str:
        """Its kind: `cpu`, `cuda` or `mps`."""
        return self.torch_name.partition(":")[0]

    def synchronize(self) -> None:
        """Wait until the device has finished all queued work."""
        import torch

        if self.kind == "cuda":
            torch.cuda.synchronize(self.torch_name)
        elif self.kind == "mps":
            torch.mps.synchronize()

    def mark(self) -> Any:
        """Return a point in time: of the CPU's clock, or an event in the device's own queue of work."""
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
        """Return the seconds between two marks, the second of which the device has reached."""
        return float(end - start) if self.kind == "cpu" else float(start.elapsed_time(end)) * 1e-3


CPU = TorchDevice("cpu", "CPU")


class Stopwatch:
    """Times stretches of calls by the device's own events, or by the wall clock on a CPU.

    `step(i)` is called with a running number, by which a kernel rotates its inputs; a task that is not prepared has no
    step yet. `before` is called ahead of each stretch, untimed. `seconds` is the last stretch's duration.
    """

    def __init__(self, device: TorchDevice, step: Any = None, before: Callable[[], None] | None = None) -> None:
        self.device, self.step, self.before = device, step, before
        self.seconds = 0.0
        self.number = 0

    def __call__(self, repetitions: int) -> None:
        """Time one stretch of `repetitions` calls."""
        first, self.number = self.number, self.number + repetitions
        step = self.step
        if self.before:
            self.before()
        self.device.synchronize()  # so that no earlier work falls into the stretch
        start = self.device.mark()
        for number in range(first, first + repetitions):
            step(number)
        end = self.device.mark()
        self.device.synchronize()
        self.seconds = self.device.between(start, end)

    def last(self) -> float:
        """Return the seconds of the last stretch."""
        return self.seconds

    def release(self) -> None:
        """Drop the step and the memory that it holds."""
        self.step = None


def find_device(name: str) -> TorchDevice:
    """Return the device of a name such as `cuda`. Raises InputError where torch has no such device."""
    kind, _, index = name.lower().partition(":")
    kind = "cpu" if kind == "host" else kind
    if kind not in NAMES or (index and (kind != "cuda" or whole_number(index, 9999, 0) is None)):
        text = (
            f"'{shown(name)}' is no device of torch: choose {', '.join(NAMES)}, host, or a number of GPU as in cuda:1."
        )
        raise InputError("unknown-torch-device", text, field="on")
    torch = torch_module(f"The device '{shown(name)}'")
    if kind == "cpu":
        return CPU
    if kind == "mps":
        if not torch.backends.mps.is_available():
            text = "An MPS device needs a Mac with an Apple GPU; torch finds none."
            raise InputError("no-torch-device", text, field="on")
        return TorchDevice("mps", "Apple GPU")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= count:
        built = torch.version.cuda or torch.version.hip
        why = f"it finds {count}" if built else f"torch {torch.__version__} was built without CUDA and ROCm"
        raise InputError("no-torch-device", f"'{shown(name)}' is not available to torch: {why}.", field="on")
    return TorchDevice(f"cuda:{int(index or 0)}", torch.cuda.get_device_name(int(index or 0)))


def torch_module(what: str) -> Any:
    """Return the torch package. Raises InputError, whose sentence begins with `what`, where it is not installed."""
    try:
        import torch
    except ImportError as error:
        text = f"{what} needs torch ({shown(error)}): pip install 'hwbench[torch]'."
        raise InputError("torch-missing", text) from None
    return torch


def accelerator() -> TorchDevice | None:
    """Return the first GPU that torch can use, None where there is no GPU or no torch."""
    for name in NAMES[1:]:
        with suppress(InputError):
            return find_device(name)
    return None


def set_fp32(device: TorchDevice, strict: bool) -> None:
    """Let torch compute fp32 products and convolutions on a GPU in fp32 (`strict`) or in tf32 from now on."""
    if device.kind != "cuda":
        return
    import torch

    torch.backends.cuda.matmul.allow_tf32 = not strict
    torch.backends.cudnn.allow_tf32 = not strict


def free_memory(device: TorchDevice) -> float | None:
    """Return the bytes that a model may take on a device now; None where that is unknown."""
    if device.kind == "cuda":
        import torch

        return float(torch.cuda.mem_get_info(device.torch_name)[0])
    return memory.free_memory(Files())
