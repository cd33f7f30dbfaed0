"""Requirements: arithmetic by hand, and that a device listed really delivers."""

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.predict.estimate import estimate
from hwbench.study.requirement import require
from hwbench.units import Bytes, BytesPerSecond, Watts
from hwbench.workload import load
from hwbench.workload.ops import Workload
from tests.shipped import DEVICES

CATALOG = tuple(DEVICES.values())
ALEXNET = load.workload("alexnet")


def test_needs_by_hand() -> None:
    found = require(ALEXNET, [], rate=30)
    assert found.flops_per_second == 30 * 2_270_512_192
    assert found.bytes_per_second == 30 * ALEXNET.work(32).traffic
    assert found.memory_bytes == ALEXNET.capacity(32)
    assert (found.devices, found.judged, found.unknown) == ((), 0, ())


def test_a_batch_shares_the_weights() -> None:
    one, eight = require(ALEXNET, [], rate=30), require(ALEXNET, [], rate=30, batch=8)
    assert eight.flops_per_second == pytest.approx(one.flops_per_second)
    assert eight.bytes_per_second < one.bytes_per_second / 5


def test_a_latency_is_the_time_of_a_whole_batch() -> None:
    found = require(ALEXNET, [], latency=0.005, batch=8)
    assert found.rate_per_s == pytest.approx(1600)
    assert found.latency_s == 0.005
    tighter = require(ALEXNET, [], latency=0.005, rate=3200, batch=8)
    assert tighter.rate_per_s == pytest.approx(3200)


@functools.cache
def roofline_time_s(name: str, dtype: str) -> float | None:
    return estimate(ALEXNET, DEVICES[name], dtype).roofline_time_s


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 1e5), st.floats(0.01, 1.0), st.sampled_from(["fp32", "fp16"]))
def test_a_share_of_the_roofline_as_the_judge(rate: float, utilization: float, dtype: str) -> None:
    found = require(ALEXNET, CATALOG, rate=rate, utilization=utilization, dtype=dtype)
    listed = {candidate.name for candidate in found.devices}
    assert found.judged + len(found.unknown) == len(DEVICES)
    for name in DEVICES.keys() - set(found.unknown):
        time = roofline_time_s(name, dtype)
        assert time is not None
        assert (name in listed) == (time / utilization <= 1 / rate)
    assert all((c.verdict, c.interval_s, c.bound) == ("delivers", None, None) for c in found.devices)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.floats(0.1, 1e5), st.sampled_from(["fp32", "fp16"]), st.integers(1, 64))
def test_a_verdict_is_that_of_the_interval(rate: float, dtype: str, batch: int) -> None:
    found = require(ALEXNET, CATALOG[::7], rate=rate, dtype=dtype, batch=batch)
    verdicts = {candidate.name: candidate.verdict for candidate in found.devices}
    for device in CATALOG[::7]:
        if device.name in found.unknown:
            continue
        own = estimate(ALEXNET, device, dtype, batch)
        assert own.interval_s is not None
        low, high = own.interval_s
        delivers = "delivers" if high <= batch / rate else "may deliver" if low <= batch / rate else None
        assert verdicts.get(device.name) == (delivers if own.fits is not False else None)


def test_devices_that_deliver_come_before_those_that_may() -> None:
    found = require(load.workload("resnet50"), CATALOG, rate=1000, dtype="fp16", batch=8)
    verdicts = [candidate.verdict for candidate in found.devices]
    assert verdicts == ["delivers"] * found.delivering + ["may deliver"] * (len(verdicts) - found.delivering)
    assert 0 < found.delivering < len(verdicts)


def test_a_runtime_judges_the_devices_that_it_runs_on() -> None:
    found = require(ALEXNET, [DEVICES["rtx3090"], DEVICES["i9-10940x"]], rate=1, runtime="torch-compile-cpu")
    assert ([candidate.name for candidate in found.devices], found.unknown) == (["i9-10940x"], ("rtx3090",))


def test_cheapest_in_watts_first_and_unknown_power_last() -> None:
    found = require(ALEXNET, CATALOG, rate=30, utilization=1)
    watts = [candidate.power_w for candidate in found.devices]
    known = [power for power in watts if power is not None]
    assert known == sorted(known)
    assert watts[: len(known)] == known
    assert None in watts


