"""`hwbench explain`."""

import sys
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hwbench.cli import options, output
from hwbench.errors import InputError
from hwbench.units import Seconds

if TYPE_CHECKING:
    from hwbench.measure.record import Run
    from hwbench.workload.work import Work

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
    from hwbench.cli.bench import kept
    from hwbench.measure import session

    sizes = options.batches(batch)
    if len(sizes) > 1:
        raise InputError("takes one batch", field="--batch")
    if source is not None and save is not None:
        raise InputError("reads what is saved already: leave out --save", field="--run")
    if source is not None:
        from hwbench.measure import store

        run, count, path = store.load(source), threads, None
        count = threads or max((one.threads for one in run.measurements if one.kernel == "fma"), default=1)
    else:
        run, count = _measured(model, dtype, sizes[0], threads, _seconds(budget), tracing)
        path, trouble = kept(run, save or None) if save is not None else (None, None)
        if trouble:
            raise trouble
    found = _explained(run, model, dtype, sizes[0], count, tracing)
    if as_json:
        output.write_json("explain", {**msgspec.to_builtins(found), "path": path, "run": run}, run.warnings)
    else:
        from hwbench.report.explain import explanation

        lines = explanation(found, output.style())
        output.write_lines([*lines, *(["", f"saved: {path}"] if path else [])], run.warnings)
    if source is None and session.interrupted(run.measurements):
        click.echo("hwbench: interrupted: what was measured is shown", err=True)
        click.get_current_context().exit(130)


def _measured(
    model: str | None, dtype: str, batch: int, threads: int | None, seconds: float, tracing: dict[str, Any]
) -> "tuple[Run, int]":
    """A run of the kernels that the way down needs, in turns, on so many cores; and how many."""
    from hwbench.cli.progress import line
    from hwbench.machine.host import host
    from hwbench.measure import cpus, harness, ladder, session
    from hwbench.measure.torch_device import place, torch_module

    machine = host()
    count = threads or max(cpus.settings(machine).threads)
    settings = cpus.settings(machine, quick=True, threads=(count,), dtypes=(dtype,), sizes=(ladder.SIZE,))
    if count > len(settings.cpus):
        raise InputError(f"this process may use {len(settings.cpus)} cores", field="--threads")
    tasks = ladder.tasks(settings, dtype, count, memory=model is not None)
    if model is not None:
        torch_module("the run of a model")
        from hwbench.measure import inference

        built = inference.build(options.request(model, dtype, 1, tracing))
        setting = inference.Setting(place("cpu"), dtype, batch, count, channels_last=tracing["channels_last"])
        tasks.append(inference.task(built, setting, settings.cpus[:count]))

    def measure() -> Any:
        with line() as show:
            return harness.measure(tasks, seconds, progress=lambda at: show(at.share, f"{at.stage}: {at.label}"))

    return session.record(measure, machine, settings.classes, ("hwbench", *sys.argv[1:])), count


def _explained(run: "Run", model: str | None, dtype: str, batch: int, threads: int, tracing: dict[str, Any]) -> Any:
    """The way down that a run's measurements give."""
    from hwbench.machine.architecture import BITS
    from hwbench.measure import ladder
    from hwbench.study import explain as study

    workload = options.builder(model, tracing)(dtype, batch) if model else None
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


def _seconds(text: str) -> float:
    try:
        return float(Seconds.parse_positive(text))
    except InputError as error:
        raise error.at(field="--budget") from None
