"""Every table of the shared data is studied, against plain loops; skipped, saying so, where the folder is missing."""

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from hwbench.study.clock import scores
from hwbench.study.clock.study import study
from hwbench.study.clock.verdict import predictor

FOLDER = Path(__file__).parents[4] / "shared" / "data" / "clock"
ATHLON = "athlon_vs_pentium4_spec2000.csv"
TABLES = {
    ATHLON: {"SPECint2000": 242, "SPECfp2000": 241},
    "cpudb_spec_scores_long.csv": {
        "SPECint1992": 211, "SPECfp1992": 161, "SPECint1995": 295, "SPECfp1995": 260,
        "SPECint2000": 556, "SPECfp2000": 562, "SPECint2006": 329, "SPECfp2006": 325,
    },
    "geekbench6_cpu.csv": {"gb6_single": 927, "gb6_multi": 927},
    "uci_computer_hardware.csv": {"PRP": 209},
}  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no folder {FOLDER}: the shared data are not here"),
]


def records(name: str) -> list[dict[str, str]]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


@pytest.mark.parametrize("name", TABLES)
def test_each_table_is_studied_as_it_stands(name: str) -> None:
    found = study(scores.read(str(FOLDER / name)))
    assert {suite.suite: suite.n for suite in found.suites} == TABLES[name]
    assert found.notices[0].code == "columns-read"
    for suite in found.suites:
        assert suite.microarchitectures is not None
        assert suite.microarchitectures > 2
        assert suite.r2_clock_cv is not None
        assert suite.r2_microarchitecture is not None
        assert suite.r2_clock_cv < suite.r2_clock < suite.r2_microarchitecture
        assert suite.ci is not None
        assert suite.ci[0] <= suite.r2_clock <= suite.ci[1]
        assert predictor(suite.grade) in suite.verdict


PAIRS = [
    ("Athlon,Athlon XP,Athlon MP", "Pentium 4,Pentium 4 EE", "SPECint2000", 1590, 6),
    ("K7", "NetBurst", "SPECint2000", 1590, 6),
    ("K7", "NetBurst", "SPECfp2000", 1815, 0),
    ("Athlon XP", "Pentium 4", "SPECint2000", 832, 6),
    ("Opteron", "Pentium 4", "SPECint2000", None, None),
    ("Opteron", "Pentium 4", "SPECfp2000", None, None),
    ("Pentium M", "Pentium 4", "SPECint2000", None, None),
    ("Pentium M", "Pentium 4", "SPECfp2000", None, None),
]


@pytest.mark.parametrize(("a", "b", "suite", "pairs", "inverted"), PAIRS)
def test_inversions_against_the_pentium_4(a: str, b: str, suite: str, pairs: int | None, inverted: int | None) -> None:
    """By base score; where the issue gives no count, the loop over the file does."""
    rows = [r for r in records(ATHLON) if r["suite"] == suite]
    sides = [[r for r in rows if {r["family"], r["class"]} & set(names.split(","))] for names in (a, b)]
    looped = [
        (float(x["clock_mhz"]) - float(y["clock_mhz"])) * (float(x["basemean"]) - float(y["basemean"])) < 0
        for x, y in itertools.product(*sides)
    ]
    (found,) = study(scores.read(str(FOLDER / ATHLON)), suites=[suite], pairs=[(a, b)]).suites
    (pair,) = found.pairs
    assert (pair.pairs, pair.inverted) == (len(looped), sum(looped))
    if pairs is not None:
        assert (pair.pairs, pair.inverted) == (pairs, inverted)
    elif suite == "SPECint2000":
        assert pair.inverted > 0.4 * pair.pairs  # Opteron and Pentium M invert it often


def test_uci_from_cycle_times() -> None:
    rows = records("uci_computer_hardware.csv")
    clock, score = (np.log([float(r[name]) for r in rows]) for name in ("MYCT", "PRP"))
    (found,) = study(scores.read(str(FOLDER / "uci_computer_hardware.csv"))).suites
    assert found.r2_clock == pytest.approx(np.corrcoef(clock, score)[0, 1] ** 2, abs=1e-9)
    assert found.slope_clock == pytest.approx(-np.polyfit(clock, score, 1)[0], abs=1e-9)


def _values(file: str, suite: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Log of clock and of score, and the microarchitecture of each row of a suite, from the file itself."""
    if file == "geekbench6_cpu.csv":
        rows = [r for r in records(file) if r["family"] and float(r["base_ghz"] or 0) > 0 and float(r[suite] or 0) > 0]
        clock, score, names = "base_ghz", suite, [r["family"].strip() for r in rows]
    elif file == "uci_computer_hardware.csv":
        rows = records(file)
        return -np.log([float(r["MYCT"]) for r in rows]), np.log([float(r[suite]) for r in rows]), [
            r["vendor"] for r in rows
        ]  # fmt: skip
    else:
        rows = [r for r in records(file) if r["suite"] == suite]
        clock, score = "clock_mhz", "basemean"
        names = [r.get("class") or r.get("microarchitecture") or r["code_name"] or r["family"] for r in rows]
    return np.log([float(r[clock]) for r in rows]), np.log([float(r[score]) for r in rows]), names


@pytest.mark.parametrize(("file", "suite"), [(file, suite) for file, suites in TABLES.items() for suite in suites])
def test_every_suite_by_plain_numpy(file: str, suite: str) -> None:
    """R² of one line, with a dummy for each microarchitecture, and of those left out; and every pair."""
    clock, score, names = _values(file, suite)
    (found,) = study(scores.read(str(FOLDER / file)), suites=[suite]).suites
    total = np.sum((score - score.mean()) ** 2)
    assert found.n == len(clock)
    assert found.r2_clock == pytest.approx(np.corrcoef(clock, score)[0, 1] ** 2, abs=1e-9)
    dummies = np.array([[name == other for other in sorted(set(names))] for name in names], dtype=float)
    design = np.column_stack([dummies, clock])
    left = score - design @ np.linalg.lstsq(design, score, rcond=None)[0]
    assert found.r2_microarchitecture == pytest.approx(1 - np.sum(left**2) / total, abs=1e-9)
    wrong = np.empty(len(clock))
    for name in set(names):
        out = np.array([other == name for other in names])
        line = np.polyfit(clock[~out], score[~out], 1)
        wrong[out] = score[out] - np.polyval(line, clock[out])
    assert found.r2_clock_cv == pytest.approx(1 - np.sum(wrong**2) / total, abs=1e-9)
    steps = [np.sign(values[:, None] - values[None, :]) for values in (clock, score)]
    assert found.inversions.inverted == np.sum(steps[0] * steps[1] < 0) / 2
    assert found.inversions.pairs == len(clock) * (len(clock) - 1) / 2


def test_the_boost_clock_of_geekbench_says_something_else() -> None:
    path = str(FOLDER / "geekbench6_cpu.csv")
    base, boost = (study(scores.read(path, clock=clock), ["gb6_single"]).suites[0] for clock in ("base", "boost"))
    assert boost.r2_clock > base.r2_clock
