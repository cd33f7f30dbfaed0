"""`hwbench explain`."""

import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hwbench.cli import options, output
from hwbench.cli.commands.bench import kept, seconds
from hwbench.errors import InputError
from hwbench.notices import Notice

if TYPE_CHECKING:
    from hwbench.measure.record import Record
    from hwbench.study.explain import Explanation
    from hwbench.workload.ops import Work, Workload

BUDGET = "20s"


@click.command(short_help="Where the performance goes, from the peak down to a model's run.")
@click.option("--model", "-m", metavar="M", help="Go down to this model.", shell_complete=options.complete("models"))
@click.option("--dtype", default="fp32", show_default=True, type=click.Choice(["fp32", "fp64"]), help="Number format.")
@click.option("--batch", default="1", show_default=True, help="Batch size of the model.")
@click.option("--threads", type=click.IntRange(1, 4096), metavar="N", help="Cores to use [default: all].")
@click.option("--run", "source", metavar="RUN", help="Read a saved run: a file, an id or latest; measure nothing.")
@click.option("--budget", default=BUDGET, show_default=True, metavar="T", help="Time to measure for.")
@click.option("--save", is_flag=False, flag_value="", metavar="[DIR]", help="Keep the record, in the folder of runs.")
@options.tracing_options
@options.json_option
def explain(
    model: str | None,
    dtype: str,
    batch: str,
    threads: int | None,
    source: str | None,
    budget: str,
    save: str | None,
    as_json: bool,
    **tracing: Any,
) -> None:
    """Measure the way down: peak at the stated clock, at the real clock, multiply-adds, matrix products, the model.

    Each step is a ratio with its interval, and the name of what is lost on it: clock, ports, memory, code or overhead.
    A model needs the extra hwbench[torch].

    \b
    Examples:
      hwbench explain --threads 1 --budget 2s
      hwbench explain --model alexnet --threads 1 --budget 3s
    """
    sizes = options.batches(batch)
    if len(sizes) > 1:
        raise InputError("takes one batch", field="--batch")
    if source is not None and save is not None:
        raise InputError("reads what is saved already: leave out --save", field="--run")
    if tracing["mode"] == "training":
        raise InputError("only inference is run", field="--mode")
    limit = seconds(budget)
    workload = options.builder(model, tracing)(dtype, sizes[0]) if model else None
    if source is not None:
        from hwbench.measure import store

        run = store.load(source)
        count = _threads(run, threads)
    else:
        run, count = _measured(model, dtype, sizes[0], threads, limit, tracing)
    found = explained(run, workload, dtype, sizes[0], count)
    _finish(found, run, source is None, save, as_json)


def _threads(run: "Record", wanted: int | None) -> int:
    """How many cores a saved run is read at: as many as wanted, else the most that its multiply-adds ran on.

    Raises InputError that names the counts which the run holds.
    """
    held = sorted({one.threads for one in run.measurements if one.where == "cpu"})
    if wanted is not None and wanted not in held:
        counts = " and ".join(map(str, held)) or "none"
        raise InputError(f"nothing of this run is on {wanted} cores (it holds: {counts})", field="--threads")
    return wanted or max((one.threads for one in run.measurements if one.kernel == "fma"), default=1)


def _finish(found: "Explanation", run: "Record", fresh: bool, save: str | None, as_json: bool) -> None:
    """Save a fresh run where asked and show the way down; exit with 130 where it was stopped, 2 if it was not saved."""
    from hwbench.measure.session import interrupted

    path, trouble = kept(run, save or None) if save is not None else (None, None)
    told: list[str | Notice] = [*run.notices, *([f"the run was not saved: {trouble}"] if trouble else [])]
    if as_json:
        output.write_json("explain", {**msgspec.to_builtins(found), "path": path, "run": run}, told)
    else:
        from hwbench.report.text.explain import explanation

        lines = explanation(found, output.style())
        output.write_lines([*lines, *(["", f"saved: {path}"] if path else [])], told)
    stopped = fresh and interrupted(run.measurements)
    if trouble:
        click.echo(f"hwbench: the run was not saved: {trouble}", err=True)
    if stopped:
        click.echo(f"hwbench: interrupted: what was measured is {'saved' if path else 'shown'}", err=True)
    if trouble or stopped:
        click.get_current_context().exit(130 if stopped else 2)


def _measured(
    model: str | None, dtype: str, batch: int, threads: int | None, budget_s: float, tracing: dict[str, Any]
) -> "tuple[Record, int]":
    """A run of the kernels that the way down needs, in turns, on so many cores; and how many."""
    from hwbench.cli.progress import line
    from hwbench.machine.host.describe import host
    from hwbench.measure import harness, session
    from hwbench.measure import settings as cpus
    from hwbench.measure.analysis import ladder
    from hwbench.measure.torch.device import CPU, free_memory, torch_module

    machine = host()
    count = threads or max(cpus.settings(machine).threads)
    settings = cpus.settings(machine, quick=True, threads=(count,), dtypes=(dtype,), sizes=(ladder.SIZE,))
    if count > len(settings.cpus):
        raise InputError(f"this process may use {len(settings.cpus)} cores", field="--threads")
    tasks = ladder.tasks(settings, dtype, count, memory=model is not None)
    if model is not None:
        torch_module("The run of a model")
        from hwbench.measure.torch import inference

        built = inference.build(options.request(model, dtype, 1, tracing))
        setting = inference.Setting(CPU, dtype, batch, count, channels_last=tracing["channels_last"])
        inference.check_memory(setting, built.workload, free_memory(setting.device))
        tasks.append(inference.task(built, setting, settings.cpus[:count]))

    def measure() -> Any:
        with line() as show:
            return harness.measure(tasks, budget_s, progress=lambda at: show(at.share, f"{at.stage}: {at.label}"))

    return session.record(measure, machine, settings.classes, ("hwbench", *sys.argv[1:])), count


def explained(run: "Record", workload: "Workload | None", dtype: str, batch: int, threads: int) -> "Explanation":
    """The way down that a run's measurements give."""
    from hwbench.dtypes import BITS
    from hwbench.measure.analysis import ladder
    from hwbench.study import explain as study

    works: list[Work] = []
    if workload:
        works = [op.work(BITS[dtype], workload.repeats(batch)) for op in workload.ops]
    read = ladder.read(run, dtype, threads, workload.name if workload else None, batch)
    found, missing = study.rungs(read, works)
    steps = study.steps(found)
    return study.Explanation(
        device=str(run.environment.get("brand") or "this machine"),
        model=workload.title if workload else None,
        dtype=dtype,
        threads=threads,
        batch=batch if workload else None,
        source=run.id,
        steps=steps,
        missing=missing,
        summary=study.summary(steps),
    )
