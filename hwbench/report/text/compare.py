"""Devices compared, as text for a terminal and as Markdown."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from hwbench import answers
from hwbench.dtypes import BITS
from hwbench.notice_texts import few
from hwbench.report.text.format import ceil_digits, cut, floor_digits, intensity, interval, known, number, rate
from hwbench.report.text.layout import PLAIN, Style, sentences, table
from hwbench.report.text.layout import heading as headed
from hwbench.study.compare.decomposition import Decomposition, Factor
from hwbench.study.compare.devices import Comparison, Contender, Timing
from hwbench.units import operations_unit, si

FEW = 4
"""Devices up to which every peak is listed, and each difference is described in a sentence."""
MAX_ROWS = 20
_MAX_NAME = 40
_SPARE = ("year", "ideal", "rate/W", "GFLOP/s/W", "GOP/s/W", "units", "power", "roofline", "rate", "clock")
"""Columns that a narrow terminal leaves out, in this order; of factors those that differ least from 1."""
_SPEEDS = {"peak": "peak", "roofline": "roofline throughput", "expected": "expected throughput"}


class TextTable(Struct, frozen=True):
    """A table of any format: `align` holds `l` or `r` a column, `spare` the columns to leave out first."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str
    spare: tuple[str, ...] = _SPARE


def heading(comparison: Comparison) -> str:
    """Return what is compared, in a line."""
    text = f"{number(len(comparison.devices), 'device')} at {comparison.dtype}"
    return f"{text} · {comparison.title}" if comparison.title else text


@answers.lines.register
def text(comparison: Comparison, style: Style = PLAIN) -> list[str]:
    """Return the tables, and the differences in sentences where there are few devices."""
    lines = headed(heading(comparison), style)
    for part in tables(comparison):
        lines += ["", *([*sentences(part.title, style), ""] if part.title else [])]
        lines += table(part.header, part.rows[:MAX_ROWS], part.align, style, spare=part.spare)
        if (more := len(part.rows) - MAX_ROWS) > 0:
            lines.append(style.paint(f"... and {more} more (--json, --format; --sort decides which come first)", "dim"))
    for sentence in notes(comparison):
        lines += ["", *sentences(sentence, style)]
    return lines


def markdown(comparison: Comparison) -> list[str]:
    """Return the same as Markdown."""
    lines = [f"**{_escaped(heading(comparison))}**"]
    for part in tables(comparison):
        rule = "|" + "|".join("---:" if side == "r" else "---" for side in part.align) + "|"
        rows = ["| " + " | ".join(map(_escaped, row)) + " |" for row in (part.header, *part.rows)]
        lines += ["", *([part.title, ""] if part.title else []), rows[0], rule, *rows[1:]]
    for sentence in notes(comparison):
        lines += ["", _escaped(sentence)]
    return lines


def _escaped(cell: str) -> str:
    """Return text without a meaning in Markdown, on one line."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in " ".join(cell.split()))


def tables(comparison: Comparison) -> Iterator[TextTable]:
    """Yield a table of the devices, of their peaks if they are few, of a model's times, and of the factors."""
    yield _summary(comparison)
    if 0 < len(comparison.devices) <= FEW:
        yield _peaks(comparison)
    if comparison.model:
        yield _times(comparison)
    if comparison.decompositions:
        yield _factors(comparison)


def _summary(comparison: Comparison) -> TextTable:
    unit, peak = operations_unit(comparison.dtype), f"{comparison.dtype} peak"
    header = ("device", "year", "units", "clock", peak, "bandwidth", "ridge", "power", f"G{unit}/s/W")
    rows = []
    for row in comparison.devices:
        ridge = intensity(row.ridge_point) if row.ridge_point else "-"
        efficiency = f"{row.peak_flops_per_second_per_w / 1e9:.3g}" if row.peak_flops_per_second_per_w else "-"
        rates = (known(row.peak_flops_per_second, f"{unit}/s"), known(row.bandwidth_bytes_per_second, "B/s"), ridge)
        start = (
            cut(row.name, _MAX_NAME),
            (row.released or "-")[:4],
            str(row.units or "-"),
            known(row.clock_hz, "Hz", 3),
        )
        rows.append((*start, *rates, known(row.power_w, "W"), efficiency))
    return TextTable("", header, tuple(rows), "llrrrrrrr")


