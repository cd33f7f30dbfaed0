"""Fit a parameter file to measurements, and find its errors on families, devices and versions that were held out."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import to_builtins
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.predict.data import splits
from hwbench.predict.fitting import engines, priors
from hwbench.predict.fitting.device_factors import free_factors, spread_after
from hwbench.predict.fitting.problem import Case, Free, Problem, fitted, predicted, problem, selected
from hwbench.predict.model.parameters import (
    SCHEMA,
    HeldOut,
    ParameterFile,
    PartFactors,
    Runtime,
    Spread,
    few_launches,
    parameters,
)

MIN_CASES = 30
"""Cases of a runtime below which it is not fitted."""
VERSION = 2
FOLDS = 4
"""Groups of families; each is forecast with parameters that were fitted to the others."""
TIMINGS, REPEATS = 12, 20
"""Random timings of a device that was held out, and how often they are drawn."""
JOINT = 0.1
"""Deviation of devices' factors while the parameters of all are fitted: small, for what they have in common is in the
parameters."""
SHARED = 0.7
"""Share of the logarithm of a device's factors that is expected of another device of its architecture."""
ASSUMED_DEVICES = 0.25
"""Devices that count for the assumed deviation of a device next to those held out, which are few."""
QUANTILES = 501
Report = Callable[[str], None]
Vector = Any
Problems = list[Problem]


def calibrated(cases: Mapping[str, Sequence[Case]], report: Report = lambda _: None) -> ParameterFile:
    """Return parameters fitted on cases by runtime; runtimes without cases are derived from the others or from priors.

    Raises InputError if no runtime has enough cases.
    """
    known = {*priors.FREE, *engines.START}
    usable = {name: some for name, some in cases.items() if len(some) >= MIN_CASES and name in known}
    if not usable:
        names = " and ".join(known)
        raise InputError("too-few-cases", f"At least {MIN_CASES} usable measurements of {names} are needed.")
    runtimes = dict(priors.START)
    for name, derived in priors.DERIVED.items():  # after the runtime that it starts from
        runtimes[name] = derived(runtimes)
        if name in usable:
            runtimes[name] = _fit(name, runtimes[name], usable[name], report)
    shipped = parameters().runtimes
    for name, start in engines.START.items():
        if name in usable:
            anew = {each: runtimes[each] for each in usable.keys() & runtimes.keys()}
            runtimes[name] = _fit(name, engines.beginning(name, {**shipped, **anew}), usable[name], report)
        else:
            runtimes[name] = shipped.get(name) or start
    for name in shipped.keys() & runtimes.keys():  # factors of backward passes are fitted apart
        runtimes[name] = replace(runtimes[name], training=shipped[name].training)
    how = "hwbench calibrate: " + "; ".join(f"{len(some)} cases of {name}" for name, some in sorted(usable.items()))
    return ParameterFile(SCHEMA, VERSION, how, dict(sorted(runtimes.items())), parameters().engines)


def _fit(name: str, start: Runtime, cases: Sequence[Case], report: Report) -> Runtime:
    """Return a runtime fitted to all cases, with the errors of fits that families, and devices, were held out of."""
    problems = _problems(cases)
    devices = sorted({each.hardware.label for each in problems})
    report(f"{name}: {len(cases)} cases on {', '.join(devices)}")
    several = devices if len(devices) > 1 else []  # the factors of one are in the parameters
    own = (replace(each, deviation=JOINT) for device in several for each in free_factors(device, start))
    shared = engines.free(start.cpu) if start.cpu and name in engines.START else priors.free(name, start)
    free = (*shared, *own)
    full = _with_expected(fitted(start, free, problems), problems)
    near, ledger = _without_families(full, free, problems, report)
    if any(_of_layers(each).any() for each in problems):
        report("the same by kinds of layers")
        ledger += _without_families(full, free, problems, report, splits.kind, "kinds of layers")[1]
    far, timed, more = _without_devices(full, free, problems, near, report) if len(devices) > 1 else ([], [], [])
    more += _without_software(full, free, problems, near, report)
    spread = replace(
        _spread(start.spread, near, far, timed),
        devices=dict(_home(problems, near)),
        architectures=tuple(sorted({each.hardware.architecture for each in problems})),
        vendors=tuple(sorted({case.device.vendor for case in cases})),
        dtypes=tuple(sorted({case.dtype for case in cases})),
    )
    families = tuple(sorted({splits.kind(case.family) for case in cases}))
    how = f"least squares of log time (soft L1) on {len(cases)} cases of {len(families)} families on "
    return replace(full, how=how + ", ".join(devices), spread=spread, families=families, held_out=(*more, *ledger))


