"""The optimizers of training steps: what torch calls them, and the values that they keep for each parameter."""

from typing import Any

from msgspec import Struct

from hwbench.errors import InputError, nearest, shown


class Optimizer(Struct, frozen=True):
    """An optimizer of torch with the settings that its name means, and how many values it keeps a parameter."""

    settings: tuple[str, dict[str, Any]]
    states: int


OPTIMIZERS = {
    "sgd": Optimizer(("SGD", {}), 0),
    "momentum": Optimizer(("SGD", {"momentum": 0.9}), 1),
    "adam": Optimizer(("Adam", {}), 2),
    "adamw": Optimizer(("AdamW", {}), 2),
}


def check_optimizer(name: str) -> str:
    """Return the name of an optimizer in lower case. Raises InputError for an unknown one."""
    if (known := name.lower()) in OPTIMIZERS:
        return known
    text = f"There is no optimizer '{shown(name)}'."
    raise InputError("unknown-optimizer", text, field="optimizer", nearest=nearest(known, OPTIMIZERS) or (*OPTIMIZERS,))