def _peaks(comparison: Comparison) -> TextTable:
    """Return a row for each engine and dtype, a column for each device."""
    peaks = [{(peak.engine, peak.dtype): peak.flops_per_second for peak in row.peaks} for row in comparison.devices]
    every = sorted(  # vector before matrix, wide dtypes before narrow ones
        {kind for own in peaks for kind in own}, key=lambda kind: (kind[0] != "vector", -BITS.get(kind[1], 0), kind[1])
    )
    rows = tuple(
        (" ".join(kind), *(known(own.get(kind), operations_unit(kind[1]) + "/s") for own in peaks)) for kind in every
    )
    header = ("peak", *(cut(row.name, _MAX_NAME) for row in comparison.devices))
    return TextTable("Peaks by engine and dtype", header, rows, "l" + "r" * len(peaks))


def _times(comparison: Comparison) -> TextTable:
    levels = {timing.interval_level for row in comparison.devices for timing in row.times if timing.interval_level}
    expected, within = bool(levels), " ".join(f"{100 * level:g} % interval" for level in sorted(levels))
    header: tuple[str, ...] = ("device", "batch", "ideal", "roofline", "expected", within, "rate", "rate/W", "bound")
    rows = []
    for row in comparison.devices:
        for timing in row.times:
            rows.append((cut(row.name, _MAX_NAME), *_time_cells(timing, expected)))
        if not row.times:
            rows.append((cut(row.name, _MAX_NAME), *"-" * (len(header) - 1)))
    title = "Time of a batch" + ("" if expected else "; rates are upper bounds from the roofline")
    left_out = ("ideal",) if expected else ("expected", within)
    shown = [i for i, name in enumerate(header) if name not in left_out]
    header, align, *body = (tuple(cells[i] for i in shown) for cells in (header, "lrrrrrrrl", *rows))
    return TextTable(title, header, tuple(body), "".join(align))


def _time_cells(timing: Timing, expected: bool) -> tuple[str, ...]:
    """Return the cells of one time; rates and bound are the forecast's or, where no device has one, the roofline's."""
    speed, bound, per_watt = timing.throughput_per_s, timing.bound, timing.throughput_per_s_per_w
    if not expected:
        speed, bound = ceil_digits(timing.roofline.throughput_per_s), timing.roofline.bound
    return (
        str(timing.batch), si(floor_digits(timing.ideal_time_s), "s"),
        "-" if timing.roofline_time_s is None else si(floor_digits(timing.roofline_time_s), "s"),
        "-" if timing.expected_time_s is None else si(timing.expected_time_s, "s"),
        interval(*timing.interval_s) if timing.interval_s else "-", rate(speed),
        f"{per_watt:.3g}" if per_watt else "-", bound or "-",
    )  # fmt: skip


def _factors(comparison: Comparison) -> TextTable:
    """Return a row for each device and batch: its relative speed, and what each factor contributes."""
    longest = max(comparison.decompositions, key=lambda decomposition: len(decomposition.factors))
    names = [factor.name for factor in longest.factors]
    batches = len(comparison.batches) > 1
    rows = []
    for decomposition in comparison.decompositions:
        factors = {factor.name: f"×{factor.factor:.3g}" for factor in decomposition.factors}
        start = (cut(decomposition.device, _MAX_NAME), *((str(decomposition.batch or "-"),) if batches else ()))
        rows.append((*start, f"{decomposition.ratio:.3g}", *(factors.get(name, "-") for name in names)))
    speeds = " or ".join(dict.fromkeys(_SPEEDS[each.of] for each in comparison.decompositions))
    title = f"{speeds[:1].upper()}{speeds[1:]} relative to {comparison.baseline}, split into factors"
    header = ("device", *(("batch",) if batches else ()), "times", *map(_words, names))
    strength = dict.fromkeys(names, 1.0)
    for factor in (factor for decomposition in comparison.decompositions for factor in decomposition.factors):
        strength[factor.name] = max(strength.get(factor.name, 1.0), _strength(factor))
    spare = tuple(map(_words, sorted(names, key=strength.__getitem__)))
    return TextTable(title, header, tuple(rows), "l" + "r" * (len(header) - 1), spare)


