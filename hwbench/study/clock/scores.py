"""Tables of scores: CSV files with known or mapped columns, and the catalog; what is left out is noticed."""

import csv
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache

from msgspec import Struct, structs

from hwbench.errors import InputError, shown
from hwbench.files import content, folders
from hwbench.files.names import key
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.notices import Notice, notice
from hwbench.study.clock import columns as clock_columns
from hwbench.study.clock.columns import CANONICAL, Mapping

UNITS = {"ghz": 1e9, "mhz": 1e6, "khz": 1e3, "hz": 1.0}
MAX_CLOCK = 12e9
"""Hz that no processor has reached: a clock above it was written in MHz, or in Hz."""
MAX_FILE_BYTES = 1 << 26
MAX_NAMES = 3
_CANONICAL_COLUMNS = {part.partition("=")[2] for part in CANONICAL.split(",")}


class ScoreRow(Struct, frozen=True):
    """One score of one device: clock in Hz, larger scores are faster; unknown is None."""

    suite: str
    device: str
    clock: float
    score: float
    cores: float | None = None
    microarchitecture: str | None = None
    year: float | None = None
    family: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The names by which a class may include it, in lower case."""
        branch = (self.microarchitecture or "").partition(":")[0]
        names = (self.microarchitecture, branch, self.family, self.device)
        return tuple(name.casefold() for name in names if name)


class ScoreTable(Struct, frozen=True):
    """Rows that can be studied, and notices of everything that was done to get them."""

    title: str
    rows: tuple[ScoreRow, ...]
    notices: tuple[Notice, ...] = ()


Faults = dict[str, list[str]]
"""The names of rows with a fault, by the code of its notice: each fault is reported once."""


def _reported(faults: Faults) -> tuple[Notice, ...]:
    return tuple(notice(code, rows=len(names), names=_some(names)) for code, names in faults.items())


def _some(names: list[str]) -> list[str]:
    """Return the first few different names, and `...` if there are more."""
    different = list(dict.fromkeys(names))
    return [*(shown(name, 40) for name in different[:MAX_NAMES]), *(["..."] if len(different) > MAX_NAMES else [])]


def read(path: str, columns: str | None = None, clock: str = "base") -> ScoreTable:
    """Read the table of a CSV file. Raises InputError where it cannot be read or its columns are not known.

    `columns` maps fields to columns as in RECOGNIZED; `clock` is `base`, or `boost` for the rows that have one.
    """
    header, records = _records(path)
    mapping = clock_columns.parse(columns, header, path) if columns else clock_columns.recognize(header, path)
    faults: Faults = defaultdict(list)
    rows: list[ScoreRow] = []
    earlier: set[tuple[str, ...]] = set()
    for line, record in records:
        if len(record) > len(header):
            faults["row-too-long"].append(f"line {line}")
        elif tuple(record) in earlier:
            faults["row-repeated"].append(f"line {line}")
        else:
            earlier.add(tuple(record))
            rows += _rows(dict(zip(header, record, strict=False)), mapping, clock, faults, line)
    rows = _plausible(rows, faults)
    notices = [*_reported(faults), *_several_clocks(rows)]
    if {column for _, column in mapping} - _CANONICAL_COLUMNS:
        notices.insert(0, notice("columns-read", columns=[f"{field}={column}" for field, column in mapping]))
    return ScoreTable(path, tuple(rows), tuple(notices))


def _records(path: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header and numbered records; lines that begin with `#` are comments."""
    text = content.read_text(path, MAX_FILE_BYTES)
    lines = {n: line for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")}
    if not lines:
        raise InputError("empty-table", "The table has no rows.", file=path)
    numbers, reader = list(lines), csv.reader(lines.values())
    try:
        header, *records = [[cell.strip() for cell in record] for record in reader]
    except csv.Error as error:
        line = numbers[min(reader.line_num, len(numbers)) - 1]
        raise InputError("not-csv", f"The file is not valid CSV: {error}.", file=path, line=line) from None
    return header, list(zip(numbers[1:], records, strict=False))


def _rows(values: dict[str, str], mapping: Mapping, clock: str, faults: Faults, line: int) -> Iterator[ScoreRow]:
    """Yield a row for each column of scores, unless its clock or score cannot be used."""
    cells = {field: clock_columns.value(values, column) for field, column in mapping}
    columns = dict(mapping)
    device = cells["device"] or f"line {line}"
    hertz = _clock(cells["clock"], columns["clock"], device, faults)
    if hertz is None:
        return
    boost = _clock(cells["boost"], columns["boost"], device, defaultdict(list)) if cells.get("boost") else None
    if boost and boost < 0.98 * hertz:
        faults["row-boost-below-base"].append(device)
    elif boost and clock == "boost":
        hertz = boost
    cores, year = _positive(cells.get("cores", "")), _year(cells.get("year", ""))
    if cells.get("cores") and cores is None:
        faults["row-cores-invalid"].append(device)
    if cells.get("year") and year is None:
        faults["row-year-invalid"].append(device)
    for column in (column for field, column in mapping if field == "score"):
        text = clock_columns.value(values, column)
        score = _positive(text)
        suite = cells.get("suite", column)
        branch, family = (cells.get(field) or None for field in ("microarchitecture", "family"))
        if score is None:
            faults["row-score-invalid" if text else "row-without-score"].append(device)
        elif not suite:
            faults["row-without-suite"].append(device)
        else:
            yield ScoreRow(suite, device, hertz, score, cores, branch, year, family)


def _positive(text: str) -> float | None:
    with suppress(ValueError):
        value = float(text)
        return value if 0 < value < 1e30 else None
    return None


def _year(text: str) -> float | None:
    """Return `2001`, `2001.5`, `2001-10` or `2001-10-15` as a year with its fraction."""
    match = re.fullmatch(r"(19[4-9]\d|20\d\d)(\.\d+)?(?:[-/](\d\d?)(?:[-/]\d\d?)?)?", text)
    if match is None:
        return None
    year, fraction, month = match.groups()
    months = (min(int(month), 12) - 1) / 12 if month else 0.0
    return int(year) + float(fraction or 0) + months


def _clock(text: str, column: str, device: str, faults: Faults) -> float | None:
    """Return a clock in Hz; the unit is the cell's, else the column's, and an impossible one is replaced."""
    if not text:
        faults["row-without-clock"].append(device)
        return None
    match = re.fullmatch(r"([0-9.eE+-]+)\s*([kMG]?Hz)?", text, re.IGNORECASE)
    value = _positive(match.group(1)) if match else None
    if match is None or value is None:
        faults["row-clock-invalid"].append(device)
        return None
    name, _, unit = column.partition(":")
    if unit.casefold() == "ns":
        return 1e9 / value
    stated = (match.group(2) or unit or clock_columns.suffix(name)).casefold()
    hertz = value * UNITS.get(stated, 1e9)
    if hertz <= MAX_CLOCK:
        return hertz
    for smaller, code in (("mhz", "row-clock-read-as-mhz"), ("hz", "row-clock-read-as-hz")):
        if 1e4 <= value * UNITS[smaller] <= MAX_CLOCK:
            faults[code].append(device)
            return value * UNITS[smaller]
    faults["row-clock-impossible"].append(device)
    return None


def _plausible(rows: list[ScoreRow], faults: Faults) -> list[ScoreRow]:
    """Return the rows without those whose clock, in another unit, is a hundred times off their suite's median."""
    clocks: dict[str, list[float]] = {}
    for row in rows:
        clocks.setdefault(row.suite, []).append(row.clock)
    medians = {suite: statistics.median(values) for suite, values in clocks.items()}
    plausible = []
    for row in rows:
        if 0.01 < row.clock / medians[row.suite] < 100:
            plausible.append(row)
        else:
            faults["row-clock-implausible"].append(row.device)
    return plausible


def _several_clocks(rows: Iterable[ScoreRow]) -> Iterator[Notice]:
    clocks: dict[tuple[str, str], set[float]] = {}
    for row in rows:
        clocks.setdefault((row.suite, row.device), set()).add(row.clock)
    several = [device for (_, device), values in clocks.items() if max(values) > 1.02 * min(values)]
    if several:
        yield notice("devices-with-several-clocks", devices=len(set(several)), names=_some(several))


def against_catalog(table: ScoreTable) -> ScoreTable:
    """Return the table with the base clock where a row of a catalogued device has its boost clock."""
    known, described = folders.spellings("devices"), cache(_described)
    faults: Faults = defaultdict(list)
    rows = []
    for row in table.rows:
        name = known.get(key(row.device))
        device = described(name) if name else None
        clock = device.units[0].clock if device and device.units else None
        if clock and clock.base and clock.boost and _near(row.clock, clock.boost) and not _near(row.clock, clock.base):
            faults["row-boost-for-base"].append(row.device)
            rows.append(structs.replace(row, clock=float(clock.base)))
        else:
            rows.append(row)
    return ScoreTable(table.title, tuple(rows), (*table.notices, *_reported(faults)))


def _described(name: str) -> Device | None:
    with suppress(InputError):
        return catalog.device(name)
    return None


def _near(a: float, b: float) -> bool:
    return abs(a / b - 1) < 0.01


def of_catalog(devices: Iterable[Device], clock: str = "base") -> ScoreTable:
    """Return the scores of catalogued devices: clock of the fastest cores, number of all, year of the tested system."""
    rows = []
    faults: Faults = defaultdict(list)
    for device in (each for each in devices if each.scores):
        fastest = max(device.units, key=lambda units: units.clock.boost or units.clock.base or units.clock.fixed or 0)
        base, boost = fastest.clock.base, fastest.clock.boost
        chosen = (boost or base if clock == "boost" else base) or fastest.clock.fixed
        for score in device.scores:
            if chosen is None:
                faults["row-without-base-clock"].append(device.name)
                continue
            year = _year(score.available or device.released or "")
            clocked = (score.suite, device.name, float(chosen), score.score)
            rows.append(ScoreRow(*clocked, float(device.count), device.architectures, year, device.vendor))
    return ScoreTable("catalog", tuple(rows), _reported(faults))
