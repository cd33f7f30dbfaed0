"""The time model on numpy arrays: the same formulas, for many devices, dtypes and batches at once."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from msgspec.structs import replace

from hwbench.dtypes import BITS, MIXED
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.predict.model.hardware import Hardware, Rates, hardware
from hwbench.predict.model.parameters import ParameterFile, Runtime, parameters
from hwbench.predict.model.runtimes import DEFAULT_RUNTIMES, checked
from hwbench.predict.model.time import combine, launches, run
from hwbench.workload.ops import Workload, fold

BLOCK = 16_384
"""Estimates that are computed at a time: their arrays stay in the second-level cache."""


class GridArrays:
    """numpy's functions under the names of numbers.py."""

    ceil = staticmethod(np.ceil)
    least = staticmethod(np.minimum)
    most = staticmethod(np.maximum)
    root = staticmethod(np.sqrt)

    @staticmethod
    def choose(condition: Any, first: Any, second: Any) -> Any:
        """`first` where the condition holds, else `second`; one condition for all picks one of the two whole."""
        if isinstance(condition, bool | np.bool_):
            return first if condition else second
        return np.where(condition, first, second)


ARRAYS = GridArrays()


def grid(
    workload: Workload,
    devices: Sequence[Device],
    dtypes: Sequence[str],
    batches: Sequence[int],
    runtime: str | None = None,
    known: ParameterFile | None = None,
) -> np.ndarray:
    """Expected seconds of a batch, by device, dtype and batch; NaN where a device's bandwidth or rates are unknown.

    The workload's ops are those of one dtype: for mixed precision pass a workload that was traced so. Without a
    `runtime` each device runs eager; with one, devices that it does not run on are NaN. Raises InputError for a batch
    that the workload was not traced for.
    """
    found = np.full((len(devices), len(dtypes), len(batches)), np.nan)
    samples = np.array([workload.repeats(batch) for batch in batches], dtype=float)
    same = _folded(workload)
    file = known or parameters()
    for column, dtype in enumerate(dtypes):
        for name, members in _alike(same, devices, dtype, runtime):
            machines = [m for _, m in members]
            rows = [row for row, _ in members]
            found[rows, column] = _times(same, machines, dtype, samples, file.runtimes[name])
    return found


def _folded(workload: Workload) -> Workload:
    """Return the workload with ops that differ in their name alone made one with a count."""
    ops = fold((":gelu" if op.name.endswith(":gelu") else "", op) for op in workload.ops)
    return replace(workload, ops=ops)


def _alike(
    workload: Workload, devices: Sequence[Device], dtype: str, runtime: str | None
) -> Iterator[tuple[str, list[tuple[int, Hardware]]]]:
    """Groups of devices on which the same formulas hold: positions and machines, with the runtime's name."""
    computed = "fp16" if dtype == MIXED else dtype
    dtypes = {computed, "tf32", *(op.dtype for op in workload.ops if op.dtype)}
    groups: dict[Any, list[tuple[int, Hardware]]] = {}
    for position, device in enumerate(devices):
        try:
            name = checked(runtime, device.kind) if runtime else DEFAULT_RUNTIMES[device.kind]
        except InputError:
            if runtime is not None and not _runs(runtime):
                raise
            continue
        m = hardware(device, dtypes)
        if m is None:
            continue
        engines = tuple(sorted((key, rates.matrix) for key, rates in m.rates.items()))
        key = (name, engines, "bandwidth" in m.measured, m.op_overhead is None, m.factors)
        groups.setdefault(key, []).append((position, m))
    for (name, *_), members in groups.items():
        yield name, members


def _runs(runtime: str) -> bool:
    return any(name == runtime for name in parameters().runtimes)


def _times(
    workload: Workload, machines: list[Hardware], dtype: str, samples: np.ndarray, runtime: Runtime
) -> np.ndarray:
    """Seconds by machine and number of samples, block by block on all cores."""
    bits = BITS["fp32"] if dtype == MIXED else BITS[dtype]
    computed = "fp16" if dtype == MIXED else dtype
    found = np.empty((len(machines), len(samples)))
    width = min(len(samples), BLOCK)
    height = max(1, BLOCK // width)
    blocks = [
        (slice(top, top + height), slice(left, left + width))
        for top in range(0, len(machines), height)
        for left in range(0, len(samples), width)
    ]

    def fill(block: tuple[slice, slice]) -> None:
        rows, columns = block
        m = stacked(machines[rows])
        parts = launches(ARRAYS, workload, m, computed, bits, samples[None, columns], runtime)
        found[rows, columns] = combine(ARRAYS, *run(ARRAYS, parts, runtime))

    if len(blocks) == 1:
        fill(blocks[0])
        return found
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None) as pool:
        list(pool.map(fill, blocks))
    return found


def stacked(machines: Sequence[Hardware]) -> Hardware:
    """Machines on which the same formulas hold as one whose numbers are columns."""

    def column(values: list[float]) -> Any:
        return np.array(values, dtype=float)[:, None]

    def rates(each: list[Rates]) -> Rates:
        return Rates(
            column([one.flops_per_second for one in each]),
            column([one.flops_per_cycle for one in each]),
            each[0].matrix,
        )

    first = machines[0]
    overhead = None if first.op_overhead is None else column([m.op_overhead or 0.0 for m in machines])
    return replace(
        first,
        units=column([m.units for m in machines]),
        rates={dtype: rates([m.rates[dtype] for m in machines]) for dtype in first.rates},
        vector=rates([m.vector for m in machines]),
        bandwidth=column([m.bandwidth for m in machines]),
        cache=column([m.cache for m in machines]),
        lanes=column([m.lanes for m in machines]),
        headroom=column([m.headroom for m in machines]),
        cycles=column([m.cycles for m in machines]),
        op_overhead=overhead,
    )