def notes(comparison: Comparison) -> Iterator[str]:
    """Yield the reason of each difference where there are few devices, and what is not known of which device."""
    if len(comparison.devices) <= FEW:
        yield from (_difference(each, len(comparison.batches) > 1) for each in comparison.decompositions)
        yield from _waiting(comparison)
        yield from (_mixed(row) for row in comparison.devices if len(row.terms) > 1)
    gaps: dict[str, list[str]] = {}
    for row in comparison.devices:
        for gap in row.missing:
            gaps.setdefault(gap, []).append(row.name)
    for gap, names in gaps.items():
        yield f"Unknown for {few(names)}: {gap}."
    if len(comparison.devices) > FEW:
        yield "Peaks of every engine and dtype: --format csv, or --json."


def _waiting(comparison: Comparison) -> Iterator[str]:
    """Yield at which batches every device waits for launches, which no faster card changes."""
    batches = [
        str(timings[0].batch)
        for timings in zip(*(row.times for row in comparison.devices), strict=False)
        if all(timing.bound == "overhead" for timing in timings)
    ]
    if batches:
        at = f" at batch {', '.join(batches)}" if len(comparison.batches) > 1 else ""
        yield f"All wait mostly for launches{at}: a faster device changes little, a larger batch more."


def _difference(decomposition: Decomposition, batches: bool) -> str:
    """Return a sentence: `rtx4090 has 2.32 times the peak of rtx3090, mainly due to units ×1.56`."""
    device, ratio = decomposition.device, decomposition.ratio
    at = f" at batch {decomposition.batch}" if batches and decomposition.batch else ""
    what = f"the {_SPEEDS[decomposition.of]} of {decomposition.baseline}{at}"
    factors = sorted((f for f in decomposition.factors if abs(f.factor - 1) > 0.005), key=lambda f: -_strength(f))
    if abs(ratio - 1) < 0.005:
        reason = f"{_listed(factors)} cancel out" if factors else "no factor differs by more than 0.5 %"
        return f"{device} has {what}: {reason}."
    helping = [factor for factor in factors if (factor.factor >= 1) == (ratio >= 1)]
    opposing = [factor for factor in factors if factor not in helping]
    sentence = f"{device} has {ratio:.3g} times {what}"
    if not helping:
        return f"{sentence}: no single factor differs by more than 0.5 %."
    sentence += f", mainly due to {_listed(helping[:1])}"
    sentence += f", then {_listed(helping[1:])}" if helping[1:] else ""
    return f"{sentence}{f'; opposed by {_listed(opposing)}' if opposing else ''}."


def _mixed(row: Contender) -> str:
    """Return what the means of a hybrid CPU are means of."""
    classes = (f"{t.units} × {t.name} at {si(t.clock_hz, 'Hz')} ({t.flops_per_cycle:g} a cycle)" for t in row.terms)
    return f"{row.name} has {' and '.join(classes)}: its clock and FLOP per cycle are means of these."


def _strength(factor: Factor) -> float:
    return max(factor.factor, 1 / factor.factor)


def _listed(factors: Sequence[Factor]) -> str:
    *first, last = map(_named, factors)
    return f"{', '.join(first)} and {last}" if first else last


def _words(name: str) -> str:
    return name.replace("flops", "FLOP").replace("_", " ")


def _named(factor: Factor) -> str:
    """Return a factor with its own ratio, and its contribution where that is another number."""
    text = f"{_words(factor.name)} ×{factor.ratio:.3g}"
    same = abs(factor.ratio / factor.factor - 1) < 0.005
    return text if same else f"{text} (contributes ×{factor.factor:.3g})"
