"""Correct the time model for one device: a factor each for compute, memory and overhead, from a dozen timings."""

from collections.abc import Sequence
from math import sqrt

from msgspec import Struct
from msgspec.structs import replace

from hwbench import dtypes
from hwbench.machine.device import Device
from hwbench.predict.model import scalar
from hwbench.predict.model.hardware import hardware_of
from hwbench.predict.model.parameters import ParameterFile, Runtime, parameters
from hwbench.predict.model.time import LaunchTime, device_and_host_time, launch_times, scaled, total_time
from hwbench.workload.ops import Workload

DEVIATIONS = {"gpu": (0.15, 0.15, 0.3), "cpu": (0.3, 0.5, 0.5)}
"""Standard deviations of the logarithms of compute, memory and overhead between devices, before any timing."""
NOISE = 0.07
"""Standard deviation of the logarithmic errors that remain between networks of one device."""
PRIOR_TIMINGS = 10
"""Timings that the runtime's own interval counts for next to the errors seen."""
NORMAL_80 = 1.2816


class TimedNetwork(Struct, frozen=True):
    """A network that was timed in a runtime at a batch and a dtype, in seconds."""

    workload: Workload
    batch: int
    time_s: float
    runtime: str
    dtype: str = "fp32"


class Factors(Struct, frozen=True):
    """Measured over forecast time of each part; 80 % of the remaining logarithmic errors are within ±`spread`."""

    compute: float
    memory: float
    overhead: float
    spread: float


def factors(timed: Sequence[TimedNetwork], device: Device, known: ParameterFile | None = None) -> Factors:
    """Return the factors of a device, drawn towards 1 as far as timings are few.

    Raises ValueError if the bandwidth is unknown.
    """
    import numpy as np
    from scipy.optimize import least_squares

    runtimes = (known or parameters()).runtimes
    launches = [_launches(network, replace(device, calibration=None), runtimes[network.runtime]) for network in timed]
    measured = np.array([network.time_s for network in timed])
    deviations = np.array(DEVIATIONS[device.kind])

    def errors(logs: np.ndarray) -> np.ndarray:
        pairs = zip(launches, timed, strict=True)
        times = [_total(launch, np.exp(logs), runtimes[network.runtime]) for launch, network in pairs]
        misses: np.ndarray = np.log(np.array(times) / measured)
        return misses

    def weighted(logs: np.ndarray) -> np.ndarray:
        return np.concatenate([errors(logs) / NOISE, logs / deviations])

    solution = least_squares(weighted, np.zeros(3), loss="soft_l1")
    usual = max(runtimes[network.runtime].spread.high for network in timed)
    rest = NORMAL_80 * errors(solution.x)
    squares = (PRIOR_TIMINGS * usual**2 + float(rest @ rest)) / (PRIOR_TIMINGS + len(timed))
    spread = sqrt(squares * (1 + len(deviations) / len(timed)))
    values = (*np.exp(solution.x), spread)
    return Factors(*(float(f"{value:.4g}") for value in values))


def _launches(network: TimedNetwork, device: Device, runtime: Runtime) -> LaunchTime:
    """Return the times of all launches of a network as arrays."""
    import numpy as np

    number, workload = dtypes.dtype(network.dtype), network.workload
    hardware = hardware_of(device, {number.computes_in, "tf32", *(op.dtype for op in workload.ops if op.dtype)})
    if hardware is None:
        raise ValueError(f"{device.title} has no known bandwidth")
    samples = workload.repeats(network.batch)
    times = launch_times(scalar, workload, hardware, number.computes_in, number.bits, samples, runtime)
    return LaunchTime(*np.array([[getattr(t, name) for t in times] for name in LaunchTime.__struct_fields__]))


def _total(launches: LaunchTime, factors: Sequence[float], runtime: Runtime) -> float:
    import numpy as np

    busy, host = device_and_host_time(np, [scaled(launches, factors)], runtime)
    return float(total_time(np, np.sum(busy), np.sum(host)))
