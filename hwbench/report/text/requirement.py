"""Requirements as text."""

from hwbench import answers
from hwbench.report.text.format import percent, rate, throughput
from hwbench.report.text.layout import PLAIN, Style, field, heading, sentences, table
from hwbench.study.requirement import Candidate, Requirement
from hwbench.units import Bytes, operations_unit, si

MAX_DEVICES = 10


@answers.lines.register
def requirement(answer: Requirement, style: Style = PLAIN, max_devices: int = MAX_DEVICES) -> list[str]:
    """Return what a target needs, and the devices that reach it, lowest power first."""
    r = answer
    target = throughput(r.rate_per_s) + (f", {si(r.latency_s, 's')} a batch" if r.latency_s else "")
    share, unit = percent(r.utilization), operations_unit(r.dtype)
    lines = [*heading(f"{r.title or r.model} at {target} · {r.dtype} · batch {r.batch}", style), ""]
    lines += field("at 100 %", _needs(r.flops_per_second, r.bytes_per_second, unit), style)
    if r.utilization < 1:
        needs = _needs(r.flops_per_second_at_utilization, r.bytes_per_second_at_utilization, unit)
        lines += field(f"at {share}", needs, style)
    lines += [*field("memory", f"at least {Bytes(r.memory_bytes)}", style), ""]
    if r.devices:
        at = "their roofline" if r.utilization == 1 else f"{share} of their roofline"
        summary = f"{len(r.devices)} of {r.judged} catalogued devices reach it at {at}; lowest power first:"
        header = ("device", "power", "roofline", f"at {share}", "rate")
        rows = [_row(candidate) for candidate in r.devices[:max_devices]]
        lines += [*sentences(summary, style), "", *table(header, rows, "lrrrr", style)]
    else:
        lines += sentences("No catalogued device reaches this target. Try a larger batch or a smaller dtype.", style)
    if len(r.devices) > max_devices:
        lines.append(style.paint(f"... and {len(r.devices) - max_devices} more (--all)", "dim"))
    note = "Power is the vendor's rating (a CPU's package at base clock, a GPU's board); times are at the peak's clock."
    if r.unknown:
        note += f" Skipped {len(r.unknown)} devices whose {r.dtype} rate or bandwidth is unknown."
    return [*lines, "", *sentences(note, style)]


def _needs(flops: float, traffic: float, unit: str) -> str:
    return f"needs at least {si(flops, unit + '/s')} and {si(traffic, 'B/s')}"


def _row(candidate: Candidate) -> tuple[str, ...]:
    power = f"{candidate.power_w:g} W" if candidate.power_w else "-"
    times = si(candidate.roofline_time_s, "s"), si(candidate.time_s, "s")
    return (candidate.name, power, *times, rate(candidate.throughput_per_s))
