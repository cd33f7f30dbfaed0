"""The ratio of two devices' speeds as a product of factors, without a remainder.

A peak is units × clock × flops_per_cycle, so a ratio of peaks is the product of three ratios. A forecast is the sum of
what compute, memory and launches add to it, a roofline time a sum over ops of which some are bound by compute and some
by memory; their ratios are split in logs by the logarithmic mean Divisia index (Ang, Energy Policy 32, 2004), which
leaves no remainder whatever the sizes of the changes.
"""

import math
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from hwbench.machine.device import Peak
from hwbench.predict.estimate import Estimate, LayerEstimate
from hwbench.predict.forecast import LIMITS, Forecast

FactorName = Literal["units", "clock", "flops_per_cycle", "bandwidth", "launches", "efficiency"]
MIN_SECONDS = 1e-18
"""Seconds that stand for none, of which there is no logarithm."""


class Factor(Struct, frozen=True):
    """The contribution of a quantity: `ratio` is the device's over the baseline's, `factor` multiplies the speed.

    They are equal where all of the time depends on the quantity; twice the clock contributes ×1 to a model that
    waits for memory. `share` is the factor's share of the log of the whole ratio, which may be negative.
    """

    name: FactorName
    ratio: float
    factor: float
    share: float | None


class Decomposition(Struct, frozen=True):
    """The speed of a device relative to the baseline, as the product of `factors`.

    `of` is the peak at a dtype, the throughput by the roofline, or the expected throughput. Of the last `launches` is
    what the framework adds to ops, and `efficiency` the rest: how much more of peak and bandwidth its kernels reach.
    """

    device: str
    baseline: str
    of: Literal["peak", "roofline", "expected"]
    batch: int | None
    ratio: float
    factors: tuple[Factor, ...]


def parts(peak: Peak) -> tuple[float, float, float]:
    """Return units, clock in Hz, and FLOP per cycle and unit, whose product is the peak.

    With several classes of units the clock is their mean, and flops_per_cycle the mean over their cycles.
    """
    units = sum(term.units for term in peak.terms)
    cycles = sum(term.units * term.clock_hz for term in peak.terms)
    return float(units), cycles / units, peak.flops_per_second / cycles


def of_peaks(device: str, peak: Peak, baseline: str, base: Peak) -> Decomposition:
    """Decompose the ratio of two peaks: units × clock × flops_per_cycle."""
    names: tuple[FactorName, ...] = ("units", "clock", "flops_per_cycle")
    logs = [math.log(own / other) for own, other in zip(parts(peak), parts(base), strict=True)]
    return _decomposition(device, baseline, "peak", None, [(n, g, g) for n, g in zip(names, logs, strict=True)])


def of_times(device: str, own: Estimate, peak: Peak, baseline: str, base: Estimate, base_peak: Peak) -> Decomposition:
    """Decompose the ratio of throughputs of a workload at one batch and dtype: expected ones where both are known.

    `peak` and `base_peak` are the ceilings of the run's dtype. Raises ValueError where a roofline time is unknown or 0.
    """
    if not (own.roofline_time_s and base.roofline_time_s):
        raise ValueError("a ratio of times needs both")
    units, clock, _ = (math.log(a / b) for a, b in zip(parts(peak), parts(base_peak), strict=True))
    ceiling = math.log(own.peak_flops_per_second / base.peak_flops_per_second)
    bandwidth = math.log((own.bandwidth_bytes_per_second or 1.0) / (base.bandwidth_bytes_per_second or 1.0))
    if own.forecast and base.forecast:
        of: Literal["roofline", "expected"] = "expected"
        share, in_memory, in_launches = _weights(own.forecast, base.forecast)
        launches = math.log(_launch_time(base.forecast) / _launch_time(own.forecast))
        whole = math.log(max(base.forecast.time_s, MIN_SECONDS) / max(own.forecast.time_s, MIN_SECONDS))
        efficiency = whole - share * ceiling - in_memory * bandwidth - in_launches * launches
        more: list[tuple[FactorName, float, float]] = [
            ("bandwidth", bandwidth, in_memory * bandwidth),
            ("launches", launches, in_launches * launches),
            ("efficiency", efficiency, efficiency),
        ]
        per_cycle = share * (ceiling - units - clock)
    else:
        of = "roofline"
        compute, memory, share = _attributed(own, base)
        more = [("bandwidth", bandwidth, memory)]
        per_cycle = compute - share * (units + clock)
    logs: list[tuple[FactorName, float, float]] = [
        ("units", units, share * units),
        ("clock", clock, share * clock),
        ("flops_per_cycle", ceiling - units - clock, per_cycle),
        *more,
    ]
    return _decomposition(device, baseline, of, own.batch, logs)


