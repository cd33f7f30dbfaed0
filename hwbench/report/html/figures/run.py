"""Figures of saved runs: the ladder of matrix products, bandwidth by working set, and all results in a table."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from hwbench.measure.record import Record, Result
from hwbench.report.html.figures.common import COLORS, axis, log_axis
from hwbench.report.html.page import Cell, Figure, HtmlTable, label
from hwbench.report.text.format import number
from hwbench.units import Bytes, si, whole_number

_VARIANTS = ("ijk", "ikj", "parallel", "blocked", "numpy", "torch", "numba")
"""Ways to multiply matrices, from the plain loop to libraries: rungs of the ladder in this order."""
_DASHES = {"fp32": "solid", "fp64": "dash"}


def titled(run: Record) -> str:
    """Return the machine of a run, and when it ran."""
    machine = run.device.title if run.device else run.environment.get("brand") or "an unknown machine"
    return f"{machine}, {run.created[:16].replace('T', ' ')} UTC"


def result_table(run: Record, results: Iterable[Result]) -> HtmlTable:
    """Return every result of a run with its interval, share of the peak and grade."""
    header = (
        "kernel", "variant", "isa", "dtype", "size", "threads", "value", "low", "high", "unit", "of peak",
        "at measured clock", "grade", "samples",
    )  # fmt: skip
    rows = tuple(
        (
            x.kernel, x.variant, x.isa, x.dtype, x.size, x.threads, x.value, *x.interval, x.unit, x.ratio_to_peak,
            x.ratio_to_measured_peak, x.grade, x.samples,
        )
        for x in results
    )  # fmt: skip
    return HtmlTable(f"Results of {titled(run)}", header, rows, right=(5, 6, 7, 8, 10, 11, 13))


def conditions(run: Record) -> HtmlTable:
    """Return the conditions of a run: plain values of its record, before and after."""
    rows: list[tuple[Cell, ...]] = [("created", run.created, None), ("command", " ".join(run.command), None)]
    for key in dict.fromkeys((*run.environment, *run.before, *run.after)):
        first = run.environment.get(key, run.before.get(key))
        later = run.after.get(key)
        if first is not None or later is not None:
            rows.append((key, _plain(first), None if later is None else _plain(later)))
    return HtmlTable(f"Conditions of {titled(run)}", ("what", "before", "after"), tuple(rows))


def _plain(value: Any) -> Cell:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, (list, tuple)):
        return ", ".join(str(_plain(item)) for item in value)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)


def _whisker(points: Sequence[Result]) -> dict[str, Any]:
    """Return the intervals of results as error bars of a trace."""
    above, below = [x.interval[1] - x.value for x in points], [x.value - x.interval[0] for x in points]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1}


def _cube(size: str | None) -> int | None:
    """Return the side of a square product `n x n x n`, None for any other."""
    side, *others = set((size or "").split("x"))
    return None if others else whole_number(side)


def ladder(run: Record, results: Sequence[Result], name: str) -> Figure | None:
    """Return FLOP/s of each way to multiply square matrices, by size, and the FMA ceiling; None without results."""
    squares = [x for x in results if x.kernel == "matmul" and x.unit in ("FLOP/s", "op/s") and _cube(x.size)]
    if not squares:
        return None
    traces = [_rung(points, key) for key, points in _series(squares)]
    sides = [_cube(x.size) or 0 for x in squares]
    for x in results:
        if x.kernel == "fma" and x.variant == "throughput" and x.unit == "FLOP/s" and _ceiling(x, results):
            traces.append(_line(x, min(sides), max(sides)))
    best = max(squares, key=lambda x: x.value)
    return Figure(
        name=name,
        title=f"Matrix products from the plain loop to the ceiling, {titled(run)}: others than fp32 by a click",
        alternative=(
            "Lines of FLOP/s over the side of the matrices, one for each way to multiply them. "
            f"The fastest is {best.variant} {best.dtype} with {si(best.value, best.unit)}."
        ),
        traces=_hide_other_dtypes(traces),
        layout={
            "xaxis": axis("side of the matrices", type="log", tickvals=sorted(set(sides)), tickformat="d"),
            "yaxis": log_axis("FLOP/s", [x.value for x in squares]),
        },
        table=result_table(run, squares),
        height=480,
    )


def _hide_other_dtypes(traces: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the traces, those of other dtypes than fp32 only in the legend if some are fp32."""
    some = any("fp32" in trace["name"] for trace in traces)
    return tuple({**t, "visible": "legendonly"} if some and "fp32" not in t["name"] else t for t in traces)


