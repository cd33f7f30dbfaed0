"""Saved runs: those that a question is about, and what they measured of the machine."""

from collections.abc import Sequence

from hwbench.api.explanations import explained
from hwbench.api.lookup import Model
from hwbench.errors import InputError
from hwbench.explore.question import Question
from hwbench.measure import store
from hwbench.measure.analysis.results import results
from hwbench.measure.record import Record
from hwbench.notices import Notice, notice
from hwbench.report.html import sections
from hwbench.report.html.page import Section


def newest() -> tuple[tuple[Record, ...], tuple[Notice, ...]]:
    """Return the newest saved run, or none and a notice of why it cannot be read."""
    try:
        return ((store.load(store.LATEST),) if store.names() else ()), ()
    except InputError as error:  # nobody asked for it
        return (), (notice("newest-run-left-out", reason=str(error)),)


def runs_of(question: Question) -> Sequence[Record]:
    """Return the runs of a question, else the newest where it looks at a measured machine."""
    return question.runs or (newest()[0] if question.is_measured else ())


def measured(question: Question) -> list[Section]:
    """Return what runs measured, and where performance is lost by the newest of them that shows it."""
    runs = question.runs or newest()[0]
    parts = sections.measured([(run, results(run)) for run in runs])
    if question.is_language or question.dtype not in ("fp32", "fp64"):
        return parts
    workload = Model(question.model, None, {}).workload(question.dtype, question.batch)
    for run in reversed(runs):
        named = run.id if question.runs else store.LATEST
        steps = explained(run, workload, question.dtype, question.batch, named=named)
        if len(steps.steps) > 1:
            return [sections.explained(steps), *parts]
    return parts
