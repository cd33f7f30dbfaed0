"""Saved runs compared with each other."""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from hwbench import answers
from hwbench.answers import Answer
from hwbench.errors import InputError
from hwbench.measure import store
from hwbench.notices import Notice, unique
from hwbench.report.text.layout import PLAIN, Style
from hwbench.report.text.runs import runs as run_text
from hwbench.study.compare import runs
from hwbench.study.compare.runs import RunComparison


class RunComparisons(Answer, Struct, frozen=True):
    """Saved runs, each compared with the first."""

    SCHEMA: ClassVar[str] = "compare-runs"
    ROWS: ClassVar[str] = "comparisons"

    comparisons: tuple[RunComparison, ...]

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader must know of any of them."""
        return unique(notice for row in self.comparisons for notice in row.notices)


@answers.lines.register
def _lines(answer: RunComparisons, style: Style = PLAIN) -> list[str]:
    return [line for row in answer.comparisons for line in ["", "", *run_text(row, style)]][2:]


def compare_runs(names: Sequence[str], margin: float, level: float) -> RunComparisons:
    """Return the second run and those after it, each compared with the first. Raises InputError."""
    if len(names) < 2:
        raise InputError("single-run", "A comparison needs two saved runs or more.", field="names")
    first, *others = (store.load(name) for name in names)
    return RunComparisons(tuple(runs.compare_runs(first, other, margin, level) for other in others))
