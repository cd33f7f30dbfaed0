"""Figures of a report as plotly's plain data: the roofline, and where the time of a network goes, layer by layer."""

import math
from typing import Any

from hwbench.predict.estimate import Estimate, LayerEstimate
from hwbench.report.page import Figure, Table, label
from hwbench.units import operations_unit, si

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#999999")
"""Okabe and Ito's palette (2008), which most color-blind readers can tell apart, in an order of ours."""
BOUNDS = {"compute": COLORS[0], "memory": COLORS[1], "overhead": COLORS[3]}
MOST_BARS = 30
_NO_COLOR = COLORS[7]


def axis(title: str, log: bool = False, **more: Any) -> dict[str, Any]:
    """A plotly axis with a title, logarithmic with a power of ten a tick where asked for."""
    scale = {"type": "log", "dtick": 1, "exponentformat": "power"} if log else {}
    return {"title": {"text": title}, **scale, **more}


def layer_table(e: Estimate) -> Table:
    """Every layer of an estimate with its full numbers."""
    unit = operations_unit(e.dtype)
    header = ("layer", "kind", "count", unit, "bytes", f"{unit}/B", "ideal s", "roofline s", "expected s", "bound")
    rows = tuple(
        (
            x.name,
            x.kind,
            x.count,
            x.flops,
            x.traffic_bytes,
            x.intensity,
            x.ideal_time_s,
            x.roofline_time_s,
            expected(x),
            x.bound,
        )
        for x in e.layers
    )
    return Table(f"Layers of {e.model} on {e.device}", header, rows, right=tuple(range(2, 9)))


def expected(layer: LayerEstimate | Estimate) -> float | None:
    """The expected time in s, None where an estimate has none."""
    return layer.expected_time_s if isinstance(layer.expected_time_s, float) else None


def time_of(layer: LayerEstimate) -> float:
    """The best time that is known of a layer, in s: expected, else the roofline, else the ideal."""
    return expected(layer) or layer.roofline_time_s or layer.ideal_time_s


def roofline(e: Estimate, name: str) -> Figure:
    """Attainable rate over intensity, log-log, each layer a point sized by its time (Williams et al. 2009)."""
    bandwidth, peak, unit = e.bandwidth_bytes_per_second, e.peak_flops_per_second, operations_unit(e.dtype)
    points = [x for x in e.layers if x.flops and time_of(x)]
    low, high = _reach(points, e)
    traces = [*_roof(low, high, peak, bandwidth, e), *_points(points, e)]
    layout = {
        "xaxis": axis(f"intensity, {unit}/B", log=True, range=[math.log10(low), math.log10(high)]),
        "yaxis": axis(f"{unit}/s", log=True),
    }
    apart = len(e.layers) - len(points)
    shapes = f"{len(points)} layers with multiply-adds as points sized by their time"
    rest = f"; {apart} without multiply-adds have no place on it" if apart else ""
    return Figure(
        name=name,
        title=f"Roofline of {e.model} on {e.device}, {e.dtype}, batch {e.batch}",
        alternative=f"The roof: {si(peak, unit + '/s')} at most, {_slope(bandwidth)}. {shapes}{rest}.",
        traces=tuple(traces),
        layout=layout,
        table=layer_table(e),
        height=460,
    )


def _slope(bandwidth: float | None) -> str:
    return f"{si(bandwidth, 'B/s')} of memory bandwidth below" if bandwidth else "its memory bandwidth is unknown"


def _reach(points: list[LayerEstimate], e: Estimate) -> tuple[float, float]:
    """The intensities that the picture spans: its points and the ridge, with room on both sides."""
    known = [x.intensity for x in points if x.intensity > 0] + ([e.ridge_point] if e.ridge_point else [])
    return min(known, default=1.0) / 4, max(known, default=100.0) * 4


def _roof(low: float, high: float, peak: float, bandwidth: float | None, e: Estimate) -> list[dict[str, Any]]:
    corners = [low, high] if not bandwidth else sorted({low, min(max(peak / bandwidth, low), high), high})
    heights = [min(peak, x * bandwidth) if bandwidth else peak for x in corners]
    line = {"color": _NO_COLOR, "width": 3}
    return [
        {
            "type": "scatter", "mode": "lines", "name": label(e.peak), "x": corners, "y": heights, "line": line,
            "hovertemplate": "%{y:.3s}<extra>" + label(e.peak) + "</extra>",
        }
    ]  # fmt: skip


def _points(points: list[LayerEstimate], e: Estimate) -> list[dict[str, Any]]:
    """A trace a bound; the area of a point is its share of the time."""
    total = sum(time_of(x) for x in points) or 1.0
    traces = []
    for bound in dict.fromkeys(x.bound or "unknown" for x in points):
        some = [x for x in points if (x.bound or "unknown") == bound]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": f"bound by {bound}",
                "x": [x.intensity for x in some], "y": [x.flops / time_of(x) for x in some],
                "text": [_hover(x, e) for x in some], "hovertemplate": "%{text}<extra></extra>",
                "marker": {
                    "color": BOUNDS.get(bound, _NO_COLOR), "opacity": 0.75, "line": {"width": 1, "color": "#ffffff"},
                    "size": [6 + 40 * math.sqrt(time_of(x) / total) for x in some],
                },
            }
        )  # fmt: skip
    return traces


def _hover(x: LayerEstimate, e: Estimate) -> str:
    """What a point says: name, kind, work, times, bound."""
    unit = operations_unit(e.dtype)
    lines = [
        f"<b>{label(x.name)}</b> · {label(x.kind)}" + (f" × {x.count}" if x.count > 1 else ""),
        f"{si(x.flops, unit)}, {si(x.traffic_bytes, 'B')}, {x.intensity:.3g} {unit}/B",
        f"ideal {si(x.ideal_time_s, 's')}",
    ]
    if x.roofline_time_s is not None:
        lines.append(f"roofline {si(x.roofline_time_s, 's')}, bound by {x.bound}")
    if (time := expected(x)) is not None:
        lines.append(f"expected {si(time, 's')}")
    return "<br>".join(lines)


def layer_times(e: Estimate, name: str) -> Figure:
    """Bars of the most expensive layers, in order of execution: ideal, roofline and expected time."""
    longest = sorted(range(len(e.layers)), key=lambda i: -time_of(e.layers[i]))[:MOST_BARS]
    some = [e.layers[i] for i in sorted(longest)]
    names = [f"{index + 1} {label(x.name, 28)}" for index, x in zip(sorted(longest), some, strict=True)]
    kinds: list[tuple[str, str, list[float | None]]] = [
        ("ideal", COLORS[5], [x.ideal_time_s for x in some]),
        ("roofline", COLORS[0], [x.roofline_time_s for x in some]),
        ("expected", COLORS[1], [expected(x) for x in some]),
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
            "xaxis": axis("time, s", exponentformat="SI"),
            "yaxis": {"autorange": "reversed", "type": "category"},
            "margin": {"l": 170, "r": 16, "t": 34, "b": 48},
        },
        table=layer_table(e),
        height=140 + 24 * len(some),
    )
