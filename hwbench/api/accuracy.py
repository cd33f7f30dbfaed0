"""How far predictions are from measured times, and the parameters that they are made with."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from hwbench import answers
from hwbench.answers import Answer
from hwbench.api.checks import DeviceRef, LocatedDevice, check_dtype, is_here
from hwbench.api.lookup import calibration_key, locate
from hwbench.errors import InputError, shown
from hwbench.files import atomic
from hwbench.machine import calibrations
from hwbench.machine.device import Device
from hwbench.machine.language_calibration import LanguageCalibration
from hwbench.machine.parts import DeviceCalibration
from hwbench.notices import Notice, notice
from hwbench.predict.data import tables
from hwbench.predict.data.rows import Defaults, MeasuredTime, device_words
from hwbench.predict.model.hardware import hardware_of
from hwbench.predict.model.parameters import ParameterFile, dumped
from hwbench.predict.model.parameters import parameters as shipped_parameters
from hwbench.predict.model.parameters import read as read_parameters
from hwbench.predict.model.runtimes import check_runtime, full_name, short_name
from hwbench.predict.replay import replay
from hwbench.predict.replay.summary import Validation
from hwbench.report.text.layout import PLAIN, Style

if TYPE_CHECKING:
    from hwbench.measure.torch.device import TorchDevice
    from hwbench.predict.fitting.problem import Case
    from hwbench.predict.replay.language import LanguageValidation

MAX_DISTURBED = 0.1
"""Share of the CPUs' time that others may take while networks are timed for a calibration."""
MIN_TIMINGS = 3
"""Timings of a device without which its factors are not fitted."""
REST_S = 1.0
"""Seconds for which the machine is watched before that."""


def locate_pair(name: str) -> tuple[Device, tuple[Notice, ...]]:
    """Return a device by its name, and its notices."""
    located = locate(name)
    return located.device, located.notices


def _uncalibrated_pair(name: str) -> tuple[Device, tuple[Notice, ...]]:
    """Return a device by its name as if it had never been calibrated, and its other notices."""
    device, notices = locate_pair(name)
    return replace(device, calibrations=None), tuple(own for own in notices if not own.code.startswith("calibrated"))


def validate(
    *files: str,
    device: str | None = None,
    dtype: str | None = None,
    layout: Literal["nchw", "nhwc"] | None = None,
    runtime: str | None = None,
    parameters: str | None = None,
    uncalibrated: bool = False,
) -> "Validation | LanguageValidation":
    """Predict what was measured in CSV files, by default the published figures that come with hwbench.

    `device`, `dtype`, `layout` and `runtime` apply to files that do not name theirs; `parameters` is a file that
    `calibrate` wrote. Calibrations of devices are used unless `uncalibrated`. Files of tokens a second (llama-bench's
    output, or our CSV) are judged by the forecasts of language models. Raises InputError where no row can be predicted.
    """
    if files:
        from hwbench.api.language.accuracy import are_language_tables, validate_language  # networks do without

        if are_language_tables(files):
            return validate_language(files, device, (dtype, layout, runtime, parameters), uncalibrated)
    defaults = Defaults(device, check_dtype(dtype) if dtype else None, layout, runtime)
    paths = files or tuple(tables.shipped())
    known = read_parameters(parameters) if parameters else None
    validation = replay.replay(
        tables.read(paths, defaults), finder=_uncalibrated_pair if uncalibrated else locate_pair, known=known
    )
    if not validation.rows:
        reason = f": {validation.skipped[0].reason}" if validation.skipped else "."
        message = f"No measurement in this file can be predicted{reason}"
        raise InputError("nothing-usable", message, file=", ".join(paths))
    return validation


def held_out(file: ParameterFile) -> list[dict[str, Any]]:
    """Return a dict for each table and each way to hold out a part of it, by runtime: the errors there."""
    runtimes = file.runtimes.items()
    return [{"runtime": name, **to_builtins(row)} for name, runtime in runtimes for row in runtime.held_out]


class TimeModel(Answer, Struct, frozen=True):
    """The parameters in use by runtime, and what they were fitted to."""

    SCHEMA: ClassVar[str] = "calibrate"

    parameters: ParameterFile


