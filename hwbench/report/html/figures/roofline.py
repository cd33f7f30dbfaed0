"""The roofline of an estimate: its ceilings and slopes, a point for each layer, and measured points.

Log-log, each layer sized by its time (S. Williams et al., CACM 52(4), 2009); slopes of the caches lie above that of
main memory as in the cache-aware roofline (A. Ilic et al., IEEE Computer Architecture Letters 13(1), 2014).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from hwbench.machine.device import Device
from hwbench.measure.record import Result
from hwbench.notices import notice
from hwbench.predict.estimate import Estimate, LayerEstimate
from hwbench.report.html.figures.ceilings import CeilingLine, SlopeLine, ceilings, slopes
from hwbench.report.html.figures.common import BOUNDS, COLORS, MEASURED, layer_table, log_axis, time_of, titled
from hwbench.report.html.measured import MeasuredEstimate
from hwbench.report.html.page import Figure, label
from hwbench.units import operations_unit, si

HEIGHT = 500
NAMED = 6
"""Points with their names; the others show theirs when pointed at."""
_NAME_APART = (0.35, 0.12)
"""Decades of intensity and of FLOP/s between two names."""
_GRAY = COLORS[7]
_LABEL_HEIGHT = 0.06
"""Height of a label as a share of the picture's."""


def roofline(
    e: Estimate, name: str, device: Device, results: Sequence[Result] = (), measured: MeasuredEstimate | None = None
) -> Figure:
    """Return the roofline with all known limits of the device; `results` are of runs of the same machine."""
    unit = operations_unit(e.dtype)
    points = [index for index, x in enumerate(e.layers) if x.flops and time_of(x)]
    roofs, levels = ceilings(e, device), slopes(device, results)
    low, high = _reach([e.layers[index] for index in points], e, margin=10 if levels else 4)
    top = max(roof.rate for roof in roofs)
    lines = [
        _roof(low, high, e, roofs[0]),
        *_ceiling_traces(roofs[1:], high, e),
        *_slope_traces(levels, low, high, top),
    ]
    marks = [*_points(points, e), *_measured_traces(points, e, measured)]
    every = [y for trace in (*lines, *marks) for y in trace["y"] if y]
    bottom, upper = math.log10(min(every)) - 0.15, math.log10(max(every)) + 0.3
    names = _at_ceilings(roofs, high, upper - bottom, unit) + _at_slopes(levels, low, e, upper - bottom)
    for trace in lines:
        trace["showlegend"] = trace["name"] not in {label["name"] for label in names}
    return Figure(
        name=name,
        title=f"Roofline of {titled(e)}, {e.dtype}, batch {e.batch}",
        alternative=_description(e, roofs, levels, len(points), measured),
        traces=(*lines, *marks),
        layout={
            "xaxis": log_axis(f"intensity, {unit}/B", (low, high), range=[math.log10(low), math.log10(high)]),
            "yaxis": log_axis(f"{unit}/s", every, range=[bottom, upper]),
            "annotations": names,
        },
        table=layer_table(e, measured),
        height=HEIGHT,
        note="" if e.bandwidth_bytes_per_second else str(notice("bandwidth-unknown", device=e.device)),
    )


def _description(
    e: Estimate, roofs: Sequence[CeilingLine], levels: Sequence[SlopeLine], points: int, measured: object
) -> str:
    """Return the picture in words."""
    unit = operations_unit(e.dtype)
    memory = e.bandwidth_bytes_per_second
    slope = f"{si(memory, 'B/s')} of memory bandwidth under it" if memory else "its memory bandwidth is unknown"
    text = f"The roof: {si(e.peak_flops_per_second, unit + '/s')} at most; {slope}."
    others, known = (roof.description(unit) for roof in roofs[1:]), (level.description for level in levels)
    text += f" Other ceilings: {', '.join(others)}." if len(roofs) > 1 else ""
    text += f" Slopes: {', '.join(known)}." if levels else ""
    hidden = len(e.layers) - points
    text += f" {points} layers with multiply-adds as points sized by their time"
    text += f"; {hidden} without multiply-adds are not drawn." if hidden else "."
    return text + (" Hollow points are measured." if measured else "")


def _reach(points: Sequence[LayerEstimate], e: Estimate, margin: float) -> tuple[float, float]:
    """Return the range of intensities: points and ridge point, times 1 / `margin` and 10."""
    known = [x.intensity for x in points if x.intensity > 0] + ([e.ridge_point] if e.ridge_point else [])
    return min(known, default=1.0) / margin, max(known, default=100.0) * 10


