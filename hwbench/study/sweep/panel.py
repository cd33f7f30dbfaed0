"""Points of one model and dtype as arrays, which a sweep yields piece by piece, and their Pareto front."""

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from hwbench.machine.device import Device

Array = NDArray[Any]


class Panel(Struct, frozen=True):
    """Points of one model and dtype: arrays of [devices, batches], NaN where unknown, times in s.

    `expected` is the forecast in the sweep's runtime, eager by default, NaN where there is none, `low` and `high` are
    the ends of its interval; `bound` is what limits it, 0 compute, 1 memory, 2 overhead. `fits` is 1, 0, or NaN where
    the device's memory is unknown. `rank` is 0 for points that are not on the front of forecast time and power among
    the devices of the panel at the same batch; devices of unknown power or time, and those without enough memory, are
    never on it. Those that the intervals cannot tell apart have one rank, counted from the lowest power.
    """

    model: str
    dtype: str
    devices: tuple[Device, ...]
    batches: Array
    ideal: Array
    roofline: Array
    expected: Array
    low: Array
    high: Array
    bound: Array
    fits: Array
    power: Array
    rank: Array

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


def ranks(front: Array, low: Array, high: Array, power: Array) -> Array:
    """Return the rank of each point on the front of [devices, batches], 0 for others, from the lowest power up.

    A rank ends where the time of the next device is below that of the rank's first one by more than their intervals.
    """
    rank = np.zeros(front.shape, dtype=int)
    last = np.zeros(front.shape[1:], dtype=int)
    first_low = np.full(front.shape[1:], np.nan)
    for row in np.argsort(power, kind="stable"):
        begins = front[row] & ((last == 0) | (high[row] < first_low))
        last = last + begins
        first_low = np.where(begins, low[row], first_low)
        rank[row] = np.where(front[row], last, 0)
    return rank
