"""Layers that repeat in a network's blocks as one row: `encoder.layer.*.attention.query ×12`."""

import re
from collections.abc import Callable, Hashable, Sequence
from typing import Any

MAX_LAYERS = 24
"""Layers up to which a table lists every one unasked."""


def alike(layers: Sequence[Any], work: Callable[[Any], Hashable]) -> list[tuple[str, list[Any]]]:
    """Return layers whose names differ by numbers and whose work is the same, by the name that they share."""
    groups: dict[Hashable, list[Any]] = {}
    for layer in layers:
        groups.setdefault((re.sub(r"\d+", "*", layer.name), work(layer)), []).append(layer)
    return [(shared_name(group), group) for group in groups.values()]


def remark(layers: Sequence[Any]) -> list[str]:
    """Return what `×12` means where a trace has made operators that are alike one, under the name of the first."""
    return ["×N: the first of N operators that are alike"] if any(layer.count > 1 for layer in layers) else []


def shared_name(group: Sequence[Any]) -> str:
    """Return the name that a group shares, with `*` for numbers that differ."""
    parts = zip(*(re.split(r"(\d+)", layer.name) for layer in group), strict=True)
    return "".join(part[0] if len(set(part)) == 1 else "*" for part in parts)
