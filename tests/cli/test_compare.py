"""`hwbench compare` and `hwbench sweep` as people and programs meet them: formats, files, saved runs."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwbench.cli.values import batches as read_batches
from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.measure import processes, store
from hwbench.measure.record import Measurement, Record, Sample
from hwbench.measure.session import BenchRequest


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_has_a_row_a_device_and_batch(cli: Callable[..., Any]) -> None:
    found = _rows(cli("compare rtx3090 i7-12700h --model alexnet --batch 1,8 --format csv").out)
    assert [(row["device"], row["batch"]) for row in found] == [
        ("rtx3090", "1"), ("rtx3090", "8"), ("i7-12700h", "1"), ("i7-12700h", "8"),
    ]  # fmt: skip
    as_json = cli("compare rtx3090 i7-12700h --model alexnet --batch 1,8 --json").json
    for row, timing in zip(found, [t for device in as_json["devices"] for t in device["times"]], strict=True):
        assert float(row["roofline_time_s"]) == timing["roofline_time_s"]
        assert float(row["throughput_per_s_per_w"]) == timing["throughput_per_s_per_w"]
    assert found[0]["ratio"] == ""
    product = 1.0
    for name in ("units", "clock", "flops_per_cycle", "bandwidth", "launches", "efficiency"):
        product *= float(found[2][f"ratio_{name}"] or 1)
    assert float(found[2]["ratio"]) == pytest.approx(product)
    assert float(found[0]["matrix_fp16_flops_per_second"]) == 71.16288e12
    assert found[2]["matrix_fp16_flops_per_second"] == ""


def test_names_or_filters_are_needed(cli: Callable[..., Any]) -> None:
    assert cli("compare --json").json["error"]["code"] == "missing"
    answer = cli("compare --kind gpu --format csv")
    assert [row["device"] for row in _rows(answer.out)] == [
        name for name, device in catalog.devices().items() if device.kind == "gpu"
    ]
    assert all(line.startswith("warning: ") for line in answer.err.splitlines())


def test_names_and_filters_add_up(cli: Callable[..., Any]) -> None:
    found = cli('compare "GeForce RTX 3090" --kind cpu --year 2024 --json').json
    names = [device["name"] for device in found["devices"]]
    assert names[0] == found["baseline"] == "rtx3090"
    assert len(names) > 3
    assert all(device["kind"] == "cpu" and device["released"][:4] == "2024" for device in found["devices"][1:])
    assert len(cli("compare rtx3090 rtx-3090 'RTX 3090' --json").json["devices"]) == 1


def test_the_baseline_in_any_spelling(cli: Callable[..., Any]) -> None:
    found = cli("compare rtx3090 rtx4090 --baseline 'RTX 4090' --json").json
    assert found["baseline"] == "rtx4090"
    assert [one["device"] for one in found["decompositions"]] == ["rtx3090"]


def test_two_files_of_one_name_stay_two(cli: Callable[..., Any], tmp_path: Path) -> None:
    text = (
        "title: A card\nkind: gpu\nvendor: V\nunits: [{architecture: ampere-ga10x, count: 8, clock: {boost: 1 GHz}}]\n"
    )
    (tmp_path / "rtx3090.yaml").write_text(text)
    found = cli("compare", "rtx3090", str(tmp_path / "rtx3090.yaml"), "--json").json
    assert [device["name"] for device in found["devices"]] == ["rtx3090", str(tmp_path / "rtx3090.yaml")]
    assert found["decompositions"][0]["ratio"] == pytest.approx(8 * 1e9 / (82 * 1.695e9))


def test_markdown_is_one(cli: Callable[..., Any], tmp_path: Path) -> None:
    lines = cli("compare rtx3090 apple-m1 --model alexnet --format markdown").out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) > 10
    widths = {line.count("|") - line.count("\\|") for line in table[:4]}
    assert widths == {10}
    text = "title: T\nkind: gpu\nvendor: V\nunits: [{architecture: ampere-ga10x, count: 8, clock: {boost: 1 GHz}}]\n"
    (tmp_path / "a|b*c.yaml").write_text(text)
    odd = cli("compare", str(tmp_path / "a|b*c.yaml"), "--format", "markdown").out
    assert "| a\\|b\\*c |" in odd


def test_sorted(cli: Callable[..., Any]) -> None:
    found = cli("compare --kind gpu --year 2020.. --sort time --model alexnet --batch 64 --json").json["devices"]
    times = [device["times"][0] for device in found if device["times"]]
    values = [timing["expected_time_s"] or timing["roofline_time_s"] for timing in times]
    assert values == sorted(values)


def _run(name: str, rate: float, **environment: Any) -> Record:
    samples = tuple(
        Sample(wall_s=(1 + 0.0003 * number) / rate, repetitions=1, cpu_s=(1 + 0.0003 * number) / rate, process=process)
        for process in range(5)
        for number in range(9)
    )
    kernels = tuple(
        Measurement(
            kernel="matmul", variant=variant, unit="FLOP/s", work=1e9, samples=samples, dtype="fp32", timer="cpu"
        )
        for variant in ("numba", "numpy")
    )
    return Record(name, "2026-11-24T08:00:00+00:00", "0.2.0", ("hwbench", "bench"), environment, {}, {}, kernels)


IDS = ("20261124-080000-000-aaaaaa", "20261124-090000-000-bbbbbb", "20261124-100000-000-cccccc")


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Three runs: of the same speed, and a faster one under another BLAS."""
    monkeypatch.setenv("HWBENCH_RESULTS", str(tmp_path))
    for name, rate, blas in zip(IDS, (1e3, 1e3, 1.2e3), ("OpenBLAS", "OpenBLAS", "MKL"), strict=True):
        store.save(_run(name, rate, versions={"blas": blas}))
    return tmp_path


