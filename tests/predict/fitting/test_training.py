"""Factors of training steps: found again where they were put in, and used for training steps alone."""

import csv
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import hwbench
from hwbench.predict.estimate import estimate
from hwbench.predict.fitting import training
from hwbench.predict.forecast import forecast
from hwbench.predict.model.parameters import FEW_TRAINED, Training, few_launches, parameters
from hwbench.workload.ops import Op, Workload
from hwbench.workload.optimizers import update

pytest.importorskip("scipy")

CONV, LINEAR = ("backward", "conv", "compute"), ("backward", "linear", "memory")
OVERHEADS = [(where, "overhead", "overhead") for where in training.PASSES]
REST = ("forward", "forward", "compute")
TRUE = {CONV: 1.5, LINEAR: 0.9, OVERHEADS[0]: 1.8, OVERHEADS[1]: 2.2, REST: 1.1}


def step(family: str, conv: float, linear: float, overhead: float) -> training.TimedPasses:
    """Return times of a network whose passes take what TRUE says."""
    parts = {REST: 1.0, CONV: 0.1 + conv, LINEAR: linear, OVERHEADS[0]: overhead, OVERHEADS[1]: overhead}
    measured = tuple(
        sum(TRUE[key] * seconds for key, seconds in parts.items() if key[0] == where) for where in training.PASSES
    )
    return training.TimedPasses(family, 1000, measured, parts)  # type: ignore[arg-type]


STEPS = [step(f"family{n}", 5.0 * (n % 3), 3.0 * (n % 4), 6.0 * (n % 5)) for n in range(40)]


def test_factors_that_were_put_in_are_found_again() -> None:
    found = training.fitted(STEPS)
    assert found == pytest.approx(TRUE, rel=0.02)
    assert all(abs(training.error(step, TRUE)) < 1e-9 for step in STEPS)
    answer = training.training(STEPS, {})
    assert answer.factors["conv"] == pytest.approx((1.5, 1.0, 2.2), rel=0.02)  # nothing tells of its memory
    assert answer.factors["forward"] == pytest.approx((1.1, 1.0, 1.8), rel=0.02)
    assert answer.of("never seen") == pytest.approx((1.0, 1.0, 2.2), rel=0.02)


def test_errors_are_of_the_time_and_the_interval_has_its_share_of_them() -> None:
    noisy = [
        replace(each, measured=tuple(2 * exp(0.02 * (n % 11 - 5)) * seconds for seconds in each.measured))
        for n, each in enumerate(STEPS)
    ]
    held = training.held_out(noisy)
    assert [each.step for each in held] == noisy
    result = training.summary(held, held)
    assert (result["n"], result["families"]) == (40, 40)
    assert 0.03 < result["mape"] < 0.09
    assert 0.6 < result["inside"] < 0.95
    found = training.training(noisy, {})
    assert 0.03 < found.low * sqrt(2) < 0.15  # steps of as many launches as FEW_TRAINED
    assert 0.03 < found.high * sqrt(2) < 0.15


def test_errors_of_few_launches_are_wider() -> None:
    assert few_launches(150, 150) == pytest.approx(sqrt(2))
    assert few_launches(0, 30) == few_launches(1, 30) == pytest.approx(sqrt(31))
    assert few_launches(7, 0) == 1
    known = parameters().runtimes["torch-eager-cpu"]
    assert known.training
    spread = known.in_training()
    assert (spread.low, spread.high, spread.few) == (known.training.low, known.training.high, FEW_TRAINED)
    assert set(spread.devices.values()) == {(spread.low, spread.high)}


def test_updates_take_a_time_a_step_a_tensor_and_a_byte() -> None:
    rows = [(1e-4 + 2e-5 * n + 3e-10 * size, n, size) for n in (1, 10, 300) for size in (1e4, 1e6, 1e8)]
    assert training.updates(rows) == pytest.approx((1e-4, 2e-5, 3e-10), rel=0.01)


def network(**more: Any) -> Workload:
    op = Op("conv", (64, 32, 32), name="a:convolution", macs=10**8, input_elements=65536, output_elements=65536,
            weight_elements=36864, columns=64, depth=576, window=9)  # fmt: skip
    ops = (op, replace(op, name="a:convolution_backward", part="backward"), update("adam", 36864, 3))
    return replace(Workload("net", "Net", (1,), ops, samples=1, fixed="training"), **more)


def test_operators_of_training_steps_alone_take_the_factors() -> None:
    known, name, device = parameters(), "torch-eager-cpu", hwbench.device("epyc-9r14-core")
    factors = {"forward": (1.0, 1.0, 1.0), "conv": (3.0, 3.0, 3.0), "others": (1.0, 1.0, 1.0)}
    found = Training(factors, {"adam": (1e-4, 1e-5, 1e-10)}, 0.1, 0.2)
    file = replace(known, runtimes={**known.runtimes, name: replace(known.runtimes[name], training=found)})
    answer = forecast(network(), device, known=file)
    assert answer is not None
    first, second, optimizer = answer.ops
    assert 2.5 < second.time_s / first.time_s <= 3
    assert optimizer.time_s == pytest.approx(1e-4 + 3 * 1e-5 + 4 * 36864 * 1e-10)
    low, high = answer.interval_s
    total = sum(op.time_s for op in answer.ops)
    assert log(total / low) >= 0.1 * few_launches(3, FEW_TRAINED)  # and wider by what is not known of the host
    assert log(high / total) >= 0.2 * few_launches(3, FEW_TRAINED)
    inference = network(ops=network().ops[:1], fixed="")
    trained, untrained = (forecast(inference, device, known=each) for each in (file, known))
    assert trained == untrained


def test_the_interval_of_steps_is_wide_where_none_was_timed() -> None:
    for device in ("rtx3090", "epyc-9r14-core"):
        steps = (network(), network(fixed=""))
        trained, other = (estimate(each, hwbench.device(device)).interval_s for each in steps)
        assert trained
        assert other
        width = [high / low for low, high in (trained, other)]
        assert width[0] > width[1]
        assert width[0] > exp(1.0)


@pytest.mark.slow
def test_timed_steps_are_forecast_in_their_interval() -> None:
    """Steps of the table, which were fitted, without their updates."""
    pytest.importorskip("transformers")
    table = Path(__file__).parents[3] / "results" / "measured" / "epyc-9r14" / "training.csv"
    rows = list(csv.DictReader(line for line in table.read_text().splitlines() if not line.startswith("#")))
    for name, batch in (("hf:distilbert", "2"), ("hf:levit", "8"), ("hf:electra", "8")):
        (row,) = (row for row in rows if (row["model"], row["batch"]) == (name, batch))
        measured = 1e-3 * sum(float(row[part]) for part in ("forward", "backward"))
        answer = hwbench.estimate(name, row["device"], mode="training", batch=int(batch))
        low, high = answer.interval_s or (0.0, 0.0)
        assert low < measured < high
        assert answer.expected_time_s == pytest.approx(measured, rel=0.15)
