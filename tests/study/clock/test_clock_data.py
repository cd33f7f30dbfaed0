"""Tables of scores: canonical and other columns, and dirt, each kind noticed."""

from pathlib import Path

import pytest

from hwbench.errors import InputError
from hwbench.notices import notice
from hwbench.study.clock import scores
from hwbench.study.clock.scores import ScoreRow, ScoreTable

HEADER = "suite,device,year,clock_ghz,cores,microarchitecture,score"
GOOD = "s,a cpu,2001,2.4,4,core,100"


def read(
    folder: Path, *lines: str, header: str = HEADER, columns: str | None = None, clock: str = "base"
) -> ScoreTable:
    path = folder / "scores.csv"
    path.write_text("\n".join(["# a comment", header, *lines]) + "\n")
    return scores.read(str(path), columns, clock)


def test_the_canonical_table(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD, "s,another,,3,,,50")
    assert found.rows == (
        ScoreRow("s", "a cpu", 2.4e9, 100.0, 4.0, "core", 2001.0),
        ScoreRow("s", "another", 3e9, 50.0, None, None, None),
    )
    assert found.notices == ()


def test_columns_that_are_not_there_are_unknown(tmp_path: Path) -> None:
    found = read(tmp_path, "a cpu,2.4,100", header="device,clock_ghz,score")
    assert found.rows == (ScoreRow("score", "a cpu", 2.4e9, 100.0),)
    assert found.notices == ()


DIRT = [
    ("s,b,2001,,4,core,100", "row-without-clock", "b"),
    ("s,b,2001,fast,4,core,100", "row-clock-invalid", "b"),
    ("s,b,2001,0,4,core,100", "row-clock-invalid", "b"),
    ("s,b,2001,nan,4,core,100", "row-clock-invalid", "b"),
    ("s,b,2001,inf,4,core,100", "row-clock-invalid", "b"),
    ("s,b,2001,1e25,4,core,100", "row-clock-impossible", "b"),
    ("s,b,2001,2.4,4,core,", "row-without-score", "b"),
    ("s,b,2001,2.4,4,core,-3", "row-score-invalid", "b"),
    ("s,b,2001,2.4,4,core,n/a", "row-score-invalid", "b"),
    (",b,2001,2.4,4,core,7", "row-without-suite", "b"),
    ("s,b,2001,2.4,4,core,7,8", "row-too-long", "line 4"),
    (GOOD, "row-repeated", "line 4"),
    ("s,b,2001,2.4", "row-without-score", "b"),
    (
        "s,b,2001,0.002,4,core,7",
        "row-clock-implausible",
        "b",
    ),
]


@pytest.mark.parametrize(("line", "code", "name"), DIRT)
def test_dirt_is_left_out_and_noticed(line: str, code: str, name: str, tmp_path: Path) -> None:
    found = read(tmp_path, GOOD, line)
    assert [row.device for row in found.rows] == ["a cpu"]
    assert found.notices == (notice(code, rows=1, names=[name]),)


MENDED = [
    (
        "s,b,2001,2800,4,core,7",
        ScoreRow("s", "b", 2.8e9, 7.0, 4.0, "core", 2001.0),
        "row-clock-read-as-mhz",
    ),
    (
        "s,b,2001,2800000000,4,core,7",
        ScoreRow("s", "b", 2.8e9, 7.0, 4.0, "core", 2001.0),
        "row-clock-read-as-hz",
    ),
    (
        "s,b,long ago,2.8,4,core,7",
        ScoreRow("s", "b", 2.8e9, 7.0, 4.0, "core", None),
        "row-year-invalid",
    ),
    (
        "s,b,2001,2.8,many,core,7",
        ScoreRow("s", "b", 2.8e9, 7.0, None, "core", 2001.0),
        "row-cores-invalid",
    ),
]


@pytest.mark.parametrize(("line", "row", "code"), MENDED)
def test_dirt_is_mended_and_noticed(line: str, row: ScoreRow, code: str, tmp_path: Path) -> None:
    found = read(tmp_path, GOOD, line)
    assert found.rows[1] == row
    assert found.notices[0] == notice(code, rows=1, names=["b"])


def test_a_unit_in_the_cell_goes_before_that_of_the_column(tmp_path: Path) -> None:
    found = read(tmp_path, "s,b,2001,2800 MHz,4,core,7", "s,c,2001,3.1GHz,4,core,7")
    assert [row.clock for row in found.rows] == [2.8e9, 3.1e9]
    assert found.notices == ()


YEARS = [
    ("2001", 2001.0),
    ("2001-07", 2001.5),
    ("2001-07-15", 2001.5),
    ("2001.25", 2001.25),
    ("1066", None),
    ("x", None),
]


