"""Where the time of a step goes: shares that add up, blocks with the sums of their operators, gains with intervals."""

import pytest
from msgspec.structs import replace

import hwbench
from hwbench.predict.estimate import estimate
from hwbench.predict.improvements import Improvement, improvements
from hwbench.stats.intervals import Interval
from hwbench.study.step import MAX_BLOCKS, Advice, MeasuredStep, blocks, explained_step, gain
from hwbench.workload.ops import Op, Workload

OPS = tuple(
    Op("conv", (8, 8, 64), name=f"stage{block}.{layer}:convolution", macs=1000 * (block + 1), input_elements=5000,
       output_elements=5000, weight_elements=100)
    for block in range(10) for layer in range(3)
)  # fmt: skip
STEP = Workload("net", "Net", (4,), OPS, samples=4, batch=4, fixed="training")


def test_shares_of_a_step_add_up_with_the_wait_and_the_optimizer() -> None:
    device = hwbench.device("i7-12700h")
    found = estimate(STEP, device, batch=4)
    answer = explained_step(MeasuredStep(0.03, 0.1, wait_s=0.01, optimizer=0.2), found, ())
    assert answer.waiting == pytest.approx(0.25)
    assert answer.optimizer == pytest.approx(0.2 * 0.75)
    parts = (answer.compute, answer.memory, answer.overhead, answer.optimizer, answer.waiting)
    assert sum(parts) == pytest.approx(1)
    assert answer.compute == pytest.approx(found.shares.compute * 0.75 * 0.8)
    (loading,) = answer.advice
    assert (loading.change, loading.gain) == ("loading", pytest.approx(4 / 3))


def test_blocks_have_the_sums_of_their_operators() -> None:
    found = estimate(STEP, hwbench.device("i7-12700h"), batch=4)
    rows = {block.name: block for block in blocks(found)}
    assert len(OPS) > MAX_BLOCKS
    assert set(rows) == {f"stage{block}" for block in range(10)}  # 30 layers are too many to tell apart
    assert rows["stage3"].flops == 3 * 2 * 4000
    assert sum(row.share for row in rows.values()) == pytest.approx(1)
    assert sum(row.time_s for row in rows.values()) == pytest.approx(found.expected_time_s)
    for row in rows.values():
        assert row.compute_s + row.memory_s + row.overhead_s == pytest.approx(row.time_s)


def test_without_a_forecast_blocks_are_told_apart_by_operations() -> None:
    device = hwbench.device("i7-12700h")
    device = replace(device, memory=replace(device.memory, bandwidth=None))
    found = estimate(STEP, device, batch=4)
    assert found.forecast is None
    rows = {block.name: block for block in blocks(found)}
    assert rows["stage9"].share == pytest.approx(10 / 55)
    assert rows["stage9"].time_s is None
    assert explained_step(MeasuredStep(0.03, 0.1), found, ()).compute is None


def test_a_gain_has_the_interval_of_the_forecast() -> None:
    found = estimate(STEP, hwbench.device("i7-12700h"), batch=4)
    changes = (Improvement("dtype", "bf16", 1.5), Improvement("bandwidth", "2", 1.4))
    (advice,) = explained_step(MeasuredStep(0.03, 0.1), found, changes).advice  # nobody buys memory to try
    low, high = found.interval_s
    assert advice.gain_interval == pytest.approx(
        (1.5 * found.expected_time_s / high, 1.5 * found.expected_time_s / low)
    )
    assert advice.is_inside is None
    assert replace(advice, measured_gain=1.5).is_inside
    assert not replace(advice, measured_gain=1.01 * advice.gain_interval[1]).is_inside
    assert Advice("dtype", "bf16", None, None, 1.5).is_inside is None


def test_a_measured_gain_is_of_the_throughput() -> None:
    value, (low, high) = gain(Interval(2.0, 1.94, 2.06), Interval(4.0, 3.84, 4.16), 8)
    assert value == 4
    assert (low, high) == pytest.approx((4 * 0.95, 4 * 1.05))  # 3 % and 4 % in squares


def test_a_larger_batch_helps_a_step_that_launches_alone() -> None:
    small = tuple(
        replace(op, output_shape=(4, 8, 2, 2), macs=1000, input_elements=40, output_elements=40) for op in OPS
    )
    device = hwbench.device("i7-12700h")
    found = {each.change: each for each in improvements(replace(STEP, ops=small), device, "fp32", 4)}
    assert found["batch"].value == "32"
    assert 6 < found["batch"].gain <= 8
    assert not any(each.value.startswith(("onnxruntime", "openvino")) for each in found.values())
