"""Many points at once: models × devices × dtypes × batches, computed as arrays of [devices, batches].

The formulas are those of `predict`, by broadcasting; a property test compares them with `estimate`. A sweep of any
size needs the memory of one `Panel`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct

from hwbench.dtypes import dtype as dtype_of
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.predict.model.bounds import engines
from hwbench.predict.model.grid import grid
from hwbench.predict.model.runtimes import Math
from hwbench.study.sweep.panel import Array, Panel, pareto, ranks
from hwbench.workload.ops import Workload

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
    math: Math = "default"


def capable(devices: Sequence[Device], workload: Workload, dtype: str) -> tuple[tuple[Device, ...], tuple[str, ...]]:
    """Return the devices that have a rate for every dtype of a run, and the names of the others."""
    computes_in = dtype_of(dtype).computes_in
    needed = dict.fromkeys([computes_in, *(op.dtype or computes_in for op in workload.ops)])
    able, unable = [], []
    for device in devices:
        try:
            engines(device, needed)
            able.append(device)
        except InputError:
            unable.append(device.label)
    return tuple(able), tuple(unable)


def chunks(
    workload: Workload,
    dtype: str,
    devices: tuple[Device, ...],
    batches: Batches,
    runtime: str | None = None,
    math: Math = "default",
) -> Iterator[Chunk]:
    """Yield a sweep of one model and dtype in chunks of MAX_PANEL_POINTS points and MAX_PANEL_BATCHES batches."""
    step = min(MAX_PANEL_BATCHES, max(1, MAX_PANEL_POINTS // max(1, len(devices))))
    for first in range(0, len(batches) if devices else 0, step):
        yield Chunk(workload, dtype, devices, batches[first : first + step], runtime, math)


def panel(chunk: Chunk) -> Panel:
    """Compute the points of a chunk. Raises InputError for a batch at which the workload was not traced."""
    workload, devices = chunk.workload, chunk.devices
    sizes = np.asarray(chunk.batches, dtype=np.int64)
    fits = _fits(workload, devices, dtype_of(chunk.dtype).bits, sizes.astype(float))
    power = np.array([float(device.power) if device.power else np.nan for device in devices])
    estimates = grid(workload, devices, chunk.dtype, chunk.batches, chunk.runtime, chunk.math)
    front = pareto(np.where(fits == 0, np.nan, estimates.time), power)
    return Panel(
        model=workload.name,
        dtype=chunk.dtype,
        devices=devices,
        batches=sizes,
        ideal=estimates.ideal,
        roofline=estimates.roofline,
        expected=estimates.time,
        low=estimates.low,
        high=estimates.high,
        bound=estimates.bound,
        fits=fits,
        power=power,
        rank=ranks(front, estimates.low, estimates.high, power),
    )


def _fits(workload: Workload, devices: Sequence[Device], bits: int, batches: Array) -> Array:
    """Return 1 where the device's memory holds what a run needs (`Workload.capacity`), 0 where not, NaN: unknown."""
    live = max((op.input_elements + op.output_elements for op in workload.live_ops), default=0)
    live_elements = live * (batches // workload.samples)
    needed = (workload.params + workload.state_elements * batches + live_elements) * (bits / 8)
    size = np.array([[float(device.memory.size) if device.memory.size else np.nan] for device in devices])
    return np.where(np.isnan(size), np.nan, (needed[None, :] <= size).astype(float))
