"""How long a workload takes on a device: the ideal, the roofline and the forecast, layer by layer and in total.

The first two are lower bounds at the stated clock; the third comes with an interval, from the calibrated time model of
a runtime.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from msgspec import Struct, field, to_builtins

from hwbench import dtypes
from hwbench.answers import Answer
from hwbench.machine.device import Device, Peak, PeakTerm, highest, peaks
from hwbench.machine.parts import ClockKind, Kind
from hwbench.notices import Notice, notice, unique
from hwbench.predict.forecast import Forecast, Limit, OpTime, forecast
from hwbench.predict.roofline import Bound, Roofline
from hwbench.workload.ops import Op, Work, Workload


class LayerEstimate(Struct, frozen=True):
    """One op on the device, for the whole batch. Times in seconds, `None` if the bandwidth is unknown.

    `utilization` is the share of the peak that the roofline allows. `forecast_time_s` adds up to the forecast of the
    whole network, `limited_by` is what most of it is spent on; both are `None` without a forecast.
    """

    name: str
    kind: str
    flops: int
    traffic_bytes: int
    weight_bytes: int
    intensity: float
    ideal_time_s: float
    roofline_time_s: float | None
    bound: Bound | None
    utilization: float | None
    count: int = 1
    forecast_time_s: float | None = field(default=None, name="expected_time_s")
    limited_by: Limit | None = field(default=None, name="expected_bound")


class Estimate(Answer, Struct, frozen=True):
    """One model on one device at one dtype and batch.

    `peak` names the ceiling and `terms` its arithmetic. `throughput_per_s` and `utilization` follow from the roofline
    and are upper bounds; `memory_needed_bytes` is what weights and the largest multiply-add layer need. `forecast` is
    None if the device's bandwidth or rates are unknown.
    """

    SCHEMA: ClassVar[str] = "estimate"
    MAIN: ClassVar[tuple[str, ...]] = (
        "model", "device", "dtype", "batch", "ideal_time_s", "roofline_time_s", "forecast.time_s",
    )  # fmt: skip
    ROWS: ClassVar[str] = "layers"
    CONTEXT: ClassVar[tuple[str, ...]] = ("title", "forecast")  # body() has the forecast under keys of its own

    model: str
    device: str
    kind: Kind
    dtype: str
    batch: int
    flops: int
    traffic_bytes: int
    peak_flops_per_second: float
    peak: str
    terms: tuple[PeakTerm, ...]
    bandwidth_bytes_per_second: float | None
    ridge_point: float | None
    ideal_time_s: float
    roofline_time_s: float | None
    throughput_per_s: float | None
    utilization: float | None
    bound: Bound | None
    memory_needed_bytes: int
    memory_size_bytes: float | None
    fits: bool | None
    layers: tuple[LayerEstimate, ...]
    provenance: dict[str, str]
    notices: tuple[Notice, ...]
    forecast: Forecast | None = None
    title: str = ""

    @property
    def forecast_utilization(self) -> float | None:
        """Share of the peak that the forecast reaches."""
        return self.ideal_time_s / self.forecast.time_s if self.forecast and self.forecast.time_s else None

    def body(self) -> dict[str, Any]:
        """Return the JSON keys of the bounds and of the forecast, whose keys are absent without one."""
        body = super().body()
        forecast = self.forecast
        if forecast is None:
            for layer in body["layers"]:
                del layer["expected_time_s"], layer["expected_bound"]
            return body
        values = {
            "expected_time_s": forecast.time_s,
            "interval_s": [*forecast.interval_s],
            "interval_level": forecast.interval_level,
            "runtime": forecast.runtime,
            "expected_throughput_per_s": forecast.throughput_per_s,
            "expected_utilization": self.forecast_utilization,
            "expected_bound": forecast.limited_by,
            "elasticities": to_builtins(forecast.elasticities),
            "calibration": forecast.calibration and to_builtins(forecast.calibration),
        }
        return body | {key: value for key, value in values.items() if value is not None}


class Estimates(Answer, Struct, frozen=True):
    """Estimates of one model on one device: one for each dtype and batch."""

    SCHEMA: ClassVar[str] = "estimates"
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
    *,
    bounds_only: bool = False,
) -> Estimate:
    """Return the bounds of `workload` on `device`, and its forecast in a runtime unless `bounds_only`.

    Raises InputError if the device has no rate for the dtype, and for an unknown runtime.
    """
    number = dtypes.dtype(dtype)
    compute, bits = number.computes_in, number.bits
    ceiling, bandwidth = peak_for(device, compute, clock), device.memory.bandwidth
    roof = Roofline(ceiling.flops_per_second, float(bandwidth)) if bandwidth else None
    works = [op.work(bits, workload.repeats(batch)) for op in workload.ops]
    prediction = None if bounds_only else forecast(workload, device, dtype, batch, runtime, clock=clock)
    layers = _layers(workload, works, device, compute, clock, prediction.ops if prediction else None)
    ideal = sum(layer.ideal_time_s for layer in layers)
    time = sum(layer.roofline_time_s or 0.0 for layer in layers) if roof else None
    needed, size = workload.capacity(bits, batch), device.memory.size
    about_device = (*_peak_notices(device, ceiling, compute), *_memory_notices(device, needed, number.name))
    return Estimate(
        model=workload.name,
        device=device.label,
        kind=device.kind,
        dtype=number.name,
        batch=batch,
        flops=sum(work.flops for work in works),
        traffic_bytes=sum(work.traffic for work in works),
        peak_flops_per_second=ceiling.flops_per_second,
        peak=ceiling.label,
        terms=ceiling.terms,
        bandwidth_bytes_per_second=roof.bandwidth if roof else None,
        ridge_point=roof.ridge_point if roof else None,
        ideal_time_s=ideal,
        roofline_time_s=time,
        throughput_per_s=batch / time if time else None,
        utilization=ideal / time if time else None,
        bound=_main_bound(layers) if roof else None,
        memory_needed_bytes=needed,
        memory_size_bytes=float(size) if size else None,
        fits=needed <= size if size else None,
        layers=layers,
        provenance=_provenance(device, ceiling),
        notices=(*about_device, *_workload_notices(workload), *(prediction.notices if prediction else ())),
        forecast=prediction,
        title=workload.title,
    )


def peak_for(device: Device, dtype: str, clock: ClockKind | None = None) -> Peak:
    """Return the highest ceiling for data of a dtype; for fp16 and bf16 that may be the one of the fp32 units.

    Raises InputError if the device has no rate for the dtype at all.
    """
    every = peaks(device, clock)
    own = highest(every, dtype) or device.peak(dtype, clock)  # whose error names the dtypes that there are
    single = highest(every, "fp32") if dtype in ("fp16", "bf16") else None
    return single if single and single.flops_per_second > own.flops_per_second else own


def _layers(
    workload: Workload,
    works: list[Work],
    device: Device,
    dtype: str,
    clock: ClockKind | None,
    times: tuple[OpTime, ...] | None,
) -> tuple[LayerEstimate, ...]:
    """Return each op under the ceiling of the dtype that it computes in, its own or the run's."""
    dtypes = {op.dtype or dtype for op in workload.ops}
    ceilings = {name: peak_for(device, name, clock).flops_per_second for name in dtypes}
    bandwidth = device.memory.bandwidth
    return tuple(
        _layer(op, work, ceilings[op.dtype or dtype], bandwidth, time)
        for op, work, time in zip(workload.ops, works, times or [None] * len(works), strict=True)
    )


