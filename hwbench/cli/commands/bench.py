"""`hwbench bench`."""

import sys
from typing import Any

import click

from hwbench import api
from hwbench.cli import options, output, values
from hwbench.cli.progress import line
from hwbench.cli.saving import folder_options, processes_option, saving


@options.command()
@click.argument("kernels", nargs=-1, metavar="[KERNEL]...")
@click.option("--quick", is_flag=True, help="15 s in all at rest, 25 s at first, when it compiles; fewer kernels.")
@options.budget_option(
    None, "Time to prepare and measure, at least 40 % of it to measure [default: 78s, 13s if quick]."
)
@click.option(
    "--threads", type=values.THREADS, metavar="N", help="Numbers of threads: 1 or 1,4 [default: one and all cores]."
)
@click.option(
    "--dtype",
    "dtypes",
    type=values.DTYPES,
    metavar="D",
    help="Only these dtypes of fma and matmul: fp32, bf16, int8 ...; of matmul weights in q4_0, q8_0, q4_k, too.",
)
@click.option(
    "--size",
    "sizes",
    type=values.SIZES,
    metavar="MxKxN",
    help="Sizes of matmul: 1024x1024x1024, or 512,1024 for squares.",
)
@processes_option(1, "Number of fresh processes.")
@folder_options
@options.json_option
def bench(kernels: tuple[str, ...], save: str | None, no_save: bool, as_json: bool, **parameters: Any) -> None:
    """Run microbenchmarks (clock, fma, matmul, memory, gpu; all that apply without a name) and save their samples.

    Each value is a median with its 95 % interval, compared with the theoretical peak at the clock that the system
    states (of peak) and at the clock measured under that load (at clock), with a grade from A to D and its reasons.

    \b
    Examples:
      hwbench bench --quick
      hwbench bench clock fma --budget 5s
      hwbench bench matmul --size 512 --dtype fp32 --threads 1 --budget 4s --json
      hwbench bench matmul --dtype q4_0,q8_0 --budget 10s
      hwbench bench clock --processes 2 --budget 2s --no-save
    """
    with saving(save, no_save) as where, line() as progress:
        answer = api.bench(*kernels, save=where, progress=progress, command=("hwbench", *sys.argv[1:]), **parameters)
    click.get_current_context().exit(output.finish(answer, as_json))
