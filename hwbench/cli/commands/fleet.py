"""`hwbench fleet`: the machines of a Dask cluster."""

from typing import Any

import click

from hwbench import api
from hwbench.cli import options, output, sweeping
from hwbench.cli.progress import line
from hwbench.cli.saving import folder_options, processes_option, saving


def _scheduler(function: options.F) -> options.F:
    text = "Address of the Dask scheduler: tcp://host:8786."
    return click.option("--scheduler", required=True, metavar="URL", help=text)(function)


@options.group()
def fleet() -> None:
    """Use a Dask cluster that runs already: benchmark each of its hosts, or spread a large sweep over them.

    It needs the extra hwbench[fleet], here and on the workers; docs/howto/fleet.md says how to start a cluster by SSH,
    Slurm or Kubernetes.

    \b
    Examples:
      hwbench fleet bench --help
      hwbench fleet sweep --help
    """


@fleet.command(short_help="Run `hwbench bench` on each host of a cluster.")
@click.argument("kernels", nargs=-1, metavar="[KERNEL]...")
@_scheduler
@click.option("--full", is_flag=True, help="Measure for 90 s a host instead of 15 s.")
@processes_option(1, "Number of fresh processes a host.")
@click.option("--timeout", default="600s", show_default=True, metavar="T", help="Longest time for a host.")
@folder_options
@options.json_option
def bench(
    kernels: tuple[str, ...],
    scheduler: str,
    full: bool,
    save: str | None,
    no_save: bool,
    as_json: bool,
    **parameters: Any,
) -> None:
    """Run `hwbench bench` once on each host of a cluster, and compare the records with that of the first host.

    Hosts that die, hang or answer with something else are reported by name; the records of the others are saved.

    \b
    Example:
      hwbench fleet bench --scheduler tcp://head:8786 clock matmul --processes 5
    """
    with saving(save, no_save) as where, line() as progress:
        answer = api.bench_cluster(scheduler, *kernels, quick=not full, save=where, progress=progress, **parameters)
    output.show(answer, as_json)


@fleet.command(short_help="Run `hwbench sweep` on a cluster.")
@_scheduler
@sweeping.sweep_options
def sweep(form: str | None, as_json: bool, path: str | None, **parameters: Any) -> None:
    """Run `hwbench sweep` on the workers of a cluster.

    \b
    Example:
      hwbench fleet sweep --scheduler tcp://head:8786 -m resnet50 -o points.csv
    """
    form = sweeping.check(form, as_json, path)
    with line() as progress:
        sweeping.write(api.sweep(progress=progress, **parameters), form, path)
