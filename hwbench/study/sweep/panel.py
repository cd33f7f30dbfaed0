"""Points of one model and dtype as arrays, which a sweep yields piece by piece, and their Pareto front."""

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from hwbench.machine.device import Device

Array = NDArray[Any]


class Panel(Struct, frozen=True):
    """Points of one model and dtype: arrays of [devices, batches], NaN where unknown, times in s.

    `expected` is the forecast in the sweep's runtime, eager by default, NaN on devices that cannot run it;
    `bound_by_memory` is 1 where most of the roofline time is limited by memory; `fits` is 1, 0, or NaN where the
    device's memory is unknown. `pareto` marks the Pareto front of forecast time and power among the devices of the
    panel at the same batch; devices of unknown power or time, and those without enough memory, are never on it.
    """

    model: str
    dtype: str
    devices: tuple[Device, ...]
    batches: Array
    ideal: Array
    roofline: Array
    expected: Array
    bound_by_memory: Array
    fits: Array
    power: Array
    pareto: Array

    @property
    def points(self) -> int:
        """The number of points."""
        return len(self.devices) * int(self.batches.size)


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
