"""Forecasts of language models next to measured tokens a second, and factors of a device fitted to these."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from hwbench.api.lookup import calibration_key, locate
from hwbench.errors import InputError, shown
from hwbench.machine import calibrations
from hwbench.machine.device import Device
from hwbench.machine.language_calibration import LanguageCalibration
from hwbench.measure import store
from hwbench.measure.subject import LanguagePhase
from hwbench.measure.summary import interval
from hwbench.predict.data import llama_bench
from hwbench.predict.data.llama_bench import LanguageTable, MeasuredTokens
from hwbench.predict.replay import language
from hwbench.predict.replay.language import LanguageRow, LanguageValidation


def are_language_tables(paths: Sequence[str]) -> bool:
    """Return whether files are tables of tokens a second. Raises InputError where only some of them are."""
    kinds = {path: _is_of_language_models(path) for path in paths}
    if len(set(kinds.values())) > 1:
        other = next(path for path, is_language in kinds.items() if not is_language)
        message = "This is no table of tokens a second, as the other files are: judge them apart."
        raise InputError("mixed-tables", message, file=other)
    return any(kinds.values())


def _is_of_language_models(path: str) -> bool:
    if path.startswith("run:"):
        return any(
            isinstance(each.subject, LanguagePhase) for each in store.load(path.removeprefix("run:")).measurements
        )
    return llama_bench.is_language_table(path)


def _table(files: Sequence[str], device: str | None) -> LanguageTable:
    """Return the rates in tables, and those that saved runs measured on a device."""
    runs, paths = ([path for path in files if path.startswith("run:") == is_run] for is_run in (True, False))
    table = llama_bench.read(tuple(paths), device)
    return replace(table, rows=(*table.rows, *(row for run in runs for row in _rates(run, device))))


def _rates(run: str, device: str | None) -> Iterator[MeasuredTokens]:
    """Yield the phases of catalogued language models that a saved run timed."""
    for each in store.load(run.removeprefix("run:")).measurements:
        subject = each.subject
        if isinstance(subject, LanguagePhase) and (model := llama_bench.catalogued(subject.model)):
            yield MeasuredTokens(
                device or run, model, subject.weights, subject.phase, subject.tokens,
                subject.tokens / interval(each).value, run, context=subject.context, threads=each.threads,
                kv_dtype=subject.kv_dtype, fused_attention=subject.fused_attention,
            )  # fmt: skip


def validate_language(
    files: Sequence[str], device: str | None, others: Sequence[Any] = (), uncalibrated: bool = False
) -> LanguageValidation:
    """Return how far forecasts are from measured rates. Raises InputError where no row can be predicted."""
    if any(others):
        message = "Rows of language models state their formats and runtime: only --device applies to them."
        raise InputError("not-for-language", message)
    table = _table(files, device)

    def find(name: str) -> tuple[Device, LanguageCalibration | None]:
        return locate(name).device, None if uncalibrated else calibrations.load_language(calibration_key(name))

    answer = language.replay(table, find)
    if not answer.rows and not answer.impossible:
        reason = f": {answer.skipped[0].reason}" if answer.skipped else "."
        message = f"No measurement in this file can be predicted{reason}"
        raise InputError("nothing-usable", message, file=", ".join(files))
    return answer


def fitted_calibration(name: str, files: Sequence[str]) -> tuple[str, LanguageCalibration, LanguageValidation]:
    """Save how a device differs from the model of llama.cpp by its rows in files; return the file and what it holds.

    Raises InputError where no row is of the device.
    """
    device = locate(name).device
    table = _table(files, name)
    answer = language.replay(table, lambda text: (locate(text).device, None))
    rows: list[LanguageRow] = [row for row in answer.rows if row.device == device.label]
    if not rows:
        reason = f" {answer.skipped[0].place}: {answer.skipped[0].reason}" if answer.skipped else ""
        message = f"No usable row is of {device.label}.{reason}"
        raise InputError("too-few-cases", message, field="measurements")
    shapes = len({row.model for row in rows})
    where = shown(", ".join(map(os.path.basename, files)), 100)
    calibration = LanguageCalibration(
        device=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=f"{len(rows)} rates of {shapes} {'model' if shapes == 1 else 'models'} in {where}",
        factors=language.factors(rows),
    )
    path = calibrations.save_language(calibration_key(name), calibration)
    return path, calibration, answer
