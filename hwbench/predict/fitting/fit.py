"""From measurements to a parameter file: which cases are fitted, which set the intervals, and what is derived."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.predict.data import splits
from hwbench.predict.fitting import priors
from hwbench.predict.fitting.problem import Case, Free, Problem, fitted, predicted, problem
from hwbench.predict.model.parameters import SCHEMA, ParameterFile, Runtime, Spread

FEWEST = 30
"""Cases of a runtime below which nothing is fitted."""
VERSION = 1
Say = Callable[[str], None]


class Fit(Struct, frozen=True):
    """What came of one runtime: its parameters, and errors of each part on each device."""

    name: str
    runtime: Runtime
    cases: int
    errors: dict[str, dict[str, float]]


def calibrated(cases: dict[str, Sequence[Case]], say: Say = lambda _: None) -> tuple[ParameterFile, tuple[Fit, ...]]:
    """Parameters fitted on cases by runtime; runtimes without cases are derived from their neighbors or from priors.

    Raises InputError where no runtime has enough cases.
    """
    usable = {name: some for name, some in cases.items() if name in priors.START and len(some) >= FEWEST}
    if not usable:
        known = ", ".join(priors.START)
        raise InputError(f"hold fewer than {FEWEST} cases of each runtime that is fitted ({known})")
    fits = tuple(_fit(name, some, say) for name, some in usable.items())
    runtimes = {**priors.START, **{fit.name: fit.runtime for fit in fits}}
    runtimes["torch-compile-cuda"] = priors.compiled(runtimes["torch-eager-cuda"])
    runtimes["torch-eager-cpu"] = priors.interpreted(runtimes["torch-compile-cpu"])
    how = "hwbench calibrate --measurements: " + "; ".join(f"{fit.cases} cases of {fit.name}" for fit in fits)
    return ParameterFile(SCHEMA, VERSION, how, dict(sorted(runtimes.items()))), fits


def _fit(name: str, cases: Sequence[Case], say: Say) -> Fit:
    start, free = priors.START[name], priors.FREE[name]
    problems = _problems(cases)
    say(f"{name}: {len(cases)} cases on {', '.join(problems)}")
    runtime = fitted(start, free, _parts(problems, "fit"))
    families = {case.family for case in cases}
    chosen = [family for family in families if splits.part(family) == "fit"]
    how = (
        f"least squares of log time (soft L1) on {sum(case.family in chosen for case in cases)} cases of "
        f"{len(chosen)} families on {', '.join(problems)}; intervals from families of the part 'tune'"
    )
    spread = _spread(start, free, runtime, problems, cases, say)
    runtime = replace(runtime, how=how, spread=spread)
    return Fit(name, runtime, len(cases), _errors(runtime, problems))


def _problems(cases: Sequence[Case]) -> dict[str, list[Problem]]:
    """The cases by device, each part of the split a problem of its own: fit, tune, report."""
    devices: dict[str, tuple[Device, list[Case]]] = {}
    for case in cases:
        devices.setdefault(case.device.name or case.device.title, (case.device, []))[1].append(case)
    found = {}
    for name, (device, some) in sorted(devices.items()):
        parts = [[case for case in some if splits.part(case.family) == part] for part in splits.PARTS]
        found[name] = [problem(part, device) for part in parts]
    return found


def _parts(problems: dict[str, list[Problem]], part: splits.Part, without: str | None = None) -> list[Problem]:
    position = splits.PARTS.index(part)
    return [parts[position] for name, parts in problems.items() if name != without and len(parts[position].times)]


def _spread(
    start: Runtime,
    free: Sequence[Free],
    runtime: Runtime,
    problems: dict[str, list[Problem]],
    cases: Sequence[Case],
    say: Say,
) -> Spread:
    """Intervals from families that were not fitted, and what a device that was not fitted adds to them."""
    own = np.concatenate([_logs(runtime, one) for one in _parts(problems, "tune")])
    low, high = _ends(own, priors.UNTESTED.level)
    spread = replace(
        priors.UNTESTED,
        low=-low,
        high=high,
        devices=tuple(sorted(problems)),
        vendors=tuple(sorted({case.device.vendor for case in cases})),
        dtypes=tuple(sorted({case.dtype for case in cases})),
    )
    if len(problems) < 2:
        return spread
    moved = []
    for name in problems:
        say(f"fitting without {name}")
        other = fitted(start, free, _parts(problems, "fit", without=name))
        moved.append(_logs(other, problems[name][splits.PARTS.index("tune")]))
    far_low, far_high = _ends(np.concatenate(moved), spread.level)
    wider = max(far_high**2 - high**2, far_low**2 - low**2, 0.0) ** 0.5
    return replace(spread, device=float(wider))


def _logs(runtime: Runtime, cases: Problem) -> np.ndarray:
    """Logarithms of measured over expected time."""
    found: np.ndarray = np.log(cases.times / predicted(cases, runtime))
    return found


def _ends(errors: np.ndarray, level: float) -> tuple[float, float]:
    """The ends of the interval that holds `level` of errors yet to come: conformal, an equal share beyond each end."""
    tail = (1 - level) / 2
    beyond = min(1.0, (1 - tail) * (1 + 1 / len(errors)))
    return float(np.quantile(errors, 1 - beyond)), float(np.quantile(errors, beyond))


def _errors(runtime: Runtime, problems: dict[str, list[Problem]]) -> dict[str, dict[str, float]]:
    """The mean absolute error of each part on each device, as a share."""
    found: dict[str, dict[str, float]] = {}
    for name, parts in problems.items():
        found[name] = {
            part: float(np.mean(np.abs(np.expm1(-_logs(runtime, one)))))
            for part, one in zip(splits.PARTS, parts, strict=True)
            if len(one.times)
        }
    return found


def difference(one: ParameterFile, other: ParameterFile, names: Iterable[str]) -> dict[str, float]:
    """The largest relative difference of a parameter in each of the named runtimes."""
    found = {}
    for name in names:
        values = [dict(_numbers(file.runtimes[name])) for file in (one, other)]
        shared = values[0].keys() & values[1].keys()
        found[name] = max((abs(values[0][key] / values[1][key] - 1) for key in shared if values[1][key]), default=0.0)
    return found


def _numbers(runtime: Runtime) -> list[tuple[str, float]]:
    import msgspec

    body = msgspec.to_builtins(runtime.gpu or runtime.cpu)
    flat = [(name, value) for name, value in body.items() if isinstance(value, float)]
    for name, value in body.items():
        if isinstance(value, dict):
            flat += [(f"{name}.{key}", item) for key, item in value.items()]
    return flat
