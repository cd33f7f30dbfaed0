"""The page as a file: nothing from outside is left unescaped, and everything it needs is inside."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from hwbench.report.html import page
from hwbench.report.html.page import Figure, HtmlTable, Section, render

HOSTILE = [
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=1">',
    "<b>bold</b> &amp; <a href='javascript:alert(1)'>link</a>",
    "</script><script>document.title='owned'</script>",
    "{{DATA}} {{STYLE}} ${1+1} %{x}",
    "\u202eevil\u202c rtl: \u05e9\u05dc\u05d5\u05dd",
    "🦙🔥 emoji",
    "\x1b[31mred\x1b[0m \x00 null",
    "=HYPERLINK(1)",
    "x" * 10_000,
    "$\\int_0^1$",
]


def hostile_page() -> str:
    rows = tuple((name, 1.5, index, None) for index, name in enumerate(HOSTILE))
    table = HtmlTable("All of them", ("name", "value", "index", "nothing"), rows, right=(1, 2))
    traces = (
        {
            "type": "scatter", "mode": "markers", "name": page.label(HOSTILE[2]), "x": list(range(len(HOSTILE))),
            "y": [page.label(name) for name in HOSTILE], "text": [page.label(name) for name in HOSTILE],
            "hovertemplate": "%{text}<extra></extra>",
        },
    )  # fmt: skip
    layout = {"xaxis": {"title": {"text": page.label(HOSTILE[0])}}, "yaxis": {"type": "category"}}
    figure = Figure("points", HOSTILE[0], HOSTILE[1], traces, layout, table)
    sections = [Section("hostile", HOSTILE[3], tuple(HOSTILE), (figure, table))]
    return render(HOSTILE[0], HOSTILE[3], sections, {"names": HOSTILE})


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def elements(content: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Elements()
    parser.feed(content)
    return parser.found


def embedded(content: str, name: str) -> Any:
    match = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', content, re.DOTALL)
    assert match is not None
    return json.loads(match.group(1))


def test_names_make_no_elements() -> None:
    tags = elements(hostile_page())
    assert [tag for tag, _ in tags].count("script") == 4
    assert not any(tag in ("img", "b") for tag, _ in tags)
    assert [a for tag, a in tags if tag == "a" and not (a["href"] or "").startswith("#")] == []
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)


def test_the_page_names_nothing_to_load() -> None:
    for tag, attributes in elements(hostile_page()):
        assert "src" not in attributes
        if tag == "link":
            assert attributes["href"] == "data:,"
    assert "default-src 'none'" in hostile_page()


def test_data_come_back_as_they_were() -> None:
    assert embedded(hostile_page(), "data") == {"names": HOSTILE}


def test_no_control_character_is_left() -> None:
    content = hostile_page().partition("<script>")[0]
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", content)


def test_what_is_filled_in_is_not_filled_again() -> None:
    assert "{{DATA}} {{STYLE}}" in hostile_page()


def test_numbers_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        render("t", "a", [], {"x": float("nan")})


def test_a_page_without_figures_needs_no_plotly() -> None:
    assert len(render("t", "a", [Section("s", "t", ("one",))], {})) < 20_000
