"""`hwbench report`."""

from typing import Any

import click

from hwbench import explore
from hwbench.cli import options, output
from hwbench.cli.cpu_limit import cpu_limit, cpu_option


@options.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--run", "more", multiple=True, metavar="RUN", help="Saved run, as the argument RUN. Repeatable.")
@click.option(
    "--model", "-m", "models", multiple=True, metavar="M", default=("alexnet",), show_default=True,
    help="Model to estimate; repeatable.", shell_complete=options.complete("models"),
)  # fmt: skip
@click.option(
    "--device", "-d", "devices", multiple=True, metavar="D", default=("host",), show_default=True,
    help="Device to estimate on; repeatable, several are compared.", shell_complete=options.complete("devices"),
)  # fmt: skip
@options.dtype_option()
@options.batch_option()
@options.runtime_option
@options.math_option
@options.settings_option
@click.option("--machine", is_flag=True, help="Show the newest saved run of this machine also beside other devices.")
@click.option("--data", metavar="CSV", help="Scores for the study of clock speed [default: those in the catalog].")
@click.option(
    "--measurements", multiple=True, metavar="CSV",
    help="Measured times to compare with predictions [default: published ones].",
)  # fmt: skip
@click.option("--output", "-o", "path", default="report.html", show_default=True, metavar="FILE", help="File to write.")
@cpu_option
@options.json_option
def report(runs: tuple[str, ...], more: tuple[str, ...], budget: str, as_json: bool, **parameters: Any) -> None:
    """Write the page of `hwbench explore` with its answers inside: one HTML file that opens offline.

    RUN is a saved run: a file, an id or latest; without one, the newest is shown where this machine
    (host) is a device, or with --machine. Else the page holds nothing of this machine.

    \b
    Examples:
      hwbench report
      hwbench report -m resnet50 -d rtx3090 -d rtx4090 --dtype fp16 -o cards.html
      hwbench report -m llama3-8b -d rtx3090 -d rtx4090
    """
    with (
        cpu_limit(budget, runs, more, parameters["data"], parameters["measurements"]),
        output.status("writing the page"),
    ):
        answer = explore.write_report(*runs, *more, **parameters)
    output.show(answer, as_json)
