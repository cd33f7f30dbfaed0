"""Requirements as text."""

from hwbench import answers
from hwbench.report.text.format import interval, number, percent, rate, throughput
from hwbench.report.text.layout import PLAIN, Style, field, heading, sentences, table
from hwbench.study.requirement import Candidate, Requirement
from hwbench.units import Bytes, operations_unit, si

MAX_DEVICES = 10


@answers.lines.register
def requirement(answer: Requirement, style: Style = PLAIN, max_devices: int = MAX_DEVICES) -> list[str]:
    """Return what a target needs, and the devices that reach it, lowest power first."""
    r, unit = answer, operations_unit(answer.dtype)
    target = throughput(r.rate_per_s) + (f", {si(r.latency_s, 's')} a batch" if r.latency_s else "")
    lines = [*heading(f"{r.title or r.model} at {target} · {r.dtype} · batch {r.batch}", style), ""]
    needs = f"at least {si(r.flops_per_second, unit + '/s')} and {si(r.bytes_per_second, 'B/s')} of traffic"
    lines += [*field("needs", needs, style), *field("memory", f"at least {Bytes(r.memory_bytes)}", style), ""]
    lines += sentences(_summary(r), style)
    if r.devices:
        lines += ["", *_table(r, max_devices, style)]
    if len(r.devices) > max_devices:
        lines.append(style.paint(f"... and {len(r.devices) - max_devices} more (--all)", "dim"))
    return [*lines, "", *sentences(_note(r), style)]


def _summary(r: Requirement) -> str:
    """Return how many devices reach the target, and by what they are judged."""
    if not r.judged:
        return "No device could be judged."
    reached = f"{r.delivering} of {number(r.judged, 'device')}"
    if r.utilization is not None:
        share = "" if r.utilization == 1 else f"{percent(r.utilization)} of "
        text = f"{reached} reach it at {share}their roofline, a bound that runs do not reach"
    else:
        text = f"{reached} deliver it by the whole interval of their forecast"
        text += f", {len(r.devices) - r.delivering} may: it lies inside their interval"
    if not r.devices:
        return f"{text}. Try a larger batch or a smaller dtype."
    return f"{text}; lowest power first:"


def _table(r: Requirement, most: int, style: Style) -> list[str]:
    forecast = r.utilization is None
    header: tuple[str, ...] = ("device", "power", "verdict", "expected", "80 % interval", "rate", "bound")
    if not forecast:
        header = ("device", "power", "roofline", f"at {percent(r.utilization)}", "rate")
    rows = [_row(candidate) for candidate in r.devices[:most]]
    return table(header, rows, "lrlrrrl" if forecast else "lrrrr", style, spare=("bound", "80 % interval", "expected"))


def _note(r: Requirement) -> str:
    note = "Power is the vendor's rating (a CPU's package at base clock, a GPU's board)."
    if r.unknown:
        note += f" Skipped {number(len(r.unknown), 'device')} whose {r.dtype} rate, bandwidth or forecast is unknown."
    return note


def _row(c: Candidate) -> tuple[str, ...]:
    start, time, speed = (c.name, f"{c.power_w:g} W" if c.power_w else "-"), si(c.time_s, "s"), rate(c.throughput_per_s)
    if c.interval_s is None:
        return (*start, si(c.roofline_time_s, "s"), time, speed)
    return (*start, c.verdict, time, interval(*c.interval_s), speed, c.bound or "-")
