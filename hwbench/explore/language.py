"""Language models: tokens a second, time to the first token, what memory holds, and curves over batch and context."""

from typing import Any

from msgspec.structs import replace

from hwbench import api
from hwbench.errors import InputError
from hwbench.explore.knobs import language_knobs
from hwbench.explore.question import Question
from hwbench.explore.view import View
from hwbench.predict.language import LanguageEstimate, Scenario
from hwbench.predict.language.model import Parts
from hwbench.report.html.figures.common import BOUNDS, COLORS, axis, bars_layout, log_axis
from hwbench.report.html.page import Figure, HtmlTable, Section
from hwbench.units import Bytes, si

CONTEXTS = (512, 1024, 2048, 4096, 8192, 16384, 32768)
BATCHES = (1, 2, 4, 8, 16, 32, 64)


def estimated(question: Question, **other: Any) -> LanguageEstimate:
    """Return the estimate of the language model that is looked at; `other` replaces a part of the scenario."""
    scenario: dict[str, Any] = {
        "weights": question.weights, "prompt": question.prompt, "generate": question.generate,
        "batch": question.batch, "context": question.context, "settings": dict(question.settings),
    }  # fmt: skip
    return api.estimate_language(question.model, question.device, **{**scenario, **other})


def answer(question: Question) -> View:
    """Return tokens a second, first token and memory of a language model, and where its time goes."""
    e, located = estimated(question), api.device(question.device)
    rows: list[tuple[str | float | None, ...]] = []
    for phase in e.phases:
        tokens = e.scenario.prompt if phase.name == "prompt" else e.scenario.generate
        low, high = phase.interval_s
        time = (si(phase.expected_time_s, "s"), f"{si(low, 's', 3)} to {si(high, 's', 3)}")
        rows.append((phase.name, tokens, *time, phase.tokens_per_s, phase.bound))
    header = ("phase", "tokens", "expected", "80 % interval", "tokens/s in all", "limited by")
    table = HtmlTable(f"Phases of {e.title} on {located.title}", header, tuple(rows), right=(1, 2, 3, 4))
    section = Section(
        "answer", f"{e.title}, {e.weights}, on {located.title}", _sentences(e), (table, _memory(e), _parts(e))
    )
    usual = Scenario()
    scenario = replace(usual, prompt=question.prompt or usual.prompt, generate=question.generate or usual.generate)
    knobs = language_knobs(located, {"prompt": usual.prompt, "generate": usual.generate, "context": scenario.reserved})
    return View(_sentence(e), (section,), knobs, e.to_dict(), about=(e.title, located.title))


def _sentence(e: LanguageEstimate) -> str:
    """Return whether it fits, and how fast it is."""
    size = f"; the device has {Bytes(e.budget.size)}" if e.budget.size else ""
    if e.budget.fits is False:
        return f"{e.title} in {e.weights} does not fit: it needs {Bytes(e.budget.needed)}{size}."
    speed = f"about {e.tokens_per_s:,.4g} tokens/s" if e.tokens_per_s else "a prompt"
    ends = e.tokens_per_s_interval
    within = f" ({ends[0]:,.3g} to {ends[1]:,.3g})" if ends else ""
    first = f", the first after {si(e.ttft_s, 's')}" if e.ttft_s else ""
    return f"{e.title} in {e.weights} generates {speed}{within}{first}; it needs {Bytes(e.budget.needed)}{size}."


def _sentences(e: LanguageEstimate) -> tuple[str, ...]:
    lines = [str(notice) for notice in e.notices]
    if e.budget.fits:
        longest, most = e.budget.longest_context, e.budget.largest_batch
        lines.append(f"The longest context that fits is {longest:,} tokens, the largest batch {most:,}.")
    return (*lines, f"Check it: {e.check_command}")


