"""Measured beside predicted: the ceilings and slopes of a roofline, and runs that count or do not."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hwbench.machine import catalog
from hwbench.machine.device import Device, peaks
from hwbench.machine.parts import Sustained, SustainedRate
from hwbench.measure import store
from hwbench.measure.analysis import evidence
from hwbench.measure.record import Measurement, Record, Result, Sample
from hwbench.measure.subject import ForwardPass, LayerSeconds
from hwbench.predict.estimate import Estimate, estimate
from hwbench.report.html import measured
from hwbench.report.html.figures import ceilings, common, roofline
from hwbench.units import BytesPerSecond, FlopsPerSecond
from hwbench.workload import load
from tests.explore.test_saved_file import embedded

RUN = store.load(str(Path(__file__).parents[2] / "golden" / "run-1.json"))
KEY = str(RUN.environment["machine"])
CPU = catalog.device("i9-10940x")
ALEXNET = load.workload("alexnet")
NAMES = [op.name for op in ALEXNET.ops]


def run(seconds: dict[str, list[float]] | None = None, **changed: Any) -> Record:
    """A run of alexnet in 0.1 s, with these seconds of its layers."""
    subject: dict[str, Any] = {"model": "alexnet", "batch": 1, "device": "cpu", **changed.pop("subject", {})}
    if seconds is not None:
        subject["layers"] = tuple(LayerSeconds(name, tuple(some)) for name, some in seconds.items())
    fields: dict[str, Any] = {"dtype": "fp32", "threads": CPU.count, "subject": ForwardPass(**subject), **changed}
    one = Measurement("inference", "eager", "s", 1.0, (Sample(wall_s=0.1, repetitions=1, cpu_s=0.1),) * 5, **fields)
    return msgspec.structs.replace(RUN, measurements=(one,))


def predicted(device: Device = CPU) -> Estimate:
    return estimate(ALEXNET, device)


def held(*runs: Record, machine: str | None = KEY, device: Device = CPU) -> tuple[list[Any], list[Any]]:
    return measured.measured(runs, predicted(device), device, machine)


def test_layers_are_matched_by_name_with_their_medians() -> None:
    (one,), elsewhere = held(run({"conv1": [0.3, 0.1, 0.2], "fc6": [0.05]}))
    assert {NAMES[index]: time for index, time in one.layers.items()} == {"conv1": 0.2, "fc6": 0.05}
    assert set(one.missing) == set(NAMES) - {"conv1", "fc6"}
    assert elsewhere == []


def test_layers_without_a_match_are_named() -> None:
    found = held(run({"conv1": [0.3], "stranger": [0.1]}))
    (text,) = measured.sentences(*found, predicted())
    assert "1 of 18 layers" in text
    assert "Layers without a measured time: relu1, max_pool1" in text
    assert "Timed modules that are not layers of the estimate: stranger." in text


def test_another_machine_is_named_and_not_drawn() -> None:
    here, elsewhere = held(run({"conv1": [0.3]}), machine="another")
    assert here == []
    (text,) = measured.sentences(here, elsewhere, predicted())
    assert "on another machine, AMD EPYC. It is not Intel Core i9-10940X and is not drawn" in text


def test_a_worker_that_states_the_key_of_a_machine_is_another_machine() -> None:
    own = run()
    claim = msgspec.structs.replace(own, environment={**own.environment, "setting": "cluster"})
    here, elsewhere = held(own, claim)
    assert (len(here), len(elsewhere)) == (1, 1)
    here, elsewhere = held(own, claim, machine=evidence.machine_of(claim))  # of `--device run:` with that record
    assert (len(here), len(elsewhere)) == (1, 1)


def test_a_data_sheet_counts_as_the_machine_of_its_title() -> None:
    assert held(run(), machine=None)[0] == []
    assert len(held(msgspec.structs.replace(run(), device=CPU), machine=None)[0]) == 1


def test_a_gpu_counts_by_its_name_alone() -> None:
    card = catalog.device("rtx3090")
    on_card = run(subject={"device": "cuda", "title": "NVIDIA GeForce RTX 3090"}, where="gpu")
    assert len(held(on_card, machine=None, device=card)[0]) == 1
    assert held(on_card, machine=KEY)[0] == []
    (other,) = held(on_card, machine=None, device=catalog.device("rtx4090"))[1]
    assert other.machine == "NVIDIA GeForce RTX 3090 with AMD EPYC"


def test_the_cpu_and_the_gpu_of_a_machine_are_two_devices() -> None:
    card = catalog.device("rtx3090")
    on_card = run(subject={"device": "cuda", "title": "NVIDIA GeForce RTX 3090"}, where="gpu")
    assert len(held(on_card, machine=KEY, device=card)[0]) == 1
    assert held(on_card, machine="another", device=card)[0] == []
    assert held(run(), machine=KEY, device=card)[0] == []


OTHERS = [{"dtype": "bf16"}, *({"subject": one} for one in ({"batch": 2}, {"model": "x"}, {"flops": 1}))]


@pytest.mark.parametrize("changed", OTHERS)
def test_another_setting_is_neither_here_nor_there(changed: dict[str, Any]) -> None:
    assert held(run(**changed)) == ([], [])


def test_fewer_threads_than_units_are_named() -> None:
    found = held(run({"conv1": [0.3]}, threads=1))
    assert "It had fewer threads than the 14 predicted cores." in measured.sentences(*found, predicted())[0]


def test_a_forecast_for_another_runtime_is_named() -> None:
    (found,), _ = held(compiled(run()))
    assert measured.sentences([found], [], predicted())[0].endswith(" The forecast is for torch-eager-cpu.")
    (eager,), _ = held(run())
    assert "The forecast is for" not in measured.sentences([eager], [], predicted())[0]


def compiled(eager: Record) -> Record:
    one = msgspec.structs.replace(eager.measurements[0], variant="compile")
    return msgspec.structs.replace(eager, measurements=(one,))


def test_the_fullest_run_is_drawn() -> None:
    found, _ = held(run({"conv1": [0.3]}, threads=1), run(), run({"conv1": [0.2]}), run({"conv1": [0.1]}, threads=2))
    drawn = measured.best(found)
    assert drawn is not None
    assert drawn.layers == {0: 0.2}


def test_hollow_points_stand_at_measured_rates() -> None:
    (one,), _ = held(run({"conv1": [0.02], "fc6": [0.05], "relu1": [0.01]}))
    e = predicted()
    figure = roofline.roofline(e, "r", CPU, (), one)
    (hollow,) = [trace for trace in figure.traces if trace["name"] == "measured"]
    layers = {layer.name: layer for layer in e.layers}
    assert hollow["x"] == [layers["conv1"].intensity, layers["fc6"].intensity]
    assert hollow["y"] == [layers["conv1"].flops / 0.02, layers["fc6"].flops / 0.05]
    assert "measured 20 ms" in hollow["text"][0]
    assert hollow["marker"]["symbol"] == "circle-open"
    assert [row[-1] for row in figure.table.rows[:2]] == [0.02, 0.01]
    bars = {
        trace["name"]: dict(zip(trace["y"], trace["x"], strict=True))
        for trace in common.layer_times(e, "l", one).traces
    }
    timed = {name.split()[1]: time for name, time in bars["measured"].items() if time}
    assert timed == {"conv1": 0.02, "relu1": 0.01, "fc6": 0.05}
    longest = [max(layer.expected_time_s or 0.0, timed.get(layer.name, 0.0)) for layer in e.layers]
    assert list(bars["measured"]) == [
        f"{i + 1} {e.layers[i].name}" for i in sorted(range(18), key=lambda i: -longest[i])
    ]
    for name, time in bars["roofline"].items():
        expected = next(times[name] for kind, times in bars.items() if kind.startswith("expected") and name in times)
        assert bars["ideal"][name] <= time <= expected


def test_a_whole_run_is_one_point_next_to_its_prediction() -> None:
    (one,), _ = held(run())
    e = predicted()
    traces = {trace["name"]: trace for trace in roofline.roofline(e, "r", CPU, (), one).traces}
    assert traces["the whole, measured"]["y"] == [e.flops / 0.1]
    assert traces["the whole, predicted"]["y"] == [e.flops / e.forecast.time_s]  # type: ignore[union-attr]
    assert traces["the whole, predicted"]["x"] == traces["the whole, measured"]["x"] == [e.flops / e.traffic_bytes]


def test_every_engine_has_its_ceiling() -> None:
    card = catalog.device("h100-sxm")
    e = estimate(ALEXNET, card, "fp16")
    found = ceilings.ceilings(e, card)
    known = {p.flops_per_second for p in peaks(card) if p.dtype == "fp16" and p.sparsity == "dense"}
    assert {one.rate for one in found} <= known
    assert [one.short for one in found] == ["matrix tensor-core fp16", "vector cuda fp16"]
    assert found[0].rate == e.peak_flops_per_second


def test_isas_of_one_rate_are_one_ceiling() -> None:
    found = ceilings.ceilings(predicted(), CPU)
    assert len({one.rate for one in found}) == len(found) >= 2
    assert all(a.rate > 1.05 * b.rate for a, b in pairwise(found))


def measured_device() -> Device:
    rates = (
        SustainedRate("fma", "vector", "fp32", FlopsPerSecond(9e10), 1, "avx512"),
        SustainedRate("fma", "vector", "fp32", FlopsPerSecond(1e12), 14, "avx512"),
        SustainedRate("matmul", "vector", "fp32", FlopsPerSecond(8e11), 14),
        SustainedRate("fma", "vector", "fp64", FlopsPerSecond(5e11), 14, "avx512"),
    )
    caches = {"L1d": BytesPerSecond(3e12), "L2": BytesPerSecond(1e12)}
    kept = Sustained("run", rates, bandwidth=BytesPerSecond(6e10), caches=caches)
    return msgspec.structs.replace(CPU, sustained=kept)


def test_a_measured_device_has_measured_ceilings_and_slopes() -> None:
    device = measured_device()
    found = [one for one in ceilings.ceilings(predicted(device), device) if one.measured]
    assert [(one.short, one.rate) for one in found] == [("measured FMA", 1e12), ("measured matmul", 8e11)]
    slopes = [(one.name, one.bandwidth) for one in ceilings.slopes(device, ())]
    assert slopes == [("L1d", 3e12), ("L2", 1e12), ("measured STREAM", 6e10)]


def _cache(name: str, rate: float, threads: int) -> Result:
    return Result("cache", name, None, None, threads, None, rate, "B/s", (rate, rate), None, "A")


def test_slopes_of_a_sweep_are_those_of_most_threads_that_make_sense() -> None:
    names = [cache.name for cache in CPU.caches]
    alone = [_cache(name, rate, 1) for name, rate in zip(names, (4e11, 2e11, 1e11), strict=False)]
    together = [_cache(name, 10 * rate.value, 14) for name, rate in zip(names, alone, strict=False)]
    texts = {slope.description for slope in ceilings.slopes(CPU, [*alone, *together])}
    assert f"{names[0]}, 14 threads: 4 TB/s" in texts
    disturbed = [*together[1:], _cache("L7", 1e10, 14)]
    assert {one.threads for one in ceilings.slopes(CPU, [*alone, *disturbed])} == {1}


def test_the_picture_holds_all_of_it() -> None:
    device = measured_device()
    figure = roofline.roofline(predicted(device), "r", device)
    assert "measured matmul" in figure.alternative
    assert "L2: 1 TB/s" in figure.alternative
    named = {one["name"] for one in figure.layout["annotations"]}
    entries = {trace["name"] for trace in figure.traces if trace.get("showlegend", True)}
    lines = {trace["name"] for trace in figure.traces if trace["mode"] == "lines"}
    assert lines <= named | entries
    assert any("L1d 3 TB/s" in one["text"] for one in figure.layout["annotations"])


@pytest.mark.parametrize("values", [(1e9, 5e11), (2.1e9, 3.3e9), (0.5, 0.5), (1e-9, 1e9), (0.0,)])
def test_a_logarithmic_axis_has_ticks_that_tell(values: tuple[float, ...]) -> None:
    made = common.log_axis("x", values, "s")
    assert len(made["tickvals"]) == len(made["ticktext"]) >= 3
    inside = [tick for tick in made["tickvals"] if min(values) <= tick <= max(values)]
    assert len(inside) <= 20
    assert made["type"] == "log"


@pytest.mark.realtime
def test_a_run_with_layers_is_what_the_report_draws(tmp_path: Path) -> None:
    """The whole way: timed by hooks, saved, read and matched."""
    pytest.importorskip("torch")
    known = {**os.environ, "HWBENCH_RESULTS": str(tmp_path / "runs")}

    def hwbench(*words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "hwbench", *words], cwd=tmp_path, env=known, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()

    hwbench("run", "--model", "lenet5", "--layers", "--threads", "1", "--budget", "300ms", "--save")
    hwbench("report", "latest", "-m", "lenet5", "-d", "host", "-o", "page.html")
    answers = embedded((tmp_path / "page.html").read_text(encoding="utf-8"), "saved")["answers"]
    ((bars,),) = (section["parts"] for section in answers["layers lenet5 host"]["sections"])
    measured = [trace["x"] for trace in bars["traces"] if trace["name"] == "measured"]
    assert [len(times) for times in measured] == [len(load.workload("lenet5").ops)]
    assert all(time > 0 for time in measured[0])
