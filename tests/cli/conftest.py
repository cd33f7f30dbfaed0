"""The command line from two sides: called in this process, so that coverage counts, and as a process of its own."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hwbench.cli.main import main
from tests.schemas import check

ROOT = Path(__file__).parents[2]


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on standard output, which its schema describes."""
        assert self.out.endswith("\n")
        assert self.out.count("\n") == 1
        answer = json.loads(self.out)
        check(answer)
        return answer


Run = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _own_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No catalog folder, no saved runs and no color setting of whoever runs the tests."""
    for name in ("HWBENCH_CONFIGS", "NO_COLOR", "COLUMNS", "PYTHONIOENCODING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "no-such-folder"))
    monkeypatch.setenv("HWBENCH_RESULTS", str(tmp_path_factory.mktemp("results")))


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`cli("count --model alexnet")`, or a word an argument: the answer of the command in this process."""

    def run(*words: str) -> Answer:
        arguments = shlex.split(words[0]) if len(words) == 1 else list(words)
        monkeypatch.setattr(sys, "argv", ["hwbench", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return Answer(int(left.value.code or 0), out, err)

    return run


@pytest.fixture
def shell() -> Run:
    """`shell("hwbench devices list | head -1")`: the answer of a shell, for what needs a process; bash it must be."""
    bash = "/bin/bash"
    if not os.path.exists(bash):
        pytest.skip("needs bash")

    def run(command: str, **environment: str) -> Answer:
        own = f"{shlex.quote(sys.executable)} -m hwbench"
        script = f'hwbench() {{ {own} "$@"; }}; {command}'
        known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        done = subprocess.run([bash, "-c", script], capture_output=True, env=known, timeout=60, check=False)
        return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    return run


@pytest.fixture
def lost_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for records that becomes a file as soon as something is measured."""
    from hwbench.measure import harness

    folder, measure = tmp_path / "runs", harness.measure

    def losing(*tasks: Any, **options: Any) -> Any:
        folder.rmdir()
        folder.write_text("")
        return measure(*tasks, **options)

    monkeypatch.setattr(harness, "measure", losing)
    return folder
