"""Factors of backward passes: found again where they were put in, and used for training steps alone."""

from math import exp, log

import pytest
from msgspec.structs import replace

import hwbench
from hwbench.predict.estimate import estimate
from hwbench.predict.fitting import backward
from hwbench.predict.forecast import forecast
from hwbench.predict.model.parameters import Backward, parameters
from hwbench.workload.ops import Op, Workload

pytest.importorskip("scipy")

KEYS = backward.KEYS
TRUE = {**dict.fromkeys(KEYS, 1.0), "conv": 1.5, "linear": 0.9, "overhead": 2.0}


def passes(family: str, conv: float, linear: float, overhead: float, off: float = 1.0) -> backward.TimedPasses:
    """Return times of a network whose backward pass takes what TRUE says, times `off`."""
    parts = {**dict.fromkeys(KEYS, 0.0), "conv": conv, "linear": linear, "overhead": overhead}
    whole = 1.0 + sum(TRUE[key] * parts[key] for key in KEYS)
    return backward.TimedPasses(family, 2.0, 2.0 * off * whole, 1.0, 1.0, tuple(parts.values()))


STEPS = [passes(f"family{n}", 5.0 * (n % 3), 3.0 * (n % 4), 6.0 * (n % 5)) for n in range(40)]


def test_factors_that_were_put_in_are_found_again() -> None:
    found = backward.fitted(STEPS)
    assert found["conv"] == pytest.approx(1.5, rel=0.02)
    assert found["linear"] == pytest.approx(0.9, rel=0.02)
    assert found["overhead"] == pytest.approx(2.0, rel=0.05)
    assert found["attention"] == 1  # of which nothing tells


def test_errors_are_of_the_time_and_the_interval_has_its_share_of_them() -> None:
    noisy = [replace(step, passes_s=step.passes_s * exp(0.02 * (n % 11 - 5))) for n, step in enumerate(STEPS)]
    held = backward.held_out(noisy, ratio=True)
    assert set(held) == {step.family for step in STEPS}
    result = backward.summary(held)
    assert result["n"] == 40
    assert 0.03 < result["mape"] < 0.09
    assert 0.6 < result["inside"] < 0.95
    factors = backward.backward(noisy)
    assert log(2) < factors.high < log(2) + 0.2  # all times are twice what is forecast: the ratio is not
    assert factors.low == 0.01


def test_operators_of_backward_passes_alone_take_the_factors() -> None:
    op = Op("conv", (64, 32, 32), name="a:convolution", macs=10**8, input_elements=65536, output_elements=65536,
            weight_elements=36864, columns=64, depth=576, window=9)  # fmt: skip
    ops = (op, replace(op, name="a:convolution_backward", part="backward"))
    step = Workload("net", "Net", (1,), ops, samples=1, fixed="training")
    known, name = parameters(), "torch-eager-cpu"
    factors = Backward({**dict.fromkeys(known.runtimes[name].backward.factors, 1.0), "conv": 3.0}, 0.1, 0.2)
    file = replace(known, runtimes={**known.runtimes, name: replace(known.runtimes[name], backward=factors)})
    device = hwbench.device("epyc-9r14-core")
    first, second = forecast(step, device, known=file).ops
    assert 2.5 < second.time_s / first.time_s <= 3
    low, high = forecast(step, device, known=file).interval_s
    total = first.time_s + second.time_s
    assert low <= total * exp(-0.1)  # and wider by what is not known of the host
    assert high >= total * exp(0.2)
    assert high / low < exp(0.6)


def test_the_interval_of_steps_is_wide_where_none_was_timed() -> None:
    ops = (
        Op("linear", (100,), name="a:mm", macs=10**6, input_elements=1000, output_elements=100, weight_elements=10**5),
    )
    step = Workload("net", "Net", (1,), ops, samples=1, fixed="training")
    for device in ("rtx3090", "epyc-9r14-core"):
        known = parameters().runtimes["torch-eager-cuda" if device == "rtx3090" else "torch-eager-cpu"]
        trained, other = (estimate(each, hwbench.device(device)) for each in (step, replace(step, fixed="")))
        width = [each.interval_s[1] / each.interval_s[0] for each in (trained, other)]
        assert width[0] > width[1]
        assert (width[0] > exp(1.0)) == (known.backward is None)
