"""The forecast of a network's time: one launch after another, what the host adds, and how far off it may be."""

from collections.abc import Iterator
from math import exp
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from hwbench import dtypes
from hwbench.dtypes import Dtype
from hwbench.machine.device import Device
from hwbench.machine.parts import ClockKind, DeviceCalibration
from hwbench.notices import Notice, notice
from hwbench.predict.model import scalar
from hwbench.predict.model.hardware import Hardware, hardware_of
from hwbench.predict.model.interval import log_interval
from hwbench.predict.model.latest import latest
from hwbench.predict.model.launch import UNKNOWN, launches_of
from hwbench.predict.model.parameters import ParameterFile, Runtime, parameters, parameters_name
from hwbench.predict.model.runtimes import KERNELS, Math, calibration_notices, calibration_of, runtime_for
from hwbench.predict.model.time import (
    LaunchTime,
    device_and_host_time,
    device_time,
    launch_times,
    parts,
    total_time,
    weights_of,
)
from hwbench.workload.ops import Workload

Limit = Literal["compute", "memory", "overhead"]
WIDE = 2.5
"""High end of an interval over its low end from which it says little."""
LIMITS: tuple[Limit, ...] = ("compute", "memory", "overhead")


class Shares(Struct, frozen=True):
    """Shares of a time that compute, memory and overhead account for; they add up to 1.

    Each is the derivative of the time's logarithm by that of the resource's speed: a memory that is 1 % faster saves
    `memory` % of the time. All are 0 for a network that takes no time.
    """

    compute: float
    memory: float
    overhead: float

    @property
    def whole(self) -> float:
        """Their sum."""
        return self.compute + self.memory + self.overhead

    @property
    def bound(self) -> Limit:
        """The largest: what limits the time."""
        return max(LIMITS, key=lambda limit: float(getattr(self, limit)))


class OpTime(Struct, frozen=True):
    """Seconds of all repetitions of an op, which add up to the network's time, and its part of the network's shares."""

    time_s: float
    shares: Shares

    @property
    def bound(self) -> Limit:
        """What limits the op: its largest share of the network's time."""
        return self.shares.bound


class Elasticities(Struct, frozen=True):
    """Share of the time that each property saves for each share by which it grows: 1 if nothing else matters.

    `clock` speeds up computation and, on a CPU, the framework's work between ops (not its caches). `units` assumes that
    work divides evenly among them, `overhead` is launches and host.
    """

    clock: float
    bandwidth: float
    units: float
    overhead: float


class Forecast(Struct, frozen=True):
    """How long one batch takes in a runtime: seconds, an interval that contains it at `interval_level`, and why.

    `throughput_per_s` counts samples, None for a network that takes no time. `shares` are those of the time by what
    limits it, `host_s` the seconds that the framework needs to launch everything.
    """

    runtime: str
    time_s: float
    interval_s: tuple[float, float]
    interval_level: float
    throughput_per_s: float | None
    ops: tuple[OpTime, ...]
    host_s: float
    shares: Shares
    elasticities: Elasticities
    notices: tuple[Notice, ...] = ()
    calibration: DeviceCalibration | None = None

    @property
    def bound(self) -> Limit:
        """What limits the time."""
        return self.shares.bound


