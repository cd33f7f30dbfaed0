"""Requirements as text."""

from hwbench.report.text import Style, percent, rate, table
from hwbench.study.requirement import Requirement
from hwbench.units import Bytes, si


def requirement(r: Requirement, title: str, style: Style, most: int) -> list[str]:
    """What a target needs, and the devices that deliver it, cheapest in watts first."""
    target = rate(r.rate_per_s) + (f", {si(r.latency_s, 's')} a batch" if r.latency_s else "")
    at = percent(r.utilization)
    lines = [
        style.paint(f"{title} at {target} · {r.dtype} · batch {r.batch}", "bold"),
        "",
        f"needs at 100 %   {si(r.flops_per_second, 'FLOP/s')} and {si(r.bytes_per_second, 'B/s')}",
        f"needs at {at:<8}{si(r.flops_per_second_at_utilization, 'FLOP/s')} and "
        f"{si(r.bytes_per_second_at_utilization, 'B/s')}",
        f"memory           at least {Bytes(r.memory_bytes)}",
        "",
        f"{len(r.devices)} of {r.considered} catalogued devices deliver at {at} of their roofline, "
        "cheapest in watts first:",
        "",
    ]
    rows = [
        (
            c.name,
            f"{c.power_w:g} W" if c.power_w else "-",
            si(c.roofline_time_s, "s"),
            si(c.time_s, "s"),
            rate(c.throughput_per_s),
        )
        for c in r.devices[:most]
    ]
    lines += table(("device", "power", "roofline", f"at {at}", "rate"), rows, "lrrrr", style)
    if len(r.devices) > most:
        lines.append(style.paint(f"... and {len(r.devices) - most} more (--all)", "dim"))
    if r.unknown:
        lines += ["", f"not judged for want of a known {r.dtype} rate or bandwidth: {len(r.unknown)}"]
    return lines
