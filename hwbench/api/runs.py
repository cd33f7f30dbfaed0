"""Saved runs compared with each other."""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api.checks import check_batches, check_dtype, check_duration
from hwbench.api.measurements import Progress
from hwbench.api.records import not_saved, prepare, saved_lines
from hwbench.api.records import save as save_record
from hwbench.errors import InputError
from hwbench.measure import processes, session, store
from hwbench.measure.record import Record
from hwbench.measure.session import CHOICES, BenchRequest
from hwbench.notices import Notice, unique
from hwbench.report.text.layout import PLAIN, Style
from hwbench.report.text.runs import runs as run_text
from hwbench.study.compare import runs
from hwbench.study.compare.runs import RunComparison


class RunComparisons(Answer, Struct, frozen=True):
    """Runs, each compared with the first: saved ones, or `records` that were measured in turns and saved at `paths`.

    `trouble` says why they could not be saved.
    """

    SCHEMA: ClassVar[str] = "compare-runs/2"
    ROWS: ClassVar[str] = "comparisons"
    CONTEXT: ClassVar[tuple[str, ...]] = ("records", "trouble")

    comparisons: tuple[RunComparison, ...]
    paths: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    trouble: InputError | None = None

    @property
    def path(self) -> str | None:
        """Where the first run is that was measured just now, if it was saved."""
        return self.paths[0] if self.paths else None

    @property
    def interrupted(self) -> bool:
        """True where somebody stopped the measurement."""
        return any(session.interrupted(run.measurements) for run in self.records)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader must know of any of them."""
        every = [*(own for run in self.records for own in run.notices), *not_saved(self.trouble)]
        return unique((*every, *(notice for row in self.comparisons for notice in row.notices)))


@answers.lines.register
def _lines(answer: RunComparisons, style: Style = PLAIN) -> list[str]:
    lines = [line for row in answer.comparisons for line in ["", "", *run_text(row, style)]][2:]
    return [*lines, *saved_lines(", ".join(answer.paths))]


def compare_runs(names: Sequence[str], margin: float, level: float) -> RunComparisons:
    """Return the second run and those after it, each compared with the first. Raises InputError."""
    if len(names) < 2:
        raise InputError("single-run", "A comparison needs two saved runs or more.", field="names")
    first, *others = (store.load(name) for name in names)
    return RunComparisons(tuple(runs.compare_runs(first, other, margin, level) for other in others))


def live_request(
    kernels: Sequence[str],
    model: str | None,
    dtype: str,
    batches: Sequence[int] | None,
    budget: float | str,
    command: Sequence[str],
) -> BenchRequest:
    """Return what is measured under each setting: kernels, by default `matmul`, or a model. Raises InputError."""
    if model is not None and kernels:
        raise InputError("exclusive", "Kernels and a model are not measured together.", field="kernels")
    chosen = () if model else tuple(kernels) or ("matmul",)
    wanted: str | None = check_dtype(dtype)
    if wanted == "fp32" and chosen and not CHOICES["dtypes"].intersection(chosen):
        wanted = None  # the default, which kernels such as `clock` have no use for
    return BenchRequest(
        kernels=chosen,
        quick=True,
        budget_s=check_duration(budget, "budget"),
        dtypes=(wanted,) if wanted else None,
        command=tuple(command),
        model=model,
        batch=(check_batches(batches) or (1,))[0],
    )


def compare_live(
    settings: Sequence[str],
    request: BenchRequest,
    fresh_processes: int,
    save: str | bool,
    margin: float,
    level: float,
    progress: Progress | None = None,
) -> RunComparisons:
    """Measure settings in turns, in fresh processes, and compare each with the first. Raises InputError.

    A single setting is compared with the environment as it is.
    """
    every = [processes.setting(text) for text in settings]
    if len(every) < 2:
        every = [processes.HERE, *(every or [processes.HERE])]
    total = fresh_processes * len(every)

    def say(done: int) -> None:
        if progress:
            progress(done / total, f"process {done + 1} of {total}")

    prepare(save)
    records, paths, troubles = zip(
        *(save_record(run, save) for run in processes.in_turns(every, request, fresh_processes, say)), strict=True
    )
    first, *others = records
    return RunComparisons(
        tuple(runs.compare_runs(first, other, margin, level) for other in others),
        tuple(filter(None, paths)),
        records,
        next(filter(None, troubles), None),
    )
