"""`hwbench validate`."""

import click

from hwbench.api import lookup
from hwbench.cli import options, output
from hwbench.errors import InputError


@click.command(short_help="Replay measurements against the model: the errors, and what is behind them.")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--measurements", multiple=True, metavar="FILE", help="A CSV of measured times; more may follow.")
@click.option(
    "--device",
    "-d",
    metavar="D",
    help="Device of files that do not name it, host and run:FILE among them.",
    shell_complete=options.complete("devices"),
)
@click.option("--dtype", metavar="T", help="Number format of files that do not name it: fp32, fp16, bf16, amp.")
@click.option("--layout", type=click.Choice(["nchw", "nhwc"]), help="Layout of files that do not name it.")
@click.option(
    "--runtime", metavar="R", help="Runtime of files that do not name it: torch-2.4-eager, torch-2.4-compile."
)
@click.option("--parameters", metavar="FILE", help="Parameters of `hwbench calibrate` in place of the shipped ones.")
@click.option("--rows", is_flag=True, help="List every row.")
@options.json_option
def validate(
    files: tuple[str, ...],
    measurements: tuple[str, ...],
    device: str | None,
    dtype: str | None,
    layout: str | None,
    runtime: str | None,
    parameters: str | None,
    rows: bool,
    as_json: bool,
) -> None:
    """Predict what was measured, and print how far off: by device, runtime and family, beside ideal and roofline.

    Reads CSV files with the columns device, model, image_size, batch, dtype, layout, runtime, time_ms, source, and
    timm's own results/benchmark-infer-*.csv. Without a file, the cited figures that come with hwbench.

    \b
    Examples:
      hwbench validate
      hwbench validate --rows
      hwbench validate --json

    \b
    With files (a checkout of timm has them):
      $ hwbench validate --measurements results/benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv
      $ hwbench validate --measurements mine.csv yours.csv --device rtx4090 --dtype amp
    """
    from hwbench.predict.data import tables
    from hwbench.predict.replay import replay

    said = tables.Defaults(device, options.dtypes(dtype)[0] if dtype else None, layout, runtime)
    paths = [*measurements, *files] or tables.shipped()
    known = replay.parameters_in(parameters) if parameters else None
    table = tables.read(paths, said)
    found = replay.replay(table, finder=lambda name: lookup.device(name, ()), known=known)
    if not found.rows:
        reason = f" that can be predicted: {found.skipped[0].reason}" if found.skipped else ""
        raise InputError(f"holds no measurement{reason}", file=", ".join(paths))
    if as_json:
        output.write_json("validate", found.body(rows), found.notices)
        return
    from hwbench.report.text import validation as report

    output.write_lines(report.summary(found, output.style(), rows), found.notices)
