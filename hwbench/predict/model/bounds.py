"""What no kernel can do without: operations of its algorithm at the peak, and bytes that no cache holds.

Formulas take floats with `scalar` as `xp`, or arrays with numpy.
"""

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from msgspec import Struct

from hwbench.errors import InputError
from hwbench.machine.device import Device, Peak, fastest, highest
from hwbench.machine.parts import ClockKind
from hwbench.predict.model.hardware import assumed_cache, cache_size, computes_tf32, known_peaks
from hwbench.predict.model.launch import CONVOLUTIONS, Launch, Number
from hwbench.predict.model.runtimes import Math

WINOGRAD = {9: 144 / 36, 25: 100 / 36}
"""Multiplications saved by Winograd's algorithm on tiles of 6×6, by positions of the window (Lavin & Gray, 2016)."""


class DeviceCeilings(Struct, frozen=True):
    """A device's peaks by dtype, B/s of its memory (NaN if unknown) and bytes of its last-level cache.

    `winograd` names the dtypes whose convolutions may multiply less; with `tf32` those of fp32 compute in tf32.
    """

    peaks: dict[str, Any]
    bandwidth: Number
    cache: Number
    winograd: frozenset[str]
    tf32: bool


def ceilings_of(device: Device, rates: dict[str, Peak], tf32: bool) -> DeviceCeilings:
    """Return the ceilings of a device whose dtypes run on these engines."""
    cache, bandwidth = cache_size(device), device.memory.bandwidth
    lanes = (dtype for dtype, engine in rates.items() if device.kind == "gpu" and engine.engine != "matrix")
    return DeviceCeilings(
        peaks={dtype: engine.flops_per_second for dtype, engine in rates.items()},
        bandwidth=float(bandwidth) if bandwidth else float("nan"),
        cache=assumed_cache(device) if cache is None else cache,
        winograd=frozenset(lanes),
        tf32=tf32,
    )


def engines(
    device: Device, dtypes: Iterable[str], clock: ClockKind | None = None, math: Math = "default"
) -> tuple[dict[str, Peak], bool]:
    """Return the peak of each dtype that a run computes in, and whether it computes fp32 convolutions in tf32.

    Raises InputError for a dtype without a rate.
    """
    every = known_peaks(device, clock)
    rates = {dtype: peak_for(device, dtype, clock, every) for dtype in dtypes}
    tf32 = "fp32" in rates and computes_tf32(device, every, math)
    return rates | ({"tf32": peak_for(device, "tf32", clock, every)} if tf32 else {}), tf32


def peak_for(device: Device, dtype: str, clock: ClockKind | None = None, every: tuple[Peak, ...] = ()) -> Peak:
    """Return the highest ceiling for data of a dtype; for fp16 and bf16 that may be the one of the fp32 units.

    `every` are the peaks at that clock, if at hand. Raises InputError if the device has no rate for the dtype at all.
    """
    every = every or known_peaks(device, clock)
    if highest(every, dtype) is None and device.kind == "cpu" and dtype == "fp16":
        message = (
            f"No fp16 arithmetic of {device.label} is known. Frameworks emulate it on such CPUs, about a hundred times "
            f"slower than fp32: run in fp32{' or bf16' if highest(every, 'bf16') else ''}."
        )
        raise InputError("unknown-rate", message, field="dtype")
    if highest(every, dtype) is None:
        return device.peak(dtype, clock)  # whose error names the dtypes that there are
    return fastest(every, dtype) or device.peak(dtype, clock)


def compute_dtype(dtype: str, family: str, tf32: bool) -> str:
    """Return the dtype that an op computes in: its own, or tf32 for fp32 convolutions where the runtime uses that."""
    return "tf32" if tf32 and dtype == "fp32" and family in CONVOLUTIONS else dtype


def least(
    xp: ModuleType, launch: Launch, dtype: str, ceilings: DeviceCeilings, weights: Number, fuses: bool
) -> tuple[Number, Number]:
    """Return the seconds that one launch computes, and the bytes that it moves, at least."""
    engine = compute_dtype(dtype, launch.family, ceilings.tf32)
    compute = operations(xp, launch, engine in ceilings.winograd) / ceilings.peaks[engine]
    return compute, traffic(xp, launch, ceilings.cache, weights, fuses)


def operations(xp: ModuleType, launch: Launch, winograd: bool) -> Number:
    """Return the FLOP that a launch cannot do without: Winograd's algorithm multiplies less where it applies."""
    flops = launch.counts.flops
    if not winograd or launch.family != "conv":
        return flops
    for window, saved in WINOGRAD.items():
        flops = flops / xp.where((launch.layout.window == window) & (launch.layout.stride == 1), saved, 1.0)
    return flops


def traffic(xp: ModuleType, launch: Launch, cache: Number, weights: Number, fuses: bool) -> Number:
    """Return the bytes that cannot stay in a cache of so many bytes between launches.

    As much of a tensor as the cache holds may come from there, and as much of all the network's `weights`; a runtime
    that fuses may leave out all of `saved_bytes`.
    """
    counts = launch.counts
    moved = xp.maximum(counts.input_bytes - cache, 0.0) + xp.maximum(counts.output_bytes - cache, 0.0)
    if fuses:
        moved = xp.maximum(moved - counts.saved_bytes, 0.0)
    return moved + counts.weight_bytes * xp.maximum(1.0 - cache / xp.maximum(weights, 1.0), 0.0)