def _series(squares: Sequence[Result]) -> list[tuple[tuple[str, str, int], list[Result]]]:
    series: dict[tuple[str, str, int], list[Result]] = {}
    for x in sorted(squares, key=lambda x: _cube(x.size) or 0):
        series.setdefault((x.variant, x.dtype or "", x.threads), []).append(x)
    return sorted(series.items(), key=lambda item: (_rank(item[0][0]), item[0]))


def _rank(variant: str) -> int:
    return _VARIANTS.index(variant) if variant in _VARIANTS else len(_VARIANTS)


def _rung(points: Sequence[Result], key: tuple[str, str, int]) -> dict[str, Any]:
    variant, dtype, threads = key
    text = label(f"{variant} {dtype}" + (f" ×{threads}" if threads > 1 else ""))
    return {
        "type": "scatter", "mode": "lines+markers", "name": text,
        "x": [_cube(x.size) for x in points], "y": [x.value for x in points], "error_y": _whisker(points),
        "line": {"color": COLORS[_rank(variant) % len(COLORS)], "dash": _DASHES.get(dtype, "dot")},
        "marker": {"symbol": "circle" if threads == 1 else "diamond", "size": 8},
        "hovertemplate": "%{y:.4s}<extra>" + text + "</extra>",
    }  # fmt: skip


def _ceiling(x: Result, results: Sequence[Result]) -> bool:
    """Return whether a result is the highest FMA rate of its dtype and number of threads."""
    kind = attrgetter("kernel", "variant", "unit", "dtype", "threads")
    return x.value == max(y.value for y in results if kind(y) == kind(x))


def _line(x: Result, low: int, high: int) -> dict[str, Any]:
    text = label(f"FMA ceiling {x.dtype}" + (f" ×{x.threads}" if x.threads > 1 else ""))
    return {
        "type": "scatter", "mode": "lines", "name": text, "x": [low, high], "y": [x.value, x.value],
        "line": {"color": COLORS[7], "width": 2, "dash": _DASHES.get(x.dtype or "", "dot")},
        "hovertemplate": "%{y:.4s}<extra>" + text + "</extra>",
    }  # fmt: skip


def working_sets(run: Record, results: Sequence[Result], name: str) -> Figure | None:
    """Return read bandwidth over the size of the working set, each cache a plateau; None without results."""
    points = [x for x in results if x.kernel == "working-set" and _bytes(x)]
    if len(points) < 3:
        return None
    groups: dict[tuple[int, str | None], list[Result]] = {}
    for x in sorted(points, key=_bytes):
        groups.setdefault((x.threads, x.core_class), []).append(x)
    names = [label(number(threads, "thread") + (f", {kind}" if kind else "")) for threads, kind in groups]
    traces = [
        {
            "type": "scatter", "mode": "lines+markers" if len(some) > 1 else "markers", "name": text,
            "x": [_bytes(x) for x in some], "y": [x.value for x in some], "error_y": _whisker(some),
            "text": [_size(_bytes(x)) for x in some],
            "line": {"color": COLORS[index % len(COLORS)]}, "marker": {"size": 6},
            "hovertemplate": "%{text}: %{y:.4s}B/s<extra>" + text + "</extra>",
        }
        for index, (text, some) in enumerate(zip(names, groups.values(), strict=True))
    ]  # fmt: skip
    low, high = min(map(_bytes, points)), max(map(_bytes, points))
    ticks = [1 << shift for shift in range(12, 40, 4) if low <= 1 << shift <= high]
    rows = [x for x in results if x.kernel in ("cache", "working-set", "stream", "latency")]
    plateaus = ", ".join(f"{x.variant} {Bytes(x.value)}" for x in results if x.kernel == "cache" and x.unit == "B")
    return Figure(
        name=name,
        title=f"Read bandwidth by working set, {titled(run)}",
        alternative=f"Lines of bytes a second over the size of the data read. Plateaus: {plateaus or 'not found'}.",
        traces=tuple(traces),
        layout={
            "xaxis": axis("working set", type="log", tickvals=ticks, ticktext=[*map(_size, ticks)], tickangle=0),
            "yaxis": log_axis("B/s", [x.value for x in points]),
        },
        table=result_table(run, rows),
    )


def _size(count: int) -> str:
    return str(Bytes(count))


def _bytes(x: Result) -> int:
    return whole_number(x.size or "") or 0
