"""The Pareto front of a whole sweep, gathered while its panels are written."""

from collections.abc import Iterable, Iterator
from typing import ClassVar

import numpy as np
from msgspec import Struct

from hwbench.answers import Answer
from hwbench.notices import Notice
from hwbench.study.sweep.panel import Array, Panel


class FrontRow(Struct, frozen=True):
    """A device on the front of a model and dtype: its batches there; forecast time in s and rate at the first."""

    model: str
    dtype: str
    device: str
    power_w: float
    batches: str
    points: int
    first_batch: int
    time_s: float
    throughput_per_s: float


class Sweep(Answer, Struct, frozen=True):
    """A sweep of `count` points: its Pareto front, and the file that holds the points.

    `sizes` are the numbers of models, dtypes, devices and batches.
    """

    SCHEMA: ClassVar[str] = "sweep"
    MAIN: ClassVar[tuple[str, ...]] = ("count", "file")
    ROWS: ClassVar[str] = "front"
    CONTEXT: ClassVar[tuple[str, ...]] = ("sizes",)
    file: str | None
    count: int
    front: tuple[FrontRow, ...]
    sizes: tuple[int, int, int, int]
    notices: tuple[Notice, ...] = ()


class Front:
    """Gathers the points and the fronts of panels."""

    def __init__(self) -> None:
        self.points = 0
        self._devices: dict[tuple[str, str, str], tuple[float, float, list[Array]]] = {}

    def watch(self, panels: Iterable[Panel]) -> Iterator[Panel]:
        """Yield the panels unchanged and gather their fronts."""
        for panel in panels:
            self.points += panel.points
            for row in np.flatnonzero(panel.pareto.any(axis=1)):
                on_front, device = panel.pareto[row], panel.devices[row]
                key = (panel.model, panel.dtype, device.label)
                time = float(panel.expected[row][on_front][0])
                self._devices.setdefault(key, (float(panel.power[row]), time, []))[2].append(panel.batches[on_front])
            yield panel

    def rows(self) -> tuple[FrontRow, ...]:
        """Return the devices on a front at any batch: models and dtypes in the order of the sweep, by power."""
        rows = []
        order = list(dict.fromkeys(key[:2] for key in self._devices))
        for (model, dtype, device), (power, time, batches) in self._devices.items():
            on_front = np.concatenate(batches)
            first, text = int(on_front[0]), ranges(on_front.tolist())
            rows.append(FrontRow(model, dtype, device, power, text, on_front.size, first, time, first / time))
        return tuple(sorted(rows, key=lambda row: (order.index((row.model, row.dtype)), row.power_w, row.device)))


def ranges(numbers: Iterable[int]) -> str:
    """Return ascending whole numbers as `1–8, 12`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in parts)
