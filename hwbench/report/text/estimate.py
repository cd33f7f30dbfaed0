"""Estimates as text: the three answers, the layers, and what limits the time."""

from collections.abc import Sequence

from msgspec.structs import replace

from hwbench import answers
from hwbench.predict.estimate import Estimate, Estimates, LayerEstimate
from hwbench.predict.forecast import LIMITS, Forecast
from hwbench.report.text.format import (
    MAX_LAYERS,
    alike,
    ceil_digits,
    floor_digits,
    intensity,
    interval,
    known,
    layer_name,
    percent,
    rate,
    remark,
    throughput,
)  # fmt: skip
from hwbench.report.text.layout import PLAIN, Style, field, heading, name_width, sentences, table
from hwbench.units import Bytes, operations_unit, si

TOP_LAYERS = 10
MAX_IMPROVEMENTS = 4
MAX_NAME = 40
CLOCK_ALONE = 0.8
"""Share of the forecast time that depends on the clock from which the clock alone predicts it well."""
_KEPT = {
    "inference": "",
    "training": " (weights, what the optimizer keeps if one is given, activations and gradients at their peak)",
}
_UNCACHED = "with caches that keep all they hold"


@answers.lines.register(Estimate)
def single(estimate: Estimate, style: Style = PLAIN, all_layers: bool = False) -> list[str]:
    """Return an estimate with its layers: the three answers, what limits the time, and the largest shares of it."""
    e, unit = estimate, operations_unit(estimate.dtype)
    lines = [*heading(f"{e.title or e.model} on {e.device} · {_dtype(e)} · batch {e.batch}", style), ""]
    lines += field("work", _work(e, unit), style)
    lines += field("peak", f"{si(e.peak_flops_per_second, unit + '/s')} ({_engines(e)}, {_clocks(e)})", style)
    if e.bandwidth_bytes_per_second and e.ridge_point:
        text = f"{si(e.bandwidth_bytes_per_second, 'B/s')}, ridge point {intensity(e.ridge_point)} {unit}/B"
        lines += field("bandwidth", text, style)
    lines += field("memory", f"needs at least {Bytes(e.memory_needed_bytes)}{_KEPT[e.mode]}, {_memory_size(e)}", style)
    ideal = f"{si(floor_digits(e.ideal_time_s), 's')}: operations / peak, {_kind_of_bound(e, 'peak')}"
    lines += ["", *field("ideal", ideal if e.flops else "0 s: the network has no multiply-adds", style)]
    if e.roofline_time_s is not None:
        kind = _kind_of_bound(e, "peak", "bandwidth")
        text = f"{si(floor_digits(e.roofline_time_s), 's')}: {kind} {_UNCACHED}; limited by "
        text += f"{e.roofline.bound}; at most {throughput(ceil_digits(e.roofline.throughput_per_s), e.rated)} "
        text += f"and {percent(ceil_digits(e.roofline.utilization, 2))} of the peak"
        lines += field("roofline", text, style)
    lines += [*_forecast(e, style), "", *_layers(e, style, all_layers)]
    if e.forecast and e.forecast.time_s:
        lines += ["", *sentences(_clock_sentence(e.forecast), style)]
    return lines


def _dtype(e: Estimate) -> str:
    """Return the dtype, and in what else the multiply-adds are computed."""
    if e.math == "strict":
        return f"{e.dtype} (strict)"
    return f"{e.dtype} (convolutions in tf32)" if e.dtype == "fp32" and _uses(e, "tf32") else e.dtype


def _uses(e: Estimate, dtype: str) -> bool:
    return any(engine.dtype == dtype for engine in e.engines)


def _work(e: Estimate, unit: str) -> str:
    text = f"{si(e.flops, unit)}, {si(e.traffic_bytes, 'B')} of traffic"
    if e.least_flops < 0.999 * e.flops:
        text += f"; Winograd's algorithm needs at least {si(e.least_flops, unit)}"
    return text


def _engines(e: Estimate) -> str:
    """Return the ceiling of the multiply-adds, or those of their parts."""
    if len(e.engines) < 2:
        return e.peak
    return ", ".join(f"{engine.peak} for {percent(engine.share)} of the operations" for engine in e.engines)


_DOUBTS = {
    ("peak", "os"): "the clock is what the system reports", ("peak", "assumed"): "the peak rests on assumptions",
    ("bandwidth", "assumed"): "the bandwidth is assumed",
}  # fmt: skip
"""Why ideal and roofline are no strict bounds, by what they rest on: neither data sheets nor a measured clock."""


def _doubt(e: Estimate, *values: str) -> str | None:
    """Return why what rests on these values is no strict bound, None where it is one."""
    return next(filter(None, (_DOUBTS.get((value, e.provenance.get(value, ""))) for value in values)), None)


