"""Who measures at the same time is noticed from both sides, and nobody else is."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwbench.measure.environment import others

pytest.importorskip("fcntl")
OTHER = """
import sys
from hwbench.measure.environment import others
with others.alone(sys.argv[1]) as alone:
    print(alone())
"""


def other(folder: Path) -> str:
    """What another process says that measures now."""
    done = subprocess.run([sys.executable, "-c", OTHER, str(folder)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_both_of_two_measurements_notice(tmp_path: Path) -> None:
    assert other(tmp_path) == "True"
    with others.alone(str(tmp_path)) as alone:
        assert alone()
        time.sleep(0.01)  # a tick of the clock of files
        assert other(tmp_path) == "False"
        assert not alone()
    assert other(tmp_path) == "True"


def test_nobody_is_noticed_where_there_can_be_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with others.alone(str(tmp_path / "file")) as alone:
        assert alone()
