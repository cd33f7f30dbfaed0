"""Layers that repeat in a network's blocks as one row: `encoder.layer.*.attention.query ×12`."""

import re
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, TypeVar

from msgspec.structs import replace

from hwbench.predict.estimate import LayerEstimate

MAX_LAYERS = 24
"""Layers up to which a table lists every one unasked."""


class Named(Protocol):
    """A layer of any answer."""

    @property
    def name(self) -> str:
        """The layer's name, with the numbers of its blocks."""


Layer = TypeVar("Layer", bound=Named)


def alike(layers: Sequence[Layer], work: Callable[[Layer], Hashable]) -> list[tuple[str, list[Layer]]]:
    """Return layers whose names differ by numbers and whose work is the same, by the name that they share."""
    groups: dict[Hashable, list[Layer]] = {}
    for layer in layers:
        groups.setdefault((re.sub(r"\d+", "*", layer.name), work(layer)), []).append(layer)
    return [(_name(group), group) for group in groups.values()]


def _name(group: Sequence[Named]) -> str:
    parts = zip(*(re.split(r"(\d+)", layer.name) for layer in group), strict=True)
    return "".join(part[0] if len(set(part)) == 1 else "*" for part in parts)


def grouped(layers: Sequence[LayerEstimate]) -> list[LayerEstimate]:
    """Return layers that are alike as one each, with the sums of them."""
    groups = alike(layers, lambda x: (x.kind, x.dtype, x.flops, x.traffic_bytes, x.weight_bytes, x.bound))
    return [group[0] if len(group) == 1 else _sum(name, group) for name, group in groups]


def _sum(name: str, group: Sequence[LayerEstimate]) -> LayerEstimate:
    first = group[0]
    return replace(
        first,
        name=name,
        flops=sum(layer.flops for layer in group),
        least_flops=sum(layer.least_flops for layer in group),
        traffic_bytes=sum(layer.traffic_bytes for layer in group),
        least_traffic_bytes=sum(layer.least_traffic_bytes for layer in group),
        weight_bytes=sum(layer.weight_bytes for layer in group),
        ideal_time_s=sum(layer.ideal_time_s for layer in group),
        roofline_time_s=None if first.roofline_time_s is None else sum(x.roofline_time_s or 0.0 for x in group),
        expected_time_s=None if first.expected_time_s is None else sum(x.expected_time_s or 0.0 for x in group),
        count=sum(layer.count for layer in group),
    )
