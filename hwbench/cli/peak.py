"""`hwbench peak`."""

from typing import cast

import click

from hwbench.cli import options, output
from hwbench.machine.device import ClockKind


@click.command(short_help="What a device, or this machine, can do at most.")
@options.device_option(required=False)
@options.clock_option
@options.json_option
def peak(device: str | None, settings: tuple[str, ...], clock: str | None, as_json: bool) -> None:
    """Give every theoretical peak of a device: units × clock × flops_per_cycle.

    Without --device it describes this machine: the cores that this process may use, and what is assumed of them.

    \b
    Examples:
      hwbench peak
      hwbench peak --device i9-10940x
      hwbench peak --device h100-sxm --json
      hwbench peak --device i7-12700h --clock base
    """
    from hwbench.machine import description

    chosen, warnings = options.device(device or "host", settings)
    found = description.known_peaks(chosen, cast("ClockKind | None", clock and clock.replace("-", "_")))
    told = (*warnings, *(() if warnings else description.warnings(chosen, found)))
    if as_json:
        output.write_json("peak", description.describe(chosen, found), told)
        return
    from hwbench.report import machine as report

    style = output.style()
    output.write_lines([*report.heading(chosen, style), "", *report.peak_table(chosen, found, style)], told)
