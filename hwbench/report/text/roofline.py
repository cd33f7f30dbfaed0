"""A roofline in text: intensity across, FLOP/s up, both logarithmic; letters mark the layers that take longest."""

import math

from hwbench.predict.estimate import Estimate, LayerEstimate
from hwbench.report.text.format import intensity, layer_name, percent
from hwbench.report.text.layout import Style, sentences
from hwbench.units import operations_unit, si

ROWS = 14
_MARGIN = 12
_LETTERS = "ABCDEFGH"
_MAX_NAME = 30


def roofline(e: Estimate, style: Style) -> list[str]:
    """Return the picture, or the reason for none: an unknown bandwidth, no multiply-adds."""
    points = [x for x in e.layers if x.flops and _time(x)]
    if not e.bandwidth_bytes_per_second:
        return ["There is no roofline: the memory bandwidth is unknown."]
    if not points:
        return ["There is no roofline: the model has no multiply-adds."]
    width = min(style.width, 100) - _MARGIN - 1
    low = min(*(x.intensity for x in points), e.ridge_point or 1.0) / 2
    high = max(*(x.intensity for x in points), e.ridge_point or 1.0) * 2
    top, bottom = e.peak_flops_per_second * 1.5, _bottom(points, low, e)

    def column(intensity: float) -> int:
        return round((width - 1) * math.log(intensity / low) / math.log(high / low))

    def row(rate: float) -> int:
        return round((ROWS - 1) * math.log(top / max(rate, bottom)) / math.log(top / bottom))

    grid = [[" "] * width for _ in range(ROWS)]
    for x in range(width):
        slope = low * (high / low) ** (x / (width - 1)) * e.bandwidth_bytes_per_second
        grid[row(min(slope, e.peak_flops_per_second))][x] = "-" if slope >= e.peak_flops_per_second else "/"
    points.sort(key=_time, reverse=True)
    marked: dict[tuple[int, int], list[LayerEstimate]] = {}
    for layer in points:
        marked.setdefault((row(layer.flops / _time(layer)), column(layer.intensity)), []).append(layer)
    for letter, (y, x) in zip(_LETTERS + "." * len(marked), marked, strict=False):
        grid[y][x] = letter
    total = sum(x.expected_time_s or x.roofline_time_s or 0.0 for x in e.layers)
    names = (_named(layers, total) for layers in marked.values())
    legend = [f"{letter} {name}" for letter, name in zip(_LETTERS, names, strict=False)]
    legend += [". the others"] if len(marked) > len(legend) else []
    return [*_framed(grid, (low, high), (top, bottom), e), *sentences("; ".join(legend), style)]


def _named(layers: list[LayerEstimate], total: float) -> str:
    """Return the first of the layers at one place, how many more there are, and their share of the time."""
    first, others = layers[0], sum(layer.count for layer in layers) - layers[0].count
    more = f" and {others} more" if others else ""
    return f"{layer_name(first.name, first.count, _MAX_NAME)}{more} {percent(sum(map(_time, layers)) / total)}"


def _time(layer: LayerEstimate) -> float:
    return layer.expected_time_s or layer.roofline_time_s or 0.0


def _bottom(points: list[LayerEstimate], low: float, e: Estimate) -> float:
    lowest = min(x.flops / _time(x) for x in points)
    return min(lowest, low * (e.bandwidth_bytes_per_second or 1.0), e.peak_flops_per_second / 10) / 1.2


def _framed(grid: list[list[str]], across: tuple[float, float], up: tuple[float, float], e: Estimate) -> list[str]:
    unit, width = operations_unit(e.dtype), len(grid[0])
    lines = []
    for index, cells in enumerate(grid):
        share = index / (ROWS - 1)
        rate = up[0] * (up[1] / up[0]) ** share
        text = si(rate, unit + "/s", 2) if index in (0, ROWS // 2, ROWS - 1) else ""
        lines.append(f"{text:>{_MARGIN - 1}} |" + "".join(cells).rstrip())
    lines.append(" " * _MARGIN + "+" + "-" * (width - 1))
    left, right = intensity(across[0]), f"{intensity(across[1])} {unit}/B"
    lines.append(" " * (_MARGIN + 1) + left + " " * (width - len(left) - len(right) - 1) + right)
    return lines
