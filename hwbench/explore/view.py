"""What a view of the page shows, and that as the page's script reads it."""

from typing import Any

from msgspec import Struct, to_builtins

from hwbench.errors import shown
from hwbench.explore.knobs import Knob
from hwbench.report.html import page
from hwbench.report.html.page import Section


class View(Struct, frozen=True):
    """What a view shows: a sentence at its head, its sections, the sliders, and the answer as `--json` writes it.

    Its figures along `more` quantities are views of the same name. `about` are the titles of the model and the device.
    """

    sentence: str
    sections: tuple[Section, ...]
    knobs: tuple[Knob, ...] = ()
    answer: dict[str, Any] | None = None
    more: tuple[str, ...] = ()
    about: tuple[str, str] = ("", "")


def plain(answer: View) -> dict[str, Any]:
    """Return a view as the page's script reads it."""
    return {
        "sentence": shown(answer.sentence, 2000),
        "sections": [page.plain(section) for section in answer.sections],
        "knobs": to_builtins(answer.knobs),
        "more": answer.more,
        "about": answer.about,
        "answer": answer.answer,
    }