def _weights(own: Forecast, base: Forecast) -> list[float]:
    """Return the weights of compute, memory and launches in the log of the ratio of two times."""
    times = [[max(getattr(each.shares, limit) * each.time_s, MIN_SECONDS) for each in (own, base)] for limit in LIMITS]
    whole = _log_mean(max(own.time_s, MIN_SECONDS), max(base.time_s, MIN_SECONDS))
    return [_log_mean(*pair) / whole for pair in times]


def _launch_time(forecast: Forecast) -> float:
    """Return the seconds that launches take: those of the host or, without one, their part of the time."""
    return max(forecast.host_s or forecast.shares.overhead * forecast.time_s, MIN_SECONDS)


def _decomposition(
    device: str,
    baseline: str,
    of: Literal["peak", "roofline", "expected"],
    batch: int | None,
    logs: Sequence[tuple[FactorName, float, float]],
) -> Decomposition:
    """Return named logs (of the quantity's ratio, of its contribution) as factors, whose product is the ratio."""
    total = math.fsum(worth for _, _, worth in logs)
    factors = tuple(
        Factor(name, math.exp(ratio), math.exp(worth), worth / total if abs(total) > 1e-9 else None)
        for name, ratio, worth in logs
    )
    return Decomposition(device, baseline, of, batch, math.prod(factor.factor for factor in factors), factors)


def _attributed(own: Estimate, base: Estimate) -> tuple[float, float, float]:
    """Return logs of the speed-up due to compute ceilings and to bandwidth, and the share of the time under compute."""
    times = [
        (max(a.roofline_time_s or 0.0, MIN_SECONDS), max(b.roofline_time_s or 0.0, MIN_SECONDS))
        for a, b in zip(own.layers, base.layers, strict=True)
    ]
    whole = _log_mean(sum(a for a, _ in times), sum(b for _, b in times))
    compute, memory, share = [], [], []
    for layer, other, (time, before) in zip(own.layers, base.layers, times, strict=True):
        weight = _log_mean(time, before) / whole
        fraction = _compute_fraction(layer, own, other, base)
        if fraction:
            compute.append(weight * fraction * math.log(other.ideal_time_s / layer.ideal_time_s))
        if fraction < 1:
            memory.append(weight * (1 - fraction) * math.log(_memory_time(other, base) / _memory_time(layer, own)))
        share.append(weight * fraction)
    return math.fsum(compute), math.fsum(memory), math.fsum(share)


def _log_mean(x: float, y: float) -> float:
    """Return the logarithmic mean (x - y) / ln(x / y) of two positive numbers."""
    step = math.log(x / y)
    return y * math.expm1(step) / step if step else y


def _compute_fraction(layer: LayerEstimate, own: Estimate, other: LayerEstimate, base: Estimate) -> float:
    """Return the share of the path from baseline to device, straight in logs, on which compute limits the op."""
    if not layer.flops:
        return 0.0
    before = math.log(other.ideal_time_s / _memory_time(other, base))
    after = math.log(layer.ideal_time_s / _memory_time(layer, own))
    if (before > 0) == (after > 0):
        return 1.0 if after > 0 else 0.0
    crossing = before / (before - after)
    return crossing if before > 0 else 1 - crossing


def _memory_time(layer: LayerEstimate, estimate: Estimate) -> float:
    assert estimate.bandwidth_bytes_per_second is not None  # there is a roofline
    return max(layer.least_traffic_bytes / estimate.bandwidth_bytes_per_second, MIN_SECONDS)