class Calibration(Answer, Struct, frozen=True):
    """Parameters fitted to measurements: their errors, how far they are from the shipped ones, and their file."""

    SCHEMA: ClassVar[str] = "calibrate"
    ROWS: ClassVar[str] = "rows"

    file: str | None
    difference: dict[str, float]
    parameters: ParameterFile
    notices: tuple[Notice, ...] = ()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A dict for each table and each way to hold out a part of it: the errors of what was held out."""
        return held_out(self.parameters)


class SavedCalibration(Answer, Struct, frozen=True):
    """The calibrations of a device, one a runtime, their file, and the networks that were timed just now."""

    SCHEMA: ClassVar[str] = "calibration"
    ROWS: ClassVar[str] = "timed"

    device: str
    calibrations: tuple[DeviceCalibration, ...]
    file: str
    timed: tuple[dict[str, Any], ...] = ()
    removed: bool = False
    notices: tuple[Notice, ...] = ()
    language: LanguageCalibration | None = None


@answers.lines.register
def _time_model_lines(answer: TimeModel, style: Style = PLAIN) -> list[str]:
    from hwbench.report.text import calibration

    return calibration.provenance(answer.parameters, style)


@answers.lines.register
def _calibration_lines(answer: Calibration, style: Style = PLAIN) -> list[str]:
    from hwbench.report.text import calibration

    return calibration.lines(answer.parameters, answer.difference, style)


@answers.lines.register
def _saved_lines(answer: SavedCalibration, style: Style = PLAIN) -> list[str]:
    from hwbench.report.text import calibration

    if answer.removed:
        return [f"removed: {answer.file}"]
    if not answer.calibrations and answer.language is None:
        return [f"{answer.device} is not calibrated: forecasts are the time model's."]
    own = calibration.saved(answer.calibrations, answer.timed, style)
    language = calibration.language(answer.language, style) if answer.language else []
    return [*own, *language, f"saved: {answer.file}"]


def calibrate(
    *files: str,
    device: str | None = None,
    runtimes: Sequence[str] = (),
    output: str | None = None,
    show: bool = False,
    reset: bool = False,
    progress: Callable[[float, str], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> TimeModel | Calibration | SavedCalibration:
    """Fit to measured times in CSV files: the factors of one `device`, or without one the time model itself.

    Factors are saved by runtime, and forecasts of that runtime for the device then use them; a dozen timings are
    enough. Without files, the device `host` times networks on this machine in each of the `runtimes`, by default those
    installed that do not compile for minutes, `cuda` or `mps` on its GPU in torch; no device gives the parameters in
    use. Files take one runtime, for rows that do not name theirs. `show` and `reset` give and remove what is saved of
    the device, this machine by default to `reset`. `output` is a file for the fitted parameters, and `device` then that
    of files that do not name theirs; `say` hears of each fit.
    """
    if (show or reset) and (files or output or show == reset):
        message = "A calibration is shown or removed by itself, without files and output."
        raise InputError("exclusive", message, field="show" if show else "reset")
    if reset or (show and device):
        return _saved_calibrations(device or "host", runtimes, reset)
    if not files and device is not None and is_here(device):
        return _calibrate_here(None if DeviceRef.parse(device).kind == "host" else device, runtimes, progress)
    if not files:
        return TimeModel(shipped_parameters())
    if len(runtimes) > 1:
        message = "Rows of files name their runtimes; those that do not have the one that is given here."
        raise InputError("single-value", message, field="runtimes")
    defaults = Defaults(device, runtime=runtimes[0] if runtimes else None)
    if device is not None and output is None:
        from hwbench.api.language.accuracy import are_language_tables, fitted_calibration  # networks do without

        if are_language_tables(files):
            path, fitted_factors, table_errors = fitted_calibration(device, files)
            return SavedCalibration(device, (), path, notices=_left_out(table_errors), language=fitted_factors)
        return _calibrate_device(device, files, defaults)
    if output:
        atomic.refuse_unwritable(output)
    from hwbench.predict.fitting import fit as fitting  # numpy and scipy, which validating does without
    from hwbench.predict.fitting.cases import cases

    table = tables.read(files, defaults)
    usable, skipped = cases(table)
    fitted = fitting.calibrated({name: list(rows) for name, rows in usable.items()}, say or (lambda _: None))
    notices = [*table.notices]
    if skipped:
        notices.append(notice("rows-left-out", count=len(skipped), reason=skipped[0].reason))
    if output:
        atomic.write_atomically(output, dumped(fitted))
    measured = [name for name in usable if fitted.runtimes[name].families]
    difference = fitting.difference(fitted, shipped_parameters(), measured)
    return Calibration(output, difference, fitted, tuple(notices))


def _calibrate_here(
    gpu: str | None, runtimes: Sequence[str], progress: Callable[[float, str], None] | None
) -> SavedCalibration:
    """Time networks on this machine's CPU, or on a GPU by torch's name, and save how they differ from the model.

    Raises InputError for a runtime that is not installed, and if the machine is disturbed.
    """
    from hwbench.api.machines import host_key
    from hwbench.api.machines import measured as measured_device
    from hwbench.machine.host.describe import host
    from hwbench.measure import host_calibration
    from hwbench.measure import settings as cpus
    from hwbench.measure.environment import snapshot
    from hwbench.predict.fitting.problem import Case

    chosen = host_calibration.chosen(runtimes, on_gpu=gpu is not None)
    machine = host()
    place, dtype, key = None, "fp32", host_key(machine)
    located = measured_device(machine)
    if gpu:
        place, located = _gpu_here(gpu)
        dtype, key = "amp" if place.kind == "cuda" else "fp32", located.device.label
    calibrations.prepare(key)
    device = located.device
    if hardware_of(device, ()) is None:
        message = "The memory bandwidth of this machine is unknown: run `hwbench bench` first."
        raise InputError("unknown-bandwidth", message, field="device")
    settings = cpus.settings(machine)
    show = progress or (lambda _share, _text: None)
    show(0.0, "looking whether the machine is at rest")
    _refuse_disturbed(snapshot.while_idle(settings.cpus, REST_S))
    before = snapshot.snapshot(settings.cpus)
    times = host_calibration.times(settings, chosen, show, place, dtype)
    disturbances = snapshot.disturbances(before, snapshot.snapshot(settings.cpus))
    _refuse_disturbed(disturbances)
    name = device.label if gpu else "host"
    cases = {
        full_name(runtime, device.kind): [
            Case(workload, device, dtype, batch, time, workload.name) for workload, batch, time in rows
        ]
        for runtime, rows in times.items()
    }
    notices = (*located.notices, *disturbances)
    return _saved(name, key, device, cases, "networks timed on this machine", notices)


def _saved(
    name: str, key: str, device: Device, cases: "Mapping[str, Sequence[Case]]", source: str, notices: Sequence[Notice]
) -> SavedCalibration:
    """Save the factors of a device in each runtime, by the full names of their parameters, and return them."""
    from hwbench.predict.fitting.device_factors import factors

    own = [
        DeviceCalibration(
            device=name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            source=f"{len(timed)} {source}",
            timings=len(timed),
            ceilings=device.sustained.source if device.sustained else None,
            runtime=short_name(runtime),
            **to_builtins(factors(timed, device, shipped_parameters().runtimes[runtime])),
        )
        for runtime, timed in cases.items()
    ]
    path = calibrations.save(key, own)
    rows = tuple(
        {"runtime": short_name(runtime), "model": case.workload.name, "batch": case.batch, "time_s": case.time_s}
        for runtime, timed in cases.items()
        for case in timed
    )
    return SavedCalibration(name, tuple(own), path, rows, notices=tuple(notices))


def _gpu_here(name: str) -> "tuple[TorchDevice, LocatedDevice]":
    """Return a GPU of this machine by torch's name, and as the catalog knows it. Raises InputError if it does not."""
    from hwbench.measure.torch import device as torch_devices
    from hwbench.measure.torch import gpu

    place = torch_devices.find_device(name)
    known = gpu.describe(place)
    if known is None:
        message = f"The catalog does not know the GPU {shown(place.title)}: describe it in a file, and give timings."
        raise InputError("unknown-device", message, field="device")
    return place, LocatedDevice(known)


