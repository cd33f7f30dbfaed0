"""A roofline in text: intensity across, FLOP/s up, both logarithmic, each layer a mark by its share of the time."""

import math

from hwbench.predict.estimate import Estimate, LayerEstimate
from hwbench.report.text.format import intensity
from hwbench.report.text.layout import Style
from hwbench.units import operations_unit, si

ROWS = 14
_MARGIN = 12
_MARKS = ((0.20, "@"), (0.05, "O"), (0.01, "o"), (0.0, "."))
"""Share of the time from which a layer has a mark."""


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
    total = sum(map(_time, points))
    for layer in sorted(points, key=_time):  # the most expensive last, over the others
        mark = next(mark for least, mark in _MARKS if _time(layer) / total >= least)
        grid[row(layer.flops / _time(layer))][column(layer.intensity)] = mark
    return _framed(grid, (low, high), (top, bottom), e, style)


def _time(layer: LayerEstimate) -> float:
    return layer.forecast_time_s or layer.roofline_time_s or 0.0


def _bottom(points: list[LayerEstimate], low: float, e: Estimate) -> float:
    lowest = min(x.flops / _time(x) for x in points)
    return min(lowest, low * (e.bandwidth_bytes_per_second or 1.0), e.peak_flops_per_second / 10) / 1.2


def _framed(
    grid: list[list[str]], across: tuple[float, float], up: tuple[float, float], e: Estimate, style: Style
) -> list[str]:
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
    lines.append(style.paint("layers by their share of the time: @ 20 %  O 5 %  o 1 %  . less", "dim"))
    return lines
