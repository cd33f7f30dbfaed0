"""Peaks beside what microbenchmarks reached: at the clock that somebody states, at the clock that was measured."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from hwbench.machine.device import Device, SustainedRate
from hwbench.machine.peak import Peak, highest, peaks
from hwbench.units import Hertz

Cause = Literal["clock", "unknown clock", "rate"]
"""Why a value is above its peak: the clock is above the stated one, or may be, or the FLOP per cycle are too few."""
ABOVE = 1.02
"""Share of a peak from which a value is said to be above it: nearer than that, clocks are not known."""


class Achieved(Struct, frozen=True):
    """One ceiling in FLOP/s (OP/s for integers) at the stated and at the measured clock, and what was reached of it.

    `share` and `share_at_clock` are the best of `fma` and `matmul` over either peak; `finding` explains a value above,
    whose `cause` it names.
    """

    engine: str
    isa: str
    dtype: str
    stated_flops_per_second: float
    stated_clock_hz: float | None
    measured_flops_per_second: float | None
    measured_clock_hz: float | None
    fma_flops_per_second: float | None
    matmul_flops_per_second: float | None
    share: float
    share_at_clock: float | None
    cause: Cause | None
    finding: str | None


def achieved(stated: Device, measured: Device) -> tuple[Achieved, ...]:
    """Every ceiling that something was measured of: the `stated` machine beside itself as it was `measured`."""
    sustained = measured.sustained
    if sustained is None:
        return ()
    found = []
    real = {(one.engine, one.isa, one.dtype, one.accumulate, one.sparsity): one for one in peaks(measured)}
    every = peaks(stated)
    for peak in every:
        if peak.sparsity != "dense":
            continue
        top = highest(every, peak.dtype) is peak
        fma = _most(r for r in sustained.rates if r.kernel == "fma" and (r.isa, r.dtype) == (peak.isa, peak.dtype))
        matmul = _most(r for r in sustained.rates if r.kernel == "matmul" and r.dtype == peak.dtype) if top else None
        if fma is None and matmul is None:
            continue
        at_clock = real.get((peak.engine, peak.isa, peak.dtype, peak.accumulate, peak.sparsity))
        found.append(_row(peak, at_clock, fma, matmul, stated.count))
    return tuple(found)


def _most(rates: Iterable[SustainedRate]) -> SustainedRate | None:
    """The rate of the most units together."""
    return max(rates, key=lambda rate: (rate.units, rate.flops_per_second), default=None)


def _row(
    peak: Peak, at_clock: Peak | None, fma: SustainedRate | None, matmul: SustainedRate | None, units: int
) -> Achieved:
    """Rates of fewer units than the device has are held against as many units' share of the peak."""
    part = {rate: peak.flops_per_second * min(rate.units / units, 1.0) for rate in (fma, matmul) if rate}
    best = max(rate.flops_per_second / ceiling for rate, ceiling in part.items())
    real = at_clock if at_clock and any(term.clock == "all_core" for term in at_clock.terms) else None
    share_at_clock = best * peak.flops_per_second / real.flops_per_second if real else None
    clocks = [_clock(one) for one in (peak, real)]
    cause = _cause(best, share_at_clock)
    return Achieved(
        engine=peak.engine,
        isa=peak.isa,
        dtype=peak.dtype,
        stated_flops_per_second=peak.flops_per_second,
        stated_clock_hz=clocks[0],
        measured_flops_per_second=real.flops_per_second if real else None,
        measured_clock_hz=clocks[1],
        fma_flops_per_second=float(fma.flops_per_second) if fma else None,
        matmul_flops_per_second=float(matmul.flops_per_second) if matmul else None,
        share=best,
        share_at_clock=share_at_clock,
        cause=cause,
        finding=_finding(peak, cause, best, share_at_clock, *clocks) if cause else None,
    )


def _clock(peak: Peak | None) -> float | None:
    clocks = {term.clock_hz for term in peak.terms} if peak else set()
    return clocks.pop() if len(clocks) == 1 else None


def _cause(share: float, at_clock: float | None) -> Cause | None:
    if share <= ABOVE:
        return None
    if at_clock is None:
        return "unknown clock"
    return "clock" if at_clock <= ABOVE else "rate"


def _finding(
    peak: Peak, cause: Cause, share: float, at_clock: float | None, stated: float | None, measured: float | None
) -> str:
    """Why a value is above its peak, in a sentence."""
    clock = f", {Hertz(stated)}" if stated else ""
    head = f"{peak.isa} {peak.dtype} reaches {100 * share:.0f} % of its peak at the stated clock{clock}"
    if cause == "unknown clock":
        return f"{head}: the real clock is higher, most likely; `hwbench bench clock` measures it"
    if cause == "clock":
        return f"{head}: under this load the real clock is {Hertz(measured)}" if measured else head
    return (
        f"{head}, and {100 * (at_clock or 0):.0f} % at the measured one: its cores do more each cycle than their "
        "architecture's file says, or the clock has risen since it was measured"
    )
