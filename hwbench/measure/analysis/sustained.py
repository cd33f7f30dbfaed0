"""The ceilings that a machine sustains, as its runs measured them, in place of those of a data sheet or a system.

A device that was measured keeps its theoretical peaks, at the clock that was measured under load; the rates that
microbenchmarks reached are its `sustained`. Its memory bandwidth is the measured one where no other is known.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec
from msgspec import Struct

from hwbench.errors import InputError
from hwbench.machine.device import Device, highest
from hwbench.machine.device import peaks as theoretical_peaks
from hwbench.machine.parts import Cache, Provenance, Sustained, SustainedRate, Units
from hwbench.measure import kernels
from hwbench.measure.analysis.evidence import CEILING_KERNELS, Evidence, engine, sources
from hwbench.measure.analysis.peaks import Clocks, clocks
from hwbench.measure.record import Measurement, Record
from hwbench.measure.subject import GpuWork, WorkingSet
from hwbench.measure.summary import value
from hwbench.units import Bytes, BytesPerSecond, FlopsPerSecond, Hertz, Seconds


class Ceilings(Struct, frozen=True):
    """The measurements of one CPU or GPU that make its ceilings, and the ids of the runs that they are from.

    Measurements whose answers were wrong are left out.
    """

    sources: tuple[str, ...]
    measurements: tuple[Measurement, ...]
    gpu: bool = False

    def of(self, *names: str) -> list[Measurement]:
        """Return the measurements of some kernels."""
        return [measurement for measurement in self.measurements if measurement.kernel in names]


def is_gpu(run: Record) -> bool:
    """Return whether a run measured the ceilings of a GPU and none of a CPU."""
    return {measurement.where for measurement in run.measurements if measurement.kernel in CEILING_KERNELS} == {"gpu"}


def ceilings(run: Record) -> Ceilings:
    """Return what a run measured of its CPU, or of its GPU where it measured nothing else."""
    gpu = is_gpu(run)
    return Ceilings((run.id,), tuple(_valid(run, gpu)), gpu)


def _valid(run: Record, gpu: bool) -> list[Measurement]:
    return [item for item in run.measurements if (item.where == "gpu") == gpu and item.checked is not False]


def of_evidence(evidence: Sequence[Evidence]) -> Ceilings:
    """Return the ceilings that the evidence of a machine makes."""
    return Ceilings(sources(evidence), tuple(each.measurement for each in evidence))


def sustained(measured: Ceilings, device: Device | None = None) -> Sustained:
    """Return the measured ceilings as the `sustained` of a device.

    `device` tells the names of a CPU's caches, the engine of a GPU's products and how many units it has.
    """
    streams = measured.of("stream")
    alone, together = (_bandwidth(streams, any_threads) for any_threads in (False, True))
    overheads = [value(measurement) for measurement in measured.of("launch") if measurement.variant == "queued"]
    return Sustained(
        source=", ".join(measured.sources),
        rates=_rates(measured.of("fma", "matmul"), device if measured.gpu else None),
        bandwidth=together,
        unit_bandwidth=None if measured.gpu else alone,
        caches={} if measured.gpu else _caches(measured, [cache.name for cache in device.caches] if device else []),
        clock=_gpu_clocks(measured) if measured.gpu else _clocks(measured),
        op_overhead=Seconds(overheads[0]) if overheads else None,
    )


def _rates(products: Sequence[Measurement], device: Device | None) -> tuple[SustainedRate, ...]:
    """Return the best rate of each kernel, engine, dtype, ISA and number of units.

    No number of units sustains less than fewer of them did: the others could have been idle. Where the measured rate is
    lower, other work took their time.
    """
    best: dict[tuple[Any, ...], dict[int, float]] = {}
    for measurement in products:
        if measurement.unit not in ("FLOP/s", "op/s") or measurement.dtype is None:
            continue
        isa = measurement.isa if measurement.kernel == "fma" else None
        rates = best.setdefault((measurement.kernel, _engine(measurement, device), measurement.dtype, isa), {})
        units = device.count if device else measurement.threads
        rates[units] = max(rates.get(units, 0.0), value(measurement))
    return tuple(
        SustainedRate(kernel, engine_name, dtype, FlopsPerSecond(rate), units, isa)
        for (kernel, engine_name, dtype, isa), rates in best.items()
        for units, rate in zip(sorted(rates), accumulate((rates[few] for few in sorted(rates)), max), strict=True)
    )


def _engine(measurement: Measurement, device: Device | None) -> str:
    if device is not None:
        top = highest(theoretical_peaks(device), measurement.dtype or "")
        return top.engine if top else "vector"
    return engine(measurement)


def _bandwidth(streams: Sequence[Measurement], any_threads: bool) -> BytesPerSecond | None:
    """Return the best STREAM rate on one unit, or on any number: memory gives all units what it gives one."""
    rates = [value(measurement) for measurement in streams if any_threads or measurement.threads == 1]
    return BytesPerSecond(max(rates)) if rates else None


def _caches(measured: Ceilings, known: Sequence[str]) -> dict[str, BytesPerSecond]:
    """Return the read bandwidth of each cache that the sweep of working sets shows, on as many threads as were tried.

    A sweep whose levels are not the caches that the system reports was too disturbed to be used.
    """
    sweep = measured.of("working-set")
    levels = [(item.subject.level, item) for item in sweep if isinstance(item.subject, WorkingSet)]
    rates = {level: BytesPerSecond(value(item)) for level, item in levels if level}  # each by itself, with all cores
    if not rates and sweep:
        rows = [row for row in kernels.rows(sweep) if (row.kernel, row.unit) == ("cache", "B/s")]
        rates = {row.variant: BytesPerSecond(row.value) for row in rows}
    rates.pop("memory", None)
    return rates if not known or rates.keys() <= set(known) else {}


def _clocks(measured: Ceilings) -> dict[str, Hertz]:
    """Return the clock by variant, of the most cores that were measured together."""
    hertz = clocks(measured.measurements).hertz
    return {key[0]: Hertz(hertz[key]) for key in sorted(hertz, key=lambda key: key[1])}


def _gpu_clocks(measured: Ceilings) -> dict[str, Hertz]:
    """Return the lowest clock that the driver read while products of a dtype ran, by dtype."""
    lowest: dict[str, float] = {}
    for product in measured.of("matmul"):
        hertz = product.subject.under_load.get("clock_hz") if isinstance(product.subject, GpuWork) else None
        if product.dtype and isinstance(hertz, int | float) and hertz > 0:
            lowest[product.dtype] = min(lowest.get(product.dtype, hertz), hertz)
    return {dtype: Hertz(hertz) for dtype, hertz in lowest.items()}


def with_ceilings(device: Device, measured: Ceilings) -> Device:
    """Return a device with measured ceilings: `sustained`, clocks under load, the bandwidth where none is known.

    A cache that cores share is as large as working sets that fit in it, where that is less than half of what the system
    states: a guest sees all of a processor's last level, and gets a part.

    `device` is the machine that was measured, or as much of it as may be used now.
    """
    reached = sustained(measured, device)
    provenance: dict[str, Provenance] = dict(device.provenance)
    units = device.units
    if device.kind == "cpu":
        hertz = clocks(measured.measurements)
        hybrid = len(device.units) > 1
        units = tuple(_at_measured_clock(cores, hertz, hybrid, provenance) for cores in device.units)
    memory = device.memory
    if memory.bandwidth is None and reached.bandwidth is not None:
        memory = msgspec.structs.replace(memory, bandwidth=reached.bandwidth)
        provenance["memory.bandwidth"] = "measured"
    caches = device.caches if measured.gpu else tuple(_got(device, cache, measured) for cache in device.caches)
    if caches != device.caches:
        provenance["caches"] = "measured"
    return msgspec.structs.replace(
        device, units=units, memory=memory, caches=caches, sustained=reached, provenance=provenance
    )


def _got(device: Device, cache: Cache, measured: Ceilings) -> Cache:
    """Return a cache with the size that working sets of one core show, where that is far below the stated one."""
    rows = kernels.rows(measured.of("working-set"))
    sizes = [row.value for row in rows if (row.kernel, row.unit, row.variant) == ("cache", "B", cache.name)]
    if cache.shared_by == 1 or not sizes or 2 * max(sizes) > cache.size:
        return cache
    return msgspec.structs.replace(cache, size=Bytes(max(sizes)), shared_by=device.count)


def _at_measured_clock(units: Units, measured: Clocks, hybrid: bool, provenance: dict[str, Provenance]) -> Units:
    """Return units whose all-core clock of each ISA is the one measured under it, where it was measured."""
    threads = max((threads for _, threads, _ in measured.hertz), default=1)
    measured_hz: dict[str, Hertz] = {}
    for isa in dict.fromkeys(rate.isa for rate in units.rates):
        hertz = measured.under(isa, threads, None) or (measured.under(isa, 1, units.name) if hybrid else None)
        if hertz:
            measured_hz[isa] = Hertz(hertz)
    if not measured_hz:
        return units
    provenance[f"units.{units.name}.clock.all_core"] = "measured"
    return msgspec.structs.replace(
        units, clock=msgspec.structs.replace(units.clock, all_core={**units.clock.all_core, **measured_hz})
    )


def stated_device(run: Record) -> Device:
    """Return the machine, or the GPU, of a run as its system or driver described it. Raises InputError."""
    subjects = (item.subject for item in ceilings(run).measurements)
    gpus = (subject.accelerator for subject in subjects if isinstance(subject, GpuWork) and subject.accelerator)
    base = next(gpus, None) if is_gpu(run) else run.device
    if base is None:
        raise InputError("no-device", f"Run {run.id} does not describe its machine.")
    return msgspec.structs.replace(base, name=f"run:{run.id}")
