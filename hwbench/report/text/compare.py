"""Devices side by side, as text for a terminal, as Markdown, and as flat rows for CSV."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from hwbench import answers
from hwbench.report.text.layout import PLAIN, Style, at_least, at_most, intensity, rate, sentences, table
from hwbench.report.text.layout import heading as headed
from hwbench.study.compare.decomposition import Decomposition, Factor
from hwbench.study.compare.devices import Comparison, Contender, Timing
from hwbench.units import operations_unit, si

FEW = 4
"""Devices up to which every peak is listed, and each difference is put in a sentence."""
_LONGEST = 22
_SPARE = ("year", "ideal", "GFLOP/s/W", "GOP/s/W", "/s/W", "units", "power")
"""Columns that a narrow terminal does without, the first of them first."""
_WORDS = {
    "units": "units",
    "clock": "clock",
    "flops_per_cycle": "FLOP per cycle",
    "bandwidth": "bandwidth",
    "efficiency": "efficiency",
}


class TextTable(Struct, frozen=True):
    """A table of any format: `align` holds `l` or `r` a column."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str


def heading(found: Comparison) -> str:
    """What is compared, in a line."""
    many = f"{len(found.devices)} device{'' if len(found.devices) == 1 else 's'} at {found.dtype}"
    return f"{many} · {found.title}" if found.title else many


@answers.lines.register
def text(found: Comparison, style: Style = PLAIN) -> list[str]:
    """Tables one below the other, and what makes the difference in words where there are few devices."""
    lines = headed(heading(found), style)
    for one in tables(found):
        lines += ["", *([*sentences(one.title, style), ""] if one.title else [])]
        lines += table(one.header, one.rows, one.align, style, spare=_SPARE)
    for sentence in notes(found):
        lines += ["", *sentences(sentence, style)]
    return lines


def markdown(found: Comparison) -> list[str]:
    """The same as Markdown, whose tables most forges and editors show as such."""
    lines = [f"**{_escaped(heading(found))}**"]
    for one in tables(found):
        rule = "|" + "|".join("---:" if side == "r" else "---" for side in one.align) + "|"
        rows = ["| " + " | ".join(map(_escaped, row)) + " |" for row in (one.header, *one.rows)]
        lines += ["", *([one.title, ""] if one.title else []), rows[0], rule, *rows[1:]]
    for sentence in notes(found):
        lines += ["", _escaped(sentence)]
    return lines


def _escaped(cell: str) -> str:
    """Text that means itself in Markdown, on one line."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in " ".join(cell.split()))


def tables(found: Comparison) -> Iterator[TextTable]:
    """What each device is; all its peaks, of few; a model's times; what makes the difference."""
    yield _summary(found)
    if 0 < len(found.devices) <= FEW:
        yield _peaks(found)
    if found.model:
        yield _times(found)
    if found.decompositions:
        yield _factors(found)


def _summary(found: Comparison) -> TextTable:
    unit = operations_unit(found.dtype)
    header = ("device", "year", "units", "clock", f"{found.dtype} peak", "bandwidth", "ridge", "power", f"G{unit}/s/W")
    rows = tuple(
        (
            _cut(row.name),
            (row.released or "-")[:4],
            str(row.units),
            si(row.clock_hz, "Hz", 3) if row.clock_hz else "-",
            si(row.peak_flops_per_second, f"{unit}/s") if row.peak_flops_per_second else "-",
            si(row.bandwidth_bytes_per_second, "B/s") if row.bandwidth_bytes_per_second else "-",
            intensity(row.ridge_point) if row.ridge_point else "-",
            si(row.power_w, "W") if row.power_w else "-",
            f"{row.peak_flops_per_second_per_w / 1e9:.3g}" if row.peak_flops_per_second_per_w else "-",
        )
        for row in found.devices
    )
    return TextTable("", header, rows, "llrrrrrrr")


def _peaks(found: Comparison) -> TextTable:
    """A row an engine and dtype, a column a device."""
    known = [{(peak.engine, peak.dtype): peak.flops_per_second for peak in row.peaks} for row in found.devices]
    every = sorted({kind for own in known for kind in own}, key=_kind_order)
    rows = tuple(
        (
            f"{engine} {dtype}",
            *(
                si(own[engine, dtype], operations_unit(dtype) + "/s") if (engine, dtype) in own else "-"
                for own in known
            ),
        )
        for engine, dtype in every
    )
    header = ("peak", *(_cut(row.name) for row in found.devices))
    return TextTable("peaks by engine and dtype", header, rows, "l" + "r" * len(known))


