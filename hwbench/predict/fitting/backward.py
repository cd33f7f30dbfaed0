"""Factors of the operators of backward passes, by family, fitted to steps of training timed next to inferences.

What is fitted is the ratio of both passes to an inference of the same network in the same process: other work on the
machine, and errors of the forward forecast, are in both. Whole families of networks are held out, one group at a time.
"""

from collections.abc import Sequence
from math import exp, log
from typing import Any

import numpy as np
from msgspec import Struct

from hwbench.machine.device import Device
from hwbench.predict.data import splits
from hwbench.predict.forecast import hardware_for, timed
from hwbench.predict.model import scalar
from hwbench.predict.model.launch import ops_of_one, variant_of
from hwbench.predict.model.parameters import BACKWARD_GROUPS, OTHERS, OVERHEAD, Backward
from hwbench.predict.model.time import device_time
from hwbench.workload.ops import Workload

KEYS = (*dict.fromkeys(BACKWARD_GROUPS.values()), OTHERS, OVERHEAD)
PRIOR, ERROR = 0.3, 0.1
"""Deviations of the logarithms of a factor before any timing, and of a time."""
FOLDS = 4
MOST = 2.0
"""The largest logarithm of a factor."""
LEVEL = 0.8


class TimedPasses(Struct, frozen=True):
    """Measured seconds of an inference and of both passes of a step, and forecast ones: of an inference, of the forward
    pass, and of each group of operators in the backward pass."""

    family: str
    inference_s: float
    passes_s: float
    predicted_inference_s: float
    predicted_forward_s: float
    predicted_backward_s: tuple[float, ...]


def timed_passes(
    family: str,
    measured: tuple[float, float],
    inference: Workload,
    step: Workload,
    batch: int,
    device: Device,
    runtime: str,
) -> TimedPasses:
    """Return the times of a network: `measured` are an inference and both passes, without factors forecast."""
    forward, backward = 0.0, dict.fromkeys(KEYS, 0.0)
    times, model = _times(step, batch, device, runtime)
    for op, time in zip(ops_of_one(step), times, strict=True):
        seconds = device_time(scalar, time, model) * time.count
        if op.part == "backward":
            backward[BACKWARD_GROUPS.get(variant_of(op), OTHERS)] += seconds - time.overhead * time.count
            backward[OVERHEAD] += time.overhead * time.count
        else:
            forward += seconds
    ahead, model = _times(inference, batch, device, runtime)
    whole = sum(device_time(scalar, time, model) * time.count for time in ahead)
    return TimedPasses(family, *measured, whole, forward, tuple(backward.values()))


def _times(workload: Workload, batch: int, device: Device, runtime: str) -> Any:
    hardware = hardware_for(workload, device, "fp32")
    if hardware is None:
        raise ValueError(f"{device.title} has no known bandwidth")
    return timed(workload, hardware, "fp32", batch, runtime, as_forward=True)


def fitted(steps: Sequence[TimedPasses]) -> dict[str, float]:
    """Return the factors at which the errors of the ratios are smallest; those that nothing tells stay near 1."""
    from scipy.optimize import least_squares

    start = np.zeros(len(KEYS))

    def errors(logs: Any) -> Any:
        ratios = np.array([_error(step, np.exp(logs), ratio=True) for step in steps])
        return np.concatenate([ratios / ERROR, logs / PRIOR])

    solution = least_squares(errors, start, loss="soft_l1", bounds=(-MOST, MOST))
    return {key: float(f"{exp(value):.4g}") for key, value in zip(KEYS, solution.x, strict=True)}


def _error(step: TimedPasses, factors: Any, ratio: bool) -> float:
    """Return the logarithm of forecast over measured: of the ratio to an inference, or of the time itself."""
    predicted = step.predicted_forward_s + float(np.dot(factors, step.predicted_backward_s))
    whole = log(predicted / step.passes_s)
    return whole - log(step.predicted_inference_s / step.inference_s) if ratio else whole


def held_out(steps: Sequence[TimedPasses], ratio: bool) -> dict[str, list[tuple[int, float]]]:
    """Return the errors of networks by family, each with its fold, with factors that were fitted to other families."""
    folds = {step.family: splits.fold(step.family, FOLDS) for step in steps}
    result: dict[str, list[tuple[int, float]]] = {}
    for fold in range(FOLDS):
        known = list(fitted([step for step in steps if folds[step.family] != fold]).values())
        for step in steps:
            if folds[step.family] == fold:
                result.setdefault(step.family, []).append((fold, _error(step, known, ratio)))
    return result


def summary(errors: dict[str, list[tuple[int, float]]]) -> dict[str, float]:
    """Return mean and median error, and how many lie in the interval that the errors of the other folds give."""
    every = [each for some in errors.values() for each in some]
    apart = np.abs(np.exp([error for _, error in every]) - 1)
    inside = 0
    for fold, error in every:
        low, high = _ends([other for number, other in every if number != fold])
        inside += low <= error <= high
    return {"n": len(every), "families": len(errors), "mape": float(apart.mean()), "median": float(np.median(apart)),
            "inside": inside / len(every)}  # fmt: skip


def _ends(errors: Sequence[float]) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(errors, (tail, 1 - tail))
    return float(low), float(high)


def backward(steps: Sequence[TimedPasses]) -> Backward:
    """Return the factors of all steps, with the ends of the errors of steps whose families were held out."""
    low, high = _ends([error for some in held_out(steps, ratio=False).values() for _, error in some])
    return Backward(fitted(steps), low=max(high, 0.01), high=max(-low, 0.01))
