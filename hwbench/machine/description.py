"""A device and its peaks as programs read them."""

from typing import Any, ClassVar

from msgspec import Struct, to_builtins
from msgspec.structs import asdict

from hwbench.answers import Answer
from hwbench.errors import InputError
from hwbench.machine.device import Device, Peak, PeakTerm, choose_clock, peaks
from hwbench.machine.parts import BOOST, ClockKind, Laptop, Memory
from hwbench.notices import Notice, notice


class PeakRow(Struct, frozen=True):
    """One ceiling; `flops_per_cycle` (of one unit) and `clock_hz` are null where units differ: see `terms`."""

    engine: str
    isa: str
    dtype: str
    accumulate: str | None
    sparsity: str
    flops_per_cycle: float | None
    flops_per_second: float
    clock_hz: float | None
    clock: str | None
    ridge_point: float | None
    provenance: str
    terms: tuple[PeakTerm, ...]
    missing: tuple[str, ...]


class MemoryRow(Struct, frozen=True):
    """Main memory in SI units; null where unknown."""

    type: str | None
    size_bytes: float | None
    bandwidth_bytes_per_second: float | None
    bus_bits: float | None
    rate_transfers_per_second: float | None


class LaptopRow(Struct, frozen=True):
    """What the maker of a laptop chooses of its card, in SI units: the least and the most; null where unknown."""

    power_w: tuple[float, float] | None
    boost_hz: tuple[float, float] | None


class Description(Answer, Struct, frozen=True):
    """A device, its peaks, memory and caches in SI units; `clock_hz` is null where classes of units differ.

    An accelerator has null units.
    """

    SCHEMA: ClassVar[str] = "peak"
    ROWS: ClassVar[str] = "peaks"
    CONTEXT: ClassVar[tuple[str, ...]] = ("source", "known")

    device: str
    title: str
    kind: str
    units: int | None
    architecture: str
    clock_hz: float | None
    peaks: tuple[PeakRow, ...]
    memory: MemoryRow
    caches: tuple[dict[str, Any], ...]
    power_w: float | None
    laptop: LaptopRow | None
    provenance: dict[str, str]
    source: Device
    known: tuple[Peak, ...]
    notices: tuple[Notice, ...] = ()
    measured: dict[str, Any] | None = None


class DeviceDetails(Answer, Struct, frozen=True):
    """A catalogued device: its peaks, and what its file says beyond them."""

    SCHEMA: ClassVar[str] = "devices-show"

    description: Description
    notices: tuple[Notice, ...] = ()

    def body(self) -> dict[str, Any]:
        """Return the answer's own part of its JSON."""
        device = self.description.source
        extra = {name: to_builtins(getattr(device, name)) for name in ("aliases", "notes", "sources", "scores")}
        body = self.description.body()
        del body["measured"]  # a catalogued device has no runs
        return {**body, **extra}


def known_peaks(device: Device, clock: ClockKind | None = None) -> tuple[Peak, ...]:
    """Return every peak of a device. Raises InputError when it has none, or none at this kind of clock."""
    ceilings = peaks(device, clock)
    if ceilings:
        return ceilings
    if clock:
        name = clock.replace("_", "-")
        raise InputError("unknown-clock", f"The {name} clock of {device.label} is unknown.", field="clock")
    raise InputError("unknown-rate", f"No rate of {device.label} is known.", field="device")


def describe(device: Device, ceilings: tuple[Peak, ...]) -> Description:
    """Return a device with its peaks, as `hwbench peak` shows them."""
    clocks = {clock for units in device.units if (clock := choose_clock(units.clock, ""))}
    numbers = (device.memory.size, device.memory.bandwidth, device.memory.bus, device.memory.rate)
    return Description(
        device=device.label,
        title=device.title,
        kind=device.kind,
        units=device.count or None,
        architecture=device.architectures,
        clock_hz=float(next(iter(clocks))[0]) if len(clocks) == 1 else None,
        peaks=tuple(_row(peak, device.memory) for peak in ceilings),
        memory=MemoryRow(device.memory.type, *map(_number, numbers)),
        caches=tuple({"name": c.name, "size_bytes": float(c.size), "shared_by": c.shared_by} for c in device.caches),
        power_w=_number(device.power),
        laptop=_laptop(device.laptop),
        provenance=dict(device.provenance) or {"*": "spec"},
        source=device,
        known=ceilings,
    )


def notices(device: Device, ceilings: tuple[Peak, ...]) -> tuple[Notice, ...]:
    """Return what a reader of the peaks must know: what they rest on is assumed, or that a card runs above them."""
    assumed = [field for field, origin in device.provenance.items() if origin == "assumed"]
    doubted = assumed and any(peak.provenance == "assumed" for peak in ceilings)
    printed = any(term.clock == "boost" for peak in ceilings for term in peak.terms)
    boosted = printed and device.segment == "consumer"
    return (
        *((notice("peaks-assumed", fields=assumed),) if doubted else ()),
        *((_choice(device, device.laptop),) if printed and device.laptop else ()),
        *((notice("card-boosts", factor=BOOST),) if boosted else ()),
    )


def _choice(device: Device, laptop: Laptop) -> Notice:
    """Return the notice that a card's clocks are those of one choice, with the ranges that are known."""
    ranges = {"power": laptop.power, "boost": laptop.boost}
    known = {f"{name}_range": f"{low} to {high}" for name, ends in ranges.items() if ends for low, high in [ends]}
    return notice("laptop-clocks", power=str(device.power or "one setting"), **known)


def unmeasured(device: Device) -> tuple[Notice, ...]:
    """Return the notice that this machine's memory bandwidth is neither known nor measured, if so."""
    known = device.name != "host" or device.memory.bandwidth or (device.sustained and device.sustained.bandwidth)
    return () if known else (notice("memory-unmeasured"),)


def _row(peak: Peak, memory: Memory) -> PeakRow:
    only: PeakTerm | None = peak.terms[0] if len(peak.terms) == 1 else None
    own = asdict(peak)
    del own["stated"]  # it is flops_per_second
    return PeakRow(
        **own,
        flops_per_cycle=only.flops_per_cycle if only else None,
        flops_per_second=peak.flops_per_second,
        clock_hz=only.clock_hz if only else None,
        clock=only.clock if only else None,
        ridge_point=peak.flops_per_second / memory.bandwidth if memory.bandwidth else None,
        provenance=peak.provenance,
    )


def _laptop(laptop: Laptop | None) -> LaptopRow | None:
    return LaptopRow(_ends(laptop.power), _ends(laptop.boost)) if laptop else None


def _ends(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    return (float(ends[0]), float(ends[1])) if ends else None


def _number(value: float | None) -> float | None:
    return float(value) if value else None
