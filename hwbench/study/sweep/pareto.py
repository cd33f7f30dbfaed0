"""The Pareto front of time and power: devices that no other device beats in one without losing in the other."""

import numpy as np

from hwbench.study.sweep.panel import Array


def pareto(time: Array, power: Array) -> Array:
    """Return which of [devices, batches] no other device beats: faster at no more power, or less power and no slower.

    `power` is by device. Devices of unknown (NaN) power or time are never on the front; equals are on it together.
    """
    front = np.zeros(time.shape, dtype=bool)
    known = np.where(np.isnan(time), np.inf, time)
    best = np.full(time.shape[1:], np.inf)
    for watts in np.unique(power[~np.isnan(power)]):
        same_power = power == watts
        fastest = known[same_power].min(axis=0)
        front[same_power] = (known[same_power] == fastest) & (fastest < best)
        best = np.minimum(best, fastest)
    return front
