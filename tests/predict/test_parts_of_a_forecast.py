"""Shares of ops and elasticities of a forecast against the same arithmetic written out, from the launches' times."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.predict.forecast import LIMITS, Forecast, forecast
from hwbench.predict.model import scalar
from hwbench.predict.model.hardware import hardware_of
from hwbench.predict.model.parameters import parameters
from hwbench.predict.model.time import LaunchTime, launch_times
from hwbench.workload.ops import Op, Workload

GPU, CPU = catalog.device("rtx3090"), catalog.device("i9-10940x")
LINEAR = Op(
    "linear", (64, 4096), macs=64 * 4096 * 4096, columns=4096, depth=4096, input_elements=64 * 4096,
    weight_elements=4096 * 4096, output_elements=64 * 4096,
)  # fmt: skip
MAP = Op("add", (10**6,), input_elements=10**6, output_elements=10**6, elementwise_flops=10**6)
TINY = replace(MAP, output_shape=(1,), input_elements=1, output_elements=1, elementwise_flops=1)
BUSY = Workload("busy", "busy", (1,), (replace(LINEAR, count=3), MAP, replace(TINY, count=2)))
WAITING = Workload("waiting", "waiting", (1,), (replace(TINY, count=5), replace(LINEAR, macs=10, columns=1, depth=1)))


def both(workload: Workload, device: Device, batch: int) -> tuple[Forecast, list[LaunchTime], str]:
    runtime = "torch-eager-cuda" if device.kind == "gpu" else "torch-eager-cpu"
    hardware, found = hardware_of(device, {"fp32", "tf32"}), forecast(workload, device, batch=batch)
    assert hardware is not None
    assert found is not None
    times = launch_times(scalar, workload, hardware, "fp32", 32, batch, parameters().runtimes[runtime])
    return found, times, device.kind


def seconds(
    times: list[LaunchTime], kind: str, by: tuple[float, float, float] = (1, 1, 1)
) -> tuple[list[float], float]:
    """Seconds of each op on the device, and of the host; compute, memory and overhead are `by` so much faster."""
    device = []
    for time in times:
        compute, memory = time.compute / by[0], time.memory / by[1]
        work = math.hypot(compute, memory) if kind == "gpu" else compute + memory
        device.append((work + time.overhead / by[2]) * time.count)
    return device, sum(time.host * time.count for time in times) / by[2]


def total(times: list[LaunchTime], kind: str, *by: float) -> float:
    device, host = seconds(times, kind, by or (1, 1, 1))  # type: ignore[arg-type]
    return (sum(device) ** 4 + host**4) ** 0.25


MORE = 1.0001
CASES: list[Any] = [(BUSY, GPU, 1), (BUSY, GPU, 64), (WAITING, GPU, 1), (BUSY, CPU, 2), (WAITING, CPU, 1)]


@pytest.mark.parametrize(("workload", "device", "batch"), CASES)
def test_ops_share_the_time_and_wait_with_their_launches(workload: Workload, device: Device, batch: int) -> None:
    found, times, kind = both(workload, device, batch)
    own, host = seconds(times, kind)
    whole = total(times, kind)
    assert found.time_s == pytest.approx(whole)
    assert found.host_s == pytest.approx(host)
    assert found.throughput_per_s == pytest.approx(batch / whole)
    waiting = whole - sum(own)
    for op, time, alone in zip(found.ops, times, own, strict=True):
        waits = waiting * time.host * time.count / host if host else 0.0
        assert op.time_s == pytest.approx(alone + waits)
        shares = [getattr(op.shares, limit) for limit in LIMITS]
        assert op.bound == LIMITS[shares.index(max(shares))]
    for limit in LIMITS:
        assert getattr(found.shares, limit) == pytest.approx(sum(getattr(op.shares, limit) for op in found.ops))
    assert found.shares.whole == pytest.approx(1)
    assert found.bound == max(LIMITS, key=lambda limit: getattr(found.shares, limit))


@pytest.mark.parametrize(("workload", "device", "batch"), CASES)
def test_shares_are_what_a_little_more_of_each_saves(workload: Workload, device: Device, batch: int) -> None:
    found, times, kind = both(workload, device, batch)

    def saved(*by: float) -> float:
        return -math.log(total(times, kind, *by) / total(times, kind)) / math.log(MORE)

    assert found.shares.compute == pytest.approx(saved(MORE, 1.0, 1.0), rel=1e-3, abs=1e-6)
    assert found.shares.memory == pytest.approx(saved(1.0, MORE, 1.0), rel=1e-3, abs=1e-6)
    assert found.shares.overhead == pytest.approx(saved(1.0, 1.0, MORE), rel=1e-3, abs=1e-6)
    on_clock = found.shares.compute + (found.shares.overhead if kind == "cpu" else 0.0)
    assert (found.elasticities.clock, found.elasticities.units) == pytest.approx((on_clock, found.shares.compute))
    assert (found.elasticities.bandwidth, found.elasticities.overhead) == (found.shares.memory, found.shares.overhead)


def test_a_network_without_ops_takes_no_time() -> None:
    found = forecast(Workload("none", "none", (1,), ()), GPU)
    assert found is not None
    assert (found.time_s, found.throughput_per_s, found.ops) == (0.0, None, ())
    saved = found.elasticities
    assert (saved.clock, saved.bandwidth, saved.units, saved.overhead) == (0, 0, 0, 0)
