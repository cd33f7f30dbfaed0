"""Theoretical peaks: units × clock × flops_per_cycle, per engine, ISA, dtype, accumulator and sparsity."""

from msgspec import Struct

from hwbench.errors import InputError
from hwbench.machine.parts import Clock, ClockKind, Provenance, Specification, Units
from hwbench.units import Hertz

ACCUMULATE_DEFAULT = (None, "fp64", "fp32", "int32")
"""Accumulators that `peak` may use, those that frameworks sum in by default. Others are listed by `peaks` alone."""


_WEAKNESS: tuple[Provenance, ...] = ("spec", "derived", "measured", "os", "assumed")
"""Origins from the strongest to the weakest."""


class PeakTerm(Struct, frozen=True):
    """What one class of units adds to a peak: `units × clock_hz × flops_per_cycle` FLOP/s."""

    name: str
    architecture: str
    units: int
    clock_hz: float
    clock: ClockKind
    flops_per_cycle: float
    provenance: Provenance
    how: str | None = None

    @property
    def flops_per_second(self) -> float:
        """FLOP/s of this class alone."""
        return self.units * self.clock_hz * self.flops_per_cycle


class Peak(Struct, frozen=True):
    """A compute ceiling in FLOP/s: the sum of its terms, one a class of units; `missing` classes have no such rate."""

    engine: str
    isa: str
    dtype: str
    accumulate: str | None
    sparsity: str
    terms: tuple[PeakTerm, ...]
    missing: tuple[str, ...] = ()

    @property
    def flops_per_second(self) -> float:
        """FLOP/s of the whole device."""
        return sum(term.flops_per_second for term in self.terms)

    @property
    def provenance(self) -> Provenance:
        """The weakest origin of a term; `derived` at best, as a product."""
        kinds = {term.provenance for term in self.terms}
        return max(kinds | {"derived"}, key=_WEAKNESS.index)

    @property
    def label(self) -> str:
        """Which ceiling this is, in words: `matrix tensor-core fp16 (fp32 accumulate)`."""
        extras = [f"{self.accumulate} accumulate"] if self.accumulate else []
        extras += [] if self.sparsity == "dense" else [f"{self.sparsity} sparse"]
        extras += [f"without {', '.join(self.missing)}"] if self.missing else []
        return f"{self.engine} {self.isa} {self.dtype}" + (f" ({', '.join(extras)})" if extras else "")


def choose_clock(clock: Clock, isa: str, kind: ClockKind | None = None) -> tuple[Hertz, ClockKind] | None:
    """Return the clock that a peak multiplies by, and which it is.

    Unless one kind is asked for: a fixed clock, else the published all-core clock of the ISA, else boost (the highest
    that the vendor states, so that the peak stays a bound at it), else base. None where the kind asked for is unknown.
    """
    known: dict[ClockKind, Hertz | None] = {
        "fixed": clock.fixed,
        "all_core": clock.all_core.get(isa),
        "boost": clock.boost,
        "base": clock.base,
    }
    for candidate, value in known.items():
        if value is not None and kind in (None, candidate):
            return value, candidate
    return None


def peaks(device: Specification, clock: ClockKind | None = None) -> tuple[Peak, ...]:
    """Return every ceiling of a device, in its architectures' order, at one kind of clock (see `choose_clock`)."""
    result: dict[tuple[str, str, str, str | None, str], list[PeakTerm]] = {}
    partial = set()  # a class of units has the rate but not the clock asked for: the sum would not be the device's
    for units in device.units:
        for rate in units.rates:
            identity = (rate.engine, rate.isa, rate.dtype, rate.accumulate, rate.sparsity)
            chosen = choose_clock(units.clock, rate.isa, clock)
            if chosen is None:
                partial.add(identity)
                continue
            term = PeakTerm(
                name=units.name,
                architecture=units.architecture,
                units=units.count,
                clock_hz=float(chosen[0]),
                clock=chosen[1],
                flops_per_cycle=rate.flops_per_cycle,
                provenance=_provenance(device, units, chosen[1]),
                how=rate.how,
            )
            result.setdefault(identity, []).append(term)
    names = [units.name for units in device.units]
    return tuple(
        Peak(*identity, tuple(terms), tuple(name for name in names if name not in {term.name for term in terms}))
        for identity, terms in result.items()
        if identity not in partial
    )


def _provenance(device: Specification, units: Units, clock: ClockKind) -> Provenance:
    """Return the weakest origin among the factors of a term."""
    base = f"units.{units.name}"
    fields = (f"{base}.count", f"{base}.clock.{clock}", f"{base}.rates")
    return max((device.provenance_of(field) for field in fields), key=_WEAKNESS.index)


def highest(every: tuple[Peak, ...], dtype: str) -> Peak | None:
    """Return the highest dense peak of a dtype with an accumulator that frameworks use; None where there is none."""
    fitting = [p for p in every if p.dtype == dtype and p.sparsity == "dense" and p.accumulate in ACCUMULATE_DEFAULT]
    return max(fitting, key=lambda p: p.flops_per_second, default=None)


def peak(device: Specification, dtype: str, clock: ClockKind | None = None) -> Peak:
    """Return the highest dense peak of a dtype with the accumulator that frameworks use.

    Raises InputError when the device has no rate for the dtype; the rate of another dtype is never used instead.
    """
    every = peaks(device, clock)
    result = highest(every, dtype)
    if result:
        return result
    if clock is not None and any(p.dtype == dtype for p in peaks(device)):
        raise InputError("unknown-clock", f"The {clock} clock of {device.label} is unknown.", field="clock")
    known = ", ".join(dict.fromkeys(p.dtype for p in every if p.sparsity == "dense")) or "none"
    message = f"The {dtype} rate of {device.label} is unknown. Known rates: {known}."
    raise InputError("unknown-rate", message, field="dtype")
