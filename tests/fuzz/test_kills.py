"""A few kills of the commands that write quickly. `python -m tests.fuzz.kills` runs any number, of every command."""

import os
from pathlib import Path
from random import Random

import pytest

from tests.fuzz import kills

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.mark.slow
@pytest.mark.parametrize("name", kills.QUICK)
def test_a_killed_command_leaves_whole_files_and_the_next_no_others(name: str, tmp_path: Path) -> None:
    tally = kills.run(name, 6, 20261130, tmp_path)
    assert (tally.broken, tally.missing, tally.stale, tally.failed) == (0, 0, 0, 0)


@pytest.mark.parametrize("text", ["", '{"half": ', "half"])
def test_half_a_file_is_seen(text: str, tmp_path: Path) -> None:
    place = kills.Place("sweep -o .csv", tmp_path)
    (tmp_path / "runs").mkdir()
    names = ["runs/20261130-000000-000-aaaaaa.json", "out/points.csv", "out/report.html", "trace.json"]
    for name in names:
        (tmp_path / name).write_text(text)
    assert sorted(place.broken()) == sorted(names)


@pytest.mark.slow
def test_a_kill_in_the_middle_of_a_file_is_counted(tmp_path: Path) -> None:
    place = kills.Place("models export -o", tmp_path)
    usual = kills.complete(place)
    assert (usual.code, usual.begun) == (0, 2)
    assert [kills.kill(place, usual, Random(seed)) for seed in range(4)].count(True) > 0
