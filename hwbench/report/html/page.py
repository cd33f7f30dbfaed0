"""A report as one HTML file: sections of text, figures and tables, with everything that they need inside.

The file makes no request: a content security policy forbids it. Names may come from untrusted files: everything in a
page is escaped by `text`, everything that plotly draws by `label`, and JSON inside the page has no `<`.
"""

import html
import json
import os
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from hwbench.errors import shown
from hwbench.units import si

MAX_TEXT = 120
"""Characters of a name that a page shows."""

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


def text(value: object, longest: int = MAX_TEXT) -> str:
    """Return a value escaped for HTML, its control characters visible, and cut where it is long."""
    return html.escape(shown(value, longest))


def label(value: object, longest: int = 60) -> str:
    """Return a name escaped for plotly, which reads a few tags and entities in labels."""
    return html.escape(shown(value, longest), quote=False)


def render(title: str, answer: str, sections: Sequence[Section], data: Any) -> str:
    """Return the page. `answer` is the sentence at its head, `data` the content of the JSON download."""
    figures = [part for section in sections for part in section.parts if isinstance(part, Figure)]
    links = "".join(f'<li><a href="#{text(s.name)}">{text(s.title)}</a></li>' for s in sections)
    body = "\n".join(_section(section) for section in sections)
    drawn = [{"name": f.name, "traces": f.traces, "layout": f.layout} for f in figures]
    filled = {
        "TITLE": text(title), "ANSWER": f"<p>{text(answer, 2000)}</p>", "LINKS": links, "BODY": body,
        "STYLE": asset("page.css"), "SCRIPT": asset("figures.js") + asset("page.js"),
        "PLOTLY": plotly() if figures else "",
        "FIGURES": _embedded(drawn), "DATA": _embedded(data),
    }  # fmt: skip
    head, *rest = asset("page.html").split("{{")
    parts = [head]
    for piece in rest:  # one pass: filled-in text is never replaced again
        name, _, after = piece.partition("}}")
        parts += [filled[name], after]
    return "".join(parts)


def _section(section: Section) -> str:
    sentences = "".join(f"<p>{text(sentence, 2000)}</p>" for sentence in section.sentences)
    parts = "".join(_figure(part) if isinstance(part, Figure) else _table(part) for part in section.parts)
    name = text(section.name)
    heading = f'<h2 id="{name}-title">{text(section.title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}{sentences}{parts}</section>'


def _figure(figure: Figure) -> str:
    name = text(figure.name)
    return (
        f'<figure><figcaption id="{name}-caption">{text(figure.title, 300)}</figcaption>'
        f"{f'<p>{text(figure.note, 2000)}</p>' if figure.note else ''}"
        f'<div class="plot" id="{name}" role="group" aria-label="{text(figure.alternative, 1000)}" '
        f'style="height:{figure.height}px"></div>'
        f"<details><summary>The numbers behind it</summary>{_table(figure.table)}</details></figure>"
    )


def _table(table: HtmlTable) -> str:
    def cell(tag: str, index: int, value: Cell) -> str:
        side = " class=r" if index in table.right else ""
        exact = f' data-v="{value!r}"' if isinstance(value, (int, float)) else ""  # for the CSV and for tests
        return f"<{tag}{side}{exact}>{text(readable(value))}</{tag.partition(' ')[0]}>"

    def cells(tag: str, values: Sequence[Cell]) -> str:
        return "".join(cell(tag, index, value) for index, value in enumerate(values))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{text(table.caption, 200)}"><table>'
        f"<caption>{text(table.caption, 300)}</caption>"
        f"<thead><tr>{cells('th scope=col', table.header)}</tr></thead><tbody>{body}</tbody></table></div>"
        '<button type="button" class="csv">Save as CSV</button>'
    )


def readable(value: Cell) -> str:
    """Return a cell as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        readable = 1e5 <= value < 1e18 or 1e-12 <= value < 1e-3
        return si(value, "").strip() if readable else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value


def _embedded(data: Any) -> str:
    """Return JSON for a script element: without `<`, `>`, `&` and JavaScript's line separators."""
    content = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return content.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def asset(name: str) -> str:
    """Return a file of the page."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "assets", name)
    with open(path, encoding="utf-8") as file:
        return file.read()


def plotly() -> str:
    """Return the script of the installed package plotly (MIT)."""
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return script.replace("</script", "<\\/script")
