"""`hwbench peak`."""

from typing import TYPE_CHECKING, cast

import click

from hwbench.api import lookup
from hwbench.cli import options, output
from hwbench.machine.device import ClockKind

if TYPE_CHECKING:
    from hwbench.machine.device import Device
    from hwbench.study.achieved import Achieved


@click.command(short_help="What a device, or this machine, can do at most.")
@options.device_option(required=False)
@options.clock_option
@options.json_option
def peak(device: str | None, settings: tuple[str, ...], clock: str | None, as_json: bool) -> None:
    """Give every theoretical peak of a device: units × clock × flops_per_cycle.

    Without --device it describes this machine: the cores that this process may use, and what is assumed of them. Where
    a run of it is saved (`hwbench bench`), what was measured stands beside, and anything above its peak is explained.

    \b
    Examples:
      hwbench peak
      hwbench peak --device i9-10940x
      hwbench peak --device h100-sxm --json
      hwbench peak --device i7-12700h --clock base
    """
    from hwbench.machine import description

    chosen, warnings = lookup.device(device or "host", settings)
    beside = _beside(device or "host", chosen) if chosen.sustained and not settings else ()
    found = description.known_peaks(chosen, cast("ClockKind | None", clock and clock.replace("-", "_")))
    told = (*warnings, *(() if warnings else description.notices(chosen, found)))
    if as_json:
        body = description.describe(chosen, found).body()
        measured = {"source": chosen.sustained.source, "achieved": beside} if chosen.sustained else None
        output.write_json("peak", {**body, "measured": measured}, told)
        return
    from hwbench.report.text import machine as report

    style = output.style()
    lines = [*report.heading(chosen, style), "", *report.peak_table(chosen, found, style)]
    if beside:
        lines += ["", *report.achieved(beside, chosen, style)]
    output.write_lines(lines, told)


def _beside(name: str, chosen: "Device") -> "tuple[Achieved, ...]":
    """What was reached of the peaks of a measured device."""
    from hwbench.study.achieved import achieved

    return achieved(lookup.stated(name), chosen)
