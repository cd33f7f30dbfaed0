"""hwbench for Python: the questions of the command line as functions, each answer a frozen struct that shows itself.

    import hwbench
    hwbench.estimate("alexnet", "rtx3090")          # in a notebook: a table; str() gives the text of the command line
    hwbench.estimate(my_module, "a100-sxm4-80gb", inputs=torch.empty(8, 3, 224, 224), dtype="fp16")

Names mean what they mean to `--model` and `--device`. Raises InputError for what was asked wrongly.
"""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from hwbench.errors import InputError
from hwbench.machine import catalog, description
from hwbench.machine.architecture import BITS, MIXED
from hwbench.machine.device import ClockKind, Device
from hwbench.predict import estimate as prediction
from hwbench.report import estimate as estimate_text
from hwbench.report import machine as machine_text
from hwbench.report import workload as workload_text
from hwbench.report.text import PLAIN
from hwbench.workload import counting, zoo
from hwbench.workload.op import Workload
from hwbench.workload.request import Request
from hwbench.workload.work import Convention

if TYPE_CHECKING:
    import torch

T = TypeVar("T", bound=Struct)


class Shown:
    """An answer whose text is what the command line prints, in a notebook too."""

    def lines(self) -> list[str]:
        """The text, a line each."""
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return f'<pre style="line-height:1.3">{html.escape(str(self))}</pre>'


class Estimate(Shown, prediction.Estimate, frozen=True):
    """`hwbench.predict.estimate.Estimate`, with the title of the model for its text."""

    title: str = ""

    def lines(self) -> list[str]:
        """The text of `hwbench estimate`."""
        return estimate_text.one(self, self.title or self.model, PLAIN, all_layers=False)


class Count(Shown, counting.Count, frozen=True):
    """`hwbench.workload.counting.Count`, with the workload for its text."""

    workload: Workload | None = None

    def lines(self) -> list[str]:
        """The text of `hwbench count`."""
        assert self.workload is not None
        bits = BITS.get(self.dtype, BITS["fp32"])
        return workload_text.summary(self.workload, self.convention, bits, self.batch, self.dtype, PLAIN)


class Peaks(Shown, description.Description, frozen=True):
    """`hwbench.machine.description.Description`, with the device for its text."""

    source: Device | None = None
    clock: ClockKind | None = None

    def lines(self) -> list[str]:
        """The text of `hwbench peak`."""
        assert self.source is not None
        found = description.known_peaks(self.source, self.clock)
        return [*machine_text.heading(self.source), "", *machine_text.peak_table(self.source, found)]


def _as(kind: type[T], value: Struct, **more: Any) -> T:
    return kind(**{name: getattr(value, name) for name in value.__struct_fields__}, **more)


def estimate(
    model: "str | Workload | torch.nn.Module",
    device: str | Device,
    *,
    dtype: str = "fp32",
    batch: int = 1,
    clock: ClockKind | None = None,
    inputs: Any = None,
) -> Estimate:
    """How long `model` takes on `device`, in s: ideal, roofline and expected, with what binds each layer.

    `model` is a name, a workload, or a torch module, whose `inputs` are then a tensor or a tuple of tensors that hold
    one batch (their values do not matter; `torch.empty(..., device="meta")` is enough).
    """
    found = _workload(model, inputs, dtype)
    chosen = _device(device)
    return _as(Estimate, prediction.estimate(found, chosen, dtype, batch, clock), title=found.title)


def count(
    model: "str | Workload | torch.nn.Module",
    inputs: Any = None,
    *,
    convention: Convention = "flop",
    dtype: str = "fp32",
    batch: int = 1,
) -> Count:
    """Parameters, operations and traffic of a model, layer by layer; `inputs` as for `estimate`."""
    found = _workload(model, inputs, dtype)
    bits = BITS.get(dtype, BITS["fp32"])
    return _as(Count, counting.counted(found, convention, dtype, bits, batch), workload=found)


def peak(device: str | Device = "host", clock: ClockKind | None = None) -> Peaks:
    """Every theoretical peak of a device, of this machine by default."""
    chosen = _device(device)
    found = description.known_peaks(chosen, clock)
    return _as(Peaks, description.describe(chosen, found), source=chosen, clock=clock)


def device(name: str) -> Device:
    """The device of a name, an alias or a YAML file; `host` is this machine, `run:FILE` the machine of a saved run."""
    from hwbench.cli import options

    return options.device(name, ())[0]


def devices() -> dict[str, Device]:
    """Every device of the catalog by name, the user's own included."""
    return catalog.devices()


def _device(named: str | Device) -> Device:
    return named if isinstance(named, Device) else device(named)


def models() -> dict[str, Workload]:
    """Every network of the catalog by name, the user's own included."""
    return zoo.workloads()


def _workload(model: Any, inputs: Any, dtype: str) -> Workload:
    if isinstance(model, Workload):
        return model
    autocast = "fp16" if dtype == MIXED else None
    if isinstance(model, str):
        if inputs is not None:
            raise InputError("are for torch modules: a name has its own input", field="inputs")
        return zoo.workload(Request(model, autocast=autocast))
    return _module(model, inputs, autocast)


def _module(model: Any, inputs: Any, autocast: str | None) -> Workload:
    """The workload of a torch module of the caller's."""
    try:
        from hwbench.workload import sources
    except ImportError:
        raise InputError("is neither a name nor a workload, and torch is not installed", field="model") from None
    import torch

    from hwbench.workload.torch_run import tensors

    if not isinstance(model, torch.nn.Module):
        raise InputError(f"a {type(model).__name__} is neither a name, a workload nor a torch module", field="model")
    args: Sequence[Any] = (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs or ())
    first = next(iter(tensors(args)), None)
    if first is None:
        raise InputError("a module needs inputs: a tensor, or a tuple of tensors", field="inputs")
    title = type(model).__name__
    built = sources.Built(model, tuple(args), {}, first.shape[0] if first.dim() else 1, title)
    return sources.counted(built, Request(title, autocast=autocast))
