"""Estimates as text."""

from collections.abc import Sequence

from hwbench import answers
from hwbench.predict.estimate import Estimate, LayerEstimate
from hwbench.report.text import expected
from hwbench.report.text.format import at_least, at_most, intensity, percent, rate
from hwbench.report.text.format import layer as named
from hwbench.report.text.layout import PLAIN, Style, field, heading, roomy, sentences, table
from hwbench.units import Bytes, operations_unit, si

MOST_LAYERS = 24
TOP_LAYERS = 10
LONGEST_NAME = 22
_UNCACHED = "no layers are fused and none hand over in a cache"


@answers.lines.register
def one(estimate: Estimate, style: Style = PLAIN, all_layers: bool = False) -> list[str]:
    """Return an estimate with its layers: the three answers, what limits the time, and the largest shares of it."""
    e, unit = estimate, operations_unit(estimate.dtype)
    lines = [*heading(f"{e.title or e.model} on {e.device} · {e.dtype} · batch {e.batch}", style), ""]
    lines += field("work", f"{si(e.flops, unit)}, {si(e.traffic_bytes, 'B')} of traffic", style)
    lines += field("peak", f"{si(e.peak_flops_per_second, unit + '/s')} ({e.peak}, {_clocks(e)})", style)
    if e.bandwidth_bytes_per_second and e.ridge_point:
        text = f"{si(e.bandwidth_bytes_per_second, 'B/s')}, ridge point {intensity(e.ridge_point)} {unit}/B"
        lines += field("bandwidth", text, style)
    lines += field("memory", f"needs at least {Bytes(e.memory_needed_bytes)}, {_size(e)}", style)
    ideal = f"{si(at_least(e.ideal_time_s), 's')}: total operations / peak, {_strictness(e)}"
    lines += ["", *field("ideal", ideal if e.flops else "0 s: the network has no multiply-adds", style)]
    if e.roofline_time_s is not None:
        rest = f"at most {rate(at_most(e.throughput_per_s))}, at most {percent(at_most(e.utilization, 2))} of the peak"
        text = f"{si(at_least(e.roofline_time_s), 's')}: {_strictness(e)} if {_UNCACHED}"
        lines += field("roofline", f"{text}; bound mostly by {e.bound}; {rest}", style)
    lines += [*expected.lines(e, style), "", *_layers(e, style, all_layers)]
    reason = _reason(e)
    lines += ["", *sentences(reason, style)] if reason else []
    return lines + expected.expensive(e, style)


def _strictness(e: Estimate) -> str:
    """Of what the time is a bound: of runs at the clock that the peak multiplies by."""
    if e.provenance["peak"] in ("os", "assumed"):
        return "no strict bound (the peak rests on what the system reports or on assumptions)"
    return "a lower bound at that clock"


def _clocks(e: Estimate) -> str:
    clocks = (f"{term.clock.replace('_', '-')} {si(term.clock_hz, 'Hz')}" for term in e.terms)
    return ", ".join(dict.fromkeys(clocks))


def _size(e: Estimate) -> str:
    if e.memory_size_bytes is None:
        return "the size is unknown"
    what = "the CPU supports up to" if e.kind == "cpu" and e.device != "host" else "the device has"
    return f"{what} {Bytes(e.memory_size_bytes)}"


def _layers(e: Estimate, style: Style, all_layers: bool) -> list[str]:
    shown = list(e.layers)
    hidden = 0
    if len(shown) > MOST_LAYERS and not all_layers:
        shown = sorted(shown, key=lambda layer: layer.forecast_time_s or _time(layer), reverse=True)[:TOP_LAYERS]
        hidden = len(e.layers) - len(shown)
    unit = operations_unit(e.dtype)
    header: tuple[str, ...] = ("layer", "kind", unit, "traffic", f"{unit}/B", "ideal")
    if e.roofline_time_s is not None:
        header = (*header[:-1], "roofline", "expected", "share", "bound")
    rows = [_row(layer, e, roomy(LONGEST_NAME, style)) for layer in shown]
    roles = [layer.bound or "" for layer in shown]
    lines = table(header, rows, "llrrrrrrl"[: len(header)], style, roles, (f"{unit}/B", "kind", "share"))
    if hidden:
        lines += heading(f"... the {len(shown)} most expensive; {hidden} more layers with --layers", style, "dim")
    return lines


