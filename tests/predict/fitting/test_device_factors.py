"""Factors of one machine: what made the times is found, and a calibrated host is expected to run so."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import to_builtins
from msgspec.structs import replace

from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.parts import DeviceCalibration
from hwbench.predict.data.rows import MeasuredTime
from hwbench.predict.data.tables import MeasuredTable
from hwbench.predict.fitting import cases
from hwbench.predict.fitting.device_factors import factors
from hwbench.predict.fitting.problem import Case
from hwbench.predict.forecast import forecast
from hwbench.predict.model.parameters import parameters
from hwbench.predict.model.runtimes import RUNTIMES, runtimes_on, short_name
from hwbench.workload import load

CPU = catalog.device("ryzen7-5800x")
MODELS = ("alexnet", "resnet18", "mobilenet-v2", "squeezenet1.0", "vit-b-16", "resnet50")
EAGER = parameters().runtimes["torch-eager-cpu"]
TRUE = {"compute": 0.7, "memory": 1.4, "overhead": 0.8, "spread": 0.1}


def kept(**factors: Any) -> DeviceCalibration:
    return DeviceCalibration("mine", "2026-11-30T02:00:00+00:00", "made-up times", len(MODELS), **factors)


def made(model: str, batch: int) -> Case:
    workload = load.workload(model)
    device = replace(CPU, calibrations=(kept(**TRUE),))
    found = forecast(workload, device, batch=batch)
    assert found is not None
    return Case(workload, CPU, "fp32", batch, found.time_s, model)


def test_the_factors_that_made_the_times_are_found() -> None:
    found = factors([made(model, batch) for model in MODELS for batch in (1, 4)], CPU, EAGER)
    assert found.compute == pytest.approx(0.7, rel=0.05)
    assert found.memory == pytest.approx(1.4, rel=0.1)


def test_the_interval_narrows_with_the_number_of_timings_that_agree() -> None:
    usual = math.hypot(EAGER.spread.high, EAGER.spread.timed)
    cases = ([made(model, batch) for model in MODELS for batch in range(1, n)] for n in (2, 9))
    few, many = (factors(some, CPU, EAGER).spread for some in cases)
    assert 0.3 * usual < many < few < 1.1 * usual


def test_few_timings_move_the_factors_less_than_many() -> None:
    slower = [replace(made(model, 1), time_s=2 * made(model, 1).time_s) for model in MODELS]
    assert 1 < factors(slower[:1], CPU, EAGER).compute < factors(slower * 3, CPU, EAGER).compute


def test_a_gpu_has_factors_too() -> None:
    card = catalog.device("rtx4070")
    slower, timed = {**TRUE, "compute": 1.3}, []  # no factor lets a card exceed its ceilings
    for model in MODELS:
        workload = load.workload(model)
        found = forecast(workload, replace(card, calibrations=(kept(**slower),)), "fp16", 64)
        assert found is not None
        timed.append(Case(workload, card, "fp16", 64, found.time_s, model))
    found = factors(timed * 4, card, parameters().runtimes["torch-eager-cuda"])
    assert (found.compute, found.memory) == pytest.approx((1.3, 1.4), rel=0.15)


def test_a_calibrated_machine_is_expected_to_run_so_and_the_interval_is_its_own() -> None:
    timed = [made(model, 1) for model in MODELS]
    device = replace(CPU, calibrations=(kept(**to_builtins(factors(timed, CPU, EAGER))),))
    plain, calibrated = (forecast(load.workload("vgg16"), one) for one in (CPU, device))
    assert plain is not None
    assert calibrated is not None
    assert [each.code for each in calibrated.notices] == ["calibrated"]
    assert calibrated.time_s == pytest.approx(made("vgg16", 1).time_s, rel=0.05)
    assert calibrated.interval_s[1] / calibrated.time_s < plain.interval_s[1] / plain.time_s


def test_without_bandwidth_nothing_can_be_compared() -> None:
    with pytest.raises(ValueError, match="no known bandwidth"):
        factors([made("alexnet", 1)], replace(CPU, memory=replace(CPU.memory, bandwidth=None)), EAGER)


def test_timings_are_drawn_of_those_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "MAX_TIMINGS", 3)
    names = ["rtx4090"] * 9 + ["rtx3090"] * 5
    rows = tuple(MeasuredTime(name, "alexnet", 1 + at, "fp32", 1e-3, f"x:{at}") for at, name in enumerate(names))
    usable, skipped = cases.timings(MeasuredTable(rows), catalog.device("rtx3090"), catalog.device)
    (timed,) = usable.values()
    assert (len({case.batch for case in timed}), len(skipped)) == (3, 11)
    assert all(case.batch > 9 for case in timed)


def calibrated_on(device: Device, name: str, cases: list[Case]) -> Device:
    """Return the device with the calibration that cases give of the runtime whose parameters have this name."""
    own = to_builtins(factors(cases, device, parameters().runtimes[name]))
    return replace(device, calibrations=(*(device.calibrations or ()), kept(**own, runtime=short_name(name))))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torch-2.4-compile-cpu", *RUNTIMES])
@given(st.lists(st.tuples(st.sampled_from(MODELS), st.integers(1, 32)), min_size=3, max_size=8, unique=True))
@settings(max_examples=5, deadline=None)
def test_feeding_back_what_is_forecast_changes_nothing(name: str, drawn: list[tuple[str, int]]) -> None:
    device = catalog.device("rtx4090") if name.endswith("cuda") else CPU
    runtime, version = (name, None) if name in RUNTIMES else ("torch-compile-cpu", (2, 4))

    def time(place: Device, model: str, batch: int, runtime: str = runtime) -> float:
        answer = forecast(load.workload(model), place, "fp32", batch, runtime, version=version)
        assert answer is not None
        return answer.time_s

    fed = [
        Case(load.workload(model), device, "fp32", batch, time(device, model, batch), model) for model, batch in drawn
    ]
    after = calibrated_on(device, name, fed)
    (known,) = after.calibrations or ()
    assert (known.compute, known.memory, known.overhead) == pytest.approx((1, 1, 1), abs=2e-3)
    for model, batch in drawn:
        assert time(after, model, batch) == pytest.approx(time(device, model, batch), rel=2e-3)


@pytest.mark.parametrize("name", RUNTIMES)
def test_forecasts_of_other_runtimes_do_not_change(name: str) -> None:
    device = catalog.device("rtx4090") if name.endswith("cuda") else CPU
    slower = [Case(load.workload(model), device, "fp32", 4, 3.0, model) for model in MODELS]
    after = calibrated_on(device, name, slower)
    for other in runtimes_on(device.kind):
        plain, own = (forecast(load.workload("resnet50"), each, runtime=other) for each in (device, after))
        assert plain is not None
        assert own is not None
        assert (own == plain) == (other != name)
        assert (own.calibration is None) == (other != name)
