"""`hwbench require`."""

from typing import Any

import click

from hwbench import api
from hwbench.cli import filters, options, output
from hwbench.cli.progress import status, tracing
from hwbench.report.text.requirement import MAX_DEVICES
from hwbench.report.text.requirement import requirement as text


@options.command()
@options.model_option()
@click.option("--rate", metavar="R", help="Inferences per second: 30/s.")
@click.option("--latency", metavar="T", help="Time of one batch: 5ms.")
@click.option(
    "--device", "-d", "devices", multiple=True, metavar="D", shell_complete=options.complete("devices"),
    help="A device as for `hwbench estimate`. Repeatable [default: the whole catalog].",
)  # fmt: skip
@filters.filter_options
@options.runtime_option
@options.math_option
@click.option("--utilization", type=float, metavar="U", help="Judge by this share of the roofline, not by forecasts.")
@options.dtype_option()
@options.batch_option()
@click.option("--all", "everything", is_flag=True, help=f"List every device, not only the first {MAX_DEVICES}.")
@options.json_option
def require(model: str, devices: tuple[str, ...], everything: bool, as_json: bool, **parameters: Any) -> None:
    """Find the devices that reach a target rate or latency by their forecast, those of the lowest power first.

    A device delivers if the whole interval of its forecast reaches the target, and may deliver if a part of it does.

    \b
    Examples:
      hwbench require --model alexnet --rate 30/s
      hwbench require -m resnet50 --rate 2000/s --dtype fp16 --year 2020..
      hwbench require -m bert-base --latency 5ms --dtype fp16 --utilization 0.3
    """
    with status(tracing(model)):
        answer = api.require(model, *devices, **parameters)
    most = len(answer.devices) if everything else MAX_DEVICES
    output.show(answer, as_json, lambda style: text(answer, style, most))
