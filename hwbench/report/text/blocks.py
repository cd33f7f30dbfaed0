"""Layers that repeat in a network's blocks as one row: `encoder.layer.*.attention.query ×12`."""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from hwbench.predict.estimate import LayerEstimate


def grouped(layers: Sequence[LayerEstimate]) -> list[LayerEstimate]:
    """Return layers whose names differ by numbers and whose work is the same as one each, with the sums of them."""
    groups: dict[tuple[object, ...], list[LayerEstimate]] = {}
    for layer in layers:
        work = (layer.kind, layer.dtype, layer.flops, layer.traffic_bytes, layer.weight_bytes, layer.bound)
        groups.setdefault((re.sub(r"\d+", "*", layer.name), *work), []).append(layer)
    return [alike[0] if len(alike) == 1 else _sum(alike) for alike in groups.values()]


def _sum(alike: Sequence[LayerEstimate]) -> LayerEstimate:
    first = alike[0]
    parts = zip(*(re.split(r"(\d+)", layer.name) for layer in alike), strict=True)
    return replace(
        first,
        name="".join(part[0] if len(set(part)) == 1 else "*" for part in parts),
        flops=sum(layer.flops for layer in alike),
        least_flops=sum(layer.least_flops for layer in alike),
        traffic_bytes=sum(layer.traffic_bytes for layer in alike),
        least_traffic_bytes=sum(layer.least_traffic_bytes for layer in alike),
        weight_bytes=sum(layer.weight_bytes for layer in alike),
        ideal_time_s=sum(layer.ideal_time_s for layer in alike),
        roofline_time_s=None if first.roofline_time_s is None else sum(x.roofline_time_s or 0.0 for x in alike),
        expected_time_s=None if first.expected_time_s is None else sum(x.expected_time_s or 0.0 for x in alike),
        count=sum(layer.count for layer in alike),
    )
