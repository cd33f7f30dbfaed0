"""The limits of a device in a roofline: ceilings of its engines and slopes of its memory, stated and measured."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from hwbench.dtypes import MIXED
from hwbench.machine.device import ACCUMULATE_DEFAULT, Device, peaks
from hwbench.measure.record import Result
from hwbench.predict.estimate import Estimate
from hwbench.report.text.format import number
from hwbench.units import si

_DISTINCT = 1.05
"""Ratio of two rates from which they are two ceilings."""


class CeilingLine(Struct, frozen=True):
    """An upper limit in FLOP/s, of an engine or measured, with its `short` name for the line.

    `alike` are the names of ceilings whose rate hardly differs.
    """

    name: str
    short: str
    rate: float
    measured: bool = False
    alike: tuple[str, ...] = ()

    def titled(self, unit: str) -> str:
        """Return the label of its line: `vector avx2 fp32 117 GFLOP/s`."""
        return f"{self.short} {si(self.rate, unit + '/s', 3)}"

    def description(self, unit: str) -> str:
        """Return the ceiling with its rate in words."""
        also = f" (also {', '.join(self.alike)})" if self.alike else ""
        return f"{self.name}{also}: {si(self.rate, unit + '/s')}"


class SlopeLine(Struct, frozen=True):
    """A bandwidth in B/s of a level of the memory, from a sweep of working sets or from STREAM."""

    name: str
    bandwidth: float
    threads: int | None = None

    @property
    def short(self) -> str:
        """The label of its line, with threads and bandwidth: `L2 ×2 117 GB/s`."""
        threads = f" ×{self.threads}" if self.threads else ""
        return f"{self.name}{threads} {si(self.bandwidth, 'B/s', 3)}"

    @property
    def description(self) -> str:
        """The level with its bandwidth in words."""
        threads = f", {number(self.threads, 'thread')}" if self.threads else ""
        return f"{self.name}{threads}: {si(self.bandwidth, 'B/s')}"


def ceilings(e: Estimate, device: Device) -> list[CeilingLine]:
    """Return the peak of the estimate, the other peaks of its dtype, then their measured rates.

    Mixed precision has those of fp16 and fp32. Rates that hardly differ are one ceiling, and the first names it.
    """
    dtypes = ("fp16", "fp32") if e.dtype == MIXED else (e.dtype,)
    main = next((p for p in peaks(device) if p.label == e.peak), None)
    first = " ".join((main.engine, main.isa, main.dtype)) if main else e.peak
    others = (p for p in peaks(device) if p.sparsity == "dense" and p.accumulate in ACCUMULATE_DEFAULT)
    known = [(p.label, f"{p.engine} {p.isa} {p.dtype}", p.flops_per_second) for p in others if p.dtype in dtypes]
    lines = [CeilingLine(e.peak, first, e.peak_flops_per_second)]
    lines += [CeilingLine(*each) for each in sorted(known, key=lambda each: -each[2])]
    return _distinct(lines) + _distinct(_measured(device, dtypes))


def _measured(device: Device, dtypes: Sequence[str]) -> list[CeilingLine]:
    """Return the best multiply-adds and matrix products of each engine."""
    if device.sustained is None:
        return []
    lines = []
    measured = (rate for rate in device.sustained.rates if rate.dtype in dtypes)
    for kernel, engine, dtype in dict.fromkeys((rate.kernel, rate.engine, rate.dtype) for rate in measured):
        if best := device.sustained.rate(kernel, dtype, engine=engine):
            name = f"measured {'FMA' if kernel == 'fma' else kernel}"
            title = f"{name}, {engine} {dtype}" + _on(best.units, device).rstrip(":")
            short = name + (f" {engine}" if engine == "matrix" else "") + _on(best.units, device)
            lines.append(CeilingLine(title, short, float(best.flops_per_second), measured=True))
    return lines


def _on(units: int, device: Device) -> str:
    return "" if units >= device.count else f", {units} of {device.count}:"


def _distinct(lines: Sequence[CeilingLine]) -> list[CeilingLine]:
    """Return the lines without those near an earlier one, which names them."""
    distinct: list[CeilingLine] = []
    for line in lines:
        near = [i for i, k in enumerate(distinct) if max(line.rate, k.rate) <= _DISTINCT * min(line.rate, k.rate)]
        if not near:
            distinct.append(line)
        elif line.name != distinct[near[0]].name:
            first = distinct[near[0]]
            distinct[near[0]] = replace(first, alike=(*first.alike, line.name))
    return distinct


def slopes(device: Device, results: Sequence[Result]) -> list[SlopeLine]:
    """Return caches by the plateaus of a run's sweep with the most threads, and main memory by STREAM.

    `results` are of the same machine; without a sweep among them, the device's own are used. A sweep whose levels are
    not the caches of the system was too disturbed to be drawn.
    """
    known = {cache.name for cache in device.caches}
    sweeps: dict[int, list[SlopeLine]] = {}
    for result in results:
        if (result.kernel, result.unit) == ("cache", "B/s") and result.variant != "memory":
            level = SlopeLine(result.variant, result.value, result.threads)
            sweeps.setdefault(result.threads, []).append(level)
    valid = [threads for threads, sweep in sweeps.items() if not known or {level.name for level in sweep} <= known]
    sustained = device.sustained.caches if device.sustained else {}
    levels = [*sweeps[max(valid)]] if valid else [SlopeLine(name, float(rate)) for name, rate in sustained.items()]
    stream = device.sustained.bandwidth if device.sustained else None
    if stream and device.memory.bandwidth and abs(stream / device.memory.bandwidth - 1) > _DISTINCT - 1:
        levels.append(SlopeLine("measured STREAM", float(stream)))
    return sorted(levels, key=lambda level: -level.bandwidth)
