"""Write a page of HTML with estimates, comparisons, saved runs and studies."""

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api.accuracy import locate_pair
from hwbench.api.catalogs import devices as catalog_devices
from hwbench.api.checks import DeviceRef, check_batch, check_dtype
from hwbench.api.explanations import explained
from hwbench.api.lookup import Model, locate
from hwbench.api.machines import key as machine_key
from hwbench.errors import InputError
from hwbench.files import atomic
from hwbench.machine.device import Device
from hwbench.measure import kernels, store
from hwbench.measure.analysis.evidence import machine_of
from hwbench.measure.analysis.results import results
from hwbench.measure.record import Record
from hwbench.notices import Notice, notice, unique
from hwbench.predict.data import tables
from hwbench.predict.estimate import Estimate, estimate
from hwbench.predict.replay import replay
from hwbench.report.html import measured, page, sections
from hwbench.report.html.measured import MeasuredEstimate, OtherMachineRun
from hwbench.report.html.page import Section
from hwbench.report.text.layout import PLAIN, Style
from hwbench.study.clock import scores
from hwbench.study.clock.study import study
from hwbench.study.compare.devices import compare
from hwbench.workload.ops import Workload

MAX_ESTIMATES = 50


class Report(Answer, Struct, frozen=True):
    """A page of HTML that was written: its file, size and sections."""

    SCHEMA: ClassVar[str] = "report"

    file: str
    bytes: int
    sections: tuple[str, ...]
    notices: tuple[Notice, ...] = ()


@answers.lines.register
def _lines(answer: Report, style: Style = PLAIN) -> list[str]:  # noqa: ARG001
    return [f"written: {answer.file} ({answer.bytes / 1e6:.1f} MB, {len(answer.sections)} sections)"]


def write_report(
    *runs: str,
    models: Sequence[str] = ("alexnet",),
    devices: Sequence[str] = ("host",),
    dtype: str = "fp32",
    batch: int | None = None,
    data: str | None = None,
    measurements: Sequence[str] = (),
    path: str = "report.html",
) -> Report:
    """Write estimates, comparisons, saved runs and studies into one HTML file that opens offline.

    `runs` are files, ids or `latest`; without them the newest saved run is shown if this machine
    (`host`) is among the devices. `data` is a CSV file
    of scores for the clock study, `measurements` are those of times to compare with predictions.
    """
    name = check_dtype(dtype)
    if len(models) * len(devices) > MAX_ESTIMATES:
        raise InputError("too-many", f"There are more than {MAX_ESTIMATES} estimates.", field="devices")
    atomic.refuse_unwritable(path)
    sources = [Model(model, None, {}) for model in models]
    size = sources[0].batch(batch, name) if sources else check_batch(batch or 1)
    workloads = [source.workload(name, size) for source in sources]
    located = [locate(device) for device in devices]
    refs = [DeviceRef.parse(device) for device in devices]
    keys = [machine_key(ref) for ref in refs]
    notices: list[Notice] = list(unique(own for row in located for own in row.notices))
    pairs = [(row.device, key, workload) for row, key in zip(located, keys, strict=True) for workload in workloads]
    estimates = [estimate(workload, device, name, size) for device, _, workload in pairs]
    saved = records(runs, notices) if runs or any(ref.kind == "host" for ref in refs) else []
    beside = [
        measured.measured(saved, answer, device, key) for answer, (device, key, _) in zip(estimates, pairs, strict=True)
    ]
    parts = [
        _estimate_section(saved, answer, index, device, key, own)
        for index, (answer, (device, key, _), own) in enumerate(zip(estimates, pairs, beside, strict=True))
    ]
    if len(estimates) > 1:
        rows = [(answer, device) for answer, (device, _, _) in zip(estimates, pairs, strict=True)]
        text = f"At {name}, batch {size}; a click on a column's name sorts by it."
        parts.insert(0, Section("summary", "All in one table", (text,), (sections.summary(rows),)))
    if len(located) > 1:
        parts.append(sections.compared(compare([row.device for row in located], name, workloads[0], (size,))))
    parts += _run_sections(saved, workloads[0], name, size, named=bool(runs))
    parts += [study_section(data), validation_section(measurements)]
    titles = (workload.title or workload.name for workload in workloads), (row.device.title for row in located)
    title = " on ".join(", ".join(dict.fromkeys(each)) for each in titles)
    body = {
        "estimates": answers.plain(estimates),
        "runs": answers.plain(saved),
        "warnings": [str(notice) for notice in notices],
    }
    content = page.render(title, sections.answer(estimates[0], beside[0][0]), parts, body)
    atomic.write_atomically(path, content)
    return Report(path, len(content.encode()), tuple(section.name for section in parts), tuple(notices))


def records(names: Sequence[str], notices: list[Notice]) -> list[Record]:
    """Return the runs of names; without names the newest, if there is one and it can be read."""
    if names:
        return [store.load(name) for name in names]
    try:
        return [store.load(store.LATEST)] if store.names() else []
    except InputError as error:  # nobody asked for it
        notices.append(notice("newest-run-left-out", reason=str(error)))
        return []


def _estimate_section(
    runs: Sequence[Record],
    answer: Estimate,
    index: int,
    device: Device,
    machine: str | None,
    beside: tuple[Sequence[MeasuredEstimate], Sequence[OtherMachineRun]],
) -> Section:
    """Return the section of one estimate, with what the runs measured of it, on its machine and elsewhere."""
    on_cpu = device.kind == "cpu"  # a GPU has other caches than the CPU of its host
    own = [run for run in runs if on_cpu and machine and machine_of(run) == machine]
    swept = (rows for run in reversed(own) if (rows := kernels.rows(run.measurements)))
    return sections.estimated(answer, index, device, *beside, next(swept, []))


def _run_sections(runs: Sequence[Record], workload: Workload, dtype: str, batch: int, *, named: bool) -> list[Section]:
    """Return the sections of runs, and where performance is lost by the newest of them that shows it."""
    parts = sections.measured([(run, results(run)) for run in runs])
    if dtype not in ("fp32", "fp64"):
        return parts
    for run in reversed(runs):
        steps = explained(run, workload, dtype, batch, named=run.id if named else store.LATEST)
        if len(steps.steps) > 1:
            return [*parts, sections.explained(steps)]
    return parts


def study_section(data: str | None) -> Section:
    """Return the study of clock speed from a CSV file, or from the scores of the catalog."""
    table = scores.read(data) if data else scores.of_catalog(catalog_devices().values())
    return sections.studied(study(table), table.rows)


def validation_section(paths: Sequence[str]) -> Section:
    """Return the errors of forecasts against measured times in CSV files, or the published ones."""
    table = tables.read(paths or tables.shipped())
    return sections.validated(replay.replay(table, finder=locate_pair))
