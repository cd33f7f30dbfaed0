"""Factors of a ratio of times, op by op, with numbers whose logarithms are exact."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.machine.device import Device
from hwbench.machine.parts import Cache, Clock, Memory, Rate, Units
from hwbench.predict.estimate import estimate
from hwbench.predict.forecast import Elasticities, Forecast, Shares
from hwbench.study.compare.decomposition import of_peaks, of_times, parts
from hwbench.units import Bytes, BytesPerSecond, Hertz
from hwbench.workload.ops import Op, Workload

NO_CACHE = (Cache("L2", Bytes(1)),)


def device(units: int, clock: float, rate: float, bandwidth: float) -> Device:
    classes = (Units("arch", units, Clock(fixed=Hertz(clock)), rates=(Rate("vector", "cuda", "fp32", rate),)),)
    return Device("x", "gpu", "Nobody", classes, Memory(bandwidth=BytesPerSecond(bandwidth)), caches=NO_CACHE)


BASE = device(1, 1e9, 2, 4e9)
COMPUTE = Op("matmul", (1,), macs=10**9, columns=1, depth=1)
MEMORY = Op("copy", (1,), input_elements=10**9)
BALANCED = Op("matmul", (1,), macs=10**9, columns=1, depth=1, input_elements=5 * 10**8)
EMPTY = Op("view", (1,))
NOTHING = Elasticities(0.0, 0.0, 0.0, 0.0)


def of(own: Device, *ops: Op) -> Any:
    workload = Workload("w", "w", (1,), ops)
    sides = [(estimate(workload, each, bounds_only=True), each.peak("fp32")) for each in (own, BASE)]
    return of_times("own", *sides[0], "base", *sides[1])


def factors(found: Any) -> dict[str, tuple[float, float]]:
    return {factor.name: (factor.ratio, factor.factor) for factor in found.factors}


def test_parts_of_a_peak() -> None:
    assert parts(device(3, 2e9, 4, 1.0).peak("fp32")) == (3.0, 2e9, 4.0)
    rates = (Rate("vector", "cuda", "fp32", 4),), (Rate("vector", "cuda", "fp32", 1),)
    classes = (
        Units("a", 1, Clock(fixed=Hertz(3e9)), "a", rates=rates[0]),
        Units("b", 3, Clock(fixed=Hertz(1e9)), "b", rates=rates[1]),
    )
    mixed = Device("x", "gpu", "Nobody", classes).peak("fp32")
    assert parts(mixed) == pytest.approx((4.0, 1.5e9, 15 / 6))


def test_a_ratio_of_peaks() -> None:
    found = of_peaks("own", device(4, 5e8, 6, 1.0).peak("fp32"), "base", BASE.peak("fp32"))
    assert (found.of, found.batch, found.ratio) == ("peak", None, pytest.approx(6))
    expected = {"units": 4.0, "clock": 0.5, "flops_per_cycle": 3.0}
    assert factors(found) == {name: pytest.approx((value, value)) for name, value in expected.items()}
    shares = {factor.name: factor.share for factor in found.factors}
    assert shares == {name: pytest.approx(math.log(value) / math.log(6)) for name, value in expected.items()}
    assert [factor.share for factor in of_peaks("b", BASE.peak("fp32"), "b", BASE.peak("fp32")).factors] == [None] * 3


def test_compute_alone_and_memory_alone() -> None:
    """Four times the peak and twice the bandwidth, for an op that one of them limits on both devices."""
    own = device(2, 1e9, 4, 8e9)
    assert factors(of(own, COMPUTE)) == {
        "units": pytest.approx((2, 2)), "clock": pytest.approx((1, 1)), "flops_per_cycle": pytest.approx((2, 2)),
        "bandwidth": pytest.approx((2, 1)),
    }  # fmt: skip
    found = of(own, MEMORY, EMPTY)
    assert (found.of, found.batch, found.ratio) == ("roofline", 1, pytest.approx(2))
    assert factors(found) == {
        "units": pytest.approx((2, 1)), "clock": pytest.approx((1, 1)), "flops_per_cycle": pytest.approx((2, 1)),
        "bandwidth": pytest.approx((2, 2)),
    }  # fmt: skip


def test_each_op_counts_by_the_logarithmic_mean_of_its_times() -> None:
    """Compute falls from 1 s to 1/4 s, memory from 1 s to 1/2 s: 2 s to 3/4 s in all."""
    found = factors(of(device(2, 1e9, 4, 8e9), COMPUTE, MEMORY))

    def mean(x: float, y: float) -> float:
        return (x - y) / math.log(x / y)

    whole = mean(2, 0.75)
    compute, memory = mean(1, 0.25) / whole, mean(1, 0.5) / whole
    assert found["units"] == pytest.approx((2, 2**compute))
    assert found["flops_per_cycle"] == pytest.approx((2, 2**compute))
    assert found["bandwidth"] == pytest.approx((2, 2**memory))
    assert 4**compute * 2**memory == pytest.approx(2 / 0.75)


@pytest.mark.parametrize(
    ("units", "bandwidth", "share"), [(8, 4e9, 1 / 3), (2, 32e9, 1.0), (4, 4e9, 0.5), (1, 1e9, 1 / 2), (1, 5e9, 1.0)]
)
def test_an_op_that_changes_its_bound_is_split_where_it_crosses(units: int, bandwidth: float, share: float) -> None:
    """The op computes for 1 s and moves for half of that at first, so that compute limits it until the lines cross."""
    found = of(device(units, 1e9, 2, bandwidth), BALANCED)
    before, after = math.log(1 / 0.5), math.log((1 / units) / (2 / (bandwidth / 1e9)))
    crossing = 1.0 if after > 0 else before / (before - after)
    assert crossing == pytest.approx(share)
    time = max(1 / units, 2e9 / bandwidth)
    assert found.ratio == pytest.approx(1 / time)
    assert factors(found)["units"] == pytest.approx((units, units**crossing))
    assert factors(found)["bandwidth"] == pytest.approx((bandwidth / 4e9, (bandwidth / 4e9) ** (1 - crossing)))


def forecast(time_s: float, host_s: float) -> Forecast:
    shares = Shares(0.5, 0.25, 0.25)
    return Forecast("torch-eager-cuda", time_s, (0.0, 9.0), 0.8, 1 / time_s, (), host_s, shares, NOTHING)


@pytest.mark.parametrize(
    ("hosts", "launches"), [((0.0, 0.0), 4.0), ((0.5, 4.0), 8.0), ((0.0, 2.0), 8.0), ((9.0, 9.0), 1.0)]
)
def test_a_ratio_of_forecasts_is_split_by_what_limits_both(hosts: tuple[float, float], launches: float) -> None:
    """From 4 s to 1 s, each of which is half compute, a quarter memory and a quarter launches."""
    own = device(2, 1e9, 4, 8e9)
    workload = Workload("w", "w", (1,), (COMPUTE,))
    sides = []
    for each, time_s, host_s in ((own, 1.0, hosts[0]), (BASE, 4.0, hosts[1])):
        bounds = estimate(workload, each, bounds_only=True)
        sides.append((replace(bounds, forecast=forecast(time_s, host_s)), each.peak("fp32")))
    found = of_times("own", *sides[0], "base", *sides[1])
    assert (found.of, found.ratio) == ("expected", pytest.approx(4))
    assert factors(found) == {
        "units": pytest.approx((2, 2**0.5)),
        "clock": pytest.approx((1, 1)),
        "flops_per_cycle": pytest.approx((2, 2**0.5)),
        "bandwidth": pytest.approx((2, 2**0.25)),
        "launches": pytest.approx((launches, launches**0.25)),
        "efficiency": pytest.approx(2 * (4 / (2 * 2**0.25 * launches**0.25),)),
    }


@pytest.mark.parametrize("ops", [(EMPTY, EMPTY), (COMPUTE, EMPTY), (EMPTY, COMPUTE)])
def test_times_that_are_unknown(ops: tuple[Op, Op]) -> None:
    sides = [estimate(Workload("w", "w", (1,), (op,)), BASE, bounds_only=True) for op in ops]
    with pytest.raises(ValueError, match="both"):
        of_times("own", sides[0], BASE.peak("fp32"), "base", sides[1], BASE.peak("fp32"))
