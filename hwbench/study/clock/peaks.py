"""Clocks and theoretical peaks of the catalog: how much of the differences is clock, units, FLOP per cycle."""

from collections.abc import Iterable

import numpy as np

from hwbench.machine.device import Device, Peak, peaks
from hwbench.stats import regression
from hwbench.study.clock.results import PeakView

ENGINE, DTYPE = "vector", "fp32"
MIN_DEVICES = 30


def peak_views(devices: Iterable[Device]) -> tuple[PeakView, ...]:
    """Return the view of CPUs, of GPUs and of both, for MIN_DEVICES or more with a dense fp32 vector peak."""
    pairs = [(device, peak) for device in devices if (peak := _highest(device)) is not None]
    kinds = (("cpu", ("cpu",)), ("gpu", ("gpu",)), ("all", ("cpu", "gpu")))
    groups = [(name, [pair for pair in pairs if pair[0].kind in among]) for name, among in kinds]
    return tuple(_view(name, group) for name, group in groups if len(group) >= MIN_DEVICES)


def _highest(device: Device) -> Peak | None:
    """Return the highest dense peak, whatever its ISA."""
    known = [p for p in peaks(device) if (p.engine, p.dtype, p.sparsity) == (ENGINE, DTYPE, "dense") and not p.missing]
    return max(known, key=lambda peak: peak.flops_per_second, default=None)


def _view(kind: str, pairs: list[tuple[Device, Peak]]) -> PeakView:
    units = np.array([sum(term.units for term in peak.terms) for _, peak in pairs], dtype=float)
    cycles = np.array([sum(term.units * term.clock_hz for term in peak.terms) for _, peak in pairs])
    peak = np.array([highest.flops_per_second for _, highest in pairs])
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
