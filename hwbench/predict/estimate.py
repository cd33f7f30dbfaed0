"""How long a workload takes on a device: the ideal, the roofline and the forecast, layer by layer and in total.

The first two are lower bounds at the stated clock; the third comes with an interval, from the calibrated time model of
a runtime.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from msgspec import Struct

from hwbench import dtypes
from hwbench.answers import Answer, plain
from hwbench.dtypes import Dtype
from hwbench.machine.device import Device, Peak, PeakTerm
from hwbench.machine.parts import ClockKind, DeviceCalibration, Kind
from hwbench.notices import Notice, notice, unique
from hwbench.predict.forecast import Elasticities, Forecast, Limit, OpTime, Shares, forecast
from hwbench.predict.improvements import Improvement
from hwbench.predict.model import bounds, scalar
from hwbench.predict.model.bounds import DeviceCeilings, ceilings_of, engines
from hwbench.predict.model.hardware import boost
from hwbench.predict.model.latest import latest
from hwbench.predict.model.launch import launches_of
from hwbench.predict.model.parameters import parameters
from hwbench.predict.model.runtimes import KERNELS, Math, runtime_for
from hwbench.predict.model.time import weight_bytes
from hwbench.workload.ops import Op, Work, Workload

Bound = Literal["compute", "memory"]


class LayerEstimate(Struct, frozen=True):
    """One op on the device, for the whole batch, in s and bytes; `None` is unknown.

    `dtype` is what its multiply-adds compute in, `least_flops` what the runtime's algorithm needs of them, and
    `least_traffic_bytes` what no cache can hold. The forecast's `expected_time_s` adds up to that of the network;
    `bound` is the largest part of it, `utilization` the share of the peak that it reaches.
    """

    name: str
    kind: str
    dtype: str
    flops: int
    least_flops: float
    traffic_bytes: int
    least_traffic_bytes: float
    weight_bytes: int
    intensity: float
    ideal_time_s: float
    roofline_time_s: float | None
    roofline_bound: Bound | None
    expected_time_s: float | None
    bound: Limit | None
    utilization: float | None
    count: int = 1


class RooflineRates(Struct, frozen=True):
    """What the roofline allows at most, and what bounds most of its time; `None` if the bandwidth is unknown."""

    throughput_per_s: float | None
    utilization: float | None
    bound: Bound | None


class Engine(Struct, frozen=True):
    """A ceiling that some of the multiply-adds run under, and their share."""

    dtype: str
    peak: str
    flops_per_second: float
    share: float


class Estimate(Answer, Struct, frozen=True):
    """One model on one device at one dtype and batch.

    `expected_time_s`, `throughput_per_s`, `utilization` and `bound` are the forecast's, None where it is unknown; those
    of the bounds are in `roofline`. `least_flops` are the operations that the runtime's algorithms need, and
    `peak_flops_per_second` is theirs over the ideal time: that of the `engines`, each by its share. `peak` names the
    one with most of that time and `terms` its arithmetic. `boost` is the clock that the card reaches over the data
    sheet's, by which alone `expected_time_s` may undercut the bounds. `memory_needed_bytes` is what weights and the
    largest multiply-add layer need, in training weights, what the backward pass reads and what an optimizer keeps.
    `improvements` are sought for a single estimate, not for each of several.
    """

    SCHEMA: ClassVar[str] = "estimate/2"
    MAIN: ClassVar[tuple[str, ...]] = (
        "model", "device", "dtype", "batch", "ideal_time_s", "roofline_time_s", "expected_time_s", "bound",
    )  # fmt: skip
    ROWS: ClassVar[str] = "layers"
    CONTEXT: ClassVar[tuple[str, ...]] = (
        "title",
        "device_title",
        "forecast",
    )  # body() has the forecast under keys of its own

    model: str
    device: str
    kind: Kind
    runtime: str
    math: Math
    dtype: str
    batch: int
    mode: Literal["inference", "training"]
    flops: int
    least_flops: float
    traffic_bytes: int
    peak_flops_per_second: float
    peak: str
    engines: tuple[Engine, ...]
    terms: tuple[PeakTerm, ...]
    boost: float
    bandwidth_bytes_per_second: float | None
    ridge_point: float | None
    ideal_time_s: float
    roofline_time_s: float | None
    roofline: RooflineRates
    memory_needed_bytes: int
    memory_size_bytes: float | None
    fits: bool | None
    layers: tuple[LayerEstimate, ...]
    provenance: dict[str, str]
    notices: tuple[Notice, ...]
    forecast: Forecast | None = None
    improvements: tuple[Improvement, ...] = ()
    title: str = ""
    device_title: str = ""
    phase: Literal["prefill", "decode"] | None = None

    @property
    def rated(self) -> str:
        """What a rate counts: the mode, or `decode` where a sample is a token."""
        return "decode" if self.phase == "decode" else self.mode

    @property
    def expected_time_s(self) -> float | None:
        """The forecast time of a batch."""
        return self.forecast.time_s if self.forecast else None

    @property
    def interval_s(self) -> tuple[float, float] | None:
        """The interval that contains the measured time at `interval_level`."""
        return self.forecast.interval_s if self.forecast else None

    @property
    def interval_level(self) -> float | None:
        """The confidence level of the interval."""
        return self.forecast.interval_level if self.forecast else None

    @property
    def throughput_per_s(self) -> float | None:
        """Samples a second by the forecast."""
        return self.forecast.throughput_per_s if self.forecast else None

    @property
    def utilization(self) -> float | None:
        """Share of the peak that the forecast reaches."""
        return self.ideal_time_s / self.forecast.time_s if self.forecast and self.forecast.time_s else None

    @property
    def bound(self) -> Limit | None:
        """What limits the forecast time: the largest of the `shares`."""
        return self.forecast.bound if self.forecast else None

    @property
    def shares(self) -> Shares | None:
        """Shares of the forecast time that compute, memory and overhead account for."""
        return self.forecast.shares if self.forecast else None

    @property
    def elasticities(self) -> Elasticities | None:
        """Share of the forecast time that each property of the device saves for each share by which it grows."""
        return self.forecast.elasticities if self.forecast else None

    @property
    def calibration(self) -> DeviceCalibration | None:
        """The calibration that the forecast rests on."""
        return self.forecast.calibration if self.forecast else None

    def body(self) -> dict[str, Any]:
        """Return the JSON keys of the bounds and of the forecast, null where unknown."""
        names = (
            "expected_time_s", "interval_s", "interval_level", "throughput_per_s", "utilization", "bound", "shares",
            "elasticities", "calibration",
        )  # fmt: skip
        return super().body() | {name: plain(getattr(self, name)) for name in names}


class Estimates(Answer, Struct, frozen=True):
    """Estimates of one model on one device: one for each dtype and batch."""

    SCHEMA: ClassVar[str] = "estimates/2"
    MAIN: ClassVar[tuple[str, ...]] = ("count",)
    ROWS: ClassVar[str] = "rows"

    estimates: tuple[Estimate, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.estimates)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The values of each estimate, without its layers."""
        bodies = [estimate.body() for estimate in self.estimates]
        return [{key: value for key, value in body.items() if not isinstance(value, list | dict)} for body in bodies]

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader must know of any of them."""
        return unique(notice for estimate in self.estimates for notice in estimate.notices)


def estimate(
    workload: Workload,
    device: Device,
    dtype: str = "fp32",
    batch: int = 1,
    clock: ClockKind | None = None,
    runtime: str | None = None,
    math: Math = "default",
    *,
    bounds_only: bool = False,
) -> Estimate:
    """Return the bounds of `workload` on `device` in a runtime, and its forecast unless `bounds_only`.

    Raises InputError if the device has no rate for the dtype, and for an unknown runtime.
    """
    number, name = dtypes.dtype(dtype), runtime_for(device.kind, runtime, workload.phase)
    needed = dict.fromkeys([number.computes_in, *(op.dtype for op in workload.ops if op.dtype)])
    rates, tf32 = engines(device, needed, clock, math)
    prediction = None if bounds_only else forecast(workload, device, dtype, batch, runtime, clock=clock, math=math)
    layers = _layers(workload, ceilings_of(device, rates, tf32), number, batch, name, prediction)
    ideal = sum(layer.ideal_time_s for layer in layers)
    time = sum(layer.roofline_time_s or 0.0 for layer in layers) if device.memory.bandwidth else None
    least = sum(layer.least_flops for layer in layers)
    used = _engines(layers, rates)
    main = rates[used[0].dtype if used else number.computes_in]
    peak = least / ideal if len(used) > 1 else main.flops_per_second
    bandwidth, size = device.memory.bandwidth, device.memory.size
    needed_bytes = workload.capacity(number.bits, batch)
    return Estimate(
        model=workload.name,
        device=device.label,
        kind=device.kind,
        runtime=name,
        math=math,
        dtype=number.name,
        batch=batch,
        mode="training" if workload.fixed == "training" else "inference",
        phase=workload.phase,
        flops=sum(layer.flops for layer in layers),
        least_flops=least,
        traffic_bytes=sum(layer.traffic_bytes for layer in layers),
        peak_flops_per_second=peak,
        peak=main.label,
        engines=used,
        terms=main.terms,
        boost=boost(device),
        bandwidth_bytes_per_second=float(bandwidth) if bandwidth else None,
        ridge_point=peak / bandwidth if bandwidth else None,
        ideal_time_s=ideal,
        roofline_time_s=time,
        roofline=_roofline_rates(layers, batch, ideal, time),
        memory_needed_bytes=needed_bytes,
        memory_size_bytes=float(size) if size else None,
        fits=needed_bytes <= size if size else None,
        layers=layers,
        provenance=_provenance(device, main),
        notices=(
            *_peak_notices(device, main, number.computes_in),
            *_memory_notices(device, needed_bytes, number.name),
            *(
                ()
                if number.name in KERNELS or not device.units
                else (notice("no-kernels", runtime=name, dtype=number.name),)
            ),
            *(() if device.units else (notice("no-time-model", device=device.label),)),
            *((notice("uncounted", ops=list(workload.uncounted)),) if workload.uncounted else ()),
            *workload.notices,
            *((notice("overhead-set", factor=device.overhead),) if device.overhead else ()),
            *(prediction.notices if prediction else ()),
        ),
        forecast=prediction,
        title=workload.title,
        device_title=device.title,
    )


def least_times(workload: Workload, device: Device, dtype: str, batch: int) -> tuple[float, float | None]:
    """Return the seconds of the ideal and of the roofline, None where the bandwidth is unknown, as `estimate` does."""
    number, fuses = dtypes.dtype(dtype), parameters().fuses(runtime_for(device.kind, None, workload.phase))
    needed = tuple(dict.fromkeys([number.computes_in, *(op.dtype for op in workload.ops if op.dtype)]))
    ceilings, weights = _ceilings_at(device, needed), weight_bytes(workload, number.bits)
    ideal = roofline = 0.0
    launches = launches_of(workload, batch, number.bits)
    for op, launch in zip(workload.ops, launches, strict=True):
        own = op.dtype or number.computes_in
        compute, traffic = bounds.least(scalar, launch, own, ceilings, weights, fuses)
        ideal += compute * op.count
        roofline += max(compute * op.count, traffic * op.count / ceilings.bandwidth)
    return ideal, roofline if device.memory.bandwidth else None


@latest(64)
def _ceilings_at(device: Device, needed: tuple[str, ...]) -> DeviceCeilings:
    return ceilings_of(device, *engines(device, needed))


def _layers(
    workload: Workload, ceilings: DeviceCeilings, number: Dtype, batch: int, runtime: str, prediction: Forecast | None
) -> tuple[LayerEstimate, ...]:
    """Return each op under the ceilings of the dtype that it computes in, its own or the run's."""
    samples, fuses = workload.repeats(batch), parameters().fuses(runtime)
    weights = weight_bytes(workload, number.bits)
    layers = []
    launches = launches_of(workload, batch, number.bits)
    for position, (op, launch) in enumerate(zip(workload.ops, launches, strict=True)):
        dtype = op.dtype or number.computes_in
        engine = bounds.compute_dtype(dtype, launch.family, ceilings.tf32)
        compute, traffic = bounds.least(scalar, launch, dtype, ceilings, weights, fuses)
        time = prediction.ops[position] if prediction else None
        ideal = compute * op.count
        layer = _layer(op, op.work(number.bits, samples), engine, ideal, traffic * op.count, ceilings, time)
        layers.append(layer)
    return tuple(layers)