@pytest.mark.parametrize(("text", "year"), YEARS)
def test_years(text: str, year: float | None, tmp_path: Path) -> None:
    assert read(tmp_path, f"s,b,{text},2.8,4,core,7").rows[0].year == year


def test_a_device_with_two_clocks_may_have_a_turbo_clock(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD, "s,a cpu,2001,3.4,4,core,130", "s,b,2001,3,4,core,7")
    assert len(found.rows) == 3
    assert found.notices == (notice("devices-with-several-clocks", devices=1, names=["a cpu"]),)


def test_the_boost_clock_of_a_catalogued_device_is_replaced(tmp_path: Path) -> None:
    lines = [
        "s,Xeon X5570,2009,3.33,4,nehalem,30",
        "s,Intel Core i7-860,2009,2.8,4,nehalem,30",
        "s,mine,2009,3.33,4,x,30",
    ]
    found = scores.against_catalog(read(tmp_path, *lines))
    assert [row.clock for row in found.rows] == [2.933e9, 2.8e9, 3.33e9]
    assert found.notices == (notice("row-boost-for-base", rows=1, names=["Xeon X5570"]),)


def test_columns_of_another_name(tmp_path: Path) -> None:
    header, mapping = "Vendor,Model,MHz,Points", "device=vendor+model,clock=mhz,score=POINTS"
    found = read(tmp_path, "Intel,386,33,5", header=header, columns=mapping)
    assert found.rows == (ScoreRow("Points", "Intel 386", 33e6, 5.0),)
    columns = ["device=Vendor+Model", "clock=MHz", "score=Points"]
    assert found.notices == (notice("columns-read", columns=columns),)


def test_first_filled_column_unit_and_several_scores(tmp_path: Path) -> None:
    header = "name,cycle,arch,family,one,all"
    mapping = "device=name,clock=cycle:ns,microarchitecture=arch|family,score=one,score=all"
    found = read(tmp_path, "x,10,,old,1,2", "y,20,new,old,,4", header=header, columns=mapping)
    assert [(r.suite, r.device, r.clock, r.microarchitecture, r.score) for r in found.rows] == [
        ("one", "x", 1e8, "old", 1.0), ("all", "x", 1e8, "old", 2.0), ("all", "y", 5e7, "new", 4.0),
    ]  # fmt: skip
    assert notice("row-without-score", rows=1, names=["y"]) in found.notices


def test_the_boost_clock_on_request(tmp_path: Path) -> None:
    header, mapping = "name,base,top,points", "device=name,clock=base:ghz,boost=top:ghz,score=points"
    lines = ("x,2,3,1", "y,2,,1", "z,2,1,1")
    assert [r.clock for r in read(tmp_path, *lines, header=header, columns=mapping).rows] == [2e9, 2e9, 2e9]
    found = read(tmp_path, *lines, header=header, columns=mapping, clock="boost")
    assert [r.clock for r in found.rows] == [3e9, 2e9, 2e9]
    assert notice("row-boost-below-base", rows=1, names=["z"]) in found.notices


BAD = [
    (HEADER, "device=name,clock=clock_ghz,score=score", "unknown-column", "suite"),
    (HEADER, "device=device,clock=clock_gzh,score=score", "unknown-column", "clock_ghz"),
    (HEADER, "device=device,clok=clock_ghz,score=score", "unknown-field", "clock"),
    (HEADER, "device=device,score=score", "columns-missing", None),
    (HEADER, "device", "not-a-mapping", None),
    ("a,b,c", None, "columns-missing", None),
]


@pytest.mark.parametrize(("header", "columns", "code", "nearest"), BAD)
def test_wrong_columns(header: str, columns: str | None, code: str, nearest: str | None, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, GOOD, header=header, columns=columns)
    assert caught.value.code == code
    assert next(iter(caught.value.nearest), None) == nearest


def test_a_file_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("# nothing\n")
    with pytest.raises(InputError) as caught:
        scores.read(str(path))
    assert caught.value.code == "empty-table"
    with pytest.raises(InputError):
        scores.read(str(tmp_path / "none.csv"))
    path.write_text(HEADER + '\ns,"a\0b\n')
    table = scores.read(str(path))
    assert table.rows == ()


def test_a_label_is_a_microarchitecture_its_branch_a_family_or_the_device() -> None:
    row = ScoreRow("s", "Intel Pentium 4 530", 3e9, 1.0, None, "NetBurst:Prescott", None, "Pentium 4")
    assert row.labels == ("netburst:prescott", "netburst", "pentium 4", "intel pentium 4 530")
