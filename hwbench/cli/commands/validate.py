"""`hwbench validate`."""

from typing import Any

import click

from hwbench import api
from hwbench.cli import options, output, values
from hwbench.cli.cpu_limit import cpu_limit, cpu_option
from hwbench.predict.replay.summary import Validation
from hwbench.report.text.language import validation as language_validation
from hwbench.report.text.validation import summary


@options.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--measurements", multiple=True, metavar="FILE", help="CSV file of measured times; more may follow.")
@click.option(
    "--device", "-d", metavar="D", help="Device of files that do not name it; host and run:FILE are possible.",
    shell_complete=options.complete("devices"),
)  # fmt: skip
@click.option(
    "--dtype",
    type=values.DTYPE,
    metavar="D",
    help="Number format of files that do not name it: fp32, fp16, bf16, amp.",
)
@click.option("--layout", type=values.Choice(["nchw", "nhwc"]), help="Layout of files that do not name it.")
@click.option("--runtime", metavar="R", help="Runtime of files that do not name it: torch-2.4-eager.")
@click.option("--parameters", metavar="FILE", help="Parameters of `hwbench calibrate` instead of the shipped ones.")
@click.option("--uncalibrated", is_flag=True, help="Without the calibrations that are saved of devices.")
@cpu_option
@click.option("--rows", "every_row", is_flag=True, help="List every row.")
@options.json_option
def validate(
    files: tuple[str, ...],
    measurements: tuple[str, ...],
    budget: str,
    every_row: bool,
    as_json: bool,
    **parameters: Any,
) -> None:
    """Predict what was measured and show the errors by device, runtime and family, next to ideal and roofline.

    Reads CSV files with the columns device, model, image_size, batch, dtype, layout, runtime, time_ms, source, and
    timm's own results/benchmark-infer-*.csv. Without a file, the published figures that come with hwbench.

    Tokens a second of language models are read from what llama-bench -o json, jsonl, csv or md prints, and from CSV
    files with the columns device, model, weight_dtype, phase, n_tokens, tokens_per_s. Rates above the bound are listed.

    \b
    Examples:
      hwbench validate
      hwbench validate --rows
      hwbench validate --json

    \b
    With files (a checkout of timm has them):
      $ hwbench validate benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv
      $ hwbench validate mine.csv yours.csv --device rtx4090 --dtype amp
      $ hwbench validate mine.csv --device host --uncalibrated
      $ hwbench validate llama-bench.json --device rtx3090
    """
    with cpu_limit(budget, files, measurements), output.status("predicting"):
        answer = api.validate(*measurements, *files, **parameters)
    if isinstance(answer, Validation):
        output.show(answer, as_json, lambda style: summary(answer, style, every_row), answer.body(every_row))
        return
    rates = answer
    output.show(
        rates, as_json, lambda style: language_validation.summary(rates, style, every_row), rates.body(every_row)
    )
