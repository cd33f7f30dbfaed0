"""The views of the page: each answers a question with sections of sentences, figures and tables."""

from collections.abc import Callable, Sequence
from functools import cache

from msgspec import Struct
from msgspec.structs import replace

from hwbench import api
from hwbench.api import machines
from hwbench.api.accuracy import locate_pair
from hwbench.api.checks import DeviceRef
from hwbench.errors import InputError, nearest, shown
from hwbench.explore import comparison, curves, language, runs
from hwbench.explore.knobs import knobs
from hwbench.explore.question import Question
from hwbench.explore.view import View
from hwbench.machine.device import Device
from hwbench.measure import kernels
from hwbench.measure.analysis.evidence import machine_of
from hwbench.measure.record import Record, Result
from hwbench.predict.data import tables
from hwbench.predict.estimate import Estimate
from hwbench.predict.replay import replay
from hwbench.report.html import measured as measured_estimates
from hwbench.report.html import sections
from hwbench.report.html.figures import common, roofline
from hwbench.report.html.measured import MeasuredEstimate, OtherMachineRun
from hwbench.report.html.page import Figure, HtmlTable, Section
from hwbench.study.clock import scores
from hwbench.study.clock.study import study
from hwbench.study.clock.verdict import predictor


class _Looked(Struct, frozen=True):
    """The model and the device that are looked at: an estimate, and what saved runs measured of it."""

    estimate: Estimate
    device: Device
    runs: Sequence[MeasuredEstimate] = ()
    elsewhere: Sequence[OtherMachineRun] = ()
    swept: Sequence[Result] = ()


def view(name: str, question: Question) -> View:
    """Return a view of a question. Raises InputError where it cannot be answered."""
    if name not in VIEWS:
        raise InputError("unknown-view", f"There is no view '{shown(name, 40)}'.", nearest=nearest(name, VIEWS))
    return VIEWS[name](question)


def _looked(question: Question) -> _Looked:
    """Return the estimate of the first model on the first device with the values of the sliders."""
    settings = dict(question.settings)
    located = api.device(question.device, **settings)
    e = api.estimate(
        question.model, question.device, dtype=question.dtype, batch=question.batch, runtime=question.runtime,
        math=question.math, settings=settings,
    )  # fmt: skip
    ran = () if settings else runs.runs_of(question)
    if not ran:
        return _Looked(e, located)
    key = machines.key(DeviceRef.parse(question.device))
    return _Looked(e, located, *measured_estimates.measured(ran, e, located, key), swept=_swept(ran, located, key))


def _swept(ran: Sequence[Record], device: Device, machine: str | None) -> Sequence[Result]:
    """Return the caches that a run swept of this machine; a GPU has other caches than the CPU of its host."""
    own = [run for run in ran if device.kind == "cpu" and machine and machine_of(run) == machine]
    return next((rows for run in reversed(own) if (rows := kernels.rows(run.measurements))), ())


def _view(question: Question, looked: _Looked, section: Section) -> View:
    """Return a view of what is looked at, with sliders from the values of the catalog."""
    e, sliders = looked.estimate, knobs(api.device(question.device), question.dtype)
    about = e.title or e.model, looked.device.title
    return View(sections.answer(e, looked.runs), (section,), sliders, e.to_dict(), about=about)


def _answer(question: Question) -> View:
    """Return the three answers, what holds the network back, and what would help."""
    if question.is_language:
        return _language(question)
    looked = _looked(question)
    e, (drawn, elsewhere) = looked.estimate, (looked.runs, looked.elsewhere)
    sentences = (sections.work(e), *measured_estimates.sentences(drawn, elsewhere, e), *map(str, e.notices))
    parts: tuple[Figure | HtmlTable, ...] = (sections.answers_table(e, drawn),)
    if e.forecast and e.forecast.time_s:
        parts += (common.limits(e, "limits"),)
    if e.improvements:
        parts += (common.helps(e, "helps"),)
    return _view(
        question, looked, Section("answer", f"{e.title or e.model} on {looked.device.title}", sentences, parts)
    )


def _roofline(question: Question) -> View:
    """Return the roofline with its layers as points."""
    looked = _looked(_network(question))
    e, drawn = looked.estimate, measured_estimates.best(looked.runs)
    figure = roofline.roofline(e, "roofline", looked.device, looked.swept, drawn)
    section = Section("roofline", "Roofline", ("Choose a point to see its layer in the table below.",), (figure,))
    return _view(question, looked, section)


def _layers(question: Question) -> View:
    """Return the time of each layer."""
    looked = _looked(_network(question))
    figure = common.layer_times(looked.estimate, "layers", measured_estimates.best(looked.runs))
    return _view(question, looked, Section("layers", "Time by layer", (), (figure,)))


def _whatif(question: Question) -> View:
    """Return the time of the network, or the tokens of a language model, along one quantity."""
    if question.is_language:
        return language.curves(question)
    looked, sliders = _looked(question), knobs(api.device(question.device), question.dtype)
    if looked.estimate.forecast is None:
        why = tuple(str(notice) for notice in looked.estimate.notices)
        return _view(question, looked, Section("along", "Nothing is forecast", why))
    figure = curves.curve(question, looked.device, sliders)
    view = _view(question, looked, Section(f"along-{question.along or 'batch'}", figure.title, (), (figure,)))
    return replace(view, more=tuple(knob.field for knob in sliders))


def _compare(question: Question) -> View:
    return comparison.compared(question)


def _language(question: Question) -> View:
    return language.answer(question)


def _network(question: Question) -> Question:
    """Return the question. Raises InputError for a language model, of which there are no layers to draw."""
    if question.is_language:
        message = "The answer of a language model has its phases; layers are shown of networks."
        raise InputError("not-for-language-models", message, field="model")
    return question


def _machine(question: Question) -> View:
    """Return what saved runs measured on this machine."""
    parts = runs.measured(question)
    if not parts:
        return View("Nothing was measured on this machine yet: `hwbench bench --quick` takes 15 s.", ())
    return View("What saved runs measured, and under which conditions.", tuple(parts))


@cache
def _studied(path: str | None) -> View:
    """Return the study of clock speed of a CSV file, or of the scores of the catalog."""
    table = scores.read(path) if path else scores.of_catalog(api.devices().values())
    answer = study(table)
    grades: dict[str, list[str]] = {}
    for suite in answer.suites:
        grades.setdefault(predictor(suite.grade, article=True), []).append(suite.suite)
    verdict = "; ".join(f"{grade} of {' and '.join(suites)}" for grade, suites in grades.items())
    section = sections.studied(answer, table.rows)
    return View(f"Clock speed is {verdict}.", (section,))


@cache
def _validated(paths: tuple[str, ...]) -> View:
    """Return the errors of forecasts against measured times in CSV files, or the published ones."""
    section = sections.validated(replay.replay(tables.read(paths or tables.shipped()), finder=locate_pair))
    return View(section.sentences[0], (replace(section, sentences=section.sentences[1:]),))


VIEWS: dict[str, Callable[[Question], View]] = {
    "answer": _answer,
    "roofline": _roofline,
    "layers": _layers,
    "compare": _compare,
    "whatif": _whatif,
    "machine": _machine,
    "clock": lambda question: _studied(question.scores),
    "accuracy": lambda question: _validated(question.measurements),
}
"""The views by name, in the order of the page."""
