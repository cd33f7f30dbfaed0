"""The Pareto front of time against watts: devices that nothing else beats in one without losing in the other."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

if TYPE_CHECKING:  # which computes a panel's front by `pareto`
    from hwbench.study.sweep.sweep import Panel

Array = NDArray[Any]


def pareto(time: Array, power: Array) -> Array:
    """Which of [devices, batches] no other device beats: less time at no more watts, or fewer watts at no more time.

    `power` is by device. Devices of unknown (NaN) power or time are on no front; equals are on it together.
    """
    front = np.zeros(time.shape, dtype=bool)
    known = np.where(np.isnan(time), np.inf, time)
    best = np.full(time.shape[1:], np.inf)
    for watts in np.unique(power[~np.isnan(power)]):
        alike = power == watts
        least = known[alike].min(axis=0)
        front[alike] = (known[alike] == least) & (least < best)
        best = np.minimum(best, least)
    return front


class FrontRow(Struct, frozen=True):
    """A device on the front of a model and dtype: at which batches, and its expected time (s) and rate at the first."""

    model: str
    dtype: str
    device: str
    power_w: float
    batches: str
    points: int
    first_batch: int
    time_s: float
    throughput_per_s: float


class Front:
    """Gathers the fronts of panels that pass by."""

    def __init__(self) -> None:
        self.points = 0
        self._found: dict[tuple[str, str, str], tuple[float, float, list[Array]]] = {}

    def watch(self, panels: "Iterable[Panel]") -> "Iterator[Panel]":
        """The same panels, looked at."""
        for panel in panels:
            self.points += panel.points
            for row in np.flatnonzero(panel.pareto.any(axis=1)):
                on, device = panel.pareto[row], panel.devices[row]
                key = (panel.model, panel.dtype, device.name or device.title)
                first: tuple[float, float, list[Array]] = (
                    float(panel.power[row]),
                    float(panel.expected[row][on][0]),
                    [],
                )
                self._found.setdefault(key, first)[2].append(panel.batches[on])
            yield panel

    def rows(self) -> tuple[FrontRow, ...]:
        """Devices that are on a front at any batch, by model and dtype as they came, fewest watts first."""
        rows = []
        for (model, dtype, device), (power, time, batches) in self._found.items():
            every = np.concatenate(batches)
            first = int(every[0])
            row = FrontRow(model, dtype, device, power, ranges(every.tolist()), every.size, first, time, first / time)
            rows.append(row)
        order = list(dict.fromkeys((row.model, row.dtype) for row in rows))
        return tuple(sorted(rows, key=lambda row: (order.index((row.model, row.dtype)), row.power_w, row.device)))


def ranges(numbers: Iterable[int]) -> str:
    """`1–8, 12` for whole numbers in order."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in parts)
