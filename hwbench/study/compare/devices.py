"""Devices compared: peaks, bandwidth, ridge point, times of a model, rates per watt, and the factors behind them."""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.dtypes import dtype as dtype_of
from hwbench.errors import InputError, nearest, shown
from hwbench.machine.device import Device, Peak, PeakTerm, highest, peaks
from hwbench.machine.parts import ClockKind
from hwbench.notices import Notice, notice
from hwbench.predict.estimate import Estimate, RooflineRates, estimate
from hwbench.predict.forecast import Limit
from hwbench.predict.model.bounds import peak_for
from hwbench.predict.model.runtimes import Math, check_runtime, of_calibrations, runs_on
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

    Rates and `bound` are the forecast's, those that the roofline allows at most are in `roofline`.
    """

    batch: int
    ideal_time_s: float
    roofline_time_s: float | None
    expected_time_s: float | None
    interval_s: tuple[float, float] | None
    interval_level: float | None
    throughput_per_s: float | None
    throughput_per_s_per_w: float | None
    bound: Limit | None
    roofline: RooflineRates
    fits: bool | None


class Contender(Struct, frozen=True):
    """One device: `peak_flops_per_second` is its ceiling for data of the comparison's dtype; null is unknown.

    `clock_hz` is the clock of that peak, the mean over units where they differ, as `flops_per_cycle` is over cycles;
    `terms` holds the classes of units. `missing` names what is not known.
    """

    name: str
    title: str
    kind: str
    vendor: str
    architecture: str
    released: str | None
    units: int | None
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
    """Devices in order, and each one's speed relative to the `baseline` as a product of factors.

    Speeds are peaks where no model is given, else throughputs of the model.
    """

    SCHEMA: ClassVar[str] = "compare/2"
    MAIN: ClassVar[tuple[str, ...]] = ("dtype", "model", "baseline")
    ROWS: ClassVar[str] = "devices"
    CONTEXT: ClassVar[tuple[str, ...]] = ("title",)

    dtype: str
    model: str | None
    batches: tuple[int, ...]
    baseline: str | None
    devices: tuple[Contender, ...]
    decompositions: tuple[Decomposition, ...]
    notices: tuple[Notice, ...]
    title: str | None = None


class _Assessed(Struct, frozen=True):
    """A device with its peak, its estimates and the row that follows from them."""

    device: Device
    peak: Peak | None
    estimates: tuple[Estimate, ...]
    row: Contender


Key = Callable[[Contender], float | str | None]


def _time(row: Contender) -> float | None:
    return row.times[-1].expected_time_s if row.times else None


def _roofline_time(row: Contender) -> float | None:
    return row.times[-1].roofline_time_s if row.times else None


def _per_watt(row: Contender) -> float | None:
    """Return inferences/s/W of a model, else FLOP/s/W: a comparison never mixes the two."""
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
"""Sort orders: the value, and whether the largest comes first; times are those of the last batch.

Expected times are never mixed with those of the roofline, which order devices where no forecast is known."""


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
    math: Math = "default",
) -> Comparison:
    """Compare devices at a dtype, and a workload on them at batches; a device of which something is unknown stays.

    The order is the given one unless `sort` names one of SORTS; the baseline is the first device unless named. Expected
    times are those of `runtime`, which may run on one kind of device only. Raises InputError for a baseline that is not
    among the devices, for a sort by time without a workload, and for an unknown runtime.
    """
    if runtime:
        check_runtime(runtime)
    if sort is not None and sort not in SORTS:
        message = f"'{shown(sort)}' is not what devices are sorted by."
        raise InputError("unknown-sort", message, field="sort", nearest=nearest(sort, SORTS) or tuple(SORTS))
    if sort == "time" and workload is None:
        raise InputError("needs-model", "Sorting by time needs a model.", field="sort")
    assessed = [_assess(device, dtype, workload, tuple(batches), clock, runtime, math) for device in devices]
    if sort:
        assessed = _sorted(assessed, sort)
    names = [contender.row.name for contender in assessed]
    if baseline is not None and baseline not in names:
        message = f"'{shown(baseline)}' is not among the devices compared."
        raise InputError("unknown-baseline", message, field="baseline", nearest=nearest(baseline, names))
    base = assessed[names.index(baseline) if baseline else 0] if assessed else None
    decompositions = [
        part for contender in assessed if base and contender is not base for part in _decompositions(contender, base)
    ]
    return Comparison(
        dtype=dtype,
        model=workload.name if workload else None,
        batches=tuple(batches) if workload else (),
        baseline=base.row.name if base else None,
        devices=tuple(contender.row for contender in assessed),
        decompositions=tuple(decompositions),
        notices=_notices(assessed, workload),
        title=workload.title if workload else None,
    )


def _sorted(assessed: list[_Assessed], sort: str) -> list[_Assessed]:
    """Return the devices in the order of a value, the unknown last, equals by name."""
    value, descending = SORTS[sort]
    if sort == "time" and all(_time(each.row) is None for each in assessed):
        value = _roofline_time
    known = sorted((each for each in assessed if value(each.row) is not None), key=lambda each: each.row.name)
    known.sort(key=lambda each: value(each.row) or 0, reverse=descending)
    return known + [each for each in assessed if value(each.row) is None]


def _assess(
    device: Device,
    dtype: str,
    workload: Workload | None,
    batches: tuple[int, ...],
    clock: ClockKind | None,
    runtime: str | None,
    math: Math,
) -> _Assessed:
    """Return one device's row, and the estimates that it follows from."""
    peak, missing = _peak(device, dtype_of(dtype).computes_in, clock)
    runs = runtime is None or runs_on(runtime, device.kind)
    missing += (
        [] if runs or not workload else [f"expected time, as {runtime} is not for this kind of device ({device.kind})"]
    )
    estimates: tuple[Estimate, ...] = ()
    if workload and peak:
        estimates = tuple(
            estimate(workload, device, dtype, batch, clock, runtime if runs else None, math, bounds_only=not runs)
            for batch in batches
        )
    return _Assessed(device, peak, estimates, _row(device, peak, peaks(device, clock), estimates, tuple(missing)))


