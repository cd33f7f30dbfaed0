"""No line is wider than the terminal, whatever things are called, and no number is cut for it."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.machine import catalog
from hwbench.machine.device import peaks
from hwbench.machine.parts import Sustained, SustainedRate
from hwbench.measure import store
from hwbench.measure.analysis import results
from hwbench.measure.cluster import Success
from hwbench.measure.engines.base import EngineLayer
from hwbench.measure.record import Measurement, Record, Sample
from hwbench.predict.data import tables
from hwbench.predict.estimate import Estimates, estimate
from hwbench.predict.replay import replay
from hwbench.report.text import (
    calibration,
    compare,
    explain,
    inference,
    machine,
    requirement,
    run,
    runs,
    validation,
    workload,
)
from hwbench.report.text import estimate as estimates
from hwbench.report.text.format import cut, width
from hwbench.report.text.layout import Style, table
from hwbench.stats.intervals import Interval
from hwbench.study import explain as explaining
from hwbench.study import requirement as requiring
from hwbench.study.achieved import Achieved
from hwbench.study.compare import devices as comparing
from hwbench.study.compare import runs as comparing_runs
from hwbench.study.inference import TimedRun
from hwbench.study.inference import inference as timed_inference
from hwbench.study.runtimes import fastest
from hwbench.units import BytesPerSecond, FlopsPerSecond, operations_unit, si
from hwbench.workload import load
from hwbench.workload.counting import count
from hwbench.workload.ops import CONVENTIONS

GOLDEN = Path(__file__).parents[2] / "golden" / "run-1.json"
NAMES = [
    "rtx3090",
    "rtx-pro-6000-blackwell-max-q-workstation-edition-of-a-vendor",
    "x" * 300,
    "a name of many words " * 12,
    "module.encoder.layers.11.self_attention.out_proj:convolution_backward",
    "日本語のとても長い機械の名前" * 4,
    "🦙" * 70,
    "\x1b[31mred\x07" * 9,
]
WIDTHS = [80, 100, 120]


def _one(name: str, style: Style) -> list[str]:
    device = msgspec.structs.replace(catalog.device("rtx3090"), name=name, title=name)
    network = load.workload("alexnet")
    ops = tuple(msgspec.structs.replace(op, name=f"{name}.{index}") for index, op in enumerate(network.ops))
    found = estimate(msgspec.structs.replace(network, name=name, ops=ops), device)
    return estimates.single(found, style, all_layers=True) + estimates.several(Estimates((found, found)), style)


def _count(name: str, style: Style) -> list[str]:
    network = load.workload("vit-b-16")
    ops = tuple(msgspec.structs.replace(op, name=f"{name}.{index}") for index, op in enumerate(network.ops))
    named = msgspec.structs.replace(network, name=name, title=name, ops=ops)
    lines = workload.model_list([named, network], style)
    counts = [count(named, convention, "fp32", 32) for convention in CONVENTIONS]
    return lines + [line for count in counts for line in workload.summary(count, style)]


def _machine(name: str, style: Style) -> list[str]:
    from hwbench.machine.device import peaks

    device = msgspec.structs.replace(catalog.device("i7-12700h"), name=name, title=name, aliases=(name,))
    named = tuple(msgspec.structs.replace(units, architecture=name, name=name + units.name) for units in device.units)
    device = msgspec.structs.replace(device, units=named)
    lines = machine.heading(device, style) + machine.details(device, style)
    return lines + machine.peak_table(device, peaks(device), style) + machine.device_list([device], style)


def _compare(name: str, style: Style) -> list[str]:
    first = msgspec.structs.replace(catalog.device("rtx3090"), name=name, title=name)
    found = comparing.compare([first, catalog.device("i9-10940x")], "fp32", load.workload("alexnet"), (1, 64))
    return compare.text(found, style)


def _require(name: str, style: Style) -> list[str]:
    found = requiring.require(load.workload("alexnet"), [catalog.device("rtx3090")], rate=30.0)
    devices = tuple(msgspec.structs.replace(one, name=name) for one in found.devices)
    return requirement.requirement(msgspec.structs.replace(found, devices=devices, title=name), style)


def _named_run(name: str) -> Record:
    sample = Sample(wall_s=0.011, repetitions=1, cpu_s=0.01)
    made = Measurement("matmul", name, "FLOP/s", 1e9, (sample,) * 9, dtype="fp32", isa=name[:9], size="512x512x512")
    known = store.load(str(GOLDEN))
    return msgspec.structs.replace(
        known,
        id=f"20261124-120000-000-{name}",
        environment={**known.environment, "brand": name, name: name},
        measurements=(*known.measurements, made, msgspec.structs.replace(made, isa="avx512", threads=64)),
    )


def _run(name: str, style: Style) -> list[str]:
    record = _named_run(name)
    found = results.results(record)
    shown = run.run(record, found.results, found.findings, style)
    return shown + run.run_list([results.overview(record), results.SavedRun(name[:30], error=name, name=name)], style)


def _runs(name: str, style: Style) -> list[str]:
    first, second = _named_run(name), _named_run(name)
    other = {**second.environment, "governor": name, "brand": "another", name: "changed"}
    found = comparing_runs.compare_runs(first, msgspec.structs.replace(second, environment=other))
    hosts = [Success(name, name, first)]
    return runs.runs(found, style) + runs.cluster(hosts, [], [f"/tmp/{name}.json"], [found], style)


def _inference(name: str, style: Style) -> list[str]:
    network = load.workload("alexnet")
    ops = tuple(msgspec.structs.replace(op, name=f"{name}.{index}") for index, op in enumerate(network.ops))
    network = msgspec.structs.replace(network, ops=ops)
    e, time = estimate(network, catalog.device("i9-10940x")), Interval(0.01, 0.009, 0.012)
    profile = tuple(EngineLayer(op.name, name, 1e-3, "fp32", name) for op in ops)
    told = TimedRun(
        time, "torch-eager", f"torch-2.13-{name}", "fp32", "fp32", "fp32", 1, 8, "D", (name,), 9, True, profile,
        layers={op.name: time for op in ops},
    )  # fmt: skip
    found = timed_inference(told, name, name, (e.flops, e.traffic_bytes), e)
    several = msgspec.structs.replace(found, runtime="openvino", software="openvino-2026.4", time_s=0.009)
    text = inference.reasons(fastest([found, several], {}), style)
    return [
        *inference.single(found, style), *inference.several([found, found], style),
        *inference.several([found, several], style), *text,
    ]  # fmt: skip


def _explain(name: str, style: Style) -> list[str]:
    rungs = [
        explaining.Rung("peak", name, Interval(2e11, 2e11, 2e11), "how"),
        explaining.Rung("fma", name, Interval(1.5e11, 1.4e11, 1.6e11), "how"),
        explaining.Rung("blas", name, Interval(1.2e11, 1.1e11, 1.25e11), "how"),
    ]
    steps = explaining.steps(rungs)
    found = explaining.Explanation(name, name, "fp32", 2, 1, "run", steps, (name,), explaining.summary(steps))
    return explain.explanation(found, style)


def _achieved(name: str, style: Style) -> list[str]:
    row = Achieved("vector", name[:40], "fp32", 2e11, 2.5e9, 3e11, 3.6e9, 2.9e11, 2.7e11, 1.4, 0.97, "clock", name)
    device = catalog.device("i9-10940x")
    rates = (SustainedRate("fma", "vector", "fp32", FlopsPerSecond(2.9e11), 14),)
    return machine.achieved([row], msgspec.structs.replace(device, sustained=Sustained(name, rates)), style)


def _validation(name: str, style: Style) -> list[str]:
    found = replay.replay(tables.read(tables.shipped()), finder=lambda one: (catalog.device(one), ()))
    rows = tuple(msgspec.structs.replace(row, model=name, device=name, runtime=name) for row in found.rows)
    groups = tuple(msgspec.structs.replace(group, device=name, runtime=name) for group in found.groups)
    named = msgspec.structs.replace(found, rows=rows, worst=rows[:9], groups=groups)
    return validation.summary(named, style) + validation.every(rows, style)


def _calibration(_name: str, style: Style) -> list[str]:
    from hwbench.predict.model.parameters import parameters

    return calibration.provenance(parameters(), style)


RENDERERS: list[Callable[[str, Style], list[str]]] = [
    _one, _count, _machine, _compare, _require, _run, _runs, _inference, _explain, _achieved, _validation,
    _calibration,
]  # fmt: skip


@pytest.mark.sample(12)
@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("renderer", RENDERERS, ids=[one.__name__[1:] for one in RENDERERS])
def test_no_line_is_wider_than_its_terminal(renderer: Callable[[str, Style], list[str]], columns: int) -> None:
    for name in NAMES:
        lines = renderer(name, Style(width=columns))
        # A sentence is wrapped by its characters, of which a table alone knows how many columns they take.
        assert [line for line in lines if len(line) > columns] == []


CELL = st.text("abc 日🦙…", max_size=90)


@given(
    st.lists(st.tuples(CELL, CELL, st.integers(0, 10**9), CELL, st.floats(1e-9, 1e15)), min_size=1, max_size=5),
    st.integers(60, 120),
)
def test_a_table_fits_and_keeps_its_numbers(rows: list[tuple[str, str, int, str, float]], columns: int) -> None:
    body = [(a, b, f"{c:,}", d, f"{e:.4g} GFLOP/s") for a, b, c, d, e in rows]
    lines = table(("name", "kind", "count", "a long title of names", "rate"), body, "llrlr", Style(width=columns))
    assert max(map(width, lines)) <= columns
    for line, row in zip(lines[1:], body, strict=False):
        assert row[2] in line or "count" in lines[-1]
        assert row[4] in line or "rate" in lines[-1]


def test_spare_columns_are_dropped_first_and_named() -> None:
    header = ("name", "first", "second", "third")
    rows = [("x" * 40, "1" * 20, "2" * 20, "3" * 20)]
    lines = table(header, rows, "lrrr", Style(width=70), spare=("second",))
    assert "2222" not in "".join(lines)
    assert lines[1].endswith("1" * 20 + "  " + "3" * 20)
    assert lines[-1] == "left out at this width: second"
    assert "2222" in "".join(table(header, rows, "lrrr", Style(width=120), spare=("second",)))


def test_a_table_that_fits_is_left_as_it_is() -> None:
    rows = [("a-name-that-is-as-long-as-that", "1"), ("b", "22")]
    assert table(("name", "n"), rows, "lr", Style(width=80)) == table(("name", "n"), rows, "lr", Style(width=120))


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("rtx3090", "rtx3090"),
        ("encoder.layers.0.self_attention.out_proj", "encode….out_proj"),
        ("a name of many words", "a name of many …"),
        ("encoder.layers…tion.out_proj:mm ×128", "enco…roj:mm ×128"),
        ("日本語のとても長い機械の名前", "日本語…械の名前"),
    ],
)
def test_names_are_cut_where_they_say_least(name: str, short: str) -> None:
    assert cut(name, 16) == short
    assert width(short) <= 16


@pytest.mark.parametrize("columns", [60, 80])
def test_a_narrow_table_of_peaks_has_the_peaks(columns: int) -> None:
    device = catalog.device("i7-12700h")
    header, *rows = machine.peak_table(device, peaks(device), Style(width=columns))
    assert "peak" in header.split()
    assert "1.35 TFLOP/s" in rows[0]


def test_bus_and_rate_that_give_another_bandwidth_are_not_equal_to_it() -> None:
    card = catalog.device("rtx3090")
    other = msgspec.structs.replace(card.memory, bandwidth=BytesPerSecond(836e9))
    [right] = [line for line in machine.heading(card, Style()) if line.startswith("memory")]
    [wrong] = [line for line in machine.heading(msgspec.structs.replace(card, memory=other)) if "836" in line]
    assert "936 GB/s = 384 bit × 19.5 GT/s / 8" in right
    assert "836 GB/s ≠ 384 bit × 19.5 GT/s / 8" in wrong


@pytest.mark.parametrize("columns", [30, 40, 60, 80])
@pytest.mark.parametrize("name", ["rtx4090", "apple-m4", "tpu-v5e"])
def test_the_peaks_are_shown_however_narrow_the_terminal_is(name: str, columns: int) -> None:
    device = catalog.device(name)
    text = " ".join(" ".join(machine.peak_table(device, peaks(device), Style(width=columns))).split())
    for peak in peaks(device):
        assert f"{si(peak.flops_per_second, operations_unit(peak.dtype) + '/s')}" in text
