"""The limit on the CPU time of files: what needs more is refused in one line, and nothing else is touched."""

import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hwbench import api, explore
from hwbench.cli import cpu_limit as limit
from hwbench.cli.cpu_limit import cpu_limit
from hwbench.errors import InputError


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the work of these tests be hwbench's."""
    monkeypatch.setattr(limit, "OURS", (*limit.OURS, __name__.partition(".")[0]))


def work_for_ever() -> None:
    while True:
        pass


def test_code_of_others_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold a lock."""
    monkeypatch.setattr(limit, "OURS", ("hwbench",))
    is_done = False
    with suppress(InputError), cpu_limit("50ms", "x.csv"):  # which its own code may raise at the end
        begin = time.process_time()
        while time.process_time() - begin < 0.2:
            pass
        is_done = True
    assert is_done
    monkeypatch.setattr(limit, "OURS", (__name__.partition(".")[0],))
    with pytest.raises(InputError), cpu_limit("50ms", "x.csv"):
        work_for_ever()


class Finalized:
    def __del__(self) -> None:
        work_for_ever()


def swallow_once() -> None:
    try:
        work_for_ever()
    except BaseException:
        work_for_ever()


def swallow_in_a_finalizer() -> None:
    Finalized()
    work_for_ever()


def time_left(*_files: str, **_options: Any) -> None:
    raise InputError("left", f"{signal.getitimer(signal.ITIMER_PROF)[0] > 0}.")


@pytest.mark.parametrize("work", [work_for_ever, swallow_once, swallow_in_a_finalizer])
def test_work_beyond_the_limit_is_an_error_also_where_the_first_interrupt_is_lost(
    work: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    before, hook = signal.getsignal(signal.SIGPROF), sys.unraisablehook
    with pytest.raises(InputError) as told, cpu_limit("50ms", "x.csv"):
        work()
    assert capsys.readouterr().err == ""
    assert sys.unraisablehook is hook
    assert (told.value.code, told.value.field) == ("over-budget", "budget")
    with cpu_limit(told.value.message.rpartition(" ")[2].rstrip(".")):  # what it proposes is a duration
        pass
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)
    assert signal.getsignal(signal.SIGPROF) is before


def test_without_files_there_is_no_limit() -> None:
    with cpu_limit("50ms", (), None):
        assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


@pytest.mark.parametrize(("words", "function"), [
    ("validate {}", "validate"), ("validate --measurements {}", "validate"), ("calibrate {}", "calibrate"),
    ("study clock --data {}", "study_clock"), ("report {}", "write_report"), ("report --run {}", "write_report"),
    ("report --data {}", "write_report"), ("report --measurements {}", "write_report"),
])  # fmt: skip
def test_commands_that_read_tables_have_the_limit(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, words: str, function: str
) -> None:
    home = explore if function == "write_report" else api
    monkeypatch.setattr(home, function, time_left)
    assert cli(words.format("x.csv")).err == "hwbench: True.\n"
    monkeypatch.setattr(home, function, lambda *_, **__: work_for_ever())
    answer = cli(f"{words.format('x.csv')} --budget 100ms --json")
    assert (answer.code, answer.json["error"]["code"], answer.json["error"]["field"]) == (2, "over-budget", "--budget")


def test_a_table_that_takes_too_long_is_refused(cli: Callable[..., Any], tmp_path: Path) -> None:
    """Rows that differ in their batch alone: nothing that is remembered makes them quick."""
    rows = "".join(f"rtx3090,resnet50,{batch},fp32,1\n" for batch in range(1, 20_000))
    path = tmp_path / "large.csv"
    path.write_text(f"device,model,batch,dtype,time_ms\n{rows}")
    assert len(path.read_bytes()) < 1 << 20
    assert cli("validate", str(path), "--budget", "100ms", "--json").json["error"]["code"] == "over-budget"
