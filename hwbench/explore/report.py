"""A report: the local page with its answers inside, one file that opens offline and asks nobody."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api.checks import DeviceRef, check_batch, check_dtype
from hwbench.api.lookup import Model, is_language_question, locate
from hwbench.errors import InputError, shown
from hwbench.explore import page, view, views
from hwbench.explore import runs as saved_runs
from hwbench.explore.question import SINGLE, Question
from hwbench.files import atomic
from hwbench.measure import store
from hwbench.notices import Notice, unique
from hwbench.report.text.layout import PLAIN, Style

MAX_ESTIMATES = 50
_OF_NETWORKS, _OF_LANGUAGE = ("answer", "roofline", "layers", "whatif"), ("answer", "whatif")


class Report(Answer, Struct, frozen=True):
    """A page of HTML that was written: its file, size and views."""

    SCHEMA: ClassVar[str] = "report"

    file: str
    bytes: int
    sections: tuple[str, ...]
    notices: tuple[Notice, ...] = ()


@answers.lines.register
def _lines(answer: Report, style: Style = PLAIN) -> list[str]:  # noqa: ARG001
    return [f"written: {answer.file} ({answer.bytes / 1e6:.1f} MB, {len(answer.sections)} views)"]


def write_report(
    *runs: str,
    models: Sequence[str] = ("alexnet",),
    devices: Sequence[str] = ("host",),
    dtype: str = "fp32",
    batch: int | None = None,
    runtime: str | None = None,
    math: str = "default",
    settings: Mapping[str, str] | None = None,
    machine: bool = False,
    data: str | None = None,
    measurements: Sequence[str] = (),
    path: str = "report.html",
) -> Report:
    """Write the page of `hwbench explore` with its answers inside into one HTML file that opens offline.

    `runs` are files, ids or `latest`; without them the newest saved run is shown if this machine (`host`) is among the
    devices, or where the `machine` is asked for. `settings` replace values of the first device. `data` is a CSV file of
    scores for the clock study, `measurements` are those of times to compare with predictions.
    """
    name = check_dtype(dtype)
    if len(models) * len(devices) > MAX_ESTIMATES:
        raise InputError("too-many", f"There are more than {MAX_ESTIMATES} estimates.", field="devices")
    atomic.refuse_unwritable(path)
    own, notices = tuple(store.load(run) for run in runs), list[Notice]()
    if not own and (machine or any(DeviceRef.parse(device).kind == "host" for device in devices)):
        own, left_out = saved_runs.newest()
        notices += left_out
    notices += unique(notice for device in devices for notice in locate(device).notices)
    language = is_language_question(models[0], {}, None)
    size = check_batch(batch or 1) if language else Model(models[0], None, {}).batch(batch, name)
    question = Question(
        tuple(models), tuple(devices), name, size, runtime, math, settings or {}, runs=own, scores=data,
        measurements=tuple(measurements),
    )  # fmt: skip
    content, names = whole(question, notices)
    atomic.write_atomically(path, content)
    return Report(path, len(content.encode()), names, tuple(notices))


def whole(question: Question, notices: Sequence[Notice] = ()) -> tuple[str, tuple[str, ...]]:
    """Return the page of a question with its answers inside, and the names of its views."""
    known = dict(_views(question))
    about = {pair: known[f"answer {' '.join(pair)}"].about for pair in product(question.models, question.devices)}
    models, devices = ({pair[at]: titles[at] for pair, titles in about.items()} for at in (0, 1))
    names = tuple(dict.fromkeys(key.partition(" ")[0] for key in known))
    fields = {field: getattr(question, field) or "" for field in SINGLE}
    contents = {
        "saved": {
            "names": {"models": _choices(models), "devices": _choices(devices), "views": names},
            "state": {**fields, "models": question.models, "devices": question.devices, "settings": question.settings},
            "answers": {key: view.plain(replace(own, knobs=(), answer=None)) for key, own in known.items()},
        },
        "data": {
            "estimates": [own.answer for key, own in known.items() if key.startswith("answer ")],
            "runs": answers.plain(list(question.runs)),
            "warnings": [str(notice) for notice in notices],
        },
    }
    title = " on ".join(", ".join(dict.fromkeys(titles.values())) for titles in (models, devices))
    return page.saved(shown(title, 300), next(iter(known.values())).sentence, contents), names


def _choices(titles: Mapping[str, str]) -> list[dict[str, str]]:
    """Return what can be looked at: names with titles."""
    kinds = {True: "language", False: "network"}
    return [
        {"name": name, "title": shown(title, 60), "kind": kinds[is_language_question(name, {}, None)]}
        for name, title in titles.items()
    ]


def _views(question: Question) -> Iterator[tuple[str, view.View]]:
    """Yield the views by what the page's script asks: `view`, or `view model device` where those are chosen."""
    networks = tuple(name for name in question.models if not is_language_question(name, {}, None))
    of_networks = replace(question, models=networks or question.models)
    if len(question.models) * len(question.devices) > 1:
        yield "compare", views.view("compare", of_networks)
    for model, device in product(question.models, question.devices):
        pair = replace(question, models=(model,), devices=(device,), settings=question.settings_of(device))
        for name in _OF_NETWORKS if model in networks else _OF_LANGUAGE:
            yield f"{name} {model} {device}", _along_all(name, pair)
    if question.runs:
        yield "machine", views.view("machine", of_networks)
    for name in ("clock", "accuracy"):
        yield name, views.view(name, question)


def _along_all(name: str, question: Question) -> view.View:
    """Return a view with its figures along every quantity."""
    first = views.view(name, question)
    others = (section for along in first.more for section in views.view(name, replace(question, along=along)).sections)
    return replace(first, sections=(*first.sections, *others), more=())
