"""Studies: is clock speed a guide to performance?"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from msgspec import Struct

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api import catalogs, checks
from hwbench.api.answers import notices_of
from hwbench.api.lookup import Model, locate
from hwbench.errors import InputError
from hwbench.notices import Notice
from hwbench.report.text import clock as text
from hwbench.report.text.layout import PLAIN, Style
from hwbench.study.clock import elasticity, peaks, scores
from hwbench.study.clock import study as clock_study
from hwbench.study.clock.elasticity import ModelClock
from hwbench.study.clock.peaks import PeakView
from hwbench.study.clock.results import Study, Suite


class ClockStudy(Answer, Struct, frozen=True):
    """Whether clock speed predicts scores, by suite, and what makes the peaks of the catalog differ."""

    SCHEMA: ClassVar[str] = "study-clock"
    ROWS: ClassVar[str] = "suites"
    CONTEXT: ClassVar[tuple[str, ...]] = ("study",)

    data: str
    level: float
    window_years: float
    clock: str
    suites: tuple[Suite, ...]
    catalog: tuple[PeakView, ...]
    model: None
    study: Study
    notices: tuple[Notice, ...] = ()


class ModelClockStudy(Answer, Struct, frozen=True):
    """How much a faster clock would speed up a model on a device."""

    SCHEMA: ClassVar[str] = "study-clock"
    MAIN: ClassVar[tuple[str, ...]] = ("model.model", "model.device", "model.elasticity_expected", "model.verdict")

    suites: tuple[Suite, ...]
    catalog: tuple[PeakView, ...]
    model: ModelClock
    notices: tuple[Notice, ...] = ()


@answers.lines.register
def _study_lines(answer: ClockStudy, style: Style = PLAIN) -> list[str]:
    return [*text.study(answer.study, style), *text.peak_view(answer.catalog, style)]


@answers.lines.register
def _model_lines(answer: ModelClockStudy, style: Style = PLAIN) -> list[str]:
    return text.model(answer.model, style)


def study_clock(
    data: str | None = None,
    *,
    columns: str | None = None,
    suites: Sequence[str] = (),
    pairs: Sequence[tuple[str, str]] = (),
    window: float | str = 1.0,
    clock: Literal["base", "boost"] = "base",
    model: str | None = None,
    device: str | None = None,
    dtype: str = "fp32",
    batch: int = 1,
) -> ClockStudy | ModelClockStudy:
    """Study whether clock speed predicts scores: of the catalog's CPUs, or of a CSV file `data`.

    `columns` maps the columns of other tables, `pairs` are classes to compare, `window` is in years. With `model` and
    `device` the answer is how much a faster clock would speed up that model there.
    """
    if model is not None or device is not None:
        if data is not None or suites or pairs:
            message = "A model is predicted, not scored: it cannot be combined with data, suites or pairs."
            raise InputError("exclusive", message, field="model")
        if model is None or device is None:
            message = "A model and a device are needed together."
            raise InputError("missing", message, field="device" if device is None else "model")
        located, name = locate(device), checks.dtype(dtype)
        workload = Model(model, None, {}).workload(name)
        answer = elasticity.elasticity(workload, located.device, name, checks.batch(batch))
        return ModelClockStudy((), (), answer, located.notices)
    if columns is not None and data is None:
        raise InputError("missing", "A map of columns needs the file that they are of.", field="columns")
    years = _years(window)
    views: tuple[PeakView, ...] = ()
    notices: tuple[Notice, ...] = ()
    if data is not None:
        table = scores.read(data, columns, clock)
        table = table if clock == "boost" else scores.against_catalog(table)
    else:
        catalog = catalogs.devices()
        notices = catalog.notices
        table, views = scores.of_catalog(catalog.values(), clock), peaks.peak_views(catalog.values())
    study = clock_study.study(table, tuple(suites), tuple(pairs), years)
    return ClockStudy(
        data=study.data,
        level=study.level,
        window_years=study.window_years,
        clock=clock,
        suites=study.suites,
        catalog=views,
        model=None,
        study=study,
        notices=(*notices, *notices_of(study)),
    )


def _years(value: float | str) -> float:
    try:
        years = float(value)
    except ValueError:
        years = -1.0
    if not 0 <= years <= 1000:
        raise InputError("bad-years", f"'{value}' is not a number of years from 0 to 1000.", field="window")
    return years
