"""Devices as text: what they are made of, peaks with their arithmetic, measured shares of peaks, and lists."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hwbench import answers
from hwbench.machine.description import Description, DeviceDetails
from hwbench.machine.device import Device, Peak, PeakTerm
from hwbench.machine.parts import Cache, Clock, DisputedPeak, Laptop, Units
from hwbench.report.text.format import intensity, known, percent
from hwbench.report.text.layout import PLAIN, Style, field, sentences, table
from hwbench.report.text.layout import heading as title_lines
from hwbench.units import Hertz, operations_unit, si

if TYPE_CHECKING:  # which needs numpy, and peaks of catalogued devices do without
    from hwbench.study.achieved import Achieved


@answers.lines.register
def description(answer: Description, style: Style = PLAIN) -> list[str]:
    """Return what the device is and its peaks, next to what its saved runs reached."""
    lines = [*heading(answer.source, style), "", *peak_table(answer.source, answer.known, style)]
    rows = answer.measured["achieved"] if answer.measured else ()
    return [*lines, "", *achieved(rows, answer.source, style)] if rows else lines


@answers.lines.register
def device_details(answer: DeviceDetails, style: Style = PLAIN) -> list[str]:
    """Return what the device is, what its file says beyond its peaks, and these."""
    device = answer.description.source
    lines = [*heading(device, style), *details(device, style)]
    return [*lines, "", *peak_table(device, answer.description.known, style)]


def peak_table(device: Device, peaks: Iterable[Peak], style: Style = PLAIN) -> list[str]:
    """Return a row for each ceiling and class of units: units × clock × flops_per_cycle = peak, and the ridge point."""
    rows = []
    for peak in peaks:
        for index, term in enumerate(peak.terms or (None,)):
            factors = _factors(device, term)
            if index:
                rows.append(("", "+", "", *factors, "", "", ""))
                continue
            dtype = peak.dtype + ("" if peak.sparsity == "dense" else f" {peak.sparsity}")
            bandwidth, total = device.memory.bandwidth, si(peak.flops_per_second, operations_unit(peak.dtype) + "/s")
            ridge = intensity(peak.flops_per_second / bandwidth) if bandwidth else "-"
            start = (f"{peak.engine} {peak.isa}", dtype, peak.accumulate or "-")
            rows.append((*start, *factors, total, ridge, peak.provenance))
    header = ("engine", "dtype", "accum.", "units", "clock", "/cycle", "peak", "ridge", "from")
    if (style.tables or style.width) < _NARROW:
        return _narrow(rows, style)
    return table(header, rows, "llllrrrrl", style, spare=("from", "ridge", "clock", "/cycle", "units"))


_NARROW = 50
"""Columns below which a table of peaks would have to leave out the peaks."""


def _narrow(rows: Iterable[Sequence[str]], style: Style) -> list[str]:
    """Return a line or two for each ceiling, with its engine, dtype and peak."""
    lines = []
    for engine, dtype, sums, *_, peak, _ridge, _origin in rows:
        if engine:
            lines += sentences(f"{engine} {dtype}{f' with sums in {sums}' if sums != '-' else ''}: {peak}", style)
    return lines + sentences("left out at this width: units, clock, /cycle, ridge, from", style)


def _factors(device: Device, term: PeakTerm | None) -> tuple[str, str, str]:
    """Return the cells of units, clock and FLOP per cycle; those of an accelerator are unknown."""
    if term is None:
        return "-", "-", "-"
    clock = f"{si(term.clock_hz, 'Hz')} {_which(device, term)}"
    return f"{term.units} × {term.name}", clock, f"{term.flops_per_cycle:g}"


def _which(device: Device, term: PeakTerm) -> str:
    """Return the kind of a term's clock: `real` where it was measured under the load of its ISA."""
    measured = device.provenance_of(f"units.{term.name}.clock.{term.clock}") == "measured"
    return "real" if measured else term.clock.replace("_", "-")


def heading(device: Device, style: Style = PLAIN) -> list[str]:
    """Return what the device is, in a few lines."""
    name = f"{device.title} ({device.name})" if device.name not in ("", device.title) else device.title
    lines = title_lines(name, style)
    for units in device.units:
        lines += field("units", _units(device, units), style)
    lines += field("memory", _memory(device), style)
    if device.caches:
        lines += field("caches", ", ".join(map(_cache, device.caches)), style)
    lines += field("power", f"{device.power} TDP", style) if device.power else []
    lines += field("laptop", _choices(device.laptop), style) if device.laptop else []
    return lines + (field("released", device.released, style) if device.released else [])


def _choices(laptop: Laptop) -> str:
    """Return what the maker of a laptop may choose of its card."""
    ranges = {"power": laptop.power, "boost": laptop.boost}
    known = [f"{name} of {ends[0]} to {ends[1]}" for name, ends in ranges.items() if ends]
    return f"{', '.join(known) or 'power and clocks'} by its maker's choice"