def _memory(e: LanguageEstimate) -> Figure:
    """Return a bar of what memory holds beside the device's size."""
    contents = [("weights", e.budget.weights), ("cache", e.budget.cache), ("buffers", e.budget.buffers)]
    gib = 2.0**30
    traces = [
        {
            "type": "bar", "orientation": "h", "name": name, "y": ["needed"], "x": [size / gib],
            "marker": {"color": COLORS[index]}, "hovertemplate": f"{Bytes(size)}<extra>{name}</extra>",
        }
        for index, (name, size) in enumerate(contents)
    ]  # fmt: skip
    if e.budget.size:
        traces.append(
            {
                "type": "bar", "orientation": "h", "name": "device", "y": ["device"], "x": [e.budget.size / gib],
                "marker": {"color": COLORS[7]}, "hovertemplate": f"{Bytes(e.budget.size)}<extra>device</extra>",
            }
        )  # fmt: skip
    rows = (*((name, size) for name, size in contents), ("device", e.budget.size))
    fits = {True: "it fits", False: "it does not fit", None: "the size of the device is unknown"}[e.budget.fits]
    return Figure(
        name="memory", title=f"Memory: {fits}", traces=tuple(traces),
        alternative=f"Weights, cache and buffers need {Bytes(e.budget.needed)}; {fits}.",
        layout=bars_layout(axis("GiB"), 80, barmode="stack"),
        table=HtmlTable("Memory in bytes", ("what", "bytes"), rows, right=(1,)), height=220,
    )  # fmt: skip


def _parts(e: LanguageEstimate) -> Figure:
    """Return where the time of each phase goes."""
    names = Parts.__struct_fields__
    phases = [phase.name for phase in e.phases]
    colors = [*COLORS, *COLORS]
    traces = tuple(
        {
            "type": "bar", "orientation": "h", "name": name, "y": phases,
            "x": [getattr(phase.parts, name) for phase in e.phases], "marker": {"color": colors[index]},
            "hovertemplate": "%{x:.4s}s<extra>" + name + "</extra>",
        }
        for index, name in enumerate(names)
    )  # fmt: skip
    rows = tuple((phase.name, *(getattr(phase.parts, name) for name in names)) for phase in e.phases)
    return Figure(
        name="parts", title="Where the time goes", traces=traces,
        alternative="Bars of the parts of the time of prompt and generation.",
        layout=bars_layout(axis("time", tickformat="~s", ticksuffix="s"), 90, barmode="stack"),
        table=HtmlTable("Seconds of each part", ("phase", *names), rows, right=tuple(range(1, 1 + len(names)))),
        height=240,
    )  # fmt: skip


def curves(question: Question) -> View:
    """Return tokens a second over the batch or the context. Raises InputError for another quantity."""
    along = question.along or "batch"
    if along not in ("batch", "context"):
        raise InputError("unknown-field", "That has no curve.", field="along", nearest=("batch", "context"))
    values = BATCHES if along == "batch" else CONTEXTS
    every: list[tuple[int, LanguageEstimate]] = []
    for value in values:
        other = {"batch": value} if along == "batch" else {"prompt": value, "context": None}
        every.append((value, estimated(question, **other)))
    figure = _curve(along, every)
    return View(figure.title, (Section(f"along-{along}", figure.title, (), (figure,)),), more=("context",))


def _curve(along: str, every: list[tuple[int, LanguageEstimate]]) -> Figure:
    xs = [value for value, _ in every]
    own = [e.tokens_per_s for _, e in every]
    total = [rate and rate * e.scenario.batch for rate, (_, e) in zip(own, every, strict=True)]
    fit = {True: "circle", False: "x", None: "circle-open"}
    traces = [
        {
            "type": "scatter", "mode": "lines+markers", "name": name, "x": xs, "y": ys, "line": {"color": color},
            "marker": {"symbol": [fit[e.budget.fits] for _, e in every], "size": 8},
            "hovertemplate": "%{y:.4s} tokens/s<extra>" + name + "</extra>",
        }
        for name, ys, color in (("of a sequence", own, BOUNDS["memory"]), ("in all", total, BOUNDS["compute"]))
        if name == "of a sequence" or along == "batch"
    ]  # fmt: skip
    words = {True: "yes", False: "no", None: None}
    rows = [(x, e.tokens_per_s, e.ttft_s, e.budget.needed, words[e.budget.fits]) for x, e in every]
    rates = [rate for rate in (*own, *total) if rate]
    header = (along, "tokens/s", "first token s", "bytes needed", "fits")
    title = f"Tokens a second against the {along}"
    return Figure(
        name=f"along-{along}", title=title, traces=tuple(traces),
        alternative=f"{title}, from {xs[0]} to {xs[-1]}; crosses do not fit.",
        layout={"xaxis": log_axis(along, map(float, xs)), "yaxis": log_axis("tokens/s", rates)},
        table=HtmlTable(title, header, tuple(rows), right=(0, 1, 2, 3)),
        height=340,
    )  # fmt: skip
