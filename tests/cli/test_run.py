"""`hwbench run`, `explain` and measured devices on the command line. Needs torch."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hwbench.machine.host.describe import host
from hwbench.measure import store
from hwbench.measure.environment import machine as environment
from hwbench.measure.record import Measurement, Record, Sample
from hwbench.measure.subject import ForwardPass

pytest.importorskip("torch")
pytestmark = pytest.mark.realtime

KEYS = {
    "model", "device", "runtime", "software", "dtype", "precision", "default_precision", "batch", "threads",
    "time_s", "interval_s", "interval_level",
    "throughput_per_s", "flops", "traffic_bytes", "achieved_flops_per_second", "peak_flops_per_second", "peak",
    "bandwidth_bytes_per_second", "utilization", "ideal_time_s", "roofline_time_s", "roofline_ratio",
    "expected_time_s", "expected_interval_s", "expected_ratio", "grade", "reasons", "samples", "checked", "layers",
    "between_s",
}  # fmt: skip


def test_json_of_one_run(cli: Callable[..., Any]) -> None:
    answer = cli("run --model lenet5 --threads 1 --budget 300ms --json")
    assert (answer.code, answer.err) == (0, "")
    found = answer.json
    assert list(found)[:3] == ["schema", "hwbench_version", "warnings"]
    assert found["schema"] == "hwbench.inference/1"
    assert set(found) >= KEYS | {"path", "run"}
    assert (found["model"], found["device"], found["dtype"], found["batch"]) == ("lenet5", "host", "fp32", 1)
    assert (found["threads"], found["flops"], found["checked"], found["path"]) == (1, 833040, True, None)
    assert found["interval_s"][0] <= found["time_s"] <= found["interval_s"][1]
    assert found["achieved_flops_per_second"] == pytest.approx(833040 / found["time_s"])
    assert found["utilization"] == pytest.approx(found["achieved_flops_per_second"] / found["peak_flops_per_second"])
    (measurement,) = found["run"]["measurements"]
    assert (measurement["kernel"], measurement["subject"]["model"]) == ("inference", "lenet5")


def test_json_of_several_runs_and_their_record(cli: Callable[..., Any], tmp_path: Path) -> None:
    command = f"run --model lenet5 --threads 1 --batch 1,3 --dtype fp32,bf16 --budget 300ms --save {tmp_path} --json"
    answer = cli(command)
    assert (answer.code, answer.err) == (0, "")
    found = answer.json
    assert found["schema"] == "hwbench.inferences/1"
    assert [(one["dtype"], one["batch"]) for one in found["runs"]] == [
        ("fp32", 1),
        ("fp32", 3),
        ("bf16", 1),
        ("bf16", 3),
    ]
    kept = store.load(found["path"])
    assert {one.size for one in kept.measurements} == {"lenet5 batch 1", "lenet5 batch 3"}
    assert {one.kernel for one in kept.measurements} == {"inference"}
    assert json.loads(Path(found["path"]).read_text())["id"] == kept.id


def test_runtimes_are_compared(cli: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    command = "run --model lenet5 --runtime torch,onnxruntime --dtype fp32,bf16 --threads 1 --budget 500ms"
    answer = cli(f"{command} --save {tmp_path} --json")
    assert (answer.code, answer.err) == (0, "")
    found = answer.json
    rows = [(row["runtime"], row["dtype"], row["precision"], row["checked"]) for row in found["runs"]]
    assert rows == [("torch-eager", dtype, dtype, True) for dtype in ("fp32", "bf16")] + [
        ("onnxruntime", "fp32", "fp32", True)
    ]
    assert [notice["code"] for notice in found["notices"]].count("runtime-left-out") == 1
    (best,) = found["fastest"]
    times = {(row["runtime"], row["dtype"]): row["time_s"] for row in found["runs"]}
    assert best["time_s"] == min(times.values())
    assert best["ratio"] == pytest.approx(times[best["baseline"], best["baseline_dtype"]] / best["time_s"])
    kept = {one.variant: one.subject for one in store.load(found["path"]).measurements}
    assert set(kept) == {"eager", "onnxruntime"}
    engine = kept["onnxruntime"]
    assert isinstance(engine, ForwardPass)
    assert (engine.runtime or "").startswith("onnxruntime-1.")
    assert (engine.version or "").startswith("1.")
    assert engine.precision == "fp32"


def test_runtimes_in_text(cli: Callable[..., Any]) -> None:
    pytest.importorskip("openvino")
    answer = cli("run --model lenet5 --runtime torch-eager,openvino --batch 1,4 --threads 1 --budget 500ms")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[2].split()[:3] == ["runtime", "dtype", "batch"]
    assert [line.split()[2] for line in lines if line.startswith("openvino-")] == ["1", "4"]
    assert [line.split()[2] for line in lines if line.startswith("At batch")] == ["1", "4"]


def test_the_layers_of_an_engine_are_those_of_its_profile(cli: Callable[..., Any]) -> None:
    pytest.importorskip("onnxruntime")
    found = cli("run --model lenet5 --runtime onnxruntime --layers --threads 1 --budget 300ms --json").json
    assert sum("Conv" in layer["kind"] for layer in found["profile"]) == 3
    assert found["layers"] == []


def test_compile_is_another_name_of_a_runtime(cli: Callable[..., Any]) -> None:
    answer = cli("run --model lenet5 --compile --runtime openvino --json")
    assert (answer.code, answer.json["error"]["code"]) == (2, "exclusive")


def test_a_missing_engine_is_one_line_with_its_extra(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    answer = cli("run --model lenet5 --runtime openvino --json")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert answer.json["error"]["code"] == "engine-missing"
    assert "hwbench[openvino]" in answer.json["error"]["message"]


def test_layers_in_text(cli: Callable[..., Any]) -> None:
    answer = cli("run --model lenet5 --threads 1 --layers --budget 300ms")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("LeNet-5 on host · torch-2.")
    assert [line.split()[0] for line in lines if " conv " in line] == ["c1", "c3", "c5"]


def test_an_interrupt_shows_what_there_is(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from hwbench.measure import harness

    measure = harness.measure

    def stopped(*given: Any, **options: Any) -> Any:
        found = measure(*given, **options)
        return tuple(msgspec.structs.replace(one, stopped="interrupted") for one in found)

    monkeypatch.setattr(harness, "measure", stopped)
    answer = cli("run --model lenet5 --threads 1 --budget 200ms --json")
    assert answer.code == 130
    assert answer.err == "hwbench: interrupted: what was measured is shown\n"
    assert answer.json["samples"] > 0


def test_after_an_interrupt_each_batch_has_its_own_time(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hwbench.measure import harness

    measure = harness.measure

    def stopped(*given: Any, **options: Any) -> Any:
        found = measure(*given, **options)[1:]  # the first had no sample yet: their order is random
        return tuple(msgspec.structs.replace(one, stopped="interrupted") for one in found)

    monkeypatch.setattr(harness, "measure", stopped)
    answer = cli("run --model lenet5 --batch 1,2,3 --threads 1 --budget 300ms --json")
    assert answer.code == 130
    assert [one["batch"] for one in answer.json["runs"]] == [2, 3]
    flops = [one["flops"] / one["batch"] for one in answer.json["runs"]]
    assert flops[0] == flops[1]
    for one, measured in zip(answer.json["runs"], answer.json["run"]["measurements"], strict=True):
        assert one["batch"] == measured["subject"]["batch"]


@pytest.mark.parametrize("dtype", ["fp32", "fp32,bf16"])
def test_the_schema_is_that_of_what_was_asked_for(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    """An interrupt that leaves one of two batches gives a list of one, as who reads it expects."""
    from hwbench.measure import harness

    measure = harness.measure

    def stopped(*given: Any, **options: Any) -> Any:
        return tuple(msgspec.structs.replace(one, stopped="interrupted") for one in measure(*given, **options)[:1])

    monkeypatch.setattr(harness, "measure", stopped)
    command = f"run --model lenet5 --batch 1,2 --dtype {dtype} --threads 1 --budget 300ms"
    answer = cli(f"{command} --json")
    assert answer.code == 130
    assert answer.json["schema"] == "hwbench.inferences/1"
    assert [one["batch"] for one in answer.json["runs"]] == [1]
    assert cli(command).out.splitlines()[2].split()[:2] == ["dtype", "batch"]


@pytest.mark.parametrize("command", ["run --model lenet5", "explain"])
def test_a_place_that_cannot_be_written_is_refused_before_measuring(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    from hwbench.measure import harness

    monkeypatch.delattr(harness, "measure")
    (tmp_path / "file").write_text("")
    answer = cli(f"{command} --threads 1 --budget 300ms --save {tmp_path}/file/below --json")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert answer.json["error"]["code"] == "not-writable"


def test_an_explanation_whose_folder_is_lost_meanwhile_is_shown(cli: Callable[..., Any], lost_folder: Path) -> None:
    answer = cli(f"explain --threads 1 --budget 300ms --save {lost_folder} --json")
    assert answer.code == 2
    assert answer.err.startswith("hwbench: the run was not saved: ")
    assert answer.err.count("\n") == 1
    assert [step["name"] for step in answer.json["steps"]][-1] == "numba"
    assert answer.json["path"] is None


@pytest.mark.parametrize(
    ("command", "code", "field"),
    [
        ("run --model lenet5 --dtype int4", "unsupported-dtype", "--dtype"),
        ("run --model lenet5 --dtype amp", "unsupported-dtype", "--dtype"),
        ("run --model lenet5 --runtime openvin", "unknown-runtime", "--runtime"),
        ("run --model lenet5 --runtime onnxruntime --dtype bf16", "unsupported-dtype", "--dtype"),
        ("run --model lenet5 --on tpu", "unknown-torch-device", "--on"),
        ("run --model lenet5 --device tpu", "unknown-torch-device", "--on"),
        ("run --model lenet5 --threads 4096", "threads-range", "--threads"),
        ("run --model vgg16 --batch 1000000", "out-of-memory", "--batch"),
        ("run --model net.onnx", "not-runnable", None),
        ("run --model lenet5 --budget 1ns", "duration-range", "--budget"),
        ("explain --model lenet5 --threads 4096", "threads-range", "--threads"),
        ("explain --budget 1ns", "duration-range", "--budget"),
        ("explain --mode training", "inference-only", "--mode"),
        ("explain --model vgg16 --batch 1000000", "out-of-memory", "--batch"),
    ],
)
def test_refused(cli: Callable[..., Any], command: str, code: str, field: str | None) -> None:
    answer = cli(f"{command} --json")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert (answer.json["error"]["code"], answer.json["error"].get("field")) == (code, field)


def test_without_torch(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    answer = cli("run --model lenet5")
    assert answer.code == 2
    assert "needs torch (" in answer.err
    assert answer.err.endswith("pip install 'hwbench[torch]'.\n")


def sample(value: float) -> tuple[Sample, ...]:
    return (Sample(1 / value, 1, 1 / value),) * 9


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Record:
    """A saved run of this machine: its clock is twice the stated one, and one core reaches that."""
    monkeypatch.setenv("HWBENCH_RESULTS", str(tmp_path))
    machine = host()
    units = machine.device.units[0]
    rate = max((one for one in units.rates if one.dtype == "fp32"), key=lambda one: one.flops_per_cycle)
    clock = 2 * float(units.clock.boost or units.clock.base or units.clock.fixed or 0.0)
    fma = clock * rate.flops_per_cycle
    known: dict[str, Any] = {"dtype": "fp32", "work": 1.0, "checked": True}
    measurements = (
        Measurement("clock", rate.isa, "Hz", 1.0, sample(clock), isa=rate.isa),
        Measurement("fma", "throughput", "FLOP/s", samples=sample(0.99 * fma), isa=rate.isa, **known),
        Measurement("matmul", "numpy", "FLOP/s", samples=sample(0.8 * fma), **known),
        Measurement("matmul", "numba", "FLOP/s", samples=sample(0.9 * fma), **known),
        Measurement("stream", "triad", "B/s", 1.0, sample(11e9)),
        Measurement("inference", "eager", "s", 1.0, sample(1 / 0.05), dtype="fp32",
                    subject=ForwardPass("alexnet", 1)),
    )  # fmt: skip
    identity, created = "20260101-120000-000-abcdef", "2026-01-01T12:00:00.000+00:00"
    surroundings = {"machine": environment.machine_key(machine), "brand": machine.brand}
    run = Record(identity, created, "0", (), surroundings, {}, {}, measurements, device=machine.device)
    store.save(run, str(tmp_path))
    return run


def test_estimates_of_this_machine_use_its_measured_ceilings(cli: Callable[..., Any], measured: Record) -> None:
    found = cli("estimate --model alexnet --device host --json").json
    assert found["bandwidth_bytes_per_second"] == pytest.approx(11e9)
    assert found["provenance"]["bandwidth"] == "measured"
    clock = measured.measurements[0].value(measured.measurements[0].samples[0])
    assert found["terms"][0]["clock_hz"] == pytest.approx(clock)
    assert not any("clock" in warning.partition(",")[0] for warning in found["warnings"])


@pytest.mark.parametrize("name", ["run:latest", "run:20260101", "run:{folder}/20260101-120000-000-abcdef.json"])
def test_a_run_is_a_device(cli: Callable[..., Any], measured: Record, tmp_path: Path, name: str) -> None:
    found = cli("peak", "--device", name.format(folder=tmp_path), "--json").json
    assert found["device"] == f"run:{measured.id}"
    assert found["memory"]["bandwidth_bytes_per_second"] == pytest.approx(11e9)


def test_peak_stands_beside_what_was_measured(cli: Callable[..., Any], measured: Record) -> None:
    found = cli("peak --json").json["measured"]
    assert found["source"] == measured.id
    (row,) = found["achieved"]
    assert row["share"] == pytest.approx(1.98, rel=1e-3)
    assert row["share_at_clock"] == pytest.approx(0.99, rel=1e-3)
    assert row["cause"] == "clock"
    text = cli("peak").out
    assert "reaches 198 % of its peak at the stated clock" in text
    assert f"run {measured.id}" in text
    assert max(map(len, text.splitlines())) <= 100
    assert cli("peak --device rtx3090 --json").json["measured"] is None


def test_a_value_that_is_set_wins_over_what_was_measured(cli: Callable[..., Any], measured: Record) -> None:
    found = cli("peak --device host --set clock=1GHz --json").json
    assert {peak["clock_hz"] for peak in found["peaks"]} == {1e9}


def test_explain_reads_a_saved_run(cli: Callable[..., Any], measured: Record) -> None:
    found = cli("explain --run latest --model alexnet --json").json
    assert found["schema"] == "hwbench.explain/1"
    assert [step["name"] for step in found["steps"]] == ["spec", "clock", "fma", "blas", "numba", "roofline", "run"]
    assert [step["lost"] for step in found["steps"]][1:] == ["clock", "ports", "memory", "code", "memory", "overhead"]
    assert [step["ratio"] for step in found["steps"][1:5]] == pytest.approx([2, 0.99, 0.8 / 0.99, 9 / 8])
    assert found["steps"][-1]["flops_per_second"] == pytest.approx(2270512192 / 0.05)
    assert (found["source"], found["missing"], found["path"]) == (measured.id, [], None)
    text = cli("explain --run latest").out
    assert "90 %" in text
    assert max(map(len, text.splitlines())) <= 100


def test_explain_says_what_a_run_lacks(cli: Callable[..., Any], measured: Record) -> None:
    found = cli("explain --run latest --model lenet5 --dtype fp64 --json").json
    assert found["steps"] == []
    assert "the model" in found["missing"]
    assert cli("explain --run latest --model lenet5 --dtype fp64").code == 0


@pytest.mark.parametrize("threads", [2, 7])
def test_explain_names_the_cores_that_a_run_was_on(cli: Callable[..., Any], measured: Record, threads: int) -> None:
    error = cli(f"explain --run latest --threads {threads} --json").json["error"]
    assert (error["code"], error["field"]) == ("not-in-run", "--threads")
    assert error["message"].endswith(", but on 1.")
    assert cli("explain --run latest --threads 1").out == cli("explain --run latest").out


def test_explain_measures(cli: Callable[..., Any], tmp_path: Path) -> None:
    answer = cli(f"explain --model lenet5 --threads 1 --budget 2s --save {tmp_path} --json")
    assert (answer.code, answer.err) == (0, "")
    found = answer.json
    assert found["missing"] == [] or set(found["missing"]) <= {"the peak at the real clock"}
    assert found["steps"][-1]["name"] == "run"
    kernels = {one.kernel for one in store.load(found["path"]).measurements}
    assert kernels == {"clock", "fma", "matmul", "stream", "inference"}
