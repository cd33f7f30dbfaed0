"""Parts of the clock study by hand: numbers of the verdict, pairs of two classes, what is noticed and refused."""

import msgspec
import pytest

from hwbench.errors import InputError
from hwbench.notices import notice
from hwbench.study.clock import pairs, study, verdict
from hwbench.study.clock.results import Cores, Inversions, Suite
from hwbench.study.clock.scores import ScoreRow, ScoreTable
from tests.study.clock.test_clock import one, simulated


def row(clock: float, score: float, name: str = "red", device: str = "", year: float | None = None) -> ScoreRow:
    return ScoreRow("made", device or f"{name}-{clock}-{score}", clock, score, None, name, year)


@pytest.mark.parametrize(
    ("r2", "grade"),
    [(0.9, "good"), (0.8999, "fair"), (0.7, "fair"), (0.6999, "weak"), (0.4, "weak"), (0.3999, "none")],
)
def test_grades_at_their_ends(r2: float, grade: verdict.Grade) -> None:
    assert verdict.grade(r2) == grade
    assert verdict.predictor(grade) == ("no predictor" if grade == "none" else f"{grade} predictor")
    assert verdict.predictor(grade, article=True) == ("no predictor" if grade == "none" else f"a {grade} predictor")


@pytest.mark.parametrize(
    ("slope", "ends", "text"),
    [
        (1.0, None, "10.0 %"),
        (0.5, (0.0, 2.0), "4.9 % (0.0 to 21.0)"),
        (-1.0, (-2.0, 0.0), "-9.1 % (-17.4 to 0.0)"),
        (99.0, None, f"{100 * (1.1**50 - 1):.1f} %"),
        (-99.0, None, f"{100 * (1.1**-50 - 1):.1f} %"),
    ],
)
def test_what_a_slope_makes_of_a_tenth(slope: float, ends: tuple[float, float] | None, text: str) -> None:
    assert verdict.change(slope, ends) == text


SUITE = one(simulated())
INVERSIONS = Inversions(pairs=1300, inverted=325, equal_clock=50, share=0.26, window_years=None)


def told(**changes: object) -> str:
    return verdict.verdict(msgspec.structs.replace(SUITE, **changes))


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0.0 %"), (0.0004, "0.04 %"), (0.0049, "0.49 %"), (0.005, "0.5 %"), (0.0994, "9.9 %"), (0.1, "10 %"),
        (0.994, "99 %"), (0.995, "99.50 %"), (0.99999, "99.99 %"), (1.0, "100 %"), (-0.05, "-5.0 %"), (-0.2, "-20 %"),
    ],
)  # fmt: skip
def test_only_nothing_is_0_percent_and_only_everything_100(share: float, text: str) -> None:
    assert f" explain {text}" in told(r2_microarchitecture=share, cores=None)


def test_numbers_of_the_verdict() -> None:
    assert SUITE.slope_within is not None
    assert " interval 25 to 75 %)" in told(ci=(0.25, 0.75))
    assert " interval" not in told(ci=None).partition(". Clock alone")[2]
    assert "(R² -25 %, n = 60)" in told(r2_clock_cv=-0.25)
    assert "R² 0.0 %" in told(r2_clock_cv=0.0)
    assert "and 1.0 % where" in told(r2_clock_cv=0.01)
    assert "(n = 60)." in told(r2_clock_cv=None)
    assert "(50 % of rows" in told(r2_microarchitecture_seen=0.5)
    assert " of rows left out" not in told(r2_microarchitecture_seen=None)
    assert "together" not in told(r2_microarchitecture=None)
    cores = Cores(n=60, r2=0.5, r2_cv=None, r2_microarchitecture=None, slope=1.0, slope_interval=None)
    assert "cores explain 50 %." in told(cores=cores)
    assert "cores explain 50 % (of the 59 rows" in told(cores=msgspec.structs.replace(cores, n=59))
    assert "cores explain" not in told(cores=msgspec.structs.replace(cores, r2=None))


