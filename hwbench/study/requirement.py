"""What a rate or a latency asks of a machine, and which catalogued devices deliver it."""

from collections.abc import Iterable

from msgspec import Struct

from hwbench.dtypes import BITS
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.predict.estimate import Estimate, estimate
from hwbench.workload.ops import Workload

LEAST_UTILIZATION = 1e-6


class Candidate(Struct, frozen=True):
    """A device that delivers: its roofline time of a batch at full and at the stated utilization, and its power."""

    name: str
    title: str
    power_w: float | None
    roofline_time_s: float
    time_s: float
    throughput_per_s: float


class Requirement(Struct, frozen=True):
    """FLOP/s and B/s that a target needs, at 100 % and at the stated utilization of the roofline."""

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
    """What `rate` (inferences/s) or `latency` (s for one batch) needs; devices that deliver, cheapest in watts first.

    A device delivers when its roofline time over `utilization` meets the target and the model fits its memory, where
    the memory size is known; `unknown` are those without a known bandwidth or rate for the dtype. The rates needed are
    necessary, not enough: layers run one after the other, each under its own bound.
    """
    if latency is None and rate is None:
        raise InputError("needs a target: --rate or --latency")
    if not LEAST_UTILIZATION <= utilization <= 1:
        raise InputError(f"must be from {LEAST_UTILIZATION:f} to 1", field="--utilization")
    allowed = min(x for x in (latency, batch / rate if rate else None) if x is not None)
    work = workload.work(BITS[dtype], batch)
    candidates, judged, unknown = _candidates(workload, devices, dtype, batch, utilization, allowed)
    return Requirement(
        model=workload.name,
        dtype=dtype,
        batch=batch,
        rate_per_s=batch / allowed,
        latency_s=latency,
        utilization=utilization,
        flops_per_second=work.flops / allowed,
        bytes_per_second=work.traffic / allowed,
        flops_per_second_at_utilization=work.flops / allowed / utilization,
        bytes_per_second_at_utilization=work.traffic / allowed / utilization,
        memory_bytes=workload.capacity(BITS[dtype], batch),
        devices=tuple(candidates),
        judged=judged,
        unknown=tuple(unknown),
    )


def _candidates(
    workload: Workload, devices: Iterable[Device], dtype: str, batch: int, utilization: float, allowed: float
) -> tuple[list[Candidate], int, list[str]]:
    """The devices that run a batch in `allowed` s, cheapest in watts first; how many were judged; which are unknown."""
    found: list[Candidate] = []
    unknown: list[str] = []
    judged = 0
    for device in devices:
        bounds = _bounds(workload, device, dtype, batch)
        if bounds is None or bounds.roofline_time_s is None:
            unknown.append(device.name)
            continue
        judged += 1
        time = bounds.roofline_time_s / utilization
        if time <= allowed and bounds.fits is not False:
            power = float(device.power) if device.power else None
            found.append(Candidate(device.name, device.title, power, bounds.roofline_time_s, time, batch / time))
    found.sort(key=lambda c: (c.power_w is None, c.power_w or 0.0, c.time_s))
    return found, judged, unknown


def _bounds(workload: Workload, device: Device, dtype: str, batch: int) -> Estimate | None:
    """The bounds on a device; None where it has no rate for the dtype."""
    try:
        return estimate(workload, device, dtype, batch, bounds_only=True)
    except InputError:
        return None
