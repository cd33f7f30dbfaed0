"""`hwbench report`: a whole page of real data, in a real browser, and what cannot be reported."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hwbench.machine.host.describe import host
from hwbench.measure import store
from hwbench.measure.environment import machine as environment
from hwbench.measure.record import Measurement, Record, Sample
from hwbench.measure.subject import ForwardPass, LayerSeconds
from hwbench.notices import notice
from tests.browser import Browser
from tests.explore.test_page import AXE, FINDINGS
from tests.explore.test_saved_file import embedded

GOLDEN = Path(__file__).parents[1] / "golden" / "run-1.json"
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
TABLES = """
const value = (cell) => cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
return [...document.querySelectorAll('table')].map(
  (t) => [t.caption.textContent, [...t.tBodies[0].rows].map((row) => [...row.cells].map(value))]);
"""


CROWDED = """
const inside = (box, frame) => box.left >= frame.left - 1 && box.right <= frame.right + 1
  && box.top >= frame.top - 1 && box.bottom <= frame.bottom + 1;
const texts = '.annotation-text, .xtick text, .ytick text, .legendtext, .xtitle, .ytitle';
const told = [];
for (const plot of document.querySelectorAll('.plot')) {
  const frame = plot.getBoundingClientRect(), legend = plot.querySelector('.legend');
  const top = frame.top + plot._fullLayout._size.t;
  if (legend && legend.getBoundingClientRect().bottom > top + 2) told.push(plot.id + ' legend');
  for (const text of plot.querySelectorAll(texts)) {
    if (!inside(text.getBoundingClientRect(), frame)) told.push(plot.id + ' ' + text.textContent);
  }
  const ticks = [...plot.querySelectorAll('.xtick text')].map((t) => t.getBoundingClientRect());
  ticks.sort((a, b) => a.left - b.left);
  for (let i = 1; i < ticks.length; i++) {
    if (ticks[i].left < ticks[i - 1].right && ticks[i].top === ticks[i - 1].top) told.push(plot.id + ' ticks');
  }
}
return told;
"""
"""Texts of figures that are clipped, ticks that touch, and legends that lie over their plots."""


def report(folder: Path, *words: str, results: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HWBENCH_RESULTS": str(results or folder / "no-runs")}
    command = [sys.executable, "-m", "hwbench", "report", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


def made(folder: Path, *words: str) -> tuple[Path, dict[str, Any]]:
    done = report(folder, *words, "-o", "page.html", "--json")
    assert done.returncode == 0, done.stderr
    return folder / "page.html", json.loads(done.stdout)


def test_a_page_is_whole_and_silent(browser: Browser, tmp_path: Path) -> None:
    path, told = made(
        tmp_path, str(GOLDEN), "-m", "alexnet", "-m", "resnet50", "-d", "rtx3090", "-d", "h100-sxm", "--dtype", "fp32"
    )
    assert told["bytes"] == path.stat().st_size < 2.2e6
    views = ["compare", "answer", "roofline", "layers", "whatif", "machine", "clock", "accuracy"]
    assert told["sections"] == views
    for width in (375, 768, 1440, 1920):
        browser.open(path, width)
        assert browser.script(OVERFLOW) <= 0, width
        plots = browser.script("return document.querySelectorAll('.plot').length")
        assert plots >= 12
        assert browser.script("return document.querySelectorAll('.plot[data-drawn=yes] .main-svg').length") >= plots
        assert browser.script(CROWDED) == [], width
    browser.script("window.scrollTo({top: document.body.scrollHeight, behavior: 'instant'})")
    assert 0 < browser.script("return document.querySelector('nav').getBoundingClientRect().bottom") < 80
    assert browser.script("return [...document.querySelectorAll('.view')].map(v => v.dataset.view)") == views
    assert "is expected to run AlexNet (ungrouped) fastest" in browser.script(
        "return document.getElementById('sentence').textContent"
    )
    assert browser.complaints() == []
    assert browser.requests() == []


def test_it_fits_a_mail_and_a_few_sheets(browser: Browser, tmp_path: Path) -> None:
    """One pair takes less than 1.5 MB with everything inside."""
    path, told = made(tmp_path, "-m", "alexnet", "-d", "rtx3090")
    assert told["bytes"] < 1.5e6
    for width in (1440, 375):
        browser.open(path, width)
        assert 3 <= browser.printed_pages() <= 5, width


def test_tables_are_the_embedded_data(browser: Browser, tmp_path: Path) -> None:
    path, _ = made(tmp_path, "-m", "alexnet", "-d", "rtx3090")
    (estimate,) = embedded(path.read_text(encoding="utf-8"), "data")["estimates"]
    browser.open(path)
    tables = dict(browser.script(TABLES))
    layers = tables["Layers of AlexNet (ungrouped) on NVIDIA GeForce RTX 3090"]
    assert [row[0] for row in layers] == [layer["name"] for layer in estimate["layers"]]
    assert [row[3] for row in layers] == [layer["flops"] for layer in estimate["layers"]]
    assert [row[8] for row in layers] == [layer["expected_time_s"] for layer in estimate["layers"]]


def test_another_model_and_device_are_a_click_away(browser: Browser, tmp_path: Path) -> None:
    path, _ = made(tmp_path, "-m", "alexnet", "-m", "llama3-8b", "-d", "rtx3090", "-d", "rtx4090", "--batch", "2")
    browser.open(path)
    heading = "return document.querySelector('#view-answer h3').textContent"
    assert browser.script(heading) == "AlexNet (ungrouped) on NVIDIA GeForce RTX 3090"
    browser.driver.find_element("xpath", "//button[text()='NVIDIA GeForce RTX 4090']").click()
    browser.settle()
    assert browser.script(heading) == "AlexNet (ungrouped) on NVIDIA GeForce RTX 4090"
    browser.driver.find_element("css selector", "#models li:nth-child(2) button").click()
    browser.settle()
    assert "tokens/s" in browser.script("return document.getElementById('view-answer').textContent")
    assert browser.script("return document.getElementById('view-roofline')") is None
    link = browser.script("return location.href")
    browser.driver.back()
    browser.settle()
    assert browser.script(heading) == "AlexNet (ungrouped) on NVIDIA GeForce RTX 4090"
    browser.driver.get(link)
    browser.driver.refresh()
    browser.settle()
    assert "tokens/s" in browser.script("return document.getElementById('view-answer').textContent")
    assert browser.complaints() == []


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_keeps_a_screen_reader_out(browser: Browser, tmp_path: Path, theme: str) -> None:
    path, _ = made(tmp_path, "-m", "alexnet", "-d", "rtx3090", "-d", "rtx4090")
    without_policy = re.sub(r'<meta http-equiv="content-security-policy"[^>]*>', "", path.read_text(encoding="utf-8"))
    path.write_text(without_policy, encoding="utf-8")
    browser.open(path)
    browser.script("document.documentElement.dataset.theme = arguments[0]", theme)
    browser.script(AXE.read_text(encoding="utf-8"))
    assert browser.driver.execute_async_script(FINDINGS) == []


def test_hovering_a_layer_names_it(browser: Browser, tmp_path: Path) -> None:
    path, _ = made(tmp_path, "-m", "alexnet", "-d", "rtx3090")
    browser.open(path)
    browser.script("Plotly.Fx.hover(document.getElementById('roofline'), [{curveNumber: 1, pointNumber: 0}])")
    text = browser.script("return document.querySelector('#roofline .hoverlayer').textContent")
    assert "conv1" in text
    assert "roofline" in text


@pytest.mark.slow
def test_this_machine_is_there_only_where_it_is_asked_for(tmp_path: Path) -> None:
    results = tmp_path / "runs"
    results.mkdir()
    run = timed_here(layers=False)
    (results / f"{run.id}.json").write_text(store.encode(run), encoding="utf-8")
    own = str(run.environment["machine"])
    for words, carried in ((("-d", "rtx3090"), False), (("-d", "rtx3090", "--machine"), True), (("-d", "host"), True)):
        done = report(tmp_path, "-m", "lenet5", *words, "-o", "page.html", "--json", results=results)
        assert done.returncode == 0, done.stderr
        content = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert ("machine" in json.loads(done.stdout)["sections"]) is carried
        assert (own in content, run.id in content) == (carried, carried)


def timed_here(layers: bool) -> Record:
    """A run of alexnet on the machine of this test, in 90 ms, of which its convolutions took 10 ms each."""
    times = tuple(LayerSeconds(f"conv{number}", (0.01, 0.012, 0.008)) for number in range(1, 6))
    subject = ForwardPass("alexnet", 1, "cpu", layers=times if layers else ())
    samples = (Sample(wall_s=0.09, repetitions=1, cpu_s=0.09),) * 5
    one = Measurement("inference", "eager", "s", 1.0, samples, dtype="fp32", subject=subject)
    known = store.load(str(GOLDEN))
    here = {**known.environment, "machine": environment.machine_key(host())}
    return msgspec.structs.replace(known, environment=here, measurements=(one,))


def test_measured_and_predicted_times_are_drawn_together(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(store.encode(timed_here(layers=True)), encoding="utf-8")
    path, _ = made(tmp_path, "run.json", "-m", "alexnet", "-d", "host", "-d", "rtx3090")
    for width in (1440, 375):
        browser.open(path, width)
        assert browser.script(CROWDED) == [], width
    names = "return ['roofline', 'layers'].map((id) => document.getElementById(id).data.map((trace) => trace.name))"
    assert ["measured" in some for some in browser.script(names)] == [True, True]
    (hollow,) = browser.script(
        "return document.getElementById('roofline').data.filter((trace) => trace.name === 'measured')"
    )
    assert len(hollow["y"]) == 5
    assert hollow["y"][0] == pytest.approx(210_830_400 / 0.01)
    assert "5 of 18 layers by hooks" in browser.script("return document.querySelector('#view-answer').textContent")
    browser.driver.find_element("css selector", "#devices li:nth-child(2) button").click()
    browser.settle()
    assert ["measured" in some for some in browser.script(names)] == [False, False]
    text = browser.script("return document.querySelector('#view-answer').textContent")
    assert "It is not NVIDIA GeForce RTX 3090 and is not drawn here" in text
    assert browser.complaints() == []


@pytest.mark.slow
def test_a_run_without_layers_is_one_point(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(store.encode(timed_here(layers=False)), encoding="utf-8")
    path, _ = made(tmp_path, "run.json", "-m", "alexnet", "-d", "host")
    answers = embedded(path.read_text(encoding="utf-8"), "saved")["answers"]
    (figure,) = answers["roofline alexnet host"]["sections"][0]["parts"]
    assert {"the whole, predicted", "the whole, measured"} <= {trace["name"] for trace in figure["traces"]}


def test_names_from_files_are_text(browser: Browser, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=document.title='owned'> \u202e\U0001f999 " + "x" * 10_000
    run = store.load(str(GOLDEN))
    evil = msgspec.structs.replace(
        run,
        id="<script>document.title='owned'</script>",
        command=(hostile,),
        notices=(notice("recorded", text=hostile),),
        measurements=tuple(msgspec.structs.replace(one, variant=hostile) for one in run.measurements),
    )
    (tmp_path / "evil.json").write_text(store.encode(evil), encoding="utf-8")
    model = Path(__file__).parents[2] / "configs" / "models" / "lenet5.yaml"
    text = model.read_text(encoding="utf-8").replace("name: c1", "name: \"<b>c1</b><a href='javascript:alert(1)'>\"")
    assert "javascript" in text
    (tmp_path / "net.yaml").write_text(text, encoding="utf-8")
    path, _ = made(tmp_path, "evil.json", "-m", "net.yaml", "-d", "rtx3090")
    browser.open(path)
    assert "owned" not in browser.script("return document.title")
    assert browser.script("return document.querySelectorAll('main img, main b, main section a').length") == 0
    assert browser.complaints() == []
    assert browser.requests() == []


@pytest.mark.slow
def test_a_hundred_runs_and_two_thousand_layers_make_one_page(tmp_path: Path) -> None:
    run = store.load(str(GOLDEN))
    names = []
    for index in range(100):
        names.append(f"run-{index}.json")
        one: Record = msgspec.structs.replace(run, id=f"{run.id[:15]}-{index:03d}-abcdef")
        (tmp_path / names[-1]).write_text(store.encode(one), encoding="utf-8")
    layers = "\n".join(f"  - linear: {{name: fc{index}, features: 64}}" for index in range(2000))
    (tmp_path / "deep.yaml").write_text(f"title: Deep\ninput: [64]\nlayers:\n{layers}\n", encoding="utf-8")
    path, told = made(tmp_path, *names, "-m", "deep.yaml", "-d", "rtx3090")
    assert told["bytes"] < 8e6
    assert path.read_text(encoding="utf-8").count('"fc1999"') >= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "alexnt"), "alexnet"),
        (("-d", "rtx3091"), "rtx3090"),
        (("missing.json",), "missing.json"),
        (("--data", "missing.csv"), "missing.csv"),
        (("--dtype", "fp32,fp16"), "--dtype"),
        (("-o", "no/such/folder/r.html", "-d", "rtx3090"), "no/such/folder"),
        (tuple(word for _ in range(51) for word in ("-d", "rtx3090")), "more than 50"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = report(tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_a_broken_newest_run_is_noticed_and_left_out(tmp_path: Path) -> None:
    results = tmp_path / "runs"
    results.mkdir()
    (results / "20990101-000000-000-abcdef.json").write_text("{", encoding="utf-8")
    done = report(tmp_path, "-d", "host", results=results)
    assert done.returncode == 0
    assert "left out" in done.stdout
