"""Fit the time model: the same formulas, on arrays of the launches of one family.

Robust least squares on the logarithm of time, with priors for parameters that the data do not determine. Nothing is
random, so the same data give the same file.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from hwbench import dtypes
from hwbench.machine.device import Device
from hwbench.predict.model.bounds import compute_dtype
from hwbench.predict.model.grid import stacked
from hwbench.predict.model.hardware import Hardware, hardware_of
from hwbench.predict.model.launch import Launch, launch_of
from hwbench.predict.model.parameters import Runtime
from hwbench.predict.model.time import device_time, launch_time, total_time, weight_bytes
from hwbench.workload.ops import Workload

Vector = Any  # numpy arrays of floats
SOFT_ERROR = 0.05
"""Logarithmic errors beyond which a measurement counts less than by its square (soft L1)."""
PRIOR_WEIGHT = 0.05
"""Weight of one standard deviation of a prior, as a logarithmic error of one measurement."""
MAX_ROUNDS = 25


class Case(Struct, frozen=True):
    """One measurement: a workload on a device, in seconds."""

    workload: Workload
    device: Device
    dtype: str
    batch: int
    time_s: float
    family: str


class Stack(Struct, frozen=True):
    """Launches of one family and dtype of all cases, as arrays; `case` says whose each one is."""

    launch: Launch
    dtype: str
    case: Vector
    weights: Vector


class Problem(Struct, frozen=True):
    """Cases on one device, ready to be evaluated at once."""

    hardware: Hardware
    stacks: tuple[Stack, ...]
    times: Vector
    families: tuple[str, ...]


def problem(cases: Sequence[Case], device: Device) -> Problem:
    """Return the cases of one device as arrays. Raises ValueError if its bandwidth is unknown."""
    formats = [dtypes.dtype(case.dtype) for case in cases]
    needed = {dtype.computes_in for dtype in formats}
    needed |= {op.dtype for case in cases for op in case.workload.ops if op.dtype}
    hardware = hardware_of(device, needed)
    if hardware is None:
        raise ValueError(f"{device.title} has no known bandwidth")
    groups: dict[tuple[str, str], list[tuple[Launch, int, float]]] = {}
    for position, (case, dtype) in enumerate(zip(cases, formats, strict=True)):
        weights = weight_bytes(case.workload, dtype.bits)
        for op in case.workload.ops:
            launch = launch_of(op, case.workload.repeats(case.batch), dtype.bits)
            engine = compute_dtype(op.dtype or dtype.computes_in, launch.family, hardware.tf32)
            groups.setdefault((launch.family, engine), []).append((launch, position, weights))
    stacks = []
    for (_, engine), members in groups.items():
        launches, positions, sums = zip(*members, strict=True)
        stacks.append(Stack(stacked(launches), engine, np.array(positions), np.array(sums)))
    times = np.array([case.time_s for case in cases])
    return Problem(hardware, tuple(stacks), times, tuple(case.family for case in cases))


def predicted(cases: Problem, runtime: Runtime) -> Vector:
    """Return the forecast of every case, in seconds."""
    device = np.zeros(len(cases.times))
    host = np.zeros(len(cases.times))
    for stack in cases.stacks:
        time = launch_time(np, stack.launch, stack.dtype, cases.hardware, runtime, stack.weights)
        times = device_time(np, time, runtime) * time.count
        device += np.bincount(stack.case, times, minlength=len(device))
        hosts = np.broadcast_to(time.host * time.count, stack.case.shape)
        host += np.bincount(stack.case, hosts, minlength=len(host))
    return total_time(np, device, host)


class Free(Struct, frozen=True):
    """A parameter to fit: its path (`compute.conv`), its prior, how sure that is (in logarithms), its ceiling."""

    path: str
    prior: float
    deviation: float = 0.3
    ceiling: float = float("inf")


def fitted(runtime: Runtime, free: Sequence[Free], problems: Sequence[Problem]) -> Runtime:
    """Return the runtime with the free parameters at which the errors are smallest, starting from their priors."""
    from scipy.optimize import least_squares

    prior = np.log([parameter.prior for parameter in free])
    deviation = np.array([parameter.deviation for parameter in free])
    ceiling = np.log([parameter.ceiling for parameter in free])

    def errors(logs: Vector) -> Vector:
        trial = with_values(runtime, free, np.exp(logs))
        robust = [soft(np.log(predicted(cases, trial) / cases.times)) for cases in problems]
        return np.concatenate([*robust, PRIOR_WEIGHT * (logs - prior) / deviation])

    start = np.minimum(prior, ceiling - 1e-3)
    solution = least_squares(errors, start, bounds=(-np.inf, ceiling), max_nfev=MAX_ROUNDS, x_scale=deviation)
    return with_values(runtime, free, np.exp(solution.x))


def soft(errors: Vector) -> Vector:
    """Return errors whose squares grow only linearly beyond SOFT_ERROR, so that outliers count less."""
    return np.sign(errors) * SOFT_ERROR * np.sqrt(2 * (np.sqrt(1 + (errors / SOFT_ERROR) ** 2) - 1))


def with_values(runtime: Runtime, free: Iterable[Free], values: Iterable[float]) -> Runtime:
    """Return the runtime with these values of its parameters."""
    kind = "gpu" if runtime.gpu is not None else "cpu"
    old: Any = getattr(runtime, kind)
    body = msgspec.to_builtins(old)
    for parameter, value in zip(free, values, strict=True):
        head, _, name = parameter.path.partition(".")
        if name:
            body[head][name] = float(value)
        else:
            body[head] = float(value)
    return replace(runtime, **{kind: msgspec.convert(body, type(old))})
