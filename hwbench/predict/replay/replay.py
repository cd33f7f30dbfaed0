"""Replay measurements against the time model, a row at a time, with what may explain each error.

Every row is predicted as `hwbench estimate` would predict it, from nothing but the names of model, device, dtype and
runtime; no value is fitted here. A row that cannot be predicted is listed with the reason, so no row is lost.
"""

import re
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from statistics import median
from typing import TypeVar

from msgspec.structs import replace

from hwbench.dtypes import dtype
from hwbench.errors import InputError, shown
from hwbench.files import folders, names
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.notices import Notice, notice
from hwbench.predict.data import splits
from hwbench.predict.data.rows import MeasuredTime, Skipped, device_words
from hwbench.predict.data.tables import MeasuredTable
from hwbench.predict.data.workloads import Workloads, by_trace, measured_workload
from hwbench.predict.estimate import least_times
from hwbench.predict.forecast import Forecast, forecast
from hwbench.predict.model.parameters import ParameterFile, parameters
from hwbench.predict.model.runtimes import engine_of, is_foreign, of_calibrations, runtime_of, version_of
from hwbench.predict.replay.summary import ReplayRow, Validation, summary
from hwbench.workload import cached
from hwbench.workload.ops import Workload

MIN_IN_FAMILY = 3
MIN_FAMILY_ERROR = 0.1
MIN_SHARE = 0.35
"""Share of the time from which overhead or one kind of op is named as a reason for an error."""
BELOW_ROOFLINE = 0.98
MAX_UNKNOWN_DEVICES, MAX_UNKNOWN_MODELS = 100, 1500
"""Names of a table that mean nothing, after which others are not searched."""
K = TypeVar("K")
V = TypeVar("V")
Finder = Callable[[str], tuple[Device, tuple[Notice, ...]]]
"""A function that returns the device of a name with notices about it. Raises InputError."""


def replay(
    table: MeasuredTable,
    workloads: Workloads | None = None,
    finder: Finder | None = None,
    known: ParameterFile | None = None,
) -> Validation:
    """Return predictions and errors of every measurement of a table, by the shipped parameters or those `known`.

    `finder` may find devices that are not in the catalog, such as this machine.
    """
    rows: dict[str, ReplayRow] = {}
    skipped = list(table.skipped)
    devices = _Devices(finder or (lambda name: (catalog.device(name), ())))
    rests_on: list[Notice] = []
    count = _found_once(lru_cache(maxsize=8)(workloads or cached.workload), MAX_UNKNOWN_MODELS, lambda _: False)
    for row in sorted(table.rows, key=by_trace):
        try:
            rows[row.place], own = _replayed(row, devices.device(row.device), measured_workload(row, count), known)
            rests_on += own
        except InputError as error:
            skipped.append(Skipped(row.model, _reason(error), row.place, row.device))
    in_order = with_family_reasons([rows[row.place] for row in table.rows if row.place in rows])
    return summary(in_order, skipped, [*table.notices, *devices.notices, *dict.fromkeys(rests_on)])


def _reason(error: InputError) -> str:
    """Return why a row cannot be predicted, without the parameter that the error is about."""
    return shown(error.described(None), 300)


def _found_once(find: Callable[[K], V], most: int, is_listed: Callable[[K], bool]) -> Callable[[K], V]:
    """Return a function that finds nothing but what is listed once `most` are unknown: each search takes ms."""
    unknown: dict[K, InputError] = {}

    def lookup(wanted: K) -> V:
        if wanted not in unknown:
            if len(unknown) >= most and not is_listed(wanted):
                raise InputError("too-many", f"It was not looked up: {most:,} others of the table are not known.")
            try:
                return find(wanted)
            except InputError as error:
                unknown[wanted] = error
        raise unknown[wanted]

    return lookup


class _Devices:
    """Devices by the text that names them, each looked up once."""

    def __init__(self, finder: Finder) -> None:
        self.finder = finder
        self.known: dict[str, Device] = {}
        self.lookup = _found_once(self._find, MAX_UNKNOWN_DEVICES, self._is_listed)
        self.notices: list[Notice] = []

    def device(self, text: str) -> Device:
        """Return the device of a name, or of a name with settings (`i9-10940x units=8`). Raises InputError."""
        if text not in self.known:
            self.known[text] = self.lookup(text)
        return self.known[text]

    @cached_property
    def _spellings(self) -> dict[str, str]:
        return folders.spellings("devices")

    def _is_listed(self, text: str) -> bool:
        return names.key(device_words(text)[0]) in self._spellings

    def _find(self, text: str) -> Device:
        name, settings = device_words(text)
        try:
            device, notices = self.finder(name)
            self.notices += notices
        except InputError:
            closest = similar(name)
            if closest is None:
                raise
            device = catalog.device(closest)
            self.notices.append(notice("device-similar", name=shown(name), device=closest, title=device.title))
        return device.with_(**settings) if settings else device


