"""How long models take on devices: `estimate` and `estimate_all`.

    import hwbench
    hwbench.estimate("alexnet", "rtx3090")          # in a notebook: a table; str() gives the text of the command line
    hwbench.estimate(my_module, "a100-sxm4-80gb", inputs=torch.empty(8, 3, 224, 224), dtype="fp16")

Names mean what they mean to `--model` and `--device`. Raises InputError for what cannot be answered.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from msgspec.structs import replace

from hwbench.api.checks import MAX_ROWS, check_batches, check_clock, check_dtype, check_math
from hwbench.api.lookup import Model, ModelOptions, locate
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.notices import Notice, notice, unique
from hwbench.predict import estimate as prediction
from hwbench.predict.estimate import Estimate, Estimates
from hwbench.predict.improvements import improvements
from hwbench.predict.model.runtimes import runtimes_on, without_parameters
from hwbench.workload.ops import Workload

if TYPE_CHECKING:
    import torch

ALL = "all"


def estimate(
    model: "str | Workload | torch.nn.Module",
    device: str | Device,
    *,
    dtype: str = "fp32",
    batch: int | None = None,
    clock: str | None = None,
    runtime: str | None = None,
    math: str = "default",
    settings: Mapping[str, str] | None = None,
    inputs: Any = None,
    optimizer: str | None = None,
    **options: Unpack[ModelOptions],
) -> Estimate:
    """Return the time of `model` on `device` in s: ideal, roofline and forecast, with what limits each layer.

    `model` is a name, a workload, or a torch module, whose `inputs` are then a tensor or a tuple of tensors that hold
    one batch (their values do not matter; `torch.empty(..., device="meta")` is enough). `batch` is that of the inputs
    by default, 1 without inputs; `batch_dim` states along which dimension of the inputs samples lie, where that cannot
    be found. `settings` replace values of the device: `{"clock": "3 GHz"}`. `math` is `default`, or `strict` where
    torch is set to compute fp32 convolutions in fp32 on GPUs that have tf32. An `optimizer` updates the weights of a
    training step.
    """
    batches = None if batch is None else (batch,)
    several = estimate_all(
        model, device, dtypes=(dtype,), batches=batches, clock=clock, runtime=runtime, math=math,
        settings=settings, inputs=inputs, optimizer=optimizer, **options,
    )  # fmt: skip
    if len(several.estimates) > 1:
        raise InputError(
            "single-value", "This is one estimate, of one runtime: estimate_all compares.", field="runtime"
        )
    return several.estimates[0]


def estimate_all(
    model: "str | Workload | torch.nn.Module",
    device: str | Device,
    *,
    dtypes: Sequence[str] = ("fp32",),
    batches: Sequence[int] | None = None,
    clock: str | None = None,
    runtime: str | None = None,
    math: str = "default",
    settings: Mapping[str, str] | None = None,
    inputs: Any = None,
    optimizer: str | None = None,
    **options: Unpack[ModelOptions],
) -> Estimates:
    """Return an estimate for each dtype and batch, as `estimate` does for one.

    `runtime` may be several, as in `torch-eager,torch-compile`, or `all` that have parameters for the device.
    """
    source = Model(model, inputs, options, optimizer=optimizer)
    formats = [check_dtype(name) for name in ((dtypes,) if isinstance(dtypes, str) else dtypes)]
    if not formats:
        raise InputError("missing", "There is no dtype to estimate in.", field="dtypes")
    sizes = [
        source.batch(batch, formats[0]) for batch in ((None,) if batches is None else check_batches(batches) or ())
    ]
    if not sizes:
        raise InputError("missing", "There is no batch size to estimate at.", field="batches")
    if clock and any(field.startswith("clock") for field in settings or ()):
        message = "A kind of clock cannot be chosen where the clock itself is set."
        raise InputError("exclusive", message, field="clock")
    kind, located, precision = check_clock(clock), locate(device, settings), check_math(math)
    runtimes, notices = _runtimes(runtime, located.device.kind)
    if len(formats) * len(sizes) * len(runtimes) > MAX_ROWS:
        raise InputError("too-many", f"There are more than {MAX_ROWS} estimates.", field="batch")
    rows = [
        prediction.estimate(source.workload(name, size), located.device, name, size, kind, each, precision)
        for each in runtimes
        for name in formats
        for size in sizes
    ]
    if len(rows) == 1:
        workload = source.workload(formats[0], sizes[0])
        how: Any = {"clock": kind, "runtime": runtimes[0], "math": precision}
        helping = improvements(workload, located.device, formats[0], sizes[0], **how)
        rows = [replace(rows[0], improvements=helping)]
    notices += located.notices
    return Estimates(tuple(replace(row, notices=unique((*notices, *row.notices))) for row in rows))


def _runtimes(text: str | None, kind: str) -> tuple[Sequence[str | None], list[Notice]]:
    """Return the runtimes that are compared, and a notice of those that cannot be. Raises InputError."""
    if text != ALL:
        names = tuple(dict.fromkeys(name.strip() for name in text.split(","))) if text else ()
        return names or (None,), []
    missing = without_parameters(kind) if runtimes_on(kind) else ()
    notices = [notice("runtimes-without-parameters", runtimes=list(missing), kind=kind)] if missing else []
    return runtimes_on(kind) or (None,), notices