def _line(name: str, hover: str, xs: list[float], ys: list[float], line: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": label(name), "x": xs, "y": ys, "line": line,
        "hovertemplate": f"{label(hover)}<extra></extra>",
    }  # fmt: skip


def _roof(low: float, high: float, e: Estimate, first: CeilingLine) -> dict[str, Any]:
    bandwidth, peak = e.bandwidth_bytes_per_second, e.peak_flops_per_second
    corners = [low, high] if not bandwidth else sorted({low, min(max(peak / bandwidth, low), high), high})
    heights = [min(peak, x * bandwidth) if bandwidth else peak for x in corners]
    unit = operations_unit(e.dtype)
    hover = first.description(unit) + (f"; memory {si(bandwidth, 'B/s')}" if bandwidth else "")
    return _line(first.titled(unit), hover, corners, heights, {"color": _GRAY, "width": 3})


def _ceiling_traces(roofs: Sequence[CeilingLine], high: float, e: Estimate) -> list[dict[str, Any]]:
    """Return the ceilings, each from its intersection with the memory's slope."""
    unit, traces = operations_unit(e.dtype), []
    for roof in roofs:
        start = roof.rate / e.bandwidth_bytes_per_second if e.bandwidth_bytes_per_second else high / 100
        color, dash = (MEASURED, "solid") if roof.measured else (_GRAY, "dash")
        line = {"color": color, "width": 2, "dash": dash}
        ends = [min(start, high / 2), high]
        traces.append(_line(roof.titled(unit), roof.description(unit), ends, [roof.rate, roof.rate], line))
    return traces


def _slope_traces(levels: Sequence[SlopeLine], low: float, high: float, top: float) -> list[dict[str, Any]]:
    """Return the slopes from the left edge up to the highest ceiling."""
    traces = []
    for level in levels:
        end = min(max(top / level.bandwidth, low), high)
        line = {"color": MEASURED, "width": 1.5, "dash": "dot"}
        ys = [min(x * level.bandwidth, top) for x in (low, end)]
        traces.append(_line(level.short, level.description, [low, end], ys, line))
    return traces


def _at_ceilings(roofs: Sequence[CeilingLine], high: float, span: float, unit: str) -> list[dict[str, Any]]:
    """Return labels at the right ends of ceilings, as many as fit: above a peak, below a measured rate."""
    labels = []
    for roof in (roofs[0], *sorted(roofs[1:], key=lambda roof: not roof.measured)):
        height, side = math.log10(roof.rate), "top" if roof.measured else "bottom"
        middle = height + (-0.5 if roof.measured else 0.5) * _LABEL_HEIGHT * span
        labels.append((middle, _note(roof.titled(unit), math.log10(high), height, "right", side)))
    return _apart(labels, span)


def _at_slopes(levels: Sequence[SlopeLine], low: float, e: Estimate, span: float) -> list[dict[str, Any]]:
    """Return labels at the left ends of slopes, below their lines."""
    name = "memory, measured" if e.provenance.get("bandwidth") == "measured" else "memory"
    every = [SlopeLine(name, e.bandwidth_bytes_per_second)] if e.bandwidth_bytes_per_second else []
    heights = ((level, math.log10(low * level.bandwidth)) for level in (*every, *levels))
    labels = ((height, _note(level.short, math.log10(low), height, "left", "top")) for level, height in heights)
    return _apart(labels, span)


def _apart(labels: Iterable[tuple[float, dict[str, Any]]], span: float) -> list[dict[str, Any]]:
    """Return the labels whose middles keep their height from those before them."""
    taken: dict[float, dict[str, Any]] = {}
    for middle, text in labels:
        if all(abs(middle - other) > _LABEL_HEIGHT * span for other in taken):
            taken[middle] = text
    return [*taken.values()]


def _note(text: str, x: float, y: float, xanchor: str, yanchor: str) -> dict[str, Any]:
    return {
        "name": label(text), "text": label(text), "x": x, "y": y, "xanchor": xanchor, "yanchor": yanchor,
        "showarrow": False,
    }  # fmt: skip


def _points(points: Sequence[int], e: Estimate) -> list[dict[str, Any]]:
    """Return a trace for each bound; the area of a point is its share of the time, the largest have their names."""
    total = sum(time_of(e.layers[index]) for index in points) or 1.0
    named = _named(points, e)
    traces = []
    for bound in dict.fromkeys(e.layers[index].bound or "bound unknown" for index in points):
        own = [index for index in points if (e.layers[index].bound or "bound unknown") == bound]
        some = [e.layers[index] for index in own]
        traces.append(
            {
                "type": "scatter", "mode": "markers+text", "name": f"limited by {bound}" if bound in BOUNDS else bound,
                "x": [x.intensity for x in some], "y": [x.flops / time_of(x) for x in some],
                "text": [label(e.layers[index].name, 18) if index in named else "" for index in own],
                "textposition": "top center", "textfont": {"size": 11}, "customdata": [x.name for x in some],
                "hovertext": [_hover(x, e) for x in some], "hovertemplate": "%{hovertext}<extra></extra>",
                "marker": {
                    "color": BOUNDS.get(bound, _GRAY), "opacity": 0.75, "line": {"width": 1, "color": "#ffffff"},
                    "size": [6 + 40 * math.sqrt(time_of(x) / total) for x in some],
                },
            }
        )  # fmt: skip
    return traces


