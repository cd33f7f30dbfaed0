"""A run's results: each measurement with its peaks and grade, what is read off several, and what is worth saying."""

from collections.abc import Sequence

from msgspec import Struct

from hwbench.machine.device import Device
from hwbench.machine.peak import choose_clock
from hwbench.measure import kernels
from hwbench.measure.analysis import peaks as against
from hwbench.measure.analysis.peaks import Clocks, Peaks
from hwbench.measure.record import FEWEST_ACCEPTED, Measurement, Record, Result
from hwbench.measure.summary import per_cycle, summarize
from hwbench.units import Hertz

ABOVE = 1.02
"""Share of a peak from which a value is said to be above it: nearer than that, clocks are not known."""
SHARED = 0.65
"""Share of one core's rate that each of all cores reaches, below which two CPUs are said to share one core."""


class Results(Struct, frozen=True):
    """All that a run says: a result a measurement, its twin per cycle after it, then what was read off several."""

    results: tuple[Result, ...]
    findings: tuple[str, ...]


class Held(Struct, frozen=True):
    """A measurement with its result and what that was held against."""

    measurement: Measurement
    result: Result
    peaks: Peaks

    @property
    def few(self) -> bool:
        """Whether so few samples were undisturbed that nothing should be concluded from the value."""
        return self.result.samples < FEWEST_ACCEPTED or self.result.grade == "D"

    @property
    def name(self) -> str:
        """What a person calls it."""
        one = self.measurement
        threads = f"×{one.threads}" if one.threads > 1 else None
        return " ".join(part for part in (one.kernel, one.variant, one.isa, one.dtype, one.size, threads) if part)


def results(run: Record) -> Results:
    """Derive everything from the samples of a run; nothing of it is stored."""
    machine = run.device
    measured = against.clocks(run.measurements)
    held, found = [], []
    for one in run.measurements:
        peaks = against.peaks(one, machine, measured)
        result = summarize(one, peaks.stated, peaks.measured)
        twin = per_cycle(one, peaks.flops_per_cycle)
        held.append(Held(one, result, peaks))
        found += [result, twin] if twin else [result]
    findings = [
        *_above_all(held),
        *_above_stated(held, machine, measured),
        *_above_memory(held),
        *_shared(held, run.environment.get("hypervisor")),
    ]
    return Results((*found, *kernels.rows(run.measurements)), tuple(findings))


def _above_all(held: Sequence[Held]) -> list[str]:
    """Values above the peak even at the measured clock: the FLOP per cycle must be wrong, or the clock moved."""
    found = []
    for one in held:
        share = one.result.ratio_to_measured_peak
        if share is not None and share > ABOVE:
            cause = (
                "too few undisturbed samples to say why"
                if one.few
                else "the FLOP per cycle are assumed from the CPU's flags, and this one has more"
                if one.peaks.assumed
                else "its cores do more each cycle than their architecture's file says, or the clock has risen since"
            )
            found.append(f"{one.name} reaches {100 * share:.0f} % of the peak at the measured clock: {cause}.")
    return found


def _above_stated(held: Sequence[Held], machine: Device | None, measured: Clocks) -> list[str]:
    """Values above the peak at the stated clock alone, in one sentence: the real clock is higher, and by how much."""
    above = [one for one in held if (one.result.ratio_to_peak or 0.0) > ABOVE and one.measurement.kernel != "stream"]
    explained = [one for one in above if (one.result.ratio_to_measured_peak or 0.0) <= ABOVE]
    if not explained or machine is None:
        return []
    top = max(explained, key=lambda one: one.result.ratio_to_peak or 0.0)
    value = f"{top.name} reaches {100 * (top.result.ratio_to_peak or 0):.0f} %"
    count = f"{len(explained)} values are" if len(explained) > 1 else "1 value is"
    stated = choose_clock(machine.units[0].clock, top.measurement.isa or "")
    head = f"{count} above the peak at the stated clock{f', {stated[0]}' if stated else ''} ({value})"
    isas = [top.measurement.isa] if top.measurement.isa else [rate.isa for rate in machine.units[0].rates]
    hertz = next((clock for isa in isas if (clock := measured.under(isa, top.measurement.threads, None))), None)
    if hertz is None:
        return [f"{head}: the real clock is higher, most likely; `hwbench bench clock` measures it."]
    return [f"{head}: under this load the real clock is {Hertz(hertz)}."]


def _above_memory(held: Sequence[Held]) -> list[str]:
    return [
        f"{one.name} reaches {100 * share:.0f} % of the memory's peak: its arrays may fit in a cache, "
        "or the memory is not the one that was catalogued."
        for one in held
        if one.measurement.kernel == "stream" and (share := one.result.ratio_to_peak or 0.0) > ABOVE
    ]


def _shared(held: Sequence[Held], hypervisor: object) -> list[str]:
    """Whether all cores together do much less than as many times one core: then CPUs are threads of one core.

    In CPU time, so that other work on the machine does not look like it.
    """
    alone: dict[tuple[str | None, str | None], float] = {}
    for one in held:
        measurement = one.measurement
        if (measurement.kernel, measurement.variant) != ("fma", "throughput"):
            continue
        if one.few:
            continue
        own = max(measurement.work * s.repetitions / (s.cpu_s or s.wall_s) for s in measurement.accepted)
        key = (measurement.isa, measurement.dtype)
        if measurement.threads == 1:
            alone.setdefault(key, own)
        elif key in alone and measurement.core_class is None and own < SHARED * alone[key]:
            who = "the hypervisor's CPUs are threads of shared cores" if hypervisor else "they share cores, or power"
            return [f"{one.name} gives each CPU {100 * own / alone[key]:.0f} % of what one has alone: {who}."]
    return []
