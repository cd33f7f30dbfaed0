"""`hwbench require`."""

from typing import Any

import click

from hwbench import api
from hwbench.cli import filters, language, options, output
from hwbench.report.text.language import points as language_points
from hwbench.report.text.layout import Style
from hwbench.report.text.requirement import MAX_DEVICES
from hwbench.report.text.requirement import requirement as text


@options.command()
@options.model_option()
@click.option("--rate", metavar="R", help="Inferences per second: 30/s.")
@click.option("--latency", metavar="T", help="Time of one batch: 5ms.")
@language.points_options
@language.option("--tokens", metavar="R", help="Tokens a second of each sequence: 30/s.")
@language.option("--context", type=click.IntRange(1, 100_000_000), metavar="N", help="Context in tokens.")
@click.option(
    "--device", "-d", "names", multiple=True, metavar="D", shell_complete=options.complete("devices"),
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
def require(model: str, names: tuple[str, ...], everything: bool, as_json: bool, **parameters: Any) -> None:
    """Find the devices that reach a target rate or latency by their forecast, those of the lowest power first.

    A device delivers if the whole interval of its forecast reaches the target, and may deliver if a part of it does.

    \b
    Examples:
      hwbench require --model alexnet --rate 30/s
      hwbench require -m resnet50 --rate 2000/s --dtype fp16 --year 2020..
      hwbench require -m bert-base --latency 5ms --dtype fp16 --utilization 0.3
      hwbench require -m llama3-8b --weights q4_k_m --tokens 30/s --context 8192

    A language model is judged at the end of its context; its latency is the time to the first token.
    """
    wanted = {name: parameters.get(name) for name in (*language.NAMES, "tokens")}
    if wanted["tokens"] or language.is_asked(model, wanted, parameters["runtime"]):
        points = api.require_language(model, *names, **_of_language(parameters))
        output.show(points, as_json, lambda style: _lines(points, style, everything))
        return
    for name in (*wanted, "context"):
        parameters.pop(name, None)
    with output.status(output.tracing(model)):
        answer = api.require(model, *names, **parameters)
    most = len(answer.devices) if everything else MAX_DEVICES
    output.show(answer, as_json, lambda style: text(answer, style, most))


def _of_language(parameters: dict[str, Any]) -> dict[str, Any]:
    return language.options_of(parameters, "tokens", "latency", "batch", *language.FILTERS)


def _lines(points: Any, style: Style, everything: bool) -> list[str]:
    """Return the lines of a language model on devices."""
    return language_points.lines(points, style, len(points.points) if everything else None)
