"""`hwbench run`."""

import sys
from typing import Any

import click

from hwbench import api
from hwbench.cli import options, output
from hwbench.cli.progress import line


@options.command()
@options.model_option()
@options.dtype_option(several=True)
@options.batch_option(several=True)
@click.option("--on", "on", default="cpu", show_default=True, metavar="PLACE", help="Where torch runs: cpu, cuda, mps.")
@click.option("--device", "-d", "place", hidden=True, help="Former name of --on.")
@click.option("--threads", type=click.IntRange(1, 4096), metavar="N", help="Threads on a CPU [default: all cores].")
@click.option("--compile", "compiled", is_flag=True, help="Compile the module by torch.compile.")
@click.option("--layers", is_flag=True, help="Time every layer too, by hooks.")
@options.budget_option("10s")
@options.save_option
@options.tracing_options
@options.json_option
def run(model: str, on: str, place: str | None, as_json: bool, **parameters: Any) -> None:
    """Time real forward passes in torch, with random weights on random inputs, and compare them with the predictions.

    The module is built from the catalog's layers, or by the package in its name; its parameters must be those that
    are counted, its output finite and of the right shape. Needs the extra hwbench[torch].

    \b
    Examples:
      hwbench run --model alexnet --threads 1 --budget 2s
      hwbench run -m lenet5 --batch 1,8 --dtype fp32,bf16 --threads 1 --budget 1s
      hwbench run --model squeezenet1.0 --layers --threads 1 --budget 1s --json
    """
    with line("preparing") as progress:
        command = ("hwbench", *sys.argv[1:])
        answer = api.run(model, on=place or on, progress=progress, command=command, **parameters)
    click.get_current_context().exit(output.finish(answer, as_json))
