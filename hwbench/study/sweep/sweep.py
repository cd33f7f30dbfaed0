"""Many points at once: models × devices × dtypes × batches, computed as arrays of [devices, batches].

The formulas are those of `predict`, by broadcasting; a property test compares them with `estimate`. A sweep of any
size needs the memory of one `Panel`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct

from hwbench.dtypes import dtype as dtype_of
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.predict.estimate import peak_for
from hwbench.predict.model.grid import grid
from hwbench.study.sweep.panel import Array, Panel, pareto
from hwbench.workload.ops import Op, Workload

MAX_PANEL_POINTS = 500_000
MAX_PANEL_BATCHES = 8_192
"""Points and batches of one panel.

With more batches the arrays of [ops, batches] no longer fit the caches: a million points of ResNet-50 on two devices
took 3.7 s of CPU time, half of it for fresh pages, against 1.6 s with these."""


Batches = range | tuple[int, ...]


class Chunk(Struct, frozen=True):
    """The input of one panel: a model at a dtype, devices that have its rates, and some of the batches."""

    workload: Workload
    dtype: str
    devices: tuple[Device, ...]
    batches: Batches
    runtime: str | None = None


def capable(devices: Sequence[Device], workload: Workload, dtype: str) -> tuple[tuple[Device, ...], tuple[str, ...]]:
    """Return the devices that have a rate for every dtype of a run, and the names of the others."""
    computes_in = dtype_of(dtype).computes_in
    needed = dict.fromkeys([computes_in, *(op.dtype or computes_in for op in workload.ops)])
    able, unable = [], []
    for device in devices:
        try:
            for name in needed:
                peak_for(device, name)
            able.append(device)
        except InputError:
            unable.append(device.label)
    return tuple(able), tuple(unable)


def chunks(
    workload: Workload, dtype: str, devices: tuple[Device, ...], batches: Batches, runtime: str | None = None
) -> Iterator[Chunk]:
    """Yield a sweep of one model and dtype in chunks of MAX_PANEL_POINTS points and MAX_PANEL_BATCHES batches."""
    step = min(MAX_PANEL_BATCHES, max(1, MAX_PANEL_POINTS // max(1, len(devices))))
    for first in range(0, len(batches) if devices else 0, step):
        yield Chunk(workload, dtype, devices, batches[first : first + step], runtime)


def panel(chunk: Chunk) -> Panel:
    """Compute the points of a chunk. Raises InputError for a workload that was traced at one batch only."""
    workload, devices = chunk.workload, chunk.devices
    if workload.samples > 1:
        message = f"{workload.name} is counted for a batch of {workload.samples} only and cannot be swept."
        raise InputError("batch-not-traced", message, field="batch")
    sizes = np.asarray(chunk.batches, dtype=np.int64)
    dtype = dtype_of(chunk.dtype)
    works = _Works(workload, dtype.computes_in, dtype.bits, sizes.astype(float))
    shape = (len(devices), sizes.size)
    ideal, roofline, memory = (np.full(shape, np.nan) for _ in range(3))
    for row, device in enumerate(devices):
        ideal[row], roofline[row], memory[row] = works.on(device)
    expected = grid(workload, devices, [chunk.dtype], chunk.batches, chunk.runtime)[:, 0, :]
    fits = _fits(workload, devices, dtype.bits, sizes.astype(float))
    power = np.array([float(device.power) if device.power else np.nan for device in devices])
    return Panel(
        model=workload.name,
        dtype=chunk.dtype,
        devices=devices,
        batches=sizes,
        ideal=ideal,
        roofline=roofline,
        expected=expected,
        bound_by_memory=memory,
        fits=fits,
        power=power,
        pareto=pareto(np.where(fits == 0, np.nan, expected), power),
    )


class _Works:
    """FLOP and traffic of a workload's ops at every batch, arrays of [ops, batches]; equal ops are merged."""

    def __init__(self, workload: Workload, compute: str, bits: int, batches: Array) -> None:
        merged: dict[tuple[Any, ...], int] = {}
        for op in workload.ops:
            key = _key(op, compute)
            merged[key] = merged.get(key, 0) + op.count
        self.counts = np.array(list(merged.values()), dtype=float)[:, None]
        columns = [np.array(column, dtype=float)[:, None] for column in list(zip(*merged, strict=True))[1:]]
        flops, inputs, weights, outputs, fixed_input, fixed_weight, fixed_output, constant = columns
        samples = np.where(constant > 0, 1.0, batches[None, :])
        traffic = _bytes(inputs * samples, bits) + _bytes(weights + 0 * samples, bits) + _bytes(outputs * samples, bits)
        self.traffic = traffic + (fixed_input + fixed_output) * samples + fixed_weight
        self.flops = flops * samples
        dtypes = [key[0] for key in merged]
        self.kinds = tuple(dict.fromkeys(dtypes))
        self.kind = np.array([self.kinds.index(dtype) for dtype in dtypes])

    def on(self, device: Device) -> tuple[Array, Array, Array]:
        """Return ideal and roofline time of every batch, and whether memory limits most of the latter; NaN: unknown."""
        peaks = np.array([peak_for(device, dtype).flops_per_second for dtype in self.kinds])[self.kind][:, None]
        compute = self.flops / peaks
        ideal = (compute * self.counts).sum(axis=0)
        if not device.memory.bandwidth:
            return ideal, np.full_like(ideal, np.nan), np.full_like(ideal, np.nan)
        memory = self.traffic / float(device.memory.bandwidth)
        times = np.maximum(compute, memory) * self.counts
        total = times.sum(axis=0)
        return ideal, total, (times * (compute > memory)).sum(axis=0) * 2 <= total


def _key(op: Op, compute: str) -> tuple[Any, ...]:
    """Return what the cost of an op depends on: the dtype first, then the numbers that `_Works` unpacks."""
    elements = op.input_elements, op.weight_elements, op.output_elements
    fixed = op.fixed_input_bytes, op.fixed_weight_bytes, op.fixed_output_bytes
    return (op.dtype or compute, 2 * op.macs, *elements, *fixed, op.constant)


def _bytes(elements: Array, bits: int) -> Array:
    size: Array = elements * (bits / 8)
    return size if bits % 8 == 0 else np.ceil(size)


def _fits(workload: Workload, devices: Sequence[Device], bits: int, batches: Array) -> Array:
    """Return 1 where the device's memory holds what a run needs (`Workload.capacity`), 0 where not, NaN: unknown."""
    live = max((op.input_elements + op.output_elements for op in workload.ops if op.macs), default=0)
    needed = _bytes(workload.params + (workload.state_elements + live) * batches, bits)
    size = np.array([[float(device.memory.size) if device.memory.size else np.nan] for device in devices])
    return np.where(np.isnan(size), np.nan, (needed[None, :] <= size).astype(float))