def forecast(
    workload: Workload,
    device: Device,
    dtype: str = "fp32",
    batch: int = 1,
    runtime: str | None = None,
    *,
    clock: ClockKind | None = None,
    math: Math = "default",
    foreign: str | None = None,
    version: tuple[int, int] | None = None,
    known: ParameterFile | None = None,
) -> Forecast | None:
    """Return the forecast for a batch, None if its bandwidth, rates or units are unknown, or without kernels.

    `foreign` is an engine (by `engine_of`) without parameters of its own: it may have a factor, and the interval is
    wider. `version` is that of torch, None for a current one; `known` are other parameters than the shipped ones.
    Raises InputError for an unknown runtime or dtype.
    """
    name, number = runtime_for(device.kind, runtime, workload.phase), dtypes.dtype(dtype)
    own = "" if foreign else parameters_name(name, version)  # what calibrates a runtime says nothing of other engines
    hardware = hardware_for(workload, device, dtype, clock, math, foreign is not None, own)
    if hardware is None:
        return None
    file = known or parameters()
    model, engine = file.of(name, version), file.engines.get(foreign or "")
    times = _launch_times(workload, hardware, number, batch, model)
    device_s, host_s = device_and_host_time(scalar, times, model)
    total = total_time(scalar, device_s, host_s)
    ops = _op_times(times, model, device_s, host_s)
    shares = _shares(ops)
    launches = launches_of(workload, batch, number.bits)
    unknown = sum(time.shares.whole for launch, time in zip(launches, ops, strict=True) if launch.family == UNKNOWN)
    unsure = (unknown, shares.overhead)
    spread = model.in_training() if workload.fixed == "training" else model.spread
    if engine:
        spread, factor = replace(spread, foreign=engine.spread), engine.of(device.name)
        total, host_s, ops = total * factor, host_s * factor, tuple(_longer(op, factor) for op in ops)
    low, high = log_interval(
        scalar, spread, device.vendor, hardware, number.name, unsure, workload.launches, foreign is not None
    )
    return Forecast(
        runtime=name,
        time_s=total,
        interval_s=(total * exp(low), total * exp(high)),
        interval_level=model.spread.level,
        throughput_per_s=batch / total if total else None,
        ops=ops,
        host_s=host_s,
        shares=shares,
        elasticities=Elasticities(
            clock=shares.compute if model.gpu else shares.compute + shares.overhead,
            bandwidth=shares.memory,
            units=shares.compute,
            overhead=shares.overhead,
        ),
        notices=(*_notices(device, hardware, name, exp(high - low)), *calibration_notices(device, own)),
        calibration=calibration_of(device, own),
    )


def timed(
    workload: Workload, hardware: Hardware, dtype: str, batch: int, runtime: str, *, untrained: bool = False
) -> tuple[list[LaunchTime], Runtime]:
    """Return the times that a forecast adds up, and the parameters of the runtime.

    Operators of a training step take what those of their shapes do in an inference if `untrained`.
    """
    model = parameters().runtimes[runtime]
    model = replace(model, training=None) if untrained else model
    return _launch_times(workload, hardware, dtypes.dtype(dtype), batch, model), model


def hardware_for(
    workload: Workload,
    device: Device,
    dtype: str,
    clock: ClockKind | None = None,
    math: Math = "default",
    foreign: bool = False,
    runtime: str = "",
) -> Hardware | None:
    """Return the device as the model sees it; None if bandwidth or rates are unknown, or the runtime has no kernels.

    It is calibrated for a `runtime` by the full name of its parameters.
    """
    number = dtypes.dtype(dtype)
    needed = frozenset((number.computes_in, *(op.dtype for op in workload.ops if op.dtype)))
    if not foreign and number.name not in KERNELS:
        return None
    return _hardware_of(device, needed, clock, math, calibration_of(device, runtime))


_hardware_of = latest(64)(hardware_of)


@latest(4)
def _launch_times(
    workload: Workload, hardware: Hardware, number: Dtype, batch: int, runtime: Runtime
) -> list[LaunchTime]:
    return launch_times(scalar, workload, hardware, number.computes_in, number.bits, batch, runtime)


def _op_times(times: list[LaunchTime], runtime: Runtime, device: float, host: float) -> tuple[OpTime, ...]:
    """Return each op's time: that on the device, and its part of what the device waits for the host."""
    total = total_time(scalar, device, host) or 1.0
    waiting = max(total - device, 0.0)
    on_device, on_host = weights_of(scalar, device, host)
    ops = []
    for time in times:
        compute, memory = parts(scalar, time, runtime)
        waits = waiting * (time.host * time.count / host) if host else 0.0
        weight = on_device * time.count / total
        overhead = time.overhead * weight + time.host * time.count * on_host / total
        shares = Shares(compute * weight, memory * weight, overhead)
        ops.append(OpTime(device_time(scalar, time, runtime) * time.count + waits, shares))
    return tuple(ops)


def _longer(op: OpTime, factor: float) -> OpTime:
    return replace(op, time_s=op.time_s * factor)


def _shares(ops: tuple[OpTime, ...]) -> Shares:
    """Return the sums of the ops' shares."""
    return Shares(*(sum(getattr(op.shares, limit) for op in ops) for limit in LIMITS))


def _notices(device: Device, hardware: Hardware, runtime: str, width: float) -> Iterator[Notice]:
    if width > WIDE:
        yield notice("interval-wide", device=device.label, factor=width)
    if hardware.other_isa and hardware.spread is None:
        yield notice("isa-unmeasured", device=device.label, runtime=runtime)
    if "cache" in hardware.assumed:
        yield notice("cache-assumed")
