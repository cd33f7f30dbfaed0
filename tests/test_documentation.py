"""Every command and every Python block in README and docs is run, and the output shown is what is printed.

`HWBENCH_UPDATE_DOCS=1 pytest tests/test_documentation.py` writes the output anew.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from docs.figures import FIGURES
from docs.schemas import FORMS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"```console\n\$ (hwbench [^\n]*)\n(.*?)```", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
"""A text block that follows shows what the Python block prints."""
SHELL = re.compile(r"```shell\n(.*?)```", re.DOTALL)
MEASURED = re.compile(r"```text\n\$ (hwbench validate --measurements \.\./shared/[^\n]*)\n(.*?)```", re.DOTALL)
"""Output that depends on tables outside the repository: the page may end before the output does."""

GENERATED = {"reference/cli.md", *(f"reference/schemas/{name}.json" for name in FORMS)}
"""Pages that a build of the documentation writes."""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def containing(pattern: re.Pattern[str]) -> list[Path]:
    """Return the pages that have such a block."""
    return [page for page in PAGES if pattern.search(page.read_text(encoding="utf-8"))]


def run(words: list[str]) -> str:
    """Return what Python prints with these arguments, without the user's own catalog and with the tutorials' runs."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HWBENCH_")}
    environment["HWBENCH_RESULTS"] = str(ROOT / "docs" / "tutorials" / "runs")
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(page: Path, fresh: str) -> None:
    """Fail if a page differs from its fresh text, or write that if told to."""
    if os.environ.get("HWBENCH_UPDATE_DOCS"):
        page.write_text(fresh, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == fresh, f"{page.name} shows output that is not printed any more"


def printed(command: str) -> str:
    return run(["-m", "hwbench", *shlex.split(command)[1:]])


@pytest.mark.slow
@pytest.mark.parametrize("page", containing(BLOCK), ids=name)
def test_commands_print_what_the_page_shows(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    fresh = BLOCK.sub(lambda match: f"```console\n$ {match.group(1)}\n{printed(match.group(1))}```", text)
    check(page, fresh)


@pytest.mark.slow
@pytest.mark.parametrize("page", containing(PYTHON), ids=name)
def test_python_runs_as_the_page_shows(page: Path) -> None:
    pytest.importorskip("torch")
    text = page.read_text(encoding="utf-8")
    code = "\nprint(end='\\x1e')\n".join(block for block, _ in PYTHON.findall(text))
    outputs = iter(run(["-W", "error", "-c", code]).split("\x1e"))

    def fresh(match: re.Match[str]) -> str:
        output = next(outputs)
        return match[0] if match[2] is None else f"```python\n{match[1]}```\n\n```text\n{output}```"

    check(page, PYTHON.sub(fresh, text))


@pytest.mark.slow
@pytest.mark.parametrize("page", containing(SHELL), ids=name)
def test_recipes_run_in_an_empty_folder(page: Path, tmp_path: Path) -> None:
    blocks = "\n".join(SHELL.findall(page.read_text(encoding="utf-8")))
    if "torch:" in blocks:
        pytest.importorskip("torch")
    script = f'set -e; hwbench() {{ {shlex.quote(sys.executable)} -m hwbench "$@"; }}\n{blocks}'
    own = {"XDG_CONFIG_HOME": str(tmp_path / "own"), "XDG_DATA_HOME": str(tmp_path / "own"), "PYTHONPATH": str(ROOT)}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HWBENCH_")} | own
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_what_the_script_draws(name: str) -> None:
    check(ROOT / "docs" / "figures" / f"{name}.svg", FIGURES[name]())


def test_every_figure_is_drawn_and_shown() -> None:
    assert {path.stem for path in (ROOT / "docs" / "figures").iterdir()} == set(FIGURES)
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in FIGURES if f"figures/{name}.svg" not in pages] == []


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT.parent / "shared").is_dir(), reason="the measured tables are not part of the project")
def test_replayed_tables_give_what_the_page_shows() -> None:
    page = ROOT / "docs" / "explanation" / "accuracy.md"
    text = page.read_text(encoding="utf-8")
    fresh = text
    for command, shown in MEASURED.findall(text):
        if "--parameters" not in command:  # what is fitted first is for tests/predict/test_ledger.py
            start = "".join(printed(command).splitlines(keepends=True)[: shown.count("\n")])
            fresh = fresh.replace(f"$ {command}\n{shown}", f"$ {command}\n{start}")
    check(page, fresh)


