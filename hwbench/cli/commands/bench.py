"""`hwbench bench`."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hwbench.cli import options, output
from hwbench.errors import InputError, shown
from hwbench.notices import Notice
from hwbench.units import Seconds

if TYPE_CHECKING:
    from hwbench.measure.record import Record
    from hwbench.measure.session import BenchRequest

LARGEST_SIZE = 1 << 16
STAGES = {"preparing": "preparing (the first time: compiling)", "calibrating": "calibrating", "sampling": "measuring"}


@click.command(short_help="Measure this machine: clock, FMA, matrix products, memory.")
@click.argument("kernels", nargs=-1, metavar="[KERNEL]...")
@click.option("--quick", is_flag=True, help="At most 15 s in all, with fewer kernels and wider intervals.")
@click.option("--budget", metavar="T", help="Time to measure for: 30s [default: 78s, 13s if quick].")
@click.option("--threads", metavar="N", help="Numbers of threads: 1 or 1,4 [default: one and all cores].")
@click.option("--dtype", metavar="D", help="Only these dtypes of fma and matmul: fp32 or fp32,bf16.")
@click.option("--size", metavar="MxKxN", help="Sizes of matmul: 1024x1024x1024, or 512,1024 for squares.")
@click.option("--processes", type=click.IntRange(1, 100), default=1, show_default=True, help="Fresh processes.")
@click.option("--save", metavar="DIR", help="Folder for the record [default: see `hwbench results path`].")
@click.option("--no-save", is_flag=True, help="Keep no record.")
@options.json_option
def bench(
    kernels: tuple[str, ...],
    quick: bool,
    budget: str | None,
    threads: str | None,
    dtype: str | None,
    size: str | None,
    processes: int,
    save: str | None,
    no_save: bool,
    as_json: bool,
) -> None:
    """Run microbenchmarks (clock, fma, matmul, memory, gpu; all that apply without a name) and keep their samples.

    Each value is a median with its 95 % interval, held against the theoretical peak at the clock that the system
    states (of peak) and at the clock measured under that load (at clock), with a grade from A to D and why.

    \b
    Examples:
      hwbench bench --quick
      hwbench bench clock fma --budget 5s
      hwbench bench matmul --size 512 --dtype fp32 --threads 1 --budget 4s --json
      hwbench bench clock --processes 2 --budget 2s --no-save
    """
    from hwbench.measure.session import BenchRequest

    if save is not None and no_save:
        raise InputError("--save and --no-save exclude each other")
    request = BenchRequest(
        kernels=kernels,
        quick=quick,
        budget_s=seconds(budget) if budget is not None else None,
        threads=_threads(threads),
        dtypes=tuple(options.dtypes(dtype)) if dtype is not None else None,
        sizes=_sizes(size),
        command=("hwbench", *sys.argv[1:]),
    )
    finish(_measured(request, processes), save, not no_save, as_json)


def _measured(request: "BenchRequest", processes: int) -> "Record":
    """The run, with progress on the terminal."""
    from hwbench.cli.progress import line
    from hwbench.measure import processes as fresh
    from hwbench.measure import session

    with line() as show:
        if processes > 1:
            return fresh.bench(request, processes, lambda number: show(number / processes, f"process {number + 1}"))
        return session.bench(request, lambda at: show(at.share, f"{STAGES[at.stage]}: {at.label}"))


def finish(run: "Record", save: str | None, keep: bool, as_json: bool) -> None:
    """Save the run and show it. Exits with 130 if it was interrupted, 2 if it could not be saved, after showing it."""
    from hwbench.measure import session
    from hwbench.measure.analysis.results import results

    path, trouble = kept(run, save) if keep else (None, None)
    found = results(run)
    warnings: list[str | Notice] = [*run.notices, *([f"The run was not saved: {trouble}"] if trouble else [])]
    if as_json:
        payload = {"path": path, "run": run, "results": found.results, "findings": found.findings}
        output.write_json("bench", payload, warnings)
    else:
        from hwbench.report.text.run import run as report

        style = output.style()
        where = ["", f"saved: {path}"] if path else []
        output.write_lines([*report(run, found.results, found.findings, style), *where], warnings)
    if trouble:
        _complain(str(trouble))
    interrupted = session.interrupted(run.measurements)
    if interrupted:
        _complain(f"interrupted: what was measured is {'saved' if path else 'shown'}")
    if trouble or interrupted:
        click.get_current_context().exit(130 if interrupted else 2)


def kept(run: "Record", save: str | None) -> tuple[str | None, InputError | None]:
    """Path of the saved run, or why it could not be saved: what was measured is shown in any case."""
    from hwbench.measure import store

    with _undisturbed():
        try:
            return store.save(run, save), None
        except InputError as error:
            return None, error


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No interrupt while a file is written: somebody who presses Ctrl-C twice wants to leave, not to lose the run."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread: no interrupt arrives here
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _complain(text: str) -> None:
    if sys.stderr is not None:
        click.echo(f"hwbench: {text}", err=True)


def seconds(text: str) -> float:
    """The time that `--budget` gives, in s. Raises InputError."""
    try:
        found = float(Seconds.parse_positive(text))
    except InputError as error:
        raise error.at(field="--budget") from None
    if not 0.05 <= found <= 86400:
        raise InputError(f"{Seconds(found)} is not from 50 ms to 86400 s", field="--budget")
    return found


def _threads(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    return tuple(sorted(_number(part, 4096, "a number of threads", "--threads") for part in set(text.split(","))))


def _sizes(text: str | None) -> tuple[tuple[int, int, int], ...] | None:
    if text is None:
        return None
    found = []
    for part in text.split(","):
        sides = [_number(side, LARGEST_SIZE, "a size (512 or 512x1024x512)", "--size") for side in part.split("x")]
        if len(sides) not in (1, 3):
            raise InputError(f"'{shown(part, 40)}' is not a size: write it like 512 or 512x1024x512", field="--size")
        found.append((sides[0], sides[len(sides) // 2], sides[-1]))
    return tuple(dict.fromkeys(found))


def _number(text: str, most: int, what: str, option: str) -> int:
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit() or not 0 < int(digits[:9]) <= most:
        raise InputError(f"'{shown(digits, 40)}' is not {what} from 1 to {most}", field=option)
    return int(digits)