def test_counts_of_the_verdict() -> None:
    assert "26 % of 1,250 pairs of different clock (325)." in told(inversions=INVERSIONS, inversions_window=None)
    assert "lower clock wins" not in told(inversions=msgspec.structs.replace(INVERSIONS, share=None))
    for years, words in ((1.0, "1 year"), (2.0, "2 years"), (0.5, "0.5 years")):
        near = Inversions(pairs=1100, inverted=99, equal_clock=10, share=0.09, window_years=years)
        assert f"9.0 % of those at most {words} apart (99 of 1,090)." in told(inversions_window=near)
    without = msgspec.structs.replace(INVERSIONS, window_years=None)
    assert "apart" not in told(inversions=INVERSIONS, inversions_window=without)


def test_slopes_of_the_verdict() -> None:
    ends = msgspec.structs.replace(SUITE.intervals, slope_clock=(-2.0, -0.5), slope_within=None)
    assert "9.1 % higher" not in told(slope_clock=-1.0, intervals=ends)
    assert "10.0 % (4.9 to 21.0) lower where" in told(slope_clock=-1.0, intervals=ends)
    assert "0.0 % (-17.4 to -4.7) higher where" in told(slope_clock=0.0, intervals=ends)
    assert "10.0 % higher within" in told(slope_within=1.0, intervals=ends)
    for lone in ({"microarchitectures": 1}, {"microarchitectures": None}, {"slope_within": None}):
        assert "within a microarchitecture" not in told(**lone)
    assert "within a microarchitecture" in told(microarchitectures=2)


@pytest.mark.parametrize(
    ("ends", "text"),
    [((0.95, 0.99), "judged"), ((0.5, 0.95), "weak to good"), ((0.3, 0.65), "none to weak"), (None, "judged")],
)
def test_grades_that_the_interval_reaches(ends: tuple[float, float] | None, text: str) -> None:
    said = told(intervals=msgspec.structs.replace(SUITE.intervals, r2_clock_cv=ends)).partition(" Clock alone")[0]
    assert text in said
    assert ("interval" in said) == (text != "judged")


def test_pairs_of_two_classes() -> None:
    """Of six pairs one has the same clock; in two the lower clock wins, once on either side."""
    a, b = [row(1, 10), row(2, 20), row(3, 30)], [row(2, 5, "blue"), row(4, 25, "blue")]
    found = pairs.between(a, b, "red", "blue")
    assert (found.rows, found.pairs, found.equal_clock) == ((3, 2), 6, 1)
    assert (found.inverted, found.a_wins, found.share) == (2, 2, 2 / 5)  # (1, 10) and (3, 30) against 5 and 25
    back = pairs.between(b, a, "blue", "red")
    assert (back.inverted, back.a_wins) == (2, 0)
    assert pairs.between(a[:1], [row(1, 7, "blue")], "red", "blue").share is None
    assert pairs.names_in(" Red, ,BLUE,") == {"red", "blue"}


def test_microarchitectures_with_thirty_pairs_the_most_inverted_first() -> None:
    red = [row(1 + i / 10, 10, "red") for i in range(6)]
    blue = [row(2 + i / 10, 10 - (i < 3), "blue") for i in range(5)]
    gray = [row(3 + i / 10, 10 - (i < 2), "gray") for i in range(5)]
    found = pairs.of_microarchitectures([*red, *blue, *gray])
    assert [(one.a, one.b, one.pairs, one.share) for one in found] == [
        ("blue", "red", 30, 0.6),
        ("gray", "red", 30, 0.4),
    ]
    assert pairs.of_microarchitectures([*red[:5], *blue]) == ()
    same = [row(1, 10, name) for name in ("red", "gray") for _ in range(6)]  # no pair of different clocks, so no share
    assert [(one.a, one.share) for one in pairs.of_microarchitectures([*same, *blue])][-1] == ("gray", None)


