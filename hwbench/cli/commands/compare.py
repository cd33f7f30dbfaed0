"""`hwbench compare`."""

from typing import Any

import click

from hwbench import api
from hwbench.cli import filters, options, output, values
from hwbench.errors import InputError
from hwbench.report.export.compare import COLUMNS, records
from hwbench.report.text.compare import markdown
from hwbench.study.compare.devices import Comparison

FORMATS = ("text", "csv", "markdown", "json")
SORTS = ("name", "released", "peak", "bandwidth", "ridge", "power", "time", "per-watt")


@options.command()
@click.argument("names", nargs=-1, metavar="[DEVICE|RUN]...", shell_complete=options.complete("devices"))
@click.option(
    "--model", "-m", metavar="M", help="Also compare estimated times of this model.",
    shell_complete=options.complete("models"),
)  # fmt: skip
@options.dtype_option()
@options.batch_option(several=True)
@options.clock_option
@options.runtime_option
@click.option("--sort", type=click.Choice(SORTS), help="Order of the devices [default: as given].")
@click.option("--baseline", metavar="D", help="Device to compare the others with [default: the first].")
@filters.filter_options
@click.option(
    "--margin", type=values.SHARE, metavar="P", default="3%", show_default=True,
    help="Smallest relevant difference between runs.",
)  # fmt: skip
@click.option("--level", default=0.95, show_default=True, help="Confidence level of intervals and verdicts on runs.")
@options.tracing_options
@options.format_option(FORMATS)
def compare(names: tuple[str, ...], form: str | None, as_json: bool, **parameters: Any) -> None:
    """Compare devices by peak, bandwidth, power and times, and show which factor makes the difference.

    Devices of the filters are added to those named; without either the whole catalog is compared. Saved runs are given
    by file, by id or as `latest`: their conditions are compared first, then their kernels, each with the first run.

    \b
    Examples:
      hwbench compare i9-10940x i7-12700h "ryzen 9 9950x" --model alexnet
      hwbench compare rtx3090 rtx4090 --model resnet50 --dtype fp16 --batch 1,64
      hwbench compare --kind cpu --year 2017.. --sort per-watt
      hwbench compare --kind gpu --vendor nvidia --format csv > gpus.csv
    """
    form = options.form(form, as_json)
    answer = api.compare(*names, **parameters)
    if form in ("text", "json"):
        output.show(answer, form == "json")
    elif not isinstance(answer, Comparison):
        raise InputError("bad-format", "Runs are compared as text or JSON.", field="form")
    elif form == "csv":
        output.write_csv(COLUMNS, records(answer), answer.notices)
    else:
        output.write_lines(markdown(answer), answer.notices)
