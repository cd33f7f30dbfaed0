"""The time model on numpy arrays: the same formulas, for many devices and batches at once."""

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from hwbench import dtypes as formats
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.predict.model import bounds
from hwbench.predict.model.bounds import DeviceCeilings, ceilings_of, compute_dtype, engines
from hwbench.predict.model.hardware import Hardware, hardware_of
from hwbench.predict.model.interval import log_interval
from hwbench.predict.model.launch import UNKNOWN, Launch, Place, family_of, launch_of, ops_of_one, places, variant_of
from hwbench.predict.model.parameters import ParameterFile, Runtime, parameters
from hwbench.predict.model.runtimes import KERNELS, Math, calibration_of, check_runtime, full_name, runs_on, runtime_for
from hwbench.predict.model.time import device_time, launch_time, parts, total_time, weight_bytes, weights_of
from hwbench.workload.ops import Op, Workload, fold

Array = Any
BLOCK = 16_384
"""Estimates that are computed at a time: their arrays stay in the second-level cache."""
BOUNDS = ("ideal", "roofline", "memory_roofline")
FORECASTS = ("time", "compute", "memory", "unknown")


class Grid(Struct, frozen=True):
    """Estimates by device and batch, NaN where unknown: seconds, and shares of the time.

    `memory_roofline` is the part of the roofline's seconds in which memory is the bound; `compute`, `memory` and
    `unknown` are shares of the forecast `time`, the latter that of ops of no known family; `low` and `high` are the
    ends of its interval. `runtimes` are those of the devices.
    """

    ideal: Array
    roofline: Array
    memory_roofline: Array
    time: Array
    compute: Array
    memory: Array
    unknown: Array
    low: Array
    high: Array
    runtimes: tuple[str, ...]

    @property
    def overhead(self) -> Array:
        """The share of the time that is overhead."""
        return np.maximum(1.0 - self.compute - self.memory, 0.0)

    @property
    def bound(self) -> Array:
        """What limits the forecast time: 0 compute, 1 memory, 2 overhead, NaN unknown."""
        shares = np.stack([self.compute, self.memory, self.overhead])
        return np.where(np.isnan(self.time), np.nan, shares.argmax(axis=0))


class _Ops(Struct, frozen=True):
    """The launches of a workload with the dtypes of their ops, and the bytes of all weights."""

    launches: list[tuple[Launch, str]]
    weights: float


_Formula = Callable[[Any, _Ops, Any], tuple[Array, ...]]


def grid(
    workload: Workload,
    devices: Sequence[Device],
    dtype: str,
    batches: Sequence[int],
    runtime: str | None = None,
    math: Math = "default",
    known: ParameterFile | None = None,
) -> Grid:
    """Return bounds and forecasts of batches by device and batch.

    The workload's ops are those of one dtype: for mixed precision pass a workload that was traced so. Without a
    `runtime` each device runs eager; devices that it does not run on have bounds alone. Raises InputError for a batch
    that the workload was not traced for, and for an unknown runtime or dtype.
    """
    if runtime is not None:
        check_runtime(runtime)
    number, file = formats.dtype(dtype), known or parameters()
    needed = {number.computes_in, *(op.dtype for op in workload.ops if op.dtype)}
    runs = [runtime is None or runs_on(runtime, device.kind) for device in devices]
    names = tuple(
        full_name(runtime, device.kind) if runtime and able else runtime_for(device.kind, None, workload.phase)
        for device, able in zip(devices, runs, strict=True)
    )
    ceilings = [_ceilings(device, needed, math) for device in devices]
    hardware = tuple(
        hardware_of(device, needed, math=math, known=calibration_of(device, name))
        if able and rates and number.name in KERNELS
        else None
        for device, able, rates, name in zip(devices, runs, ceilings, names, strict=True)
    )
    hardware = tuple(
        machine and replace(machine, expected=file.runtimes[name].factors(machine.label, machine.architecture))
        for machine, name in zip(hardware, names, strict=True)
    )
    samples = np.array([workload.repeats(batch) * workload.samples for batch in batches], dtype=float)
    columns = {name: np.full((len(devices), len(samples)), np.nan) for name in (*BOUNDS, *FORECASTS)}
    folded = _folded(workload)

    def operations(part: slice) -> _Ops:
        launches = [
            (launch_of(op, samples[None, part], number.bits, place), op.dtype or number.computes_in)
            for op, place in folded
        ]
        return _Ops(launches, weight_bytes(workload, number.bits))

    for machines, kind, formula, results, how in (
        (ceilings, _kind_of_ceilings, _bounds, BOUNDS, file.fuses),
        (hardware, _kind_of_hardware, _forecasts, FORECASTS, file.runtimes.__getitem__),
    ):
        for name, rows in _groups(machines, names, kind):
            group = [machines[row] for row in rows]
            values = _in_blocks(formula, group, operations, len(samples), how(name))
            for result, value in zip(results, values, strict=True):
                columns[result][rows] = value
    low, high = np.full((2, len(devices), len(samples)), np.nan)
    for row, (device, machine, name) in enumerate(zip(devices, hardware, names, strict=True)):
        if machine is not None:
            unsure = columns["unknown"][row], 1.0 - columns["compute"][row] - columns["memory"][row]
            spread = file.runtimes[name].spread
            ends = log_interval(np, spread, device.vendor, machine, number.name, unsure, workload.launches)
            low[row], high[row] = columns["time"][row] * np.exp(ends[0]), columns["time"][row] * np.exp(ends[1])
    return Grid(**columns, low=low, high=high, runtimes=names)


