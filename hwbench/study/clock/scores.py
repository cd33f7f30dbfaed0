"""Tables of scores for the clock study: the canonical CSV, other people's by their columns, and the catalog.

Nothing dirty is mended in silence: what was left out, converted or doubted is a note.
"""

import csv
import math
import re
import statistics
from collections.abc import Iterable, Iterator

from msgspec import Struct, structs

from hwbench.errors import InputError, shown
from hwbench.files import documents
from hwbench.machine.device import Device
from hwbench.study.clock import columns as clock_columns
from hwbench.study.clock.columns import CANONICAL, Mapping

UNITS = {"ghz": 1e9, "mhz": 1e6, "khz": 1e3, "hz": 1.0}
FASTEST = 12e9
"""Hz above which no processor has run: a clock that would be faster was written in MHz, or in Hz."""
LARGEST_FILE = 1 << 26
NAMED = 3
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
        """What a pair of classes may call it, in lower case."""
        branch = (self.microarchitecture or "").partition(":")[0]
        names = (self.microarchitecture, branch, self.family, self.device)
        return tuple(name.casefold() for name in names if name)


class ScoreTable(Struct, frozen=True):
    """Rows that can be studied, and everything that was done to get them."""

    title: str
    rows: tuple[ScoreRow, ...]
    notes: tuple[str, ...] = ()
    columns: str = ""


class Notes:
    """Faults by kind, each told once with how many rows it concerns and a few of their names."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, what: str, name: str) -> None:
        """One more row of which this is to be said."""
        self._found.setdefault(what, []).append(name)

    def told(self) -> tuple[str, ...]:
        """A sentence for each kind of fault."""
        found = []
        for what, names in self._found.items():
            few = list(dict.fromkeys(names))
            more = ", ..." if len(few) > NAMED else ""
            rows = "1 row" if len(names) == 1 else f"{len(names)} rows"
            found.append(f"{rows} {what} ({', '.join(shown(name, 40) for name in few[:NAMED])}{more})")
        return tuple(found)


def read(path: str, columns: str | None = None, clock: str = "base") -> ScoreTable:
    """The table in a CSV file. Raises InputError where it cannot be read or its columns cannot be told.

    `columns` maps fields to columns as in RECOGNIZED; `clock` is `base`, or `boost` for the rows that have one.
    """
    header, records = _records(path)
    mapping = clock_columns.parse(columns, header, path) if columns else clock_columns.recognize(header, path)
    notes = Notes()
    rows: list[ScoreRow] = []
    seen: set[tuple[str, ...]] = set()
    for line, record in records:
        if len(record) > len(header):
            notes.add("left out: more values than the header has columns", f"line {line}")
            continue
        if tuple(record) in seen:
            notes.add("left out: the same as a row before", f"line {line}")
            continue
        seen.add(tuple(record))
        values = dict(zip(header, record, strict=False))
        rows += _rows(values, mapping, clock, notes, line)
    rows = _plausible(rows, notes)
    told = [*notes.told(), *_doubts(rows)]
    text = ",".join(f"{field}={column}" for field, column in mapping)
    if {column for _, column in mapping} - _CANONICAL_COLUMNS:
        told.insert(0, f"Columns read as {text.replace(',', ', ')}")
    return ScoreTable(path, tuple(rows), tuple(told), text)


def _records(path: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header and numbered records; lines that begin with `#` are comments."""
    text = documents.read_text(path, LARGEST_FILE)
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if not lines:
        raise InputError("holds no rows", file=path)
    reader = csv.reader([line for _, line in lines])
    try:
        parsed = [[cell.strip() for cell in record] for record in reader]
    except csv.Error as error:
        raise InputError(
            f"is not CSV: {error}", file=path, line=lines[min(reader.line_num, len(lines)) - 1][0]
        ) from None
    numbers = [n for n, _ in lines]
    return parsed[0], list(zip(numbers[1:], parsed[1:], strict=False))


def _rows(values: dict[str, str], mapping: Mapping, clock: str, notes: Notes, line: int) -> Iterator[ScoreRow]:
    """A row for each column of scores, unless its clock or score cannot be used."""
    cells = {field: clock_columns.value(values, column) for field, column in mapping}
    columns = dict(mapping)
    scores = [column for field, column in mapping if field == "score"]
    device = cells["device"] or f"line {line}"
    hertz = _clock(cells["clock"], columns["clock"], device, notes)
    if hertz is None:
        return
    boost = _clock(cells["boost"], columns["boost"], device, Notes()) if cells.get("boost") else None
    if boost and boost < 0.98 * hertz:
        notes.add("with a boost clock below the base clock: it is not used", device)
    elif boost and clock == "boost":
        hertz = boost
    cores = _positive(cells.get("cores", ""))
    if cells.get("cores") and cores is None:
        notes.add("whose number of cores is no number: taken as unknown", device)
    year = _year(cells.get("year", ""))
    if cells.get("year") and year is None:
        notes.add("whose year is none: taken as unknown", device)
    for column in scores:
        text = clock_columns.value(values, column)
        score = _positive(text)
        if score is None:
            notes.add("left out: no score" if not text else "left out: a score that is no positive number", device)
            continue
        suite = cells.get("suite", column)
        if not suite:
            notes.add("left out: no suite", device)
            continue
        yield ScoreRow(
            suite,
            device,
            hertz,
            score,
            cores,
            cells.get("microarchitecture") or None,
            year,
            cells.get("family") or None,
        )


