"""What a run says a machine sustains: ceilings for estimates, in place of those that a data sheet or a system states.

A device that was measured keeps its theoretical peaks, at the clock that was measured under load; what microbenchmarks
reached stands in its `sustained`. Its memory bandwidth is the measured one where no other is known.
"""

from collections.abc import Sequence
from itertools import accumulate
from statistics import median
from typing import Any

import msgspec

from hwbench.errors import InputError
from hwbench.machine.device import Device, Provenance, Sustained, SustainedRate, Units
from hwbench.machine.peak import highest, peaks
from hwbench.measure import store
from hwbench.measure.analysis import peaks as against
from hwbench.measure.analysis.peaks import Clocks
from hwbench.measure.record import Measurement, Record
from hwbench.measure.subject import GpuWork, WorkingSet
from hwbench.notices import Notice, notice
from hwbench.units import BytesPerSecond, FlopsPerSecond, Hertz, Seconds

MATRIX_ISAS = ("amx", "amx-bf16", "amx-int8", "amx-tile", "sme")
MOST_RUNS = 40
"""Newest runs that are looked through for those of one machine."""
OF_A_CPU = {"clock", "fma", "matmul", "stream", "working-set"}
CEILINGS = {*OF_A_CPU, "launch"}
"""Kernels whose measurements make a device's ceilings."""


def value(measurement: Measurement) -> float:
    """The median of the accepted samples, in the measurement's unit."""
    return median(measurement.value(sample) for sample in measurement.accepted)


def sound(run: Record, gpu: bool) -> list[Measurement]:
    """The measurements of the CPU, or of the GPU, whose answers were not wrong."""
    return [one for one in run.measurements if (one.where == "gpu") == gpu and one.checked is not False]


def is_gpu(run: Record) -> bool:
    """Whether a run measured the ceilings of a GPU and none of a CPU."""
    return {one.where for one in run.measurements if one.kernel in CEILINGS} == {"gpu"}


def sustained(run: Record, device: Device | None = None) -> Sustained:
    """The ceilings that a run measured, of its GPU where it measured nothing else; `source` is its id.

    `device` tells the engine of a GPU's products and how many units it has.
    """
    gpu = is_gpu(run)
    found = sound(run, gpu)
    streams = [one for one in found if one.kernel == "stream"]
    alone, together = (_bandwidth(streams, most=most) for most in (False, True))
    overheads = [value(one) for one in found if one.kernel == "launch" and one.variant == "queued"]
    return Sustained(
        source=run.id,
        rates=_rates(found, device if gpu else None),
        bandwidth=together,
        unit_bandwidth=None if gpu else alone,
        caches={} if gpu else _caches(found, [cache.name for cache in device.caches] if device else []),
        clock=_gpu_clock(found) if gpu else {isa: Hertz(hertz) for isa, hertz in _clocks(found).items()},
        op_overhead=Seconds(overheads[0]) if overheads else None,
    )


def _rates(found: Sequence[Measurement], device: Device | None) -> tuple[SustainedRate, ...]:
    """The best of each kernel, engine, dtype, ISA and number of units.

    No number of units sustains less than fewer of them did: the others could have rested. Where it seems so, other work
    took their time.
    """
    best: dict[tuple[Any, ...], dict[int, float]] = {}
    for one in found:
        if one.kernel not in ("fma", "matmul") or one.unit not in ("FLOP/s", "op/s") or one.dtype is None:
            continue
        isa = one.isa if one.kernel == "fma" else None
        rates = best.setdefault((one.kernel, _engine(one, device), one.dtype, isa), {})
        units = device.count if device else one.threads
        rates[units] = max(rates.get(units, 0.0), value(one))
    return tuple(
        SustainedRate(kernel, engine, dtype, FlopsPerSecond(rate), units, isa)
        for (kernel, engine, dtype, isa), rates in best.items()
        for units, rate in zip(sorted(rates), accumulate((rates[few] for few in sorted(rates)), max), strict=True)
    )


def doubts(run: Record) -> list[Notice]:
    """Return a notice where some of a run's ceilings rest on a single sample."""
    weighty = [one for one in sound(run, is_gpu(run)) if one.kernel in ("fma", "matmul", "stream")]
    single = {one.kernel for one in weighty if len(one.accepted) == 1}
    return [notice("ceilings-of-one-sample", run=run.id, kernels=sorted(single))] if single else []


def _engine(one: Measurement, device: Device | None) -> str:
    if device is not None:
        top = highest(peaks(device), one.dtype or "")
        return top.engine if top else "vector"
    return "matrix" if (one.isa or "").startswith(MATRIX_ISAS) else "vector"


def _bandwidth(streams: Sequence[Measurement], most: bool) -> BytesPerSecond | None:
    """The best STREAM rate on one unit; with `most`, on however many: memory gives all units what it gives one."""
    rates = [value(one) for one in streams if most or one.threads == 1]
    return BytesPerSecond(max(rates)) if rates else None