def _calibrate_device(name: str, files: Sequence[str], defaults: Defaults) -> SavedCalibration:
    """Save how a device differs from the model by its rows in files, in each runtime that has enough of them.

    Raises InputError where they are too few.
    """
    from hwbench.predict.fitting.cases import timings

    device = locate(name).device
    runs, paths = ([file for file in files if file.startswith("run:") == run] for run in (True, False))
    table = tables.read(paths, defaults)
    table = replace(table, rows=(*table.rows, *(row for run in runs for row in _timed_in_run(run, name, device))))
    usable, skipped = timings(table, device, lambda text: locate(device_words(text)[0]).device)
    enough = {runtime: timed for runtime, timed in sorted(usable.items()) if len(timed) >= MIN_TIMINGS}
    if not enough:
        reason = f" {skipped[0].place}: {skipped[0].reason}" if skipped else ""
        most = max(map(len, usable.values()), default=0)
        message = f"{most} usable timings of {device.label} in a runtime are fewer than {MIN_TIMINGS}.{reason}"
        raise InputError("too-few-cases", message, field="measurements")
    if hardware_of(device, ()) is None:
        message = f"The bandwidth or a rate of {device.label} is unknown."
        raise InputError("device-incomplete", message, field="device")
    notices = [*table.notices]
    if skipped:
        notices.append(notice("rows-left-out", count=len(skipped), reason=skipped[0].reason))
    if few := sorted(usable.keys() - enough.keys()):
        notices.append(notice("runtimes-left-out", runtimes=few, least=MIN_TIMINGS))
    source = f"timings in {shown(', '.join(map(os.path.basename, files)), 100)}"
    return _saved(name, calibration_key(name), device, enough, source, notices)


