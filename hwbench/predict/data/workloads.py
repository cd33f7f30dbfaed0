"""The workload that a measurement was made of: the same for fitting and for replaying."""

from collections.abc import Callable

from hwbench.errors import InputError
from hwbench.predict.data.tables import MeasuredTime
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

MOST_APART = 0.02
"""By which share the parameters of a measured model may differ from ours: names outlive networks."""
ROUNDED = 5e3
"""Parameters that a table in millions with two digits rounds away."""

Workloads = Callable[[ModelRequest], Workload]


def workload(one: MeasuredTime, made: Workloads) -> Workload:
    """What was measured, as `made` counts it. Raises InputError where that is another network or image."""
    found = _named(one, made)
    if one.params and abs(one.params - found.params) > MOST_APART * one.params + ROUNDED:
        theirs, ours = one.params / 1e6, found.params / 1e6
        raise InputError(f"is another network today: {theirs:.4g} M parameters were measured, now it has {ours:.4g} M")
    return found


def _named(one: MeasuredTime, made: Workloads) -> Workload:
    if ":" in one.model:
        return made(
            ModelRequest(
                one.model,
                image_size=one.image_size,
                autocast="fp16" if one.dtype == "amp" else None,
                channels_last=one.layout == "nhwc",
            )
        )
    found = made(ModelRequest(one.model))
    side = found.input_shape[-1]
    if one.image_size not in (None, side):
        raise InputError(f"{one.model} is catalogued for images of {side}, not of {one.image_size}")
    return found
