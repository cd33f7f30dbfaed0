"""The page in a real browser: drawn, silent, offline, the same numbers as the command line, and usable by keyboard."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser import Browser
from tests.explore.conftest import Server

pytestmark = pytest.mark.slow

OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
VIEWS = ("answer", "roofline", "layers", "compare", "whatif", "machine", "clock", "accuracy")
RESNET = "model=resnet50&device=rtx3090&device=rtx4090&dtype=fp16&batch=8"
LANGUAGE = "model=llama3-8b&device=rtx3090&weights=q4_k_m"


AXE = Path(__file__).parents[2] / "build" / "node" / "node_modules" / "axe-core" / "axe.min.js"
"""A checker of accessibility: `npm install --prefix build/node axe-core`."""
FINDINGS = """
    const done = arguments[arguments.length - 1];
    const bad = (finding) => ["serious", "critical"].includes(finding.impact);
    axe.run().then((found) => done(found.violations.filter(bad).map((finding) => finding.id)));
"""


def opened(browser: Browser, server: Server, query: str, width: int = 1440) -> Browser:
    browser.open(f"http://127.0.0.1:{server.port}/?{query}", width)
    return browser


def slide(browser: Browser, field: str, position: float) -> None:
    browser.script(
        "const input = document.querySelector(`#knobs input[name='${arguments[0]}']`); input.value = arguments[1];"
        "document.documentElement.dataset.drawn = 'no'; input.dispatchEvent(new Event('input', {bubbles: true}));",
        field, position,
    )  # fmt: skip
    browser.settle()


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_drawn_silent_and_offline_at_every_width(browser: Browser, server: Server, view: str) -> None:
    for width in (375, 768, 1440, 1920):
        opened(browser, server, f"{RESNET}&view={view}", width)
        assert browser.script(OVERFLOW) <= 0, width
        empty = "return [...document.querySelectorAll('.plot')].filter(p => !p.querySelector('.plotly')).length"
        assert browser.script(empty) == 0
        assert browser.script("return document.getElementById('sentence').textContent")
        assert browser.script("return document.getElementById('error').hidden")
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith(f"http://127.0.0.1:{server.port}/")] == []


def test_sliders_agree_with_the_command_line_to_the_digit(
    browser: Browser, server: Server, cli: Callable[..., Any]
) -> None:
    opened(browser, server, f"{RESNET}&view=answer")
    before = browser.script("return document.getElementById('sentence').textContent")
    for field, position in (("clock", 0.75), ("bandwidth", 0.2), ("units", 0.9), ("overhead", 0.3)):
        slide(browser, field, position)
    query = browser.script("return location.search")
    settings = dict(re.findall(r"set\.(\w+)=([^&]+)", query))
    assert set(settings) == {"clock", "bandwidth", "units", "overhead"}
    words = [word for field, value in settings.items() for word in ("--set", f"{field}={value.replace('%2F', '/')}")]
    asked = cli("estimate", "resnet50", "rtx3090", "--dtype", "fp16", "--batch", "8", *words, "--json")
    assert json.loads(browser.script("return JSON.stringify(window.hwbenchAnswer)")) == json.loads(asked.out)
    assert browser.script("return document.getElementById('sentence').textContent") != before
    browser.driver.find_element("css selector", ".knob[data-field=clock] button").click()
    browser.settle()
    assert "set.clock" not in browser.script("return location.search")
    browser.driver.find_element("css selector", "#knobs details > button").click()
    browser.settle()
    assert browser.script("return document.getElementById('sentence').textContent") == before


def test_the_address_is_the_state(browser: Browser, server: Server) -> None:
    opened(browser, server, f"{RESNET}&view=answer")
    for title in ("Roofline", "Layers"):
        browser.driver.find_element("link text", title).click()
        browser.settle()
    link, name = (
        browser.script("return location.href"),
        "return document.querySelector('nav [aria-current]').textContent",
    )
    browser.driver.back()
    browser.settle()
    assert browser.script(name) == "Roofline"
    browser.driver.forward()
    browser.settle()
    assert browser.script(name) == "Layers"
    browser.driver.get(link)
    browser.settle()
    assert browser.script(name) == "Layers"
    chips = [chip.text for chip in browser.driver.find_elements("css selector", "#devices .chips [aria-pressed]")]
    assert chips == ["NVIDIA GeForce RTX 3090", "NVIDIA GeForce RTX 4090"]


def test_pickers_search_by_keyboard(browser: Browser, server: Server) -> None:
    opened(browser, server, "model=alexnet&device=rtx3090")
    for place, typed, name in (("devices", "h100 pcie", "h100-pcie"), ("models", "resn 50", "resnet50")):
        field = browser.driver.find_element("css selector", f"#{place} input")
        field.send_keys(typed)
        assert field.get_attribute("aria-expanded") == "true"
        field.send_keys(Keys.ENTER)
        browser.settle()
        assert name in browser.script("return location.search")
    assert browser.script("return new URLSearchParams(location.search).getAll('device')") == ["h100-pcie", "rtx3090"]
    browser.driver.find_element("css selector", "#devices [aria-label='Remove rtx3090']").click()
    browser.settle()
    assert browser.script("return new URLSearchParams(location.search).getAll('device')") == ["h100-pcie"]


def test_a_point_of_the_roofline_shows_its_layer(browser: Browser, server: Server) -> None:
    opened(browser, server, "model=alexnet&device=rtx3090&view=roofline")
    browser.script("document.getElementById('roofline').emit('plotly_click', {points: [{customdata: 'fc6'}]})")
    row = browser.driver.find_element("css selector", "tr.chosen")
    assert row.text.startswith("fc6")
    assert row.is_displayed()


def test_tables_are_sorted_by_any_column(browser: Browser, server: Server) -> None:
    opened(browser, server, "model=resnet50&device=rtx3090&device=rtx4090&device=a100-sxm4-80gb&view=compare")
    button = browser.driver.find_element("xpath", "//th/button[text()='relative']")
    column = "return [...document.querySelector('#content tbody').rows].map(r => Number(r.cells[5].dataset.v))"
    for down in (False, True):
        button.click()
        values = browser.script(column)
        assert values == sorted(values, reverse=down)


def test_theme_is_remembered_and_a_mistake_is_one_line(browser: Browser, server: Server) -> None:
    opened(browser, server, "model=alexnet&device=rtx3090")
    color = "return getComputedStyle(document.body).backgroundColor"
    light = browser.script(color)
    browser.driver.find_element("css selector", "#theme option[value=dark]").click()
    browser.settle()
    opened(browser, server, "model=alexnet&device=rtx3091")
    assert browser.script(color) != light
    error = browser.driver.find_element("id", "error")
    assert "rtx3091" in error.text
    assert "rtx3090" in error.text


def test_a_language_model_has_its_own_fields_and_curves(browser: Browser, server: Server) -> None:
    opened(browser, server, f"{LANGUAGE}&view=whatif")
    assert "tokens/s" in browser.script("return document.querySelector('.ytitle').textContent")
    titles = [caption.text for caption in browser.driver.find_elements("css selector", "figcaption")]
    assert titles == ["Tokens a second against the batch", "Tokens a second against the context"]
    weights = browser.driver.find_element("css selector", "[name=weights] option[value=q8_0]")
    weights.click()
    browser.settle()
    assert "weights=q8_0" in browser.script("return location.search")
    assert browser.complaints() == []


def test_sliders_of_a_language_model_agree_with_the_command_line(
    browser: Browser, server: Server, cli: Callable[..., Any]
) -> None:
    opened(browser, server, f"{LANGUAGE}&view=answer")
    fields = browser.script("return [...document.querySelectorAll('.knob')].map(k => k.dataset.field)")
    assert fields == ["clock", "bandwidth", "memory", "prompt", "generate", "context"]
    for field, position in (("bandwidth", 0.7), ("prompt", 0.6), ("context", 0.8)):
        slide(browser, field, position)
    query = browser.script("return Object.fromEntries(new URLSearchParams(location.search))")
    words = ["--set", f"bandwidth={query['set.bandwidth']}", "--prompt", query["prompt"], "--context", query["context"]]
    asked = cli("estimate", "llama3-8b", "rtx3090", "--weights", "q4_k_m", *words, "--json")
    assert json.loads(browser.script("return JSON.stringify(window.hwbenchAnswer)")) == json.loads(asked.out)


def test_a_page_is_saved_as_a_report(browser: Browser, server: Server, tmp_path: Path) -> None:
    opened(browser, server, f"{RESNET}&view=answer&set.clock=2GHz")
    response = server.request(browser.script("return document.getElementById('report').getAttribute('href')"))
    assert response.headers["content-disposition"] == 'attachment; filename="hwbench-report.html"'
    (tmp_path / "saved.html").write_bytes(response.read())
    live = browser.script("return document.getElementById('sentence').textContent")
    browser.open(tmp_path / "saved.html")
    assert live in browser.script("return document.getElementById('view-answer').textContent")
    assert "clock set to 2GHz" in browser.script("return document.getElementById('fields').textContent")
    assert browser.script("return document.getElementById('knobs').hidden")
    assert browser.complaints() == []


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_keeps_a_screen_reader_out(browser: Browser, server: Server, theme: str) -> None:
    for query in (*(f"{RESNET}&view={view}" for view in VIEWS), f"{LANGUAGE}&view=answer"):
        opened(browser, server, query)
        browser.script("document.documentElement.dataset.theme = arguments[0]", theme)
        browser.script(AXE.read_text(encoding="utf-8"))
        assert browser.driver.execute_async_script(FINDINGS) == [], query


def test_it_prints_on_a_few_pages(browser: Browser, server: Server) -> None:
    opened(browser, server, "model=alexnet&device=rtx3090&view=answer")
    assert 1 <= browser.printed_pages() <= 3
