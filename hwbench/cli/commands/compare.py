"""`hwbench compare`."""

import sys
from typing import Any

import click

from hwbench import api
from hwbench.cli import filters, language, options, output, values
from hwbench.cli.progress import line
from hwbench.cli.saving import folder_options, processes_option, saving
from hwbench.errors import InputError
from hwbench.report.export.compare import COLUMNS, records
from hwbench.report.text.compare import markdown
from hwbench.study.compare.devices import Comparison

FORMATS = ("text", "csv", "markdown", "json")
_NOT_LANGUAGE = ("model", "margin", "level", "fresh_processes", "budget")
"""Parameters that language models do not need, whatever their values."""
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
@options.math_option
@click.option("--sort", type=values.Choice(SORTS), help="Order of the devices [default: as given].")
@click.option("--baseline", metavar="D", help="Device to compare the others with [default: the first].")
@filters.filter_options
@click.option(
    "--margin", type=values.SHARE, metavar="P", default="3%", show_default=True,
    help="Smallest relevant difference between runs.",
)  # fmt: skip
@click.option("--level", default=0.95, show_default=True, help="Confidence level of intervals and verdicts on runs.")
@click.option("--live", is_flag=True, help="Measure settings in turns (here, threads=2, python=PATH, VARIABLE=value).")
@click.option("--kernel", "kernels", multiple=True, metavar="K", help="Kernel that --live measures [default: matmul].")
@processes_option(5, "Fresh processes of each setting with --live.")
@options.budget_option("60s", "Time to measure for with --live.")
@folder_options
@options.tracing_options
@language.points_options
@options.format_option(FORMATS)
def compare(
    names: tuple[str, ...],
    live: bool,
    save: str | None,
    no_save: bool,
    form: str | None,
    as_json: bool,
    **parameters: Any,
) -> None:
    """Compare devices by peak, bandwidth, power and times, and show which factor makes the difference.

    Devices of the filters are added to those named; one of either is needed. Saved runs are given
    by file, by id or as `latest`: their conditions are compared first, then their kernels, each with the first run.

    With --live the names are settings, one of them compared with the environment as it is: kernels, or the model, are
    measured under each in turns, in fresh processes, so that a drift of the machine falls on all alike.

    \b
    Examples:
      hwbench compare i9-10940x i7-12700h "ryzen 9 9950x" --model alexnet
      hwbench compare rtx3090 rtx4090 --model resnet50 --dtype fp16 --batch 1,64
      hwbench compare --kind cpu --year 2017.. --sort per-watt
      hwbench compare --kind gpu --vendor nvidia --format csv > gpus.csv
      hwbench compare rtx3090 rtx4090 --model llama3-8b --weights q4_k_m
      hwbench compare --live threads=1 --kernel clock --processes 1 --budget 1s
    """
    form = options.form(form, as_json)
    model, wanted = parameters["model"], {name: parameters.get(name) for name in language.NAMES}
    if model and not live and language.is_asked(model, wanted, parameters["runtime"]):
        if form not in ("text", "json"):
            raise InputError("bad-format", "Language models are compared as text or JSON.", field="form")
        own = {name: value for name, value in parameters.items() if name not in _NOT_LANGUAGE}
        chosen = language.single_batch(language.options_of(own, "sort", "batches", *language.FILTERS))
        output.show(api.compare_language(model, *names, **chosen), form == "json")
        return
    for name in wanted:
        parameters.pop(name, None)
    command = ("hwbench", *sys.argv[1:])
    with saving(save, no_save) as where, line() as progress, output.status(output.tracing(parameters["model"])):
        answer = api.compare(*names, live=live, save=where, progress=progress, command=command, **parameters)
    if live:
        if form not in ("text", "json"):
            raise InputError("bad-format", "Runs are compared as text or JSON.", field="form")
        click.get_current_context().exit(output.finish(answer, form == "json"))
    if form in ("text", "json"):
        output.show(answer, form == "json")
    elif not isinstance(answer, Comparison):
        raise InputError("bad-format", "Runs are compared as text or JSON.", field="form")
    elif form == "csv":
        output.write_csv(COLUMNS, records(answer), answer.notices)
    else:
        output.write_lines(markdown(answer), answer.notices)
