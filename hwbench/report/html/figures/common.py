"""Colors and axes of figures, and the figure and table of a network's layers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hwbench.predict.estimate import Estimate, LayerEstimate
from hwbench.report.html.measured import MeasuredEstimate
from hwbench.report.html.page import Figure, HtmlTable, label
from hwbench.report.text.estimate import helping
from hwbench.units import operations_unit, si

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#999999")
"""Okabe and Ito's palette (2008), which most color-blind readers can distinguish, reordered."""
BOUNDS = {"compute": COLORS[0], "memory": COLORS[1], "overhead": COLORS[3]}
MEASURED = COLORS[2]
"""The color of everything measured."""
MAX_BARS = 30
_INNER = "#1b2530"
"""The color of the roofline's bar within that of the forecast."""
_MANTISSAS: tuple[tuple[float, ...], ...] = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))
_MIN_TICKS = 3
_READABLE = {"minsize": 9, "mode": "hide"}


def titled(e: Estimate) -> str:
    """Return the model and the device as people call them."""
    return f"{e.title or e.model} on {e.device_title}"


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return a plotly axis with a title."""
    return {"title": {"text": title}, **more}


def bars_layout(xaxis: dict[str, Any], left: int, **more: Any) -> dict[str, Any]:
    """Return the layout of horizontal bars from the top down, whose names take `left` pixels."""
    margin = {"l": left, "r": 16, "t": 34, "b": 48}
    return {"xaxis": xaxis, "yaxis": {"autorange": "reversed", "type": "category"}, "margin": margin, **more}


def log_axis(title: str, values: Iterable[float], unit: str = "", **more: Any) -> dict[str, Any]:
    """Return a logarithmic axis over positive values with a few round numbers as ticks."""
    known = [value for value in values if value]
    low, high = min(known, default=1.0), max(known, default=10.0)
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for mantissas in _MANTISSAS:
        ticks = [m * 10.0**power for power in decades for m in mantissas]
        if sum(low <= tick <= high for tick in ticks) >= _MIN_TICKS:
            break
    texts = [si(tick, unit, 3).strip() if unit or tick >= 1e4 else f"{tick:.4g}" for tick in ticks]
    return axis(title, **{"type": "log", "tickvals": ticks, "ticktext": texts, **more})


def layer_table(e: Estimate, measured: MeasuredEstimate | None = None) -> HtmlTable:
    """Return every layer of an estimate with its full numbers, and its measured time where a run has one."""
    unit = operations_unit(e.dtype)
    header = ["layer", "kind", "count", unit, "bytes", f"{unit}/B", "ideal s", "roofline s", "expected s", "bound"]
    timed = measured.layers if measured else {}
    rows = []
    for index, x in enumerate(e.layers):
        work, times = (x.flops, x.traffic_bytes, x.intensity), (x.ideal_time_s, x.roofline_time_s, x.expected_time_s)
        rows.append((x.name, x.kind, x.count, *work, *times, x.bound, *((timed.get(index),) if timed else ())))
    header += ["measured s"] if timed else []
    right = (*range(2, 9), *((10,) if timed else ()))
    return HtmlTable(f"Layers of {titled(e)}", tuple(header), tuple(rows), right)


def time_of(layer: LayerEstimate) -> float:
    """Return the time of a layer in s: expected, else the roofline, else the ideal."""
    return layer.expected_time_s or layer.roofline_time_s or layer.ideal_time_s


def layer_times(e: Estimate, name: str, measured: MeasuredEstimate | None = None) -> Figure:
    """Return bars of the layers, the most expensive first: the ideal in the roofline in the expected time.

    What the forecast's bar shows beyond the roofline's is the gap; its color is what limits the layer.
    """
    timed: Mapping[int, float] = measured.layers if measured else {}
    every = sorted(range(len(e.layers)), key=lambda i: -max(time_of(e.layers[i]), timed.get(i, 0.0)))
    longest = every[:MAX_BARS]
    names = {i: f"{i + 1} {label(e.layers[i].name, 28)}" for i in longest}
    traces = [
        *_bars_of_bounds(e, longest, names),
        _bars("roofline", {names[i]: e.layers[i].roofline_time_s for i in longest}, 0.42, _INNER),
        _bars("ideal", {names[i]: e.layers[i].ideal_time_s for i in longest}, 0.16, COLORS[7]),
    ]
    if any(i in timed for i in longest):
        marks = {"symbol": "line-ns", "size": 14, "color": MEASURED, "line": {"width": 3, "color": MEASURED}}
        ends = {"type": "scatter", "mode": "markers", "marker": marks}
        traces.append({**_bars("measured", {names[i]: timed.get(i) for i in longest}, 0, MEASURED), **ends})
    traces = [trace for trace in traces if any(trace["x"])]
    shown = f"the {MAX_BARS} longest of {len(e.layers)} layers" if len(e.layers) > MAX_BARS else "every layer"
    top = max(e.layers, key=time_of, default=None)
    longest_text = f" The longest is {top.name} with {si(time_of(top), 's')}." if top else ""
    return Figure(
        name=name,
        title=f"Time per layer of {titled(e)}, {e.dtype}, batch {e.batch}: {shown}",
        alternative=f"Horizontal bars of {shown}, the longest first.{longest_text}",
        traces=tuple(traces),
        layout=bars_layout(
            axis("time", tickformat="~s", ticksuffix="s"), 170, barmode="overlay",
            yaxis={"autorange": "reversed", "type": "category", "categoryarray": [names[i] for i in longest]},
        ),
        table=layer_table(e, measured),
        height=140 + 22 * len(longest),
    )  # fmt: skip


def _bars_of_bounds(e: Estimate, chosen: Sequence[int], names: Mapping[int, str]) -> Iterable[dict[str, Any]]:
    """Yield the bars of expected times, a color for each bound."""
    for bound in (*BOUNDS, None):
        own = {names[i]: e.layers[i].expected_time_s for i in chosen if e.layers[i].bound == bound}
        yield _bars(
            f"expected, limited by {bound}" if bound else "expected", own, 0.78, BOUNDS.get(bound or "", COLORS[7])
        )


def _bars(name: str, times: Mapping[str, float | None], width: float, color: str) -> dict[str, Any]:
    return {
        "type": "bar", "orientation": "h", "name": name, "y": list(times), "x": list(times.values()), "width": width,
        "marker": {"color": color}, "hovertemplate": "%{x:.4s}s<extra>" + name + "</extra>",
    }  # fmt: skip


def helps(e: Estimate, name: str) -> Figure:
    """Return bars of what would raise the throughput, by how many times, the largest first."""
    texts, gains = helping(e), [each.gain for each in e.improvements]
    trace = {
        "type": "bar", "orientation": "h", "y": [label(text) for text in texts], "x": gains,
        "text": [f"×{gain:.3g}" for gain in gains], "textposition": "auto", "marker": {"color": COLORS[0]},
        "hovertemplate": "%{y}: %{text}<extra></extra>", "showlegend": False,
    }  # fmt: skip
    rows = tuple(zip(texts, gains, strict=True))
    return Figure(
        name=name,
        title=f"What would help {titled(e)}: times the throughput",
        alternative=f"Bars of {len(rows)} changes; the largest gain, ×{gains[0]:.3g}, is of {texts[0]}.",
        traces=(trace,),
        layout=bars_layout(axis("times the throughput", rangemode="tozero"), 150),
        table=HtmlTable("What would help", ("change", "times the throughput"), rows, right=(1,)),
        height=110 + 30 * len(rows),
    )


def limits(e: Estimate, name: str) -> Figure:
    """Return a bar of what limits the forecast time: the shares of compute, memory and overhead."""
    shares = e.shares
    seconds = {limit: getattr(shares, limit) * (e.expected_time_s or 0.0) for limit in BOUNDS} if shares else {}
    parts = ", ".join(f"{limit} {si(time, 's')}" for limit, time in seconds.items())
    largest = max(seconds, key=lambda limit: seconds[limit], default="nothing known")
    return Figure(
        name=name,
        title=f"What the expected time of {titled(e)} is spent on",
        alternative=f"A bar of {parts}; most is {largest}.",
        traces=tuple(
            {
                "type": "bar", "orientation": "h", "name": limit, "y": [""], "x": [time],
                "marker": {"color": BOUNDS[limit]},
                "text": [f"{limit} {100 * time / (e.expected_time_s or 1.0):.2g} %"], "textposition": "inside",
                "textangle": 0, "insidetextanchor": "middle", "hovertemplate": "%{x:.4s}s<extra>" + limit + "</extra>",
            }
            for limit, time in seconds.items()
        ),
        layout=bars_layout(axis("time", tickformat="~s", ticksuffix="s"), 20, barmode="stack", uniformtext=_READABLE),
        table=HtmlTable("Seconds by what limits them", ("limit", "s"), tuple(seconds.items()), right=(1,)),
        height=150,
    )  # fmt: skip
