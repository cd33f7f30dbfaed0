"""What one CPU does differently from the time model: a factor each for compute, memory and overhead.

A handful of timed networks settles them: on a CPU the three parts of the expected time add up.
"""

from collections.abc import Sequence
from math import exp, log, sqrt

from msgspec import Struct

from hwbench.dtypes import BITS
from hwbench.machine.device import Device
from hwbench.predict.model.hardware import hardware
from hwbench.predict.model.parameters import ParameterFile, parameters
from hwbench.predict.model.scalar import SINGLE
from hwbench.predict.model.time import launches
from hwbench.workload.ops import Workload

DEVIATION = 0.5
"""How far a factor is from 1 before any timing, in logarithms: one standard deviation."""
NOISE = 0.08
"""The error that the model keeps on networks of one machine, in logarithms."""


class TimedNetwork(Struct, frozen=True):
    """A network that was timed at a batch, in seconds."""

    workload: Workload
    batch: int
    time_s: float


class Factors(Struct, frozen=True):
    """Measured over expected time of each part; `spread` holds 80 % of the logarithmic errors that are left."""

    compute: float
    memory: float
    overhead: float
    spread: float


def factors(timed: Sequence[TimedNetwork], device: Device, runtime: str, known: ParameterFile | None = None) -> Factors:
    """The factors of a CPU at fp32, from networks that ran on all its units. Raises ValueError without bandwidth."""
    import numpy as np
    from scipy.optimize import least_squares

    m = hardware(device, {"fp32"})
    chosen = (known or parameters()).runtimes[runtime]
    if m is None or chosen.cpu is None:
        raise ValueError(f"{device.title} has no known bandwidth, or {runtime} does not run on it")
    m.factors = (1.0, 1.0, 1.0)
    sums = []
    for one in timed:
        parts = launches(SINGLE, one.workload, m, "fp32", BITS["fp32"], one.workload.repeats(one.batch), chosen)
        sums.append(
            [sum(getattr(part, name) * part.count for part in parts) for name in ("compute", "memory", "overhead")]
        )
    expected, measured = np.array(sums), np.array([one.time_s for one in timed])

    def errors(logs: np.ndarray) -> np.ndarray:
        found = np.log(expected @ np.exp(logs) / measured) / NOISE
        return np.concatenate([found, logs / DEVIATION])

    done = least_squares(errors, np.zeros(3))
    left = [log(row @ np.exp(done.x) / time) for row, time in zip(expected, measured, strict=True)]
    spread = 1.28 * sqrt(sum(error * error for error in left) / max(len(left) - 3, 1))
    compute, memory, overhead = (float(f"{exp(value):.4g}") for value in done.x)
    return Factors(compute, memory, overhead, float(f"{max(spread, 1.28 * NOISE):.4g}"))
