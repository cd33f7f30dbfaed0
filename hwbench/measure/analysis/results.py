"""The results of a record: each measurement with its peaks and grade, rows derived from several, and findings."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from hwbench.machine.device import Device, choose_clock
from hwbench.measure import kernels
from hwbench.measure.analysis.peaks import MAX_SHARE, Clocks, Peaks, above_measured, above_stated, clocks, peaks
from hwbench.measure.record import MIN_ACCEPTED, Measurement, Record, Result
from hwbench.measure.subject import ForwardPass, TrainingStep
from hwbench.measure.summary import graded, interval, per_cycle, summarize
from hwbench.notices import Notice, notice

MIN_CORE_SHARE = 0.65
"""Share of one core's rate below which, where all cores run, two CPUs are reported to share one core."""


class Results(Struct, frozen=True):
    """All that a record shows: a result a measurement, its twin per cycle after it, then rows derived from several."""

    results: tuple[Result, ...]
    findings: tuple[Notice, ...]


class SavedRun(Struct, frozen=True):
    """A saved run in a list: what it measured, how many values have which grade; `error` says why it cannot be read."""

    id: str
    created: str | None = None
    brand: str | None = None
    machine: str | None = None
    kernels: tuple[str, ...] = ()
    error: str | None = None
    name: str | None = None
    models: tuple[str, ...] = ()
    grades: dict[str, int] = {}
    bytes: int | None = None


class PeakComparison(Struct, frozen=True):
    """A measurement with its result and its peaks."""

    measurement: Measurement
    result: Result
    peaks: Peaks

    @property
    def name(self) -> str:
        """Return what people call the measurement."""
        return self.measurement.label

    @property
    def share(self) -> float:
        """Return the result over the peak at the stated clock; 0 where there is none."""
        return self.result.ratio_to_peak or 0.0

    @property
    def share_at_clock(self) -> float:
        """Return the result over the peak at the measured clock; 0 where there is none."""
        return self.result.ratio_to_measured_peak or 0.0

    @property
    def has_few_samples(self) -> bool:
        """Return whether too few samples were undisturbed to conclude anything from the value."""
        return self.result.samples < MIN_ACCEPTED or self.result.grade == "D"


def overview(record: Record, size: int | None = None) -> SavedRun:
    """Return what a list shows of a record; `size` is that of its file in bytes."""
    grades = Counter(graded(item, interval(item))[0] for item in record.measurements)
    passes = (item.subject for item in record.measurements if isinstance(item.subject, ForwardPass | TrainingStep))
    return SavedRun(
        id=record.id,
        created=record.created,
        brand=record.environment.get("brand") or (record.device.title if record.device else None),
        machine=record.environment.get("machine"),
        kernels=tuple(dict.fromkeys(measurement.kernel for measurement in record.measurements)),
        name=record.name,
        models=tuple(dict.fromkeys(each.model for each in passes)),
        grades=dict(sorted(grades.items())),
        bytes=size,
    )


def results(record: Record) -> Results:
    """Derive the results and findings of a record from its samples."""
    measured = clocks(record.measurements)
    comparisons, rows = [], []
    for measurement in record.measurements:
        ceilings = peaks(measurement, record.device, measured)
        result = summarize(measurement, ceilings.stated, ceilings.measured)
        twin = per_cycle(measurement, ceilings.flops_per_cycle)
        comparisons.append(PeakComparison(measurement, result, ceilings))
        rows += [result, twin] if twin else [result]
    findings = [
        *(
            above_measured(comparison.name, comparison.share_at_clock, _why(comparison))
            for comparison in comparisons
            if comparison.share_at_clock > MAX_SHARE
        ),
        *_above_stated(comparisons, record.device, measured),
        *_above_memory(comparisons),
        *_shared_cores(comparisons, bool(record.environment.get("hypervisor"))),
    ]
    return Results((*rows, *kernels.rows(record.measurements)), tuple(findings))


def _why(comparison: PeakComparison) -> Literal["rates", "assumed-rates", "few-samples"]:
    """Return why a value may be above the peak at the measured clock."""
    if comparison.has_few_samples:
        return "few-samples"
    return "assumed-rates" if comparison.peaks.assumed else "rates"


def _above_stated(comparisons: Sequence[PeakComparison], device: Device | None, measured: Clocks) -> list[Notice]:
    """Return one notice for all values above the peak at the stated clock alone."""
    above = [
        comparison
        for comparison in comparisons
        if comparison.share > MAX_SHARE >= comparison.share_at_clock and comparison.measurement.kernel != "stream"
    ]
    if not above or device is None:
        return []
    top = max(above, key=lambda comparison: comparison.share)
    stated = choose_clock(device.units[0].clock, top.measurement.isa or "")
    isas = [top.measurement.isa] if top.measurement.isa else [rate.isa for rate in device.units[0].rates]
    hertz = next((clock for isa in isas if (clock := measured.under(isa, top.measurement.threads, None))), None)
    return [above_stated(top.name, top.share, float(stated[0]) if stated else None, hertz, len(above))]


def _above_memory(comparisons: Sequence[PeakComparison]) -> list[Notice]:
    return [
        notice("above-memory-peak", name=comparison.name, share=comparison.share)
        for comparison in comparisons
        if comparison.measurement.kernel == "stream" and comparison.share > MAX_SHARE
    ]


def _shared_cores(comparisons: Sequence[PeakComparison], virtual: bool) -> list[Notice]:
    """Return a notice where all cores together do much less than as many times one: CPUs are threads of one core.

    Rates are per CPU time, so that other work on the machine does not look like it.
    """
    alone: dict[tuple[str | None, str | None], float] = {}
    for comparison in comparisons:
        measurement = comparison.measurement
        if (measurement.kernel, measurement.variant) != ("fma", "throughput") or comparison.has_few_samples:
            continue
        rate = max(measurement.work * s.repetitions / (s.cpu_s or s.wall_s) for s in measurement.accepted)
        key = (measurement.isa, measurement.dtype)
        if measurement.threads == 1:
            alone.setdefault(key, rate)
        elif key in alone and measurement.core_class is None and rate < MIN_CORE_SHARE * alone[key]:
            return [notice("cores-shared", name=comparison.name, share=rate / alone[key], virtual=virtual)]
    return []
