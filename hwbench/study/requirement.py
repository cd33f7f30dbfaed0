"""What a target rate or latency needs, and the devices that reach it."""

from collections.abc import Iterable
from typing import ClassVar

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.dtypes import dtype as dtype_of
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.notices import Notice
from hwbench.predict.estimate import estimate
from hwbench.workload.ops import Workload

MIN_UTILIZATION = 1e-6


class Candidate(Struct, frozen=True):
    """A device that reaches the target: its roofline time of a batch, the time at the stated utilization, its power."""

    name: str
    title: str
    power_w: float | None
    roofline_time_s: float
    time_s: float
    throughput_per_s: float


class Requirement(Answer, Struct, frozen=True):
    """FLOP/s and B/s that a target needs, at 100 % and at the stated utilization of the roofline.

    `judged` devices were compared with it; `unknown` have no known bandwidth or no rate for the dtype.
    """

    SCHEMA: ClassVar[str] = "require"
    MAIN: ClassVar[tuple[str, ...]] = ("model", "dtype", "batch", "rate_per_s", "flops_per_second", "bytes_per_second")
    ROWS: ClassVar[str] = "devices"
    CONTEXT: ClassVar[tuple[str, ...]] = ("title",)
    model: str
    dtype: str
    batch: int
    rate_per_s: float
    latency_s: float | None
    utilization: float
    flops_per_second: float
    bytes_per_second: float
    flops_per_second_at_utilization: float
    bytes_per_second_at_utilization: float
    memory_bytes: int
    devices: tuple[Candidate, ...]
    judged: int
    unknown: tuple[str, ...]
    notices: tuple[Notice, ...] = ()
    title: str = ""


def require(
    workload: Workload,
    devices: Iterable[Device],
    *,
    rate: float | None = None,
    latency: float | None = None,
    utilization: float = 1.0,
    dtype: str = "fp32",
    batch: int = 1,
) -> Requirement:
    """Return what `rate` (inferences/s) or `latency` (s a batch) needs, and devices that reach it by power.

    A device reaches it when its roofline time over `utilization` meets the target and the model fits its memory, where
    the size is known. The rates are necessary but not sufficient: layers run one after the other, each under its own
    bound. Raises InputError without a target, and for a utilization that is not from 0.000001 to 1.
    """
    if latency is None and rate is None:
        raise InputError("needs-target", "A target is needed: a rate or a latency.", field="rate")
    if not MIN_UTILIZATION <= utilization <= 1:
        message = f"The utilization must be from {MIN_UTILIZATION:f} to 1."
        raise InputError("utilization-range", message, field="utilization")
    time = min(x for x in (latency, batch / rate if rate else None) if x is not None)
    bits = dtype_of(dtype).bits
    work = workload.work(bits, batch)
    candidates: list[Candidate] = []
    unknown: list[str] = []
    judged = 0
    for device in devices:
        bound = _roofline(workload, device, dtype, batch)
        if bound is None:
            unknown.append(device.name)
            continue
        judged += 1
        roofline, fits = bound
        if fits and roofline / utilization <= time:
            power, needed = float(device.power) if device.power else None, roofline / utilization
            candidates.append(Candidate(device.name, device.title, power, roofline, needed, batch / needed))
    candidates.sort(key=lambda c: (c.power_w is None, c.power_w or 0.0, c.time_s))
    return Requirement(
        model=workload.name,
        dtype=dtype,
        batch=batch,
        rate_per_s=batch / time,
        latency_s=latency,
        utilization=utilization,
        flops_per_second=work.flops / time,
        bytes_per_second=work.traffic / time,
        flops_per_second_at_utilization=work.flops / time / utilization,
        bytes_per_second_at_utilization=work.traffic / time / utilization,
        memory_bytes=workload.capacity(bits, batch),
        devices=tuple(candidates),
        judged=judged,
        unknown=tuple(unknown),
        title=workload.title,
    )


def _roofline(workload: Workload, device: Device, dtype: str, batch: int) -> tuple[float, bool] | None:
    """Return a batch's roofline time on a device, and whether it may fit; None without bandwidth or rate."""
    try:
        bounds = estimate(workload, device, dtype, batch, bounds_only=True)
    except InputError:
        return None
    return None if bounds.roofline_time_s is None else (bounds.roofline_time_s, bounds.fits is not False)
