"""The shares of peaks that microbenchmarks reached, at the stated and at the measured clock."""

from msgspec import Struct

from hwbench.machine.device import Device, Peak, highest, peaks
from hwbench.machine.parts import SustainedRate
from hwbench.measure.analysis.peaks import Cause, above_measured, above_stated, cause


class Achieved(Struct, frozen=True):
    """One ceiling in FLOP/s (OP/s for integers) at the stated and at the measured clock, and the measured rates.

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


def achieved(stated: Device, measured: Device, *, doubtful: bool = False) -> tuple[Achieved, ...]:
    """Return every ceiling with a measured rate: the `stated` machine compared with itself as `measured`.

    Where rates are `doubtful`, one above its peak tells nothing of the architecture.
    """
    sustained = measured.sustained
    if sustained is None:
        return ()
    rows = []
    real = {_kind(peak): peak for peak in peaks(measured)}
    every = peaks(stated)
    for peak in every:
        if peak.sparsity == "dense":
            fma = sustained.rate("fma", peak.dtype, isa=peak.isa)
            matmul = sustained.rate("matmul", peak.dtype) if highest(every, peak.dtype) is peak else None
            if fma or matmul:
                rows.append(_row(peak, real.get(_kind(peak)), fma, matmul, stated.count, doubtful))
    return tuple(rows)


def _kind(peak: Peak) -> tuple[object, ...]:
    return peak.engine, peak.isa, peak.dtype, peak.accumulate, peak.sparsity


def _row(
    peak: Peak,
    at_clock: Peak | None,
    fma: SustainedRate | None,
    matmul: SustainedRate | None,
    units: int,
    doubtful: bool,
) -> Achieved:
    """Return a row; rates of fewer units than the device has are compared with their share of the peak."""
    part = {rate: peak.flops_per_second * min(rate.units / units, 1.0) for rate in (fma, matmul) if rate}
    best = max(rate.flops_per_second / ceiling for rate, ceiling in part.items())
    real = at_clock if at_clock and any(term.clock == "all_core" for term in at_clock.terms) else None
    share_at_clock = best * peak.flops_per_second / real.flops_per_second if real else None
    stated_hz, measured_hz = _clock(peak), _clock(real)
    reason = cause(best, share_at_clock)
    name = f"{peak.isa} {peak.dtype}"
    finding = above_stated(name, best, stated_hz, measured_hz)
    if reason == "rate":
        finding = above_measured(name, share_at_clock or 0.0, "few-samples" if doubtful else "rates")
    return Achieved(
        engine=peak.engine,
        isa=peak.isa,
        dtype=peak.dtype,
        stated_flops_per_second=peak.flops_per_second,
        stated_clock_hz=stated_hz,
        measured_flops_per_second=real.flops_per_second if real else None,
        measured_clock_hz=measured_hz,
        fma_flops_per_second=float(fma.flops_per_second) if fma else None,
        matmul_flops_per_second=float(matmul.flops_per_second) if matmul else None,
        share=best,
        share_at_clock=share_at_clock,
        cause=reason,
        finding=finding.text if reason else None,
    )


def _clock(peak: Peak | None) -> float | None:
    clocks = {term.clock_hz for term in peak.terms} if peak else set()
    return clocks.pop() if len(clocks) == 1 else None
