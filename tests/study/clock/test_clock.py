"""The clock study against an independent computation: dummy variables, loops over pairs, scipy's ranks."""

import functools
import itertools
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from scipy.stats import spearmanr

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.notices import notice
from hwbench.study.clock import peaks, scores, verdict
from hwbench.study.clock import study as clock_study
from hwbench.study.clock.results import Suite
from hwbench.study.clock.scores import ScoreRow, ScoreTable
from hwbench.study.clock.study import MIN_ROWS, study

NAMES = ["red", "green", "blue", "gray"]


def simulated(count: int = 60, seed: int = 0, cores: bool = True) -> tuple[ScoreRow, ...]:
    """Rows of four microarchitectures whose score rises with clock and cores, with noise; clocks repeat."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        group = i % len(NAMES)
        clock = float(random.choice(np.arange(10, 40))) * 1e8
        many = float(random.choice([1, 2, 4, 8]))
        score = 50 * (group + 1) * (clock / 1e9) ** 0.8 * many**0.3 * math.exp(random.normal(0, 0.1))
        year = 2000 + group + random.uniform(0, 2)
        rows.append(ScoreRow("made", f"cpu-{i}", clock, score, many if cores else None, NAMES[group], year, "family"))
    return tuple(rows)


def one(rows: tuple[ScoreRow, ...], **options: object) -> Suite:
    (suite,) = study(ScoreTable("made", rows), **options).suites  # type: ignore[arg-type]
    return suite


def _fit(design: np.ndarray, target: np.ndarray) -> float:
    found = np.linalg.lstsq(design, target, rcond=None)[0]
    return float(1 - np.sum((target - design @ found) ** 2) / np.sum((target - target.mean()) ** 2))


def _columns(rows: tuple[ScoreRow, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    clock = np.log([row.clock / 1e9 for row in rows])
    score, cores = np.log([row.score for row in rows]), np.log([row.cores or 1 for row in rows])
    dummies = np.array([[float(row.microarchitecture == name) for name in NAMES] for row in rows])
    return clock, score, cores, dummies


def test_r_squared_in_sample() -> None:
    rows = simulated()
    found = one(rows)
    clock, score, cores, dummies = _columns(rows)
    ones = np.ones(len(rows))
    assert found.r2_clock == pytest.approx(np.corrcoef(clock, score)[0, 1] ** 2, abs=1e-12)
    assert found.r2_microarchitecture == pytest.approx(_fit(np.column_stack([dummies, clock]), score), abs=1e-12)
    assert found.cores is not None
    assert found.cores.r2 == pytest.approx(_fit(np.column_stack([ones, clock, cores]), score), abs=1e-12)
    everything = _fit(np.column_stack([dummies, clock, cores]), score)
    assert found.cores.r2_microarchitecture == pytest.approx(everything, abs=1e-12)
    assert found.slope_clock == pytest.approx(np.polyfit(clock, score, 1)[0], abs=1e-12)
    within = np.linalg.lstsq(np.column_stack([dummies, clock]), score, rcond=None)[0][-1]
    assert found.slope_within == pytest.approx(within, abs=1e-12)
    with_cores = np.linalg.lstsq(np.column_stack([ones, clock, cores]), score, rcond=None)[0]
    assert found.cores.slope == pytest.approx(with_cores[2], abs=1e-9)
    assert found.spearman == pytest.approx(spearmanr(clock, score).statistic, abs=1e-12)


def test_r_squared_of_microarchitectures_that_were_left_out() -> None:
    rows = simulated()
    found = one(rows)
    clock, score, cores, dummies = _columns(rows)
    designs = {"clock": clock[:, None], "cores": np.column_stack([clock, cores])}
    expected = {}
    for name, design in designs.items():
        wrong = np.empty(len(rows))
        for label in NAMES:
            out = np.array([row.microarchitecture == label for row in rows])
            full = np.column_stack([np.ones(len(rows)), design])
            fitted = np.linalg.lstsq(full[~out], score[~out], rcond=None)[0]
            wrong[out] = score[out] - full[out] @ fitted
        expected[name] = 1 - np.sum(wrong**2) / np.sum((score - score.mean()) ** 2)
    assert found.r2_clock_cv == pytest.approx(expected["clock"], abs=1e-12)
    assert found.cores is not None
    assert found.cores.r2_cv == pytest.approx(expected["cores"], abs=1e-12)

    wrong = np.empty(len(rows))
    for index, label in enumerate(NAMES):
        out = np.array([row.microarchitecture == label for row in rows])
        design = np.column_stack([np.delete(dummies, index, axis=1), clock])
        fitted = np.linalg.lstsq(design[~out], score[~out], rcond=None)[0]
        wrong[out] = score[out] - fitted[:-1].mean() - fitted[-1] * clock[out]
    unseen = 1 - np.sum(wrong**2) / np.sum((score - score.mean()) ** 2)
    assert found.r2_microarchitecture_cv == pytest.approx(unseen, abs=1e-12)


def test_r_squared_of_rows_that_were_left_out_one_at_a_time() -> None:
    rows = simulated(32)
    clock, score, _, dummies = _columns(rows)
    design = np.column_stack([dummies, clock])
    wrong = []
    for i in range(len(rows)):
        others = np.arange(len(rows)) != i
        wrong.append(score[i] - design[i] @ np.linalg.lstsq(design[others], score[others], rcond=None)[0])
    expected = 1 - np.sum(np.square(wrong)) / np.sum((score - score.mean()) ** 2)
    assert one(rows).r2_microarchitecture_seen == pytest.approx(expected, abs=1e-9)


def test_inversions_pair_by_pair() -> None:
    rows = simulated(48)
    found = one(rows, window=0.5)
    pairs = list(itertools.combinations(rows, 2))
    inverted = [(a, b) for a, b in pairs if (a.clock - b.clock) * (a.score - b.score) < 0]
    assert found.inversions.pairs == len(pairs)
    assert found.inversions.inverted == len(inverted)
    assert found.inversions.equal_clock == sum(a.clock == b.clock for a, b in pairs) > 0
    assert found.inversions.share == len(inverted) / (len(pairs) - found.inversions.equal_clock)
    window = found.inversions_window
    assert window is not None
    assert window.inverted == sum(abs(a.year - b.year) <= 0.5 for a, b in inverted)  # type: ignore[operator]
    assert window.pairs == sum(abs(a.year - b.year) <= 0.5 for a, b in pairs)  # type: ignore[operator]
    for between in found.between:
        sides = [[row for row in rows if row.microarchitecture == name] for name in (between.a, between.b)]
        crossed = list(itertools.product(*sides))
        lower = [(a, b) for a, b in crossed if (a.clock - b.clock) * (a.score - b.score) < 0]
        assert (between.pairs, between.inverted) == (len(crossed), len(lower))
        assert between.a_wins == sum(a.clock < b.clock for a, b in lower)
    assert len(found.between) == 6


def test_the_most_striking_pairs_are_inversions_of_similar_date_that_no_other_beats() -> None:
    rows = simulated(48)
    found = one(rows)

    def gap(a: ScoreRow, b: ScoreRow) -> float:
        return math.log(b.clock / a.clock) * math.log(a.score / b.score)

    lower = [
        (gap(a, b), a.device, b.device)
        for a, b in itertools.permutations(rows, 2)
        if a.clock < b.clock and a.score > b.score and abs((a.year or 0) - (b.year or 0)) <= 1
    ]
    first = found.striking[0]
    assert (first.slower.device, first.faster.device) == max(lower)[1:]
    devices = [member.device for pair in found.striking for member in (pair.slower, pair.faster)]
    assert len(set(devices)) == len(devices) == 6
    for pair in found.striking:
        assert pair.slower.clock < pair.faster.clock
        assert pair.slower.score > pair.faster.score


def test_pairs_of_classes_by_microarchitecture_family_or_device() -> None:
    rows = simulated(40)
    assert one(rows, pairs=[("RED", "blue, gray")]).pairs[0].rows == (10, 20)
    assert one(rows, pairs=[("cpu-0", "cpu-1")]).pairs[0].pairs == 1
    with pytest.raises(InputError) as caught:
        one(rows, pairs=[("red", "bleu")])
    assert (caught.value.code, caught.value.field, caught.value.nearest[0]) == ("unknown-class", "pairs", "blue")
    with pytest.raises(InputError) as caught:
        one(rows, pairs=[("red", "family")])
    assert caught.value.code == "classes-overlap"


def test_a_perfect_clock_is_a_good_predictor_and_noise_is_not() -> None:
    rows = tuple(
        ScoreRow("made", f"cpu-{i}", 1e9 + 1e7 * i, 2.0 * (1e9 + 1e7 * i), 1.0, NAMES[i % 4], 2000.0) for i in range(40)
    )
    found = one(rows)
    assert found.r2_clock == pytest.approx(1)
    assert found.r2_clock_cv == pytest.approx(1)
    assert found.slope_clock == pytest.approx(1)
    assert found.grade == "good"
    assert found.inversions.inverted == 0
    assert found.striking == ()
    assert found.cores is None  # one core everywhere
    random = np.random.default_rng(1)
    noise = tuple(
        ScoreRow("made", r.device, r.clock, float(random.uniform(1, 9)), None, r.microarchitecture) for r in rows
    )
    found = one(noise)
    assert found.grade == "none"
    assert found.r2_clock < 0.2
    assert found.inversions.share == pytest.approx(0.5, abs=0.15)
    assert found.inversions_window is None
    assert "year" not in found.verdict


def test_a_lower_slope_where_the_story_is_reversed() -> None:
    """Faster clocks with lower scores: rank correlation and slopes are negative, nearly all pairs are inversions."""
    rows = tuple(ScoreRow("made", f"cpu-{i}", 1e9 + 1e7 * i, 1e3 / (1 + i), None, NAMES[i % 4]) for i in range(40))
    found = one(rows)
    assert found.spearman == pytest.approx(-1)
    assert found.slope_clock < 0
    assert found.inversions.share == 1
    assert " lower" in found.verdict


def test_one_microarchitecture_says_nothing_of_others() -> None:
    rows = tuple(row for row in simulated(160) if row.microarchitecture == "red")
    found = one(rows)
    assert len(rows) == 40
    assert found.microarchitectures == 1
    assert found.r2_clock_cv is None
    assert found.r2_microarchitecture is None
    assert found.intervals.r2_clock_cv is None
    assert found.ci is not None
    assert found.ci[0] < found.r2_clock < found.ci[1]
    assert found.notes == (notice("one-microarchitecture", name="red"),)


def test_no_microarchitecture_at_all() -> None:
    rows = tuple(ScoreRow("made", row.device, row.clock, row.score) for row in simulated())
    found = one(rows)
    assert found.microarchitectures is None
    assert found.between == ()
    assert found.notes == (notice("no-microarchitecture-known"),)


def test_rows_without_a_microarchitecture_are_left_out() -> None:
    rows = simulated(60)
    more = tuple(ScoreRow("made", f"odd-{i}", 2e9, 100.0 + i) for i in range(7))
    found = one((*rows, *more))
    assert found.n == 60
    assert notice("rows-without-microarchitecture", rows=7) in found.notes
    assert found.r2_clock == one(rows).r2_clock


def test_refuses_below_thirty_rows() -> None:
    rows = simulated(29)
    with pytest.raises(InputError) as caught:
        one(rows)
    assert caught.value.code == "nothing-to-study"
    others = tuple(
        ScoreRow("other", row.device, row.clock, row.score, None, row.microarchitecture) for row in simulated(30)
    )
    found = study(ScoreTable("made", (*rows, *others)))
    assert [suite.suite for suite in found.suites] == ["other"]
    assert found.notices == (notice("suite-too-small", suite="made", rows=29, minimum=MIN_ROWS),)
    with pytest.raises(InputError, match="the same clock in every row"):
        one(tuple(ScoreRow("made", f"c{i}", 1e9, 1.0 + i) for i in range(30)))
    with pytest.raises(InputError) as caught:
        study(ScoreTable("made", simulated()), suites=["mde"])
    assert (caught.value.code, caught.value.nearest) == ("unknown-suite", ("made",))
    with pytest.raises(InputError) as caught:
        study(ScoreTable("empty", ()))
    assert caught.value.code == "nothing-to-study"


def test_a_study_can_be_repeated() -> None:
    assert one(simulated()) == one(simulated())


def test_the_verdict_has_the_numbers_in_it() -> None:
    found = one(simulated())
    assert f"{100 * found.r2_clock:.0f} %" in found.verdict
    assert f"n = {found.n})" in found.verdict
    assert verdict.predictor(found.grade) in found.verdict
    assert f"{found.inversions.inverted:,}" in found.verdict
    assert found.grade == verdict.grade(found.r2_clock_cv or 0)


@pytest.mark.parametrize(
    ("r2", "grade", "words"),
    [
        (1.0, "good", "good predictor"),
        (0.89, "fair", "fair predictor"),
        (0.5, "weak", "weak predictor"),
        (-3.0, "none", "no predictor"),
    ],
)
def test_grades(r2: float, grade: verdict.Grade, words: str) -> None:
    assert verdict.grade(r2) == grade
    assert verdict.predictor(grade) == words


@pytest.mark.slow
def test_the_catalog_has_rows_enough_in_each_suite() -> None:
    table = scores.of_catalog(catalog.devices().values())
    found = study(table)
    assert {suite.suite: suite.n >= MIN_ROWS for suite in found.suites} == dict.fromkeys(
        ("SPECfp2000", "SPECfp2006", "SPECint2000", "SPECint2006"), True
    )
    assert found.notices == ()
    assert all(row.year and row.cores and row.microarchitecture for row in table.rows)


@functools.cache
def files_of_devices() -> dict[Path, dict[str, Any]]:
    """Return what is in the YAML files, as PyYAML alone reads them."""
    paths = sorted((Path(__file__).parents[3] / "configs" / "devices").glob("*.yaml"))
    return {path: yaml.load(path.read_bytes(), yaml.CSafeLoader) for path in paths}


@pytest.mark.parametrize("suite", ["SPECint2000", "SPECfp2000", "SPECint2006", "SPECfp2006"])
def test_the_catalog_by_plain_numpy(suite: str) -> None:
    """Straight from the YAML files: R² of one line, with dummies, of microarchitectures left out, and every pair."""
    rows = []
    for path, device in files_of_devices().items():
        units = device.get("units")
        if not units:  # an accelerator
            continue
        assert not device.get("scores") or len(units) == 1, path  # no hybrid is scored here
        number, unit = units[0]["clock"].get("base", "0 GHz").split()
        hertz = float(number) * {"GHz": 1e9, "MHz": 1e6}[unit]
        rows += [(hertz, s["score"], units[0]["architecture"]) for s in device.get("scores", ()) if s["suite"] == suite]
    clock, score = np.log([row[0] for row in rows]), np.log([row[1] for row in rows])
    names = sorted({row[2] for row in rows})
    dummies = np.array([[row[2] == name for name in names] for row in rows], dtype=float)
    (found,) = study(scores.of_catalog(catalog.devices().values()), suites=[suite]).suites
    assert found.n == len(rows)
    assert found.r2_clock == pytest.approx(_fit(np.column_stack([np.ones(len(rows)), clock]), score), abs=1e-9)
    assert found.r2_microarchitecture == pytest.approx(_fit(np.column_stack([dummies, clock]), score), abs=1e-9)
    wrong = np.empty(len(rows))
    for index in range(len(names)):
        out = dummies[:, index] == 1
        wrong[out] = score[out] - np.polyval(np.polyfit(clock[~out], score[~out], 1), clock[out])
    unseen = 1 - np.sum(wrong**2) / np.sum((score - score.mean()) ** 2)
    assert found.r2_clock_cv == pytest.approx(unseen, abs=1e-9)
    lower = sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for a, b in itertools.combinations(rows, 2))
    assert found.inversions.inverted == lower


def test_a_catalogued_score_takes_the_clock_of_the_fastest_cores() -> None:
    (device,) = [d for name, d in catalog.devices().items() if name == "xeon-x5570"]
    rows = scores.of_catalog([device]).rows
    assert {row.clock for row in rows} == {2.933e9}
    assert {row.clock for row in scores.of_catalog([device], "boost").rows} == {3.33e9}
    assert {row.cores for row in rows} == {4.0}


def test_peaks_are_units_times_clock_times_width() -> None:
    views = {view.kind: view for view in peaks.peak_views(catalog.devices().values())}
    for view in views.values():
        assert view.r2_product == pytest.approx(1, abs=1e-12)
        assert sum(view.shares.values()) == pytest.approx(1)
        assert view.r2_clock is not None
        assert view.r2_clock_units is not None
        assert view.r2_clock < view.r2_clock_units < 1
    assert views["all"].n == views["cpu"].n + views["gpu"].n


def test_rows_that_are_alone_of_their_microarchitecture() -> None:
    rows = tuple(msgspec.structs.replace(row, microarchitecture=row.device) for row in simulated(40))
    found = one(rows)
    assert found.microarchitectures == 40
    assert found.r2_microarchitecture is None  # an effect for each row explains everything, and nothing
    assert found.slope_within is None
    assert found.notes == (notice("rows-alone", alone=40, rows=40),)


def test_more_rows_than_can_be_paired_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_study, "MAX_ROWS", 40)
    found = one(simulated(60))
    assert found.n == 40
    assert notice("rows-drawn", drawn=40, rows=60) in found.notes


def test_the_number_of_suites_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(msgspec.structs.replace(row, suite=suite) for suite in "abc" for row in simulated())
    monkeypatch.setattr(clock_study, "MAX_SUITES", 2)
    with pytest.raises(InputError) as caught:
        study(ScoreTable("made", rows))
    assert caught.value.code == "too-many-suites"
    assert len(study(ScoreTable("made", rows), suites=("a", "b")).suites) == 2
