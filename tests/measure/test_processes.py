"""Runs of several processes: their command line, their failures, interrupts and errors."""

import sys
from pathlib import Path

import pytest

from hwbench.errors import HwbenchError, InputError
from hwbench.measure import cluster, processes, session, store
from hwbench.measure.processes import HERE, Setting
from hwbench.measure.record import Record
from hwbench.measure.session import BenchRequest
from hwbench.notices import notice
from tests.measure.records import a_run, measured


def test_a_request_becomes_the_command_line_of_a_process() -> None:
    request = BenchRequest(("clock", "fma"), True, 2.5, (1, 2), ("fp32", "fp64"), ((1, 2, 3), (4, 4, 4)))
    assert processes.arguments(request) == [
        "bench", "--no-save", "clock", "fma", "--json", "--budget", "2.5 s", "--quick", "--threads", "1,2",
        "--dtype", "fp32,fp64", "--size", "1x2x3,4x4x4",
    ]  # fmt: skip
    assert processes.arguments(BenchRequest())[-1] == f"{session.BUDGET_S} s"


class Fake:
    """Processes that answer in turn with what the test gives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: object) -> None:
        self.answers = list(answers)
        self.requests: list[BenchRequest] = []
        self.settings: list[str] = []
        monkeypatch.setattr(processes, "run_process", self)

    def __call__(self, request: BenchRequest, setting: Setting = HERE) -> tuple[Record, bool]:
        self.requests.append(request)
        self.settings.append(setting.name)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, tuple)
        return answer


def test_processes_share_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, *[(a_run(measured()), False)] * 4)
    told: list[int] = []
    whole = processes.bench(BenchRequest(budget_s=8.0), 4, told.append)
    assert [request.budget_s for request in fake.requests] == [2.0] * 4
    assert told == [0, 1, 2, 3]
    assert whole.processes == 4
    assert len(whole.measurements[0].samples) == 12


def test_one_failed_process_is_a_warning_and_all_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    good = (a_run(measured()), False)
    Fake(monkeypatch, HwbenchError("out of memory"), good, good)
    whole = processes.bench(BenchRequest(), 3)
    assert whole.processes == 2
    assert notice("processes-failed", failed=1, count=3, reason="out of memory") in whole.notices
    assert not session.interrupted(whole.measurements)
    Fake(monkeypatch, *[HwbenchError("out of memory")] * 2)
    with pytest.raises(HwbenchError, match="Every process failed: out of memory"):
        processes.bench(BenchRequest(), 2)
    fake = Fake(monkeypatch, InputError("there is no kernel 'x'"))
    with pytest.raises(InputError, match="there is no kernel 'x'"):
        processes.bench(BenchRequest(), 2)
    assert len(fake.requests) == 1


def test_an_interrupt_keeps_the_processes_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    good = (a_run(measured()), False)
    Fake(monkeypatch, good, KeyboardInterrupt())
    whole = processes.bench(BenchRequest(), 5)
    assert session.interrupted(whole.measurements)
    assert notice("processes-interrupted", measured=1, count=5) in whole.notices
    Fake(monkeypatch, good, (a_run(measured(stopped="interrupted")), True))
    assert processes.bench(BenchRequest(), 5).processes == 2
    Fake(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        processes.bench(BenchRequest(), 5)


def test_the_error_of_a_process_is_raised_here() -> None:
    written = '{"error": {"code": "unknown-kernel", "message": "There is no kernel \'x\'.", "exit_code": 2}}'
    with pytest.raises(InputError) as caught:
        store.decode_answer(written, "hwbench: There is no kernel 'x'.\n", 2)
    assert (caught.value.code, caught.value.message) == ("unknown-kernel", "There is no kernel 'x'.")
    with pytest.raises(HwbenchError, match="Killed"):
        store.decode_answer("", "Killed\n", 1)
    with pytest.raises(HwbenchError, match="-9"):
        store.decode_answer("", "", -9)
    run = a_run(measured())
    assert store.decode_answer(store.encode(run), "", 130) == run


def test_a_module_of_the_current_folder_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("msgspec", "click", "numpy", "hwbench"):
        (tmp_path / f"{name}.py").write_text("open('hijacked', 'w')\nraise SystemExit(7)\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        processes.run_process(BenchRequest(kernels=("no-such-kernel",)))
    assert caught.value.code != "failure"
    answer = cluster.run_here((*cluster.BENCH, "no-such-kernel"), 60.0)
    assert answer.code == 2
    assert not (tmp_path / "hijacked").exists()


def test_a_model_is_run_by_the_command_that_runs_models() -> None:
    request = BenchRequest((), True, 2.0, (2,), ("fp32",), model="alexnet", batch=4)
    assert processes.arguments(request) == [
        "run", "--model", "alexnet", "--batch", "4", "--json", "--budget", "2.0 s", "--threads", "2", "--dtype", "fp32",
    ]  # fmt: skip


def test_settings_are_read() -> None:
    assert processes.setting("here") == processes.setting("") == HERE
    found = processes.setting(f"threads=2 python={sys.executable} OMP_NUM_THREADS=1 'A_B=x y'")
    assert (found.threads, found.python, found.variables) == (
        2, sys.executable, {"OMP_NUM_THREADS": "1", "A_B": "x y"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["thread=2", "threads=0", "threads=x", "python=/no/such", "OMP", "'open", "a b=1", "=1"]
)
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        processes.setting(text)
    assert (caught.value.code, caught.value.field) == ("bad-setting", "names")


def test_settings_take_turns_that_a_drift_cannot_favor(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, *[(a_run(measured()), False)] * 6)
    settings, told = [HERE, processes.setting("A=1")], list[int]()
    first, second = processes.in_turns(settings, BenchRequest(budget_s=12.0), 3, told.append)
    assert fake.settings == ["here", "A=1", "A=1", "here", "here", "A=1"]
    assert [request.budget_s for request in fake.requests] == [2.0] * 6
    assert told == [0, 1, 2, 3, 4, 5]
    assert (first.processes, second.processes) == (3, 3)
    assert first.turns == second.turns is not None
    assert first.id != second.id
    assert [run.environment["setting"] for run in (first, second)] == ["here", "A=1"]


def test_an_interrupt_keeps_complete_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    good = (a_run(measured()), False)
    settings = [HERE, processes.setting("A=1")]
    Fake(monkeypatch, good, good, good, KeyboardInterrupt())
    for run in processes.in_turns(settings, BenchRequest(), 3):
        assert run.processes == 1
        assert session.interrupted(run.measurements)
        assert notice("processes-interrupted", measured=1, count=3) in run.notices
    Fake(monkeypatch, good, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        processes.in_turns(settings, BenchRequest(), 3)
    Fake(monkeypatch, good, HwbenchError("No module named hwbench"))
    with pytest.raises(InputError, match="A=1") as caught:
        processes.in_turns(settings, BenchRequest(), 3)
    assert caught.value.code == "setting-failed"
