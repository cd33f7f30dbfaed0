"""Devices side by side: peaks, bandwidth, ridge point, times of a model, per watt, and what makes the difference."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.dtypes import MIXED
from hwbench.errors import InputError
from hwbench.machine.device import ClockKind, Device
from hwbench.machine.peak import Peak, PeakTerm, highest, peaks
from hwbench.predict.estimate import Estimate, estimate, peak_for
from hwbench.predict.model.runtimes import checked
from hwbench.study.compare import decomposition
from hwbench.study.compare.decomposition import Decomposition
from hwbench.workload.ops import Workload


class DevicePeak(Struct, frozen=True):
    """A device's highest dense peak of one engine and dtype, with an accumulator that frameworks use."""

    engine: str
    dtype: str
    isa: str
    flops_per_second: float
    provenance: str


class Timing(Struct, frozen=True):
    """A model's batch on a device: times in s, inferences/s and inferences/s/W, all null where unknown.

    Rates follow from the expected time where there is one, else from the roofline and are then upper bounds; `bound` is
    what most of that time is spent on.
    """

    batch: int
    ideal_time_s: float
    roofline_time_s: float | None
    expected_time_s: float | None
    interval_s: tuple[float, float] | None
    interval_level: float | None
    throughput_per_s: float | None
    throughput_per_s_per_w: float | None
    bound: str | None
    fits: bool | None


class Contender(Struct, frozen=True):
    """One device: `peak_flops_per_second` is its ceiling for data of the comparison's dtype; null is unknown.

    `clock_hz` is the clock of that peak, the mean over units where they differ, as `flops_per_cycle` is over cycles.
    `terms` holds the classes of units apart. `missing` says in words what is not known.
    """

    name: str
    title: str
    kind: str
    vendor: str
    architecture: str
    released: str | None
    units: int
    clock_hz: float | None
    flops_per_cycle: float | None
    peak: str | None
    terms: tuple[PeakTerm, ...]
    peak_flops_per_second: float | None
    bandwidth_bytes_per_second: float | None
    ridge_point: float | None
    power_w: float | None
    peak_flops_per_second_per_w: float | None
    peaks: tuple[DevicePeak, ...]
    times: tuple[Timing, ...]
    missing: tuple[str, ...]


class Comparison(Answer, Struct, frozen=True):
    """Devices in order, with each one's speed over the `baseline`'s decomposed; of peaks where no model is given."""

    SCHEMA: ClassVar[str] = "compare"
    CONTEXT: ClassVar[tuple[str, ...]] = ("title",)

    dtype: str
    model: str | None
    batches: tuple[int, ...]
    baseline: str | None
    devices: tuple[Contender, ...]
    decompositions: tuple[Decomposition, ...]
    warnings: tuple[str, ...]
    title: str | None = None


class _Judged(Struct, frozen=True):
    """A device with what was computed of it."""

    device: Device
    peak: Peak | None
    estimates: tuple[Estimate, ...]
    row: Contender


Key = Callable[[Contender], float | str | None]


def _time(row: Contender) -> float | None:
    last = row.times[-1] if row.times else None
    return (last.expected_time_s or last.roofline_time_s) if last else None


def _per_watt(row: Contender) -> float | None:
    """Inferences/s/W where times are asked for, else FLOP/s/W: never one beside the other."""
    return row.times[-1].throughput_per_s_per_w if row.times else row.peak_flops_per_second_per_w


SORTS: dict[str, tuple[Key, bool]] = {
    "name": (lambda row: row.name, False),
    "released": (lambda row: row.released, False),
    "peak": (lambda row: row.peak_flops_per_second, True),
    "bandwidth": (lambda row: row.bandwidth_bytes_per_second, True),
    "ridge": (lambda row: row.ridge_point, False),
    "power": (lambda row: row.power_w, False),
    "time": (_time, False),
    "per-watt": (_per_watt, True),
}
"""What devices are sorted by: the value, and whether the largest stands first; times are those of the last batch."""


def compare(
    devices: Iterable[Device],
    dtype: str = "fp32",
    workload: Workload | None = None,
    batches: Sequence[int] = (1,),
    *,
    sort: str | None = None,
    baseline: str | None = None,
    clock: ClockKind | None = None,
    runtime: str | None = None,
) -> Comparison:
    """Devices at a dtype, and a workload on them at batches; what is unknown of one is said, and it is kept.

    The order is that given unless `sort` names one of SORTS; the baseline is the first unless named. Expected times are
    those of `runtime`, which may run on one kind of device only. Raises InputError for a baseline that is not among
    them, for a sort by time without a workload, and for an unknown runtime.
    """
    if runtime:
        checked(runtime, "gpu" if runtime.endswith("cuda") else "cpu")
    if sort == "time" and workload is None:
        raise InputError("a time needs a model: --model", field="--sort")
    judged = [_judge(device, dtype, workload, tuple(batches), clock, runtime) for device in devices]
    if sort:
        judged = _sorted(judged, sort)
    names = [one.row.name for one in judged]
    if baseline is not None and baseline not in names:
        raise InputError(f"'{baseline}' is not among the devices compared", field="--baseline")
    base = judged[names.index(baseline) if baseline else 0] if judged else None
    found = [part for one in judged if base and one is not base for part in _decomposed(one, base)]
    return Comparison(
        dtype=dtype,
        model=workload.name if workload else None,
        batches=tuple(batches) if workload else (),
        baseline=base.row.name if base else None,
        devices=tuple(one.row for one in judged),
        decompositions=tuple(found),
        warnings=_warnings(judged, workload),
        title=workload.title if workload else None,
    )


