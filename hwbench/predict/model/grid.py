"""The time model on numpy arrays: the same formulas, for many devices, dtypes and batches at once."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from hwbench import dtypes as formats
from hwbench.dtypes import Dtype
from hwbench.machine.device import Device
from hwbench.predict.model.hardware import Hardware, hardware_of
from hwbench.predict.model.parameters import ParameterFile, Runtime, parameters
from hwbench.predict.model.runtimes import DEFAULT_RUNTIMES, check_runtime, runs_on
from hwbench.predict.model.time import device_and_host_time, launch_times, total_time
from hwbench.workload.ops import Workload, fold

BLOCK = 16_384
"""Estimates that are computed at a time: their arrays stay in the second-level cache."""


def grid(
    workload: Workload,
    devices: Sequence[Device],
    dtypes: Sequence[str],
    batches: Sequence[int],
    runtime: str | None = None,
    known: ParameterFile | None = None,
) -> np.ndarray:
    """Return forecast seconds of a batch by device, dtype and batch; NaN if bandwidth or rates are unknown.

    The workload's ops are those of one dtype: for mixed precision pass a workload that was traced so. Without a
    `runtime` each device runs eager; with one, devices that it does not run on are NaN. Raises InputError for a batch
    that the workload was not traced for, and for an unknown runtime or dtype.
    """
    if runtime is not None:
        check_runtime(runtime)
    times = np.full((len(devices), len(dtypes), len(batches)), np.nan)
    samples = np.array([workload.repeats(batch) for batch in batches], dtype=float)
    folded = _folded(workload)
    file = known or parameters()
    for column, dtype in enumerate(map(formats.dtype, dtypes)):
        for name, rows, group in _groups(folded, devices, dtype, runtime):
            times[rows, column] = _times(folded, group, dtype, samples, file.runtimes[name])
    return times


def _folded(workload: Workload) -> Workload:
    """Return the workload with ops that differ in their name alone made one with a count."""
    ops = fold((":gelu" if op.name.endswith(":gelu") else "", op) for op in workload.ops)
    return replace(workload, ops=ops)


def _groups(
    workload: Workload, devices: Sequence[Device], dtype: Dtype, runtime: str | None
) -> Iterator[tuple[str, list[int], list[Hardware]]]:
    """Yield groups of devices to which the same formulas apply: the runtime's name, positions and hardware."""
    needed = {dtype.computes_in, "tf32", *(op.dtype for op in workload.ops if op.dtype)}
    groups: dict[Any, list[tuple[int, Hardware]]] = {}
    for position, device in enumerate(devices):
        name = runtime or DEFAULT_RUNTIMES[device.kind]
        if not runs_on(name, device.kind):
            continue
        hardware = hardware_of(device, needed)
        if hardware is None:
            continue
        engines = tuple(sorted((key, rates.matrix) for key, rates in hardware.rates.items()))
        key = (name, engines, "bandwidth" in hardware.measured, hardware.op_overhead is None, hardware.factors)
        groups.setdefault(key, []).append((position, hardware))
    for (name, *_), members in groups.items():
        yield name, [position for position, _ in members], [hardware for _, hardware in members]


def _times(
    workload: Workload, devices: list[Hardware], dtype: Dtype, samples: np.ndarray, runtime: Runtime
) -> np.ndarray:
    """Return seconds by device and number of samples, computed block by block on all cores."""
    times = np.empty((len(devices), len(samples)))
    width = min(len(samples), BLOCK)
    height = max(1, BLOCK // width)
    blocks = [
        (slice(top, top + height), slice(left, left + width))
        for top in range(0, len(devices), height)
        for left in range(0, len(samples), width)
    ]

    def fill(block: tuple[slice, slice]) -> None:
        rows, columns = block
        hardware = stacked(devices[rows], (-1, 1))
        launches = launch_times(np, workload, hardware, dtype.computes_in, dtype.bits, samples[None, columns], runtime)
        times[rows, columns] = total_time(np, *device_and_host_time(np, launches, runtime))

    if len(blocks) == 1:
        fill(blocks[0])
        return times
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None) as pool:
        list(pool.map(fill, blocks))
    return times


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
