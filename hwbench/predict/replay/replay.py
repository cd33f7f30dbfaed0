"""Measurements replayed against the model, a row at a time, with what a miss may come from.

Every row is predicted as `hwbench estimate` would predict it, from nothing but the names of model, device, dtype and
runtime: no value is fitted here. A row that cannot be predicted is listed with the reason, none is dropped.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from statistics import median

import msgspec

from hwbench.errors import InputError, shown
from hwbench.files import folders
from hwbench.machine import catalog
from hwbench.machine.device import Device, override
from hwbench.notices import Notice, notice
from hwbench.predict.data import splits
from hwbench.predict.data import workloads as counted
from hwbench.predict.data.tables import MeasuredTable, MeasuredTime, Skipped
from hwbench.predict.data.workloads import Workloads
from hwbench.predict.estimate import estimate
from hwbench.predict.forecast import Forecast, forecast
from hwbench.predict.model.parameters import ParameterFile, parameters
from hwbench.predict.model.runtimes import is_foreign, runtime_of
from hwbench.predict.replay.summary import ReplayRow, Validation, summary
from hwbench.workload import cached
from hwbench.workload.ops import Workload

FEWEST_IN_FAMILY = 3

Finder = Callable[[str], tuple[Device, tuple[Notice, ...]]]
"""What finds a device by its name, with what a reader must know of it. Raises InputError."""


def replay(
    table: MeasuredTable,
    workloads: Workloads | None = None,
    finder: Finder | None = None,
    known: ParameterFile | None = None,
) -> Validation:
    """Predict every measurement of a table by the shipped parameters, or those `known`.

    `finder` may know devices that the catalog does not, such as this machine.
    """
    rows: dict[str, ReplayRow] = {}
    skipped = list(table.skipped)
    devices = _Devices(finder or _catalogued)
    made = lru_cache(maxsize=8)(workloads or cached.workload)
    for one in sorted(table.rows, key=lambda row: (row.model, row.image_size or 0, row.dtype, row.layout or "")):
        try:
            rows[one.place] = _row(one, devices.named(one.device), made, known)
        except InputError as error:
            skipped.append(Skipped(one.model, _said(error), one.place, one.device))
    in_order = _explained([rows[one.place] for one in table.rows if one.place in rows])
    return summary(in_order, skipped, [*table.notices, *devices.notices])


def _said(error: InputError) -> str:
    """Why a row cannot be predicted; the option that a message is about is not of its table."""
    close = f" (did you mean {' or '.join(error.nearest)}?)" if error.nearest else ""
    return shown(f"{f'{error.file}: ' if error.file else ''}{error.message}{close}", 300)


def _catalogued(name: str) -> tuple[Device, tuple[Notice, ...]]:
    return catalog.device(name), ()


class _Devices:
    """Devices by the text that means them, each looked up once."""

    def __init__(self, finder: Finder) -> None:
        self.finder = finder
        self.known: dict[str, Device | InputError] = {}
        self.notices: list[Notice] = []

    def named(self, text: str) -> Device:
        """The device of a name, or of a name with settings: `xeon-platinum-8124m units=8`. Raises InputError."""
        if text not in self.known:
            try:
                self.known[text] = self._found(text)
            except InputError as error:
                self.known[text] = error
        found = self.known[text]
        if isinstance(found, InputError):
            raise found
        return found

    def _found(self, text: str) -> Device:
        words = text.split()
        settings = dict(word.split("=", 1) for word in words if "=" in word)
        name = " ".join(word for word in words if "=" not in word)
        try:
            device, notices = self.finder(name)
            self.notices += notices
        except InputError as error:
            closest = similar(name)
            if closest is None:
                raise error from None
            device = catalog.device(closest)
            self.notices.append(notice("device-similar", name=shown(name), device=closest, title=device.title))
        return override(device, settings) if settings else device


def similar(name: str) -> str | None:
    """The one catalogued device whose name has the letters and numbers of a shortened one in order, if it is one."""
    parts = re.findall(r"[a-z]+|[0-9]+", name.lower())
    if sum(map(len, parts)) < 4:
        return None
    pattern = re.compile(".*?".join(map(re.escape, parts)))
    found = [stem for stem in folders.files("devices") if pattern.search(folders.key(stem))]
    return found[0] if len(found) == 1 else None


def parameters_in(path: str) -> ParameterFile:
    """The parameters in a file that `hwbench calibrate` wrote. Raises InputError where it is none."""
    try:
        return parameters(path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from None
    except msgspec.DecodeError as error:
        raise InputError(f"is not a file of parameters: {shown(error, 200)}", file=path) from None


def _row(one: MeasuredTime, device: Device, workloads: Workloads, known: ParameterFile | None) -> ReplayRow:
    """A measurement with its prediction. Raises InputError where it cannot be predicted."""
    runtime = runtime_of(one.runtime, device.kind)
    workload = counted.workload(one, workloads)
    bounds = estimate(workload, device, one.dtype, one.batch, bounds_only=True)
    found = forecast(workload, device, one.dtype, one.batch, runtime, foreign=is_foreign(one.runtime), known=known)
    if found is None:
        raise InputError(f"the bandwidth or a rate of {device.name} is unknown")
    family = splits.family(one.model)
    return ReplayRow(
        device=" ".join([device.name, *(word for word in one.device.split() if "=" in word)]),
        model=one.model,
        family=family,
        part=splits.part(family),
        image_size=one.image_size,
        batch=one.batch,
        dtype=one.dtype,
        layout=one.layout,
        runtime=one.runtime,
        assumed_runtime=runtime,
        measured_s=one.time_s,
        expected_s=found.time_s,
        interval_s=found.interval_s,
        ideal_s=bounds.ideal_time_s,
        roofline_s=bounds.roofline_time_s,
        error=found.time_s / one.time_s - 1,
        reasons=tuple(_reasons(one, workload, found, bounds.roofline_time_s, bounds.fits)),
        place=one.place,
        source=one.source,
    )


def _reasons(
    one: MeasuredTime, workload: Workload, found: Forecast, roofline: float | None, fits: bool | None
) -> Iterable[str]:
    """What may explain a miss of this row, from the row and its prediction alone."""
    if is_foreign(one.runtime):
        yield f"{one.runtime} is foreign: predicted as {found.runtime}"
    if roofline and one.time_s < 0.98 * roofline:
        yield "measured below the roofline: kernels that do less than is counted (Winograd, caches), or a higher clock"
    if fits is False:
        yield "does not fit into the memory of the device"
    if workload.uncounted:
        yield f"not counted: {', '.join(workload.uncounted)}"
    overhead = sum(op.overhead_s for op in found.ops)
    share = min(1.0, max(overhead, found.host_s) / found.time_s)
    if share > 0.35:
        yield f"{100 * share:.0f} % of it is launches and the host's overhead, which differ between hosts"
    kinds: dict[str, float] = {}
    for op, time in zip(workload.ops, found.ops, strict=True):
        kinds[op.kind] = kinds.get(op.kind, 0.0) + time.time_s
    kind, most = max(kinds.items(), key=lambda item: item[1])
    total = sum(kinds.values())
    if total and most > 0.35 * total:
        yield f"{100 * most / total:.0f} % of the expected time is {kind.replace('_', ' ')}"


def _explained(rows: list[ReplayRow]) -> list[ReplayRow]:
    """The rows, each told first where its whole family on its device misses in the same direction."""
    errors: dict[tuple[str, str | None, str], list[float]] = {}
    for row in rows:
        errors.setdefault((row.device, row.layout, row.family), []).append(row.error)
    found = []
    for row in rows:
        some = errors[row.device, row.layout, row.family]
        middle = median(some)
        share = sum(error * middle > 0 for error in some) / len(some)
        if len(some) >= FEWEST_IN_FAMILY and abs(middle) > 0.1 and middle * row.error > 0 and share >= 0.8:
            direction = "over" if middle > 0 else "under"
            text = f"{row.family} is {direction}estimated on this device, by {100 * abs(middle):.0f} % in the median"
            row = msgspec.structs.replace(row, reasons=(f"{text} of {len(some)} rows", *row.reasons))  # noqa: PLW2901
        found.append(row)
    return found
