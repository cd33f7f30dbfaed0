"""Forecasts of language models next to measured tokens a second, and factors of a device fitted to these."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hwbench.api.lookup import calibration_key, locate
from hwbench.errors import InputError, shown
from hwbench.machine import calibrations
from hwbench.machine.device import Device
from hwbench.machine.parts import LanguageCalibration
from hwbench.predict.data import llama_bench
from hwbench.predict.replay import language
from hwbench.predict.replay.language import LanguageRow, LanguageValidation


def are_language_tables(paths: Sequence[str]) -> bool:
    """Return whether files are tables of tokens a second. Raises InputError where only some of them are."""
    kinds = {path: not path.startswith("run:") and llama_bench.is_language_table(path) for path in paths}
    if len(set(kinds.values())) > 1:
        other = next(path for path, is_language in kinds.items() if not is_language)
        message = "This is no table of tokens a second, as the other files are: judge them apart."
        raise InputError("mixed-tables", message, file=other)
    return any(kinds.values())


def validate_language(files: Sequence[str], device: str | None, others: Sequence[Any] = ()) -> LanguageValidation:
    """Return how far forecasts are from measured rates. Raises InputError where no row can be predicted."""
    if any(others):
        message = "Rows of language models state their formats and runtime: only --device applies to them."
        raise InputError("not-for-language", message)
    table = llama_bench.read(tuple(files), device)

    def find(name: str) -> tuple[Device, LanguageCalibration | None]:
        return locate(name).device, calibrations.load_language(calibration_key(name))

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
    table = llama_bench.read(tuple(files), name)
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
    path = calibrations.save(calibrations.language_key(calibration_key(name)), calibration)
    return path, calibration, answer