def _timed_in_run(run: str, name: str, device: Device) -> Iterator[MeasuredTime]:
    """Yield the networks that a saved run timed, on all units of a CPU, as measurements of a device."""
    from hwbench.measure import store
    from hwbench.measure.subject import ForwardPass
    from hwbench.measure.summary import interval

    for each in store.load(run.removeprefix("run:")).measurements:
        timed = each.subject
        if isinstance(timed, ForwardPass) and (device.kind == "gpu" or each.threads == device.count):
            time, dtype, layout = interval(each).value, each.dtype or "fp32", timed.layout
            yield MeasuredTime(
                name, timed.model, timed.batch, dtype, time, run, layout=layout, runtime=timed.runtime, source=run
            )


def _refuse_disturbed(disturbances: Sequence[Notice]) -> None:
    """Raise InputError where other work took so much of the machine that factors would describe that work."""
    if sum(each.data.get("share", 0.0) for each in disturbances) > MAX_DISTURBED:
        message = "The machine is disturbed, and a calibration would keep that: try again while it is idle."
        raise InputError("disturbed", " ".join([*map(str, disturbances), message]), field="device")


def _saved_calibrations(device: str, runtimes: Sequence[str], reset: bool) -> SavedCalibration:
    """Return the calibrations that are saved of a device, of all or some runtimes; with `reset` they are removed."""
    key = calibration_key(device)
    every, language = calibrations.load(key), calibrations.load_language(key)
    for name in runtimes:
        if name not in [each.runtime for each in every]:
            check_runtime(name)
    known = tuple(each for each in every if not runtimes or each.runtime in runtimes)
    language = None if runtimes else language
    file = calibrations.path(calibrations.language_key(key) if language and not known else key)
    removed = reset and calibrations.remove(key, runtimes)
    if reset and not runtimes:
        removed |= calibrations.remove(calibrations.language_key(key))
    return SavedCalibration(device, known, file, removed=removed, language=language)


def _left_out(answer: "LanguageValidation") -> tuple[Notice, ...]:
    """Return notices of rows that were not fitted: those above the bound, and others."""
    notices = [notice("rates-impossible", count=len(answer.impossible))] if answer.impossible else []
    if answer.skipped:
        notices.append(notice("rows-left-out", count=len(answer.skipped), reason=answer.skipped[0].reason))
    return tuple(notices)
