"""`hwbench peak`."""

from hwbench import api
from hwbench.cli import options, output


@options.command()
@options.device_option(required=False)
@options.clock_option
@options.json_option
def peak(device: str | None, settings: dict[str, str], clock: str | None, as_json: bool) -> None:
    """Show every theoretical peak of a device: units × clock × FLOP per cycle.

    Without --device it describes this machine: the cores that this process may use, and what is assumed of them. If a
    run of this machine is saved (`hwbench bench`), the measured rates are shown too, and any above a peak is explained.

    \b
    Examples:
      hwbench peak
      hwbench peak --device i9-10940x
      hwbench peak --device h100-sxm --json
      hwbench peak --device i7-12700h --clock base
    """
    output.show(api.peak(device or "host", clock, settings=settings), as_json)
