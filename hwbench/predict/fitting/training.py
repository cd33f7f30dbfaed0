"""Factors of the operators of training steps, fitted to steps timed in torch; whole families of networks are held out.

Both passes are timed apart and fitted at once, from what their operators would take in an inference.
"""

from collections.abc import Sequence
from math import exp, log
from typing import Any

import numpy as np
from msgspec import Struct

from hwbench.machine.device import Device
from hwbench.predict.data import splits
from hwbench.predict.forecast import hardware_for, timed
from hwbench.predict.model.launch import RECURRENT_CELLS, launches_of
from hwbench.predict.model.parameters import FEW_TRAINED, OTHERS, Training, few_launches
from hwbench.workload.ops import Workload

PASSES = ("forward", "backward")
PRIOR, ERROR = 0.3, 0.1
"""Deviations of the logarithms of a factor before any timing, and of a time."""
OVERHEAD, RECORDED = "overhead", 0.7
"""Overhead of a pass, and the logarithm of its factor before any timing: torch records what it will differentiate."""
FOLDS = 4
MAX_LOG = 4.0
"""The largest logarithm of a factor."""
LEVEL = 0.8


class TimedPasses(Struct, frozen=True):
    """Measured seconds of both passes of a step of `launches`, and those of its operators in inferences.

    The latter are sums by pass, group and part (`compute`, `memory`, `overhead`), which have a factor together.
    """

    family: str
    launches: int
    measured: tuple[float, float]
    parts: dict[tuple[str, str, str], float]


def timed_step(
    family: str, measured: tuple[float, float], step: Workload, batch: int, device: Device, runtime: str
) -> TimedPasses:
    """Return the times of a step: `measured` are both passes."""
    hardware = hardware_for(step, device, "fp32")
    if hardware is None:
        raise ValueError(f"{device.title} has no known bandwidth")
    times, _ = timed(step, hardware, "fp32", batch, runtime, untrained=True)
    parts: dict[tuple[str, str, str], float] = {}
    for launch, time in zip(launches_of(step, batch, 32), times, strict=True):
        where = PASSES[not launch.group.startswith(PASSES[0])]
        steps = launch.group.removeprefix("forward ") in RECURRENT_CELLS
        for part in ("compute", "memory", "overhead"):
            shared = part == OVERHEAD and not steps
            key = (where, OVERHEAD if shared else launch.group, "compute" if steps else part)
            parts[key] = parts.get(key, 0.0) + getattr(time, part) * time.count
    return TimedPasses(family, step.launches, measured, parts)


def fitted(steps: Sequence[TimedPasses]) -> dict[tuple[str, str, str], float]:
    """Return the factors at which the errors of both passes are smallest; those that nothing tells stay as before."""
    from scipy.optimize import least_squares

    keys = list(dict.fromkeys(key for step in steps for key in step.parts))
    before = np.array([RECORDED if group == OVERHEAD else 0.0 for _, group, _ in keys])
    seconds = np.array(
        [[step.parts.get(key, 0.0) if key[0] == where else 0.0 for key in keys] for where in PASSES for step in steps]
    )
    measured = np.log([step.measured[number] for number in range(len(PASSES)) for step in steps])

    def errors(logs: Any) -> Any:
        return np.concatenate([(np.log(seconds @ np.exp(logs)) - measured) / ERROR, (logs - before) / PRIOR])

    def slopes(logs: Any) -> Any:
        shares = seconds * np.exp(logs)
        return np.vstack([shares / shares.sum(axis=1, keepdims=True) / ERROR, np.eye(len(keys)) / PRIOR])

    solution = least_squares(errors, before, slopes, loss="soft_l1", bounds=(-MAX_LOG, MAX_LOG))
    return {key: exp(value) for key, value in zip(keys, solution.x, strict=True)}


def error(step: TimedPasses, factors: dict[tuple[str, str, str], float]) -> float:
    """Return the logarithm of forecast over measured time of both passes."""
    predicted = sum(factors.get(key, 1.0) * seconds for key, seconds in step.parts.items())
    return log(predicted / sum(step.measured))


class HeldOutStep(Struct, frozen=True):
    """The error of a step with factors that were fitted to the families of other folds."""

    step: TimedPasses
    fold: int
    error: float

    @property
    def scaled(self) -> float:
        """The error over how much wider those of so few launches are."""
        return self.error / few_launches(self.step.launches, FEW_TRAINED)


def held_out(steps: Sequence[TimedPasses]) -> list[HeldOutStep]:
    """Return the errors of all steps."""
    folds = {step.family: splits.fold(step.family, FOLDS) for step in steps}
    known = [fitted([step for step in steps if folds[step.family] != fold]) for fold in range(FOLDS)]
    return [HeldOutStep(step, fold := folds[step.family], error(step, known[fold])) for step in steps]


def summary(some: Sequence[HeldOutStep], every: Sequence[HeldOutStep]) -> dict[str, float]:
    """Return mean and median error of some, and how many lie in the interval that the errors of other folds give."""
    apart = np.abs(np.exp([each.error for each in some]) - 1)
    ends = [_ends([each for each in every if each.fold != fold]) for fold in range(FOLDS)]
    inside = sum(ends[each.fold][0] <= each.scaled <= ends[each.fold][1] for each in some)
    return {"n": len(some), "families": len({each.step.family for each in some}), "mape": float(apart.mean()),
            "median": float(np.median(apart)), "inside": inside / len(some)}  # fmt: skip


def _ends(errors: Sequence[HeldOutStep]) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile([each.scaled for each in errors], (tail, 1 - tail))
    return float(low), float(high)


def updates(measured: Sequence[tuple[float, int, float]]) -> tuple[float, float, float]:
    """Return the seconds of an optimizer's step, of a tensor and of a byte of weights, from seconds of updates."""
    from scipy.optimize import least_squares

    times, tensors, weights = (np.array(each, dtype=float) for each in zip(*measured, strict=True))
    terms = np.array([np.ones(len(times)), tensors, weights])

    def errors(logs: Any) -> Any:
        return (np.log(np.exp(logs) @ terms) - np.log(times)) / ERROR

    seconds = np.exp(least_squares(errors, np.log([1e-4, 1e-5, 1e-10]), loss="soft_l1").x)
    return _rounded(seconds)


def _rounded(values: Sequence[float]) -> tuple[float, float, float]:
    first, second, third = (float(f"{value:.4g}") for value in values)
    return first, second, third


def training(steps: Sequence[TimedPasses], optimizers: dict[str, tuple[float, float, float]]) -> Training:
    """Return the factors of all steps, with the ends of the errors of steps whose families were held out."""
    low, high = _ends(held_out(steps))
    known = fitted(steps)
    factors = {}
    for where, group, _ in known:
        each = tuple(known.get((where, group, part), 1.0) for part in ("compute", "memory"))
        steps_too = group.removeprefix("forward ") in RECURRENT_CELLS
        if group != OVERHEAD:
            shared = each[0] if steps_too else known[where, OVERHEAD, OVERHEAD]
            factors[group] = _rounded((each[0], each[0] if steps_too else each[1], shared))
    factors[OTHERS] = _rounded((1.0, 1.0, known["backward", OVERHEAD, OVERHEAD]))
    return Training(dict(sorted(factors.items())), optimizers, low=max(high, 0.01), high=max(-low, 0.01))
