"""Sweeps as CSV or JSON of flat, typed columns, made quickly, and their Pareto front as text."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from hwbench.report.text.layout import Style, heading, rate, sentences, table
from hwbench.study.sweep.pareto import Array, FrontRow
from hwbench.study.sweep.sweep import Panel
from hwbench.units import si

COLUMNS = (
    "model", "device", "kind", "dtype", "power_w", "batch", "ideal_time_s", "roofline_time_s", "expected_time_s",
    "throughput_per_s", "throughput_per_s_per_w", "bound", "fits", "pareto",
)  # fmt: skip
"""Columns of a point: text, whole numbers (batch), SI floats, booleans; empty or null where unknown.

Throughput follows from the expected time; `bound` is what most of the roofline time passes under."""
_CONSTANT = 5  # the first of them are the same for all batches of a device
MOST_ROWS = 20


def csv_lines(panels: Iterable[Panel]) -> Iterator[str]:
    """The CSV in pieces: a header, then the rows of one device at a time."""
    yield ",".join(COLUMNS) + "\n"
    for panel in panels:
        for row in range(len(panel.devices)):
            # JSON of bare numbers is CSV but for its brackets, and is written a hundred times as fast as csv can.
            columns = _varying(panel, row, _BARE)
            body = msgspec.json.encode(list(zip(*columns, strict=True)))[2:-2].decode()
            if "null" in body:
                body = body.replace("null", "")
            head = _csv(_constant(panel, row))
            yield f"{head},{body.replace('],[', chr(10) + head + ',')}\n"


def _csv(cells: Iterable[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def json_points(panels: Iterable[Panel]) -> Iterator[str]:
    """The points as JSON objects with commas between, in pieces: those of one device at a time."""
    separator = ""
    for panel in panels:
        for row in range(len(panel.devices)):
            names = COLUMNS[:_CONSTANT]
            head = msgspec.json.encode(dict(zip(names, _constant(panel, row), strict=True))).decode()[:-1]
            keys = COLUMNS[_CONSTANT:]
            columns = [
                msgspec.json.encode(column)[1:-1].decode().split(",") for column in _varying(panel, row, _QUOTED)
            ]
            pieces = [
                head + "".join(f',"{key}":{cell}' for key, cell in zip(keys, cells, strict=True)) + "}"
                for cells in zip(*columns, strict=True)
            ]
            yield separator + ",".join(pieces)
            separator = ","


def _constant(panel: Panel, row: int) -> tuple[Any, ...]:
    device = panel.devices[row]
    power = float(device.power) if device.power else None
    return (panel.model, device.name or device.title, device.kind, panel.dtype, power)


_BARE = (msgspec.Raw(b"compute"), msgspec.Raw(b"memory"))
_QUOTED = ("compute", "memory")


def _varying(panel: Panel, row: int, bounds: tuple[object, object]) -> list[list[Any]]:
    """The columns that change with the batch, as lists; NaN becomes null when they are encoded."""
    time, power = panel.expected[row], panel.power[row]
    with np.errstate(divide="ignore"):  # of a network that does nothing
        speed = panel.batches / time
    return [
        panel.batches.tolist(),
        panel.ideal[row].tolist(),
        panel.roofline[row].tolist(),
        time.tolist(),
        speed.tolist(),
        (speed / power).tolist(),
        _named(panel.bound_by_memory[row], *bounds),
        _named(panel.fits[row], False, True),
        panel.pareto[row].tolist(),
    ]


def _named(array: Array, zero: object, one: object) -> list[object]:
    """0, 1 and NaN by their names."""
    names = np.array([zero, one, None], dtype=object)
    return list(names[np.where(np.isnan(array), 2, array).astype(int)])


def summary(rows: tuple[FrontRow, ...], points: int, what: str, style: Style) -> list[str]:
    """How many points there are, and who is on the front of time against watts."""
    lines = heading(f"{points:,} point{'' if points == 1 else 's'}: {what}", style)
    groups: dict[tuple[str, str], list[FrontRow]] = {}
    for row in rows:
        groups.setdefault((row.model, row.dtype), []).append(row)
    for (model, dtype), own in groups.items():
        cells = [
            (
                row.device,
                si(row.power_w, "W"),
                row.batches if len(row.batches) <= 34 else f"{row.batches[:33]}…",
                si(row.time_s, "s"),
                rate(row.throughput_per_s),
            )
            for row in own[:MOST_ROWS]
        ]
        header = ("device", "power", "on the front at batch", "time", "rate")
        lines += ["", *sentences(f"{model} at {dtype}: no other device is faster at as few watts", style), ""]
        lines += table(header, cells, "lrlrr", style)
        if len(own) > MOST_ROWS:
            lines.append(style.paint(f"... and {len(own) - MOST_ROWS} more (--json)", "dim"))
    note = (
        "Time and rate are expected ones at the first of the batches; power is the vendor's rating. Devices of unknown "
        "power or bandwidth, or too small a memory, are on no front. Every point: -o points.csv, or --format csv."
    )
    return [*lines, "", *sentences(note, style)]
