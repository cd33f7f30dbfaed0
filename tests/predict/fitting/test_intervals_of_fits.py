"""Intervals of fits: ends of errors, what a held-out device adds, and the whole way from times that were made up."""

import math
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.predict.data.splits import family
from hwbench.predict.fitting import fit, priors
from hwbench.predict.fitting.problem import Case, problem
from hwbench.predict.forecast import forecast
from hwbench.predict.model.parameters import ParameterFile, PartFactors, parameters
from hwbench.workload import load

NAME = "torch-eager-cuda"
TRUE = {"rtx3090": PartFactors(1.2, 0.9), "rtx4090": PartFactors(0.8, 1.1)}
CARDS = [catalog.device(name) for name in TRUE]


def test_ends_leave_a_tenth_beyond_each_and_every_group_weighs_the_same() -> None:
    assert fit._ends([np.linspace(-1, 1, 2001)]) == pytest.approx((-0.8, 0.8), abs=0.01)
    few, many = np.full(10, -0.5), np.full(990, 0.5)
    assert fit._ends([few, many]) == pytest.approx((-0.5, 0.5))


def test_a_device_held_out_widens_by_its_farther_end() -> None:
    near, far = np.linspace(-0.2, 0.3, 1001), np.linspace(-0.8, 0.3, 1001)
    spread = fit._spread(priors.UNTESTED, [near], [far], [near])
    assert (spread.low, spread.high) == pytest.approx((0.15, 0.25), abs=0.001)
    seen = 0.69**2 - 0.15**2
    assert spread.device == pytest.approx(((0.25 * 0.3**2 + seen) / 1.25) ** 0.5, abs=0.001)
    assert spread.timed == 0
    more = fit._spread(priors.UNTESTED, [near], [far] * 20, [near])  # which leave little to an assumption
    assert more.device == pytest.approx(((0.25 * 0.3**2 + 20 * seen) / 20.25) ** 0.5, abs=0.001)
    assert fit._spread(priors.UNTESTED, [near], [], []).device == priors.UNTESTED.device


def test_errors_of_what_was_held_out_are_shares_of_the_measured_time() -> None:
    cases = problem(made()[:2], CARDS[0])
    held = fit._ledger_row("families", cases, np.log([2.0, 0.5]), np.array([True, False]))
    assert (held.n, held.mape, held.bias, held.inside, held.worst) == (2, 0.75, 0.25, 0.5, None)
    draws = fit._ledger_row(
        "device, 12 timings", cases, np.log([[1.0, 1.0], [2.0, 2.0]]), np.array([[True] * 2, [False] * 2])
    )
    assert (draws.mape, draws.worst, draws.inside) == (0.25, 0.5, 0.5)


def made(cards: list[Device] = CARDS) -> list[Case]:
    """Cases whose times follow from the priors and the factors of devices exactly."""
    runtime = replace(priors.START[NAME], devices=TRUE)
    known: Any = ParameterFile("", 0, "", {NAME: runtime})
    found = []
    for card in cards:
        for name, workload in load.workloads().items():
            for batch in (64, 512):
                time = forecast(workload, card, "fp16", batch, known=known)
                assert time is not None
                found.append(Case(workload, card, "fp16", batch, time.time_s, family(name)))
    return found


@pytest.mark.slow
def test_factors_of_devices_are_found_and_what_is_held_out_is_told() -> None:
    file = fit.calibrated({NAME: made()})
    runtime = file.runtimes[NAME]
    ratio = runtime.devices["rtx3090"].compute / runtime.devices["rtx4090"].compute
    assert ratio == pytest.approx(1.2 / 0.8, rel=0.1)
    logs = {name: math.log(each.compute) for name, each in runtime.devices.items()}
    mean = sum(logs.values()) / 2
    assert math.log(runtime.others.compute) == pytest.approx(mean)
    expected = mean + fit.SHARED * (logs["rtx4090"] - mean)
    assert math.log(runtime.architectures["ada"].compute) == pytest.approx(expected)
    ways = {(held.without, held.of.split()[0]): held.mape for held in runtime.held_out}
    assert {way for way, _ in ways} == {"device", "device, 12 timings", "families"}
    for card in TRUE:
        assert ways["families", card] < 0.05 < ways["device", card]
        assert ways["device, 12 timings", card] < 0.5 * ways["device", card]
    assert runtime.spread.timed < runtime.spread.device
    assert set(runtime.spread.devices) == set(TRUE)
    derived = file.runtimes["torch-compile-cuda"]
    assert derived.fuses
    assert derived.devices == runtime.devices
    assert (derived.families, derived.held_out) == ((), ())


