"""The figures of the tutorials are what docs/figures.py draws from today's answers, to the byte."""

import importlib
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"

sys.path.append(str(DOCS))
figures = importlib.import_module("figures")
sys.path.remove(str(DOCS))


@pytest.mark.parametrize("name", figures.FIGURES)
def test_the_figure_is_what_the_script_draws(name: str) -> None:
    assert (DOCS / "figures" / f"{name}.svg").read_text(encoding="utf-8") == figures.FIGURES[name]()


def test_every_figure_is_drawn_and_shown() -> None:
    assert {path.stem for path in (DOCS / "figures").iterdir()} == set(figures.FIGURES)
    pages = "".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    assert [name for name in figures.FIGURES if f"figures/{name}.svg" not in pages] == []
