"""A saved run as text: each result with its interval, its shares of the peaks and its grade, and the reasons."""

from collections.abc import Sequence

from hwbench.measure.analysis.results import SavedRun
from hwbench.measure.record import Record, Result, label, size_text
from hwbench.report.text.format import cut, percent
from hwbench.report.text.layout import PLAIN, Style, sentences, table
from hwbench.report.text.layout import heading as title_lines
from hwbench.units import Bytes, Hertz, si

MAX_REASONS = 6
HIDDEN = ("working-set",)
"""Kernels with a result for each size, from which other results follow; --json has them all."""
OPTIONAL = ("a cycle", "of peak", "at clock")
TWINS = ("FLOP/cycle", "op/cycle", "cycle")
"""Units of results that repeat another one, per cycle."""


def run(record: Record, results: Sequence[Result], findings: Sequence[str], style: Style = PLAIN) -> list[str]:
    """Return everything about a run but its notices."""
    lines = [*title_lines(title(record), style), *heading(record, style), "", *result_table(results, style)]
    for paragraph in (doubts(results, style), [line for text in findings for line in sentences(text, style)]):
        lines += ["", *paragraph] if paragraph else []
    return lines


def title(record: Record) -> str:
    """Return machine and time of a run, in one line."""
    brand = machine_name(record)
    return f"{brand} · {record.created[:19].replace('T', ' ')} UTC · {record.id}"


def machine_name(record: Record) -> str:
    """Return the name of a run's machine: its CPU's brand, else the title of its device."""
    return str(record.environment.get("brand") or (record.device.title if record.device else "unknown machine"))


def heading(record: Record, style: Style = PLAIN) -> list[str]:
    """Return the conditions that results depend on most."""
    known, versions = record.environment, record.environment.get("versions")
    parts = [
        f"{known['usable']} of {known['logical']} logical CPUs" if "usable" in known and "logical" in known else "",
        f"quota {known['quota']:g} CPUs" if known.get("quota") else "",
        "virtual" if known.get("hypervisor") is True else str(known.get("hypervisor") or ""),
        f"governor {known['governor']}" if known.get("governor") else "",
    ]
    if isinstance(versions, dict):
        parts += [f"{name} {versions[name]}" for name in ("numba", "blas", "torch") if name in versions]
    parts += [f"{record.processes} processes"] if record.processes > 1 else []
    return sentences(" · ".join(filter(None, parts)), style) if any(parts) else []


def result_table(results: Sequence[Result], style: Style = PLAIN) -> list[str]:
    """Return a table for each kernel: median, half of the interval's width, best sample, shares of peaks, grade.

    A twin in cycles shares the row of its result: FLOP in a cycle, or cycles of a latency. So does a cache's size.
    """
    tables: dict[str, list[tuple[Result, Result | None]]] = {}
    for result in results:
        rows = tables.setdefault(result.kernel, [])
        if result.unit in TWINS and rows:
            rows[-1] = (rows[-1][0], result)
        elif result.kernel == "cache" and rows and rows[-1][0].unit == "B" and rows[-1][0].variant == result.variant:
            rows[-1] = (result, rows[-1][0])
        elif result.kernel not in HIDDEN:
            rows.append((result, None))
    return [line for kernel, rows in tables.items() if rows for line in ("", *_table(kernel, rows, style))][1:]


def _table(kernel: str, rows: Sequence[tuple[Result, Result | None]], style: Style) -> list[str]:
    """Return the results of one kernel, without empty columns."""
    lines = []
    for result, twin in rows:
        core = "gpu" if result.where == "gpu" else result.core_class
        name = " ".join(filter(None, (result.variant, _isa(result), core)))
        cells = [
            name,
            result.dtype or "",
            amount(twin.value, "B") if twin and twin.unit == "B" else size_text(result.size),
            str(result.threads),
            amount(result.value, result.unit),
        ]
        cells += [percent(half_width(result)), amount(result.best or result.value, result.unit)]
        lines.append([*cells, *(_optional(column, result, twin) for column in OPTIONAL), result.grade])
    header = (kernel, "dtype", "size", "×", "median", "±", "best", *OPTIONAL, "")
    columns = [index for index in range(len(header)) if any(line[index] for line in lines)]
    align = "".join("llrrrrrrrrl"[index] for index in columns)
    cells_shown = [[line[index] for index in columns] for line in lines]
    return table([header[index] for index in columns], cells_shown, align, style, spare=("best", "a cycle"))


def _optional(column: str, result: Result, twin: Result | None) -> str:
    """Return a cell of a column that is left out where it is empty in all rows."""
    if column == "a cycle":
        return f"{twin.value:.4g}" if twin and twin.unit in TWINS else ""
    share = result.ratio_to_peak if column == "of peak" else result.ratio_to_measured_peak
    return percent(share) if share else ""


def _isa(result: Result) -> str | None:
    return None if result.isa == result.variant else result.isa


def amount(value: float, unit: str) -> str:
    """Return a value with its unit and prefix; sizes of memory in powers of two, cycles without a prefix."""
    if unit in ("B", "Hz"):
        return str(Bytes(value) if unit == "B" else Hertz(value))
    return f"{value:.4g} {unit}" if "cycle" in unit else si(value, unit)


def half_width(result: Result) -> float | None:
    """Return half of the interval's width as a share of the value; None for one sample, whose spread is unknown."""
    if not result.value or result.samples < 2:
        return None
    return (result.interval[1] - result.interval[0]) / (2 * abs(result.value))


def doubts(results: Sequence[Result], style: Style = PLAIN) -> list[str]:
    """Return the reasons of the worst grades below A."""
    doubtful = [result for result in results if result.reasons and result.unit not in TWINS]
    doubtful.sort(key=lambda result: result.grade, reverse=True)
    lines = []
    for result in doubtful[:MAX_REASONS]:
        lines += sentences(f"{result.grade}: {label(result)}: {'; '.join(result.reasons)}", style)
    if len(doubtful) > MAX_REASONS:
        lines.append(f"… and {len(doubtful) - MAX_REASONS} more below A (--json has every reason)")
    return lines


def run_list(runs: Sequence[SavedRun], style: Style = PLAIN) -> list[str]:
    """Return a row for each saved run: id, time, machine, what was measured, how many values have which grade, size."""
    rows = [
        (
            run.id,
            run.name or "",
            (run.created or "")[:16].replace("T", " "),
            cut(run.brand or "", 30),
            cut(run.error or ", ".join((*run.models, *(each for each in run.kernels if each != "inference"))), 60),
            " ".join(f"{count} {grade}" for grade, count in run.grades.items()),
            str(Bytes(run.bytes)) if run.bytes is not None else "",
        )
        for run in runs
    ]
    header = ("id", "name", "UTC", "machine", "measured", "grades", "size")
    columns = [index for index, title in enumerate(header) if title != "name" or any(row[1] for row in rows)]
    cells = [[row[index] for index in columns] for row in rows]
    align = "".join("lllllrr"[index] for index in columns)
    return table([header[index] for index in columns], cells, align, style, spare=("size", "machine", "UTC"))
