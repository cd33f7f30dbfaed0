"""One run: what goes into its record, how runs of fresh processes are joined, what stops one."""

import msgspec
import pytest

from hwbench.errors import HwbenchError, InputError
from hwbench.machine.host.describe import host
from hwbench.measure import kernels, processes, session, store
from hwbench.measure.harness import Task
from hwbench.measure.kernels import Benchmark
from hwbench.measure.record import Measurement, Record, Sample
from hwbench.measure.session import BenchRequest, joined, record
from hwbench.measure.settings import Settings
from hwbench.notices import notice


def measured(variant: str = "a", **more: object) -> Measurement:
    return Measurement("made-up", variant, "s", 1.0, (Sample(0.02, 1, 0.02),) * 3, **more)  # type: ignore[arg-type]


def a_run(*measurements: Measurement, **more: object) -> Record:
    found = record(lambda: measurements, host(), (), ("hwbench", "bench"))
    return msgspec.structs.replace(found, **more)


def test_a_record_has_conditions_around_and_a_machine() -> None:
    run = a_run(measured())
    assert run.before["monotonic_s"] <= run.after["monotonic_s"]
    assert run.device == host().device
    assert store.decode(store.encode(run)) == run
    assert not session.interrupted(run.measurements)


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(HwbenchError, match="Nothing was measured"):
        a_run()


def test_wrong_answers_and_interrupts_are_warned_of() -> None:
    run = a_run(measured(checked=False), measured("b", checked=True), measured("c", stopped="interrupted"))
    assert {notice("wrong-answers", kernels=["made-up a"]), notice("interrupted")} <= {*run.notices}
    assert session.interrupted(run.measurements)


ONE, TWO, THREE = (notice("recorded", text=text) for text in ("one", "two", "three"))


def test_joined_runs_number_their_processes() -> None:
    first = a_run(measured(checked=True), measured("b"), notices=(ONE, TWO))
    second = a_run(measured(checked=False, stopped="budget"), notices=(TWO, THREE))
    whole = joined([first, second], ("hwbench", "bench", "--processes", "2"))
    a, b = whole.measurements
    assert [sample.process for sample in a.samples] == [0, 0, 0, 1, 1, 1]
    assert [sample.process for sample in b.samples] == [0, 0, 0]
    assert (a.checked, b.checked) == (False, None)
    assert (a.stopped, b.stopped) == ("budget", "settled")
    assert (whole.processes, whole.before, whole.after) == (2, first.before, second.after)
    assert whole.notices == (ONE, TWO, THREE)
    assert whole.id not in (first.id, second.id)
    with pytest.raises(HwbenchError, match="No process measured anything"):
        joined([])


def _fail(_settings: Settings) -> list[Task]:
    raise InputError("there is no such unit here")


def test_a_kernel_that_cannot_run_is_left_out_aloud_unless_it_was_named() -> None:
    made = Task("made-up", "a", "s", 1.0, lambda repetitions: None)
    settings = Settings((), (), (), host())
    several = (
        Benchmark("bad", "", _fail),
        Benchmark("good", "", lambda settings: [made]),
        Benchmark("gpu", "", _fail, optional=True),
    )
    left_out = notice("kernel-left-out", kernel="bad", reason="there is no such unit here")
    assert kernels.tasks(several, settings, named=False) == ([made], [left_out])
    with pytest.raises(InputError, match="no such unit"):
        kernels.tasks(several, settings, named=True)


def test_kernels_by_name() -> None:
    assert [one.name for one in kernels.select(())] == list(kernels.NAMES)
    assert [one.name for one in kernels.select(("memory", "clock", "clock"))] == ["clock", "memory"]
    with pytest.raises(InputError, match="memry") as caught:
        kernels.select(("memry",))
    assert caught.value.nearest == ("memory",)


def test_rows_are_read_only_off_what_was_measured() -> None:
    assert kernels.rows([measured()]) == []


def test_a_request_becomes_the_command_line_of_a_process() -> None:
    request = BenchRequest(("clock", "fma"), True, 2.5, (1, 2), ("fp32", "fp64"), ((1, 2, 3), (4, 4, 4)))
    assert processes.arguments(request) == [
        "bench", "clock", "fma", "--json", "--no-save", "--budget", "2.5 s", "--quick", "--threads", "1,2",
        "--dtype", "fp32,fp64", "--size", "1x2x3,4x4x4",
    ]  # fmt: skip
    assert processes.arguments(BenchRequest())[-1] == f"{session.BUDGET_S} s"


def test_budgets_leave_room_for_start_and_end() -> None:
    assert BenchRequest().seconds < 90
    assert BenchRequest(quick=True).seconds < 15
    assert BenchRequest(quick=True, budget_s=3.0).seconds == 3.0


class Fake:
    """Processes that answer in turn with what the test gives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: object) -> None:
        self.answers = list(answers)
        self.requests: list[BenchRequest] = []
        monkeypatch.setattr(processes, "run_process", self)

    def __call__(self, request: BenchRequest) -> tuple[Record, bool]:
        self.requests.append(request)
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