def _row(layer: LayerEstimate, e: Estimate, longest: int) -> tuple[str, ...]:
    start = (
        named(layer.name, layer.count, longest),
        layer.kind,
        si(layer.flops, "") if layer.flops else "-",
        si(layer.traffic_bytes, "B", 3),
        intensity(layer.intensity) if layer.flops else "-",
    )
    if layer.roofline_time_s is None:  # no bandwidth: nothing beyond the ideal
        return (*start, si(layer.ideal_time_s, "s", 3) if layer.flops else "-")
    time, whole = layer.forecast_time_s, e.forecast.time_s if e.forecast else None
    return (
        *start,
        si(layer.roofline_time_s, "s", 3),
        si(time, "s", 3) if time is not None else "-",
        percent(time / whole if time and whole else None),
        layer.bound or "-",
    )


def _time(layer: LayerEstimate) -> float:
    return layer.ideal_time_s if layer.roofline_time_s is None else layer.roofline_time_s


def _reason(e: Estimate) -> str:
    """The kind of layer in which most time passes, and what holds it back, in a sentence."""
    if not e.roofline_time_s:
        return ""
    groups: dict[tuple[str, str], list[LayerEstimate]] = {}
    for layer in e.layers:
        groups.setdefault((layer.kind, layer.bound or ""), []).append(layer)
    (kind, bound), layers = max(groups.items(), key=lambda item: sum(map(_time, item[1])))
    time, traffic = sum(map(_time, layers)), sum(layer.traffic_bytes for layer in layers)
    weights = sum(layer.weight_bytes for layer in layers) / traffic if traffic else 0.0
    alike = sum(layer.count for layer in layers)
    count = f"{alike} {kind} layers take" if alike > 1 else f"One {kind} layer takes"
    how = "bound by compute"
    if bound == "memory":
        how = f"bound by memory: {percent(weights)} of their traffic is reading weights"
        if weights < 0.5:
            how = "bound by memory, mostly for reading and writing activations"
        elif e.batch == 1:
            how += ", which a larger batch would share"
    return f"{count} {percent(time / e.roofline_time_s)} of the roofline time, {how}."


def many(estimates: Sequence[Estimate], style: Style) -> list[str]:
    """A row an estimate: batches, dtypes and devices side by side."""
    rows = [
        (
            e.dtype,
            str(e.batch),
            si(e.peak_flops_per_second, operations_unit(e.dtype) + "/s"),
            si(at_least(e.ideal_time_s), "s"),
            si(at_least(e.roofline_time_s), "s") if e.roofline_time_s is not None else "-",
            si(e.forecast.time_s, "s", 3) if e.forecast else "-",
            " - ".join(si(end, "s", 3) for end in e.forecast.interval_s) if e.forecast else "-",
            rate(e.forecast.throughput_per_s if e.forecast else None),
            e.bound or "-",
            {True: "yes", False: "no", None: "?"}[e.fits],
        )
        for e in estimates
    ]
    header = ("dtype", "batch", "peak", "ideal", "roofline", "expected", "80 % within", "rate", "bound", "fits")
    lines = [
        *heading(f"{estimates[0].title} on {estimates[0].device}", style),
        "",
        *table(header, rows, "lrrrrrrrll", style, spare=("peak", "ideal")),
    ]
    note = f"ideal and roofline are lower bounds of the time at the peak's clock, the latter if {_UNCACHED}"
    if _strictness(estimates[0]).startswith("no"):
        note = "ideal and roofline are no strict bounds, as the peak rests on what the system reports or on assumptions"
    forecast = estimates[0].forecast
    runtime = f"; expected is a forecast for {forecast.runtime}" if forecast else ""
    return [*lines, "", *sentences(f"{note}{runtime}.", style)]