def _problems(cases: Sequence[Case]) -> Problems:
    """Return the cases by device, dtype, layout and version."""
    groups: dict[tuple[Any, ...], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.device.label, case.dtype, case.layout or "", case.version or (0, 0)), []).append(case)
    return [problem(some, some[0].device) for _, some in sorted(groups.items())]


def _with_expected(runtime: Runtime, problems: Problems) -> Runtime:
    """Return the runtime with what the factors of its devices tell of others: the mean, and of related ones more."""
    if not runtime.devices:
        return runtime
    own = {label: _logs(factors) for label, factors in runtime.devices.items()}
    mean = np.mean(list(own.values()), axis=0)
    members: dict[str, list[Vector]] = {}
    for label, architecture in sorted({(each.hardware.label, each.hardware.architecture) for each in problems}):
        members.setdefault(architecture, []).append(own.get(label, mean))
    near = {name: mean + SHARED * (np.mean(some, axis=0) - mean) for name, some in members.items()}
    return replace(runtime, architectures={name: _factors(logs) for name, logs in near.items()}, others=_factors(mean))


def _logs(factors: PartFactors) -> Vector:
    return np.log([factors.compute, factors.memory, factors.overhead])


def _factors(logs: Vector) -> PartFactors:
    return PartFactors(*map(float, np.exp(logs)))


def _without_families(
    full: Runtime,
    free: Sequence[Free],
    problems: Problems,
    report: Report,
    group: Callable[[str], str] = str,
    only: str = "",
) -> tuple[list[Vector], list[HeldOut]]:
    """Return scaled errors by problem, each family's group forecast with parameters that were fitted to others.

    Whether they are inside is judged by the ends that the device's other groups give. Rows of the ledger are of all, or
    `only` of some.
    """
    folds = [np.array([splits.fold(group(family), FOLDS) for family in each.families]) for each in problems]
    errors = [np.zeros(len(each.times)) for each in problems]
    for fold in range(FOLDS):
        report(f"fitting without families of group {fold + 1} of {FOLDS}")
        pairs = [(each, parts != fold) for each, parts in zip(problems, folds, strict=True)]
        other = fitted(full, free, [selected(each, mask) for each, mask in pairs if mask.any()], warm=True)
        for own, (each, mask) in zip(errors, pairs, strict=True):
            own[~mask] = _log_errors(other, each)[~mask]
    inside = [np.zeros(len(each.times), dtype=bool) for each in problems]
    scaled = [own / _width(full, each) for own, each in zip(errors, problems, strict=True)]
    for fold in range(FOLDS):
        for members in _by_device(problems):
            others = [scaled[k][folds[k] != fold] for k in members]
            low, high = _ends([some for some in others if len(some)] or [scaled[k] for k in members])
            for k in members:
                inside[k] |= (folds[k] == fold) & (low <= scaled[k]) & (scaled[k] <= high)
    rows = zip(problems, errors, inside, strict=True)
    return scaled, [row for each in rows for row in _ledger_of_families(*each, only)]


def _width(runtime: Runtime, cases: Problem) -> Vector:
    """Return how much wider errors of each case's launches are than those of endless ones."""
    return np.array([few_launches(launches, runtime.spread.few) for launches in cases.launches])


def _of_layers(cases: Problem) -> Vector:
    """Return which cases are networks of one kind of layer."""
    return np.array([family.startswith("layers:") for family in cases.families])


