"""Which module writes the text of which answer; it is loaded when an answer of that class is first shown."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from hwbench import answers
from hwbench.report.text.layout import PLAIN, Style

MODULES = {
    "Comparison": "compare",
    "Count": "workload",
    "Description": "machine",
    "Estimate": "estimate",
    "Sweep": "sweep",
}
"""By class, the module of `hwbench.report.text` that registers with `lines`, and with `rows` where it has to."""


@answers.lines.register
def lines(answer: answers.Answer, style: Style = PLAIN) -> list[str]:
    """Return an answer as lines of text."""
    own = _renderer(answers.lines, answer)
    return [repr(answer)] if own is lines else own(answer, style)


@answers.rows.register
def rows(answer: answers.Answer) -> list[dict[str, Any]]:
    """Return the table of an answer: a dict a row, in SI units."""
    own = _renderer(answers.rows, answer)
    return answers.rows.dispatch(object)(answer) if own is rows else own(answer)


def _renderer(function: Any, answer: answers.Answer) -> Callable[..., Any]:
    module = MODULES.get(type(answer).__name__)
    if module:
        import_module(f"hwbench.report.text.{module}")
    renderer: Callable[..., Any] = function.dispatch(type(answer))
    return renderer
