"""Text from somebody's file stays text in a spreadsheet and on a terminal."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TITLE = '=HYPERLINK("http://evil","x")\x9b31m\u202e'


@pytest.fixture(autouse=True)
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a device of that title, in a file whose name is a formula."""
    text = (Path(__file__).parents[2] / "configs" / "devices" / "rtx3090.yaml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith(("title:", "aliases:"))]
    (tmp_path / "=d.yaml").write_text("\n".join([f"title: {json.dumps(TITLE)}", *lines]) + "\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "command", ["compare ./=d.yaml rtx3090 --format csv", "sweep -m lenet5 -d ./=d.yaml --format csv"]
)
def test_what_a_file_says_is_no_formula(command: str, cli: Callable[..., Any]) -> None:
    out = cli(command).out
    cells = [cell for row in csv.reader(io.StringIO(out)) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "@"))]
    assert "'=" in out
    assert out.replace("\n", "").isprintable()


def test_json_holds_no_control_characters(cli: Callable[..., Any]) -> None:
    out = cli("devices show ./=d.yaml --json").out
    assert out.replace("\n", "").isprintable()
    assert "\x9b" in json.loads(out)["title"]
