"""`hwbench self-check`."""

import sys
from typing import Any

import click

from hwbench import api
from hwbench.cli import options, output
from hwbench.cli.progress import line
from hwbench.cli.saving import processes_option


@options.command("self-check")
@click.argument("kernels", nargs=-1, metavar="[KERNEL]...")
@click.option(
    "--pairs", type=click.IntRange(1, 1000), metavar="N", default=20, show_default=True, help="Number of comparisons."
)
@processes_option(3, "Processes of each run.")
@options.budget_option("0.5s", "Time of each process's samples.")
@options.json_option
def self_check(kernels: tuple[str, ...], as_json: bool, **parameters: Any) -> None:
    """Compare this machine with itself, in fresh processes, and count the differences that are reported.

    Both runs are of the same machine, so every difference reported is a false positive: the share is the
    false-positive rate of `hwbench compare` on this machine. Without a kernel it measures the clock, on one thread.

    \b
    Examples:
      hwbench self-check --pairs 2 --processes 1 --budget 100ms
      hwbench self-check clock fma --pairs 1 --processes 2 --budget 200ms --json
    """
    with line() as progress:
        answer = api.self_check(*kernels, progress=progress, command=("hwbench", *sys.argv[1:]), **parameters)
    output.show(answer, as_json)
