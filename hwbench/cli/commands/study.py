"""`hwbench study`: questions put to the data."""

from typing import TYPE_CHECKING

import click

from hwbench.api import lookup
from hwbench.cli import options, output
from hwbench.errors import InputError, shown
from hwbench.notices import Notice

if TYPE_CHECKING:  # loaded once the options are in order
    from hwbench.study.clock.peaks import PeakView
    from hwbench.study.clock.scores import ScoreTable


@click.group(short_help="Questions put to data: is clock speed a guide to performance?")
def study() -> None:
    """Put questions to data, with the numbers that answer them.

    \b
    Example:
      hwbench study clock
    """


@study.command("clock", short_help="Does clock speed predict scores?")
@click.option("--data", metavar="CSV", help="Scores to study instead of the catalog's.")
@click.option("--columns", metavar="MAP", help="Its columns: device=name,clock=mhz,score=points and more; see docs.")
@click.option("--suite", "suites", multiple=True, metavar="S", help="Only this suite. Repeatable.")
@click.option(
    "--pair",
    "pairs",
    nargs=2,
    multiple=True,
    metavar="A B",
    help="Two classes to count inversions between. Repeatable.",
)
@click.option("--window", default="1", show_default=True, metavar="YEARS", help="Years apart that are of similar date.")
@click.option(
    "--clock", type=click.Choice(["base", "boost"]), default="base", show_default=True, help="Clock to study."
)
@click.option("--model", "-m", metavar="M", help="How much of a faster clock this model would see, on --device.")
@click.option("--device", "-d", metavar="D", help="Catalog name, YAML file, or host.")
@click.option("--dtype", default="fp32", show_default=True, help="Of the model.")
@click.option("--batch", default="1", show_default=True, help="Of the model.")
@options.json_option
def clock(
    data: str | None,
    columns: str | None,
    suites: tuple[str, ...],
    pairs: tuple[tuple[str, str], ...],
    window: str,
    clock: str,
    model: str | None,
    device: str | None,
    dtype: str,
    batch: str,
    as_json: bool,
) -> None:
    """Tell whether clock speed predicts scores: of the catalog's CPUs, or of a CSV file.

    The file has the columns suite,device,year,clock_ghz,cores,microarchitecture,score; other tables are read by
    --columns. A suite needs 30 rows.

    \b
    Examples:
      hwbench study clock
      hwbench study clock --suite SPECint2000 --pair k7,k7-thunderbird netburst
      hwbench study clock --model alexnet --device i7-6700k
    """
    if model is not None or device is not None:
        if data is not None:
            raise InputError("goes without --data: a model is predicted, not scored", field="--model")
        if suites or pairs:
            raise InputError("goes without --suite and --pair: a model is predicted, not scored", field="--model")
        _of_model(model, device, dtype, batch, as_json)
        return
    if columns is not None and data is None:
        raise InputError("needs --data", field="--columns")
    from hwbench.study.clock import study as question

    table, views, faults = _table(data, columns, clock)
    found = question.study(table, suites, pairs, _years(window))
    warnings = (*map(str, faults), *found.warnings)
    if as_json:
        body = {"data": found.data, "level": found.level, "window_years": found.window_years, "clock": clock}
        output.write_json("study-clock", {**body, "suites": found.suites, "catalog": views, "model": None}, warnings)
        return
    from hwbench.report.text import clock as report

    style = output.style()
    output.write_lines([*report.study(found, style), *report.peak_view(views, style)], warnings)


def _table(
    data: str | None, columns: str | None, clock: str
) -> "tuple[ScoreTable, tuple[PeakView, ...], tuple[Notice, ...]]":
    """The scores of a file, or those of the catalog with its view of peaks and its faults."""
    from hwbench.machine import catalog
    from hwbench.study.clock import peaks, scores

    if data is not None:
        table = scores.read(data, columns, clock)
        return (table if clock == "boost" else scores.against_catalog(table)), (), ()
    devices, faults = catalog.valid_devices()
    table = scores.of_catalog(devices.values(), clock)
    return table, peaks.peak_views(devices.values()), faults


def _of_model(model: str | None, device: str | None, dtype: str, batch: str, as_json: bool) -> None:
    """The elasticity of one model on one device."""
    from hwbench.study.clock import elasticity
    from hwbench.workload import load

    if model is None or device is None:
        raise InputError("--model and --device go together", field="--device" if device is None else "--model")
    formats, sizes = options.dtypes(dtype), options.batches(batch)
    if len(formats) > 1 or len(sizes) > 1:
        raise InputError("takes one dtype and one batch", field="--dtype" if len(formats) > 1 else "--batch")
    machine, warnings = lookup.device(device, ())
    found = elasticity.elasticity(load.workload(model), machine, formats[0], sizes[0])
    if as_json:
        output.write_json("study-clock", {"suites": [], "catalog": [], "model": found}, warnings)
        return
    from hwbench.report.text import clock as report

    output.write_lines(report.model(found, output.style()), warnings)


def _years(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise InputError(f"'{shown(text, 40)}' is not a number of years (0 to 1000)", field="--window")
    return value
