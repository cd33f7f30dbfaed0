"""Every command line in README and docs is run, and its output shown there is what it prints.

`HWBENCH_UPDATE_DOCS=1 pytest tests/test_documentation.py` writes the output anew.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"```console\n\$ (hwbench [^\n]*)\n(.*?)```", re.DOTALL)


def run(command: str) -> str:
    words = [sys.executable, "-m", "hwbench", *shlex.split(command)[1:]]
    environment = {key: value for key, value in os.environ.items() if key != "HWBENCH_CONFIGS"}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_print_what_the_page_shows(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    fresh = BLOCK.sub(lambda match: f"```console\n$ {match.group(1)}\n{run(match.group(1))}```", text)
    if os.environ.get("HWBENCH_UPDATE_DOCS"):
        page.write_text(fresh, encoding="utf-8")
        text = fresh
    assert text == fresh, f"{page.name} shows output that is not printed any more"


def test_the_readme_shows_the_main_commands() -> None:
    shown = " ".join(match.group(1) for match in BLOCK.finditer(PAGES[0].read_text(encoding="utf-8")))
    assert all(command in shown for command in ("estimate", "count", "peak", "require"))


def test_the_readme_counts_what_the_catalog_holds() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    devices = len(list((ROOT / "configs" / "devices").glob("*.yaml")))
    assert f"catalog holds {devices} CPUs and GPUs" in text
    kinds = [len(list((ROOT / "configs" / kind).glob("*.yaml"))) for kind in ("architectures", "models")]
    counted = f"Catalog of {devices} devices, {kinds[0]} microarchitectures and {kinds[1]} networks"
    assert counted in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
