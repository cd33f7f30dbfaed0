"""Measured inferences as text."""

from collections.abc import Sequence

from hwbench.report.text.format import layer as named
from hwbench.report.text.format import percent, rate
from hwbench.report.text.layout import Style, field, heading, roomy, sentences, table
from hwbench.study.inference import Inference
from hwbench.units import operations_unit, si


def one(found: Inference, title: str, style: Style) -> list[str]:
    """One run: its time with the interval, beside ideal, roofline and expected, and by layer where it was asked for."""
    f, unit = found, operations_unit(found.dtype)
    threads = f" · {f.threads} thread{'s' if f.threads > 1 else ''}" if f.threads else ""
    head = f"{title} on {f.device} · {f.runtime} · {f.dtype} · batch {f.batch}{threads}"
    lines = [*heading(head, style), ""]
    spread = f"{si(f.interval_s[0], 's')} to {si(f.interval_s[1], 's')} at {percent(f.interval_level)}"
    spread = spread if f.samples > 1 else "one sample"
    grade = f"grade {f.grade}" + (f" ({'; '.join(f.reasons)})" if f.reasons else "")
    lines += field("measured", f"{si(f.time_s, 's')} ({spread}), {rate(f.throughput_per_s)}; {grade}", style)
    speed = f"{si(f.achieved_flops_per_second, unit + '/s')} of {si(f.flops, unit)}"
    if f.utilization is not None and f.peak_flops_per_second:
        speed += f": {percent(f.utilization)} of {si(f.peak_flops_per_second, unit + '/s')} ({f.peak})"
    lines += field("utilization", speed if f.flops else "the network has no multiply-adds", style)
    if f.ideal_time_s is not None:
        lines += field("ideal", f"{si(f.ideal_time_s, 's')}: total operations / peak", style)
        why = "unknown" if f.roofline_time_s else "unknown, for the memory bandwidth is: `hwbench bench` measures it"
        lines += field("roofline", _beside(f.roofline_time_s, f.roofline_ratio, why), style)
        expected = _beside(f.expected_time_s, f.expected_ratio, why)
        if f.expected_interval_s:
            low, high = f.expected_interval_s
            expected += f"; the forecast was {si(low, 's')} to {si(high, 's')}"
        lines += field("expected", expected, style)
    if f.layers:
        lines += ["", *_layers(f, style)]
    return lines


def _beside(time: float | None, ratio: float | None, why: str) -> str:
    if time is None or ratio is None:
        return why
    return f"{si(time, 's')}: the run takes {ratio:.3g} times as long"


def _layers(found: Inference, style: Style) -> list[str]:
    unit = operations_unit(found.dtype)
    rows = [
        (
            named(layer.name, longest=roomy(28, style)),
            layer.kind,
            si(layer.flops, "") if layer.flops else "-",
            si(layer.time_s, "s", 3),
            percent(layer.share),
            si(layer.roofline_time_s, "s", 3) if layer.roofline_time_s is not None else "-",
            si(layer.expected_time_s, "s", 3) if layer.expected_time_s is not None else "-",
            percent(layer.utilization),
        )
        for layer in found.layers
    ]
    header = ("layer", "kind", unit, "measured", "share", "roofline", "expected", "of peak")
    lines = table(header, rows, "llrrrrrr", style, spare=("kind", unit, "share"))
    if found.between_s is not None and found.between_s > 0:
        text = f"Beside these, {si(found.between_s, 's', 3)} pass in modules without operations, and in the framework."
        lines += ["", *sentences(text, style)]
    return lines


def many(runs: Sequence[Inference], title: str, style: Style) -> list[str]:
    """A row a run."""
    rows = [
        (
            f.dtype,
            str(f.batch),
            si(f.time_s, "s"),
            f"± {percent((f.interval_s[1] - f.interval_s[0]) / (2 * f.time_s))}" if f.samples > 1 else "",
            rate(f.throughput_per_s),
            si(f.achieved_flops_per_second, operations_unit(f.dtype) + "/s", 3),
            percent(f.utilization),
            si(f.ideal_time_s, "s", 3) if f.ideal_time_s is not None else "-",
            si(f.roofline_time_s, "s", 3) if f.roofline_time_s is not None else "-",
            si(f.expected_time_s, "s", 3) if f.expected_time_s is not None else "-",
            f.grade,
        )
        for f in runs
    ]
    header = ("dtype", "batch", "measured", "", "rate", "achieved", "of peak", "ideal", "roofline", "expected", "")
    first = runs[0]
    threads = f" · {first.threads} thread{'s' if first.threads > 1 else ''}" if first.threads else ""
    head = f"{title} on {first.device} · {first.runtime}{threads}"
    return [*heading(head, style), "", *table(header, rows, "lrrrrrrrrrl", style, spare=("achieved", "ideal", "rate"))]
