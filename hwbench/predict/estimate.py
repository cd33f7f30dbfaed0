"""How long a workload takes on a device: the ideal, the roofline and the expected time, layer by layer and in total.

The first two are lower bounds at the stated clock and named so; the third is a forecast with an interval, by the
calibrated time model of a runtime.
"""

from typing import Any, ClassVar

from msgspec import UNSET, Struct, UnsetType

from hwbench.answers import Answer
from hwbench.dtypes import BITS, MIXED
from hwbench.machine.architecture import Kind
from hwbench.machine.device import ClockKind, Device
from hwbench.machine.peak import Peak, PeakTerm, highest, peak, peaks
from hwbench.predict.forecast import Elasticities, Expected, Limit, OpTime, expected
from hwbench.predict.roofline import Bound, Roofline
from hwbench.units import Bytes, FlopsPerSecond
from hwbench.workload.ops import Op, Work, Workload


class LayerEstimate(Struct, frozen=True):
    """One op on the device, for the whole batch. Times in seconds, `None` where the bandwidth is unknown.

    `utilization` is the share of the peak that the roofline still allows; `expected_time_s` are seconds of a forecast
    that add up to the network's, and `expected_bound` what they are spent on.
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
    expected_time_s: float | UnsetType = UNSET
    expected_bound: Limit | UnsetType = UNSET


class Estimate(Answer, Struct, frozen=True):
    """One model on one device at one dtype and batch.

    `peak` names the ceiling and `terms` its arithmetic. `throughput_per_s` and `utilization` follow from the roofline
    and are upper bounds; `memory_needed_bytes` is what weights and the largest multiply-add layer need. The expected
    values are a forecast for `runtime`: `interval_s` holds the time of a batch at `interval_level`, and `elasticities`
    say by which share it shrinks when a property of the device grows by a tenth.
    """

    SCHEMA: ClassVar[str] = "estimate"
    MAIN: ClassVar[tuple[str, ...]] = (
        "model", "device", "dtype", "batch", "ideal_time_s", "roofline_time_s", "expected_time_s",
    )  # fmt: skip
    ROWS: ClassVar[str] = "layers"
    CONTEXT: ClassVar[tuple[str, ...]] = ("title",)

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
    warnings: tuple[str, ...]
    expected_time_s: float | UnsetType = UNSET
    interval_s: tuple[float, float] | UnsetType = UNSET
    interval_level: float | UnsetType = UNSET
    runtime: str | UnsetType = UNSET
    expected_throughput_per_s: float | UnsetType = UNSET
    expected_utilization: float | UnsetType = UNSET
    expected_bound: Limit | UnsetType = UNSET
    elasticities: Elasticities | UnsetType = UNSET
    title: str = ""


def estimate(
    workload: Workload,
    device: Device,
    dtype: str = "fp32",
    batch: int = 1,
    clock: ClockKind | None = None,
    runtime: str | None = None,
    *,
    forecast: bool = True,
) -> Estimate:
    """The bounds of `workload` on `device`, and its expected time in a runtime unless no `forecast` is asked for.

    Raises InputError when the device has no rate for the dtype, and for an unknown runtime.
    """
    compute, bits = ("fp16", BITS["fp32"]) if dtype == MIXED else (dtype, BITS[dtype])
    ceiling, bandwidth = peak_for(device, compute, clock), device.memory.bandwidth
    roof = Roofline(ceiling.flops_per_second, float(bandwidth)) if bandwidth else None
    works = [op.work(bits, workload.repeats(batch)) for op in workload.ops]
    found = expected(workload, device, dtype, batch, runtime, clock=clock) if forecast else None
    layers = _layers(workload, works, device, compute, clock, found.ops if found else None)
    ideal = sum(layer.ideal_time_s for layer in layers)
    time = sum(layer.roofline_time_s or 0.0 for layer in layers) if roof else None
    needed, size = workload.capacity(bits, batch), device.memory.size
    told = (*_peak_warnings(device, ceiling, compute), *_memory_warnings(device, needed, dtype), *_gaps(workload))
    return Estimate(
        model=workload.name,
        device=device.name or device.title,
        kind=device.kind,
        dtype=dtype,
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
        warnings=(*told, *(found.warnings if found else ())),
        **(_forecast(found, batch, ideal) if found else {}),
        title=workload.title,
    )


def _forecast(found: Expected, batch: int, ideal: float) -> dict[str, Any]:
    """The fields of an Estimate that a forecast sets; a network of no time has no rate."""
    return {
        "expected_time_s": found.time_s,
        "interval_s": found.interval_s,
        "interval_level": found.interval_level,
        "runtime": found.runtime,
        "expected_throughput_per_s": batch / found.time_s if found.time_s else UNSET,
        "expected_utilization": ideal / found.time_s if found.time_s else UNSET,
        "expected_bound": found.bound,
        "elasticities": found.elasticities,
    }


def peak_for(device: Device, dtype: str, clock: ClockKind | None = None) -> Peak:
    """The highest ceiling for data of a dtype: fp32 units compute half-precision data where they are faster.

    Raises InputError when the device has no rate for the dtype at all.
    """
    every = peaks(device, clock)
    own = highest(every, dtype) or peak(device, dtype, clock)  # which says what there is instead
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
    """Each op under the roof of the dtype that it computes in, its own or the run's."""
    ceilings = {name: peak_for(device, name, clock) for name in {op.dtype or dtype for op in workload.ops}}
    bandwidth = device.memory.bandwidth
    found = []
    for position, (op, work) in enumerate(zip(workload.ops, works, strict=True)):
        ceiling = ceilings[op.dtype or dtype].flops_per_second
        roof = Roofline(ceiling, float(bandwidth)) if bandwidth else None
        found.append(_layer(op, work, ceiling, roof, times[position] if times else None))
    return tuple(found)