def similar(name: str) -> str | None:
    """Return the only catalogued device whose name has the letters and numbers of a shortened name in order."""
    parts = re.findall(r"[a-z]+|[0-9]+", name.lower())
    if sum(map(len, parts)) < 4:
        return None
    pattern = re.compile(".*?".join(map(re.escape, parts)))
    stems = [stem for stem in folders.files("devices") if pattern.search(names.key(stem))]
    return stems[0] if len(stems) == 1 else None


def _replayed(
    row: MeasuredTime, device: Device, workload: Workload, known: ParameterFile | None
) -> tuple[ReplayRow, list[Notice]]:
    """Return a measurement with its prediction, and the calibration of that. Raises InputError without one."""
    runtime = runtime_of(row.runtime, device.kind)
    foreign = engine_of(row.runtime or "", device.kind) if is_foreign(row.runtime, runtime) else None
    ideal, roofline = least_times(workload, device, row.dtype, row.batch)
    prediction = forecast(
        workload, device, row.dtype, row.batch, runtime, foreign=foreign, version=version_of(row.runtime), known=known
    )
    if prediction is None:
        raise InputError("device-incomplete", f"The bandwidth or a rate of {device.name} is unknown.")
    family = splits.family(row.model)
    own = (known or parameters()).of(runtime, version_of(row.runtime))
    calibrated = of_calibrations(prediction.notices)
    replayed = ReplayRow(
        device=" ".join([device.name, *(word for word in row.device.split() if "=" in word)]),
        model=row.model,
        family=family,
        fitted=family in own.families,
        image_size=row.image_size,
        batch=row.batch,
        dtype=row.dtype,
        layout=row.layout,
        runtime=row.runtime,
        assumed_runtime=runtime,
        measured_s=row.time_s,
        forecast_s=prediction.time_s,
        interval_s=prediction.interval_s,
        ideal_s=ideal,
        roofline_s=roofline,
        error=prediction.time_s / row.time_s - 1,
        reasons=tuple(_reasons(row, workload, prediction, device, roofline)),
        place=row.place,
        source=row.source,
    )
    return replayed, calibrated


def _reasons(
    row: MeasuredTime, workload: Workload, prediction: Forecast, device: Device, roofline: float | None
) -> Iterator[str]:
    """Yield what may explain an error of this row, from the row and its prediction alone."""
    if is_foreign(row.runtime, prediction.runtime):
        yield f"{row.runtime} was predicted as {prediction.runtime}"
    if roofline and row.time_s < BELOW_ROOFLINE * roofline:
        yield "measured below the roofline: kernels do less than is counted (Winograd, caches), or the clock is higher"
    if device.memory.size and workload.capacity(dtype(row.dtype).bits, row.batch) > device.memory.size:
        yield "the model does not fit into the memory of the device"
    if workload.uncounted:
        yield f"not counted: {', '.join(workload.uncounted)}"
    share = prediction.shares.overhead
    if share > MIN_SHARE:
        yield f"launches and the host's overhead, which differ between hosts, take {100 * share:.0f} % of the forecast"
    kinds: dict[str, float] = {}
    for op, time in zip(workload.ops, prediction.ops, strict=True):
        kinds[op.kind] = kinds.get(op.kind, 0.0) + time.time_s
    kind, most = max(kinds.items(), key=lambda item: item[1])
    total = sum(kinds.values())
    if total and most > MIN_SHARE * total:
        yield f"{kind.replace('_', ' ')} takes {100 * most / total:.0f} % of the forecast"


def with_family_reasons(rows: list[ReplayRow]) -> list[ReplayRow]:
    """Return rows with the error of their family on the device as first reason, if it has one direction."""
    errors: dict[tuple[str, str | None, str], list[float]] = {}
    for row in rows:
        errors.setdefault((row.device, row.layout, row.family), []).append(row.error)
    return [_with_family_reason(row, errors[row.device, row.layout, row.family]) for row in rows]


def _with_family_reason(row: ReplayRow, errors: list[float]) -> ReplayRow:
    middle = median(errors)
    share = sum(error * middle > 0 for error in errors) / len(errors)
    if len(errors) < MIN_IN_FAMILY or abs(middle) <= MIN_FAMILY_ERROR or middle * row.error <= 0 or share < 0.8:
        return row
    direction = "over" if middle > 0 else "under"
    text = f"{row.family} is {direction}estimated on this device, by {100 * abs(middle):.0f} % in the median"
    return replace(row, reasons=(f"{text} of {len(errors)} rows", *row.reasons))
