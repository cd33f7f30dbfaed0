"""Points of one model and dtype as arrays: what a sweep yields, piece by piece."""

from typing import Any

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