def test_saved_runs(cli: Callable[..., Any], saved: Path) -> None:
    found = cli(f"compare {IDS[0]} 20261124-09 latest --json").json
    assert found["schema"] == "hwbench.compare-runs/2"
    same, faster = found["comparisons"]
    assert (same["a"], same["b"], faster["b"]) == IDS
    assert [metric["verdict"] for metric in same["metrics"]] == ["equivalent"] * 2
    assert [metric["verdict"] for metric in faster["metrics"]] == ["faster"] * 2
    assert faster["metrics"][0]["ratio"] == pytest.approx(1.2)
    assert faster["geometric_mean"]["ratio"] == pytest.approx(1.2)
    assert [notice["code"] for notice in found["notices"]] == ["same-run", "condition-differs", "not-in-turns"]
    assert cli("compare", str(saved / f"{IDS[0]}.json"), "latest", "--json").json["comparisons"][0] == faster


def test_runs_are_named_listed_compared_by_name_and_removed(cli: Callable[..., Any], saved: Path) -> None:
    assert cli(f"results rename {IDS[0]} before --json").json["name"] == "before"
    cli("results rename latest after")
    (row,) = cli("compare before after --json").json["comparisons"]
    assert (row["a"], row["b"]) == (IDS[0], IDS[2])
    listed = cli("results --json").json["runs"]
    assert [run["name"] for run in listed] == ["before", None, "after"]
    assert [sum(run["grades"].values()) for run in listed] == [len(_run("a", 1.0).measurements)] * 3
    assert all(run["bytes"] > 1000 for run in listed)
    assert cli(f"compare before {IDS[2]} --json").json["comparisons"] == [row]
    assert cli("compare before nobody").code == 2
    assert cli(f"results remove before {IDS[1]} nobody").code == 2
    assert len(store.names()) == 3
    assert len(cli(f"results remove before {IDS[1]} before --json").json["removed"]) == 2
    assert [run["id"] for run in cli("results --json").json["runs"]] == [IDS[2]]
    assert not (saved / f"{IDS[0]}.json").exists()


def test_saved_runs_as_text(cli: Callable[..., Any], saved: Path) -> None:
    lines = cli(f"compare {IDS[0]} latest").out.splitlines()
    assert lines[0] == f"{IDS[2]} against {IDS[0]}"
    conditions, kernels = (
        next(i for i, line in enumerate(lines) if word in line) for word in ("versions.blas", "numba")
    )
    assert conditions < kernels  # what differs in the conditions stands before any number
    assert "faster" in lines[kernels]
    assert max(map(len, lines)) <= 100


