"""The page in a real browser: drawn, silent, offline, readable at both widths, and not fooled by names."""

from pathlib import Path

import pytest

from tests.browser import Browser
from tests.explore.test_saved_file import HOSTILE, hostile_page

pytestmark = pytest.mark.slow

OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def write(folder: Path, content: str) -> Path:
    path = folder / "report.html"
    path.write_text(content, encoding="utf-8")
    return path


def test_hostile_names_are_text(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, hostile_page()))
    assert browser.script("return document.title").startswith("<script>")
    assert browser.script("return document.querySelectorAll('main img, main b, main a[href^=javascript]').length") == 0
    ticks = browser.script("return [...document.querySelectorAll('.ytick text')].map(t => t.textContent)")
    assert any(tick.startswith("<script>document.title=") for tick in ticks)
    assert any(tick.startswith("<b>bold</b> &amp; <a href=") for tick in ticks)
    cells = browser.script("return [...document.querySelectorAll('tbody tr td:first-child')].map(t => t.textContent)")
    assert cells[: len(HOSTILE) - 5][:5] == HOSTILE[:5]
    assert browser.complaints() == []
    assert browser.requests() == []


def test_csv_of_a_table_is_quoted_and_no_formula(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, hostile_page()))
    lines = browser.script("return hwbench.csv(document.querySelector('section > .with-csv table'))")
    assert "'=HYPERLINK(1),1.5,8,-" in lines
    assert lines.splitlines()[0] == "name,value,index,nothing"


def test_theme_switches_and_redraws(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path, hostile_page()))
    color = "return getComputedStyle(document.body).backgroundColor"
    ink = "return getComputedStyle(document.querySelector('.xtick text')).fill"
    before = (browser.script(color), browser.script(ink))
    browser.driver.find_element("css selector", "#theme option[value=dark]").click()
    browser.settle()
    after = (browser.script(color), browser.script(ink))
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_no_width_overflows(browser: Browser, tmp_path: Path) -> None:
    path = write(tmp_path, hostile_page())
    for width in (375, 1440):
        browser.open(path, width)
        assert browser.script(OVERFLOW) <= 0, width
