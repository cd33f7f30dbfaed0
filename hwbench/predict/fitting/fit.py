"""Fit a parameter file to measurements: which cases are fitted, which set the intervals, and what is derived."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct, to_builtins
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.predict.data import splits
from hwbench.predict.fitting import priors
from hwbench.predict.fitting.problem import Case, Free, Problem, fitted, predicted, problem
from hwbench.predict.model.parameters import SCHEMA, ParameterFile, Runtime, Spread
from hwbench.stats.intervals import prediction_ends

MIN_CASES = 30
"""Cases of a runtime below which it is not fitted."""
VERSION = 1
Report = Callable[[str], None]


class Fit(Struct, frozen=True):
    """The result for one runtime: its parameters, and the errors of each split on each device."""

    name: str
    runtime: Runtime
    cases: int
    errors: dict[str, dict[str, float]]


Problems = dict[str, dict[splits.Split, Problem]]
"""Problems by device and split; splits without cases are left out."""


def calibrated(
    cases: Mapping[str, Sequence[Case]], report: Report = lambda _: None
) -> tuple[ParameterFile, tuple[Fit, ...]]:
    """Return parameters fitted on cases by runtime; runtimes without cases are derived from the others or from priors.

    Raises InputError if no runtime has enough cases.
    """
    usable = {name: some for name, some in cases.items() if name in priors.START and len(some) >= MIN_CASES}
    if not usable:
        names = " and ".join(priors.START)
        raise InputError("too-few-cases", f"At least {MIN_CASES} usable measurements of {names} are needed.")
    fits = tuple(_fit(name, some, report) for name, some in usable.items())
    runtimes = {**priors.START, **{fit.name: fit.runtime for fit in fits}}
    runtimes["torch-compile-cuda"] = priors.compiled(runtimes["torch-eager-cuda"])
    runtimes["torch-eager-cpu"] = priors.interpreted(runtimes["torch-compile-cpu"])
    how = "hwbench calibrate --measurements: " + "; ".join(f"{fit.cases} cases of {fit.name}" for fit in fits)
    return ParameterFile(SCHEMA, VERSION, how, dict(sorted(runtimes.items()))), fits


def _fit(name: str, cases: Sequence[Case], report: Report) -> Fit:
    start, free = priors.START[name], priors.FREE[name]
    problems = _problems(cases)
    report(f"{name}: {len(cases)} cases on {', '.join(problems)}")
    runtime = fitted(start, free, _of_split(problems, "fit"))
    families = [case.family for case in cases if splits.split(case.family) == "fit"]
    how = (
        f"least squares of log time (soft L1) on {len(families)} cases of {len(set(families))} families on "
        f"{', '.join(problems)}; intervals from families of the split 'tune'"
    )
    runtime = replace(runtime, how=how, spread=_spread(start, free, runtime, problems, cases, report))
    return Fit(name, runtime, len(cases), _errors(runtime, problems))


def _problems(cases: Sequence[Case]) -> Problems:
    devices: dict[str, tuple[Device, list[Case]]] = {}
    for case in cases:
        devices.setdefault(case.device.label, (case.device, []))[1].append(case)
    problems: Problems = {}
    for name, (device, some) in sorted(devices.items()):
        by_split = {split: [case for case in some if splits.split(case.family) == split] for split in splits.SPLITS}
        problems[name] = {split: problem(members, device) for split, members in by_split.items() if members}
    return problems


def _of_split(problems: Problems, split: splits.Split, without: str | None = None) -> list[Problem]:
    return [parts[split] for name, parts in problems.items() if name != without and split in parts]


def _spread(
    start: Runtime, free: Sequence[Free], runtime: Runtime, problems: Problems, cases: Sequence[Case], report: Report
) -> Spread:
    """Return intervals from families that were not fitted, and how much a device that was not fitted widens them."""
    near = np.concatenate([_log_errors(runtime, cases) for cases in _of_split(problems, "tune")])
    low, high = _ends(near, priors.UNTESTED.level)
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
    far = []
    for name, parts in problems.items():
        report(f"fitting without {name}")
        other = fitted(start, free, _of_split(problems, "fit", without=name))
        far += [_log_errors(other, parts["tune"])] if "tune" in parts else []
    far_low, far_high = _ends(np.concatenate(far), spread.level)
    wider = max(far_high**2 - high**2, far_low**2 - low**2, 0.0) ** 0.5
    return replace(spread, device=float(wider))


def _log_errors(runtime: Runtime, cases: Problem) -> np.ndarray:
    """Return logarithms of measured over forecast time."""
    errors: np.ndarray = np.log(cases.times / predicted(cases, runtime))
    return errors


def _ends(errors: np.ndarray, level: float) -> tuple[float, float]:
    """Return the ends of the interval for `level` of future errors."""
    return prediction_ends(errors.tolist(), level)


def _errors(runtime: Runtime, problems: Problems) -> dict[str, dict[str, float]]:
    """Return the mean absolute error of each split on each device, as a share."""
    return {
        name: {split: float(np.mean(np.abs(np.expm1(-_log_errors(runtime, cases))))) for split, cases in parts.items()}
        for name, parts in problems.items()
    }


def difference(file: ParameterFile, other: ParameterFile, names: Iterable[str]) -> dict[str, float]:
    """Return the largest relative difference of a parameter in each of the named runtimes."""
    differences = {}
    for name in names:
        a, b = (dict(_numbers(each.runtimes[name])) for each in (file, other))
        differences[name] = max((abs(a[key] / b[key] - 1) for key in a.keys() & b.keys() if b[key]), default=0.0)
    return differences


def _numbers(runtime: Runtime) -> Iterator[tuple[str, float]]:
    for name, value in to_builtins(runtime.gpu or runtime.cpu).items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", item) for key, item in value.items())
        else:
            yield name, value
