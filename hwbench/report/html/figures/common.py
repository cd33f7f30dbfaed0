"""Figures of a report as plotly's plain data: colors and axes, and where a network's time goes, layer by layer."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from hwbench.predict.estimate import Estimate, LayerEstimate
from hwbench.report.html.measured import Beside
from hwbench.report.html.page import Cell, Figure, HtmlTable, label
from hwbench.units import operations_unit, si

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#999999")
"""Okabe and Ito's palette (2008), which most color-blind readers can tell apart, in an order of ours."""
BOUNDS = {"compute": COLORS[0], "memory": COLORS[1], "overhead": COLORS[3]}
MEASURED = COLORS[2]
"""The color of whatever was measured."""
MOST_BARS = 30
_MANTISSAS: tuple[tuple[float, ...], ...] = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))
_FEWEST_TICKS = 3


def axis(title: str, **more: Any) -> dict[str, Any]:
    """A plotly axis with a title."""
    return {"title": {"text": title}, **more}


def log_axis(title: str, values: Iterable[float], unit: str = "", **more: Any) -> dict[str, Any]:
    """A logarithmic axis over positive values, with as few round numbers for ticks as tell where they lie."""
    known = [value for value in values if value]
    low, high = min(known, default=1.0), max(known, default=10.0)
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for mantissas in _MANTISSAS:
        found = [m * 10.0**power for power in decades for m in mantissas]
        if sum(low <= tick <= high for tick in found) >= _FEWEST_TICKS:
            break
    texts = [si(tick, unit, 3).strip() if unit or tick >= 1e4 else f"{tick:.4g}" for tick in found]
    return axis(title, **{"type": "log", "tickvals": found, "ticktext": texts, **more})


def layer_table(e: Estimate, beside: Beside | None = None) -> HtmlTable:
    """Every layer of an estimate with its full numbers, and its measured time where a run has one."""
    unit = operations_unit(e.dtype)
    header: tuple[str, ...] = ("layer", "kind", "count", unit, "bytes", f"{unit}/B")
    header = (*header, "ideal s", "roofline s", "expected s", "bound")
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            x.name,
            x.kind,
            x.count,
            x.flops,
            x.traffic_bytes,
            x.intensity,
            x.ideal_time_s,
            x.roofline_time_s,
            x.forecast_time_s,
            x.bound,
        )
        for x in e.layers
    )
    right = tuple(range(2, 9))
    if beside and beside.layers:
        header, right = (*header, "measured s"), (*right, 10)
        rows = tuple((*row, beside.layers.get(index)) for index, row in enumerate(rows))
    return HtmlTable(f"Layers of {e.model} on {e.device}", header, rows, right)


def time_of(layer: LayerEstimate) -> float:
    """The best time that is known of a layer, in s: expected, else the roofline, else the ideal."""
    return layer.forecast_time_s or layer.roofline_time_s or layer.ideal_time_s


def layer_times(e: Estimate, name: str, beside: Beside | None = None) -> Figure:
    """Bars of the most expensive layers, in order of execution: ideal, roofline, expected and measured time."""
    timed: Mapping[int, float] = beside.layers if beside else {}
    longest = sorted(range(len(e.layers)), key=lambda i: -max(time_of(e.layers[i]), timed.get(i, 0.0)))[:MOST_BARS]
    some = [e.layers[i] for i in sorted(longest)]
    names = [f"{index + 1} {label(x.name, 28)}" for index, x in zip(sorted(longest), some, strict=True)]
    kinds: list[tuple[str, str, list[float | None]]] = [
        ("ideal", COLORS[5], [x.ideal_time_s for x in some]),
        ("roofline", COLORS[0], [x.roofline_time_s for x in some]),
        ("expected", COLORS[1], [x.forecast_time_s for x in some]),
        ("measured", MEASURED, [timed.get(i) for i in sorted(longest)]),
    ]
    traces = tuple(
        {
            "type": "bar", "orientation": "h", "name": kind, "y": names, "x": times, "marker": {"color": color},
            "hovertemplate": "%{x:.4s}s<extra>" + kind + "</extra>",
        }
        for kind, color, times in kinds
        if any(times)
    )  # fmt: skip
    shown = f"the {MOST_BARS} longest of {len(e.layers)} layers" if len(e.layers) > MOST_BARS else "every layer"
    top = max(e.layers, key=time_of, default=None)
    said = f" The longest is {top.name} with {si(time_of(top), 's')}." if top else ""
    return Figure(
        name=name,
        title=f"Time per layer of {e.model} on {e.device}, {e.dtype}, batch {e.batch}: {shown}",
        alternative=f"Horizontal bars of {shown} in order of execution.{said}",
        traces=traces,
        layout={
            "barmode": "group",
            "xaxis": axis("time", tickformat="~s", ticksuffix="s"),
            "yaxis": {"autorange": "reversed", "type": "category"},
            "margin": {"l": 170, "r": 16, "t": 34, "b": 48},
        },
        table=layer_table(e, beside),
        height=140 + (6 + 6 * len(traces)) * len(some),
    )
