"""hwbench for Python: the questions of the command line as functions, each answer a frozen struct that shows itself.

    import hwbench
    hwbench.estimate("alexnet", "rtx3090")          # in a notebook: a table; str() gives the text of the command line
    hwbench.estimate(my_module, "a100-sxm4-80gb", inputs=torch.empty(8, 3, 224, 224), dtype="fp16")

Names mean what they mean to `--model` and `--device`. Raises InputError for what was asked wrongly.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.dtypes import BITS, MIXED
from hwbench.errors import InputError
from hwbench.machine import catalog, description
from hwbench.machine.description import Description
from hwbench.machine.device import ClockKind, Device
from hwbench.predict import estimate as prediction
from hwbench.predict.estimate import Estimate
from hwbench.report import renderers as _renderers  # noqa: F401  (registers the texts of answers)
from hwbench.study.compare import devices as comparing
from hwbench.study.compare.devices import Comparison
from hwbench.workload import counting, load
from hwbench.workload.counting import Count
from hwbench.workload.ops import Convention, Workload
from hwbench.workload.request import ModelRequest

if TYPE_CHECKING:
    import torch

    from hwbench.measure.record import Record, Result


class Bench(Answer, Struct, frozen=True):
    """A run of microbenchmarks: the record with every sample, its results, and what is worth saying about them."""

    SCHEMA: ClassVar[str] = "bench"
    ROWS: ClassVar[str] = "results"

    run: "Record"
    results: "tuple[Result, ...]"
    findings: tuple[str, ...]

    def __str__(self) -> str:
        from hwbench.report.text.layout import PLAIN
        from hwbench.report.text.run import run

        return "\n".join(run(self.run, self.results, self.findings, PLAIN))


def estimate(
    model: "str | Workload | torch.nn.Module",
    device: str | Device,
    *,
    dtype: str = "fp32",
    batch: int = 1,
    clock: ClockKind | None = None,
    runtime: str | None = None,
    inputs: Any = None,
) -> Estimate:
    """How long `model` takes on `device`, in s: ideal, roofline and expected, with what binds each layer.

    `model` is a name, a workload, or a torch module, whose `inputs` are then a tensor or a tuple of tensors that hold
    one batch (their values do not matter; `torch.empty(..., device="meta")` is enough).
    """
    found = _workload(model, inputs, dtype)
    chosen = _device(device)
    return prediction.estimate(found, chosen, dtype, batch, clock, runtime)


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
    return counting.counted(found, convention, dtype, bits, batch)


def peak(device: str | Device = "host", clock: ClockKind | None = None) -> Description:
    """Every theoretical peak of a device, of this machine by default."""
    chosen = _device(device)
    return description.describe(chosen, description.known_peaks(chosen, clock))


def compare(
    *names: str | Device,
    model: "str | Workload | None" = None,
    dtype: str = "fp32",
    batches: Sequence[int] = (1,),
    sort: str | None = None,
) -> Comparison:
    """Devices side by side, each ratio to the first as a product of factors; with a model, its time on each in s."""
    workload = None if model is None else _workload(model, None, dtype)
    return comparing.compare([_device(name) for name in names], dtype, workload, tuple(batches), sort=sort)


def bench(*kernels: str, quick: bool = True, budget_s: float | None = None) -> Bench:
    """Measure this machine: `clock`, `fma`, `matmul`, `memory`, or all of them. Nothing is saved.

    `budget_s`: time to measure for in s. Raises InputError for a kernel that is not there or cannot run here.
    """
    from hwbench.measure import session
    from hwbench.measure.analysis.results import results

    run = session.bench(
        session.BenchRequest(kernels=kernels, quick=quick, budget_s=budget_s, command=("hwbench.bench",))
    )
    found = results(run)
    return Bench(run, found.results, found.findings)


def device(name: str) -> Device:
    """The device of a name, an alias or a YAML file; `host` is this machine, `run:FILE` the machine of a saved run."""
    from hwbench.api import lookup

    return lookup.device(name, ())[0]


def devices() -> dict[str, Device]:
    """Every device of the catalog by name, the user's own included."""
    return catalog.devices()


def _device(named: str | Device) -> Device:
    return named if isinstance(named, Device) else device(named)


def models() -> dict[str, Workload]:
    """Every network of the catalog by name, the user's own included."""
    return load.workloads()


def _workload(model: Any, inputs: Any, dtype: str) -> Workload:
    if isinstance(model, Workload):
        return model
    autocast = "fp16" if dtype == MIXED else None
    if isinstance(model, str):
        if inputs is not None:
            raise InputError("are for torch modules: a name has its own input", field="inputs")
        return load.workload(ModelRequest(model, autocast=autocast))
    return _module(model, inputs, autocast)


def _module(model: Any, inputs: Any, autocast: str | None) -> Workload:
    """The workload of a torch module of the caller's."""
    try:
        from hwbench.workload.tracing import build, sources
    except ImportError:
        raise InputError("is neither a name nor a workload, and torch is not installed", field="model") from None
    import torch

    from hwbench.workload.tracing.twins import tensors

    if not isinstance(model, torch.nn.Module):
        raise InputError(f"a {type(model).__name__} is neither a name, a workload nor a torch module", field="model")
    args: Sequence[Any] = (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs or ())
    first = next(iter(tensors(args)), None)
    if first is None:
        raise InputError("a module needs inputs: a tensor, or a tuple of tensors", field="inputs")
    title = type(model).__name__
    built = build.Built(model, tuple(args), {}, first.shape[0] if first.dim() else 1, title)
    return sources.counted(built, ModelRequest(title, autocast=autocast))
