"""Layers that repeat in a network's blocks as one row: `encoder.layer.*.attention.query ×12`."""

import re
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, TypeVar

MAX_LAYERS = 24
"""Layers up to which a table lists every one unasked."""


class Named(Protocol):
    """A part of any answer."""

    @property
    def name(self) -> str:
        """Its name, with the numbers of its blocks."""


class Repeated(Named, Protocol):
    """A layer of any answer."""

    @property
    def count(self) -> int:
        """How many operators it stands for, alike and one after the other."""


Layer = TypeVar("Layer", bound=Repeated)


def alike(layers: Sequence[Layer], work: Callable[[Layer], Hashable]) -> list[tuple[str, list[Layer]]]:
    """Return layers whose names differ by numbers and whose work is the same, by the name that they share."""
    groups: dict[Hashable, list[Layer]] = {}
    for layer in layers:
        groups.setdefault((re.sub(r"\d+", "*", layer.name), work(layer)), []).append(layer)
    return [(shared_name(group), group) for group in groups.values()]


def remark(layers: Sequence[Layer]) -> list[str]:
    """Return what `×12` means where a trace has made operators that are alike one, under the name of the first."""
    return ["×N: the first of N operators that are alike"] if any(layer.count > 1 for layer in layers) else []


def shared_name(group: Sequence[Named]) -> str:
    """Return the name that a group shares, with `*` for numbers that differ."""
    parts = zip(*(re.split(r"(\d+)", layer.name) for layer in group), strict=True)
    return "".join(part[0] if len(set(part)) == 1 else "*" for part in parts)
