"""`hwbench require`."""

from typing import Any

import click

from hwbench import api
from hwbench.cli import options, output
from hwbench.report.text.requirement import MAX_DEVICES
from hwbench.report.text.requirement import requirement as text


@options.command()
@options.model_option()
@click.option("--rate", metavar="R", help="Inferences per second: 30/s.")
@click.option("--latency", metavar="T", help="Time of one batch: 5ms.")
@click.option("--utilization", default=1.0, show_default=True, help="Share of the roofline that runs reach.")
@options.dtype_option()
@options.batch_option()
@click.option("--all", "everything", is_flag=True, help=f"List every device, not only the first {MAX_DEVICES}.")
@options.json_option
def require(model: str, everything: bool, as_json: bool, **parameters: Any) -> None:
    """Find the catalogued devices that reach a target rate or latency, those of the lowest power first.

    \b
    Examples:
      hwbench require --model alexnet --rate 30/s
      hwbench require --model bert-base --latency 5ms --dtype fp16 --utilization 0.3
    """
    answer = api.require(model, **parameters)
    most = len(answer.devices) if everything else MAX_DEVICES
    output.show(answer, as_json, lambda style: text(answer, style, most))