def _layer(
    op: Op, work: Work, engine: str, ideal: float, traffic: float, ceilings: DeviceCeilings, time: OpTime | None
) -> LayerEstimate:
    in_memory = traffic / ceilings.bandwidth
    known = in_memory >= 0  # not NaN
    return LayerEstimate(
        name=op.name,
        kind=op.kind,
        dtype=engine,
        flops=work.flops,
        least_flops=ideal * ceilings.peaks[engine],
        traffic_bytes=work.traffic,
        least_traffic_bytes=traffic,
        weight_bytes=work.weight_bytes,
        intensity=work.intensity,
        ideal_time_s=ideal,
        roofline_time_s=max(ideal, in_memory) if known else None,
        roofline_bound=("compute" if ideal > in_memory else "memory") if known else None,
        expected_time_s=time.time_s if time else None,
        bound=time.bound if time else None,
        utilization=ideal / time.time_s if time and time.time_s else None,
        count=op.count,
    )


def _engines(layers: tuple[LayerEstimate, ...], rates: dict[str, Peak]) -> tuple[Engine, ...]:
    """Return the ceilings that the multiply-adds run under, the one with most of the ideal time first."""
    flops: dict[str, float] = {}
    for layer in layers:
        if layer.flops:
            flops[layer.dtype] = flops.get(layer.dtype, 0.0) + layer.least_flops
    total = sum(flops.values())
    used = [
        Engine(dtype, rates[dtype].label, rates[dtype].flops_per_second, count / total)
        for dtype, count in flops.items()
    ]
    return tuple(sorted(used, key=lambda engine: -engine.share / engine.flops_per_second))