def _kind_order(kind: tuple[str, str]) -> tuple[bool, int, str]:
    """Vector before matrix, wide dtypes before narrow ones."""
    from hwbench.dtypes import BITS

    return kind[0] != "vector", -BITS.get(kind[1], 0), kind[1]


def _times(found: Comparison) -> TextTable:
    levels = {timing.interval_level for row in found.devices for timing in row.times if timing.interval_level}
    expected, within = bool(levels), " ".join(f"{100 * level:g} % interval" for level in sorted(levels))
    header = ("device", "batch", "ideal", "roofline", "expected", within, "rate", "/s/W", "bound")
    rows = []
    for row in found.devices:
        for timing in row.times:
            rows.append((_cut(row.name), *_time_cells(timing)))
        if not row.times:
            rows.append((_cut(row.name), *"-" * (len(header) - 1)))
    title = "time of a batch" + ("" if expected else ", and rates that the roofline allows at most")
    left_out = ("ideal",) if expected else ("expected", within)
    kept = [i for i, name in enumerate(header) if name not in left_out]
    align = "lrrrrrrrl"
    return TextTable(
        title,
        tuple(header[i] for i in kept),
        tuple(tuple(cells[i] for i in kept) for cells in rows),
        "".join(align[i] for i in kept),
    )


def _time_cells(timing: Timing) -> tuple[str, ...]:
    bound = timing.expected_time_s is None  # then rates are upper bounds, and rounded as such
    speed = timing.throughput_per_s
    return (
        str(timing.batch),
        si(at_least(timing.ideal_time_s), "s"),
        si(at_least(timing.roofline_time_s), "s") if timing.roofline_time_s is not None else "-",
        si(timing.expected_time_s, "s") if timing.expected_time_s is not None else "-",
        _interval(*timing.interval_s) if timing.interval_s else "-",
        rate(at_most(speed) if bound else speed),
        f"{timing.throughput_per_s_per_w:.3g}" if timing.throughput_per_s_per_w else "-",
        timing.bound or "-",
    )


def _interval(low: float, high: float) -> str:
    """`5.5–14.2 ms`: both ends in the unit of the upper one."""
    number, unit = si(high, "s", 3).split(" ")
    return f"{low * float(number) / high:.3g}–{number} {unit}"


def _factors(found: Comparison) -> TextTable:
    """A row a device and batch: its speed over the baseline's, and the factors that multiply to it."""
    names = [factor.name for factor in max(found.decompositions, key=lambda one: len(one.factors)).factors]
    batches = len(found.batches) > 1
    rows = []
    for one in found.decompositions:
        worth = {factor.name: factor for factor in one.factors}
        cells = [f"×{worth[name].factor:.3g}" if name in worth else "-" for name in names]
        rows.append((_cut(one.device), *((str(one.batch or "-"),) if batches else ()), f"{one.ratio:.3g}", *cells))
    what = {"peak": "peak", "roofline": "roofline throughput", "expected": "expected throughput"}
    of = dict.fromkeys(what[one.of] for one in found.decompositions)
    title = f"{' or '.join(of)} over that of {found.baseline}: the product of what each factor is worth"
    header = ("device", *(("batch",) if batches else ()), "times", *(_WORDS[name] for name in names))
    return TextTable(title, header, tuple(rows), "l" + "r" * (len(header) - 1))


def notes(found: Comparison) -> Iterator[str]:
    """What makes the difference, a sentence a device where there are few, and what is not known of which device."""
    if len(found.devices) <= FEW:
        yield from (_told(one, len(found.batches) > 1) for one in found.decompositions)
        yield from (_mixed(row) for row in found.devices if len(row.terms) > 1)
    gaps: dict[str, list[str]] = {}
    for row in found.devices:
        for reason in row.missing:
            gaps.setdefault(reason, []).append(row.name)
    for reason, names in gaps.items():
        yield f"Not known of {', '.join(names)}: {reason}."
    if len(found.devices) > FEW:
        yield "Peaks of every engine and dtype: --format csv, or --json."


