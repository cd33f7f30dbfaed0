"""A saved run as text: a row a result with its interval, its shares of the peaks and its grade; then why."""

from collections.abc import Sequence

from hwbench.measure.record import Record, Result
from hwbench.report.text.format import percent
from hwbench.report.text.layout import PLAIN, Style, sentences, table
from hwbench.report.text.layout import heading as titled
from hwbench.units import Bytes, Hertz, si

MOST_REASONS = 6
SUMMED_UP = ("working-set",)
"""Kernels with a result a size, whose text is left to the results that were read off them; --json has them all."""
OPTIONAL = ("a cycle", "of peak", "at clock")
TWINS = ("FLOP/cycle", "op/cycle", "cycle")
"""Units of results that repeat another by the cycle."""


def run(record: Record, results: Sequence[Result], findings: Sequence[str], style: Style = PLAIN) -> list[str]:
    """Everything about a run but its warnings."""
    lines = [*titled(title(record), style), *heading(record, style), "", *result_table(results, style)]
    for told in (doubts(results, style), [line for text in findings for line in sentences(text, style)]):
        lines += ["", *told] if told else []
    return lines


def title(record: Record) -> str:
    """Machine and time of a run, in one line."""
    brand = machine_name(record)
    return f"{brand} · {record.created[:19].replace('T', ' ')} UTC · {record.id}"


def machine_name(record: Record) -> str:
    """What the machine of a run is called: its CPU's brand, else the title that we gave it."""
    return str(record.environment.get("brand") or (record.device.title if record.device else "unknown machine"))


def heading(record: Record, style: Style = PLAIN) -> list[str]:
    """The conditions that values depend on most."""
    known = record.environment
    parts = (
        [f"{known['usable']} of {known['logical']} logical CPUs"] if "usable" in known and "logical" in known else []
    )
    if known.get("quota"):
        parts.append(f"quota {known['quota']:g} CPUs")
    if known.get("hypervisor"):
        parts.append("virtual" if known["hypervisor"] is True else str(known["hypervisor"]))
    if known.get("governor"):
        parts.append(f"governor {known['governor']}")
    versions = known.get("versions")
    if isinstance(versions, dict):
        parts += [f"{name} {versions[name]}" for name in ("numba", "blas", "torch") if name in versions]
    if record.processes > 1:
        parts.append(f"{record.processes} processes")
    return sentences(" · ".join(parts), style) if parts else []


def result_table(results: Sequence[Result], style: Style = PLAIN) -> list[str]:
    """A table a kernel and in it a row a result: median, half of the interval's width, best sample, shares, grade.

    A twin in cycles stands in its result's row: FLOP in a cycle, or cycles of a latency.
    """
    tables: dict[str, list[tuple[Result, Result | None]]] = {}
    for one in results:
        rows = tables.setdefault(one.kernel, [])
        if one.unit in TWINS and rows:
            rows[-1] = (rows[-1][0], one)
        elif one.kernel not in SUMMED_UP:
            rows.append((one, None))
    lines: list[str] = []
    for kernel, rows in tables.items():
        if rows:
            lines += ["", *_table(kernel, rows, style)]
    return lines[1:]


def _table(kernel: str, rows: Sequence[tuple[Result, Result | None]], style: Style) -> list[str]:
    """The results of one kernel, without the columns in which nothing stands."""
    lines = []
    for one, twin in rows:
        core = "gpu" if one.where == "gpu" else one.core_class
        name = " ".join(part for part in (one.variant, _isa(one), core) if part)
        cells = [name, one.dtype or "", _size(one), str(one.threads), amount(one.value, one.unit)]
        cells += [percent(half_width(one)), amount(one.best or one.value, one.unit)]
        lines.append([*cells, *(_optional(column, one, twin) for column in OPTIONAL), one.grade])
    header = (kernel, "dtype", "size", "×", "median", "±", "best", *OPTIONAL, "")
    kept = [index for index in range(len(header)) if any(line[index] for line in lines)]
    align = "".join("llrrrrrrrrl"[index] for index in kept)
    shown = [[line[index] for index in kept] for line in lines]
    return table([header[index] for index in kept], shown, align, style, spare=("best", "a cycle"))


def _optional(column: str, one: Result, twin: Result | None) -> str:
    """A cell of a column that is left out where no row has anything to say in it."""
    if column == "a cycle":
        return f"{twin.value:.4g}" if twin else ""
    share = one.ratio_to_peak if column == "of peak" else one.ratio_to_measured_peak
    return percent(share) if share else ""


def _isa(one: Result) -> str | None:
    return None if one.isa == one.variant else one.isa


def _size(one: Result) -> str:
    """A working set in bytes as text that is read, a product of squares as `1024³`; any other size as it stands."""
    size = one.size or ""
    if size.isdigit():
        return str(Bytes(float(size)))
    sides = size.split("x")
    return f"{sides[0]}³" if len(sides) == 3 and len(set(sides)) == 1 else size


def amount(value: float, unit: str) -> str:
    """A value with its unit and prefix; sizes of memory in powers of two, cycles without a prefix."""
    if unit == "B":
        return str(Bytes(value))
    if unit == "Hz":
        return str(Hertz(value))
    if "cycle" in unit:
        return f"{value:.4g} {unit}"
    return si(value, unit)


def half_width(one: Result) -> float | None:
    """Half of the interval's width as a share of the value; None for one sample, of whose spread nothing is known."""
    if not one.value or one.samples < 2:
        return None
    return (one.interval[1] - one.interval[0]) / (2 * abs(one.value))


def doubts(results: Sequence[Result], style: Style = PLAIN) -> list[str]:
    """Why results are not graded A, each reason with those that it holds for."""
    worst = sorted(
        (one for one in results if one.reasons and one.unit not in TWINS), key=lambda one: one.grade, reverse=True
    )
    lines = []
    for one in worst[:MOST_REASONS]:
        parts = (
            one.kernel,
            one.variant,
            _isa(one),
            one.dtype,
            _size(one),
            f"×{one.threads}" if one.threads > 1 else "",
        )
        lines += sentences(f"{one.grade}: {' '.join(p for p in parts if p)}: {'; '.join(one.reasons)}", style)
    if len(worst) > MOST_REASONS:
        lines.append(f"… and {len(worst) - MOST_REASONS} more below A (--json has every reason)")
    return lines


def run_list(rows: Sequence[tuple[str, Record | None, str]], style: Style = PLAIN) -> list[str]:
    """A row a saved run: id, when, on what, which kernels; `rows` holds id, run and why it could not be read."""
    found = []
    for name, record, trouble in rows:
        if record is None:
            found.append((name, "", "", trouble[:60]))
            continue
        kernels = ", ".join(dict.fromkeys(one.kernel for one in record.measurements))
        found.append((name, record.created[:16].replace("T", " "), machine_name(record)[:30], kernels[:44]))
    return table(("id", "UTC", "machine", "kernels"), found, "llll", style)
