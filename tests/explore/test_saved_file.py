"""The page as a file: nothing from outside is left unescaped, and everything it needs is inside."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from hwbench.explore import page, view
from hwbench.explore.view import View
from hwbench.report.html.page import Figure, HtmlTable, Section, label

HOSTILE = [
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=1">',
    "<b>bold</b> &amp; <a href='javascript:alert(1)'>link</a>",
    "</script><script>document.title='owned'</script>",
    "{{HEAD}} {{SCRIPTS}} ${1+1} %{x}",
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
            "type": "scatter", "mode": "markers", "name": label(HOSTILE[2]), "x": list(range(len(HOSTILE))),
            "y": [label(name) for name in HOSTILE], "text": [label(name) for name in HOSTILE],
            "hovertemplate": "%{text}<extra></extra>",
        },
    )  # fmt: skip
    layout = {"xaxis": {"title": {"text": label(HOSTILE[0])}}, "yaxis": {"type": "category"}}
    figure = Figure("points", HOSTILE[0], HOSTILE[1], traces, layout, table)
    answer = view.plain(View(HOSTILE[3], (Section("hostile", HOSTILE[3], tuple(HOSTILE), (table, figure)),)))
    names = [{"name": name, "title": name, "kind": "network"} for name in HOSTILE[:2]]
    saved = {
        "names": {"models": names, "devices": names, "views": ["answer"]},
        "state": {
            "models": HOSTILE[:2],
            "devices": HOSTILE[:2],
            "settings": {"clock": HOSTILE[0]},
            "dtype": HOSTILE[1],
        },
        "answers": {"answer": answer},
    }
    return page.saved(HOSTILE[0], HOSTILE[3], {"saved": saved, "data": {"names": HOSTILE}})


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
    assert [tag for tag, _ in tags].count("script") == 5
    assert not any(tag in ("img", "b") for tag, _ in tags)
    assert [a for tag, a in tags if tag == "a" and not (a.get("href") or "#").startswith("#")] == []
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)


def test_the_page_names_nothing_to_load_and_runs_its_own_scripts_alone() -> None:
    content = hostile_page()
    for tag, attributes in elements(content):
        assert "src" not in attributes
        if tag == "link":
            assert attributes["href"] == "data:,"
    (policy,) = (own["content"] for tag, own in elements(content) if own.get("http-equiv") == "content-security-policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    allowed = policy.partition("script-src ")[2].partition(";")[0].split()
    scripts = re.findall(r"<script(?: type=\"module\")?>(.*?)</script>", content, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    assert allowed == [f"'sha256-{digest}'" for digest in digests]


def test_its_modules_stand_without_each_other() -> None:
    (module,) = re.findall(r'<script type="module">(.*?)</script>', hostile_page(), re.DOTALL)
    assert not re.search(r"^(import|export)\b", module, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:function|const|let) (\w+)", module, re.MULTILINE)
    assert len(set(names)) == len(names) > 20


def test_plotly_is_the_bundle_that_npm_serves() -> None:
    """As `make plotly` fetches it."""
    content = page.asset("plotly-basic.min.js")
    assert "plotly.js (basic - minified) v4.1.1" in content[:200]
    assert hashlib.sha256(content.encode()).hexdigest() == (
        "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"
    )
    assert "MIT License" in page.asset("plotly-basic.LICENSE")


def test_data_come_back_as_they_were() -> None:
    assert embedded(hostile_page(), "data") == {"names": HOSTILE}


def test_no_control_character_is_left() -> None:
    content = hostile_page().partition("<script>")[0]
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", content)


def test_what_is_filled_in_is_not_filled_again() -> None:
    assert "{{HEAD}} {{SCRIPTS}}" in hostile_page()


def test_numbers_that_json_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        page.saved("t", "a", {"data": {"x": float("nan")}})
