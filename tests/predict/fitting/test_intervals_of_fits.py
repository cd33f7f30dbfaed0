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
    assert spread.device == pytest.approx((0.69**2 - 0.15**2) ** 0.5, abs=0.001)
    assert spread.timed == 0
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
