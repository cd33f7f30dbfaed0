"""`hwbench report`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hwbench.cli import options, output
from hwbench.errors import InputError

if TYPE_CHECKING:
    from hwbench.measure.record import Run
    from hwbench.predict.estimate import Estimate
    from hwbench.report.page import Section

MOST_ESTIMATES = 50


@click.command(short_help="All of it on one page that opens offline.")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option(
    "--model", "-m", "models", multiple=True, metavar="M", default=("alexnet",), show_default=True,
    help="Model to estimate; repeatable.", shell_complete=options.complete("models"),
)  # fmt: skip
@click.option(
    "--device", "-d", "devices", multiple=True, metavar="D", default=("host",), show_default=True,
    help="Device to estimate on; repeatable, several are compared.", shell_complete=options.complete("devices"),
)  # fmt: skip
@click.option("--dtype", default="fp32", show_default=True, help="Number format.")
@click.option("--batch", default="1", show_default=True, help="Batch size.")
@click.option("--data", metavar="CSV", help="Scores for the study of clock speed [default: the catalog's].")
@click.option("--measurements", multiple=True, metavar="CSV", help="Measurements for the ledger [default: cited ones].")
@click.option("--output", "-o", "path", default="report.html", show_default=True, metavar="FILE", help="File to write.")
@options.json_option
def report(
    runs: tuple[str, ...],
    models: tuple[str, ...],
    devices: tuple[str, ...],
    dtype: str,
    batch: str,
    data: str | None,
    measurements: tuple[str, ...],
    path: str,
    as_json: bool,
) -> None:
    """Write estimates, comparisons, saved runs and studies into one HTML file that opens offline.

    RUN is a saved run: a file, an id or latest; without one, the newest is shown where there is one.

    \b
    Examples:
      hwbench report
      hwbench report -m resnet50 -d rtx3090 -d rtx4090 --dtype fp16 --batch 8 -o cards.html
    """
    from hwbench import documents
    from hwbench.report import html, page

    formats, sizes = options.dtypes(dtype), options.batches(batch)
    if len(formats) > 1 or len(sizes) > 1:
        raise InputError("takes one dtype and one batch", field="--dtype" if len(formats) > 1 else "--batch")
    if len(models) * len(devices) > MOST_ESTIMATES:
        raise InputError(f"more than {MOST_ESTIMATES} estimates", field="--device")
    warnings: list[str] = []
    found = _estimates(models, devices, formats[0], sizes[0], warnings)
    saved = _runs(runs)
    sections = [html.estimated(one, index) for index, one in enumerate(found)]
    sections += _compared(models[0], devices, formats[0], sizes[0])
    sections += _measured(saved)
    sections += [_studied(data), _validated(measurements)]
    title = f"{', '.join(models)} on {', '.join(devices)}"
    body = {"estimates": msgspec.to_builtins(found), "runs": msgspec.to_builtins(saved), "warnings": warnings}
    content = page.render(title, html.answer(found[0]), sections, body)
    documents.write_atomically(path, content)
    names = [section.name for section in sections]
    if as_json:
        output.write_json("report", {"file": path, "bytes": len(content.encode()), "sections": names}, warnings)
        return
    output.write_lines([f"written: {path} ({len(content.encode()) / 1e6:.1f} MB, {len(names)} sections)"], warnings)


def _estimates(
    models: Sequence[str], devices: Sequence[str], dtype: str, batch: int, warnings: list[str]
) -> "list[Estimate]":
    from hwbench.predict.estimate import estimate
    from hwbench.workload import zoo
    from hwbench.workload.request import Request

    autocast = "fp16" if dtype == "amp" else None
    workloads = [zoo.workload(Request(name, autocast=autocast)) for name in models]
    found = []
    for name in devices:
        device, told = options.device(name, ())
        warnings += told
        found += [estimate(workload, device, dtype, batch) for workload in workloads]
    return found


def _runs(names: Sequence[str]) -> "list[Run]":
    """The runs that were named, else the newest, if there is one that can be read."""
    from hwbench.measure import store

    if names:
        return [store.load(name) for name in names]
    newest = store.latest()
    return [store.load(newest)] if newest else []


def _measured(runs: "Sequence[Run]") -> "list[Section]":
    from hwbench.measure.results import results
    from hwbench.report import html

    return html.measured([(run, results(run)) for run in runs])


def _compared(model: str, names: Sequence[str], dtype: str, batch: int) -> "list[Section]":
    """Several devices, held against the first."""
    if len(names) < 2:
        return []
    from hwbench.report import html
    from hwbench.study.compare import compare
    from hwbench.workload import zoo
    from hwbench.workload.request import Request

    workload = zoo.workload(Request(model, autocast="fp16" if dtype == "amp" else None))
    return [html.compared(compare([options.device(name, ())[0] for name in names], dtype, workload, (batch,)))]


def _studied(data: str | None) -> "Section":
    from hwbench.machine import catalog
    from hwbench.report import html
    from hwbench.study import clock_data
    from hwbench.study.clock import study

    table: Any = clock_data.read(data) if data else clock_data.of_catalog(catalog.sound_devices()[0].values())
    return html.studied(study(table), table.rows)


def _validated(paths: Sequence[str]) -> "Section":
    from hwbench.predict import measurements, replay
    from hwbench.report import html

    table = measurements.read(paths or measurements.shipped())
    return html.validated(replay.replay(table, finder=lambda name: options.device(name, ())))