def _peak(device: Device, dtype: str, clock: ClockKind | None) -> tuple[Peak | None, list[str]]:
    """Return the ceiling of a dtype, None where unknown, and the names of what is not known of the device."""
    peak, missing = None, []
    try:
        peak = peak_for(device, dtype, clock)
    except InputError as error:
        missing.append(f"{clock.replace('_', '-')} clock" if error.field == "clock" and clock else f"{dtype} rate")
    if peak and peak.missing:
        missing.append(f"{peak.dtype} rate of {', '.join(peak.missing)}, which are left out")
    missing += [] if device.units else ["units and clock, so no time model"]
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
    _, hertz, per_cycle = decomposition.parts(peak) if peak and peak.terms else (None, None, None)
    speed, bandwidth = peak.flops_per_second if peak else None, device.memory.bandwidth
    return Contender(
        name=device.label,
        title=device.title,
        kind=device.kind,
        vendor=device.vendor,
        architecture=device.architectures,
        released=device.released,
        units=device.count or None,
        clock_hz=hertz,
        flops_per_cycle=per_cycle,
        peak=peak.label if peak else None,
        terms=peak.terms if peak else (),
        peak_flops_per_second=speed,
        bandwidth_bytes_per_second=float(bandwidth) if bandwidth else None,
        ridge_point=speed / bandwidth if speed and bandwidth else None,
        power_w=float(device.power) if device.power else None,
        peak_flops_per_second_per_w=speed / device.power if speed and device.power else None,
        peaks=_highest_peaks(every),
        times=tuple(_timing(each, device) for each in estimates),
        missing=missing,
    )


def _highest_peaks(every: tuple[Peak, ...]) -> tuple[DevicePeak, ...]:
    """Return the highest dense peak of each engine and dtype."""
    engines: dict[str, list[Peak]] = {}
    for peak in every:
        engines.setdefault(peak.engine, []).append(peak)
    rows = []
    for engine, own in engines.items():
        for dtype in dict.fromkeys(peak.dtype for peak in own):
            best = highest(tuple(own), dtype)
            if best:
                rows.append(DevicePeak(engine, dtype, best.isa, best.flops_per_second, best.provenance))
    return tuple(rows)


def _timing(e: Estimate, device: Device) -> Timing:
    rate = e.throughput_per_s
    return Timing(
        batch=e.batch,
        ideal_time_s=e.ideal_time_s,
        roofline_time_s=e.roofline_time_s,
        expected_time_s=e.expected_time_s,
        interval_s=e.interval_s,
        interval_level=e.interval_level,
        throughput_per_s=rate,
        throughput_per_s_per_w=rate / device.power if rate and device.power else None,
        bound=e.bound,
        roofline=e.roofline,
        fits=e.fits,
    )


def _decompositions(contender: _Assessed, base: _Assessed) -> list[Decomposition]:
    """Return the difference from the baseline as factors: at each batch, or of the peaks where no times are known."""
    if not (contender.peak and base.peak and contender.peak.terms and base.peak.terms):
        return []
    names = contender.row.name, base.row.name
    of_times = [
        decomposition.of_times(names[0], own, contender.peak, names[1], other, base.peak)
        for own, other in zip(contender.estimates, base.estimates, strict=True)
        if own.roofline_time_s and other.roofline_time_s
    ]
    return of_times or [decomposition.of_peaks(names[0], contender.peak, names[1], base.peak)]


def _notices(assessed: list[_Assessed], workload: Workload | None) -> tuple[Notice, ...]:
    """Return what a reader of several devices must know: assumed values, and gaps of the model."""
    lists: dict[str, list[str]] = {
        "peaks-assumed-of": [c.row.name for c in assessed if c.peak and c.peak.provenance == "assumed"],
        "bandwidths-assumed-of": [
            c.row.name for c in assessed if c.device.provenance_of("memory.bandwidth") == "assumed"
        ],
        "model-does-not-fit-on": [c.row.name for c in assessed if any(t.fits is False for t in c.row.times)],
    }
    notices = [notice(code, devices=names) for code, names in lists.items() if names]
    if workload and workload.uncounted:
        notices.append(notice("uncounted", ops=workload.uncounted))
    notices += of_calibrations(own for c in assessed for row in c.estimates for own in row.notices)
    return (*notices, *(workload.notices if workload else ()))
