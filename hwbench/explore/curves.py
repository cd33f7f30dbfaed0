"""Times along one quantity: how a forecast changes with a clock, a bandwidth, units or the batch."""

from collections.abc import Sequence
from typing import Any

from hwbench.api.checks import check_math
from hwbench.api.lookup import Model
from hwbench.errors import InputError
from hwbench.explore.knobs import REACH, Knob
from hwbench.explore.question import Question
from hwbench.machine.device import Device
from hwbench.predict.estimate import Estimate, estimate
from hwbench.report.html.figures.common import COLORS, log_axis
from hwbench.report.html.page import Figure, HtmlTable
from hwbench.units import si
from hwbench.workload.ops import Workload

STEPS = 9
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_BAND = "rgba(213,94,0,.18)"


def curve(question: Question, device: Device, sliders: Sequence[Knob]) -> Figure:
    """Return the time of a sample along a slider or the batch. Raises InputError for another quantity."""
    along = question.along or "batch"
    known = {knob.field: knob for knob in sliders}
    workload = Model(question.model, None, {}).workload(question.dtype, question.batch)
    if along == "batch":
        every = [_estimate(question, workload, device, batch) for batch in BATCHES]
        return _figure("batch", "batch", "along-batch", BATCHES, every, question.batch, by_sample=True)
    if along not in known:
        raise InputError("unknown-field", "That has no slider.", field="along", nearest=("batch", *known))
    return _along_knob(question, workload, device, known[along])


def _along_knob(question: Question, workload: Workload, device: Device, knob: Knob) -> Figure:
    values = [knob.value * REACH ** (2 * step / (STEPS - 1) - 1) for step in range(STEPS)]
    values = sorted({max(1, round(value)) for value in values} if knob.whole else values)
    changed = (device.with_(**{knob.field: knob.text(value)}) for value in values)
    every = [_estimate(question, workload, each, question.batch) for each in changed]
    now = knob.number(question.settings.get(knob.field))
    title = f"{knob.title}, {knob.unit}" if knob.unit else knob.title
    return _figure(knob.title, title, f"along-{knob.field}", values, every, now)


def _estimate(question: Question, workload: Workload, device: Device, batch: int) -> Estimate:
    return estimate(workload, device, question.dtype, batch, None, question.runtime, check_math(question.math))


def _figure(
    title: str,
    xtitle: str,
    name: str,
    xs: Sequence[float],
    every: Sequence[Estimate],
    now: float,
    by_sample: bool = False,
) -> Figure:
    """Return the expected time with its interval over the roofline, in s: of a batch, or of a sample of it."""
    what = "a sample" if by_sample else "a batch"
    rows = []
    for x, e in zip(xs, every, strict=True):
        every_time = (e.roofline_time_s, e.expected_time_s, *(e.interval_s or (None, None)))
        rows.append((x, *(None if t is None else t / (e.batch if by_sample else 1) for t in every_time), e.bound))
    roof, expected, low, high = ([row[column] for row in rows] for column in range(1, 5))
    traces = (
        _line("high", xs, high, {"color": COLORS[1], "width": 0}, showlegend=False),
        _line("80 % interval", xs, low, {"color": COLORS[1], "width": 0}, fill="tonexty", fillcolor=_BAND),
        _line("expected", xs, expected, {"color": COLORS[1], "width": 2}),
        _line("roofline", xs, roof, {"color": COLORS[0], "width": 2}),
    )
    times = [time for time in (*roof, *expected, *low, *high) if isinstance(time, float) and time]
    known = [time for time in expected if isinstance(time, float)]
    change = f"from {si(known[0], 's')} to {si(known[-1], 's')}" if known else "which is unknown"
    here = {"type": "line", "x0": now, "x1": now, "yref": "paper", "y0": 0, "y1": 1}
    return Figure(
        name=name,
        title=f"Time of {what} against {title}",
        alternative=f"The expected time of {what}, {change}, as {title} grows from {xs[0]:.4g} to {xs[-1]:.4g}.",
        traces=traces,
        layout={
            "xaxis": log_axis(xtitle, xs),
            "yaxis": log_axis(f"time of {what}", times, "s"),
            "shapes": [{**here, "line": {"dash": "dot", "width": 1, "color": COLORS[7]}}],
        },
        table=HtmlTable(
            f"Time of {what} by {title}",
            (title, f"roofline s of {what}", "expected s", "low s", "high s", "limited by"),
            tuple(rows),
            right=(0, 1, 2, 3, 4),
        ),
        height=320,
    )


def _line(name: str, xs: Sequence[float], ys: Sequence[Any], line: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": list(xs), "y": list(ys), "line": line,
        "hovertemplate": "%{y:.4s}s<extra>" + name + "</extra>", **more,
    }  # fmt: skip