def _ledger_of_families(cases: Problem, errors: Vector, inside: Vector, only: str) -> Iterator[HeldOut]:
    """Yield the rows of networks and of those of one kind of layer, or `only` the latter under another name."""
    layers = _of_layers(cases)
    for what, own in (("" if only else "families", ~layers), (only or "sizes of layers", layers)):
        if what and own.any():
            yield _ledger_row(what, selected(cases, own), errors[own], inside[own])


def _without_devices(
    full: Runtime, free: Sequence[Free], problems: Problems, near: list[Vector], report: Report
) -> tuple[list[Vector], list[Vector], list[HeldOut]]:
    """Return scaled errors by device forecast by fits to the others: by data sheet, and after a few timings.

    Whether they are inside is judged by the interval that the errors of the other devices give.
    """
    devices = _by_device(problems)
    far: list[list[Vector]] = []
    timed: list[list[tuple[Vector, Vector]]] = []
    width = [_width(full, each) for each in problems]
    for own in devices:
        label = problems[own[0]].hardware.label
        report(f"fitting without {label}")
        others = [each for each in problems if each.hardware.label != label]
        other = _with_expected(_refitted(full, free, others), others)
        far.append([_log_errors(other, problems[k]) for k in own])
        timed.append([_after_timings(other, problems[k]) for k in own])
    scaled = [[errors / width[k] for k, errors in zip(*each, strict=True)] for each in zip(devices, far, strict=True)]
    away = [np.concatenate(some) for some in scaled]
    after = [
        np.concatenate([(draws / width[k]).ravel() for k, (draws, _) in zip(*each, strict=True)])
        for each in zip(devices, timed, strict=True)
    ]
    sheet, few = [], []
    for number, own in enumerate(devices):
        rest = [k for k in range(len(devices)) if k != number]
        homes = [near[k] for other in rest for k in devices[other]]
        spread = _spread(full.spread, homes, [away[k] for k in rest], [after[k] for k in rest])
        for k, errors, (draws, residuals) in zip(own, far[number], timed[number], strict=True):
            low, high = (np.hypot(end * width[k], spread.device) for end in (spread.low, spread.high))
            sheet.append(_ledger_row("device", problems[k], errors, (-low <= errors) & (errors <= high)))
            ends = [spread_after(some, spread) for some in residuals]
            inside = np.abs(draws) <= np.hypot(np.array(ends)[:, None], spread.high * np.sqrt(width[k] ** 2 - 1))
            few.append(_ledger_row(f"device, {TIMINGS} timings", problems[k], draws, inside))
    return away, after, [*sheet, *few]


def _refitted(full: Runtime, free: Sequence[Free], problems: Problems) -> Runtime:
    """Return the runtime fitted to a part of the problems, without what others tell of devices."""
    devices = {label: own for label, own in full.devices.items() if label in {each.hardware.label for each in problems}}
    own = [each for each in free if each.device is None or each.device in devices]
    return fitted(replace(full, devices=devices, architectures={}), own, problems, warm=True)


def _without_software(
    full: Runtime, free: Sequence[Free], problems: Problems, near: list[Vector], report: Report
) -> Iterator[HeldOut]:
    """Yield the errors of devices under a version of torch whose tables were all held out.

    Whether they are inside is judged by the interval of the same device under other versions.
    """
    for version in sorted({each.version for each in problems if each.version}):
        rest = [k for k, each in enumerate(problems) if each.version != version]
        same = {
            k: [j for j in rest if problems[j].hardware.label == each.hardware.label] for k, each in enumerate(problems)
        }
        own = [k for k, each in enumerate(problems) if each.version == version and same[k]]
        if own:
            report(f"fitting without torch {version[0]}.{version[1]}")
            other = _refitted(full, free, [problems[k] for k in rest])
        for k in own:
            errors, (low, high) = _log_errors(other, problems[k]), _ends([near[j] for j in same[k]])
            scaled = errors / _width(full, problems[k])
            yield _ledger_row("software", problems[k], errors, (low <= scaled) & (scaled <= high))