def _named(points: Sequence[int], e: Estimate) -> set[int]:
    """Return the most expensive points whose names do not lie on one another."""
    chosen: dict[int, tuple[float, float]] = {}
    for index in sorted(points, key=lambda index: -time_of(e.layers[index])):
        x = e.layers[index]
        at = math.log10(max(x.intensity, 1e-9)), math.log10(x.flops / time_of(x))
        if all(
            abs(at[0] - other[0]) > _NAME_APART[0] or abs(at[1] - other[1]) > _NAME_APART[1]
            for other in chosen.values()
        ):
            chosen[index] = at
        if len(chosen) == NAMED:
            break
    return set(chosen)


def _measured_traces(points: Sequence[int], e: Estimate, measured: MeasuredEstimate | None) -> list[dict[str, Any]]:
    """Return hollow points at measured rates: of each layer, or of the whole network next to its prediction."""
    if measured is None:
        return []
    timed = [index for index in points if index in measured.layers]
    if timed:
        total = sum(measured.layers[index] for index in timed)
        ys = [e.layers[index].flops / measured.layers[index] for index in timed]
        sizes = [6 + 40 * math.sqrt(measured.layers[index] / total) for index in timed]
        texts = [_hover(e.layers[index], e, measured.layers[index]) for index in timed]
        ends = [(e.layers[index].flops / time_of(e.layers[index]), y) for index, y in zip(timed, ys, strict=True)]
        pairs = {
            "type": "scatter", "mode": "lines", "name": "predicted to measured", "showlegend": False,
            "x": [x for index in timed for x in (e.layers[index].intensity, e.layers[index].intensity, None)],
            "y": [y for pair in ends for y in (*pair, None)], "hoverinfo": "skip",
            "line": {"color": MEASURED, "width": 1},
        }  # fmt: skip
        xs = [e.layers[index].intensity for index in timed]
        return [pairs, _hollow("measured", xs, ys, texts, sizes, "circle-open")]
    if not e.flops or not e.traffic_bytes:
        return []
    x, rate = e.flops / e.traffic_bytes, e.flops / measured.result.value
    text = [f"<b>{label(e.model)}</b> in all<br>measured {si(measured.result.value, 's')}"]
    hollow = _hollow("the whole, measured", [x], [rate], text, [16], "diamond-open")
    time = (e.forecast and e.forecast.time_s) or e.roofline_time_s or e.ideal_time_s
    predicted = [f"<b>{label(e.model)}</b> in all<br>predicted {si(time, 's')}"]
    whole = _hollow("the whole, predicted", [x], [e.flops / time], predicted, [16], "diamond")
    return [{**whole, "marker": {**whole["marker"], "color": COLORS[3]}}, hollow]


def _hollow(
    name: str, xs: list[float], ys: list[float], texts: list[str], sizes: Sequence[float], symbol: str
) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": xs, "y": ys, "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"color": MEASURED, "symbol": symbol, "size": list(sizes), "opacity": 1,
            "line": {"width": 2, "color": MEASURED},
        },
    }  # fmt: skip


def _hover(x: LayerEstimate, e: Estimate, measured: float | None = None) -> str:
    """Return the text of a point: name, kind, work, times, bound."""
    unit = operations_unit(e.dtype)
    lines = [
        f"<b>{label(x.name)}</b> · {label(x.kind)}" + (f" × {x.count}" if x.count > 1 else ""),
        f"{si(x.flops, unit)}, {si(x.traffic_bytes, 'B')}, {x.intensity:.3g} {unit}/B",
        f"ideal {si(x.ideal_time_s, 's')}",
    ]
    if x.roofline_time_s is not None:
        lines.append(f"roofline {si(x.roofline_time_s, 's')}, limited by {x.roofline_bound}")
    if x.expected_time_s is not None:
        lines.append(f"expected {si(x.expected_time_s, 's')}, limited by {x.bound}")
    if measured is not None:
        lines.append(f"measured {si(measured, 's')}")
    return "<br>".join(lines)
