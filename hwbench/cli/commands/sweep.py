"""`hwbench sweep`."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from hwbench.api import lookup
from hwbench.cli import filters, options, output
from hwbench.errors import InputError, shown
from hwbench.machine.device import Device

if TYPE_CHECKING:  # numpy is loaded once the options are in order
    from hwbench.study.sweep.panel import Panel
    from hwbench.study.sweep.sweep import Chunk
    from hwbench.workload.ops import Workload

MOST_POINTS = 20_000_000
MOST_IN_ONE_OBJECT = 2_000_000
SHOWN_FROM = 100_000
"""Points from which progress is worth showing."""
FORMATS = ("text", "csv", "json")


def sweep_options(command: options.F) -> options.F:
    """What is swept, and how it is written."""
    models = click.option(
        "--model", "-m", "models", required=True, multiple=True, metavar="M", shell_complete=options.complete("models"),
        help="A model as for `hwbench estimate`. Repeatable.",
    )  # fmt: skip
    devices = click.option(
        "--device", "-d", "names", multiple=True, metavar="D", shell_complete=options.complete("devices"),
        help="A device as for `hwbench estimate`. Repeatable [default: the whole catalog].",
    )  # fmt: skip
    for option in (
        options.json_option,
        options.tracing_options,
        click.option("--output", "-o", "file", metavar="FILE", help="Write every point to a .csv or .json file."),
        click.option("--format", "form", type=click.Choice(FORMATS), help="What goes to standard output."),
        filters.filter_options,
        options.runtime_option,
        click.option("--batch", default="1", show_default=True, help="Batch sizes: 1,8,64 or 1..256 or 8..256:8."),
        click.option("--dtype", default="fp32", show_default=True, help="Number format, or several: fp32,fp16."),
        devices,
        models,
    ):
        command = option(command)
    return command


@click.command(short_help="Times of models on many devices at many batches, and the Pareto front.")
@sweep_options
def sweep(**asked: Any) -> None:
    """Give times of models on devices at dtypes and batches, and which devices are best in time against watts.

    \b
    Examples:
      hwbench sweep --model alexnet --batch 1..64
      hwbench sweep --model resnet50 --kind gpu --dtype fp16 --batch 1..256 -o points.csv
      hwbench sweep --model alexnet --device rtx3090 --device rtx4090 --batch 1,8 --format csv
    """
    found = plan(**asked)
    from hwbench.study.sweep.sweep import panel

    write(found, (panel(part) for part in found.parts))


class SweepPlan(Struct, frozen=True):
    """A sweep to be computed: its parts, where the points go, and the numbers of models, dtypes, devices, batches."""

    parts: "tuple[Chunk, ...]"
    points: int
    sizes: tuple[int, int, int, int]
    form: str
    file: str | None
    warnings: tuple[str, ...]


def plan(
    *,
    models: tuple[str, ...],
    names: tuple[str, ...],
    dtype: str,
    batch: str,
    runtime: str | None,
    kind: str | None,
    vendor: str | None,
    architecture: str | None,
    year: str | None,
    form: str | None,
    file: str | None,
    as_json: bool,
    **tracing: Any,
) -> SweepPlan:
    """The sweep that the options ask for. Raises InputError for what cannot be swept, or where nothing is left."""
    form = options.form(form, as_json)
    if file and not file.endswith((".csv", ".json")):
        raise InputError("must end in .csv or .json", field="--output")
    if file and form == "csv":
        raise InputError("goes to standard output: leave it out beside --output", field="--format")
    if tracing["mode"] == "training":
        raise InputError("a training step is traced anew for each batch: it cannot be swept", field="--mode")
    formats, sizes = options.dtypes(dtype), batches(batch)
    devices, told = _devices(names, filters.Filter(kind, vendor, architecture, year))
    most = len(set(models)) * len(formats) * len(devices) * len(sizes)
    if most > MOST_POINTS:
        raise InputError(f"{most:,} points are more than {MOST_POINTS:,}", field="--batch")
    if most > MOST_IN_ONE_OBJECT and form == "json" and not file:
        raise InputError(f"{most:,} points are too many for one object: use -o points.csv", field="--json")
    from hwbench.predict.model.runtimes import checked
    from hwbench.study.sweep import sweep as study

    if runtime:
        checked(runtime, "gpu" if runtime.endswith("cuda") else "cpu")

    found: list[Chunk] = []
    for model in dict.fromkeys(models):
        for workload, name in _workloads(model, formats, tracing):
            able, unable = study.capable(devices, workload, name)
            found += study.chunks(workload, name, able, sizes, runtime)
            told += [f"left out, no known rate for {workload.name} at {name}: {', '.join(unable)}"] if unable else []
            told += [f"not counted in {model}: {', '.join(workload.uncounted)}"] if workload.uncounted else []
    if not found:
        raise InputError(f"no device has a known {' or '.join(formats)} rate", field="--dtype")
    counts = (len(set(models)), len(formats), len(devices), len(sizes))
    points = sum(len(part.devices) * len(part.batches) for part in found)
    return SweepPlan(tuple(found), points, counts, form, file, tuple(dict.fromkeys(told)))


def _workloads(model: str, formats: list[str], tracing: dict[str, Any]) -> "Iterator[tuple[Workload, str]]":
    """A model's workload at each dtype."""
    build = options.builder(model, tracing)
    for name in formats:
        yield build(name, 1), name