def _kind_of_bound(e: Estimate, *values: str) -> str:
    doubt = _doubt(e, *values)
    if doubt:
        return f"no strict bound ({doubt})"
    return "a lower bound at that clock" if e.terms else "a lower bound at that peak"


def _clocks(e: Estimate) -> str:
    clocks = (f"{term.clock.replace('_', '-')} {si(term.clock_hz, 'Hz')}" for term in e.terms)
    return ", ".join(dict.fromkeys(clocks)) or "as its vendor states it"


def _memory_size(e: Estimate) -> str:
    if e.memory_size_bytes is None:
        return "the size is unknown"
    what = "the CPU supports up to" if e.kind == "cpu" and e.device != "host" else "the device has"
    return f"{what} {Bytes(e.memory_size_bytes)}"


def _forecast(e: Estimate, style: Style) -> list[str]:
    """Return the expected time, and what would shorten it."""
    forecast = e.forecast
    if forecast is None:
        reasons = {
            "no-kernels": f"{e.runtime} has no such kernels",
            "no-time-model": "there is no time model of the device",
        }
        known = (reasons[each.code] for each in e.notices if each.code in reasons)
        reason = next(known, "the device's bandwidth or its rates are unknown")
        return field("expected", f"unknown, because {reason}", style)
    low, high = (si(end, "s", 3) for end in forecast.interval_s)
    text = (
        f"{si(forecast.time_s, 's')} in {forecast.runtime}, {percent(forecast.interval_level)} interval {low} to "
        f"{high}{_boosted(e)}; {throughput(forecast.throughput_per_s, e.rated)}, {percent(e.utilization)} of the peak"
    )
    shares = forecast.shares
    largest = sorted(LIMITS, key=lambda limit: -getattr(shares, limit))
    limits = ", ".join(f"{limit} {percent(getattr(shares, limit))}" for limit in largest)
    lines = [*field("expected", text, style), *field("limited by", limits, style)]
    return lines + (field("would help", _helping(e), style) if e.improvements else [])


def _helping(e: Estimate) -> str:
    """Return the changes that gain most, with the throughput after over that before."""
    texts = (f"{text} ×{each.gain:.3g}" for text, each in zip(helping(e), e.improvements, strict=True))
    return f"{', '.join(list(texts)[:MAX_IMPROVEMENTS])} in throughput"


def helping(e: Estimate) -> list[str]:
    """Return the changes that would raise the throughput as a person names them."""
    words = {"batch": "batch {}", "bandwidth": "twice the bandwidth", "compute": "twice the FLOP/s"}
    return [words.get(each.change, "{}").format(each.value) for each in e.improvements]


def _boosted(e: Estimate) -> str:
    """Return why a forecast is below the bound."""
    if not e.forecast or not e.roofline_time_s or e.forecast.time_s >= e.roofline_time_s:
        return ""
    return f" (below the bound: the card's clock is up to {e.boost:.2f} times that of its data sheet)"


def _layers(e: Estimate, style: Style, all_layers: bool) -> list[str]:
    layers = list(e.layers)
    if len(layers) > MAX_LAYERS and not all_layers:
        every = sorted(grouped(layers), key=lambda layer: layer.expected_time_s or _time(layer), reverse=True)
        layers = every[:TOP_LAYERS]
    unit = operations_unit(e.dtype)
    header: tuple[str, ...] = ("layer", "kind", unit, "traffic", f"{unit}/B", "ideal")
    if e.roofline_time_s is not None:
        header = (*header[:-1], "roofline", "expected", "share", "bound")
    rows = [_row(layer, e, name_width(MAX_NAME, style)) for layer in layers]
    roles = [layer.bound or "" for layer in layers]
    lines = table(
        header, rows, "llrrrrrrl"[: len(header)], style, roles, (f"{unit}/B", "kind", "traffic", unit, "roofline")
    )
    notes = remark(e.layers)
    if len(layers) < len(e.layers):
        notes.append(f"... the {len(layers)} most expensive kinds of layers; all {len(e.layers)} layers with --layers")
    return lines + [line for note in notes for line in heading(note, style, "dim")]


def grouped(layers: Sequence[LayerEstimate]) -> list[LayerEstimate]:
    """Return layers that are alike as one each, with the sums of them."""
    groups = alike(layers, lambda x: (x.kind, x.dtype, x.flops, x.traffic_bytes, x.weight_bytes, x.bound))
    return [group[0] if len(group) == 1 else _sum(name, group) for name, group in groups]


