"""The forecast of a network's time: one launch after another, what the host adds, and how far off it may be."""

from collections.abc import Iterable, Iterator
from math import exp, sqrt
from typing import Literal

from msgspec import Struct, to_builtins

from hwbench import dtypes
from hwbench.dtypes import Dtype
from hwbench.machine.device import Device
from hwbench.machine.parts import ClockKind, DeviceCalibration
from hwbench.notices import Notice, notice
from hwbench.predict.model import scalar
from hwbench.predict.model.hardware import Hardware, hardware_of
from hwbench.predict.model.launch import UNKNOWN, family_of
from hwbench.predict.model.parameters import ParameterFile, Runtime, Spread, parameters
from hwbench.predict.model.runtimes import runtime_for
from hwbench.predict.model.time import LaunchTime, device_and_host_time, device_time, launch_times, total_time
from hwbench.workload.ops import Workload

Limit = Literal["compute", "memory", "overhead"]
LIMITS: tuple[Limit, ...] = ("compute", "memory", "overhead")
CHANGE = 1.1
"""Factor by which one property of the device grows to compute an elasticity."""


class OpTime(Struct, frozen=True):
    """Seconds of all repetitions of one op; `time_s` adds up to the network's time. Its parts may overlap."""

    time_s: float
    compute_s: float
    memory_s: float
    overhead_s: float
    limited_by: Limit


class Elasticities(Struct, frozen=True):
    """Share of the time that each property saves if it grows by a tenth: 0.091 if nothing else matters.

    `clock` speeds up computation and, on a CPU, the framework's work between ops (not its caches). `units` assumes that
    work divides evenly among them, `overhead` that launches and host are a tenth faster.
    """

    clock: float
    bandwidth: float
    units: float
    overhead: float


class Forecast(Struct, frozen=True):
    """How long one batch takes in a runtime: seconds, an interval that contains it at `interval_level`, and why.

    `throughput_per_s` counts samples, None for a network that takes no time. `limited_by` is what most of the time is
    spent on, `host_s` the seconds that the framework needs to launch everything.
    """

    runtime: str
    time_s: float
    interval_s: tuple[float, float]
    interval_level: float
    throughput_per_s: float | None
    ops: tuple[OpTime, ...]
    host_s: float
    limited_by: Limit
    elasticities: Elasticities
    notices: tuple[Notice, ...] = ()
    calibration: DeviceCalibration | None = None


def forecast(
    workload: Workload,
    device: Device,
    dtype: str = "fp32",
    batch: int = 1,
    runtime: str | None = None,
    *,
    clock: ClockKind | None = None,
    foreign: bool = False,
    known: ParameterFile | None = None,
) -> Forecast | None:
    """Return the forecast for a batch, None if the device's bandwidth or rates are unknown.

    `foreign` stands for a runtime that no parameters were fitted for, which widens the interval; `known` are other
    parameters than the shipped ones. Raises InputError for an unknown runtime or dtype.
    """
    name = runtime_for(device.kind, runtime)
    model = (known or parameters()).runtimes[name]
    number = dtypes.dtype(dtype)
    needed = {number.computes_in, "tf32", *(op.dtype for op in workload.ops if op.dtype)}
    hardware = hardware_of(device, needed, clock)
    if hardware is None:
        return None
    samples = workload.repeats(batch)
    times = launch_times(scalar, workload, hardware, number.computes_in, number.bits, samples, model)
    device_s, host_s = device_and_host_time(scalar, times, model)
    total = total_time(scalar, device_s, host_s)
    ops = _op_times(times, model, total, host_s)
    low, high = _interval(model.spread, device, hardware, number.name, workload, ops, total, foreign)
    return Forecast(
        runtime=name,
        time_s=total,
        interval_s=(total * exp(low), total * exp(high)),
        interval_level=model.spread.level,
        throughput_per_s=batch / total if total else None,
        ops=ops,
        host_s=host_s,
        limited_by=max(LIMITS, key=lambda limit: _time_limited_by(limit, ops)),
        elasticities=_elasticities(times, model, total),
        notices=tuple(_notices(device, hardware, number)),
        calibration=device.calibration,
    )


