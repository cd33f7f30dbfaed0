"""A device as language models see it: memory, units and their clock, and the fastest arithmetic on 16-bit numbers."""

from msgspec import Struct
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine.device import Device, Peak, choose_clock, peaks
from hwbench.machine.parts import ClockKind

SMALL_MAC = 36 * 2**30
"""Bytes of memory up to which macOS gives a GPU two thirds of it, and three quarters above: its defaults."""
_FLOATS = ("fp16", "bf16", "fp32")
_FAMILIES = {"NVIDIA": "cuda", "Apple": "metal", "AMD": "amd"}
_GENERATIONS = {"apple-m3-gpu": "metal-m3"}
"""Architectures whose parameters are not those of the vendor's others."""


class Accelerator(Struct, frozen=True):
    """A device in SI units. `family` names the parameters of its class: cuda, metal, metal-m3, amd, other or cpu.

    `cycles` are those of all units in a second; on a CPU those of cores that do 32 fp32 operations in each, as two
    vectors of 256 bits do. `bound` is the ceiling that no product can exceed: the fastest engine with the fastest
    accumulator, on 8-bit integers where weights are quantized and on 16-bit numbers otherwise. `rate` is the FLOP/s
    that shares of the time model refer to: that of products of 16-bit numbers on a GPU, of fp32 vectors on a CPU.
    """

    family: str
    bandwidth: float
    cycles: float
    bound: Peak
    rate: float
    size: float | None

    def times(self, count: int) -> "Accelerator":
        """Return so many of these devices as one that has all of their rates."""
        bound = replace(self.bound, terms=tuple(replace(term, units=count * term.units) for term in self.bound.terms))
        return replace(
            self, bandwidth=count * self.bandwidth, cycles=count * self.cycles, bound=bound, rate=count * self.rate
        )


def usable_share(device: Device) -> float:
    """Return the share of the memory that models may take: on Apple's GPUs what macOS lets them, else all."""
    if device.kind != "gpu" or device.vendor != "Apple" or not device.memory.size:
        return 1.0
    return 2 / 3 if device.memory.size <= SMALL_MAC else 3 / 4


def accelerator_of(device: Device, clock: ClockKind | None = None, *, quantized: bool = True) -> Accelerator:
    """Return the device as models with weights in integers, or not, see it.

    Raises InputError where its bandwidth or its rates are unknown.
    """
    sustained = device.sustained
    bandwidth = (sustained.bandwidth if sustained else None) or device.memory.bandwidth
    if not bandwidth:
        message = f"The memory bandwidth of {device.label} is unknown, which limits every language model."
        raise InputError("bandwidth-unknown", message, field="device")
    dense = [peak for peak in peaks(device, clock) if peak.sparsity == "dense"]
    usable = ("fp32",) if device.kind == "cpu" else _FLOATS
    rates = [peak.flops_per_second for peak in dense if peak.dtype in usable]
    bounds = [peak for peak in dense if peak.dtype in (*_FLOATS, *(("int8",) if quantized else ()))]
    if not rates:
        raise InputError("unknown-rate", f"No rate of {device.label} is known.", field="device")
    chosen = [
        (units.count, choose_clock(units.clock, "", clock) or choose_clock(units.clock, "")) for units in device.units
    ]
    architecture = device.units[0].architecture
    cycles = sum(count * float(of[0]) for count, of in chosen if of)
    return Accelerator(
        family="cpu" if device.kind == "cpu" else _GENERATIONS.get(architecture, _FAMILIES.get(device.vendor, "other")),
        bandwidth=float(bandwidth),
        cycles=max(rates) / 32 if device.kind == "cpu" else cycles,
        bound=max(bounds, key=lambda peak: peak.flops_per_second),
        rate=max(rates),
        size=float(device.memory.size) * usable_share(device) if device.memory.size else None,
    )
