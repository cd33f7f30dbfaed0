"""What values are held against: theoretical peaks of the cores that worked, at the stated and the real clock."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from hwbench.machine.architecture import Rate
from hwbench.machine.device import Device, Units
from hwbench.machine.peak import ACCUMULATE_DEFAULT, choose_clock
from hwbench.measure.record import Measurement
from hwbench.measure.subject import GpuWork
from hwbench.measure.summary import interval

COMPUTE = ("fma", "matmul")


class Peaks(Struct, frozen=True):
    """Ceilings of one measurement in its unit: at the stated clock and at the measured one, and FLOP per core's cycle.

    `assumed` tells that the FLOP per cycle are a guess.
    """

    stated: float | None = None
    measured: float | None = None
    flops_per_cycle: float | None = None
    assumed: bool = False


class Clocks(Struct, frozen=True):
    """Measured clocks in Hz by variant (`scalar`, `avx2`), threads and class of core."""

    hertz: Mapping[tuple[str, int, str | None], float]

    def under(self, isa: str, threads: int, core_class: str | None) -> float | None:
        """The clock under an ISA's load: of as many threads, else of one. 128-bit vectors have many names."""
        names = ("sse", "neon", "vector") if isa in ("fma3", "sse2", "sse", "fma4") else (isa, isa.partition("-")[0])
        keys = [(name, count, core_class) for count in (threads, 1) for name in names]
        return next((self.hertz[key] for key in keys if key in self.hertz), None)


def clocks(measurements: Sequence[Measurement]) -> Clocks:
    """The clocks that a run has measured."""
    found = {}
    for one in measurements:
        if one.kernel == "clock" and one.unit == "Hz":
            found[one.variant, one.threads, one.core_class] = interval(one).value
    return Clocks(found)


def peaks(measurement: Measurement, machine: Device | None, measured: Clocks) -> Peaks:
    """The ceilings of a measurement; none where its kernel has no theoretical peak or the machine's is not known."""
    if isinstance(measurement.subject, GpuWork) and measurement.subject.peak:
        return Peaks(stated=measurement.subject.peak)
    if machine is None or measurement.where == "gpu":
        return Peaks()
    if measurement.kernel == "stream":
        return Peaks(stated=machine.memory.bandwidth)
    if measurement.kernel not in COMPUTE or measurement.unit not in ("FLOP/s", "op/s") or not measurement.dtype:
        return Peaks()
    cores = working(measurement, machine)
    rates = [(units, count, best(units, measurement.dtype, measurement.isa)) for units, count in cores]
    if not rates or any(rate is None for _, _, rate in rates):
        return Peaks()
    stated = real = 0.0
    known = True
    for units, count, rate in rates:
        assert rate is not None
        isa, flops = rate
        chosen = choose_clock(units.clock, isa)
        stated += count * flops * float(chosen[0]) if chosen else 0.0
        hertz = measured.under(isa, measurement.threads, measurement.core_class)
        real += count * flops * (hertz or 0.0)
        known = known and hertz is not None
    first = rates[0][2]
    assumed = machine.provenance_of(f"units.{rates[0][0].name}.rates") == "assumed"
    return Peaks(stated or None, real if known else None, first[1] if first and len(rates) == 1 else None, assumed)


def working(measurement: Measurement, machine: Device) -> list[tuple[Units, int]]:
    """The cores that a measurement kept busy, by class: as many as threads, the fastest class first."""
    classes = [one for one in machine.units if measurement.core_class in (None, one.name)]
    left, found = measurement.threads, []
    for units in classes:
        count = min(left, units.count)
        if count:
            found.append((units, count))
        left -= count
    return found


def best(units: Units, dtype: str, isa: str | None) -> tuple[str, float] | None:
    """ISA and FLOP per cycle of a core for a dtype: of that ISA, or the most of any where none is named."""
    rates = [one for one in units.rates if one.dtype == dtype and _dense(one)]
    if isa is not None:
        rates = [one for one in rates if one.isa == isa]
    top = max(rates, key=lambda one: one.flops_per_cycle, default=None)
    return (top.isa, top.flops_per_cycle) if top else None


def _dense(rate: Rate) -> bool:
    return rate.sparsity == "dense" and rate.accumulate in ACCUMULATE_DEFAULT