def batches(text: str) -> range | tuple[int, ...]:
    """Batch sizes of a list such as `1,8,64`, or of a range `1..256` or `8..256:8`. Raises InputError."""
    if ".." not in text:
        return tuple(options.batches(text))
    span, colon, step = text.partition(":")
    first, _, last = span.partition("..")
    numbers = [part.strip() for part in (first, last, step if colon else "1")]
    if not all(
        number.isascii() and number.isdigit() and 0 < int(number[:20]) <= options.LARGEST_BATCH for number in numbers
    ):
        reason = f"'{shown(text, 40)}' is not a range of batch sizes: write it like 1..256 or 8..256:8"
        raise InputError(reason, field="--batch")
    low, high, by = map(int, numbers)
    if low > high:
        raise InputError(f"{shown(text, 40)} ends before it begins", field="--batch")
    return range(low, high + 1, by)


def _devices(names: tuple[str, ...], wanted: filters.Filter) -> tuple[tuple[Device, ...], list[str]]:
    """The devices named, or those of the catalog that a filter lets through, and warnings about them."""
    if names:
        if wanted.given:
            raise InputError("names devices, which no filter applies to", field="--device")
        found = [lookup.device(name, ()) for name in dict.fromkeys(names)]
        unique = {device.name or device.title: device for device, _ in found}
        return tuple(unique.values()), [str(notice) for _, notices in found for notice in notices]
    from hwbench.machine import catalog

    sound, faults = catalog.valid_devices()
    chosen = filters.chosen(sound.values(), wanted)
    if not chosen:
        raise InputError("no catalogued device is left by the filters: see `hwbench devices list`")
    return tuple(chosen), [str(notice) for notice in faults]


def write(found: SweepPlan, panels: "Iterable[Panel]") -> None:
    """The points to the file, or to standard output in a format; else, and beside a file, the front."""
    from hwbench.files import documents
    from hwbench.report.export.sweep import PointWriter
    from hwbench.report.text import sweep as report
    from hwbench.study.sweep.front import Front, Sweep

    front = Front()
    seen = front.watch(_shown(panels, found))
    if found.file:
        pieces = PointWriter("csv").pieces(seen) if found.file.endswith(".csv") else _json(found, seen, front)
        documents.write_atomically(found.file, pieces)
    elif found.form == "text":
        for _ in seen:
            pass
    else:
        # An object is written whole or, where something fails on the way, not at all.
        for piece in PointWriter("csv").pieces(seen) if found.form == "csv" else list(_json(found, seen, front)):
            output.write(piece)
        if found.form == "csv":
            output.write_warnings(found.warnings)
        return
    answer = Sweep(found.file, front.points, front.rows(), found.sizes)
    if found.form == "json":
        output.write_json("sweep", answer, found.warnings)
        return
    output.write_lines(report.sweep(answer, output.style()), found.warnings)


def _json(found: SweepPlan, seen: "Iterable[Panel]", front: Any) -> Iterator[str]:
    """One object with all points and the front, in pieces."""
    import msgspec

    from hwbench.report.export.sweep import PointWriter

    yield output.json_text("sweep", {"count": found.points}, found.warnings)[:-1] + ',"points":['
    yield from PointWriter("json").pieces(seen)
    yield f'],"front":{msgspec.json.encode(front.rows()).decode()}}}\n'


def _shown(panels: "Iterable[Panel]", found: SweepPlan) -> "Iterator[Panel]":
    """The panels; meanwhile, on a terminal, how far a large sweep has come."""
    if found.points < SHOWN_FROM:
        yield from panels
        return
    from hwbench.cli.progress import line

    done = 0
    with line() as show:
        for panel in panels:
            yield panel
            done += panel.points
            show(done / found.points, f"{done:,} of {found.points:,} points")
