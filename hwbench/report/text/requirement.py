"""Requirements as text."""

from hwbench.report.text.format import percent, rate
from hwbench.report.text.layout import Style, field, heading, sentences, table
from hwbench.study.requirement import Candidate, Requirement
from hwbench.units import Bytes, operations_unit, si


def requirement(r: Requirement, title: str, style: Style, most: int) -> list[str]:
    """What a target needs, and the devices that deliver it, cheapest in watts first."""
    target = rate(r.rate_per_s) + (f", {si(r.latency_s, 's')} a batch" if r.latency_s else "")
    at, unit = percent(r.utilization), operations_unit(r.dtype)
    lines = [*heading(f"{title} at {target} · {r.dtype} · batch {r.batch}", style), ""]
    lines += field("at 100 %", _needs(r.flops_per_second, r.bytes_per_second, unit), style)
    if r.utilization < 1:
        needs = _needs(r.flops_per_second_at_utilization, r.bytes_per_second_at_utilization, unit)
        lines += field(f"at {at}", needs, style)
    lines += field("memory", f"at least {Bytes(r.memory_bytes)}", style)
    of = "their roofline" if r.utilization == 1 else f"{at} of their roofline"
    found = f"{len(r.devices)} of {r.judged} catalogued devices deliver at {of}, cheapest in watts first:"
    lines += ["", *sentences(found, style), ""]
    header = ("device", "power", "roofline", f"at {at}", "rate")
    rows = [_row(candidate) for candidate in r.devices[:most]]
    lines += table(header, rows, "lrrrr", style) if rows else ["none: a larger batch or a smaller dtype may help"]
    if len(r.devices) > most:
        lines.append(style.paint(f"... and {len(r.devices) - most} more (--all)", "dim"))
    note = "Power is the vendor's rating (a CPU's package at base clock, a GPU's board); times are at the peak's clock."
    if r.unknown:
        note += f" Not judged for want of a known {r.dtype} rate or bandwidth: {len(r.unknown)}."
    return [*lines, "", *sentences(note, style)]


def _needs(flops: float, traffic: float, unit: str) -> str:
    return f"needs at least {si(flops, unit + '/s')} and {si(traffic, 'B/s')}"


def _row(candidate: Candidate) -> tuple[str, ...]:
    power = f"{candidate.power_w:g} W" if candidate.power_w else "-"
    times = si(candidate.roofline_time_s, "s"), si(candidate.time_s, "s")
    return (candidate.name, power, *times, rate(candidate.throughput_per_s))