def _by_device(problems: Problems) -> list[list[int]]:
    """Return the positions of the problems of each device."""
    labels = [each.hardware.label for each in problems]
    return [[k for k, label in enumerate(labels) if label == own] for own in sorted(set(labels))]


def _after_timings(runtime: Runtime, cases: Problem) -> tuple[Vector, Vector]:
    """Return the errors of all cases, and the scaled ones of those drawn, a row for each time that a few were drawn."""
    draws, errors, drawn = np.random.default_rng(0), [], []
    width = _width(runtime, cases)
    free = free_factors(cases.hardware.label, runtime, cases.hardware.architecture, cases.hardware.kind)
    for _ in range(REPEATS):
        mask = np.zeros(len(cases.times), dtype=bool)
        mask[draws.choice(len(mask), min(TIMINGS, len(mask)), replace=False)] = True
        errors.append(_log_errors(fitted(runtime, free, [selected(cases, mask)]), cases))
        drawn.append((errors[-1] / width)[mask])
    return np.stack(errors), np.stack(drawn)


def _spread(before: Spread, near: list[Vector], far: list[Vector], timed: list[Vector]) -> Spread:
    """Return intervals from scaled errors of families held out, and by how much a device held out widens them.

    Few devices tell little of the next one: what they tell is drawn towards the assumption from `before`.
    """
    low, high = _ends(near)
    spread = replace(before, low=-low, high=high)
    if not far:
        return spread

    def more(errors: list[Vector]) -> float:
        squares = (end**2 - own**2 for end, own in zip(_ends(errors), (low, high), strict=True))
        return float(max(0.0, *squares) ** 0.5)

    squares = ASSUMED_DEVICES * before.device**2 + len(far) * more(far) ** 2
    return replace(spread, device=(squares / (ASSUMED_DEVICES + len(far))) ** 0.5, timed=more(timed))


def _home(problems: Problems, errors: Sequence[Vector]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the ends of each device's own interval."""
    for own in _by_device(problems):
        low, high = _ends([errors[k] for k in own])
        yield problems[own[0]].hardware.label, (-low, high)


def _ends(errors: list[Vector]) -> tuple[float, float]:
    """Return the ends between which 80 % of errors lie, an equal share beyond each; every group weighs the same."""
    tail = (1 - priors.UNTESTED.level) / 2
    alike = np.concatenate([np.quantile(each, np.linspace(0, 1, QUANTILES)) for each in errors])
    low, high = np.quantile(alike, [tail, 1 - tail])
    return float(min(low, -0.01)), float(max(high, 0.01))


def _ledger_row(what: str, cases: Problem, errors: Vector, inside: Vector) -> HeldOut:
    """Return the errors of cases, and which of them are inside the interval, as a row of the ledger."""
    apes = np.abs(np.expm1(-errors)).reshape(-1, len(cases.times)).mean(axis=1)
    bias = float(np.mean(np.expm1(-errors)))
    worst = float(apes.max()) if len(apes) > 1 else None
    return HeldOut(what, cases.name, len(cases.times), float(apes.mean()), bias, float(np.mean(inside)), worst)


def _log_errors(runtime: Runtime, cases: Problem) -> Vector:
    """Return logarithms of measured over forecast time."""
    return np.log(cases.times / predicted(cases, runtime))


def difference(file: ParameterFile, other: ParameterFile, names: Collection[str]) -> dict[str, float]:
    """Return the largest relative difference of a parameter in each of the named runtimes."""
    differences = {}
    for name in sorted(other.runtimes.keys() & set(names)):
        a, b = (dict(_numbers(each.runtimes[name])) for each in (file, other))
        differences[name] = max((abs(a[key] / b[key] - 1) for key in a.keys() & b.keys() if b[key]), default=0.0)
    return differences


def _numbers(runtime: Runtime) -> Iterator[tuple[str, float]]:
    for name, value in to_builtins(runtime.gpu or runtime.cpu).items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", item) for key, item in value.items())
        else:
            yield name, value
