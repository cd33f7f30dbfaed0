"""Fit the time model: the same formulas, on arrays of the launches of one family.

Robust least squares on the logarithm of time, with priors for parameters that the data do not determine. Nothing is
random, so the same data give the same file.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from hwbench import dtypes
from hwbench.machine.device import Device
from hwbench.predict.model.bounds import compute_dtype
from hwbench.predict.model.grid import stacked
from hwbench.predict.model.hardware import Hardware, hardware_of
from hwbench.predict.model.launch import Launch, launches_of
from hwbench.predict.model.parameters import CpuParameters, GpuParameters, PartFactors, Runtime
from hwbench.predict.model.time import device_time, launch_time, total_time, weight_bytes
from hwbench.workload.ops import Workload

Vector = Any  # numpy arrays of floats
SOFT_ERROR = 0.05
"""Logarithmic errors beyond which a measurement counts less than by its square (soft L1)."""
PRIOR_WEIGHT = 0.05
"""Weight of one standard deviation of a prior, as a logarithmic error of one measurement."""
MAX_ROUNDS = 40
STEP = 1e-4
"""Step of a logarithm from which slopes are computed."""
BLOCK = 16
"""Parameters that are moved at a time."""


class Case(Struct, frozen=True):
    """One measurement: a workload on a device, in seconds."""

    workload: Workload
    device: Device
    dtype: str
    batch: int
    time_s: float
    family: str
    version: tuple[int, int] | None = None
    layout: str | None = None


class Stack(Struct, frozen=True):
    """Launches of one family and dtype of all cases, as arrays; `case` says whose each one is."""

    launch: Launch
    dtype: str
    case: Vector
    weights: Vector


class Problem(Struct, frozen=True):
    """Cases on one device, ready to be evaluated at once; `launches` are those of each."""

    hardware: Hardware
    stacks: tuple[Stack, ...]
    times: Vector
    families: tuple[str, ...]
    launches: Vector
    version: tuple[int, int] | None = None
    name: str = ""


def problem(cases: Sequence[Case], device: Device) -> Problem:
    """Return the cases of one device as arrays. Raises ValueError if its bandwidth is unknown."""
    formats = [dtypes.dtype(case.dtype) for case in cases]
    needed = {dtype.computes_in for dtype in formats}
    needed |= {op.dtype for case in cases for op in case.workload.ops if op.dtype}
    hardware = hardware_of(device, needed)
    if hardware is None:
        raise ValueError(f"{device.title} has no known bandwidth")
    groups: dict[tuple[str, str, str], list[tuple[Launch, int, float]]] = {}
    for position, (case, dtype) in enumerate(zip(cases, formats, strict=True)):
        weights = weight_bytes(case.workload, dtype.bits)
        launches = launches_of(case.workload, case.batch, dtype.bits)
        for op, launch in zip(case.workload.ops, launches, strict=True):
            engine = compute_dtype(op.dtype or dtype.computes_in, launch.family, hardware.tf32)
            groups.setdefault((launch.family, launch.variant, engine), []).append((launch, position, weights))
    stacks = []
    for (_, _, engine), members in groups.items():
        alike, positions, sums = zip(*members, strict=True)
        stacks.append(Stack(stacked(alike), engine, np.array(positions), np.array(sums)))
    times = np.array([case.time_s for case in cases])
    first = cases[0]
    words = (device.label, first.dtype, first.layout, first.version and "torch-{}.{}".format(*first.version))
    families = tuple(case.family for case in cases)
    counts = np.array([case.workload.launches for case in cases])
    return Problem(hardware, tuple(stacks), times, families, counts, first.version, " ".join(filter(None, words)))


def selected(cases: Problem, mask: Vector) -> Problem:
    """Return the cases for which a mask is true."""
    position = np.cumsum(mask) - 1
    stacks = []
    for stack in cases.stacks:
        own = mask[stack.case]
        if own.any():
            stacks.append(Stack(_taken(stack.launch, own), stack.dtype, position[stack.case[own]], stack.weights[own]))
    families = tuple(np.array(cases.families)[mask].tolist())
    own = {"times": cases.times[mask], "launches": cases.launches[mask]}
    return replace(cases, stacks=tuple(stacks), families=families, **own)


def _taken(values: Any, own: Vector) -> Any:
    """Return a struct of arrays with the elements for which a mask is true."""
    if isinstance(values, Struct):
        return type(values)(**{name: _taken(getattr(values, name), own) for name in values.__struct_fields__})
    return values[own] if isinstance(values, np.ndarray) and values.shape == own.shape else values


def predicted(cases: Problem, runtime: Runtime) -> Vector:
    """Return the forecast of every case, in seconds."""
    runtime = runtime.of(cases.version)
    return _total([_busy(cases, stack, runtime) for stack in cases.stacks])[0]


def _busy(cases: Problem, stack: Stack, runtime: Runtime) -> Vector:
    """Return the seconds of every case that the launches of a stack keep the device, and the host.

    Where parameters are columns of values, each has a row of its own.
    """
    time = launch_time(np, stack.launch, stack.dtype, cases.hardware, runtime, stack.weights)
    rows = np.broadcast_arrays(device_time(np, time, runtime) * time.count, time.host * time.count, stack.case)[:2]
    sums = [[np.bincount(stack.case, row, minlength=len(cases.times)) for row in np.atleast_2d(some)] for some in rows]
    return np.array(sums)


def _total(busy: Sequence[Vector] | Vector) -> Vector:
    return total_time(np, *np.sum(busy, axis=0))


class Free(Struct, frozen=True):
    """A parameter to fit: its path (`compute.conv`), its prior, how sure that is (in logarithms), its ceiling."""

    path: str
    prior: float
    deviation: float = 0.3
    ceiling: float = float("inf")

    @property
    def device(self) -> str | None:
        """The name of the device that the parameter is of, None for those of all devices."""
        head, _, rest = self.path.partition(".")
        return rest.rpartition(".")[0] if head == "devices" else None


def fitted(runtime: Runtime, free: Sequence[Free], problems: Sequence[Problem], warm: bool = False) -> Runtime:
    """Return the runtime with the free parameters at which the errors are smallest.

    They start from their priors, or if `warm` from the runtime's own values.
    """
    from scipy.optimize import least_squares

    prior = np.log([parameter.prior for parameter in free])
    deviation = np.array([parameter.deviation for parameter in free])
    ceiling = np.log([parameter.ceiling for parameter in free])
    weight = PRIOR_WEIGHT / deviation

    def errors(logs: Vector) -> Vector:
        trial = with_values(runtime, free, np.exp(logs))
        robust = [soft(np.log(predicted(cases, trial) / cases.times)) for cases in problems]
        return np.concatenate([*robust, weight * (logs - prior)])

    def slopes(logs: Vector) -> Vector:
        return np.vstack([*(_slopes(cases, runtime, free, np.exp(logs)) for cases in problems), np.diag(weight)])

    begin = np.log([_value(runtime, parameter) for parameter in free]) if warm else prior
    start = np.minimum(begin, ceiling - 1e-3)
    solution = least_squares(
        errors, start, slopes, bounds=(-np.inf, ceiling), max_nfev=MAX_ROUNDS, x_scale=deviation, ftol=1e-6
    )
    return with_values(runtime, free, np.exp(solution.x))


def _slopes(cases: Problem, runtime: Runtime, free: Sequence[Free], values: Vector) -> Vector:
    """Return by how much each error grows with each parameter: a block of parameters is moved at a time.

    Launches of a stack are computed anew for those alone that their formulas read.
    """
    before = with_values(runtime, free, values).of(cases.version)
    reads: list[set[str]] = [set() for _ in cases.stacks]
    busy = [_busy(cases, stack, _noting(before, read)) for stack, read in zip(cases.stacks, reads, strict=True)]
    total = np.sum(busy, axis=0)
    moved = np.repeat(total, len(free), axis=1)
    for stack, known, read in zip(cases.stacks, busy, reads, strict=True):
        concerned = [k for k, parameter in enumerate(free) if _concerns(parameter, cases.hardware.label, read)]
        for block in (concerned[k : k + BLOCK] for k in range(0, len(concerned), BLOCK)):
            columns = np.repeat(values[:, None], len(block), axis=1)
            columns[block, range(len(block))] *= np.exp(STEP)
            trial = with_values(runtime, free, columns[:, :, None]).of(cases.version)
            moved[:, block] += _busy(cases, stack, trial) - known
    errors, known = (soft(np.log(total_time(np, *some) / cases.times)) for some in (moved, total))
    return ((errors - known) / STEP).T


def _concerns(parameter: Free, label: str, read: set[str]) -> bool:
    """Return whether a parameter concerns launches on a device whose formulas read these paths."""
    if parameter.device:
        return parameter.device == label
    return parameter.path.removesuffix("_half") in read  # which stands for the other one in earlier versions of torch


class _NotingTable(dict[str, float]):
    """A table of parameters that notes which of them are read."""

    def __init__(self, values: dict[str, float], head: str, read: set[str]) -> None:
        super().__init__(values)
        self.head, self.read = head, read

    def __getitem__(self, name: str) -> float:
        self.read.add(f"{self.head}.{name}")
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(f"{self.head}.{name}")
        return super().get(name, default)


class _Noting:
    """Parameters that note the paths of those that are read."""

    def __init__(self, values: GpuParameters | CpuParameters, read: set[str]) -> None:
        self.values, self.read = values, read

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.values, name)
        if isinstance(value, dict):
            return _NotingTable(value, name, self.read)
        self.read.add(name)
        return value


def _noting(runtime: Runtime, read: set[str]) -> Runtime:
    """Return the runtime with parameters that note into `read` which of them are read."""
    if runtime.gpu is not None:
        return replace(runtime, gpu=_Noting(runtime.gpu, read))
    assert runtime.cpu is not None  # a runtime has one of the two
    return replace(runtime, cpu=_Noting(runtime.cpu, read))


def soft(errors: Vector) -> Vector:
    """Return errors whose squares grow only linearly beyond SOFT_ERROR, so that outliers count less."""
    return np.sign(errors) * SOFT_ERROR * np.sqrt(2 * (np.sqrt(1 + (errors / SOFT_ERROR) ** 2) - 1))


def _value(runtime: Runtime, parameter: Free) -> float:
    head, _, name = parameter.path.partition(".")
    if parameter.device:
        return float(getattr(runtime.devices[parameter.device], name.rpartition(".")[2]))
    value = getattr(runtime.gpu or runtime.cpu, head)
    return float(value[name] if name else value)


def with_values(runtime: Runtime, free: Iterable[Free], values: Iterable[Any]) -> Runtime:
    """Return the runtime with these values of its parameters, numbers or columns of them."""
    kind = "gpu" if runtime.gpu is not None else "cpu"
    body = getattr(runtime, kind)
    changed: dict[str, Any] = {}
    devices: dict[str, dict[str, Any]] = {}
    for parameter, value in zip(free, values, strict=True):
        head, _, name = parameter.path.partition(".")
        own = float(value) if np.ndim(value) == 0 else value
        if parameter.device:
            devices.setdefault(parameter.device, {})[name.rpartition(".")[2]] = own
        elif name:
            changed.setdefault(head, dict(getattr(body, head)))[name] = own
        else:
            changed[head] = own
    factors = {label: replace(runtime.devices.get(label) or PartFactors(), **own) for label, own in devices.items()}
    return replace(runtime, devices={**runtime.devices, **factors}, **{kind: replace(body, **changed)})
