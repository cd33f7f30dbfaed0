"""Replay measured tokens a second against the model of llama.cpp, a row at a time; rates above the bound are set apart.

Every row is predicted as `hwbench estimate` would predict it, or with a calibration of its device.
"""

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from hwbench.answers import Answer
from hwbench.errors import InputError, shown
from hwbench.machine.device import Device
from hwbench.machine.language_calibration import LanguageCalibration, LanguageFactor
from hwbench.notices import Notice
from hwbench.predict.data.llama_bench import LanguageTable, MeasuredTokens
from hwbench.predict.data.rows import Skipped
from hwbench.predict.language.estimate import class_of
from hwbench.predict.language.phases import Phase, Stage, generation_phase, prompt_phase
from hwbench.predict.replay.metrics import Metrics, metrics
from hwbench.workload.language import LanguageModel, language_model
from hwbench.workload.language.formats import block_format

MAX_SIZE_DIFFERENCE = 0.08
"""Difference of a file's stated size from that of the catalogued model above which it is another mix of formats."""
LEVEL = 0.8
Finder = Callable[[str], tuple[Device, LanguageCalibration | None]]
"""A function that returns the device of a name and its calibration. Raises InputError."""


class LanguageRow(Struct, frozen=True):
    """One measured rate and its prediction, in tokens a second of all sequences; `error` is of the time.

    `kind` is `prompt`, `generation` or `batched`, `coding` how most weights are decoded. A rate above `bound_per_s`,
    which the roofline allows at most, cannot be what it seems: speculation, a sum over users, or another size.
    """

    device: str
    model: str
    weights: str
    kind: str
    coding: str
    tokens: int
    context: int
    batch: int
    devices: int
    measured_per_s: float
    expected_per_s: float
    interval_per_s: tuple[float, float]
    bound_per_s: float
    error: float
    place: str

    @property
    def is_possible(self) -> bool:
        """True where the rate is not above the bound."""
        return self.measured_per_s <= self.bound_per_s * (1 + 1e-6)


class LanguageGroup(Struct, frozen=True):
    """Errors of the times of one kind on one device, of forecasts and of the roofline."""

    device: str
    kind: str
    all: Metrics
    roofline: Metrics


class LanguageValidation(Answer, Struct, frozen=True):
    """Errors of forecasts of language models by device and kind of time; impossible rows and others left out."""

    SCHEMA: ClassVar[str] = "validate-language"
    MAIN: ClassVar[tuple[str, ...]] = ("all.n", "all.mape", "all.bias", "all.interval_coverage")
    ROWS: ClassVar[str] = "groups"

    rows: tuple[LanguageRow, ...]
    impossible: tuple[LanguageRow, ...]
    skipped: tuple[Skipped, ...]
    all: Metrics
    roofline: Metrics
    groups: tuple[LanguageGroup, ...]
    notices: tuple[Notice, ...] = ()

    def body(self, rows: bool = False) -> dict[str, Any]:
        """Return the JSON keys, with `rows` every row too."""
        body = super().body()
        return body if rows else {key: value for key, value in body.items() if key != "rows"}


def replay(table: LanguageTable, finder: Finder) -> LanguageValidation:
    """Return predictions and errors of every rate of a table."""
    find, count = lru_cache(maxsize=None)(finder), lru_cache(maxsize=64)(language_model)
    skipped = list(table.skipped)
    every: list[LanguageRow] = []
    for rate in table.rows:
        try:
            every.append(_replayed(rate, *find(rate.device), count(rate.model, rate.weights)))
        except InputError as error:
            skipped.append(Skipped(rate.model, shown(error.described(None), 300), rate.place, rate.device))
    possible = [row for row in every if row.is_possible]
    groups: dict[tuple[str, str], list[LanguageRow]] = {}
    for row in possible:
        groups.setdefault((row.device, row.kind), []).append(row)
    return LanguageValidation(
        rows=tuple(possible),
        impossible=tuple(row for row in every if not row.is_possible),
        skipped=tuple(skipped),
        all=_errors(possible),
        roofline=_errors_of_bounds(possible),
        groups=tuple(
            LanguageGroup(*key, _errors(some), _errors_of_bounds(some)) for key, some in sorted(groups.items())
        ),
    )