def _sum(name: str, group: Sequence[LayerEstimate]) -> LayerEstimate:
    first = group[0]
    return replace(
        first,
        name=name,
        flops=sum(layer.flops for layer in group),
        least_flops=sum(layer.least_flops for layer in group),
        traffic_bytes=sum(layer.traffic_bytes for layer in group),
        least_traffic_bytes=sum(layer.least_traffic_bytes for layer in group),
        weight_bytes=sum(layer.weight_bytes for layer in group),
        ideal_time_s=sum(layer.ideal_time_s for layer in group),
        roofline_time_s=None if first.roofline_time_s is None else sum(x.roofline_time_s or 0.0 for x in group),
        expected_time_s=None if first.expected_time_s is None else sum(x.expected_time_s or 0.0 for x in group),
        count=sum(layer.count for layer in group),
    )


def _row(layer: LayerEstimate, e: Estimate, longest: int) -> tuple[str, ...]:
    work = (si(layer.traffic_bytes, "B", 3), intensity(layer.intensity) if layer.flops else "-")
    start = (layer_name(layer.name, layer.count, longest), layer.kind, known(layer.flops, ""), *work)
    if layer.roofline_time_s is None:  # no bandwidth: nothing beyond the ideal
        return (*start, si(layer.ideal_time_s, "s", 3) if layer.flops else "-")
    time, total = layer.expected_time_s, e.forecast and e.forecast.time_s
    times = (si(layer.roofline_time_s, "s", 3), si(time, "s", 3) if time is not None else "-")
    return (*start, *times, percent(time / total if time and total else None), layer.bound or "-")


def _time(layer: LayerEstimate) -> float:
    return layer.ideal_time_s if layer.roofline_time_s is None else layer.roofline_time_s


def _clock_sentence(forecast: Forecast) -> str:
    """Return how well clock speed alone predicts this model's time here."""
    gains = forecast.elasticities
    share = gains.clock
    if share >= CLOCK_ALONE:
        return f"Clock speed is a good guide here: {percent(share)} of the time depends on it."
    others = "memory bandwidth matters" if gains.bandwidth >= gains.overhead else "launches and the framework matter"
    if max(gains.bandwidth, gains.overhead) > gains.clock:
        return f"Clock speed is a poor guide here: only {percent(share)} of the time depends on it; {others} more."
    return f"Clock speed is a partial guide here: {percent(share)} of the time depends on it; {others} too."


def drawing(estimate: Estimate, style: Style = PLAIN) -> list[str]:
    """Return the roofline of an estimate with its layers, below an empty line."""
    from hwbench.report.text.roofline import roofline  # which most estimates do without, and which costs start-up time

    return ["", *roofline(estimate, style)]


@answers.lines.register(Estimates)
def several(answer: Estimates, style: Style = PLAIN) -> list[str]:
    """Return a row for each estimate."""
    rows = []
    for e in answer.estimates:
        roofline = si(floor_digits(e.roofline_time_s), "s") if e.roofline_time_s is not None else "-"
        start = (e.dtype, str(e.batch), si(e.peak_flops_per_second, operations_unit(e.dtype) + "/s"))
        forecast = ("-", "-", "-")
        if e.forecast:
            ends = interval(*e.forecast.interval_s)
            forecast = (si(e.forecast.time_s, "s", 3), ends, rate(e.forecast.throughput_per_s))
        fits = {True: "yes", False: "no", None: "?"}[e.fits]
        rows.append(
            (e.runtime, *start, si(floor_digits(e.ideal_time_s), "s"), roofline, *forecast, e.bound or "-", fits)
        )
    names = ("dtype", "batch", "peak", "ideal", "roofline", "expected", "80 % interval", "rate", "bound", "fits")
    first, others = answer.estimates[0], {e.runtime for e in answer.estimates[1:]} - {answer.estimates[0].runtime}
    columns = [*([0] if others else []), *range(1, len(names) + 1)]
    lines = [*heading(f"{first.title} on {first.device}", style), ""]
    header, align = ("runtime", *names), "llrrrrrrrll"
    cells = [[row[index] for index in columns] for row in rows]
    spare = ("peak", "ideal", "roofline", "rate")
    lines += table(
        [header[index] for index in columns], cells, "".join(align[index] for index in columns), style, spare=spare
    )
    note = f"ideal and roofline are lower bounds at the peak's clock, the latter {_UNCACHED}"
    if doubt := _doubt(first, "peak", "bandwidth"):
        note = f"ideal and roofline are not strict bounds: {doubt}"
    note += (
        f"; expected, rate and bound are forecasts for {'each runtime' if others else first.runtime}"
        if first.forecast
        else ""
    )
    return [*lines, "", *sentences(f"{note}.", style)]
