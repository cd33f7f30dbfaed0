"""`hwbench fleet`: the machines of a Dask cluster."""

from typing import TYPE_CHECKING, Any

import click

from hwbench.cli import options, output
from hwbench.cli.commands.sweep import plan, sweep_options, write
from hwbench.errors import HwbenchError, InputError
from hwbench.notices import Notice
from hwbench.units import Seconds

if TYPE_CHECKING:  # what measures is loaded once the options are in order
    from hwbench.measure.cluster import Failure, Success


def _scheduler(command: options.F) -> options.F:
    text = "Address of the Dask scheduler: tcp://host:8786."
    return click.option("--scheduler", required=True, metavar="URL", help=text)(command)


@click.group(short_help="Benchmark every host of a Dask cluster, or spread a sweep over it.")
def fleet() -> None:
    """Use a Dask cluster that runs already: benchmark each of its hosts, or spread a large sweep over them.

    It takes the extra hwbench[fleet], here and on the workers; docs/fleet.md says how to start a cluster by SSH, Slurm
    or Kubernetes.

    \b
    Examples:
      hwbench fleet bench --help
      hwbench fleet sweep --help
    """


@fleet.command(short_help="Run `hwbench bench` on each host of a cluster.")
@click.argument("kernels", nargs=-1, metavar="[KERNEL]...")
@_scheduler
@click.option("--full", is_flag=True, help="Measure for 90 s a host instead of 15 s.")
@click.option("--processes", type=click.IntRange(1, 100), default=1, show_default=True, help="Fresh processes a host.")
@click.option("--timeout", default="600s", show_default=True, metavar="T", help="Longest time for a host.")
@click.option("--save", metavar="DIR", help="Folder for the records [default: see `hwbench results path`].")
@click.option("--no-save", is_flag=True, help="Keep no record.")
@options.json_option
def bench(
    kernels: tuple[str, ...],
    scheduler: str,
    full: bool,
    processes: int,
    timeout: str,
    save: str | None,
    no_save: bool,
    as_json: bool,
) -> None:
    """Run `hwbench bench` once on each host of a cluster, and compare the records with that of the first host.

    Hosts that die, hang or answer with something else are reported by name; the others' records are kept.

    \b
    Example:
      hwbench fleet bench --scheduler tcp://head:8786 clock matmul --processes 5
    """
    if save is not None and no_save:
        raise InputError("--save and --no-save exclude each other")
    limit = _limit(timeout)
    from hwbench.cli.progress import line
    from hwbench.measure import cluster as measured
    from hwbench.measure import store

    words = [*measured.BENCH, *kernels, *([] if full else ["--quick"]), "--processes", str(processes)]
    good: list[Success] = []
    bad: list[Failure] = []
    paths: list[str | None] = []
    with line() as show, measured.connected(scheduler) as client:

        def told(hosts: str) -> None:
            done = len(good) + len(bad)
            show(done / (done + hosts.count(",") + 1), f"waiting for {hosts}")

        for outcome in measured.bench(client, words, limit, told):
            if isinstance(outcome, measured.Failure):
                bad.append(outcome)
                continue
            good.append(outcome)
            paths.append(None if no_save else store.save(outcome.run, save))
    _finish(good, bad, paths, measured.shared(good), as_json)


def _finish(
    good: "list[Success]", bad: "list[Failure]", paths: list[str | None], told: tuple[Notice, ...], as_json: bool
) -> None:
    """The records and failures, and each host held against the first. Raises HwbenchError where no host answered."""
    from hwbench.study.compare.runs import compare_runs

    if not good:
        raise HwbenchError("no host gave a record: " + "; ".join(f"{one.host}: {one.reason}" for one in bad))
    warnings: list[str | Notice] = [*told, *(f"{one.host} ({one.worker}) gave no record: {one.reason}" for one in bad)]
    found = []
    for one in good[1:]:
        try:
            found.append(compare_runs(good[0].run, one.run))
        except InputError as error:
            warnings.append(f"{one.host} is not compared: {error}")
    warnings += dict.fromkeys(str(text) for one in found for text in one.notices)
    if as_json:
        runs = [
            {"host": one.host, "worker": one.worker, "path": path, "run": one.run}
            for one, path in zip(good, paths, strict=True)
        ]
        output.write_json("fleet-bench", {"runs": runs, "failures": bad, "comparisons": found}, warnings)
        return
    from hwbench.report.text.runs import cluster as report

    output.write_lines(report(good, bad, paths, found, output.style()), warnings)


def _limit(text: str) -> float:
    """Seconds of `600s`. Raises InputError."""
    try:
        found = float(Seconds.parse_positive(text))
    except InputError as error:
        raise error.at(field="--timeout") from None
    if not 1 <= found <= 86400:
        raise InputError("must be from 1 s to 86400 s", field="--timeout")
    return found


@fleet.command(short_help="What `hwbench sweep` gives, by a cluster.")
@_scheduler
@sweep_options
def sweep(scheduler: str, **asked: Any) -> None:
    """Give what `hwbench sweep` gives, computed by the workers of a cluster.

    \b
    Example:
      hwbench fleet sweep --scheduler tcp://head:8786 --model resnet50 --batch 1..4096 -o points.csv
    """
    found = plan(**asked)
    from hwbench.measure.cluster import connected, spread
    from hwbench.study.sweep.sweep import panel

    with connected(scheduler) as client:
        write(found, spread(client, panel, found.parts))
