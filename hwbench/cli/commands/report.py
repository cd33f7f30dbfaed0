"""`hwbench report`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from hwbench.api import lookup
from hwbench.cli import options, output
from hwbench.errors import InputError
from hwbench.notices import Notice
from hwbench.units import exact

if TYPE_CHECKING:
    from hwbench.machine.device import Device
    from hwbench.measure.record import Record
    from hwbench.predict.estimate import Estimate
    from hwbench.report.html.page import Section
    from hwbench.workload.ops import Workload

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
    from hwbench.files import documents
    from hwbench.predict.estimate import estimate
    from hwbench.report.html import page
    from hwbench.report.html import sections as html
    from hwbench.study.compare.devices import compare

    formats, sizes = options.dtypes(dtype), options.batches(batch)
    if len(formats) > 1 or len(sizes) > 1:
        raise InputError("takes one dtype and one batch", field="--dtype" if len(formats) > 1 else "--batch")
    if len(models) * len(devices) > MOST_ESTIMATES:
        raise InputError(f"more than {MOST_ESTIMATES} estimates", field="--device")
    workloads = [options.builder(name, options.UNTRACED)(formats[0], sizes[0]) for name in models]
    chosen = [lookup.device(name, ()) for name in devices]
    machines = [device for device, _ in chosen]
    keys = [_key(name) for name in devices]
    warnings: list[str | Notice] = list(dict.fromkeys(text for _, told in chosen for text in told))
    found = [estimate(one, machine, formats[0], sizes[0]) for machine in machines for one in workloads]
    saved = _runs(runs, warnings)
    sections = [
        _estimated(saved, one, index, machines[index // len(models)], keys[index // len(models)])
        for index, one in enumerate(found)
    ]
    if len(machines) > 1:
        sections.append(html.compared(compare(machines, formats[0], workloads[0], sizes)))
    sections += _measured(saved, workloads[0], formats[0], sizes[0])
    sections += [_studied(data), _validated(measurements)]
    title = f"{', '.join(models)} on {', '.join(devices)}"
    body = {
        "estimates": [one.body() for one in found],
        "runs": msgspec.to_builtins(saved, enc_hook=exact),
        "warnings": list(map(str, warnings)),
    }
    content = page.render(title, html.answer(found[0]), sections, body)
    documents.write_atomically(path, content)
    names, size = [section.name for section in sections], len(content.encode())
    if as_json:
        output.write_json("report", {"file": path, "bytes": size, "sections": names}, warnings)
        return
    output.write_lines([f"written: {path} ({size / 1e6:.1f} MB, {len(names)} sections)"], warnings)


def _runs(names: Sequence[str], warnings: list[str | Notice]) -> "list[Record]":
    """The runs that were named; without names the newest, if there is one and it can be read."""
    from hwbench.measure import store

    if names:
        return [store.load(name) for name in names]
    newest = store.latest()
    try:
        return [store.load(newest)] if newest else []
    except InputError as error:  # nobody asked for it
        warnings.append(f"the newest run is left out: {error}")
        return []


def _key(name: str) -> str | None:
    """The key of the machine that a device is: this one, or that of a run; None for a device of a data sheet."""
    from hwbench.measure import store
    from hwbench.measure.environment import machine as environment

    if name.lower() == "host":
        from hwbench.machine.host.describe import host

        return environment.machine_key(host())
    if name.lower().startswith("run:"):
        return str(store.load(name[4:]).environment.get("machine"))
    return None


def _estimated(runs: "Sequence[Record]", e: "Estimate", index: int, device: "Device", machine: str | None) -> "Section":
    """The section of one estimate, with what the runs measured of it, on its machine and elsewhere."""
    from hwbench.measure import kernels
    from hwbench.report.html import measured
    from hwbench.report.html import sections as html

    on_cpu = device.kind == "cpu"  # a GPU has other caches than the CPU beside it
    own = [run for run in runs if on_cpu and machine and run.environment.get("machine") == machine]
    swept = (rows for run in reversed(own) if (rows := kernels.rows(run.measurements)))
    results = next(swept, [])
    return html.estimated(e, index, device, *measured.measured(runs, e, device, machine), results)


def _measured(runs: "Sequence[Record]", workload: "Workload", dtype: str, batch: int) -> "list[Section]":
    """Sections of runs, and where the peak goes as far as the newest of them that tells it."""
    from hwbench.cli.commands.explain import explained
    from hwbench.measure.analysis.results import results
    from hwbench.report.html import sections as html

    sections = html.measured([(run, results(run)) for run in runs])
    if dtype not in ("fp32", "fp64"):
        return sections
    for run in reversed(runs):
        threads = {one.threads for one in run.measurements if one.kernel == "fma"}
        found = explained(run, workload, dtype, batch, max(threads, default=1))
        if len(found.steps) > 1:
            return [*sections, html.explained(found)]
    return sections


def _studied(data: str | None) -> "Section":
    from hwbench.machine import catalog
    from hwbench.report.html import sections as html
    from hwbench.study.clock import scores
    from hwbench.study.clock.study import study

    table: Any = scores.read(data) if data else scores.of_catalog(catalog.valid_devices()[0].values())
    return html.studied(study(table), table.rows)


def _validated(paths: Sequence[str]) -> "Section":
    from hwbench.predict.data import tables
    from hwbench.predict.replay import replay
    from hwbench.report.html import sections as html

    table = tables.read(paths or tables.shipped())
    return html.validated(replay.replay(table, finder=lambda name: lookup.device(name, ())))