def _folded(workload: Workload) -> tuple[tuple[Op, Place], ...]:
    """Return the ops by their places, those that differ in their name alone as one."""
    groups: dict[Place, list[tuple[str, Op]]] = {}
    ops = ops_of_one(workload)
    for op, place in zip(ops, places(ops), strict=True):
        groups.setdefault(place, []).append((f"{family_of(op)} {variant_of(op)}", op))
    return tuple((op, place) for place, members in groups.items() for op in fold(members))


def _ceilings(device: Device, dtypes: set[str], math: Math) -> DeviceCeilings | None:
    try:
        return ceilings_of(device, *engines(device, dtypes, math=math))
    except InputError:  # no rate
        return None


def _kind_of_ceilings(ceilings: DeviceCeilings) -> Hashable:
    return ceilings.tf32, ceilings.winograd


def _kind_of_hardware(hardware: Hardware) -> Hashable:
    engines = tuple(sorted((key, rates.matrix) for key, rates in hardware.rates.items()))
    measured = "bandwidth" in hardware.measured, hardware.op_overhead is None, hardware.factors
    return hardware.kind, engines, hardware.tf32, measured


def _groups(
    machines: Sequence[Any], runtimes: Sequence[str], kind: Callable[[Any], Hashable]
) -> Iterator[tuple[str, list[int]]]:
    """Yield groups of machines to which the same formulas apply: the runtime's name, and positions."""
    groups: dict[Hashable, list[int]] = {}
    for position, (machine, runtime) in enumerate(zip(machines, runtimes, strict=True)):
        if machine is not None:
            groups.setdefault((runtime, kind(machine)), []).append(position)
    for positions in groups.values():
        yield runtimes[positions[0]], positions


def _in_blocks(
    formula: _Formula, machines: list[Any], operations: Callable[[slice], _Ops], samples: int, how: Runtime | bool
) -> Array:
    """Return what a formula gives by device and number of samples, computed block by block on all cores."""
    width = min(samples, BLOCK)
    height = max(1, BLOCK // width)
    blocks = [
        (slice(top, top + height), slice(left, left + width))
        for top in range(0, len(machines), height)
        for left in range(0, samples, width)
    ]
    values = np.empty((len(BOUNDS) if formula is _bounds else len(FORECASTS), len(machines), samples))

    def fill(block: tuple[slice, slice]) -> None:
        rows, columns = block
        for row, result in enumerate(formula(stacked(machines[rows], (-1, 1)), operations(columns), how)):
            values[row, rows, columns] = result

    if len(blocks) == 1:
        fill(blocks[0])
        return values
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None) as pool:
        list(pool.map(fill, blocks))
    return values


def _bounds(ceilings: DeviceCeilings, ops: _Ops, fuses: bool) -> tuple[Array, ...]:
    """Return the ideal and the roofline in seconds, and the part of the latter in which memory is the bound."""
    ideal: Array = 0.0
    roofline: Array = 0.0
    in_memory: Array = 0.0
    for launch, dtype in ops.launches:
        compute, traffic = bounds.least(np, launch, dtype, ceilings, ops.weights, fuses)
        memory = traffic / ceilings.bandwidth
        time = np.maximum(compute, memory) * launch.count
        ideal, roofline = ideal + compute * launch.count, roofline + time
        in_memory = in_memory + np.where(compute > memory, 0.0, time)
    return ideal, roofline, in_memory


def _forecasts(hardware: Hardware, ops: _Ops, runtime: Runtime) -> tuple[Array, ...]:
    """Return the time in seconds, and the shares of it in compute, in memory and in ops of no known family."""
    device, host, compute, memory = np.zeros((4, 1, 1))
    unknown = [device, host]
    for launch, dtype in ops.launches:
        engine = compute_dtype(dtype, launch.family, hardware.tf32)
        time = launch_time(np, launch, engine, hardware, runtime, ops.weights)
        in_compute, in_memory = parts(np, time, runtime)
        spent, waited = device_time(np, time, runtime) * time.count, time.host * time.count
        device, host = device + spent, host + waited
        compute, memory = compute + in_compute * time.count, memory + in_memory * time.count
        if launch.family == UNKNOWN:
            unknown = [unknown[0] + spent, unknown[1] + waited]
    total = total_time(np, device, host)
    on_device, on_host = weights_of(np, device, host)
    known = np.where(total > 0.0, total, 1.0)
    strange = (on_device * unknown[0] + on_host * unknown[1]) / known
    return total, on_device * compute / known, on_device * memory / known, strange


def stacked(values: Sequence[Any], shape: tuple[int, ...] = (-1,)) -> Any:
    """Return structs of one type as one of arrays in `shape`; whatever is no number is taken from the first."""
    first = values[0]
    if isinstance(first, Struct):
        names = first.__struct_fields__
        return type(first)(**{name: stacked([getattr(value, name) for value in values], shape) for name in names})
    if isinstance(first, dict):
        return {key: stacked([value[key] for value in values], shape) for key in first}
    if isinstance(first, bool) and len(set(values)) > 1:
        return np.array(values).reshape(shape)
    if isinstance(first, int | float) and not isinstance(first, bool):
        return np.array(values, dtype=float).reshape(shape)
    return first
