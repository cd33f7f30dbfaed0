"""The points of a sweep as CSV or JSON: flat columns of SI units, written a device at a time."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
import numpy as np

from hwbench.predict.forecast import LIMITS
from hwbench.report.export.cells import text_cell
from hwbench.study.sweep.panel import Array, Panel

DEVICE_COLUMNS = ("model", "device", "kind", "dtype", "power_w")
BATCH_COLUMNS = (
    "batch", "ideal_time_s", "roofline_time_s", "expected_time_s", "interval_low_s", "interval_high_s",
    "throughput_per_s", "throughput_per_s_per_w", "bound", "fits", "pareto", "rank",
)  # fmt: skip
COLUMNS = (*DEVICE_COLUMNS, *BATCH_COLUMNS)
"""Columns of a point: text, whole numbers (batch), floats in SI units, booleans; empty or null where unknown.

Throughput and `bound` are the forecast's; `rank` is that of a point on the Pareto front."""
Encoding = Literal["csv", "json"]
_SEPARATORS = {"csv": "", "json": ","}


class PointWriter:
    """Writes panels as rows of CSV under a header, or as objects of a JSON array without its brackets.

    What is the same for all batches of a device becomes a template, which each row fills: a hundred times as fast as
    writing every cell by the modules csv and json, for sweeps of many million points.
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self._unknown = "" if encoding == "csv" else "null"
        quote = "" if encoding == "csv" else '"'
        self._limits = tuple(f"{quote}{limit}{quote}" for limit in LIMITS)

    def pieces(self, panels: Iterable[Panel]) -> Iterator[str]:
        """Yield the text of all points in pieces, one for each device of each panel."""
        if self.encoding == "csv":
            yield ",".join(COLUMNS) + "\n"
        separator = ""
        for panel in panels:
            batches = self._numbers(panel.batches)
            for row in range(len(panel.devices)):
                template = self._template(panel, row)
                points = zip(batches, *self._cells(panel, row), strict=True)
                yield separator + _SEPARATORS[self.encoding].join(map(template.__mod__, points))
                separator = _SEPARATORS[self.encoding]

    def _template(self, panel: Panel, row: int) -> str:
        """Return the text of a point with `%s` for each value that changes with the batch."""
        device = panel.devices[row]
        power = float(device.power) if device.power else None
        constant = (panel.model, device.label, device.kind, panel.dtype, power)
        if self.encoding == "csv":
            text = io.StringIO()
            csv.writer(text, lineterminator="").writerow(map(text_cell, constant))
            return _literal(text.getvalue()) + ",%s" * len(BATCH_COLUMNS) + "\n"
        fields = [f'"{name}":{_literal(_json(value))}' for name, value in zip(DEVICE_COLUMNS, constant, strict=True)]
        return "{" + ",".join([*fields, *(f'"{name}":%s' for name in BATCH_COLUMNS)]) + "}"

    def _cells(self, panel: Panel, row: int) -> list[list[str]]:
        """Return the columns after the batch that change with it, as texts."""
        time, power, rank = panel.expected[row], panel.power[row], panel.rank[row]
        with np.errstate(divide="ignore"):  # of a network that does nothing
            speed = panel.batches / time
        numbers = (panel.ideal[row], panel.roofline[row], time, panel.low[row], panel.high[row], speed, speed / power)
        return [
            *map(self._numbers, numbers),
            _names(panel.bound[row], *self._limits, self._unknown),
            *(_names(which, "false", "true", self._unknown) for which in (panel.fits[row], rank > 0)),
            [str(value) if value else self._unknown for value in rank.tolist()],
        ]

    def _numbers(self, array: Array) -> list[str]:
        """Return numbers as JSON writes them, each the shortest that parses back to the same."""
        text = _json(array.tolist())[1:-1]
        return (text.replace("null", self._unknown) if "null" in text else text).split(",")


def _json(value: Any) -> str:
    """Return a value as JSON; NaN and infinity become null."""
    return msgspec.json.encode(value).decode()


def _literal(text: str) -> str:
    """Return text that stays as it is in a template."""
    return text.replace("%", "%%")


def _names(array: Array, *names: str) -> list[str]:
    """Return 0, 1, ... by their names; the last is that of NaN."""
    values: list[str] = np.array(names, dtype=object)[np.where(np.isnan(array), -1, array).astype(int)].tolist()
    return values