def _told(one: Decomposition, batches: bool) -> str:
    """`rtx4090 has 2.32 times the fp32 peak of rtx3090: mostly units (×1.56 ...)`."""
    of = {"peak": "the peak", "roofline": "the roofline throughput", "expected": "the expected throughput"}
    at = f" at batch {one.batch}" if batches and one.batch else ""
    subject = f"{one.device} has {one.ratio:.3g} times {of[one.of]} of {one.baseline}{at}"
    up = one.ratio >= 1
    told = sorted((f for f in one.factors if abs(f.factor - 1) > 0.005), key=lambda f: -_strength(f))
    helping = [f for f in told if (f.factor >= 1) == up]
    against = [f for f in told if (f.factor >= 1) != up]
    if abs(one.ratio - 1) < 0.005:
        parts = " and ".join(map(_one, told)) or "no factor differs by more than 0.5 %"
        return f"{one.device} has {of[one.of]} of {one.baseline}{at}: {parts}."
    if not helping:
        return f"{subject}: no factor alone differs by more than 0.5 %."
    sentence = f"{subject}: mostly for its {_one(helping[0])}"
    sentence += f", then {' and '.join(map(_one, helping[1:]))}" if helping[1:] else ""
    sentence += f"; against it {' and '.join(map(_one, against))}" if against else ""
    return sentence + "."


def _mixed(row: Contender) -> str:
    """Of what the means of a hybrid CPU are means."""
    classes = (f"{t.units} × {t.name} at {si(t.clock_hz, 'Hz')} ({t.flops_per_cycle:g} a cycle)" for t in row.terms)
    return f"{row.name} has {' and '.join(classes)}: its clock and FLOP per cycle are means over both."


def _strength(factor: Factor) -> float:
    return max(factor.factor, 1 / factor.factor)


def _one(factor: Factor) -> str:
    """A factor with what it is worth, and its own ratio where that is another number."""
    worth = f"{_WORDS[factor.name]} (×{factor.factor:.3g}"
    return worth + (")" if abs(factor.ratio / factor.factor - 1) < 0.005 else f", itself ×{factor.ratio:.3g})")


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


PEAK_COLUMNS = tuple(
    (engine, dtype)
    for engine in ("vector", "matrix")
    for dtype in ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "fp6", "fp4", "int8", "int4")
)
COLUMNS = (
    "device", "title", "kind", "vendor", "architecture", "released", "units", "clock_hz", "flops_per_cycle", "dtype",
    "peak_flops_per_second", "bandwidth_bytes_per_second", "ridge_point", "power_w", "peak_flops_per_second_per_w",
    "model", "batch", "ideal_time_s", "roofline_time_s", "expected_time_s", "interval_low_s", "interval_high_s",
    "throughput_per_s", "throughput_per_s_per_w", "bound", "fits",
    "baseline", "ratio", "ratio_units", "ratio_clock", "ratio_flops_per_cycle", "ratio_bandwidth", "ratio_efficiency",
    *(f"{engine}_{dtype}_flops_per_second" for engine, dtype in PEAK_COLUMNS), "missing",
)  # fmt: skip
"""Columns of the CSV, in SI units: a row a device, or a device and batch; factors are what each is worth."""


@answers.rows.register
def rows(found: Comparison) -> list[dict[str, Any]]:
    """Return the rows of the CSV by column."""
    return [dict(zip(COLUMNS, record, strict=True)) for record in records(found)]


def records(found: Comparison) -> Iterator[tuple[Any, ...]]:
    """The rows of the CSV, None where unknown."""
    factors = {(one.device, one.batch): one for one in found.decompositions}
    for row in found.devices:
        for timing in row.times or (None,):
            one = factors.get((row.name, timing.batch)) if timing else None
            one = one or factors.get((row.name, None))
            yield _record(found, row, timing, one)


def _record(found: Comparison, row: Contender, timing: Timing | None, one: Decomposition | None) -> tuple[Any, ...]:
    low, high = (timing.interval_s if timing else None) or (None, None)
    worth = {factor.name: factor.factor for factor in one.factors} if one else {}
    peaks = {(peak.engine, peak.dtype): peak.flops_per_second for peak in row.peaks}
    times: Sequence[Any] = (None,) * 9
    if timing:
        rates = (timing.throughput_per_s, timing.throughput_per_s_per_w)
        spans = (timing.ideal_time_s, timing.roofline_time_s, timing.expected_time_s, low, high)
        times = (timing.batch, *spans, *rates, timing.bound)
    return (
        row.name, row.title, row.kind, row.vendor, row.architecture, row.released, row.units, row.clock_hz,
        row.flops_per_cycle, found.dtype, row.peak_flops_per_second, row.bandwidth_bytes_per_second, row.ridge_point,
        row.power_w, row.peak_flops_per_second_per_w,
        found.model, *times, timing.fits if timing else None,
        found.baseline, one.ratio if one else None,
        *(worth.get(name) for name in ("units", "clock", "flops_per_cycle", "bandwidth", "efficiency")),
        *(peaks.get(kind) for kind in PEAK_COLUMNS), "; ".join(row.missing) or None,
    )  # fmt: skip
