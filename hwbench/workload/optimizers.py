"""The optimizers of training steps: what torch calls them, what an update computes, and the values that they keep."""

from typing import Any

from msgspec import Struct

from hwbench.errors import InputError, nearest, shown
from hwbench.workload.ops import Op


class Optimizer(Struct, frozen=True):
    """An optimizer of torch with the settings that its name means.

    It keeps `states` values a parameter, and an update takes `flops` operations a parameter: those of its formulas as
    torch computes them, a root as one.
    """

    settings: tuple[str, dict[str, Any]]
    states: int
    flops: int


OPTIMIZERS = {
    "sgd": Optimizer(("SGD", {}), 0, 2),
    "momentum": Optimizer(("SGD", {"momentum": 0.9}), 1, 4),
    "adam": Optimizer(("Adam", {}), 2, 13),
    "adamw": Optimizer(("AdamW", {}), 2, 14),
}


def update(name: str, params: int, tensors: int = 1) -> Op:
    """Return the update of so many parameters in `tensors`, as one kernel that writes all it reads but gradients."""
    optimizer = OPTIMIZERS[name]
    values = (1 + optimizer.states) * params
    return Op(
        "optimizer", (params,), elementwise_flops=optimizer.flops * params, input_elements=values,
        weight_elements=params, output_elements=values, name=f"optimizer:{name}", constant=True, part="optimizer",
        groups=tensors,
    )  # fmt: skip


def check_optimizer(name: str) -> str:
    """Return the name of an optimizer in lower case. Raises InputError for an unknown one."""
    if (known := name.lower()) in OPTIMIZERS:
        return known
    text = f"There is no optimizer '{shown(name)}'."
    raise InputError("unknown-optimizer", text, field="optimizer", nearest=nearest(known, OPTIMIZERS) or (*OPTIMIZERS,))
