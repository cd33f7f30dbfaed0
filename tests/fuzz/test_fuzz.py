"""Random cases through every door, and every input that once did harm. `python -m tests.fuzz.run` runs any number."""

import os
from collections.abc import Iterator

import pytest

from tests.fuzz import doors, run
from tests.fuzz.doors import Case

COUNT = int(os.environ.get("HWBENCH_FUZZ", "20000"))
SEED = 20261129
FOUND = {
    f"{path.stem}-{name}": case for path in sorted(run.FOUND.glob("*.json")) for name, case in run.inputs(path).items()
}


@pytest.fixture(scope="module")
def worker() -> Iterator[run.Worker]:
    worker = run.Worker()
    yield worker
    worker.close()


@pytest.mark.parametrize("case", FOUND.values(), ids=FOUND)
def test_what_once_did_harm_does_none(worker: run.Worker, case: Case) -> None:
    assert run.fault(case, worker.run(case)) is None


@pytest.mark.slow
@pytest.mark.no_cover
def test_no_door_lets_harm_in(capsys: pytest.CaptureFixture[str]) -> None:
    tally = run.run(COUNT, SEED, list(doors.DOORS), workers=2)
    with capsys.disabled():
        print("", *tally.lines(), sep="\n")
    assert tally.executions.total() == COUNT
    assert list(tally.faults) == []


@pytest.mark.parametrize("door", doors.DOORS)
def test_a_case_is_the_same_for_the_same_seed(door: str) -> None:
    assert doors.case(door, 5, 9) == doors.case(door, 5, 9)
    assert any(doors.case(door, 5, number) != doors.case(door, 5, 9) for number in range(5))


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ({"code": 0, "out": "fine\n", "err": ""}, None),
        ({"code": 2, "out": "", "err": "hwbench: x.yaml: is empty.\n"}, None),
        ({"code": 2, "out": "", "err": ""}, "no message"),
        ({"code": -6, "out": "", "err": ""}, "abort by signal 6"),
        ({"code": 1, "out": "", "err": "hwbench: internal error 12\n"}, "exit code 1: hwbench: internal error N"),
        ({"code": 0, "out": "\x1b[31m", "err": ""}, "control characters"),
        ({"code": 0, "out": "", "err": "numpy: RuntimeWarning\n"}, "standard error: numpy: RuntimeWarning"),
        ({"code": 0, "out": '{"ratio":NaN}', "err": ""}, "JSON: ValueError"),
        ({"code": 0, "out": "", "err": "", "cpu_s": 11.0}, "slow"),
        ({"code": 0, "out": "", "err": "", "grown": 2 << 30}, "memory"),
    ],
)
def test_faults_are_seen(result: dict[str, object], kind: str | None) -> None:
    case = Case("device YAML", ("peak", "--json"))
    assert run.fault(case, {"cpu_s": 0.0, "grown": 0, **result}) == kind


@pytest.mark.parametrize(
    ("cell", "kind"), [("=1+1", "a formula in a cell of CSV"), ("@sum", "a formula in a cell of CSV"), ("-1.5e9", None)]
)
def test_a_formula_in_a_table_is_seen(cell: str, kind: str | None) -> None:
    result = {"code": 0, "out": f"a,{cell}\n", "err": "", "cpu_s": 0.0, "grown": 0}
    assert run.fault(Case("device YAML", ("compare", "--format", "csv")), result) == kind
