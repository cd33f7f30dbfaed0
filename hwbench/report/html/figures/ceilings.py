"""What limits a device in a roofline: ceilings of its engines and slopes of its memory, stated and measured."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from hwbench.dtypes import MIXED
from hwbench.machine.device import Device
from hwbench.machine.peak import ACCUMULATE_DEFAULT, peaks
from hwbench.measure.record import Result
from hwbench.predict.estimate import Estimate
from hwbench.units import si

_APART = 1.05
"""Ratio of two rates below which they are one ceiling."""


class CeilingLine(Struct, frozen=True):
    """A rate in FLOP/s that nothing passes: of an engine, or measured. `short` stands at its line, `name` in full.

    `alike` are others whose rate hardly differs.
    """

    name: str
    short: str
    rate: float
    measured: bool = False
    alike: tuple[str, ...] = ()

    def titled(self, unit: str) -> str:
        """The ceiling with its rate, as it stands at its line: `vector avx2 fp32 117 GFLOP/s`."""
        return f"{self.short} {si(self.rate, unit + '/s', 3)}"

    def told(self, unit: str) -> str:
        """The ceiling with its rate in words."""
        also = f" (also {', '.join(self.alike)})" if self.alike else ""
        return f"{self.name}{also}: {si(self.rate, unit + '/s')}"


class SlopeLine(Struct, frozen=True):
    """A bandwidth in B/s of a level of the memory, read off a sweep of working sets or by STREAM."""

    name: str
    bandwidth: float
    threads: int | None = None

    @property
    def short(self) -> str:
        """The level with its threads and bandwidth, as it stands at its line: `L2 ×2 117 GB/s`."""
        threads = f" ×{self.threads}" if self.threads else ""
        return f"{self.name}{threads} {si(self.bandwidth, 'B/s', 3)}"

    @property
    def told(self) -> str:
        """The level with its bandwidth in words."""
        threads = f", {self.threads} thread{'s' if self.threads > 1 else ''}" if self.threads else ""
        return f"{self.name}{threads}: {si(self.bandwidth, 'B/s')}"


def ceilings(e: Estimate, device: Device) -> list[CeilingLine]:
    """The peak that the estimate is held against, the other peaks of its dtype, then what was measured of them.

    Mixed precision has those of fp16 and fp32. Rates that hardly differ are one ceiling, and the first names it.
    """
    dtypes = ("fp16", "fp32") if e.dtype == MIXED else (e.dtype,)
    main = next((p for p in peaks(device) if p.label == e.peak), None)
    first = " ".join((main.engine, main.isa, main.dtype)) if main else e.peak
    found = [CeilingLine(e.peak, first, e.peak_flops_per_second)]
    for one in sorted(peaks(device), key=lambda p: -p.flops_per_second):
        if one.dtype in dtypes and one.sparsity == "dense" and one.accumulate in ACCUMULATE_DEFAULT:
            found.append(CeilingLine(one.label, f"{one.engine} {one.isa} {one.dtype}", one.flops_per_second))
    return _distinct(found) + _distinct(_measured(device, dtypes))


def _measured(device: Device, dtypes: Sequence[str]) -> list[CeilingLine]:
    """The best multiply-adds and matrix products of each engine: more units sustain what fewer of them did."""
    if device.sustained is None:
        return []
    lines = []
    measured = (one for one in device.sustained.rates if one.dtype in dtypes)
    for kernel, engine, dtype in dict.fromkeys((one.kernel, one.engine, one.dtype) for one in measured):
        if best := device.sustained.rate(kernel, dtype, engine=engine):
            name = f"measured {'FMA' if kernel == 'fma' else kernel}"
            title = f"{name}, {engine} {dtype}" + _on(best.units, device).rstrip(":")
            short = name + (f" {engine}" if engine == "matrix" else "") + _on(best.units, device)
            lines.append(CeilingLine(title, short, float(best.flops_per_second), measured=True))
    return lines


def _on(units: int, device: Device) -> str:
    return "" if units >= device.count else f", {units} of {device.count}:"


def _distinct(found: Sequence[CeilingLine]) -> list[CeilingLine]:
    kept: list[CeilingLine] = []
    for one in found:
        near = [i for i, k in enumerate(kept) if max(one.rate, k.rate) <= _APART * min(one.rate, k.rate)]
        if not near:
            kept.append(one)
        elif one.name != kept[near[0]].name:
            first = kept[near[0]]
            kept[near[0]] = replace(first, alike=(*first.alike, one.name))
    return kept


def slopes(device: Device, results: Sequence[Result]) -> list[SlopeLine]:
    """Caches by the plateaus of a run's sweep, read by as many threads as were tried, and main memory by STREAM.

    `results` are of the same machine; without a sweep among them, what the device's own runs found. A sweep whose
    levels are not the caches that the system has was too disturbed to be drawn.
    """
    known = {cache.name for cache in device.caches}
    found: dict[int, list[SlopeLine]] = {}
    for one in results:
        if (one.kernel, one.unit) == ("cache", "B/s") and one.variant != "memory":
            found.setdefault(one.threads, []).append(SlopeLine(one.variant, one.value, one.threads))
    sound = [n for n, some in found.items() if not known or {level.name for level in some} <= known]
    kept = device.sustained.caches if device.sustained else {}
    levels = [*found[max(sound)]] if sound else [SlopeLine(name, float(rate)) for name, rate in kept.items()]
    stream = device.sustained.bandwidth if device.sustained else None
    if stream and device.memory.bandwidth and abs(stream / device.memory.bandwidth - 1) > _APART - 1:
        levels.append(SlopeLine("measured STREAM", float(stream)))
    return sorted(levels, key=lambda one: -one.bandwidth)
