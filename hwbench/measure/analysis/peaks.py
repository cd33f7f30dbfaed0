"""Theoretical peaks of measurements, at the stated and at the measured clock, and what values above them mean."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from hwbench.machine.device import ACCUMULATE_DEFAULT, Device, choose_clock
from hwbench.machine.parts import Rate, Units
from hwbench.measure.record import Measurement
from hwbench.measure.subject import GpuWork
from hwbench.measure.summary import interval
from hwbench.notices import Notice, notice

MAX_SHARE = 1.02
"""Share of a peak above which a value is reported as above it: clocks are not known more precisely."""
COMPUTE = ("fma", "matmul")
Cause = Literal["clock", "unknown clock", "rate"]
"""Why a value is above its peak: the clock is above the stated one, or may be, or the FLOP per cycle are too few."""


class Peaks(Struct, frozen=True):
    """Peaks of one measurement in its unit, at the stated and at the measured clock, and FLOP per cycle of a core.

    `assumed`: the FLOP per cycle are a guess.
    """

    stated: float | None = None
    measured: float | None = None
    flops_per_cycle: float | None = None
    assumed: bool = False


class Clocks(Struct, frozen=True):
    """Measured clocks in Hz by variant (`scalar`, `avx2`), number of threads and class of cores."""

    hertz: Mapping[tuple[str, int, str | None], float]

    def under(self, isa: str, threads: int, core_class: str | None) -> float | None:
        """Return the clock in Hz under an ISA's load on as many threads, else on one.

        Vectors of 128 bits have several names.
        """
        names = ("sse", "neon", "vector") if isa in ("fma3", "sse2", "sse", "fma4") else (isa, isa.partition("-")[0])
        keys = [(name, count, core_class) for count in (threads, 1) for name in names]
        return next((self.hertz[key] for key in keys if key in self.hertz), None)


def clocks(measurements: Sequence[Measurement]) -> Clocks:
    """Return the clocks among measurements: a single sample only where its vectors have no clock of more samples."""
    every = [each for each in measurements if each.kernel == "clock" and each.unit == "Hz"]
    known = {(each.variant, each.core_class) for each in every if len(each.samples) > 1}
    return Clocks(
        {
            (each.variant, each.threads, each.core_class): interval(each).value
            for each in every
            if len(each.samples) > 1 or (each.variant, each.core_class) not in known
        }
    )


def peaks(measurement: Measurement, device: Device | None, measured: Clocks) -> Peaks:
    """Return the peaks of a measurement; empty where its kernel has none or the device's are unknown."""
    if isinstance(measurement.subject, GpuWork) and measurement.subject.peak:
        return Peaks(stated=measurement.subject.peak)
    if device is None or measurement.where == "gpu":
        return Peaks()
    if measurement.kernel == "stream":
        return Peaks(stated=device.memory.bandwidth)
    if measurement.kernel not in COMPUTE or measurement.unit not in ("FLOP/s", "op/s") or not measurement.dtype:
        return Peaks()
    busy = busy_units(measurement, device)
    rates = [best_rate(units, measurement.dtype, measurement.isa) for units, _ in busy]
    stated = real = 0.0
    known = True
    for (units, count), rate in zip(busy, rates, strict=True):
        if rate is None:
            return Peaks()
        chosen = choose_clock(units.clock, rate.isa)
        stated += count * rate.flops_per_cycle * float(chosen[0]) if chosen else 0.0
        hertz = measured.under(rate.isa, measurement.threads, measurement.core_class)
        real += count * rate.flops_per_cycle * (hertz or 0.0)
        known = known and hertz is not None
    return Peaks(
        stated=stated or None,
        measured=real if busy and known else None,
        flops_per_cycle=rates[0].flops_per_cycle if len(rates) == 1 and rates[0] else None,
        assumed=bool(busy) and device.provenance_of(f"units.{busy[0][0].name}.rates") == "assumed",
    )


def busy_units(measurement: Measurement, device: Device) -> list[tuple[Units, int]]:
    """Return the cores that a measurement kept busy, by class: one a thread, the fastest class first."""
    left, busy = measurement.threads, []
    for units in device.units:
        count = min(left, units.count)
        if count and measurement.core_class in (None, units.name):
            busy.append((units, count))
            left -= count
    return busy


def best_rate(units: Units, dtype: str, isa: str | None) -> Rate | None:
    """Return a core's rate for a dtype with most FLOP per cycle, of one ISA if it is named."""
    rates = (
        rate
        for rate in units.rates
        if rate.dtype == dtype and rate.sparsity == "dense" and rate.accumulate in ACCUMULATE_DEFAULT
    )
    fitting = (rate for rate in rates if isa in (None, rate.isa))
    return max(fitting, key=lambda rate: rate.flops_per_cycle, default=None)


def cause(share: float, share_at_clock: float | None) -> Cause | None:
    """Return why a value is above its peak; None where it is not.

    `share` is of the peak at the stated clock, `share_at_clock` of that at the measured one, None where it is unknown.
    """
    if share <= MAX_SHARE:
        return None
    if share_at_clock is None:
        return "unknown clock"
    return "clock" if share_at_clock <= MAX_SHARE else "rate"


def above_stated(name: str, share: float, stated_hz: float | None, measured_hz: float | None, count: int = 1) -> Notice:
    """Return the notice about values that a higher clock explains; `name` has the largest `share` of `count` values."""
    return notice(
        "above-stated-peak", name=name, share=share, stated_hz=stated_hz, measured_hz=measured_hz, count=count
    )


def above_measured(name: str, share: float, why: Literal["rates", "assumed-rates", "few-samples"] = "rates") -> Notice:
    """Return the notice about a value that is above the peak even at the measured clock."""
    return notice("above-measured-peak", name=name, share=share, why=why)
