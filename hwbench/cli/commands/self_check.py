"""`hwbench self-check`."""

import sys
from typing import TYPE_CHECKING

import click

from hwbench.cli import options, output
from hwbench.cli.commands.bench import seconds

if TYPE_CHECKING:
    from hwbench.measure.record import Record
    from hwbench.measure.session import BenchRequest

DEFAULT_KERNEL = "clock"


@click.command("self-check", short_help="How often does a comparison here claim a difference that is none?")
@click.argument("kernels", nargs=-1, metavar="[KERNEL]...")
@click.option("--pairs", type=click.IntRange(1, 1000), default=20, show_default=True, help="A/A comparisons.")
@click.option("--processes", type=click.IntRange(1, 50), default=3, show_default=True, help="Processes of each run.")
@click.option("--budget", metavar="T", default="0.5s", show_default=True, help="Time of each process's samples.")
@options.json_option
def self_check(kernels: tuple[str, ...], pairs: int, processes: int, budget: str, as_json: bool) -> None:
    """Compare this machine with itself, in fresh processes, and count the differences that the comparison claims.

    There is none to find: the share that is claimed is the false-positive rate of `hwbench compare` on this machine.
    Without a kernel it measures the clock, on one thread.

    \b
    Examples:
      hwbench self-check --pairs 2 --processes 1 --budget 100ms
      hwbench self-check clock fma --pairs 1 --processes 2 --budget 200ms --json
    """
    from hwbench.measure.session import BenchRequest
    from hwbench.study.compare.self_check import self_check as assess

    request = BenchRequest(
        kernels=kernels or (DEFAULT_KERNEL,),
        quick=True,
        budget_s=seconds(budget),
        threads=(1,),
        command=("hwbench", *sys.argv[1:]),
    )
    found = assess(_pairs(request, pairs, processes))
    if as_json:
        output.write_json("self-check", found)
        return
    from hwbench.report.text.runs import self_check as report

    output.write_lines(report(found, output.style()))


def _pairs(request: "BenchRequest", pairs: int, processes: int) -> list[tuple["Record", "Record"]]:
    """The runs, their processes in turns: a drift of the machine falls on both of a pair alike."""
    from hwbench.cli.progress import line
    from hwbench.measure import processes as fresh
    from hwbench.measure import session

    found = []
    with line() as show:
        for pair in range(pairs):
            sides: tuple[list[Record], list[Record]] = ([], [])
            for process in range(2 * processes):
                done = (pair + process / (2 * processes)) / pairs
                show(done, f"pair {pair + 1} of {pairs}, process {process + 1} of {2 * processes}")
                order = (0, 1) if pair % 2 == 0 else (1, 0)
                sides[order[process % 2]].append(fresh.one(request))
            found.append((session.joined(sides[0], request.command), session.joined(sides[1], request.command)))
    return found