def test_runs_without_a_kernel_in_common_are_refused(cli: Callable[..., Any], saved: Path) -> None:
    other = _run("20261124-110000-000-dddddd", 1e3)
    changed = [
        Measurement(**{f: getattr(m, f) for f in m.__struct_fields__} | {"dtype": "fp64"}) for m in other.measurements
    ]
    store.save(Record(other.id, other.created, "0.2.0", (), {}, {}, {}, tuple(changed)))
    answer = cli(f"compare {IDS[0]} {other.id}")
    assert answer.code == 2
    assert "differ in dtype fp32 against fp64" in answer.err


SWEEP = "sweep --model alexnet --device rtx3090 --device i7-12700h --batch 1..50 --dtype fp32"


def test_a_file_holds_what_standard_output_would(cli: Callable[..., Any], tmp_path: Path) -> None:
    place = tmp_path / "points.csv"
    answer = cli(*SWEEP.split(), "-o", str(place))
    assert answer.out.startswith("100 points")
    assert place.read_text() == cli(f"{SWEEP} --format csv").out
    as_json = cli(f"{SWEEP} --json").json
    assert len(as_json["points"]) == as_json["count"] == 100
    told = cli(*SWEEP.split(), "-o", str(tmp_path / "points.json"), "--json").json
    assert (told["count"], told["file"]) == (100, str(tmp_path / "points.json"))
    assert told["front"] == as_json["front"]
    assert json.loads((tmp_path / "points.json").read_text()) == as_json
    assert sorted(path.name for path in tmp_path.iterdir()) == ["points.csv", "points.json"]


def test_a_sweep_that_fails_leaves_the_old_file(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "points.csv"
    place.write_text("old")

    def fail(*_arguments: object) -> None:
        raise InputError("failure", "No more.")

    monkeypatch.setattr("hwbench.report.export.sweep.PointWriter.pieces", fail)
    assert cli(*SWEEP.split(), "-o", str(place)).code == 2
    assert place.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["points.csv"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1", (1,)),
        ("1,8,64", (1, 8, 64)),
        ("1..4", (1, 2, 3, 4)),
        ("8..32:8", (8, 16, 24, 32)),
        (" 2 .. 3 ", (2, 3)),
        ("5..5", (5,)),
    ],
)
def test_batches(text: str, found: tuple[int, ...]) -> None:
    assert tuple(read_batches(text)) == found


class Processes:
    """Fresh processes whose every sample is a little faster with a variable; they hear what is asked for."""

    def __init__(self) -> None:
        self.requests: list[BenchRequest] = []

    def __call__(self, request: BenchRequest, setting: processes.Setting = processes.HERE) -> tuple[Record, bool]:
        self.requests.append(request)
        return _run(store.new_id(), 1.5e11 if setting.variables else 1e11), False


def test_settings_are_measured_in_turns_saved_and_compared(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = Processes()
    monkeypatch.setattr(processes, "run_process", fake)
    words = f"compare --live FAST=1 --kernel matmul --processes 3 --budget 6s --save {tmp_path}"
    found = cli(f"{words} --json").json
    (row,) = found["comparisons"]
    assert (row["names"], row["in_turns"]) == (["here", "FAST=1"], True)
    assert {metric["verdict"] for metric in row["metrics"]} == {"faster"}
    assert "not-in-turns" not in {each["code"] for each in found["notices"]}
    assert (len(fake.requests), fake.requests[0].kernels, fake.requests[0].budget_s) == (6, ("matmul",), 1.0)
    assert sorted(store.names(str(tmp_path))) == sorted((row["a"], row["b"]))
    assert len(found["paths"]) == 2
    again = cli("compare", *found["paths"], "--json").json["comparisons"]
    assert again == found["comparisons"]
    assert cli(f"{words} --no-save").code == 2
    text = cli("compare --live here FAST=1 --processes 2 --no-save").out
    assert text.startswith("FAST=1 against here")
    assert cli("compare --live A=1 --format csv --no-save").code == 2
    for words, dtypes in (("clock", None), ("fma", ("fp32",)), ("clock --dtype bf16", ("bf16",))):
        assert cli(f"compare --live A=1 --kernel {words} --processes 1 --no-save").code == 0
        assert fake.requests[-1].dtypes == dtypes
    assert cli("compare --live A=1 --kernel fma -m alexnet --no-save --json").json["error"]["code"] == "exclusive"
    assert cli("compare --live a=1 --no-save --json").json["error"]["code"] == "bad-setting"
