"""Language models on several devices or in several scenarios: compared, required, swept, and as curves."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from msgspec.structs import replace

from hwbench.api.catalogs import Filter
from hwbench.api.catalogs import devices as catalog_devices
from hwbench.api.checks import check_batch, check_quantity
from hwbench.api.language.estimates import completed, model_in_format, runtime_of, scenario_of
from hwbench.api.lookup import calibration_key, locate
from hwbench.errors import InputError
from hwbench.machine import calibrations
from hwbench.machine.device import Device
from hwbench.notices import Notice, unique
from hwbench.predict.language.phases import SERVER
from hwbench.study import language_points as study
from hwbench.study.language_points import Asked, LanguagePoints, Question
from hwbench.units import PerSecond, Seconds

MAX_POINTS = 100_000


def compare_language(
    model: str,
    *names: str | Device,
    weights: str | None = None,
    sort: str | None = None,
    kind: str | None = None,
    vendor: str | None = None,
    architecture: str | None = None,
    year: str | None = None,
    **scenario: Any,
) -> LanguagePoints:
    """Return a language model on devices side by side; `scenario` as for `estimate_language`."""
    answer = _points("compare", [model], names, Filter(kind, vendor, architecture, year), [weights], scenario)
    return replace(answer, points=study.ordered(answer.points, sort)) if sort else answer


def require_language(
    model: str,
    *names: str | Device,
    tokens: float | str | None = None,
    latency: float | str | None = None,
    weights: str | None = None,
    kind: str | None = None,
    vendor: str | None = None,
    architecture: str | None = None,
    year: str | None = None,
    **scenario: Any,
) -> LanguagePoints:
    """Return the devices that reach `tokens` a second of each sequence, and a first token within `latency`.

    Where a `context` is given and no prompt, the prompt fills it but for what is generated: the rate is that at its
    end. Devices of the lowest power come first. Raises InputError without a target.
    """
    rate = check_quantity(PerSecond, tokens, "tokens") if tokens is not None else None
    first = check_quantity(Seconds, latency, "latency") if latency is not None else None
    context, prompt = scenario.get("context"), scenario.get("prompt")
    if context and prompt is None:
        scenario["prompt"] = max(context - (scenario.get("generate") or 128), 0)
    answer = _points("require", [model], names, Filter(kind, vendor, architecture, year), [weights], scenario)
    return study.required(answer, rate, first)


def sweep_language(
    models: Sequence[str],
    names: Sequence[str | Device] | None = None,
    *,
    weights: Sequence[str | None] = (None,),
    batches: Sequence[int] | None = None,
    contexts: Sequence[int] | None = None,
    kind: str | None = None,
    vendor: str | None = None,
    architecture: str | None = None,
    year: str | None = None,
    settings: Mapping[str, str] | None = None,
    **scenario: Any,
) -> LanguagePoints:
    """Return every model in every format on every device, at every batch and context.

    At a context, the prompt fills it but for what is generated, unless a `prompt` is given. One model in one format on
    one device is a curve.
    """
    single = len(models) == len(weights) == 1 and names is not None and len(names) == 1
    wanted = Filter(kind, vendor, architecture, year)
    question: Question = "curve" if single else "sweep"
    return _points(question, models, names or (), wanted, weights, scenario, batches, contexts, settings)


def _points(
    question: Question,
    models: Sequence[str],
    names: Sequence[str | Device],
    wanted: Filter,
    weights: Sequence[str | None],
    scenario: dict[str, Any],
    batches: Sequence[int] | None = None,
    contexts: Sequence[int] | None = None,
    settings: Mapping[str, str] | None = None,
) -> LanguagePoints:
    devices, notices = _devices(names, wanted, settings)
    described = [model_in_format(name, form) for name, form in product(models, weights)]
    sizes: Sequence[int | None] = (
        [check_batch(batch) for batch in batches] if batches else [scenario.pop("batch", None)]
    )
    single = scenario.pop("context", None)
    lengths: Sequence[int | None] = list(contexts) if contexts else [single]
    if (count := len(described) * len(devices) * len(sizes) * len(lengths)) > MAX_POINTS:
        raise InputError("too-many", f"{count:,} points are more than {MAX_POINTS:,}.", field="batch")

    def every() -> Iterator[Asked]:
        known = {key: calibrations.load_language(key) for key, _ in devices}
        some = any(device.units for _, device in devices)
        for model, (key, device), batch, context in product(described, devices, sizes, lengths):
            own = dict(scenario)
            if contexts and own.get("prompt") is None and context:
                own["prompt"] = max(context - (own.get("generate") or 128), 0)
            point = scenario_of(batch=batch, context=context, **own)
            runs = device.units and (device.kind != "cpu" or runtime_of(point, model) != SERVER)
            if len(devices) > 1 and some and not runs:
                continue
            point, remarks = completed(point, model, device)
            if len(devices) == 1:
                notices.extend(remarks)
            yield model, device, point, known[key]

    title = ", ".join(dict.fromkeys(f"{model.title} {model.weights}" for model in described))
    answer = study.points(question, title, every())
    return replace(answer, notices=unique((*notices, *answer.notices)))


def _devices(
    names: Sequence[str | Device], wanted: Filter, settings: Mapping[str, str] | None
) -> tuple[list[tuple[str, Device]], list[Notice]]:
    """Return the devices of names, then those of a filter, or all of the catalog, with the keys of calibrations."""
    located = [(calibration_key(name), locate(name, settings)) for name in names]
    every = {key: row.device for key, row in located}
    notices = [own for _, row in located for own in row.notices]
    if wanted != Filter() or not names:
        chosen = catalog_devices(**wanted.named())
        notices += chosen.notices
        for name, device in chosen.items():
            every.setdefault(name, device)
    if not every:
        raise InputError("no-device", "No catalogued device is left by the filters; see `hwbench devices list`.")
    return list(every.items()), notices
