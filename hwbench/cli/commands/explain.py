"""`hwbench explain`."""

import sys
from typing import Any

import click

from hwbench import api
from hwbench.cli import options, output, values
from hwbench.cli.progress import line
from hwbench.cli.saving import save_option


@options.command()
@options.model_option(required=False)
@click.option("--dtype", default="fp32", show_default=True, type=values.Choice(["fp32", "fp64"]), help="Number format.")
@options.batch_option()
@click.option("--threads", type=click.IntRange(1, 4096), metavar="N", help="Cores to use [default: all].")
@click.option("--run", "record", metavar="RUN", help="Read a saved run (a file, an id or latest) and measure nothing.")
@options.optimizer_option
@click.option("--try", "tried", is_flag=True, help="Measure what is advised, too (of training).")
@options.budget_option("20s")
@save_option
@options.tracing_options
@options.json_option
def explain(model: str | None, as_json: bool, **parameters: Any) -> None:
    """Measure where performance is lost between the theoretical peak and a running model.

    The steps are the peak at the stated clock, at the real clock, multiply-adds, matrix products and the model. Each
    is a ratio with its interval and what is lost: clock, ports, memory, code or overhead. A model needs the extra
    hwbench[torch].

    With --mode training, a step is measured: what it spends on compute, memory, overhead and the optimizer, by block of
    the model, and which changes would help by how much; --try measures these gains beside the forecast ones.

    \b
    Examples:
      hwbench explain --threads 1 --budget 2s
      hwbench explain --model alexnet --threads 1 --budget 3s
      hwbench explain -m lenet5 --mode training --threads 1 --budget 2s
    """
    with line("preparing") as progress:
        answer = api.explain(model, progress=progress, command=("hwbench", *sys.argv[1:]), **parameters)
    click.get_current_context().exit(output.finish(answer, as_json))