def test_a_model_too_large_for_a_memory_is_not_delivered() -> None:
    batch = 100_000
    found = require(ALEXNET, [DEVICES["rtx3090"]], latency=1e6, batch=batch)
    assert ALEXNET.capacity(32, batch) > 24 * 2**30
    assert found.devices == ()


@pytest.mark.parametrize("utilization", [0, -1, 1e-7, 1.01, float("nan"), float("inf")])
def test_wrong_utilization(utilization: float) -> None:
    with pytest.raises(InputError) as caught:
        require(ALEXNET, [], rate=1, utilization=utilization)
    assert (caught.value.code, caught.value.field) == ("utilization-range", "utilization")


def test_a_share_of_the_roofline_by_hand() -> None:
    card = DEVICES["rtx3090"]
    time = estimate(ALEXNET, card).roofline_time_s
    assert time is not None
    (half,) = require(ALEXNET, [card], rate=30, utilization=0.5).devices
    assert (half.time_s, half.throughput_per_s) == pytest.approx((2 * time, 1 / (2 * time)))
    assert half.roofline_time_s == time
    assert require(ALEXNET, [card], latency=1e4, utilization=1e-6).devices[0].time_s == pytest.approx(1e6 * time)


def test_a_forecast_comes_with_its_interval_and_its_bound() -> None:
    own = estimate(ALEXNET, DEVICES["rtx3090"], batch=8)
    assert own.expected_time_s is not None
    (card,) = require(ALEXNET, [DEVICES["rtx3090"]], rate=1, batch=8).devices
    assert card.interval_s == pytest.approx(own.interval_s)
    assert (card.bound, card.verdict) == (own.bound, "delivers")
    assert (card.time_s, card.throughput_per_s) == pytest.approx((own.expected_time_s, 8 / own.expected_time_s))
    assert (card.power_w, card.roofline_time_s) == (350, pytest.approx(own.roofline_time_s))


def test_a_network_without_ops_needs_nothing() -> None:
    (card,) = require(Workload("none", "none", (1,), ()), [DEVICES["rtx3090"]], rate=30, utilization=1).devices
    assert (card.time_s, card.throughput_per_s) == (0, 0)


def test_a_memory_that_is_just_filled_is_large_enough() -> None:
    card, needed = DEVICES["rtx3090"], ALEXNET.capacity(32)
    for size, fits in ((needed, 1), (needed - 1, 0)):
        memory = replace(card.memory, size=Bytes(size))
        assert len(require(ALEXNET, [replace(card, memory=memory)], rate=1).devices) == fits


def test_a_target_is_needed() -> None:
    with pytest.raises(InputError, match="a rate or a latency"):
        require(ALEXNET, [])


def test_of_equal_power_the_faster_is_first_and_unknown_power_last() -> None:
    """AlexNet at one image moves weights, so that time follows the bandwidth."""
    card = DEVICES["rtx3090"]
    base = float(card.memory.bandwidth or 0)

    def variant(name: str, speed: float, power: float | None) -> Device:
        memory = replace(card.memory, bandwidth=BytesPerSecond(speed * base))
        return replace(card, name=name, memory=memory, power=Watts(power) if power else None)

    devices = [
        variant("unknown", 4, None), variant("slow", 1, 300), variant("fast", 2, 300), variant("frugal", 0.5, 100),
        variant("middle", 1.5, 300),
    ]  # fmt: skip
    found = require(ALEXNET, devices, rate=1, utilization=1)
    assert [candidate.name for candidate in found.devices] == ["frugal", "fast", "middle", "slow", "unknown"]
    assert (found.judged, found.unknown) == (5, ())
    assert [candidate.power_w for candidate in found.devices] == [100, 300, 300, 300, None]
    for candidate in found.devices:
        assert candidate.time_s == candidate.roofline_time_s
        assert candidate.throughput_per_s == pytest.approx(1 / candidate.time_s)


def test_a_target_met_exactly_is_met() -> None:
    card = DEVICES["rtx3090"]
    time = estimate(ALEXNET, card).roofline_time_s
    assert time is not None
    assert require(ALEXNET, [card], latency=time, utilization=1).devices
    assert not require(ALEXNET, [card], latency=time * 0.999, utilization=1).devices
    assert not require(ALEXNET, [card], latency=time, utilization=0.999).devices
