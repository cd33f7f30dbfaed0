"""Correct the time model for one CPU: a factor each for compute, memory and overhead.

A handful of timed networks determines them, because on a CPU the three parts of the forecast add up.
"""

from collections.abc import Sequence
from math import exp, log, sqrt

from msgspec import Struct
from msgspec.structs import replace

from hwbench.dtypes import BITS
from hwbench.machine.device import Device
from hwbench.predict.model import scalar
from hwbench.predict.model.hardware import hardware_of
from hwbench.predict.model.parameters import ParameterFile, parameters
from hwbench.predict.model.time import launch_times
from hwbench.workload.ops import Workload

DEVIATION = 0.5
"""Standard deviation of a factor's logarithm before any timing."""
NOISE = 0.08
"""Error of the model that remains on networks of one machine, in logarithms."""


class TimedNetwork(Struct, frozen=True):
    """A network that was timed at a batch, in seconds."""

    workload: Workload
    batch: int
    time_s: float


class Factors(Struct, frozen=True):
    """Measured over forecast time of each part; 80 % of the remaining logarithmic errors are within ±`spread`."""

    compute: float
    memory: float
    overhead: float
    spread: float


def factors(timed: Sequence[TimedNetwork], device: Device, runtime: str, known: ParameterFile | None = None) -> Factors:
    """Return the factors of a CPU at fp32 from networks that ran on all its units.

    Raises ValueError if its bandwidth is unknown or the runtime is for GPUs.
    """
    import numpy as np
    from scipy.optimize import least_squares

    hardware = hardware_of(device, {"fp32"})
    model = (known or parameters()).runtimes[runtime]
    if hardware is None or model.cpu is None:
        raise ValueError(f"{device.title} has no known bandwidth, or {runtime} does not run on it")
    uncorrected = replace(hardware, factors=None)
    sums = []
    for network in timed:
        workload, samples = network.workload, network.workload.repeats(network.batch)
        times = launch_times(scalar, workload, uncorrected, "fp32", BITS["fp32"], samples, model)
        parts = ("compute", "memory", "overhead")
        sums.append([sum(getattr(time, part) * time.count for time in times) for part in parts])
    forecast, measured = np.array(sums), np.array([network.time_s for network in timed])

    def errors(logs: np.ndarray) -> np.ndarray:
        misses = np.log(forecast @ np.exp(logs) / measured) / NOISE
        return np.concatenate([misses, logs / DEVIATION])

    solution = least_squares(errors, np.zeros(3))
    rest = [log(row @ np.exp(solution.x) / time) for row, time in zip(forecast, measured, strict=True)]
    spread = 1.28 * sqrt(sum(error * error for error in rest) / max(len(rest) - 3, 1))
    compute, memory, overhead = (float(f"{exp(value):.4g}") for value in solution.x)
    return Factors(compute, memory, overhead, float(f"{max(spread, 1.28 * NOISE):.4g}"))