def details(device: Device, style: Style = PLAIN) -> list[str]:
    """Return aliases, notes, published figures and sources of a catalogued device."""
    lines = field("aliases", ", ".join(device.aliases), style) if device.aliases else []
    lines += field("notes", device.notes, style) if device.notes else []
    for peak in (*device.published, *device.disputed):
        extras = [f"{peak.accumulate} accumulate"] if peak.accumulate else []
        extras += [] if peak.sparsity == "dense" else [f"{peak.sparsity} sparse"]
        what = f"{peak.engine} {peak.dtype}" + (f" ({', '.join(extras)})" if extras else "")
        doubt = f"; differs from the computed peak: {peak.reason}" if isinstance(peak, DisputedPeak) else ""
        text = f"{what} {si(peak.flops_per_second, operations_unit(peak.dtype) + '/s')}{doubt}"
        lines += field("published", text, style)
    for score in device.scores:
        tested = ", ".join(part for part in (score.system, score.available) if part)
        lines += field("score", f"{score.suite} {score.score:g}" + (f" ({tested})" if tested else ""), style)
        lines += [style.paint(line, "dim") for line in field("", score.url, style)]
    for source in device.sources:
        lines += field("source", f"{source.title}: {', '.join(source.gives)}", style)
        if source.url:
            lines += [style.paint(line, "dim") for line in field("", source.url, style)]
    return lines


def device_list(devices: Iterable[Device], style: Style = PLAIN) -> list[str]:
    """Return a row for each device."""
    rows = []
    for d in devices:
        start = (d.name, d.kind, d.released or "-", _counts(d), d.architectures or "-")
        rows.append((*start, known(d.memory.bandwidth, "B/s"), str(d.power or "-")))
    header = ("name", "kind", "released", "units", "architecture", "bandwidth", "power")
    return table(header, rows, "lllllrr", style, spare=("released", "units", "kind"))


def achieved(rows: "Sequence[Achieved]", device: Device, style: Style = PLAIN) -> list[str]:
    """Return a row for each measured ceiling: its peak at both clocks, the rates, the memory, and findings.

    The clocks themselves are in the table of peaks above it.
    """
    cells = []
    for row in rows:
        unit = f"{operations_unit(row.dtype)}/s"
        rates = (row.measured_flops_per_second, row.fma_flops_per_second, row.matmul_flops_per_second)
        stated = (row.isa, row.dtype, known(row.stated_flops_per_second, unit, 3))
        shares = (percent(row.share), percent(row.share_at_clock))
        cells.append((*stated, *(known(each, unit, 3) for each in rates), *shares))
    header = ("measured", "dtype", "stated peak", "at real clock", "FMA", "matmul", "of stated", "of real")
    lines = table(header, cells, "llrrrrrr", style, spare=("of stated",))
    sustained = device.sustained
    if sustained and sustained.bandwidth:
        single = (
            f", {si(sustained.unit_bandwidth, 'B/s')} with one core"
            if sustained.unit_bandwidth not in (None, sustained.bandwidth)
            else ""
        )
        lines += ["", *field("STREAM", f"{si(sustained.bandwidth, 'B/s')}{single}", style)]
    if sustained:
        lines += field("from", f"run {sustained.source}", style)
    for cause in dict.fromkeys(row.cause for row in rows if row.cause):
        above = sorted((row for row in rows if row.cause == cause), key=lambda row: -row.share)
        more = f" The same applies to {len(above) - 1} more." if len(above) > 1 else ""
        lines += ["", *sentences(f"{above[0].finding}{more}", style)]
    return lines


def _counts(device: Device) -> str:
    """Return `82 × SM`, or `6 + 8 cores` where there are classes of them."""
    if len(device.units) == 1:
        return f"{device.count} × {device.units[0].name}"
    if not device.units:
        return "-"
    return " + ".join(str(units.count) for units in device.units) + " cores"


def _units(device: Device, units: Units) -> str:
    threads = f", {units.threads} thread{'s' * (units.threads > 1)}" if units.threads else ""
    field = f"units.{units.name}.clock"
    origin = _origin(device, field)
    if device.provenance_of(f"{field}.all_core") == "measured" != origin:
        origin += ", all-core measured"
    return f"{units.count} × {units.name} ({units.architecture}{threads}), {_clock(units.clock)} ({origin})"


def _origin(device: Device, field: str) -> str:
    """Return where a value came from, as people say it."""
    origin = device.provenance_of(field)
    return "set by --set" if origin == "set" else origin


def _clock(clock: Clock) -> str:
    named = [("base", clock.base), ("boost", clock.boost), ("fixed", clock.fixed)]
    alike: dict[float, list[str]] = {}  # a measured clock is that of every ISA which such vectors are part of
    for isa, value in clock.all_core.items():
        alike.setdefault(value, []).append(isa)
    named += [(f"all-core {', '.join(isas)}", Hertz(value)) for value, isas in alike.items()]
    return ", ".join(f"{name} {value}" for name, value in named if value)


def _memory(device: Device) -> str:
    memory = device.memory
    bandwidth = "bandwidth unknown"
    if memory.bandwidth:
        product = memory.bus * memory.rate / 8 if memory.bus and memory.rate else 0.0
        same = abs(product - memory.bandwidth) <= 0.01 * memory.bandwidth  # as far as a data sheet rounds
        bus = f" {'=' if same else '≠'} {memory.bus} × {memory.rate} / 8" if product else ""
        bandwidth = f"{memory.bandwidth}{bus} ({_origin(device, 'memory.bandwidth')})"
    return ", ".join(filter(None, (str(memory.size or "size unknown"), memory.type, bandwidth)))


def _cache(cache: Cache) -> str:
    sharing = "" if cache.shared_by is None else " each" if cache.shared_by == 1 else f" per {cache.shared_by}"
    return f"{cache.name} {cache.size}{sharing}"
