"""`hwbench study`: statistical studies."""

from typing import Any

import click

from hwbench import api
from hwbench.cli import options, output, values
from hwbench.cli.cpu_limit import cpu_limit, cpu_option


@options.group()
def study() -> None:
    """Study what predicts performance, with the numbers behind the answer.

    \b
    Example:
      hwbench study clock
    """


@study.command("clock", short_help="Study whether clock speed predicts scores.")
@click.option("--data", metavar="CSV", help="Scores to study instead of those in the catalog.")
@click.option("--columns", metavar="MAP", help="Column mapping of the CSV, e.g. device=name,clock=mhz,score=points.")
@click.option("--suite", "suites", multiple=True, metavar="S", help="Only this suite. Repeatable.")
@click.option(
    "--pair",
    "pairs",
    nargs=2,
    multiple=True,
    metavar="A B",
    help="Count inversions between two classes. Repeatable.",
)
@click.option(
    "--window", default="1", show_default=True, metavar="YEARS", help="Compare devices at most this many years apart."
)
@click.option(
    "--clock", type=values.Choice(["base", "boost"]), default="base", show_default=True, help="Clock to study."
)
@click.option(
    "--model", "-m", metavar="M", help="Estimate how much a faster clock would speed up this model on --device."
)
@click.option("--device", "-d", metavar="D", help="Catalog name, YAML file, or host.")
@options.dtype_option()
@options.batch_option()
@cpu_option
@options.json_option
def clock(budget: str, as_json: bool, **parameters: Any) -> None:
    """Study whether clock speed predicts scores: of the catalog's CPUs, or of a CSV file.

    The file has the columns suite,device,year,clock_ghz,cores,microarchitecture,score; other tables are read by
    --columns. A suite needs 30 rows. --dtype and --batch are those of --model.

    \b
    Examples:
      hwbench study clock
      hwbench study clock --suite SPECint2000 --pair k7,k7-thunderbird netburst
      hwbench study clock --model alexnet --device i7-6700k
    """
    with cpu_limit(budget, parameters["data"]):
        answer = api.study_clock(**parameters)
    output.show(answer, as_json)
