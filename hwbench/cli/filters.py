"""Options that choose among the catalogued devices."""

import click

from hwbench.cli.options import F
from hwbench.cli.values import Choice
from hwbench.machine.parts import KINDS


def filter_options(function: F) -> F:
    """Add `--kind`, `--vendor`, `--architecture` and `--year`."""
    for option in (  # the last one is the first in the help
        click.option("--year", metavar="Y", help="Only those released in a year or years: 2020, 2017..2021, 2022.."),
        click.option("--architecture", metavar="A", help="Only architectures whose name contains A."),
        click.option("--vendor", metavar="V", help="Only this vendor's."),
        click.option("--kind", type=Choice(list(KINDS)), help="Only CPUs, GPUs or accelerators."),
    ):
        function = option(function)
    return function