def _op_times(times: list[LaunchTime], runtime: Runtime, total: float, host: float) -> tuple[OpTime, ...]:
    """Return each op's share of the total, in proportion to its time on the device or, if that waits, on the host."""
    device = [device_time(scalar, time, runtime) * time.count for time in times]
    busy = sum(device)
    waiting = max(total - busy, 0.0)
    scale = min(1.0, total / busy if busy else 1.0)
    ops = []
    for time, seconds in zip(times, device, strict=True):
        waits = waiting * (time.host * time.count / host if host else 0.0)
        parts = (time.compute * time.count, time.memory * time.count, time.overhead * time.count + waits)
        limit = max(zip(parts, LIMITS, strict=True))[1]
        ops.append(OpTime(seconds * scale + waits, *parts, limit))
    return tuple(ops)


def _time_limited_by(limit: Limit, ops: Iterable[OpTime]) -> float:
    return sum(op.time_s for op in ops if op.limited_by == limit)


def _interval(
    spread: Spread,
    device: Device,
    hardware: Hardware,
    dtype: str,
    workload: Workload,
    ops: tuple[OpTime, ...],
    total: float,
    foreign: bool,
) -> tuple[float, float]:
    """Return the lowest and highest logarithm of measured over forecast time at the spread's level.

    They begin as the errors on families that were not fitted; whatever was not measured or is guessed widens them. A
    measured device counts as one that was fitted.
    """
    if hardware.spread is not None and not foreign:  # networks were timed on this very machine
        return -hardware.spread, hardware.spread
    fitted = device.label in spread.devices or {"bandwidth", dtype} <= hardware.measured
    wider = 0.0
    if not fitted:
        wider += spread.device**2
    wider += ((dtype not in spread.dtypes) + (device.vendor not in spread.vendors)) * spread.unmeasured**2
    if foreign:
        wider += spread.foreign**2
    wider += len(hardware.assumed) * spread.assumed**2
    if total:
        unknown = sum(time.time_s for op, time in zip(workload.ops, ops, strict=True) if family_of(op) == UNKNOWN)
        wider += (spread.unknown * (unknown / total)) ** 2
        if hardware.op_overhead is None:
            wider += (spread.overhead * (_time_limited_by("overhead", ops) / total)) ** 2
    shift = 0.0 if fitted else spread.device_shift
    return shift - sqrt(spread.low**2 + wider), shift + sqrt(spread.high**2 + wider)


def _elasticities(times: list[LaunchTime], runtime: Runtime, total: float) -> Elasticities:
    """Return the share of the time that each property saves if it grows by CHANGE."""

    def saves(compute: float = 1.0, memory: float = 1.0, overhead: float = 1.0) -> float:
        device = host = 0.0
        for t in times:
            faster = LaunchTime(t.compute / compute, t.memory / memory, t.overhead / overhead, 0.0, t.count)
            device += device_time(scalar, faster, runtime) * t.count
            host += t.host * t.count / overhead
        return 1.0 - total_time(scalar, device, host) / total if total else 0.0

    return Elasticities(
        clock=saves(compute=CHANGE, overhead=1.0 if runtime.gpu else CHANGE),
        bandwidth=saves(memory=CHANGE),
        units=saves(compute=CHANGE),
        overhead=saves(overhead=CHANGE),
    )


def _notices(device: Device, hardware: Hardware, dtype: Dtype) -> Iterator[Notice]:
    if device.calibration:
        yield notice("calibrated", **to_builtins(device.calibration))
    faster = hardware.rates["tf32"].flops_per_second > 1.01 * hardware.rates["fp32"].flops_per_second
    if hardware.kind == "gpu" and dtype.name == "fp32" and faster:
        yield notice("convolutions-as-tf32")
    if "cache" in hardware.assumed:
        yield notice("cache-assumed")