def _caches(found: Sequence[Measurement], known: Sequence[str]) -> dict[str, BytesPerSecond]:
    """Read bandwidth of each cache that the sweep of working sets shows, with as many threads as were tried.

    A sweep whose levels are not the caches that the system has is too disturbed to be used.
    """
    sweep = [one for one in found if one.kernel == "working-set"]
    levels = [(one.subject.level, one) for one in sweep if isinstance(one.subject, WorkingSet)]
    own = {level: BytesPerSecond(value(one)) for level, one in levels if level}  # each by itself, with all cores
    if not own and sweep:
        from hwbench.measure import kernels

        rows = [row for row in kernels.rows(sweep) if (row.kernel, row.unit) == ("cache", "B/s")]
        own = {row.variant: BytesPerSecond(row.value) for row in rows}
    own.pop("memory", None)
    return own if not known or own.keys() <= set(known) else {}


def _clocks(found: Sequence[Measurement]) -> dict[str, float]:
    """Clock in Hz by variant, of the most cores that were measured together."""
    clocks: dict[str, tuple[int, float]] = {}
    for one in found:
        if one.kernel == "clock" and one.unit == "Hz" and one.threads >= clocks.get(one.variant, (0, 0.0))[0]:
            clocks[one.variant] = (one.threads, value(one))
    return {variant: hertz for variant, (_, hertz) in clocks.items()}


def _gpu_clock(found: Sequence[Measurement]) -> dict[str, Hertz]:
    """The lowest clock that the driver gave while products of a dtype ran, by dtype."""
    clocks: dict[str, float] = {}
    for one in found:
        hertz = one.subject.under_load.get("clock_hz") if isinstance(one.subject, GpuWork) else None
        if one.kernel == "matmul" and one.dtype and isinstance(hertz, int | float) and hertz > 0:
            clocks[one.dtype] = min(clocks.get(one.dtype, hertz), hertz)
    return {dtype: Hertz(hertz) for dtype, hertz in clocks.items()}


def measured(device: Device, run: Record) -> Device:
    """The device with a run's ceilings: `sustained`, clocks under load, the bandwidth where none is known.

    `device` is the machine that the run was made on, or as much of it as may be used now.
    """
    ceilings = sustained(run, device)
    provenance: dict[str, Provenance] = dict(device.provenance)
    units = device.units
    if device.kind == "cpu":
        clocks = against.clocks(sound(run, gpu=False))
        units = tuple(_at_measured_clock(one, clocks, len(device.units) > 1, provenance) for one in device.units)
    memory = device.memory
    if memory.bandwidth is None and ceilings.bandwidth is not None:
        memory = msgspec.structs.replace(memory, bandwidth=ceilings.bandwidth)
        provenance["memory.bandwidth"] = "measured"
    return msgspec.structs.replace(device, units=units, memory=memory, sustained=ceilings, provenance=provenance)


def _at_measured_clock(units: Units, clocks: Clocks, several: bool, provenance: dict[str, Provenance]) -> Units:
    """Units whose all-core clock of each ISA is the one measured under it, where it was."""
    most = max((threads for _, threads, _ in clocks.hertz), default=1)
    found: dict[str, Hertz] = {}
    for isa in dict.fromkeys(rate.isa for rate in units.rates):
        hertz = clocks.under(isa, most, None) or (clocks.under(isa, 1, units.name) if several else None)
        if hertz:
            found[isa] = Hertz(hertz)
    if not found:
        return units
    provenance[f"units.{units.name}.clock.all_core"] = "measured"
    return msgspec.structs.replace(
        units, clock=msgspec.structs.replace(units.clock, all_core={**units.clock.all_core, **found})
    )


def device(run: Record) -> Device:
    """The machine, or the GPU, that a run was made on, with the ceilings that it measured. Raises InputError."""
    return measured(stated(run), run)


def stated(run: Record) -> Device:
    """The machine, or the GPU, that a run was made on, as its system or its driver described it. Raises InputError."""
    base = _accelerator(run) if is_gpu(run) else run.device
    if base is None:
        raise InputError(f"run {run.id} does not describe its machine")
    return msgspec.structs.replace(base, name=f"run:{run.id}")


def _accelerator(run: Record) -> Device | None:
    """Return the GPU's description, which its measurements carry."""
    subjects = (one.subject for one in sound(run, gpu=True))
    return next((one.accelerator for one in subjects if isinstance(one, GpuWork) and one.accelerator), None)


def newest(machine: str, where: str | None = None) -> Record | None:
    """What the newest runs of a machine (its key in their environments) say of its CPU, each kernel by its newest run.

    None where there is none. Files that cannot be read are passed over: they are no reason to refuse an estimate.
    """
    kept: dict[str, list[Measurement]] = {}
    sources: list[Record] = []
    for name in reversed(store.names(where)[-MOST_RUNS:]):
        try:
            run = store.load(name, where)
        except InputError:
            continue
        if run.environment.get("machine") != machine:
            continue
        fresh = [one for one in sound(run, gpu=False) if one.kernel in CEILINGS and one.kernel not in kept]
        if fresh:
            sources.append(run)
            for one in fresh:
                kept.setdefault(one.kernel, []).append(one)
        if kept.keys() >= OF_A_CPU:
            break
    if not sources:
        return None
    return msgspec.structs.replace(
        sources[0],
        id=" + ".join(run.id for run in sources),
        measurements=tuple(one for group in kept.values() for one in group),
    )
