"""`hwbench bench`, `results` and `self-check` as processes: what they write, and what happens when they are stopped.

Where they are run matters in test_bench_places.py.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwbench.measure import harness, store

pytestmark = pytest.mark.realtime

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "run-1.json"
QUICK = "bench clock --quick --budget 300ms --threads 1"
KERNELS = os.path.join(tempfile.gettempdir(), f"hwbench-test-kernels-{os.getuid() if hasattr(os, 'getuid') else 0}")


PROGRAM = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from hwbench.__main__ import main; main()"
)
INTERRUPTIBLE = (sys.executable, "-c", PROGRAM)
"""hwbench, also where whoever runs the tests ignores interrupts, as a shell's background jobs do."""


@pytest.fixture(autouse=True)
def _compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", os.environ.get("NUMBA_CACHE_DIR", KERNELS))


def process(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    known = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "hwbench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=known, timeout=240, check=False)


def test_json_has_the_run_and_the_results(cli: Callable[..., Any], tmp_path: Path) -> None:
    found = cli(f"{QUICK} --json --save {tmp_path}").json
    assert found["schema"] == "hwbench.bench/1"
    assert store.load(found["path"]).id == found["run"]["id"]
    assert found["run"]["schema"] == "hwbench.run/2"
    variants = {one["variant"] for one in found["results"] if one["kernel"] == "clock"}
    assert "scalar" in variants
    for one in found["results"]:
        assert {
            "kernel",
            "variant",
            "dtype",
            "isa",
            "threads",
            "size",
            "value",
            "unit",
            "ratio_to_peak",
            "grade",
        } <= set(one)
        assert one["interval"][0] <= one["value"] <= one["interval"][1]
        assert one["unit"] == "Hz"
        assert 1e8 < one["value"] < 1e10


def test_text_names_the_machine_the_kernels_and_the_file(cli: Callable[..., Any], tmp_path: Path) -> None:
    answer = cli(f"{QUICK} --save {tmp_path}")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert any(line.startswith("clock ") for line in lines)
    assert any(line.startswith("scalar ") for line in lines)
    assert f"saved: {store.find('latest', str(tmp_path))}" in lines
    assert max(map(len, lines)) <= 100 or str(tmp_path) in max(lines, key=len)
    shown = cli("results", "show", "latest", "--from", str(tmp_path))
    assert shown.code == 0
    assert [line for line in shown.out.splitlines() if line.startswith(("clock", "scalar", "sse", "avx"))] == [
        line for line in lines if line.startswith(("clock", "scalar", "sse", "avx"))
    ]


def test_nothing_is_saved_where_nobody_wants_it(cli: Callable[..., Any], tmp_path: Path) -> None:
    found = cli(f"{QUICK} --no-save --json")
    assert found.json["path"] is None
    assert store.names() == []


def test_processes_are_joined(cli: Callable[..., Any]) -> None:
    run = cli("bench clock --quick --budget 400ms --threads 1 --processes 2 --no-save --json").json["run"]
    assert run["processes"] == 2
    assert {sample.get("process", 0) for sample in run["measurements"][0]["samples"]} == {0, 1}


def test_a_folder_that_cannot_be_written_is_refused_before_measuring(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(harness, "measure")
    answer = cli(f"{QUICK} --save /proc/nothing/here")
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert answer.err.startswith("hwbench: /proc/nothing/here: ")
    assert cli(f"{QUICK} --save /proc/nothing/here --json").json["error"]["code"] == "not-writable"
    assert "--no-save" not in answer.err
    monkeypatch.setenv("HWBENCH_RESULTS", "/proc/nothing/here")
    answer = cli(QUICK)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert answer.err.startswith("hwbench: --no-save: ")
    assert "/proc/nothing/here" in answer.err


def test_a_folder_that_is_lost_while_measuring_costs_the_record_alone(
    cli: Callable[..., Any], lost_folder: Path
) -> None:
    answer = cli(f"{QUICK} --save {lost_folder}")
    assert answer.code == 2
    assert "\nscalar " in answer.out
    assert answer.err.startswith(f"hwbench: the run was not saved: {lost_folder}: ")
    lost_folder.unlink()
    answer = cli(f"{QUICK} --save {lost_folder} --json")
    assert answer.code == 2
    assert answer.json["results"]
    assert answer.json["path"] is None
    assert "run-not-saved" in [notice["code"] for notice in answer.json["notices"]]


@pytest.mark.parametrize("more", [(), ("--processes", "3")])
def test_an_interrupt_saves_what_was_measured(tmp_path: Path, more: tuple[str, ...]) -> None:
    """Ctrl-C as soon as the first sample can be there; sooner, there is nothing to save and nothing is."""
    slow = "clock fma --budget 60s --json"  # nine rounds of all of them take longer than the first wait
    cli = [*INTERRUPTIBLE, "bench", *slow.split(), "--save", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for wait in (4, 8, 30):
        with subprocess.Popen(
            [*cli, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
        ) as running:  # fmt: skip
            time.sleep(wait)
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
        assert running.returncode == 130
        assert err.decode().startswith("hwbench: interrupted")
        if "run" in (found := json.loads(out)):
            break
        assert store.names(str(tmp_path)) == []
    assert found["path"]
    run = store.load(found["path"])
    assert any(one.stopped == "interrupted" for one in run.measurements)
    assert {"interrupted", "processes-interrupted"} & {notice.code for notice in run.notices}


def test_an_interrupt_at_the_start_is_one_line(tmp_path: Path) -> None:
    command = [*INTERRUPTIBLE, "bench", "--save", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
    ) as running:  # fmt: skip
        time.sleep(0.4)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    if b"Traceback" in err:  # before the first line of ours ran: Python's own
        pytest.skip("the interpreter had not started")
    assert (running.returncode, err.decode().count("\n")) == (130, 1)
    assert store.names(str(tmp_path)) == []


@pytest.mark.parametrize("folder", ["/proc/nothing", "{file}/below"])
def test_a_cache_folder_that_cannot_be_written_costs_time_alone(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("")
    where = folder.format(file=tmp_path / "file")
    arguments = ("bench", "clock", "--quick", "--budget", "100ms", "--threads", "1", "--no-save", "--json")
    done = process(*arguments, NUMBA_CACHE_DIR=where, HOME="/nonexistent")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"]


INPUT = [
    ("bench clok", "unknown-kernel", "KERNELS"),
    ("bench --save here --no-save", "exclusive", "--save"),
    ("bench --budget 1ms", "duration-range", "--budget"),
    ("bench --threads 0", "bad-number", "--threads"),
    ("bench --threads 1,x", "bad-number", "--threads"),
    ("bench clock --threads 4096", "threads-range", "--threads"),
    ("bench matmul --dtype fp33", "unknown-dtype", "--dtype"),
    ("bench matmul --size 0", "bad-number", "--size"),
    ("bench matmul --size 4x4", "bad-size", "--size"),
    ("bench matmul --size 99999999", "bad-number", "--size"),
    ("bench --processes 0", "bad-value", "--processes"),
    ("results shwo", "usage", "results"),
    ("self-check nothing", "unknown-kernel", "KERNELS"),
    ("self-check --pairs 0", "bad-value", "--pairs"),
]


@pytest.mark.parametrize(("command", "code", "field"), INPUT)
def test_wrong_input_is_one_line(cli: Callable[..., Any], command: str, code: str, field: str) -> None:
    answer = cli(f"{command} --json")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert (answer.json["error"]["code"], answer.json["error"]["field"]) == (code, field)


@pytest.mark.parametrize("command", ["results show nowhere.json", "results show 2026", "results path latest"])
def test_a_run_that_is_not_there_is_one_line(cli: Callable[..., Any], command: str) -> None:
    answer = cli(command)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)


def test_results_are_listed_with_what_is_wrong_with_them(cli: Callable[..., Any], tmp_path: Path) -> None:
    where = str(tmp_path)
    assert "There are no saved runs" in cli("results", "list", "--from", where).out
    golden = store.load(str(GOLDEN))
    shutil.copy(GOLDEN, tmp_path / f"{golden.id}.json")
    (tmp_path / "20270101-000000-000-abcdef.json").write_text("{broken")
    lines = cli("results", "list", "--from", where).out.splitlines()
    assert lines[1].split()[0] == golden.id
    assert lines[1].split()[5:8] == ["clock", "4", "C"]
    assert lines[1].endswith(" KiB")
    assert "not the JSON of a saved run" in lines[2]
    runs = cli("results", "list", "--from", where, "--json").json["runs"]
    assert [(one["id"], one["kernels"], one["error"] is None) for one in runs] == [
        (golden.id, ["clock"], True), ("20270101-000000-000-abcdef", [], False),
    ]  # fmt: skip
    assert cli("results", "path", "--from", where).out == f"{where}\n"
    assert cli("results", "path", golden.id[:10], "--from", where).out == f"{tmp_path / golden.id}.json\n"


def test_the_golden_run_looks_as_it_did(cli: Callable[..., Any]) -> None:
    answer = cli("results", "show", str(GOLDEN))
    lines = answer.out.splitlines()
    assert lines[0] == "AMD EPYC · 2026-11-24 09:02:28 UTC · 20261124-090228-825-6ae05a"
    assert "scalar  1   3.61 GHz  0.5 %  3.639 GHz  C" in lines
    assert cli("results", "show", str(GOLDEN), "--json").json["results"][0]["value"] == pytest.approx(3609911425.83)


def test_self_check(cli: Callable[..., Any]) -> None:
    found = cli("self-check --pairs 2 --processes 1 --budget 100ms --json").json
    assert (found["pairs"], found["processes"]) == (2, 1)
    assert 0 <= found["interval"][0] <= found["rate"] <= found["interval"][1] <= 1
    assert found["kernels"] >= 2
