"""The catalog's own view of clocks: how much of the theoretical peak is clock, how much units, how much width."""

from collections.abc import Iterable

import numpy as np
from msgspec import Struct

from hwbench.machine.device import Device
from hwbench.machine.peak import Peak, peaks
from hwbench.stats import regression

ENGINE, DTYPE = "vector", "fp32"
LEAST_DEVICES = 30


class PeakView(Struct, frozen=True):
    """Log of the peak FLOP/s on log clock alone, on clock and units, and on clock × units × flops_per_cycle.

    The last is the peak's definition, so that its R² is 1: it checks the arithmetic. `shares` are the parts of the
    peaks' variance that each factor brings (its covariance with the log of the peak over the variance): they sum to 1.
    """

    kind: str
    engine: str
    dtype: str
    n: int
    architectures: int
    r2_clock: float | None
    r2_clock_cv: float | None
    r2_clock_units: float | None
    r2_product: float | None
    shares: dict[str, float]
    clock_ratio: float
    peak_ratio: float


def peak_views(devices: Iterable[Device]) -> tuple[PeakView, ...]:
    """The view of CPUs, of GPUs and of both; of those that have LEAST_DEVICES with a dense fp32 vector peak."""
    found = [(device, peak) for device in devices if (peak := _best(device)) is not None]
    kinds = (("cpu", ("cpu",)), ("gpu", ("gpu",)), ("all", ("cpu", "gpu")))
    chosen = [(name, [pair for pair in found if pair[0].kind in among]) for name, among in kinds]
    return tuple(_view(name, pairs) for name, pairs in chosen if len(pairs) >= LEAST_DEVICES)


def _best(device: Device) -> Peak | None:
    """The highest dense peak, the ISA's that gives it."""
    known = [p for p in peaks(device) if (p.engine, p.dtype, p.sparsity) == (ENGINE, DTYPE, "dense") and not p.missing]
    return max(known, key=lambda peak: peak.flops_per_second, default=None)


def _view(kind: str, pairs: list[tuple[Device, Peak]]) -> PeakView:
    units = np.array([sum(term.units for term in peak.terms) for _, peak in pairs], dtype=float)
    cycles = np.array([sum(term.units * term.clock_hz for term in peak.terms) for _, peak in pairs])
    peak = np.array([found.flops_per_second for _, found in pairs])
    factors = {"clock": cycles / units, "units": units, "flops_per_cycle": peak / cycles}  # a hybrid's mean clock
    logs = {name: regression.centered(np.log(values)) for name, values in factors.items()}
    target = regression.centered(np.log(peak))
    names = [device.architectures for device, _ in pairs]
    groups = np.unique(names, return_inverse=True)[1]
    clock = logs["clock"][:, None]
    product = sum(logs.values())
    return PeakView(
        kind=kind,
        engine=ENGINE,
        dtype=DTYPE,
        n=len(pairs),
        architectures=len(set(names)),
        r2_clock=regression.pooled(clock, target),
        r2_clock_cv=regression.pooled_unseen(clock, target, groups),
        r2_clock_units=regression.pooled(np.column_stack([logs["clock"], logs["units"]]), target),
        r2_product=regression.r_squared(target - product, target),
        shares={name: float(np.sum(values * target) / np.sum(target**2)) for name, values in logs.items()},
        clock_ratio=float(np.exp(np.ptp(logs["clock"]))),
        peak_ratio=float(np.exp(np.ptp(target))),
    )