@pytest.mark.slow
def test_a_family_is_forecast_by_fits_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fitted(runtime: Any, _: Any, problems: Any, warm: bool = False) -> Any:
        assert warm  # they begin at the parameters of the fit to all
        return replace(runtime, families=tuple(each for one in problems for each in one.families))

    def known(runtime: Any, cases: Any) -> Any:
        return np.array([each in runtime.families for each in cases.families], dtype=float)

    monkeypatch.setattr(fit, "fitted", fitted)
    monkeypatch.setattr(fit, "_log_errors", known)
    problems = [problem(made([card]), card) for card in CARDS]
    told: list[str] = []
    errors, rows = fit._without_families(priors.START[NAME], (), problems, told.append)
    assert [each.tolist() for each in errors] == [[0.0] * len(each.times) for each in problems]
    assert len(told) == 4
    assert [(row.mape, row.inside) for row in rows] == [(0.0, 1.0)] * 2


@pytest.mark.slow
def test_timings_of_a_device_are_drawn_twenty_times_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "fitted", lambda runtime, *_: runtime)
    cases = problem(made()[:30], CARDS[0])
    errors, drawn = fit._after_timings(priors.START[NAME], cases)
    assert (errors.shape, drawn.shape) == ((20, 30), (20, 12))
    assert np.ptp(errors, axis=0).max() == 0
    draws = np.random.default_rng(0)
    for row in drawn:
        assert row.tolist() == errors[0][sorted(draws.choice(30, 12, replace=False))].tolist()
    few, most = fit._after_timings(priors.START[NAME], problem(made()[:5], CARDS[0]))
    assert (few.shape, most.shape) == ((20, 5), (20, 5))


@pytest.mark.slow
def test_software_is_held_out_with_all_of_its_tables_where_the_device_is_known_under_other() -> None:
    known, alone = ([replace(case, version=(2, 4)) for case in made([card])] for card in CARDS)
    newer = [replace(case, version=(2, 9), time_s=1.25 * case.time_s) for case in known]
    problems = [problem(cases, cases[0].device) for cases in (known, newer, alone)]
    runtime = replace(priors.START[NAME], devices=TRUE)
    near = [np.linspace(-0.3, 0.3, 11), np.linspace(-0.1, 0.1, 11), np.zeros(11)]
    older, new = fit._without_software(runtime, priors.GPU_FREE[:1], problems, near, lambda _: None)
    assert [(row.without, row.of) for row in (older, new)] == [
        ("software", "rtx3090 fp16 torch-2.4"), ("software", "rtx3090 fp16 torch-2.9"),
    ]  # fmt: skip
    assert (new.mape, new.bias, new.inside) == (pytest.approx(0.2, rel=0.02), pytest.approx(-0.2, rel=0.02), 1.0)
    assert older.bias > 0
    assert older.inside < 1


def test_the_largest_relative_difference_of_parameters() -> None:
    name = "torch-eager-cuda"
    file = parameters()
    runtime = file.runtimes[name]
    assert runtime.gpu is not None
    compute = {
        **runtime.gpu.compute,
        "conv": runtime.gpu.compute["conv"] * 1.25,
        "stem": runtime.gpu.compute["stem"] * 0.9,
    }
    changed = replace(runtime, gpu=replace(runtime.gpu, compute=compute, launch=runtime.gpu.launch * 1.125))
    other = replace(file, runtimes={**file.runtimes, name: changed})
    assert fit.difference(other, file, [name, "torch-eager-cpu"]) == {name: pytest.approx(0.25), "torch-eager-cpu": 0.0}
