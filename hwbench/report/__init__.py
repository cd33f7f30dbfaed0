"""Answers for people and programs: text, CSV and JSON, and a page of HTML.

Which module writes the text of which answer stands here; it is loaded when an answer of that class is first shown.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from hwbench import answers
from hwbench.report.text.layout import PLAIN, Style

__all__ = ["export", "html", "text"]

TEXTS = {
    "ClockStudy": "clock", "ModelClock": "clock", "Suite": "clock", "Comparison": "compare", "Count": "workload",
    "Description": "machine", "DeviceDetails": "machine", "Estimate": "estimate", "Estimates": "estimate",
    "Explanation": "explain", "Inference": "inference", "LanguageCount": "language.estimate",
    "LanguageEstimate": "language.estimate", "LanguagePoints": "language.points", "LanguageRun": "language.run",
    "LanguageValidation": "language.validation",
    "Requirement": "requirement", "RunComparison": "runs",
    "SelfCheck": "runs", "StepExplanation": "step", "Sweep": "sweep",
    "Utilization": "utilization", "Validation": "validation",
}  # fmt: skip
"""By class, the module of `hwbench.report.text` that registers with `answers.lines`."""
ROWS = {"Comparison": "compare"}
"""By class, the module of `hwbench.report.export` that registers with `answers.rows`; the default serves others."""
FIGURES = {"Estimate": "plots", "Comparison": "plots"}
"""By class, the module of `hwbench.report.html` that registers with `answers.figures`; others have none."""


@answers.lines.register(answers.Answer)
def _lines(answer: answers.Answer, style: Style = PLAIN) -> list[str]:
    """Return an answer as lines of text."""
    own = _registered(answers.lines, answer, "text", TEXTS)
    return [repr(answer)] if own is _lines else own(answer, style)


@answers.rows.register(answers.Answer)
def _rows(answer: answers.Answer) -> list[dict[str, Any]]:
    """Return the table of an answer: a dict a row, in SI units."""
    own = _registered(answers.rows, answer, "export", ROWS)
    return answers.rows.dispatch(object)(answer) if own is _rows else own(answer)


@answers.figures.register(answers.Answer)
def _figures(answer: answers.Answer) -> dict[str, Callable[[], Any]]:
    """Return what makes the figures of an answer, by name."""
    own = _registered(answers.figures, answer, "html", FIGURES)
    return {} if own is _figures else dict(own(answer))


def _registered(function: Any, answer: answers.Answer, package: str, modules: dict[str, str]) -> Callable[..., Any]:
    """Return the implementation for the class of an answer, after loading the module that has it."""
    module = modules.get(type(answer).__name__)
    if module:
        import_module(f"hwbench.report.{package}.{module}")
    implementation: Callable[..., Any] = function.dispatch(type(answer))
    return implementation
