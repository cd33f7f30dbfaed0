"""Peaks beside what was measured of them, as text."""

from collections.abc import Sequence

from hwbench.machine.device import Device
from hwbench.report.text.format import percent
from hwbench.report.text.layout import Style, field, sentences, table
from hwbench.study.achieved import Achieved
from hwbench.units import operations_unit, si


def achieved(rows: Sequence[Achieved], device: Device, style: Style) -> list[str]:
    """A row a ceiling: its peak at both clocks and what was reached; then the memory, and what is above its peak."""
    cells = [
        (
            one.isa,
            one.dtype,
            _rate(one.stated_flops_per_second, one.dtype),
            si(one.measured_clock_hz, "Hz") if one.measured_clock_hz else "-",
            _rate(one.measured_flops_per_second, one.dtype),
            _rate(one.fma_flops_per_second, one.dtype),
            _rate(one.matmul_flops_per_second, one.dtype),
            percent(one.share),
            percent(one.share_at_clock),
        )
        for one in rows
    ]
    header = ("measured", "dtype", "stated peak", "clock", "peak at it", "FMA", "matmul", "of stated", "of it")
    lines = table(header, cells, "llrrrrrrr", style, spare=("clock", "of stated"))
    sustained = device.sustained
    if sustained and sustained.bandwidth:
        alone = f", {si(sustained.unit_bandwidth, 'B/s')} of one unit" if sustained.unit_bandwidth else ""
        lines += ["", *field("STREAM", f"{si(sustained.bandwidth, 'B/s')}{alone}", style)]
    if sustained:
        lines += field("from", f"run {sustained.source}", style)
    for cause in dict.fromkeys(one.cause for one in rows if one.cause):
        alike = sorted((one for one in rows if one.cause == cause), key=lambda one: -one.share)
        more = f" ({len(alike) - 1} more likewise)" if len(alike) > 1 else ""
        lines += ["", *sentences(f"{alike[0].finding}{more}.", style)]
    return lines


def _rate(value: float | None, dtype: str) -> str:
    return si(value, f"{operations_unit(dtype)}/s", 3) if value else "-"
