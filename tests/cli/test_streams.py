"""Streams and surroundings that fail us: closed, full, cut off, interrupted, without a home or a language."""

import errno
import gc
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwbench.__main__ import main as start
from hwbench.cli import output
from hwbench.report.text.layout import Style

pytestmark = pytest.mark.slow

COMMANDS = [
    "estimate --model alexnet --device rtx3090",
    "count --model resnet50 --json",
    "devices list",
    "devices lint",
    "completion bash",
    "devices new my-card",
    "--help",
    "count --help",
    "--version",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_standard_output_is_closed(shell: Callable[..., Any], command: str) -> None:
    answer = shell(f"hwbench {command} >&-")
    assert answer == (2, "", "hwbench: standard output: It is closed.\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_disk_is_full(shell: Callable[..., Any], command: str) -> None:
    answer = shell(f"hwbench {command} > /dev/full")
    assert answer.code == 2
    assert answer.err.startswith("hwbench: standard output: ")
    assert answer.err.endswith("No space left on device.\n")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("command", [*COMMANDS, "estimate --model bert-base --device rtx3090 --layers --json", "nope"])
@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_the_reader_stops_early(shell: Callable[..., Any], command: str, reader: str) -> None:
    answer = shell(f"hwbench {command} | {reader}; exit ${{PIPESTATUS[0]}}")
    assert answer.code in (0, 1, 2, 141)  # 141 where the reader left first
    assert "Traceback" not in answer.err
    assert "Exception ignored" not in answer.err
    assert answer.err.count("\n") <= 1


@pytest.mark.parametrize("form", ["--format csv", "--json"])
def test_more_than_a_pipe_holds_ends_in_silence(shell: Callable[..., Any], form: str) -> None:
    answer = shell(f"hwbench sweep --model alexnet --batch 1..64 {form} | head -c 1; exit ${{PIPESTATUS[0]}}")
    assert (answer.code, answer.err) == (141, "")


def test_the_working_directory_is_gone(shell: Callable[..., Any], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    answer = shell(f"cd {gone} && rmdir {gone} && hwbench report --model lenet5 --device rtx3090")
    assert answer == (2, "", "hwbench: report.html: The file cannot be written: No such file or directory.\n")


def test_a_reader_of_one_line_gets_it(shell: Callable[..., Any]) -> None:
    answer = shell("hwbench estimate --model densenet121 --device rtx3090 --layers | head -1")
    assert answer.out == "DenseNet-121 on rtx3090 · fp32 (convolutions in tf32) · batch 1\n"


@pytest.mark.parametrize("command", ["nope", "count --model nope", "estimate", "", "peak --device x.yaml"])
@pytest.mark.parametrize("target", ["&-", "/dev/full"])
def test_standard_error_fails(shell: Callable[..., Any], command: str, target: str) -> None:
    answer = shell(f"hwbench {command} 2>{target}")
    assert (answer.code, answer.out) == (2, "")
    if command:
        answer = shell(f"hwbench {command} --json 2>{target}")
        assert answer.code == 2
        assert answer.json["error"]["exit_code"] == 2


def test_everything_is_closed(shell: Callable[..., Any]) -> None:
    assert shell("hwbench peak --device rtx3090 <&- >&- 2>&-") == (2, "", "")
    assert shell("hwbench nope --json <&- >&- 2>&-") == (2, "", "")


def test_standard_input_is_closed(shell: Callable[..., Any]) -> None:
    answer = shell("hwbench peak --device rtx3090 <&-")
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize(
    "surroundings",
    [
        "env -u HOME",
        "env -u HOME -u XDG_CONFIG_HOME",
        "env HOME=/nonexistent XDG_CONFIG_HOME=",
        "env HOME= XDG_CONFIG_HOME=/dev/null",
        "env LANG=C LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0",
        "env LANG=xx_YY.nonsense LC_ALL=xx_YY.nonsense",
        "env PYTHONIOENCODING=ascii",
        "env PYTHONIOENCODING=latin-1",
        "env PYTHONIOENCODING=utf-16",
        "env TERM=dumb COLUMNS=none LINES=-1",
        "env NO_COLOR=",
        "env -i PYTHONPATH=$PYTHONPATH",
        "env PYTHONUNBUFFERED=1 PYTHONDEVMODE=1",
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        "estimate --model alexnet --device rtx3090",
        "peak --device rtx3090 --json",
        "devices list --json",
        "count --help",
        "count --model ä",
    ],
)
def test_surroundings(shell: Callable[..., Any], surroundings: str, command: str) -> None:
    python = f"{surroundings} {sys.executable}"
    answer = shell(f"{python} -m hwbench {command}")
    wrong = "ä" in command
    assert answer.code == (2 if wrong else 0), answer.err
    assert answer.err.count("\n") == (1 if wrong and "utf-16" not in surroundings else answer.err.count("\n") * wrong)
    assert "Traceback" not in answer.err
    assert bool(answer.out) != wrong


def test_the_folder_is_gone(shell: Callable[..., Any], tmp_path: Any) -> None:
    (tmp_path / "gone").mkdir()
    answer = shell(f"cd {tmp_path}/gone && rmdir ../gone && hwbench count --model lenet5")
    assert (answer.code, answer.err) == (0, "")


def test_little_memory_is_no_traceback(shell: Callable[..., Any]) -> None:
    answer = shell("ulimit -v 200000; hwbench count --model alexnet")
    assert answer.code in (0, 1)
    assert "Traceback" not in answer.err


WAIT = """
import sys, time
sys.argv = ["hwbench", "devices", "lint", *sys.argv[1:]]
from hwbench.__main__ import main
from hwbench.machine import lint
def forever():
    print("ready", file=sys.stderr, flush=True)
    time.sleep(60)
lint.lint = forever
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_interrupt(arguments: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAIT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "hwbench: interrupted\n"
    assert out == ('{"error":{"code":"failure","message":"interrupted","exit_code":130}}\n' if arguments else "")


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("delay", [0.03, 0.06, 0.12, 0.2])
def test_interrupt_at_any_moment(delay: float) -> None:
    """From the moment that our code runs: before it, the interpreter speaks for itself.

    An interrupt that falls into a weak reference's callback is one that Python reports and forgets: no fault of ours.
    """
    start = "import sys; from hwbench.__main__ import main; sys.stderr.write('here\\n'); sys.stderr.flush(); main()"
    process = subprocess.Popen(
        [sys.executable, "-c", start, "devices", "lint"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    process.stderr.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    if not err.startswith("Exception ignored in"):
        assert process.returncode in (130, 0)
        assert err == ("hwbench: interrupted\n" if process.returncode else "")


def test_interrupt_while_importing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    for name in ("freeze", "set_threshold"):
        monkeypatch.setattr(gc, name, lambda *_: None)
    monkeypatch.setattr("hwbench.cli.main.main", interrupted)
    with pytest.raises(SystemExit) as left:
        start()
    assert left.value.code == 130
    assert capsys.readouterr() == ("", "hwbench: interrupted\n")


class Broken(io.StringIO):
    """A stream that reports a full disk."""

    encoding = "utf-8"

    def write(self, _text: str) -> int:
        """Fails."""
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("stream", "reason"), [(None, "It is closed."), (Broken(), "It cannot be written: No space left")]
)
@pytest.mark.parametrize("command", ["count --model lenet5", "count --model lenet5 --json", "completion fish"])
def test_standard_output_fails_in_this_process(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, command: str, stream: Any, reason: str
) -> None:
    monkeypatch.setattr(sys, "stdout", stream)
    answer = cli(command)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert answer.err.startswith(f"hwbench: standard output: {reason}")


@pytest.mark.parametrize(("columns", "width"), [(0, 100), (20, 40), (80, 80), (500, 120)])
def test_style_of_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, width: int) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((columns, 24)))
    monkeypatch.setenv("TERM", "xterm")
    assert (output.style().width, output.style().color) == (width, True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.style().color
    monkeypatch.setenv("COLUMNS", "70")
    assert output.style().width == 70


def test_a_pipe_is_as_wide_as_the_terminal_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w") as pipe, open(os.devnull, "w") as file:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert output.style() == Style(tables=output.PIPED)  # standard error is no terminal
        monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((80, 24)))
        assert output.style() == Style(width=80)
        monkeypatch.setattr(sys, "stdout", file)
        assert output.style() == Style(tables=output.PIPED)
        monkeypatch.setenv("COLUMNS", "60")
        assert output.style() == Style(width=60)