def _layer(op: Op, work: Work, ceiling: float, bandwidth: float | None, forecast: OpTime | None) -> LayerEstimate:
    ideal = work.flops / ceiling
    roof = Roofline(ceiling, float(bandwidth)) if bandwidth else None
    time = roof.time(work) if roof else None
    return LayerEstimate(
        name=op.name,
        kind=op.kind,
        flops=work.flops,
        traffic_bytes=work.traffic,
        weight_bytes=work.weight_bytes,
        intensity=work.intensity,
        ideal_time_s=ideal,
        roofline_time_s=time,
        bound=roof.bound(work) if roof else None,
        utilization=ideal / time if time else None,
        count=op.count,
        forecast_time_s=forecast.time_s if forecast else None,
        limited_by=forecast.limited_by if forecast else None,
    )


def _main_bound(layers: tuple[LayerEstimate, ...]) -> Bound:
    """Return the bound of the ops that take most of the roofline time."""
    compute = sum(layer.roofline_time_s or 0.0 for layer in layers if layer.bound == "compute")
    memory = sum(layer.roofline_time_s or 0.0 for layer in layers if layer.bound == "memory")
    return "compute" if compute > memory else "memory"


def _provenance(device: Device, ceiling: Peak) -> dict[str, str]:
    origins: dict[str, str] = {"peak": ceiling.provenance}
    if device.memory.bandwidth:
        origins["bandwidth"] = device.provenance_of("memory.bandwidth")
    if device.memory.size:
        origins["memory"] = device.provenance_of("memory.size")
    return origins


def _peak_notices(device: Device, ceiling: Peak, dtype: str) -> Iterator[Notice]:
    """Yield what is assumed in the peak, what it leaves out, and which other peak a run may reach."""
    if ceiling.provenance == "assumed":
        fields = [field for field, origin in device.provenance.items() if origin == "assumed" and "units" in field]
        yield notice("peak-assumed", device=device.label, fields=fields)
    if ceiling.missing:
        yield notice("rate-missing", units=list(ceiling.missing), dtype=dtype)
    if ceiling.dtype != dtype:
        yield notice("computed-by-fp32-units", dtype=dtype)
    if dtype == "fp32":
        faster = [p for p in peaks(device) if p.dtype == "tf32" and p.sparsity == "dense"]
        if faster and faster[0].flops_per_second > ceiling.flops_per_second:
            yield notice("tf32-by-default", peak_flops_per_second=faster[0].flops_per_second)


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


def _workload_notices(workload: Workload) -> Iterator[Notice]:
    if workload.uncounted:
        yield notice("uncounted", ops=list(workload.uncounted))
    yield from workload.notices
