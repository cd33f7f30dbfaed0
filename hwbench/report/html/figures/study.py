"""Figures of studies: devices compared factor by factor, score over clock, and predicted against measured times."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hwbench.predict.replay.summary import ReplayRow, Validation
from hwbench.report.html.figures.common import COLORS, axis, bars_layout, log_axis
from hwbench.report.html.page import Figure, HtmlTable, label
from hwbench.report.text.format import percent
from hwbench.study.clock.results import Suite
from hwbench.study.clock.scores import ScoreRow
from hwbench.study.compare.decomposition import Decomposition
from hwbench.study.compare.devices import Comparison

MAX_GROUPS = 11
"""Microarchitectures with their own color in a scatter; the rest share gray."""
_BIN = 0.25
"""Width of a bin of errors, in doublings."""
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")


def decomposition(comparison: Comparison, name: str) -> Figure | None:
    """Return the speed of each device relative to the baseline as a product of factors, in logs."""
    chosen = _most_detailed(comparison.decompositions)
    if not chosen:
        return None
    factors = list(dict.fromkeys(f.name for d in chosen for f in d.factors))
    known = [{f.name: f.factor for f in d.factors} for d in chosen]
    traces: list[dict[str, Any]] = []
    for index, factor in enumerate(factors):
        values = [own.get(factor, 1.0) for own in known]
        traces.append(
            {
                "type": "bar", "orientation": "h", "name": factor.replace("_", " "),
                "marker": {"color": COLORS[index % len(COLORS)]},
                "y": [label(d.device, 30) for d in chosen], "x": [math.log2(value) for value in values],
                "text": [f"×{value:.3g}" for value in values], "textposition": "inside",
                "textangle": 0, "insidetextanchor": "middle",
                "hovertemplate": "%{text}<extra>" + factor + "</extra>",
            }
        )  # fmt: skip
    of, batch = chosen[0].of, f" at batch {chosen[0].batch}" if chosen[0].batch else ""
    header = ("device", "baseline", "times as fast", *factors)
    rows = tuple((d.device, d.baseline, d.ratio, *map(own.get, factors)) for d, own in zip(chosen, known, strict=True))
    best = max(chosen, key=lambda d: d.ratio)
    return Figure(
        name=name,
        title=f"Speed relative to {chosen[0].baseline} ({of}{batch}), split into factors, in doublings",
        alternative=f"Bars of factors in powers of two. The fastest, {best.device}, is {best.ratio:.3g} times as fast.",
        traces=tuple(traces),
        layout=bars_layout(axis("doublings"), 150, barmode="relative", uniformtext={"minsize": 9, "mode": "hide"}),
        table=HtmlTable("Factors of each ratio", header, rows, right=tuple(range(2, len(header)))),
        height=150 + 34 * len(chosen),
    )


def _most_detailed(every: Sequence[Decomposition]) -> list[Decomposition]:
    """Return the most detailed decompositions: expected before roofline before peak, of the first batch."""
    of = next((of for of in ("expected", "roofline", "peak") if any(d.of == of for d in every)), None)
    some = [d for d in every if d.of == of]
    return [d for d in some if d.batch == some[0].batch]


def clock_scatter(suite: Suite, rows: Sequence[ScoreRow], name: str) -> Figure:
    """Return score over clock, log-log, a color for each microarchitecture, with the line of clock alone."""
    used = [row for row in rows if row.clock and row.score]
    sizes = Counter(row.microarchitecture or "unknown" for row in used).most_common(MAX_GROUPS)
    groups: dict[str, list[ScoreRow]] = {group: [] for group, _ in sizes}
    largest = [*groups]
    for row in used:
        group = row.microarchitecture or "unknown"
        groups.setdefault(group if group in largest else "others", []).append(row)
    clouds = (_cloud(group, some, index) for index, (group, some) in enumerate(groups.items()))
    header = ("device", "microarchitecture", "clock Hz", "score", "year")
    body = tuple((r.device, r.microarchitecture, r.clock, r.score, r.year) for r in used)
    return Figure(
        name=name,
        title=f"{suite.suite}: score over clock, {suite.n} rows",
        alternative=f"Points of score over clock and a line of R² {suite.r2_clock:.2f}.",
        traces=(*clouds, _fit(used, suite)),
        layout={
            "xaxis": log_axis("clock, Hz", [row.clock or 0.0 for row in used]),
            "yaxis": log_axis("score", [row.score for row in used]),
        },
        table=HtmlTable(f"Rows of {suite.suite}", header, body, right=(2, 3, 4)),
        height=480,
        note=suite.verdict,
    )


def _cloud(group: str, rows: Sequence[ScoreRow], index: int) -> dict[str, Any]:
    others = group == "others"
    return {
        "type": "scatter", "mode": "markers", "name": label(group, 30),
        "x": [row.clock for row in rows], "y": [row.score for row in rows],
        "text": [label(row.device) for row in rows],
        "marker": {
            "color": COLORS[7] if others else COLORS[index % 7], "size": 8, "opacity": 0.75,
            "symbol": _SYMBOLS[index // 7 % len(_SYMBOLS)],
        },
        "hovertemplate": "%{text}<br>%{x:.3s}Hz, %{y:.4g}<extra>" + label(group, 30) + "</extra>",
    }  # fmt: skip


def _fit(rows: Sequence[ScoreRow], suite: Suite) -> dict[str, Any]:
    """Return the line of clock alone: through the means of the logs, with the study's slope."""
    logs = [(math.log(row.clock or 1.0), math.log(row.score)) for row in rows]
    x_mean, y_mean = (sum(values) / len(values) for values in zip(*logs, strict=True))
    ends = [min(logs)[0], max(logs)[0]]
    return {
        "type": "scatter", "mode": "lines", "name": f"R² {suite.r2_clock:.2f}",
        "x": [math.exp(x) for x in ends], "y": [math.exp(y_mean + suite.slope_clock * (x - x_mean)) for x in ends],
        "line": {"color": COLORS[7], "width": 3}, "hoverinfo": "skip",
    }  # fmt: skip