def _layer(op: Op, work: Work, ceiling: float, roof: Roofline | None, time_s: OpTime | None) -> LayerEstimate:
    ideal = work.flops / ceiling
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
        expected_time_s=time_s.time_s if time_s else UNSET,
        expected_bound=time_s.bound if time_s else UNSET,
    )


def _main_bound(layers: tuple[LayerEstimate, ...]) -> Bound:
    """The bound under which most of the roofline time passes."""
    compute = sum(layer.roofline_time_s or 0.0 for layer in layers if layer.bound == "compute")
    memory = sum(layer.roofline_time_s or 0.0 for layer in layers if layer.bound == "memory")
    return "compute" if compute > memory else "memory"


def _provenance(device: Device, ceiling: Peak) -> dict[str, str]:
    found: dict[str, str] = {"peak": ceiling.provenance}
    if device.memory.bandwidth:
        found["bandwidth"] = device.provenance_of("memory.bandwidth")
    if device.memory.size:
        found["memory"] = device.provenance_of("memory.size")
    return found


def _peak_warnings(device: Device, ceiling: Peak, dtype: str) -> list[str]:
    """What a reader of the peak must know: assumed values, and what could pass it."""
    name, found = device.name or device.title, []
    if ceiling.provenance == "assumed":
        fields = [field for field, origin in device.provenance.items() if origin == "assumed" and "units" in field]
        found.append(f"the peak of {name} rests on assumed values ({', '.join(fields) or 'clock or units'})")
    if ceiling.missing:
        found.append(f"{', '.join(ceiling.missing)} have no known {dtype} rate and are left out of the peak")
    if ceiling.dtype != dtype:
        found.append(f"{dtype} data is taken to be computed by the fp32 units, which are faster here")
    if dtype == "fp32":
        faster = [p for p in peaks(device) if p.dtype == "tf32" and p.sparsity == "dense"]
        if faster and faster[0].flops_per_second > ceiling.flops_per_second:
            rate = FlopsPerSecond(faster[0].flops_per_second)
            found.append(
                f"strict fp32 is meant; torch runs convolutions as tf32 by default, whose peak is {rate}: --dtype tf32"
            )
    return found


def _memory_warnings(device: Device, needed: int, dtype: str) -> list[str]:
    memory, found = device.memory, []
    name = device.name or device.title
    if memory.bandwidth is None:
        remedy = "`hwbench bench` measures it" if name == "host" else "give one by --set bandwidth=..."
        found.append(f"the memory bandwidth of {name} is unknown: no roofline ({remedy})")
    elif device.provenance_of("memory.bandwidth") == "assumed":
        found.append(f"the memory bandwidth of {name} is assumed")
    if memory.size is None:
        found.append(f"the memory size of {name} is unknown: whether the model fits was not checked")
    elif needed > memory.size:
        text = f"needs at least {Bytes(needed)}, {name} has {memory.size}"
        found.append(f"the model does not fit at {dtype}: it {text}")
    return found


def _gaps(workload: Workload) -> list[str]:
    if not workload.uncounted:
        return [*workload.remarks]
    return [f"not counted: {', '.join(workload.uncounted)}: the bounds leave their arithmetic out", *workload.remarks]