def test_the_readme_states_the_accuracy_that_is_measured() -> None:
    page = (ROOT / "docs" / "explanation" / "accuracy.md").read_text(encoding="utf-8")
    readme = PAGES[0].read_text(encoding="utf-8")
    table = re.findall(r"^\| (\S+ (?:amp|fp32) [^|,]+?)(?:, compiled)? \| (\d+) \| ([\d.]+ %) \|", readme, re.MULTILINE)
    assert len(table) == 7
    for label, count, error in table:
        assert re.search(rf" {re.escape(label)} +{count} +{error} ", page), label


def test_the_readme_is_short() -> None:
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 250


def test_the_readme_shows_the_main_commands() -> None:
    shown = " ".join(match.group(1) for match in BLOCK.finditer(PAGES[0].read_text(encoding="utf-8")))
    assert all(command in shown for command in ("estimate", "peak", "require", "compare"))


def test_the_readme_counts_what_the_catalog_holds() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    devices = len(list((ROOT / "configs" / "devices").glob("*.yaml")))
    assert f"catalog holds {devices} CPUs, GPUs and accelerators" in text
    kinds = [len(list((ROOT / "configs" / kind).glob("*.yaml"))) for kind in ("architectures", "models")]
    counted = f"Catalog of {devices} devices, {kinds[0]} microarchitectures and {kinds[1]} networks"
    assert counted in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_pages_name_exist(page: Path) -> None:
    suffixes = [
        str(path.relative_to(ROOT))
        for folder in ("hwbench", "tests", "benchmarks", "docs")
        for path in (ROOT / folder).rglob("*.py")
    ]
    for name in re.findall(r"`([\w/]+\.py)`", page.read_text(encoding="utf-8")):
        assert any(f"/{path}".endswith(f"/{name}") for path in suffixes), f"{page.name}: {name}"


@pytest.mark.parametrize(
    ("translated", "original"),
    [("README.zh-CN.md", "README.md"), ("docs/zh/alexnet.md", "docs/tutorials/alexnet.md")],
)
def test_translations_have_the_commands_links_and_numbers_of_the_original(translated: str, original: str) -> None:
    texts = [(ROOT / page).read_text(encoding="utf-8") for page in (translated, original)]
    fence = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
    blocks = [fence.findall(text) for text in texts]
    assert blocks[0] == blocks[1]
    links = [set(re.findall(r"\]\([^)]*(?:explanation|howto|reference)/[^)]*\)", text)) for text in texts]
    assert links[0] == links[1]
    prose = [re.sub(r"\]\([^)]*\)|<[^>]*>", "", fence.sub("", text)) for text in texts]
    numbers = [Counter(re.findall(r"\d[\d,.]*\d|\d", text)) for text in prose]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        assert path.exists() or path.relative_to(ROOT / "docs").as_posix() in GENERATED, target


SAMPLES = {
    "count": "count --model lenet5",
    "estimate": "estimate --model alexnet --device rtx3090",
    "peak": "peak --device i7-12700h",
    "require": "require --model alexnet --rate 30/s",
    "devices": "devices show rtx3090",
    "models": "models list",
    "compare": "compare rtx3090 rtx4090 --model alexnet",
    "sweep": "sweep --model alexnet --kind gpu --vendor amd",
    "study clock": "study clock --model alexnet --device i7-6700k",
    "validate": "validate --rows",
    "calibrate": "calibrate --show",
}
"""A quick command for each section of docs/reference/json.md."""


def keys(value: Any) -> set[str]:
    """Return the keys of an answer and of the objects in its lists, two levels deep."""
    result = set(value)
    for item in value.values():
        if isinstance(item, list) and item and isinstance(item[0], dict):
            result |= set(item[0])
    return result


@pytest.mark.slow
@pytest.mark.parametrize("section", SAMPLES)
def test_every_key_is_documented(section: str) -> None:
    page = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    common, *sections = re.split(r"^## (.*)$", page, flags=re.MULTILINE)
    text = dict(zip(sections[::2], sections[1::2], strict=True))[section]
    if section == "devices":
        text += page  # shows what `peak` shows
    answer = json.loads(printed(f"hwbench {SAMPLES[section]} --json"))
    words = set(re.findall(r"[\w-]+", common + text))
    assert keys(answer) <= words


def test_a_word_has_one_definition() -> None:
    text = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert len(set(map(str.lower, words))) == len(words)
    assert words == sorted(words, key=str.lower)
    paragraphs = [entry.strip().split("\n\n") for entry in re.split(r"^### ", text, flags=re.MULTILINE)[1:]]
    assert all(len(entry) == 2 for entry in paragraphs), "a heading and one paragraph"


def test_words_are_explained_where_they_are_used() -> None:
    pytest.importorskip("mkdocs")
    from docs.generated import definitions, on_page_markdown

    assert definitions()["MFU"] == "Model FLOPs utilization"
    assert f"*[time model]: {definitions()['time model']}\n" in on_page_markdown("a page")
