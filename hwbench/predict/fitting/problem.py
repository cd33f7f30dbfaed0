"""Fitting the time model: measurements in, parameters out. The same formulas, on arrays of kernels of one family.

Robust least squares on the logarithm of time (a prior keeps what the data do not tell where physics puts it); nothing
is random, so that the same data give the same file.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from hwbench.dtypes import BITS, MIXED
from hwbench.machine.device import Device
from hwbench.predict.model.grid import ARRAYS
from hwbench.predict.model.hardware import Hardware, hardware
from hwbench.predict.model.launch import Launch, launch
from hwbench.predict.model.parameters import CpuParameters, GpuParameters, Runtime
from hwbench.predict.model.time import combine, engine, launch_time, seconds
from hwbench.workload.ops import Workload

Vector = Any  # numpy arrays of floats
SCALE = 0.05
"""Logarithmic errors beyond which a measurement counts less than by its square (soft L1)."""
STRENGTH = 0.05
"""What one prior standard deviation costs, as a logarithmic error of one measurement."""
ROUNDS = 25


class Case(Struct, frozen=True):
    """One measurement: a workload on a device, in seconds."""

    workload: Workload
    device: Device
    dtype: str
    batch: int
    time_s: float
    family: str


class Stack(Struct):
    """Kernels of one family and engine dtype of all cases, as arrays; `case` says whose each one is."""

    launch: Launch
    dtype: str
    case: Vector
    weights: Vector


class Problem(Struct):
    """Cases on one device, ready to be evaluated at once."""

    hardware: Hardware
    stacks: tuple[Stack, ...]
    times: Vector
    families: tuple[str, ...]


def problem(cases: Sequence[Case], device: Device) -> Problem:
    """The cases of one device as arrays."""
    dtypes = {"tf32", *(("fp16" if case.dtype == MIXED else case.dtype) for case in cases)}
    dtypes |= {op.dtype for case in cases for op in case.workload.ops if op.dtype}
    m = hardware(device, dtypes)
    if m is None:
        raise ValueError(f"{device.title} has no known bandwidth")
    groups: dict[tuple[str, str], tuple[list[Launch], list[int], list[float]]] = {}
    for position, case in enumerate(cases):
        bits = BITS["fp32"] if case.dtype == MIXED else BITS[case.dtype]
        run = "fp16" if case.dtype == MIXED else case.dtype
        ops = case.workload.ops
        weights = sum((op.weight_elements * bits / 8 + op.fixed_weight_bytes) * op.count for op in ops)
        for op in ops:
            k = launch(op, case.workload.repeats(case.batch), bits)
            kernels, owners, sums = groups.setdefault((k.family, engine(op.dtype or run, k.family, m)), ([], [], []))
            kernels.append(k)
            owners.append(position)
            sums.append(weights)
    stacks = tuple(
        Stack(stacked(kernels, name), dtype, np.array(owners), np.array(sums))
        for (name, dtype), (kernels, owners, sums) in groups.items()
    )
    return Problem(m, stacks, np.array([case.time_s for case in cases]), tuple(case.family for case in cases))


def stacked(kernels: Sequence[Launch], family: str) -> Launch:
    """Kernels of one family as one whose numbers are arrays."""
    columns = {}
    for name in Launch.__struct_fields__[1:]:
        values = np.array([getattr(k, name) for k in kernels])
        columns[name] = values if values.dtype == bool else values.astype(float)
    return Launch(family, **columns)


def predicted(cases: Problem, runtime: Runtime) -> Vector:
    """The expected time of every case, in seconds."""
    device = np.zeros(len(cases.times))
    host = np.zeros(len(cases.times))
    for stack in cases.stacks:
        part = launch_time(ARRAYS, stack.launch, cases.hardware, stack.dtype, runtime, stack.weights)
        times = seconds(ARRAYS, part, runtime) * part.count
        device += np.bincount(stack.case, times, minlength=len(device))
        hosts = np.broadcast_to(part.host * part.count, stack.case.shape)
        host += np.bincount(stack.case, hosts, minlength=len(host))
    return combine(ARRAYS, device, host)


class Free(Struct, frozen=True):
    """A parameter to fit: its path (`compute.conv`), where physics puts it, how surely (in logarithms), its ceiling."""

    path: str
    prior: float
    deviation: float = 0.3
    ceiling: float = float("inf")


def fitted(runtime: Runtime, free: Sequence[Free], problems: Sequence[Problem]) -> Runtime:
    """The runtime with its free parameters where the errors are least, starting from where physics puts them."""
    from scipy.optimize import least_squares

    prior = np.log([one.prior for one in free])
    deviation = np.array([one.deviation for one in free])
    ceiling = np.log([one.ceiling for one in free])

    def errors(logs: Vector) -> Vector:
        at = with_values(runtime, free, np.exp(logs))
        found = [soft(np.log(predicted(cases, at) / cases.times)) for cases in problems]
        return np.concatenate([*found, STRENGTH * (logs - prior) / deviation])

    start = np.minimum(prior, ceiling - 1e-3)
    done = least_squares(errors, start, bounds=(-np.inf, ceiling), max_nfev=ROUNDS, x_scale=deviation)
    return with_values(runtime, free, np.exp(done.x))


def soft(errors: Vector) -> Vector:
    """Errors whose squares grow but linearly beyond SCALE: a few odd measurements do not lead."""
    return np.sign(errors) * SCALE * np.sqrt(2 * (np.sqrt(1 + (errors / SCALE) ** 2) - 1))


def with_values(runtime: Runtime, free: Iterable[Free], values: Iterable[float]) -> Runtime:
    """The runtime with these values of its parameters, rounded to what anybody can read."""
    which = "gpu" if runtime.gpu is not None else "cpu"
    body = msgspec.to_builtins(runtime.gpu or runtime.cpu)
    for one, value in zip(free, values, strict=True):
        head, _, name = one.path.partition(".")
        if name:
            body[head][name] = float(value)
        else:
            body[head] = float(value)
    kind: type[GpuParameters] | type[CpuParameters] = GpuParameters if which == "gpu" else CpuParameters
    return msgspec.structs.replace(runtime, **{which: msgspec.convert(body, kind)})


Progress = Callable[[str], None]
