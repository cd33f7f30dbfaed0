"""What a page shows, as plain data: sections of sentences, figures and tables.

Names may come from untrusted files: the page's script writes texts as text, and everything that plotly draws, which
reads a few tags, is escaped by `label`.
"""

import html
from typing import Any

from msgspec import Struct, to_builtins

from hwbench.errors import shown
from hwbench.units import si

MAX_TEXT = 120
"""Characters of a cell that a page shows."""

Cell = str | float | int | None


class HtmlTable(Struct, frozen=True):
    """Rows under a header; numeric cells are numbers, so that CSV has all digits. `right` columns align right."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: tuple[int, ...] = ()


class Figure(Struct, frozen=True):
    """A plotly figure: its traces and layout as plain data, what it shows in words, and the table behind it.

    `note` is printed under its title.
    """

    name: str
    title: str
    alternative: str
    traces: tuple[dict[str, Any], ...]
    layout: dict[str, Any]
    table: HtmlTable
    height: int = 420
    note: str = ""


class Section(Struct, frozen=True):
    """A part of the page: a heading, sentences, then figures and tables in order."""

    name: str
    title: str
    sentences: tuple[str, ...] = ()
    parts: tuple[Figure | HtmlTable, ...] = ()


def label(value: object, longest: int = 60) -> str:
    """Return a name escaped for plotly, which reads a few tags and entities in labels."""
    return html.escape(shown(value, longest), quote=False)


def plain(section: Section) -> dict[str, Any]:
    """Return a section as the page's script reads it; a cell that is a number is its text and the number."""
    parts = [_figure(part) if isinstance(part, Figure) else _table(part) for part in section.parts]
    sentences = [shown(sentence, 2000) for sentence in section.sentences]
    return {"name": section.name, "title": shown(section.title, 300), "sentences": sentences, "parts": parts}


def _figure(figure: Figure) -> dict[str, Any]:
    texts = {name: shown(getattr(figure, name), 2000) for name in ("title", "alternative", "note")}
    return {**to_builtins(figure), **texts, "table": _table(figure.table)}


def _table(table: HtmlTable) -> dict[str, Any]:
    rows = [[_cell(cell) for cell in row] for row in table.rows]
    header = [shown(name, MAX_TEXT) for name in table.header]
    return {"caption": shown(table.caption, 300), "header": header, "rows": rows, "right": table.right}


def _cell(value: Cell) -> str | list[str | float] | None:
    """Return a cell: its text, null where it is unknown, or a number as a person reads it, and in full."""
    if value is None or isinstance(value, str):
        return value and shown(value, MAX_TEXT)
    if isinstance(value, int):
        return [f"{value:,}", value]
    readable = 1e5 <= value < 1e18 or 1e-12 <= value < 1e-3
    return [si(value, "").strip() if readable else f"{value:.4g}", value]