def _positive(text: str) -> float | None:
    """A finite number above zero, else None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 < value < 1e30 else None


def _year(text: str) -> float | None:
    """`2001`, `2001.5`, `2001-10` or `2001-10-15` as a year with its fraction."""
    match = re.fullmatch(r"(19[4-9]\d|20\d\d)(\.\d+)?(?:[-/](\d\d?)(?:[-/]\d\d?)?)?", text)
    if match is None:
        return None
    year, fraction, month = match.groups()
    return (
        int(year) + float(fraction or 0) + (min(int(month), 12) - 1) / 12 if month else int(year) + float(fraction or 0)
    )


def _clock(text: str, column: str, device: str, notes: Notes) -> float | None:
    """A clock in Hz; the unit is the cell's own, else the column's, and one that cannot be is told and mended."""
    if not text:
        notes.add("left out: no clock", device)
        return None
    match = re.fullmatch(r"([0-9.eE+-]+)\s*([kMG]?Hz)?", text, re.IGNORECASE)
    value = _positive(match.group(1)) if match else None
    if match is None or value is None:
        notes.add("left out: a clock that is no positive number", device)
        return None
    name, _, unit = column.partition(":")
    if unit.casefold() == "ns":
        return 1e9 / value
    stated = (match.group(2) or unit or clock_columns.suffix(name)).casefold()
    hertz = value * UNITS.get(stated, 1e9)
    if hertz <= FASTEST:
        return hertz
    for smaller in ("mhz", "hz"):
        if 1e4 <= value * UNITS[smaller] <= FASTEST:
            meant = "MHz" if smaller == "mhz" else "Hz"
            notes.add(f"whose clock cannot be meant in {clock_columns.NAMES[stated]}: read as {meant}", device)
            return value * UNITS[smaller]
    notes.add("left out: a clock that no processor has", device)
    return None


def _plausible(rows: list[ScoreRow], notes: Notes) -> list[ScoreRow]:
    """The rows without those whose clock is a hundred times off their suite's median: another unit was meant."""
    clocks: dict[str, list[float]] = {}
    for row in rows:
        clocks.setdefault(row.suite, []).append(row.clock)
    medians = {suite: statistics.median(found) for suite, found in clocks.items()}
    kept = []
    for row in rows:
        if 0.01 < row.clock / medians[row.suite] < 100:
            kept.append(row)
        else:
            notes.add("left out: a clock a hundred times off the suite's median, perhaps in another unit", row.device)
    return kept


def _doubts(rows: Iterable[ScoreRow]) -> Iterator[str]:
    """What looks wrong but cannot be mended without knowing more."""
    clocks: dict[tuple[str, str], set[float]] = {}
    for row in rows:
        clocks.setdefault((row.suite, row.device), set()).add(row.clock)
    several = dict.fromkeys(device for (_, device), found in clocks.items() if max(found) > 1.02 * min(found))
    if several:
        names = ", ".join([shown(name, 40) for name in list(several)[:NAMED]] + ["..."] * (len(several) > NAMED))
        yield (
            f"{len(several)} device{'s' * (len(several) > 1)} with several clocks ({names}): each row is taken as it "
            "is, but one clock may be a turbo clock"
        )


def against_catalog(table: ScoreTable) -> ScoreTable:
    """The table with the base clock where a row of a catalogued device gives its boost clock, each told."""
    from hwbench.files import folders

    known: dict[str, str] = {}
    for folder in reversed(folders.search_path()):
        known |= folders.read_index(f"{folder}/devices").spellings
    notes, rows = Notes(), []
    devices: dict[str, Device | None] = {}
    for row in table.rows:
        name = known.get(folders.key(row.device))
        device = _device(name, devices) if name else None
        clock = device.units[0].clock if device else None
        if clock and clock.base and clock.boost and _near(row.clock, clock.boost) and not _near(row.clock, clock.base):
            notes.add("with the catalog's boost clock for the base clock: the base clock is taken", row.device)
            rows.append(structs.replace(row, clock=float(clock.base)))
        else:
            rows.append(row)
    return ScoreTable(table.title, tuple(rows), (*table.notes, *notes.told()), table.columns)


def _device(name: str, devices: dict[str, Device | None]) -> Device | None:
    from hwbench.machine import catalog

    if name not in devices:
        try:
            devices[name] = catalog.device(name)
        except InputError:
            devices[name] = None
    return devices[name]


def _near(a: float, b: float) -> bool:
    return abs(a / b - 1) < 0.01


def of_catalog(devices: Iterable[Device], clock: str = "base") -> ScoreTable:
    """Scores that devices cite: clock of the fastest class of cores, cores of all, year of the system tested."""
    rows, missing = [], Notes()
    for device in devices:
        fastest = max(device.units, key=lambda units: units.clock.boost or units.clock.base or units.clock.fixed or 0)
        base, boost = fastest.clock.base, fastest.clock.boost
        chosen = (boost or base if clock == "boost" else base) or fastest.clock.fixed
        for score in device.scores:
            if chosen is None:
                missing.add("left out: no base clock", device.name)
                continue
            rows.append(
                ScoreRow(
                    suite=score.suite,
                    device=device.name,
                    clock=float(chosen),
                    score=score.score,
                    cores=float(device.count),
                    microarchitecture=device.architectures,
                    year=_year(score.available or device.released or ""),
                    family=device.vendor,
                )
            )
    return ScoreTable("catalog", tuple(rows), missing.told())