def predicted(
    row: MeasuredTokens, device: Device, model: LanguageModel, calibration: LanguageCalibration | None = None
) -> Phase:
    """Return the phase of a row. Raises InputError where the row does not state what was run."""
    layers = row.layers_on_device
    if device.kind == "gpu" and layers is not None and layers < len(model.layers):
        raise InputError("partly-offloaded", f"Only {layers} of {len(model.layers)} layers were on the GPU.")
    if row.size and abs(row.size / model.size - 1) > MAX_SIZE_DIFFERENCE:
        message = (
            f"Its weights are {row.size / model.size:.2f} times as large as those of {model.name} in {model.weights}."
        )
        raise InputError("other-size", message)
    if row.threads and device.kind == "cpu":
        device = device.with_cores(row.threads)
    stage = Stage(model, *class_of(model, device, None), row.devices, calibration)
    cache = block_format(row.kv_dtype)
    if row.phase == "generation":
        return generation_phase(stage, row.tokens, row.batch, row.context, cache, row.fused_attention)
    return prompt_phase(
        stage, row.tokens, row.batch, row.context, cache,
        fused_attention=row.fused_attention, microbatch=row.microbatch,
    )  # fmt: skip


def _replayed(
    row: MeasuredTokens, device: Device, calibration: LanguageCalibration | None, model: LanguageModel
) -> LanguageRow:
    phase, work = predicted(row, device, model, calibration), row.tokens * row.batch
    return LanguageRow(
        device=device.label,
        model=model.name,
        weights=model.weights,
        kind="prompt" if row.phase == "prompt" else "batched" if row.batch > 1 else "generation",
        coding=model.coding,
        tokens=row.tokens,
        context=row.context,
        batch=row.batch,
        devices=row.devices,
        measured_per_s=row.tokens_per_s,
        expected_per_s=work / phase.expected_time_s,
        interval_per_s=(work / phase.interval_s[1], work / phase.interval_s[0]),
        bound_per_s=work / phase.roofline_time_s,
        error=phase.expected_time_s / row.time_s - 1,
        place=row.place,
    )


def factors(rows: Iterable[LanguageRow]) -> dict[str, LanguageFactor]:
    """Return measured over expected time by kind, and by kind and coding, with the spread that is left."""
    logarithms: dict[str, list[float]] = {}
    for row in rows:
        for key in (row.kind, f"{row.kind} {row.coding}"):
            logarithms.setdefault(key, []).append(-math.log1p(row.error))
    return {key: _factor(values) for key, values in logarithms.items()}


def _factor(values: list[float]) -> LanguageFactor:
    mean = sum(values) / len(values)
    left = sorted(abs(value - mean) for value in values)
    spread = left[min(math.ceil(LEVEL * len(left)), len(left)) - 1]
    return LanguageFactor(float(f"{math.exp(mean):.5g}"), float(f"{spread:.4g}"), len(values))


def corrected(rows: Iterable[LanguageRow], known: LanguageCalibration) -> list[LanguageRow]:
    """Return rows with the factors of a calibration applied, as an estimate applies them."""
    result: list[LanguageRow] = []
    for row in rows:
        own = known.factors.get(f"{row.kind} {row.coding}") or known.factors.get(row.kind)
        factor = own.factor if own else 1.0
        result.append(replace(row, expected_per_s=row.expected_per_s / factor, error=factor * (1 + row.error) - 1))
    return result


def _errors(rows: list[LanguageRow]) -> Metrics:
    times = [1 / row.measured_per_s for row in rows]
    intervals = [(1 / row.interval_per_s[1], 1 / row.interval_per_s[0]) for row in rows]
    return metrics([1 / row.expected_per_s for row in rows], times, intervals)


def _errors_of_bounds(rows: list[LanguageRow]) -> Metrics:
    return metrics([1 / row.bound_per_s for row in rows], [1 / row.measured_per_s for row in rows])