def _roofline_rates(layers: tuple[LayerEstimate, ...], batch: int, ideal: float, time: float | None) -> RooflineRates:
    """Return the rates of the roofline time, bound by what the ops that take most of it are."""
    if time is None:
        return RooflineRates(None, None, None)
    computing = sum(layer.roofline_time_s or 0.0 for layer in layers if layer.roofline_bound == "compute")
    moving = sum(layer.roofline_time_s or 0.0 for layer in layers if layer.roofline_bound == "memory")
    bound: Bound = "compute" if computing > moving else "memory"
    return RooflineRates(batch / time if time else None, ideal / time if time else None, bound)


def _provenance(device: Device, ceiling: Peak) -> dict[str, str]:
    origins: dict[str, str] = {"peak": ceiling.provenance}
    if device.memory.bandwidth:
        origins["bandwidth"] = device.provenance_of("memory.bandwidth")
    if device.memory.size:
        origins["memory"] = device.provenance_of("memory.size")
    return origins


def _peak_notices(device: Device, ceiling: Peak, dtype: str) -> Iterator[Notice]:
    """Yield what is assumed in the peak, and what it leaves out."""
    if ceiling.provenance == "assumed":
        fields = [field for field, origin in device.provenance.items() if origin == "assumed" and "units" in field]
        yield notice("peak-assumed", device=device.label, fields=fields)
    if ceiling.missing:
        yield notice("rate-missing", units=list(ceiling.missing), dtype=dtype)
    if ceiling.dtype != dtype and ceiling.dtype == "fp32":
        yield notice("computed-by-fp32-units", dtype=dtype)


def _memory_notices(device: Device, needed: int, dtype: str) -> Iterator[Notice]:
    memory, name = device.memory, device.label
    if memory.bandwidth is None:
        yield notice("bandwidth-unknown", device=name)
    elif device.provenance_of("memory.bandwidth") == "assumed":
        yield notice("bandwidth-assumed", device=name)
    if memory.size is None:
        yield notice("memory-size-unknown", device=name)
    elif needed > memory.size:
        yield notice("does-not-fit", dtype=dtype, device=name, needed_bytes=needed, size_bytes=float(memory.size))
