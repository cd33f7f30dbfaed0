"""Models on devices in one table, relative to the first device, with the factors behind the ratios."""

from typing import Any

from hwbench import api
from hwbench.errors import InputError
from hwbench.explore.question import Question
from hwbench.explore.view import View
from hwbench.machine.device import Device
from hwbench.predict.estimate import Estimate
from hwbench.report.html import sections
from hwbench.report.html.figures.study import decomposition
from hwbench.report.html.page import Figure, HtmlTable, Section
from hwbench.study.compare.devices import Comparison


def compared(question: Question) -> View:
    """Return the sentence, the sections and the JSON of models on devices."""
    if question.is_language:
        return _language(question)
    options: dict[str, Any] = {"dtype": question.dtype, "runtime": question.runtime, "math": question.math}
    devices = {name: api.device(name, **question.settings_of(name)) for name in question.devices}
    compared = (device if question.settings_of(name) else name for name, device in devices.items())
    answer = api.compare(*compared, model=question.model, batches=(question.batch,), **options)
    assert isinstance(answer, Comparison)
    rows, notes = [], []
    for model in question.models:
        for name, device in devices.items():
            settings = question.settings_of(name)
            try:
                e = api.estimate(model, name, batch=question.batch, settings=settings, **options)
            except InputError as error:  # a dtype that one of them lacks
                notes.append(str(error))
            else:
                rows.append((e, device))
    table = sections.summary(rows)
    figure = decomposition(answer, "decomposition")
    parts: tuple[Figure | HtmlTable, ...] = (table, *((figure,) if figure else ()))
    sentences = (*dict.fromkeys(notes), *map(str, answer.notices))
    section = Section("compare", f"At {question.dtype}, batch {question.batch}", sentences, parts)
    return View(_sentence(answer, rows), (section,), answer=answer.to_dict())


def _sentence(answer: Comparison, rows: list[tuple[Estimate, Device]]) -> str:
    """Return which device is the fastest, and whether intervals can tell."""
    timed = [(device, device.times[0]) for device in answer.devices if device.times and device.times[0].expected_time_s]
    if len(timed) < 2:
        return sections.answer(rows[0][0]) if rows else "Choose two or more devices to compare them."
    timed.sort(key=lambda pair: pair[1].expected_time_s or 0.0)
    (best, first), (other, second) = timed[:2]
    gain = (second.expected_time_s or 1.0) / (first.expected_time_s or 1.0)
    apart = first.interval_s and second.interval_s and first.interval_s[1] < second.interval_s[0]
    doubt = "" if apart else " Their intervals overlap: the forecast cannot tell for sure."
    title = rows[0][0].title or rows[0][0].model
    return f"{best.title} is expected to run {title} fastest, {gain:.3g} times as fast as {other.title}.{doubt}"


def _language(question: Question) -> View:
    """Return the same of a language model: tokens a second and memory."""
    answer = api.compare_language(
        question.model, *question.devices, weights=question.weights, prompt=question.prompt,
        generate=question.generate, batch=question.batch, context=question.context,
    )  # fmt: skip
    rows = tuple(
        (
            point.device, point.tokens_per_s, *(point.tokens_per_s_interval or (None, None)), point.ttft_s,
            {True: "yes", False: "no", None: None}[point.fits], point.power_w,
        )
        for point in answer.points
    )  # fmt: skip
    header = ("device", "tokens/s", "low", "high", "first token s", "fits", "power W")
    table = HtmlTable(f"{question.model} on devices", header, rows, right=(1, 2, 3, 4, 6))
    section = Section("compare", "Language model on devices", tuple(map(str, answer.notices)), (table,))
    return View(f"{question.model} on {len(rows)} devices.", (section,), answer=answer.to_dict())
