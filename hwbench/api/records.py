"""Saved runs: which there are, one of them with its results, and where they are."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from msgspec import Struct

from hwbench import answers
from hwbench.answers import Answer
from hwbench.errors import InputError
from hwbench.measure import session, store
from hwbench.measure.analysis.results import SavedRun, overview, results
from hwbench.measure.record import Record, Result
from hwbench.notices import Notice, notice
from hwbench.report.text import run as text
from hwbench.report.text.layout import PLAIN, Style

MAX_SHOWN = 20


class Bench(Answer, Struct, frozen=True):
    """A run of microbenchmarks: its record with every sample, its results and findings, and where it was saved.

    `trouble` says why a run could not be saved.
    """

    SCHEMA: ClassVar[str] = "bench"
    MAIN: ClassVar[tuple[str, ...]] = ("path", "run.id", "run.created")
    ROWS: ClassVar[str] = "results"
    CONTEXT: ClassVar[tuple[str, ...]] = ("trouble",)

    path: str | None
    run: Record
    results: tuple[Result, ...]
    findings: tuple[str, ...]
    trouble: InputError | None = None

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader must know of the run."""
        return (*self.run.notices, *not_saved(self.trouble))

    @property
    def interrupted(self) -> bool:
        """True where somebody stopped the measurement."""
        return session.interrupted(self.run.measurements)


@answers.lines.register
def _bench_lines(answer: Bench, style: Style = PLAIN) -> list[str]:
    return [*text.run(answer.run, answer.results, answer.findings, style), *saved_lines(answer.path)]


def saved_lines(path: str | None) -> list[str]:
    """Return the lines that say where a run is."""
    return ["", f"saved: {path}"] if path else []


def not_saved(trouble: InputError | None) -> tuple[Notice, ...]:
    """Return the notice that a run was not saved."""
    return (notice("run-not-saved", reason=str(trouble)),) if trouble else ()


def derived(run: Record, path: str | None, trouble: InputError | None = None) -> Bench:
    """Return a run with its results."""
    derived = results(run)
    return Bench(path, run, derived.results, tuple(map(str, derived.findings)), trouble)


def prepare(where: str | bool) -> None:
    """Raise InputError where a run cannot be saved as `save` will: asked before anything is measured."""
    if where is not False:
        store.prepare(where if isinstance(where, str) else None)


def save(run: Record, where: str | bool) -> tuple[Record, str | None, InputError | None]:
    """Save a run, in a folder or in that of the saved runs (True), and return it as it was saved, and its path.

    Returns why it could not be saved instead of raising that: what was measured is shown in any case.
    """
    if where is False:
        return run, None, None
    with _without_interrupts():
        try:
            return *store.save(run, where if isinstance(where, str) else None), None
        except InputError as error:
            return run, None, error


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignore interrupts while a file is written: Ctrl-C pressed twice means to leave, not to lose the run."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread: no interrupt arrives here
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class SavedRuns(Answer, Struct, frozen=True):
    """The saved runs of a folder, the oldest first."""

    SCHEMA: ClassVar[str] = "results"
    ROWS: ClassVar[str] = "runs"
    CONTEXT: ClassVar[tuple[str, ...]] = ("hidden",)

    folder: str
    runs: tuple[SavedRun, ...]
    hidden: int = 0


@answers.lines.register
def _saved_lines(answer: SavedRuns, style: Style = PLAIN) -> list[str]:
    if not answer.runs:
        return [f"There are no saved runs in {answer.folder}: `hwbench bench` makes one."]
    hidden = [f"… and {answer.hidden} older (--all)"] if answer.hidden else []
    return [*text.run_list(answer.runs, style), *hidden]


def saved_runs(folder: str | None = None, newest: int | None = None) -> SavedRuns:
    """Return the saved runs of a folder, the oldest first: all, or the `newest` of them."""
    if folder is not None and not os.path.isdir(folder):
        raise InputError("not-a-folder", "This is not a directory.", file=folder)
    names = store.names(folder)
    hidden = max(0, len(names) - newest) if newest is not None else 0
    return SavedRuns(store.folder(folder), tuple(_listed(name, folder) for name in names[hidden:]), hidden)


def _listed(name: str, folder: str | None) -> SavedRun:
    path = store.find(name, folder)
    try:
        return overview(store.load(path), os.path.getsize(path))
    except (InputError, OSError) as error:
        return SavedRun(name, error=error.message if isinstance(error, InputError) else str(error.strerror))


class ChangedRuns(Answer, Struct, frozen=True):
    """Files of saved runs that were removed, or the one that was given a name."""

    SCHEMA: ClassVar[str] = "results-change"

    removed: tuple[str, ...] = ()
    renamed: str | None = None
    name: str | None = None


@answers.lines.register
def _changed_lines(answer: ChangedRuns, style: Style = PLAIN) -> list[str]:  # noqa: ARG001
    return [f"removed: {path}" for path in answer.removed] or [f"{answer.renamed} is called {answer.name}"]


def remove_runs(*names: str, folder: str | None = None) -> ChangedRuns:
    """Remove saved runs by their files, their ids, the beginnings of these, or their names. Raises InputError."""
    paths = list(dict.fromkeys(store.find(name, folder) for name in names))  # all are there before one is removed
    return ChangedRuns(tuple(store.remove(path, folder) for path in paths))


def rename_run(name: str, new: str, folder: str | None = None) -> ChangedRuns:
    """Give a saved run a name by which it is found from then on. Raises InputError."""
    return ChangedRuns(renamed=store.rename(name, new, folder), name=new)


def saved_run(name: str, folder: str | None = None) -> Bench:
    """Return a saved run by its file, its id, the beginning of one, or `latest`, with its results."""
    path = store.find(name, folder)
    return derived(store.load(path), path)


def saved_run_path(name: str | None = None, folder: str | None = None) -> str:
    """Return the folder of the saved runs, or the file of one. Raises InputError."""
    if name is None:
        return store.folder(folder)
    path = store.find(name, folder)
    if not os.path.exists(path):
        raise InputError("not-readable", "The file cannot be read: No such file or directory.", file=path)
    return path
