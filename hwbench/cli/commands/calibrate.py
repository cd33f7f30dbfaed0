"""`hwbench calibrate`."""

from functools import partial

import click

from hwbench import api
from hwbench.api.checks import is_here
from hwbench.cli import options, output, values
from hwbench.cli.cpu_limit import cpu_limit, cpu_option
from hwbench.cli.progress import line
from hwbench.errors import InputError


@options.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--measurements", multiple=True, metavar="FILE", help="CSV file of measured times; more may follow.")
@click.option(
    "--device", "-d", metavar="D",
    help="Fit the factors of this device alone to the files; without files, host or cuda times networks here.",
)  # fmt: skip
@click.option(
    "--runtime", "runtimes", type=values.RUNTIMES, metavar="R",
    help="Runtimes to time here [default: those installed but torch-compile], to show or remove; or that of the files.",
)  # fmt: skip
@click.option("--show", is_flag=True, help="Show the parameters in use, or with --device its calibrations; do not fit.")
@click.option("--reset", is_flag=True, help="Remove the calibrations of the device [default: host].")
@click.option("-o", "--output", "path", metavar="FILE", help="Write the parameters to this file.")
@cpu_option
@options.json_option
def calibrate(
    files: tuple[str, ...],
    measurements: tuple[str, ...],
    device: str | None,
    runtimes: tuple[str, ...] | None,
    show: bool,
    reset: bool,
    path: str | None,
    budget: str,
    as_json: bool,
) -> None:
    """Fit the parameters of the time model to measured step times, and compare them with the shipped ones.

    Everything usable is fitted. Further fits hold out families of models and devices; their errors set the intervals
    and are shown. The same files give the same parameters. The shipped parameters were fitted to timm's published
    results (some five minutes).

    With --device it fits three correction factors of that device alone in each runtime that the files timed, which
    every forecast of that runtime for it then uses and names: how much longer compute, memory and overhead take than
    expected. A dozen timings are enough; a file may be run:RUN, the networks that a saved run timed. From what
    llama-bench prints, or run:RUN of a language model, it fits factors for language models.

    With --device host and no files it times seven networks on this machine in each runtime (about a minute each, needs
    torch) and saves the factors of this machine. torch-compile compiles them for some minutes and has to be named. With
    --device cuda (or mps) it times ten on the GPU in torch, in mixed precision through CUDA. A machine that does other
    work is refused: the factors would describe that work.

    \b
    Examples:
      hwbench calibrate --show
      hwbench calibrate --show --device host
      hwbench calibrate --reset --device host
      hwbench calibrate --reset --device host --runtime onnxruntime

    \b
    With files (a checkout of timm has them), and with a minute of timing:
      $ hwbench calibrate benchmark-infer-*.csv -o fitted.json --budget 1800s
      $ hwbench calibrate --device rtx4070 mine.csv
      $ hwbench calibrate --device rtx4070 llama-bench.json
      $ hwbench calibrate --device host
      $ hwbench calibrate --device host --runtime onnxruntime,openvino
    """
    paths = (*measurements, *files)
    if not (show or reset or paths) and not is_here(device or ""):
        message = "Files of measurements are needed, or the device host (or cuda) to time networks on this machine."
        raise InputError("missing", message, field="measurements")
    with line() as progress, cpu_limit(budget, paths):
        say = partial(click.echo, err=True)
        answer = api.calibrate(
            *paths, device=device, runtimes=runtimes or (), output=path, show=show, reset=reset, progress=progress,
            say=say,
        )  # fmt: skip
    output.show(answer, as_json)
