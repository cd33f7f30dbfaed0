"""Times of models on many devices at many batches: computed in panels, as they are asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from msgspec import json

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api.catalogs import Filter
from hwbench.api.catalogs import devices as catalog_devices
from hwbench.api.checks import check_batches, check_dtype, check_math
from hwbench.api.lookup import Model, ModelOptions, locate
from hwbench.errors import InputError
from hwbench.files import atomic
from hwbench.machine.device import Device
from hwbench.measure.cluster import connected, spread
from hwbench.notices import Notice, notice, unique
from hwbench.predict.model.runtimes import check_runtime, notices_on
from hwbench.report.export.sweep import PointWriter
from hwbench.report.text.layout import PLAIN, Style
from hwbench.study.sweep import sweep as study
from hwbench.study.sweep.front import Front, FrontRow, Sweep, some
from hwbench.study.sweep.panel import Panel
from hwbench.study.sweep.sweep import Chunk
from hwbench.workload.ops import Workload

if TYPE_CHECKING:
    import torch

MAX_POINTS = 20_000_000
MAX_POINTS_IN_MEMORY = 2_000_000
MIN_SHOWN = 100_000
"""Points from which progress is worth showing."""


class PlannedSweep(Answer):
    """A sweep whose points are computed when they are asked for, in panels of one model and dtype.

    `progress` hears which share of the points has been computed.
    """

    SCHEMA: ClassVar[str] = "sweep/2"
    MAIN: ClassVar[tuple[str, ...]] = ("points",)
    ROWS: ClassVar[str] = "rows"

    def __init__(
        self,
        chunks: Sequence[Chunk],
        sizes: tuple[int, int, int, int],
        batches: Sequence[int],
        notices: tuple[Notice, ...],
        scheduler: str | None = None,
        progress: Callable[[float, str], None] | None = None,
    ) -> None:
        self.chunks, self.sizes, self.batches, self.notices = tuple(chunks), sizes, batches, notices
        self.scheduler, self.progress = scheduler, progress
        self.points = sum(len(chunk.devices) * len(chunk.batches) for chunk in chunks)
        self._front: tuple[FrontRow, ...] | None = None

    def panels(self) -> Iterator[Panel]:
        """Compute the points, here or on the workers of a cluster, and the front with them."""
        own = [batch for chunk in self.chunks for batch in chunk.batches] if not self.batches else ()
        front, done = Front(own or some(self.batches)), 0
        for panel in front.watch(self._computed()):
            yield panel
            done += panel.points
            if self.progress and self.points >= MIN_SHOWN:
                self.progress(done / self.points, f"{done:,} of {self.points:,} points")
        self._front = front.rows()

    def _computed(self) -> Iterator[Panel]:
        if self.scheduler is None:
            yield from map(study.panel, self.chunks)
            return
        with connected(self.scheduler) as client:
            yield from spread(client, study.panel, self.chunks)

    @property
    def front(self) -> tuple[FrontRow, ...]:
        """Devices that are best in time against power at any batch."""
        if self._front is None:
            for _ in self.panels():
                pass
        return self._front or ()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A dict a point, in SI units. Raises InputError for more points than fit in one object."""
        self.refuse_too_many()
        rows: list[dict[str, Any]] = json.decode(f"[{''.join(PointWriter('json').pieces(self.panels()))}]")
        return rows

    def refuse_too_many(self) -> None:
        """Raise InputError for more points than one object should have."""
        if self.points > MAX_POINTS_IN_MEMORY:
            message = f"{self.points:,} points are too many for one object: write them to a CSV file."
            raise InputError("too-many", message, field="as_json")

    def result(self, file: str | None = None) -> Sweep:
        """Return the number of points and the front; `file` is where the points were written."""
        return Sweep(file, self.points, self.front, self.sizes, self.notices)

    def body(self) -> dict[str, Any]:
        """Return the answer's own part of its JSON."""
        rows = self.rows
        return {"count": self.points, "points": rows, "front": answers.plain(self.front)}

    def csv_pieces(self) -> Iterator[str]:
        """Yield the points as CSV."""
        return PointWriter("csv").pieces(self.panels())

    def json_pieces(self) -> Iterator[str]:
        """Yield the points and the front as one JSON object."""
        head = json.encode(answers.document(self.SCHEMA, {"count": self.points}, self.notices)).decode()
        yield head[:-1] + ',"points":['
        yield from PointWriter("json").pieces(self.panels())
        yield f'],"front":{json.encode(self.front).decode()}}}\n'

    def save(self, path: str) -> Sweep:
        """Write every point to a .csv or .json file, whole or not at all. Raises InputError."""
        refuse_file(path)
        atomic.write_atomically(path, self.csv_pieces() if path.endswith(".csv") else self.json_pieces())
        return self.result(path)


