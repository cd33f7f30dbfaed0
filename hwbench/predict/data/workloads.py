"""The workload that was measured: the same for fitting and for replaying."""

from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.predict.data.rows import MeasuredTime
from hwbench.workload.ops import Workload
from hwbench.workload.request import MERGED, ModelRequest

MAX_PARAMS_DIFFERENCE = 0.02
"""Share by which the parameters of a measured model may differ from those counted: names outlive networks."""
ROUNDED_PARAMS = 5e3
"""Parameters that a table in millions with two digits rounds away."""

Workloads = Callable[[ModelRequest], Workload]


def by_trace(row: MeasuredTime) -> tuple[object, ...]:
    """Return a key that sorts rows of one trace together, and traces of one file: each is read once."""
    return (row.model, row.image_size or 0, row.dtype, row.layout or "", row.batch)


def measured_workload(row: MeasuredTime, count: Workloads) -> Workload:
    """Return what was measured, as `count` counts it. Raises InputError if that is another network or image now.

    A network of timm with fewer parameters than it was built with is the one that its reparameterization gives, if that
    has as many.
    """
    workload = _counted(row, count)
    if row.params is None or abs(row.params - workload.params) <= ROUNDED_PARAMS:
        return workload
    if row.params < workload.params and row.model.startswith("timm:"):
        with suppress(InputError):
            merged = _counted(replace(row, model=row.model.partition(".")[0] + MERGED), count)
            if abs(row.params - merged.params) <= ROUNDED_PARAMS:
                return merged
    if abs(row.params - workload.params) > MAX_PARAMS_DIFFERENCE * row.params + ROUNDED_PARAMS:
        message = (
            f"The model has {workload.params / 1e6:.4g} M parameters, the one measured had {row.params / 1e6:.4g} M: "
            "it is another network today."
        )
        raise InputError("other-network", message)
    return workload


def _counted(row: MeasuredTime, count: Workloads) -> Workload:
    if ":" in row.model:
        autocast = "fp16" if row.dtype == "amp" else None
        nhwc = row.layout == "nhwc"
        return count(ModelRequest(row.model, image_size=row.image_size, autocast=autocast, channels_last=nhwc))
    workload = count(ModelRequest(row.model))
    side = workload.input_shape[-1]
    if row.image_size not in (None, side):
        message = f"The catalog has {row.model} for images of {side} pixels, not of {row.image_size}."
        raise InputError("image-size", message)
    return workload
