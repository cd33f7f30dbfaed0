"""What the commands of sweeps share: their options, and where the points go."""

from typing import Any

import click

from hwbench.api.sweeps import PlannedSweep, refuse_file
from hwbench.cli import filters, options, output, values
from hwbench.errors import InputError

FORMATS = ("text", "csv", "json")


def sweep_options(function: options.F) -> options.F:
    """Add the options of what is swept and how it is written."""
    model = click.option(
        "--model", "-m", "models", multiple=True, metavar="M", shell_complete=options.complete("models"),
        callback=_models, help="A model as for `hwbench estimate`. Repeatable.",
    )  # fmt: skip
    names = click.argument(
        "names", nargs=-1, metavar="[MODEL]...", is_eager=True, shell_complete=options.complete("models")
    )
    device = click.option(
        "--device", "-d", "devices", multiple=True, metavar="D", shell_complete=options.complete("devices"),
        callback=lambda _context, _parameter, names: names or None,
        help="A device as for `hwbench estimate`. Repeatable [default: the whole catalog].",
    )  # fmt: skip
    batch = click.option(
        "--batch", "batches", type=values.BATCHES, metavar="N",
        help="Batch sizes: 1,8,64 or 1..256 or 8..256:8 [default: that of the inputs, else 1].",
    )  # fmt: skip
    file = click.option("--output", "-o", "path", metavar="FILE", help="Write every point to a .csv or .json file.")
    for option in (
        options.format_option(FORMATS),
        options.tracing_options,
        file,
        filters.filter_options,
        options.math_option,
        options.runtime_option,
        batch,
        options.dtype_option(several=True),
        device,
        model,
        names,
    ):
        function = option(function)
    return function


def _models(context: click.Context, _parameter: click.Parameter, optional: tuple[str, ...]) -> tuple[str, ...]:
    """Return the models given as arguments and as options. Raises InputError where there are none."""
    models = (*context.params.pop("names", ()), *optional)
    if not models:
        raise InputError("missing", "A model is needed: see `hwbench models`.", field="model")
    return models


def check(form: str | None, as_json: bool, path: str | None) -> str:
    """Return the format of standard output. Raises InputError where it disagrees with the file."""
    form = options.form(form, as_json)
    if path:
        refuse_file(path)
        if form == "csv":
            message = "CSV goes to standard output and cannot be combined with a file."
            raise InputError("exclusive", message, field="form")
    return form


def write(sweep: PlannedSweep, form: str, path: str | None) -> None:
    """Write the points to the file, or to standard output in a format; in text, and beside a file, the front."""
    if path or form == "text":
        answer: Any = sweep.save(path) if path else sweep.result()
        output.show(answer, form == "json")
        return
    # An object is written whole or, where something fails on the way, not at all.
    if form == "json":
        sweep.refuse_too_many()
    for piece in sweep.csv_pieces() if form == "csv" else list(sweep.json_pieces()):
        output.write(piece)
    if form == "csv":
        output.write_warnings(sweep.notices)