def _sorted(judged: list[_Judged], sort: str) -> list[_Judged]:
    """In the order of a value, the unknown last, equals by name."""
    value, descending = SORTS[sort]
    known = sorted((one for one in judged if value(one.row) is not None), key=lambda one: one.row.name)
    known.sort(key=lambda one: value(one.row) or 0, reverse=descending)
    return known + [one for one in judged if value(one.row) is None]


def _judge(
    device: Device,
    dtype: str,
    workload: Workload | None,
    batches: tuple[int, ...],
    clock: ClockKind | None,
    runtime: str | None,
) -> _Judged:
    """One device's row, and the estimates that it rests on."""
    peak, missing = _peak(device, "fp16" if dtype == MIXED else dtype, clock)
    runs = runtime is None or runtime.endswith("cuda") == (device.kind == "gpu")
    missing += [] if runs or not workload else [f"expected time, as {runtime} does not run on a {device.kind}"]
    estimates: tuple[Estimate, ...] = ()
    if workload and peak:
        estimates = tuple(
            estimate(workload, device, dtype, batch, clock, runtime if runs else None, bounds_only=not runs)
            for batch in batches
        )
    return _Judged(device, peak, estimates, _row(device, peak, peaks(device, clock), estimates, tuple(missing)))


def _peak(device: Device, dtype: str, clock: ClockKind | None) -> tuple[Peak | None, list[str]]:
    """The ceiling of a dtype, None where unknown, and in words what is not known of the device."""
    peak, missing = None, []
    try:
        peak = peak_for(device, dtype, clock)
    except InputError as error:
        missing.append(error.message.removeprefix(f"{device.name or device.title} has no known "))
    if peak and peak.missing:
        missing.append(f"{peak.dtype} rate of {', '.join(peak.missing)}, which are left out")
    missing += [] if device.memory.bandwidth else ["memory bandwidth, so no ridge point and no roofline"]
    missing += [] if device.power else ["power"]
    return peak, missing


def _row(
    device: Device,
    peak: Peak | None,
    every: tuple[Peak, ...],
    estimates: tuple[Estimate, ...],
    missing: tuple[str, ...],
) -> Contender:
    _, hertz, per_cycle = decomposition.parts(peak) if peak else (None, None, None)
    speed, bandwidth = peak.flops_per_second if peak else None, device.memory.bandwidth
    return Contender(
        name=device.name or device.title,
        title=device.title,
        kind=device.kind,
        vendor=device.vendor,
        architecture=device.architectures,
        released=device.released,
        units=device.count,
        clock_hz=hertz,
        flops_per_cycle=per_cycle,
        peak=peak.label if peak else None,
        terms=peak.terms if peak else (),
        peak_flops_per_second=speed,
        bandwidth_bytes_per_second=float(bandwidth) if bandwidth else None,
        ridge_point=speed / bandwidth if speed and bandwidth else None,
        power_w=float(device.power) if device.power else None,
        peak_flops_per_second_per_w=speed / device.power if speed and device.power else None,
        peaks=_ceilings(every),
        times=tuple(_timing(one, device) for one in estimates),
        missing=missing,
    )


def _ceilings(every: tuple[Peak, ...]) -> tuple[DevicePeak, ...]:
    """The highest dense peak of each engine and dtype."""
    engines: dict[str, list[Peak]] = {}
    for peak in every:
        engines.setdefault(peak.engine, []).append(peak)
    found = []
    for engine, own in engines.items():
        for dtype in dict.fromkeys(peak.dtype for peak in own):
            best = highest(tuple(own), dtype)
            if best:
                found.append(DevicePeak(engine, dtype, best.isa, best.flops_per_second, best.provenance))
    return tuple(found)


def _timing(one: Estimate, device: Device) -> Timing:
    forecast = one.forecast
    time = (forecast and forecast.time_s) or one.roofline_time_s
    rate = one.batch / time if time else None
    return Timing(
        batch=one.batch,
        ideal_time_s=one.ideal_time_s,
        roofline_time_s=one.roofline_time_s,
        expected_time_s=forecast.time_s if forecast else None,
        interval_s=forecast.interval_s if forecast else None,
        interval_level=forecast.interval_level if forecast else None,
        throughput_per_s=rate,
        throughput_per_s_per_w=rate / device.power if rate and device.power else None,
        bound=forecast.limited_by if forecast else one.bound,
        fits=one.fits,
    )


def _decomposed(one: _Judged, base: _Judged) -> list[Decomposition]:
    """What makes the difference from the baseline: at each batch, or of the peaks where no times are known."""
    if not (one.peak and base.peak):
        return []
    names = one.row.name, base.row.name
    found = [
        decomposition.of_times(names[0], own, one.peak, names[1], other, base.peak)
        for own, other in zip(one.estimates, base.estimates, strict=True)
        if own.roofline_time_s and other.roofline_time_s
    ]
    return found or [decomposition.of_peaks(names[0], one.peak, names[1], base.peak)]


def _warnings(judged: list[_Judged], workload: Workload | None) -> tuple[str, ...]:
    """What a reader of several devices must know: assumed values, and gaps of the model, each once."""
    found = []
    assumed = [one.row.name for one in judged if one.peak and one.peak.provenance == "assumed"]
    if assumed:
        found.append(f"peaks that rest on assumed values: {', '.join(assumed)}")
    lacking = [one.row.name for one in judged if one.device.provenance_of("memory.bandwidth") == "assumed"]
    if lacking:
        found.append(f"bandwidths that are assumed: {', '.join(lacking)}")
    small = [one.row.name for one in judged if any(timing.fits is False for timing in one.row.times)]
    if small:
        found.append(f"the model does not fit the memory of: {', '.join(small)}")
    if workload and workload.uncounted:
        found.append(f"not counted: {', '.join(workload.uncounted)}: times leave their arithmetic out")
    return (*found, *(workload.remarks if workload else ()))
