"""Many points at once: models × devices × dtypes × batches, each time an array over devices and batches.

The formulas are those of predict/, evaluated by broadcasting (held equal to `estimate` by a property test). Points
come as `Panel`s of one model and dtype, so that a sweep of any size needs the memory of one.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from hwbench.dtypes import BITS, MIXED
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.predict.estimate import peak_for
from hwbench.predict.model.grid import grid
from hwbench.study.sweep.pareto import pareto
from hwbench.workload.ops import Op, Workload

PANEL_POINTS = 500_000
PANEL_BATCHES = 8_192
"""Points and batches of a panel at most: a sweep's batches are cut into as many panels as that takes.

With more batches the arrays of [ops, batches] are as large as main memory is slow: a million points of ResNet-50 on two
devices took 3.7 s of CPU time, half of it for fresh pages, where these take 1.6 s."""
Array = NDArray[Any]


class Panel(Struct, frozen=True):
    """Points of one model and dtype: arrays of [devices, batches], NaN where unknown, times in s.

    `expected` is the time in the runtime asked for, eager by default, NaN on devices that it does not run on;
    `bound_by_memory` tells where most of the roofline time passes under memory; `fits` is 1, 0, or NaN where the
    device's memory is unknown. `pareto` marks the points that no other device of the panel beats at their batch in
    expected time or watts without losing in the other; devices of unknown power or time, and those whose memory a run
    does not fit, are on no front.
    """

    model: str
    dtype: str
    devices: tuple[Device, ...]
    batches: Array
    ideal: Array
    roofline: Array
    expected: Array
    bound_by_memory: Array
    fits: Array
    power: Array
    pareto: Array

    @property
    def points(self) -> int:
        """How many points it holds."""
        return len(self.devices) * int(self.batches.size)


class Chunk(Struct, frozen=True):
    """What is computed at once: one model at one dtype, on the devices that have its rates, at some of the batches."""

    workload: Workload
    dtype: str
    devices: tuple[Device, ...]
    batches: range | tuple[int, ...]
    runtime: str | None = None


def capable(devices: Sequence[Device], workload: Workload, dtype: str) -> tuple[tuple[Device, ...], tuple[str, ...]]:
    """The devices that have a rate for every dtype that a run computes in, and the names of the others."""
    compute = "fp16" if dtype == MIXED else dtype
    needed = dict.fromkeys([compute, *(op.dtype or compute for op in workload.ops)])
    found, unable = [], []
    for device in devices:
        try:
            for name in needed:
                peak_for(device, name)
            found.append(device)
        except InputError:
            unable.append(device.name or device.title)
    return tuple(found), tuple(unable)


def chunks(
    workload: Workload,
    dtype: str,
    devices: tuple[Device, ...],
    batches: range | tuple[int, ...],
    runtime: str | None = None,
) -> Iterator[Chunk]:
    """A sweep of one model and dtype in parts of at most PANEL_POINTS points and PANEL_BATCHES batches."""
    step = min(PANEL_BATCHES, max(1, PANEL_POINTS // max(1, len(devices))))
    for first in range(0, len(batches) if devices else 0, step):
        yield Chunk(workload, dtype, devices, batches[first : first + step], runtime)


def panel(part: Chunk) -> Panel:
    """The points of a part. Raises InputError for a training step, which stands for multiples of its batch only."""
    workload, devices, dtype = part.workload, part.devices, part.dtype
    if workload.samples > 1:
        raise InputError("a training step is traced anew for each batch: it cannot be swept", field="--mode")
    sizes = np.asarray(part.batches, dtype=np.int64)
    compute, bits = ("fp16", BITS["fp32"]) if dtype == MIXED else (dtype, BITS[dtype])
    works = _Works(workload, compute, bits, sizes.astype(float))
    shape = (len(devices), sizes.size)
    ideal, roofline, memory = (np.full(shape, np.nan) for _ in range(3))
    for row, device in enumerate(devices):
        ideal[row], roofline[row], memory[row] = works.on(device)
    expected = grid(workload, devices, [dtype], part.batches, part.runtime)[:, 0, :]
    fits = _fits(workload, devices, bits, sizes.astype(float))
    power = np.array([float(device.power) if device.power else np.nan for device in devices])
    return Panel(
        model=workload.name,
        dtype=dtype,
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
        """Ideal and roofline time of every batch, and whether memory binds most of the latter; NaN where unknown."""
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
    """What makes ops cost the same: the dtype first, then the numbers that `_Works` unpacks."""
    elements = op.input_elements, op.weight_elements, op.output_elements
    fixed = op.fixed_input_bytes, op.fixed_weight_bytes, op.fixed_output_bytes
    return (op.dtype or compute, 2 * op.macs, *elements, *fixed, op.constant)


def _bytes(elements: Array, bits: int) -> Array:
    """Bytes of elements of `bits` bits, whole ones."""
    found: Array = elements * (bits / 8)
    return found if bits % 8 == 0 else np.ceil(found)


def _fits(workload: Workload, devices: Sequence[Device], bits: int, batches: Array) -> Array:
    """1 where the device's memory holds what a run needs at least (`Workload.capacity`), 0 where not, NaN unknown."""
    live = max((op.input_elements + op.output_elements for op in workload.ops if op.macs), default=0)
    needed = _bytes(workload.params + (workload.state_elements + live) * batches, bits)
    size = np.array([[float(device.memory.size) if device.memory.size else np.nan] for device in devices])
    return np.where(np.isnan(size), np.nan, (needed[None, :] <= size).astype(float))
