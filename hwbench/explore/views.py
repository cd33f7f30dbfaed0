"""The views of the page: each answers a question with sections of sentences, figures and tables."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from hwbench import api
from hwbench.api import machines, reports
from hwbench.api.checks import DeviceRef
from hwbench.errors import InputError, nearest, shown
from hwbench.explore import comparison, curves, language
from hwbench.explore.knobs import Knob, knobs
from hwbench.explore.question import Question
from hwbench.machine.device import Device
from hwbench.measure import kernels
from hwbench.measure.analysis.results import results
from hwbench.predict.estimate import Estimate
from hwbench.report.html import measured as measured_estimates
from hwbench.report.html import sections
from hwbench.report.html.figures import common, roofline
from hwbench.report.html.measured import MeasuredEstimate, OtherMachineRun
from hwbench.report.html.page import Figure, HtmlTable, Section, readable
from hwbench.report.text.estimate import helping


class View(Struct, frozen=True):
    """What a view shows: a sentence at its head, its sections, the sliders, and the answer as `--json` writes it."""

    sentence: str
    sections: tuple[Section, ...]
    knobs: tuple[Knob, ...] = ()
    answer: dict[str, Any] | None = None


class _Looked(Struct, frozen=True):
    """The model and the device that are looked at: an estimate, and what saved runs measured of it."""

    estimate: Estimate
    device: Device
    runs: Sequence[MeasuredEstimate] = ()
    elsewhere: Sequence[OtherMachineRun] = ()


def view(name: str, question: Question) -> View:
    """Return a view of a question. Raises InputError where it cannot be answered."""
    if name not in VIEWS:
        raise InputError("unknown-view", f"There is no view '{shown(name, 40)}'.", nearest=nearest(name, VIEWS))
    return VIEWS[name](question)


def plain(answer: View) -> dict[str, Any]:
    """Return a view as the page reads it: every cell of a table as its text and its number."""
    return {
        "sentence": answer.sentence,
        "sections": [_section(section) for section in answer.sections],
        "knobs": to_builtins(answer.knobs),
        "answer": answer.answer,
    }


def _section(section: Section) -> dict[str, Any]:
    parts = [_figure(part) if isinstance(part, Figure) else _table(part) for part in section.parts]
    return {"name": section.name, "title": section.title, "sentences": section.sentences, "parts": parts}


def _figure(figure: Figure) -> dict[str, Any]:
    return {**to_builtins(figure), "table": _table(figure.table)}


def _table(table: HtmlTable) -> dict[str, Any]:
    rows = [[[readable(cell), cell if isinstance(cell, int | float) else None] for cell in row] for row in table.rows]
    return {"caption": table.caption, "header": table.header, "rows": rows, "right": table.right}


def _looked(question: Question) -> _Looked:
    """Return the estimate of the first model on the first device with the values of the sliders."""
    settings = dict(question.settings)
    located = api.device(question.device, **settings)
    e = api.estimate(
        question.model, question.device, dtype=question.dtype, batch=question.batch, runtime=question.runtime,
        math=question.math, settings=settings,
    )  # fmt: skip
    ref = DeviceRef.parse(question.device)
    if ref.kind == "catalog" or settings:
        return _Looked(e, located)
    runs = reports.records((), [])
    return _Looked(e, located, *measured_estimates.measured(runs, e, located, machines.key(ref)))


def _view(question: Question, looked: _Looked, section: Section) -> View:
    """Return a view of what is looked at, with sliders from the values of the catalog."""
    sliders = knobs(api.device(question.device), question.dtype)
    return View(sections.answer(looked.estimate, looked.runs), (section,), sliders, looked.estimate.to_dict())


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
        rows = tuple((text, each.gain) for text, each in zip(helping(e), e.improvements, strict=False))
        parts += (HtmlTable("What would help", ("change", "times the throughput"), rows, right=(1,)),)
    return _view(
        question, looked, Section("answer", f"{e.title or e.model} on {looked.device.title}", sentences, parts)
    )


def _roofline(question: Question) -> View:
    """Return the roofline with its layers as points."""
    looked = _looked(_network(question))
    e, drawn = looked.estimate, measured_estimates.best(looked.runs)
    own = reports.records((), []) if question.device == "host" else []
    swept = next((rows for run in own if (rows := kernels.rows(run.measurements))), [])
    figure = roofline.roofline(e, "roofline", looked.device, swept, drawn)
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
        return View(*language.curves(question))
    looked = _looked(question)
    figure = curves.curve(question, looked.device, knobs(api.device(question.device), question.dtype))
    section = Section(f"along-{question.along or 'batch'}", figure.title, (), (figure,))
    return _view(question, looked, section)


def _compare(question: Question) -> View:
    return View(*comparison.compared(question))


def _language(question: Question) -> View:
    return View(*language.answer(question))


def _network(question: Question) -> Question:
    """Return the question. Raises InputError for a language model, of which there are no layers to draw."""
    if question.is_language:
        message = "The answer of a language model has its phases; layers are shown of networks."
        raise InputError("not-for-language-models", message, field="model")
    return question


def _machine(question: Question) -> View:  # noqa: ARG001
    """Return what saved runs measured on this machine."""
    runs = reports.records((), [])
    if not runs:
        return View("Nothing was measured on this machine yet: `hwbench bench --quick` takes 15 s.", ())
    parts = sections.measured([(run, results(run)) for run in runs])
    return View(f"The newest saved run of {machines.host_device().device.title}.", tuple(parts))


@cache
def _studied() -> View:
    section = reports.study_section(None)
    return View(section.title, (replace(section, title="By suite"),))


@cache
def _validated() -> View:
    section = reports.validation_section(())
    return View(section.sentences[0], (replace(section, sentences=section.sentences[1:]),))


VIEWS: dict[str, Callable[[Question], View]] = {
    "answer": _answer,
    "roofline": _roofline,
    "layers": _layers,
    "compare": _compare,
    "whatif": _whatif,
    "machine": _machine,
    "clock": lambda _: _studied(),
    "accuracy": lambda _: _validated(),
}
"""The views by name, in the order of the page."""
