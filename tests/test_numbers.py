"""Numbers in the prose of pages are printed by a block of some page, or have a source that is stated here.

Whole numbers up to 20 and years are left out; so are tables, which name the command that prints them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.parent.name != "decisions"),
]
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.,/#-])\d[\d,]*(?:\.\d+)?(?!\w)")
APART = (
    r"`[^`]*`",
    r"\$\$.*?\$\$",
    r"\$[^$\n]*\$",
    r"\]\([^)]*\)",
    r"https?://\S+",
    r"(?m)^ *\d+\. ",
    r"(?m)^(    |\|).*",
)
"""Parts that are no prose: code, formulas, links, numbers of steps, commands, tables."""
SOURCES = {
    "architecture.md": ("the limit that tests/test_structure.py holds", "390"),
    "explanation/accuracy.md": (
        "Micron's page; tables of llama-bench; fits that were tried; TFLOP/s worked out from the table",
        "7.25 6000 391 504 0.04 0.87 22.2 21.9 134 22 17 19 16 23 64 300 28 137 0.5 0.8 0.3 65 75 84 86",
    ),
    "explanation/clock-and-performance.md": (
        "the submissions that CPU DB collected, a table outside of the repository: tests/study/clock",
        "1,590 1,815 2,605 5,883 159 2,506 5,775",
    ),
    "explanation/counting.md": (
        "published counts: tests/workload; a paper on arXiv",
        "2001.08361 47.655 47,655,157,760 94,447,641,600 875,840",
    ),
    "explanation/language.md": ("python benchmarks/language.py accuracy", "1.10"),
    "explanation/runtimes.md": ("constants of hwbench/measure/inference and engines", "0.001 4,096"),
    "explanation/tools.md": (
        "python benchmarks/counting/counters.py, timm_tables.py, kernels/matmul.py, lowprecision.py and decode.py",
        "0.10 1,018 0.9955 0.976 0.999 3000 0.86 30.9 40.8 42.1 20000 0.92 0.96 0.997 0.97 1.64"
        " 2.02 1.43 1.60 1.13 1.67 0.49 142 1100 126.5 5.2"
        " 53 0.57 0.61 0.53 0.78 0.81 0.87 0.83 0.91 0.85 0.79 0.88 1.55 0.93 1025 0.75",
    ),
    "howto/choose.md": ("an example of a sentence", "1.04"),
    "howto/explore.md": ("python benchmarks/explore.py 10000 50", "547 783"),
    "howto/fleet.md": ("a constant of hwbench/api/sweeps; an address", "500,000 127.0"),
    "howto/meter.md": ("python benchmarks/meter.py", "1.0035"),
    "reference/json.md": ("an example of a fraction", "0.08"),
    "reference/security.md": (
        "limits, which tests/fuzz holds; python -m tests.fuzz.run",
        "20,000 100,000 901 930 400,000 5,000 8,359 5,900 593 1,010",
    ),
    "tutorials/alexnet.md": (
        "worked out by hand on the page, next to the command that checks it",
        "9,216 364 4,096 363 37,748,736 2,400 3,025 169 0.14 73,856 462,422,016",
    ),
    "tutorials/clock.md": ("worked out from the blocks next to it", "3,800,000,000 174 2,800 0.78 1.55"),
    "tutorials/language.md": ("worked out from the blocks next to it", "14.77 360 32,768 42.5"),
    "tutorials/measure.md": ("worked out from the blocks next to it", "0.63"),
    "tutorials/peak.md": ("launches of ResNet-50; worked out from the blocks next to it", "17.5 174"),
    "tutorials/service.md": ("hours of a year; worked out from the blocks next to it", "9.4 8,760"),
}
"""Where numbers are from that no block prints, by page: review each that is added."""


SOURCES["zh/alexnet.md"] = SOURCES["tutorials/alexnet.md"]


def values(text: str) -> set[float]:
    return {float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)}


def printed() -> set[float]:
    """Return the numbers in all blocks of all pages: commands with their output, Python, and commands alone."""
    blocks = [match[0] for page in PAGES for match in FENCE.finditer(page.read_text(encoding="utf-8"))]
    commands = [
        line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("    ")
    ]
    return values("\n".join([*blocks, *commands]))


PRINTED = printed() | {float(len(list(folder.glob("*.yaml")))) for folder in (ROOT / "configs").iterdir()}
"""What blocks print, and how many files the catalog has."""


def stated(page: Path) -> Iterator[str]:
    """Yield the numbers in a page's prose."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for part in APART:
        text = re.sub(
            part, "]" if part.startswith(r"\]") else "", text, flags=re.DOTALL if part.startswith(r"\$\$") else 0
        )
    yield from (match[0].rstrip(",") for match in NUMBER.finditer(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_numbers_in_prose_have_a_source(page: Path) -> None:
    name = page.relative_to(ROOT / "docs").as_posix() if page.is_relative_to(ROOT / "docs") else page.name
    known = PRINTED | values(SOURCES.get(name, ("", ""))[1])
    missing = []
    for number in stated(page):
        value = float(number.replace(",", ""))
        if not (value == int(value) and (value <= 20 or 1980 <= value <= 2030)) and value not in known:
            missing.append(number)
    assert not missing, f"no block prints {', '.join(missing)}: print them, or state in SOURCES where they are from"


def test_sources_are_needed() -> None:
    for name, (_, numbers) in SOURCES.items():
        unused = values(numbers) - {float(number.replace(",", "")) for number in stated(ROOT / "docs" / name)}
        assert not unused, f"{name} has no {unused} any more"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_blocks_end(page: Path) -> None:
    fences = re.findall(r"^ *```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(fences) % 2 == 0
    assert not any(fences[1::2]), "a block begins in another"