def predicted_vs_measured(validation: Validation, name: str) -> Figure:
    """Return predicted over measured time, log-log, a color for each device; the diagonal is a perfect forecast."""
    devices: dict[str, list[ReplayRow]] = {}
    for row in validation.rows:
        devices.setdefault(row.device, []).append(row)
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "markers", "name": label(device, 30),
            "x": [row.measured_s for row in rows], "y": [row.forecast_s for row in rows],
            "text": [f"{label(row.model)}, batch {row.batch}, {100 * row.error:+.0f} %" for row in rows],
            "marker": {"color": COLORS[index % len(COLORS)], "size": 6, "opacity": 0.6},
            "hovertemplate": "%{text}<br>measured %{x:.3s}s, expected %{y:.3s}s<extra></extra>",
        }
        for index, (device, rows) in enumerate(devices.items())
    ]  # fmt: skip
    every = [time for row in validation.rows for time in (row.measured_s, row.forecast_s)]
    ends = [min(every), max(every)]
    diagonal = {
        "type": "scatter", "mode": "lines", "name": "as measured", "x": ends, "y": ends,
        "line": {"color": COLORS[7], "dash": "dash"}, "hoverinfo": "skip",
    }  # fmt: skip
    return Figure(
        name=name,
        title=f"Expected against measured time, {len(validation.rows)} measurements",
        alternative=f"Points along the diagonal; the mean error is {percent(validation.all.mape or 0.0)}.",
        traces=(*traces, diagonal),
        layout={"xaxis": log_axis("measured", every, "s"), "yaxis": log_axis("expected", every, "s")},
        table=_rows_table(validation.rows),
        height=480,
    )


def errors(validation: Validation, name: str) -> Figure:
    """Return the distribution of the errors of forecasts, roofline and ideal times."""
    kinds = (
        ("expected", COLORS[1], [row.forecast_s / row.measured_s for row in validation.rows]),
        ("roofline", COLORS[0], [row.roofline_s / row.measured_s for row in validation.rows if row.roofline_s]),
        ("ideal", COLORS[5], [row.ideal_s / row.measured_s for row in validation.rows]),
    )
    traces = tuple(
        {
            "type": "scatter", "mode": "lines", "name": kind, "x": [x for x, _ in steps], "y": [y for _, y in steps],
            "line": {"color": color, "shape": "hvh", "width": 2}, "fill": "tozeroy" if kind == "expected" else "none",
            "fillcolor": f"{color}40", "hovertemplate": "%{y:.1f} %<extra>" + kind + "</extra>",
        }
        for kind, color, ratios in kinds
        if (steps := _histogram([math.log2(ratio) for ratio in ratios if ratio > 0]))
    )  # fmt: skip
    powers = range(-12, 8)
    names = [f"1/{2**-power}" if power < 0 else str(2**power) for power in powers]
    groups = HtmlTable(
        "Errors by device and runtime",
        ("device", "runtime", "dtype", "layout", "n", "MAPE", "bias", "coverage", "ideal MAPE", "roofline MAPE"),
        tuple(
            (
                g.device, g.runtime, g.dtype, g.layout, g.all.n, g.all.mape, g.all.bias, g.all.interval_coverage,
                g.ideal.mape, g.roofline.mape,
            )
            for g in validation.groups
        ),
        right=(4, 5, 6, 7, 8, 9),
    )  # fmt: skip
    return Figure(
        name=name,
        title="Error of each answer: predicted over measured time",
        alternative=f"Histograms of predicted over measured time. {_coverage(validation)}",
        traces=traces,
        layout={
            "xaxis": axis("predicted / measured", tickvals=[*powers], ticktext=names, tickangle=0),
            "yaxis": axis("share of measurements, %"),
        },
        table=groups,
    )


def _histogram(logs: Sequence[float]) -> list[tuple[float, float]]:
    """Return the middle of each bin and its share in %, with an empty bin at both ends."""
    counts = Counter(math.floor(value / _BIN) for value in logs)
    places = range(min(counts) - 1, max(counts) + 2) if counts else ()
    return [((place + 0.5) * _BIN, 100 * counts[place] / len(logs)) for place in places]


def _coverage(validation: Validation) -> str:
    coverage = validation.all.interval_coverage
    return "" if coverage is None else f"The 80 % interval contains {percent(coverage)} of the measured times."


def _rows_table(rows: Sequence[ReplayRow]) -> HtmlTable:
    header = ("device", "model", "batch", "dtype", "runtime", "measured s", "expected s", "low s", "high s", "error")
    body = tuple(
        (r.device, r.model, r.batch, r.dtype, r.runtime, r.measured_s, r.forecast_s, *r.interval_s, r.error)
        for r in rows
    )
    return HtmlTable("Predicted and measured", header, body, right=(2, 5, 6, 7, 8, 9))
