"""The Pareto front of a whole sweep, gathered while its panels are written."""

import math
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from msgspec import Struct

from hwbench.answers import Answer
from hwbench.notices import Notice
from hwbench.predict.forecast import LIMITS
from hwbench.study.sweep.panel import Panel

MAX_FRONTS = 4
"""Batches of a sweep whose fronts are all listed."""


class FrontRow(Struct, frozen=True):
    """A device on the front of a model, dtype and batch: forecast time in s with its interval, and rate.

    Devices of one `rank` are those that the intervals cannot tell apart, counted from the lowest power.
    """

    model: str
    dtype: str
    batch: int
    rank: int
    device: str
    power_w: float
    time_s: float
    interval_s: tuple[float, float]
    throughput_per_s: float | None
    bound: str


class Sweep(Answer, Struct, frozen=True):
    """A sweep of `count` points: its Pareto front at some of the batches, and the file that holds the points.

    `sizes` are the numbers of models, dtypes, devices and batches.
    """

    SCHEMA: ClassVar[str] = "sweep/2"
    MAIN: ClassVar[tuple[str, ...]] = ("count", "file")
    ROWS: ClassVar[str] = "front"
    CONTEXT: ClassVar[tuple[str, ...]] = ("sizes",)
    file: str | None
    count: int
    front: tuple[FrontRow, ...]
    sizes: tuple[int, int, int, int]
    notices: tuple[Notice, ...] = ()


class Front:
    """Gathers the number of points, and the fronts of panels at some of the batches."""

    def __init__(self, batches: Collection[int]) -> None:
        self.points = 0
        self.batches = frozenset(batches)
        self._rows: list[FrontRow] = []

    def watch(self, panels: Iterable[Panel]) -> Iterator[Panel]:
        """Yield the panels unchanged and gather their fronts."""
        for panel in panels:
            self.points += panel.points
            for column in np.flatnonzero(np.isin(panel.batches, list(self.batches))):
                self._rows += _at(panel, int(column))
            yield panel

    def rows(self) -> tuple[FrontRow, ...]:
        """Return the devices on the fronts, by model, dtype and batch in the order of the sweep, then by rank."""
        return tuple(self._rows)


def _at(panel: Panel, column: int) -> Iterator[FrontRow]:
    """Yield the front at one batch by power."""
    batch = int(panel.batches[column])
    for row in np.argsort(panel.power, kind="stable"):
        if panel.rank[row, column]:
            time = float(panel.expected[row, column])
            yield FrontRow(
                model=panel.model,
                dtype=panel.dtype,
                batch=batch,
                rank=int(panel.rank[row, column]),
                device=panel.devices[row].label,
                power_w=float(panel.power[row]),
                time_s=time,
                interval_s=(float(panel.low[row, column]), float(panel.high[row, column])),
                throughput_per_s=batch / time if time else None,
                bound=LIMITS[int(panel.bound[row, column])],
            )


def some(batches: Sequence[int]) -> tuple[int, ...]:
    """Return the batches whose fronts are listed: all of a few, else the first, the last and one between, by ratio."""
    if len(batches) <= MAX_FRONTS:
        return tuple(batches)
    ordered = batches if isinstance(batches, range) else sorted(batches)
    middle = bisect_left(ordered, math.sqrt(ordered[0] * ordered[-1]))
    return (ordered[0], ordered[middle], ordered[-1])
