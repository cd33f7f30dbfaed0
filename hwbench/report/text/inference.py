"""Measured inferences as text."""

from collections.abc import Sequence

from hwbench import answers
from hwbench.report.text.format import known, layer_name, memory_use, number, percent, rate, throughput
from hwbench.report.text.layout import PLAIN, Style, field, heading, name_width, sentences, table
from hwbench.study.inference import Inference
from hwbench.study.runtimes import FastestRun, Part
from hwbench.units import operations_unit, si


@answers.lines.register
def single(run: Inference, style: Style = PLAIN) -> list[str]:
    """Return one run: its time with the interval, compared with ideal, roofline and expected, and its layers."""
    unit = operations_unit(run.dtype)
    lines = [*heading(f"{_title(run)} · {run.dtype} · batch {run.batch}{_threads(run)}", style), ""]
    spread = f"{si(run.interval_s[0], 's')} to {si(run.interval_s[1], 's')} at {percent(run.interval_level)}"
    spread = spread if run.samples > 1 else "one sample"
    grade = f"grade {run.grade}" + (f" ({'; '.join(run.reasons)})" if run.reasons else "")
    lines += field(
        "measured", f"{si(run.time_s, 's')} ({spread}), {throughput(run.throughput_per_s, run.mode)}; {grade}", style
    )
    speed = f"{si(run.flops, unit)} at {si(run.achieved_flops_per_second, unit + '/s')}"
    if run.utilization is not None and run.peak_flops_per_second:
        speed += f", {percent(run.utilization)} of {si(run.peak_flops_per_second, unit + '/s')} ({run.peak})"
    lines += field("utilization", speed if run.flops else "the network has no multiply-adds", style)
    if run.parts:
        text = ", ".join(f"{part.name} {si(part.time_s, 's', 3)} ({percent(part.share)})" for part in run.parts)
        lines += field("parts", text, style)
    if run.memory:
        lines += field("memory", memory_use(run.memory, run.memory.free_bytes), style)
    if run.ideal_time_s is not None:
        lines += field("ideal", f"{si(run.ideal_time_s, 's')}: total operations / peak", style)
        missing = "unknown" + ("" if run.roofline_time_s else ": `hwbench bench` measures the memory bandwidth")
        what = "both passes take" if run.parts else "the run takes"
        lines += field("roofline", _ratio(run.roofline_time_s, run.roofline_ratio, missing, what), style)
        forecast = _ratio(run.expected_time_s, run.expected_ratio, missing, what)
        if run.expected_interval_s:
            low, high = run.expected_interval_s
            forecast += f"; the forecast was {si(low, 's')} to {si(high, 's')}"
        lines += field("expected", forecast, style)
    if run.layers:
        lines += ["", *_layers(run, style)]
    if run.profile:
        lines += ["", *_profile(run, style)]
    return lines


def _title(run: Inference) -> str:
    name = f"{run.title or run.model}{f' with {run.optimizer}' if run.optimizer else ''}"
    return f"{name} on {run.device} · {run.software}"


def _threads(run: Inference) -> str:
    return f" · {number(run.threads, 'thread')}" if run.threads else ""


def _ratio(time: float | None, ratio: float | None, missing: str, what: str) -> str:
    return missing if time is None or ratio is None else f"{si(time, 's')}: {what} {_times(ratio)} times as long"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 1000 else f"{ratio:.3g}"


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


def _profile(run: Inference, style: Style) -> list[str]:
    """Return the layers as the engine itself states them."""
    rows = [
        (layer_name(layer.name, longest=name_width(28, style)), layer.kind, si(layer.time_s, "s", 3),
         percent(layer.time_s / run.time_s), layer.dtype or "", layer.kernel or "")
        for layer in run.profile
    ]  # fmt: skip
    header = ("layer", "kind", "measured", "share", "dtype", "kernel")
    columns = [index for index in range(len(header)) if any(row[index] for row in rows)]
    cells = [[row[index] for index in columns] for row in rows]
    align = "".join("llrrll"[index] for index in columns)
    return table([header[index] for index in columns], cells, align, style, spare=("kernel", "kind"))


def _time(time: float | None) -> str:
    return "-" if time is None else si(time, "s", 3)


def several(runs: Sequence[Inference], style: Style = PLAIN) -> list[str]:
    """Return a row for each run, of runtimes those that tell them apart."""
    compared = len({run.software for run in runs}) > 1
    rows = []
    for run in runs:
        half = percent((run.interval_s[1] - run.interval_s[0]) / (2 * run.time_s))
        measured = (si(run.time_s, "s"), f"± {half}" if run.samples > 1 else "", rate(run.throughput_per_s))
        achieved = si(run.achieved_flops_per_second, operations_unit(run.dtype) + "/s", 3)
        ideal, *predicted = map(_time, (run.ideal_time_s, run.roofline_time_s, run.expected_time_s))
        share, bounds = percent(run.utilization), [*predicted, run.grade]
        start = [*([run.software] if compared else []), run.dtype, str(run.batch), *measured]
        rows.append([*start, share, *bounds] if compared else [*start, achieved, share, ideal, *bounds])
    header = ["dtype", "batch", "measured", "", "rate", "of peak", "roofline", "expected", ""]
    if compared:
        title, header = f"{runs[0].title or runs[0].model} on {runs[0].device}", ["runtime", *header]
    else:
        title, header = _title(runs[0]), [*header[:5], "achieved", "of peak", "ideal", *header[6:]]
    align = ("ll" if compared else "l") + "r" * (len(header) - (3 if compared else 2)) + "l"
    lines = table(header, rows, align, style, spare=("achieved", "ideal", "rate"))
    return [*heading(f"{title}{_threads(runs[0])}", style), "", *lines]


def reasons(comparisons: Sequence[FastestRun], style: Style = PLAIN) -> list[str]:
    """Return a sentence for each batch about the fastest runtime and why it is; none about one runtime."""
    lines = []
    for best in comparisons:
        if best.runtime != best.baseline:
            lines += ["", *sentences(_reason(best), style)]
    return lines


def _reason(best: FastestRun) -> str:
    """Return which runtime is fastest at a batch, how much, and what its layers take less time for."""
    ours, theirs = f"{best.runtime} in {best.dtype}", f"{best.baseline} in {best.baseline_dtype}"
    times = f"{si(best.time_s, 's', 3)} instead of {si(best.baseline_time_s, 's', 3)}"
    tied = f" (its interval overlaps with that of {' and '.join(best.tied)})" if best.tied else ""
    causes = [f"it computes in {best.precision}, not {best.baseline_precision}"]
    causes = causes if best.precision != best.baseline_precision else []
    causes += [_part(part) for part in best.parts]
    why = "; ".join(causes) or "no profile tells why"
    return f"At batch {best.batch} {ours} is fastest{tied}, {best.ratio:.3g} × {theirs} ({times}): {why}."


def _part(part: Part) -> str:
    times = f"{si(part.time_s, 's', 3)}, not {si(part.baseline_time_s, 's', 3)}"
    if part.part == "between":
        return f"outside of layers it spends {times}"
    what = "convolutions and products" if part.part == "products" else "other layers"
    fewer = part.layers < part.baseline_layers
    counts = f" ({part.layers} for {part.baseline_layers}: the rest is fused into others)" if fewer else ""
    return f"{what} take {times}{counts}"
