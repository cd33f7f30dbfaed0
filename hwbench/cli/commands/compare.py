"""`hwbench compare`."""

import re
from typing import TYPE_CHECKING, Any, cast

import click
import msgspec

from hwbench.api import lookup
from hwbench.cli import filters, options, output
from hwbench.errors import InputError, shown
from hwbench.machine.device import ClockKind, Device

if TYPE_CHECKING:  # what compares is loaded once the options are in order
    from hwbench.study.compare.devices import Comparison

MOST_ROWS = 10_000
FORMATS = ("text", "csv", "markdown", "json")
SORTS = ("name", "released", "peak", "bandwidth", "ridge", "power", "time", "per-watt")
OF_DEVICES = ("model", "clock", "runtime", "sort", "baseline")
"""Options that say nothing of saved runs."""


@click.command(short_help="Devices side by side, or saved runs with a verdict.")
@click.argument("names", nargs=-1, metavar="[DEVICE|RUN]...", shell_complete=options.complete("devices"))
@click.option("--model", "-m", metavar="M", help="Compare its times too.", shell_complete=options.complete("models"))
@click.option("--dtype", default="fp32", show_default=True, help="Number format.")
@click.option("--batch", default="1", show_default=True, help="Batch size, or several: 1,8,64.")
@options.clock_option
@options.runtime_option
@click.option("--sort", type=click.Choice(SORTS), help="Order of the devices [default: as given].")
@click.option("--baseline", metavar="D", help="Device that the others are held against [default: the first].")
@filters.filter_options
@click.option("--margin", default="3%", show_default=True, help="Runs: differences below it do not matter.")
@click.option("--level", default=0.95, show_default=True, help="Runs: level of intervals and verdicts.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="How to write it [default: text].")
@options.tracing_options
@options.json_option
def compare(
    names: tuple[str, ...],
    kind: str | None,
    vendor: str | None,
    architecture: str | None,
    year: str | None,
    margin: str,
    level: float,
    form: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Compare devices by peak, bandwidth, power and times, and say which factor makes the difference.

    Names and filters add up; the whole catalog is compared where there is neither. Saved runs are given by file, by id
    or as `latest`: their conditions are compared first, then their kernels, each against the first run.

    \b
    Examples:
      hwbench compare i9-10940x i7-12700h "ryzen 9 9950x" --model alexnet
      hwbench compare rtx3090 rtx4090 --model resnet50 --dtype fp16 --batch 1,64
      hwbench compare --kind cpu --year 2017.. --sort per-watt
      hwbench compare --kind gpu --vendor nvidia --format csv > gpus.csv
    """
    form = options.form(form, as_json)
    wanted = filters.Filter(kind, vendor, architecture, year)
    least = _share(margin)
    if not 0.5 <= level < 1:
        raise InputError("must be from 0.5 to below 1", field="--level")
    runs = [name for name in names if _is_run(name)]
    if not runs:
        _compare_devices(names, wanted, form, **asked)
        return
    if len(runs) < len(names) or wanted.given:
        raise InputError("compares devices or saved runs, not both; run:FILE is the machine of a run")
    for option in OF_DEVICES:
        if asked[option] is not None:
            raise InputError("is for devices, and these are saved runs", field=f"--{option}")
    _compare_runs(names, least, level, form)


def _compare_devices(
    names: tuple[str, ...],
    wanted: filters.Filter,
    form: str,
    *,
    model: str | None,
    dtype: str,
    batch: str,
    clock: str | None,
    runtime: str | None,
    sort: str | None,
    baseline: str | None,
    **tracing: Any,
) -> None:
    """Devices side by side, in a format."""
    formats, sizes = options.dtypes(dtype), options.batches(batch)
    if len(formats) > 1:
        raise InputError("compares at one dtype", field="--dtype")
    devices, told = _devices(names, wanted)
    if len(devices) * len(sizes) > MOST_ROWS:
        raise InputError(f"more than {MOST_ROWS} rows", field="--batch")
    from hwbench.study.compare.devices import compare as compared

    workload = options.builder(model, tracing)(formats[0], sizes[0]) if model else None
    found = compared(
        devices,
        formats[0],
        workload,
        sizes,
        sort=sort,
        baseline=_baseline(baseline, devices),
        clock=cast("ClockKind | None", clock and clock.replace("-", "_")),
        runtime=runtime,
    )
    _write(found, form, told)


def _write(found: "Comparison", form: str, warnings: tuple[str, ...]) -> None:
    if form == "json":
        output.write_json("compare", found, warnings)
        return
    from hwbench.report.text import compare as report

    if form == "csv":
        from hwbench.report.export.compare import COLUMNS, records

        output.write_csv(COLUMNS, records(found), (*warnings, *found.notices))
    elif form == "markdown":
        output.write_lines(report.markdown(found), (*warnings, *found.notices))
    else:
        output.write_lines(report.text(found, output.style()), (*warnings, *found.notices))


def _is_run(name: str) -> bool:
    """Whether a name is meant as a saved run: a JSON file, the beginning of an id, or the latest."""
    return (name.endswith(".json") and not name.startswith("run:")) or _RUN.match(name) is not None


_RUN = re.compile(r"latest$|\d{8}-\d{0,6}", re.IGNORECASE)


def _devices(names: tuple[str, ...], wanted: filters.Filter) -> tuple[list[Device], tuple[str, ...]]:
    """Devices by their names, then those of a filter that are not among them, and warnings about them."""
    found: dict[str, Device] = {}
    told: list[str] = []
    for name in names:
        device, warnings = lookup.device(name, ())
        known = found.get(device.name or device.title)
        if known is not None and known != device:  # two files of one name: each keeps what the user called it
            device = msgspec.structs.replace(device, name=name)
        found[device.name or device.title] = device
        told += map(str, warnings)
    if wanted.given or not names:
        from hwbench.machine import catalog

        sound, faults = catalog.valid_devices()
        told += map(str, faults)
        for device in filters.chosen(sound.values(), wanted):
            found.setdefault(device.name, device)
    if not found:
        raise InputError("no catalogued device is left by the filters: see `hwbench devices list`")
    return list(found.values()), tuple(dict.fromkeys(told))


def _baseline(name: str | None, devices: list[Device]) -> str | None:
    """The device that a spelling of its name means, by the name that it has in the comparison."""
    if name is None or name in [device.name or device.title for device in devices]:
        return name
    device = lookup.device(name, ())[0]
    return device.name or device.title


def _share(text: str) -> float:
    """A share of at least 0 and below 1 from `3%` or `0.03`. Raises InputError."""
    digits = text.strip()
    percent = digits.endswith("%")
    try:
        value = float(digits.removesuffix("%")) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise InputError(f"'{shown(text, 40)}' is not a share: write it like '3%'", field="--margin")
    return value


def _compare_runs(names: tuple[str, ...], margin: float, level: float, form: str) -> None:
    """Each run against the first."""
    if len(names) < 2:
        raise InputError("one run has nothing to be compared with: name two")
    if form not in ("text", "json"):
        raise InputError("runs are compared as text or json", field="--format")
    from hwbench.measure import store
    from hwbench.study.compare.runs import compare_runs

    first, *others = (store.load(name) for name in names)
    found = [compare_runs(first, other, margin, level) for other in others]
    told = tuple(dict.fromkeys(text for one in found for text in one.notices))
    if form == "json":
        output.write_json("compare-runs", {"comparisons": found}, told)
        return
    from hwbench.report.text.runs import runs as report

    style = output.style()
    lines = [line for one in found for line in ["", "", *report(one, style)]]
    output.write_lines(lines[2:], told)
