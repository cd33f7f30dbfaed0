"""Measured inferences as text."""

from collections.abc import Sequence

from hwbench import answers
from hwbench.report.text.format import known, layer_name, number, percent, rate, throughput
from hwbench.report.text.layout import PLAIN, Style, field, heading, name_width, sentences, table
from hwbench.study.inference import Inference
from hwbench.units import operations_unit, si


@answers.lines.register
def single(run: Inference, style: Style = PLAIN) -> list[str]:
    """Return one run: its time with the interval, compared with ideal, roofline and expected, and its layers."""
    unit = operations_unit(run.dtype)
    lines = [*heading(f"{_title(run)} · {run.dtype} · batch {run.batch}{_threads(run)}", style), ""]
    spread = f"{si(run.interval_s[0], 's')} to {si(run.interval_s[1], 's')} at {percent(run.interval_level)}"
    spread = spread if run.samples > 1 else "one sample"
    grade = f"grade {run.grade}" + (f" ({'; '.join(run.reasons)})" if run.reasons else "")
    lines += field("measured", f"{si(run.time_s, 's')} ({spread}), {throughput(run.throughput_per_s)}; {grade}", style)
    speed = f"{si(run.achieved_flops_per_second, unit + '/s')} of {si(run.flops, unit)}"
    if run.utilization is not None and run.peak_flops_per_second:
        speed += f": {percent(run.utilization)} of {si(run.peak_flops_per_second, unit + '/s')} ({run.peak})"
    lines += field("utilization", speed if run.flops else "the network has no multiply-adds", style)
    if run.ideal_time_s is not None:
        lines += field("ideal", f"{si(run.ideal_time_s, 's')}: total operations / peak", style)
        missing = "unknown" + ("" if run.roofline_time_s else ": `hwbench bench` measures the memory bandwidth")
        lines += field("roofline", _ratio(run.roofline_time_s, run.roofline_ratio, missing), style)
        forecast = _ratio(run.expected_time_s, run.expected_ratio, missing)
        if run.expected_interval_s:
            low, high = run.expected_interval_s
            forecast += f"; the forecast was {si(low, 's')} to {si(high, 's')}"
        lines += field("expected", forecast, style)
    if run.layers:
        lines += ["", *_layers(run, style)]
    return lines


def _title(run: Inference) -> str:
    return f"{run.title or run.model} on {run.device} · {run.runtime}"


def _threads(run: Inference) -> str:
    return f" · {number(run.threads, 'thread')}" if run.threads else ""


def _ratio(time: float | None, ratio: float | None, missing: str) -> str:
    return missing if time is None or ratio is None else f"{si(time, 's')}: the run takes {ratio:.3g} times as long"


def _layers(run: Inference, style: Style) -> list[str]:
    unit = operations_unit(run.dtype)
    rows = []
    for layer in run.layers:
        start = (layer_name(layer.name, longest=name_width(28, style)), layer.kind, known(layer.flops, ""))
        predicted = map(_time, (layer.roofline_time_s, layer.expected_time_s))
        measured = (si(layer.time_s, "s", 3), percent(layer.share))
        rows.append((*start, *measured, *predicted, percent(layer.utilization)))
    header = ("layer", "kind", unit, "measured", "share", "roofline", "expected", "of peak")
    lines = table(header, rows, "llrrrrrr", style, spare=("kind", unit, "share"))
    if run.between_s is not None and run.between_s > 0:
        text = f"Modules without operations and the framework take another {si(run.between_s, 's', 3)}."
        lines += ["", *sentences(text, style)]
    return lines


def _time(time: float | None) -> str:
    return "-" if time is None else si(time, "s", 3)


def several(runs: Sequence[Inference], style: Style = PLAIN) -> list[str]:
    """Return a row for each run."""
    rows = []
    for run in runs:
        half = percent((run.interval_s[1] - run.interval_s[0]) / (2 * run.time_s))
        measured = (si(run.time_s, "s"), f"± {half}" if run.samples > 1 else "", rate(run.throughput_per_s))
        achieved = si(run.achieved_flops_per_second, operations_unit(run.dtype) + "/s", 3)
        predicted = map(_time, (run.ideal_time_s, run.roofline_time_s, run.expected_time_s))
        start = (run.dtype, str(run.batch), *measured, achieved, percent(run.utilization))
        rows.append((*start, *predicted, run.grade))
    header = ("dtype", "batch", "measured", "", "rate", "achieved", "of peak", "ideal", "roofline", "expected", "")
    lines = table(header, rows, "lrrrrrrrrrl", style, spare=("achieved", "ideal", "rate"))
    return [*heading(f"{_title(runs[0])}{_threads(runs[0])}", style), "", *lines]
