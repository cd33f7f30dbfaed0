"""How long a workload takes on a device: the ideal and the roofline time, layer by layer and in total.

Both are lower bounds and named so. The expected time and its interval come with a calibrated model: until there is
one their keys are absent.
"""

from msgspec import UNSET, Struct, UnsetType

from hwbench.machine.architecture import BITS
from hwbench.machine.device import ClockKind, Device
from hwbench.machine.peak import Peak, peak
from hwbench.predict.roofline import Bound, Roofline
from hwbench.units import Bytes
from hwbench.workload.op import Op, Workload
from hwbench.workload.work import Work


class LayerEstimate(Struct, frozen=True):
    """One op on the device, for the whole batch. Times in seconds, `None` where the bandwidth is unknown.

    `utilization` is the share of the peak that the roofline still allows.
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
    expected_time_s: float | UnsetType = UNSET


class Estimate(Struct, frozen=True):
    """One model on one device at one dtype and batch.

    `throughput_per_s` and `utilization` follow from the roofline and are upper bounds; `memory_needed_bytes` is the
    least that a run needs (weights and the largest layer's input and output).
    """

    model: str
    device: str
    dtype: str
    batch: int
    flops: int
    traffic_bytes: int
    peak_flops_per_second: float
    peak: str
    bandwidth_bytes_per_second: float | None
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


def estimate(
    workload: Workload, device: Device, dtype: str = "fp32", batch: int = 1, clock: ClockKind | None = None
) -> Estimate:
    """The bounds of `workload` on `device`. Raises InputError when the device has no rate for the dtype."""
    ceiling = peak(device, dtype, clock)
    roof = Roofline(ceiling.flops_per_second, float(device.memory.bandwidth)) if device.memory.bandwidth else None
    bits = BITS[dtype]
    layers = tuple(_layer(op, op.work(bits, batch), ceiling, roof) for op in workload.ops)
    total = workload.work(bits, batch)
    ideal = total.flops / ceiling.flops_per_second
    time = sum(layer.roofline_time_s or 0.0 for layer in layers) if roof else None
    needed, size = workload.capacity(bits, batch), device.memory.size
    return Estimate(
        model=workload.name,
        device=device.name or device.title,
        dtype=dtype,
        batch=batch,
        flops=total.flops,
        traffic_bytes=total.traffic,
        peak_flops_per_second=ceiling.flops_per_second,
        peak=ceiling.label,
        bandwidth_bytes_per_second=roof.bandwidth if roof else None,
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
        warnings=(*_warnings(device, ceiling, needed, dtype), *_uncounted(workload)),
    )


def _layer(op: Op, work: Work, ceiling: Peak, roof: Roofline | None) -> LayerEstimate:
    ideal = work.flops / ceiling.flops_per_second
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
    )


def _main_bound(layers: tuple[LayerEstimate, ...]) -> Bound:
    """The bound under which most of the roofline time passes."""
    compute = sum(layer.roofline_time_s or 0.0 for layer in layers if layer.bound == "compute")
    memory = sum(layer.roofline_time_s or 0.0 for layer in layers if layer.bound == "memory")
    return "compute" if compute > memory else "memory"


def _provenance(device: Device, ceiling: Peak) -> dict[str, str]:
    clocks = ", ".join(dict.fromkeys(f"{t.clock} {t.clock_hz / 1e9:g} GHz" for t in ceiling.terms))
    found = {"peak": ceiling.provenance, "clock": clocks}
    if device.memory.bandwidth:
        found["bandwidth"] = device.provenance_of("memory.bandwidth")
    if device.memory.size:
        found["memory"] = device.provenance_of("memory.size")
    return found


def _warnings(device: Device, ceiling: Peak, needed: int, dtype: str) -> list[str]:
    memory, found = device.memory, []
    name = device.name or device.title
    if ceiling.provenance == "assumed":
        found.append(f"the peak of {name} rests on assumed values ({_assumed(device)})")
    if memory.bandwidth is None:
        found.append(f"the memory bandwidth of {name} is unknown: no roofline (give one by --set bandwidth=...)")
    elif device.provenance_of("memory.bandwidth") == "assumed":
        found.append(f"the memory bandwidth of {name} is assumed")
    if memory.size is None:
        found.append(f"the memory size of {name} is unknown: whether the model fits was not checked")
    elif needed > memory.size:
        text = f"needs at least {Bytes(needed)}, {name} has {memory.size}"
        found.append(f"the model does not fit at {dtype}: it {text}")
    return found


def _assumed(device: Device) -> str:
    fields = [field for field, origin in device.provenance.items() if origin == "assumed" and "units" in field]
    return ", ".join(fields) or "clock or units"


def _uncounted(workload: Workload) -> list[str]:
    if not workload.uncounted:
        return []
    return [f"not counted: {', '.join(workload.uncounted)}: the bounds leave them out"]
