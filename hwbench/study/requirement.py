"""What a target rate or latency needs, and the devices that reach it."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.dtypes import dtype as dtype_of
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.notices import Notice
from hwbench.predict.forecast import LIMITS, Limit
from hwbench.predict.model.runtimes import Math, notices_on
from hwbench.workload.ops import Workload

if TYPE_CHECKING:
    from hwbench.predict.model.grid import Grid

MIN_UTILIZATION = 1e-6
Verdict = Literal["delivers", "may deliver"]


class Candidate(Struct, frozen=True):
    """A device that reaches the target, its power, and its time of a batch by which it was judged.

    It delivers if all of the forecast's interval reaches the target, and may deliver if some of it does. Judged by the
    roofline, the time is that over the utilization, and there is neither interval nor bound.
    """

    name: str
    title: str
    power_w: float | None
    verdict: Verdict
    time_s: float
    interval_s: tuple[float, float] | None
    throughput_per_s: float
    roofline_time_s: float
    bound: Limit | None


class Requirement(Answer, Struct, frozen=True):
    """FLOP/s and B/s that a target needs at least, and the devices that deliver it, by power, then those that may.

    `judged` devices were compared with it; `unknown` have no known bandwidth, no rate for the dtype or no forecast.
    With a `utilization` the judge is that share of the roofline, else the forecast.
    """

    SCHEMA: ClassVar[str] = "require/2"
    MAIN: ClassVar[tuple[str, ...]] = ("model", "dtype", "batch", "rate_per_s", "flops_per_second", "bytes_per_second")
    ROWS: ClassVar[str] = "devices"
    CONTEXT: ClassVar[tuple[str, ...]] = ("title",)
    model: str
    dtype: str
    batch: int
    rate_per_s: float
    latency_s: float | None
    utilization: float | None
    flops_per_second: float
    bytes_per_second: float
    memory_bytes: int
    devices: tuple[Candidate, ...]
    judged: int
    unknown: tuple[str, ...]
    notices: tuple[Notice, ...] = ()
    title: str = ""

    @property
    def delivering(self) -> int:
        """The number of devices that deliver."""
        return sum(device.verdict == "delivers" for device in self.devices)


def require(
    workload: Workload,
    devices: Sequence[Device],
    *,
    rate: float | None = None,
    latency: float | None = None,
    utilization: float | None = None,
    dtype: str = "fp32",
    batch: int = 1,
    runtime: str | None = None,
    precision: Math = "default",
) -> Requirement:
    """Return what `rate` (inferences/s) or `latency` (s a batch) needs, and devices that reach it by power.

    A device is judged by the interval of its forecast in a runtime or, with a `utilization`, by its roofline time over
    that; and the model must fit its memory, where the size is known. Raises InputError without a target, and for a
    utilization that is not from 0.000001 to 1.
    """
    from hwbench.predict.model.grid import grid  # needs numpy

    if latency is None and rate is None:
        raise InputError("needs-target", "A target is needed: a rate or a latency.", field="rate")
    if utilization is not None and not MIN_UTILIZATION <= utilization <= 1:
        message = f"The utilization must be from {MIN_UTILIZATION:f} to 1."
        raise InputError("utilization-range", message, field="utilization")
    time = min(x for x in (latency, batch / rate if rate else None) if x is not None)
    bits = dtype_of(dtype).bits
    work, needed = workload.work(bits, batch), workload.capacity(bits, batch)
    estimates = grid(workload, devices, dtype, [batch], runtime, precision)
    judged_by = estimates.time if utilization is None else estimates.roofline
    unknown = [device.label for device, row in zip(devices, judged_by, strict=True) if math.isnan(row[0])]
    candidates = sorted(
        _candidates(devices, estimates, batch, time, needed, utilization),
        key=lambda c: (c.verdict != "delivers", c.power_w is None, c.power_w or 0.0, c.time_s),
    )
    return Requirement(
        model=workload.name,
        dtype=dtype,
        batch=batch,
        rate_per_s=batch / time,
        latency_s=latency,
        utilization=utilization,
        flops_per_second=work.flops / time,
        bytes_per_second=work.traffic / time,
        memory_bytes=needed,
        devices=tuple(candidates),
        judged=len(devices) - len(unknown),
        unknown=tuple(unknown),
        notices=tuple(notices_on(devices, runtime, workload.phase)) if utilization is None else (),
        title=workload.title,
    )


def _candidates(
    devices: Sequence[Device], estimates: "Grid", batch: int, time: float, needed: int, utilization: float | None
) -> Iterator[Candidate]:
    """Yield the devices that hold the model and may take `time` by their forecast, or roofline over `utilization`."""
    bounds = estimates.bound[:, 0]
    for row, device in enumerate(devices):
        roofline = float(estimates.roofline[row, 0])
        expected, low, high = (float(each[row, 0]) for each in (estimates.time, estimates.low, estimates.high))
        if utilization is not None:
            expected = low = high = roofline / utilization
        if not low <= time or (device.memory.size and needed > device.memory.size):  # unknown times are NaN
            continue
        yield Candidate(
            name=device.label,
            title=device.title,
            power_w=float(device.power) if device.power else None,
            verdict="delivers" if high <= time else "may deliver",
            time_s=expected,
            interval_s=(low, high) if utilization is None else None,
            throughput_per_s=batch / expected if expected else 0.0,
            roofline_time_s=roofline,
            bound=LIMITS[int(bounds[row])] if utilization is None else None,
        )