def test_devices_of_similar_date() -> None:
    rows = [row(1, 2, year=2000.0), row(2, 1, year=2001.0), row(3, 1, year=2001.1), row(4, 1)]
    near = pairs.near(rows, 1.0)
    assert near is not None
    assert near.tolist()[0] == [True, True, False, False]
    assert pairs.near(rows[3:], 1.0) is None


def test_no_more_than_three_striking_pairs_of_which_no_device_is_twice() -> None:
    rows = [row(1 + i, 100 - i, device=f"cpu-{i}") for i in range(10)]
    found = pairs.striking(rows, None)
    assert len(found) == pairs.MAX_STRIKING == 3
    names = [member.device for pair in found for member in (pair.slower, pair.faster)]
    assert len(set(names)) == 6
    assert (found[0].slower.device, found[0].faster.device) == ("cpu-0", "cpu-9")


def labelled(*counts: int) -> list[ScoreRow]:
    """Rows of microarchitectures with so many rows each."""
    names = [f"arch-{number}" for number, count in enumerate(counts) for _ in range(count)]
    return [row(1e9 + 1e7 * i + 1e6 * (i * i % 7), 50 + i + i * i % 11, name) for i, name in enumerate(names)]


@pytest.mark.parametrize(
    ("counts", "noted"),
    [
        ((40,), [notice("one-microarchitecture", name="arch-0")]),
        ((20, 20), [notice("few-microarchitectures", count=2)]),
        ((4,) * 9, [notice("few-microarchitectures", count=9)]),
        ((3,) * 10, []),
        ((20, *[1] * 20), []),
        ((19, *[1] * 20), [notice("rows-alone", alone=20, rows=39)]),
    ],
)
def test_what_is_noticed_of_microarchitectures(counts: tuple[int, ...], noted: list[object]) -> None:
    found = one(tuple(labelled(*counts)))
    assert list(found.notes) == noted
    assert (found.n, found.microarchitectures) == (sum(counts), len(counts))
    assert (found.r2_clock_cv is None) == (len(counts) == 1)


def test_all_rows_are_studied_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "MAX_ROWS", 60)
    assert one(simulated(60)).n == 60
    found = one(simulated(61))
    assert (found.n, found.devices, found.notes[0]) == (60, 60, notice("rows-drawn", drawn=60, rows=61))


def test_cores_need_thirty_rows_that_state_them() -> None:
    rows = simulated(60)

    def found(known: int) -> Cores | None:
        some = [msgspec.structs.replace(one, cores=one.cores if i < known else None) for i, one in enumerate(rows)]
        return one(tuple(some)).cores

    assert found(29) is None
    exact = found(30)
    assert exact is not None
    assert exact.n == 30
    alone = tuple(msgspec.structs.replace(row, microarchitecture="red") for row in rows)
    lone: Suite = one(alone)
    assert lone.cores is not None
    assert (lone.cores.r2_cv, lone.cores.r2_microarchitecture) == (None, None)


def test_suites_are_studied_once_in_the_order_in_which_they_are_named() -> None:
    rows = [msgspec.structs.replace(row, suite=suite) for suite in ("B", "a") for row in simulated()]
    table = ScoreTable("made", tuple(rows))
    assert [suite.suite for suite in study.study(table).suites] == ["B", "a"]
    assert [suite.suite for suite in study.study(table, suites=("A", "b", "a")).suites] == ["a", "B"]


@pytest.mark.parametrize("classes", [("red", " ,"), ("", "red")])
def test_an_empty_class_is_refused(classes: tuple[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        one(simulated(), pairs=[classes])
    assert caught.value.code == "empty-class"


@pytest.mark.parametrize("what", ["clock", "score"])
def test_a_suite_that_does_not_vary_is_refused(what: str) -> None:
    constant = [row(*(1e9 if name == what else 1e9 + i for name in ("clock", "score"))) for i in range(30)]
    kept = [msgspec.structs.replace(one, suite="kept") for one in simulated(30)]
    found = study.study(ScoreTable("made", (*constant, *kept)))
    assert found.notices == (notice("suite-constant", suite="made", what=what),)