@answers.lines.register
def _lines(answer: PlannedSweep, style: Style = PLAIN) -> list[str]:
    return answers.lines(answer.result(), style)


def refuse_file(path: str) -> None:
    """Raise InputError for a file whose name does not end in .csv or .json, or that cannot be written."""
    if not path.endswith((".csv", ".json")):
        raise InputError("bad-suffix", "The name of the file must end in .csv or .json.", field="path")
    atomic.refuse_unwritable(path)


def sweep(
    models: "str | Workload | torch.nn.Module | Sequence[str | Workload | torch.nn.Module]",
    devices: "str | Device | Sequence[str | Device] | Mapping[str, Device] | None" = None,
    *,
    dtypes: Sequence[str] = ("fp32",),
    batches: Sequence[int] | None = None,
    runtime: str | None = None,
    math: str = "default",
    kind: str | None = None,
    vendor: str | None = None,
    architecture: str | None = None,
    year: str | None = None,
    scheduler: str | None = None,
    progress: Callable[[float, str], None] | None = None,
    inputs: Any = None,
    **options: Unpack[ModelOptions],
) -> PlannedSweep:
    """Return times of models on devices, by default all of the catalog, at dtypes and batches.

    Nothing is computed before the points or the front are asked for; `scheduler` is the address of a Dask cluster
    whose workers compute them. `kind`, `vendor`, `architecture` and `year` choose devices of the catalog.
    """
    if options.get("mode") == "training":
        message = "A training step is traced anew for each batch and cannot be swept."
        raise InputError("not-swept", message, field="mode")
    names = [models] if isinstance(models, str | Workload) or not isinstance(models, Sequence) else list(models)
    if not names:
        raise InputError("missing", "The list of models is empty.", field="models")
    formats = [check_dtype(name) for name in dtypes]
    sizes = check_batches(batches) or ()
    chosen, notices = _devices(devices, Filter(kind, vendor, architecture, year))
    distinct = list(dict.fromkeys(names))
    points = len(distinct) * len(formats) * len(chosen) * max(len(sizes), 1)
    if points > MAX_POINTS:
        raise InputError("too-many", f"{points:,} points are more than {MAX_POINTS:,}.", field="batch")
    if runtime:
        check_runtime(runtime)
    chosen_math = check_math(math)
    chunks: list[Chunk] = []
    for name in distinct:
        source = Model(name, inputs, options)
        for dtype in formats:
            workload = source.workload(dtype)
            able, unable = study.capable(chosen, workload, dtype)
            chunks += study.chunks(workload, dtype, able, sizes or (workload.batch,), runtime, chosen_math)
            notices += notices_on(able, runtime, workload.phase)
            if unable:
                notices.append(notice("rates-unknown", model=workload.name, dtype=dtype, devices=list(unable)))
            if workload.uncounted:
                notices.append(notice("uncounted-in", model=workload.name, operators=list(workload.uncounted)))
    if not chunks:
        raise InputError("no-rate", f"No device has a known {' or '.join(formats)} rate.", field="dtype")
    counts = (len(distinct), len(formats), len(chosen), max(len(sizes), 1))
    return PlannedSweep(chunks, counts, sizes, unique(notices), scheduler, progress)


def _devices(
    devices: str | Device | Sequence[str | Device] | Mapping[str, Device] | None, wanted: Filter
) -> tuple[tuple[Device, ...], list[Notice]]:
    """Return the devices given, or those of the catalog that a filter lets through, and notices about them."""
    if isinstance(devices, str | Device):
        devices = (devices,)
    if devices is not None:
        if not devices:
            raise InputError(
                "missing", "The list of devices is empty; without a list it is the catalog.", field="devices"
            )
        if wanted != Filter():
            message = "Filters choose among the catalog and cannot be combined with named devices."
            raise InputError("exclusive", message, field="devices")
        every = devices.values() if isinstance(devices, Mapping) else devices
        located = [locate(device) for device in every]
        unique = {row.device.label: row.device for row in located}
        return tuple(unique.values()), [own for row in located for own in row.notices]
    catalog = catalog_devices(**wanted.named())
    if not catalog:
        raise InputError("no-device", "No catalogued device is left by the filters; see `hwbench devices list`.")
    return tuple(catalog.values()), list(catalog.notices)
