"""One run: what goes into its record, how runs of fresh processes are joined, what stops one."""

import pytest
from msgspec.structs import replace

import hwbench
from hwbench.errors import HwbenchError, InputError
from hwbench.machine.host.describe import host
from hwbench.measure import kernels, session, store
from hwbench.measure.harness import Task
from hwbench.measure.kernels import Benchmark
from hwbench.measure.session import BenchRequest, joined
from hwbench.measure.settings import Settings
from hwbench.notices import notice
from tests.measure.records import a_run, measured


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


def test_joined_runs_state_the_largest_disturbance_once() -> None:
    runs = [a_run(measured(), notices=(notice("other-work", share=share),)) for share in (0.401, 0.4, 0.2)]
    assert [one.data["share"] for one in joined(runs).notices] == [0.401]


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


def test_budgets_leave_room_for_start_and_end() -> None:
    assert BenchRequest().seconds < 90
    assert BenchRequest(quick=True).seconds < 15
    assert BenchRequest(quick=True, budget_s=3.0).seconds == 3.0


@pytest.mark.slow
@pytest.mark.parametrize(("flags", "codes"), [(("avx2",), {"emulated-dtype"}), (("avx512_fp16",), set()), ((), set())])
def test_fp16_without_instructions_is_said_to_be_emulated(
    flags: tuple[str, ...], codes: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = replace(host(), flags=flags)
    monkeypatch.setattr(session, "host", lambda: here)
    request = BenchRequest(
        kernels=("matmul",), dtypes=("fp16",), sizes=((16, 16, 16),), threads=(1,), budget_s=0.3, quick=True
    )
    record = session.bench(request)
    assert {item.code for item in record.notices} & {"emulated-dtype"} == codes


@pytest.mark.parametrize(
    ("kernel", "choice", "text"),
    [
        ("memory", {"dtypes": ("q4_0",)}, "Only fma, gpu, matmul have dtypes, not memory"),
        ("fma", {"sizes": ((8, 8, 8),)}, "Only gpu, matmul have sizes, not fma"),
        ("matmul", {"sizes": ("1024",)}, "'1024' is not a size"),
        ("matmul", {"sizes": ((1, 2),)}, "is not a size"),
        ("matmul", {"sizes": ((1.5, 2, 3),)}, "is not a size"),
        ("matmul", {"sizes": ((1 << 16, 1 << 16, 1 << 16),)}, "takes 48 GiB, more than"),
    ],
)
def test_what_cannot_be_chosen_is_said_in_one_line(kernel: str, choice: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        session.bench(BenchRequest(kernels=(kernel,), budget_s=0.1, quick=True, **choice))


@pytest.mark.parametrize("choice", [{"sizes": "1024"}, {"dtypes": 5}, {"threads": 2}])
def test_choices_are_lists(choice: dict) -> None:
    with pytest.raises(InputError, match="is a list"):
        hwbench.bench("matmul", budget=0.1, **choice)
