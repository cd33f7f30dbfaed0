"""Read measured step times from CSV files: our own form, and timm's `benchmark-infer-*.csv` unchanged from upstream.

Our form has a row for each measurement with the columns of COLUMNS in any order; lines that begin with `#` are
comments:

    device,model,image_size,batch,dtype,layout,runtime,time_ms,source

`device` is a catalog name in any spelling, and may be followed by settings: `xeon-platinum-8124m units=8`.
`image_size`, `layout`, `runtime` and `source` may be empty. Rows that cannot be used are kept with the reason and the
line, because real tables have failed runs, repeats and zeros in them.
"""

import csv
import os
from collections.abc import Iterable

from msgspec import Struct

from hwbench.errors import HwbenchError, InputError, nearest, shown
from hwbench.files import content, places
from hwbench.notices import Notice
from hwbench.predict.data import timm
from hwbench.predict.data.rows import (
    DTYPES,
    LAYOUTS,
    Defaults,
    MeasuredTime,
    RowError,
    Skipped,
    catalog_name,
    device_words,
    positive_count,
    positive_number,
)

COLUMNS = ("device", "model", "image_size", "batch", "dtype", "layout", "runtime", "time_ms", "source")
REQUIRED = ("device", "model", "batch", "dtype", "time_ms")
SOURCES = ("timm", "torchvision", "hf", "layers", "matmul")
"""What a row may name besides the catalog: models that installed packages define, and matrix products."""
MAX_BYTES = 64 << 20


class MeasuredTable(Struct, frozen=True):
    """The measurements of some files, the rows that were left out, and notices about both."""

    rows: tuple[MeasuredTime, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notices: tuple[Notice, ...] = ()


def read(paths: Iterable[str], options: Defaults | None = None) -> MeasuredTable:
    """Return the measurements of several files without repeats. Raises InputError for a file that is no such table."""
    tables = [_read_file(path, options or Defaults()) for path in paths]
    rows: list[MeasuredTime] = []
    skipped = [row for table in tables for row in table.skipped]
    first: dict[tuple[object, ...], MeasuredTime] = {}
    for row in (row for table in tables for row in table.rows):
        before = first.setdefault(row.identity, row)
        if before is row:
            rows.append(row)
            continue
        ratio = row.time_s / before.time_s
        how = "with the same time" if ratio == 1 else f"with {ratio:.3g} times its time"
        skipped.append(Skipped(row.model, f"The row repeats {before.place} {how}.", row.place, row.device))
    return MeasuredTable(tuple(rows), tuple(skipped), tuple(notice for table in tables for notice in table.notices))


def _read_file(path: str, options: Defaults) -> MeasuredTable:
    lines, header = _lines(path)
    own = bool({"device", "time_ms"} & set(header))
    _check_columns(path, header, lines[0][0], own, options)
    defaults, notices = (options, ()) if own else timm.defaults_of(path, options)
    rows: list[MeasuredTime] = []
    skipped: list[Skipped] = []
    for number, cells in lines[1:]:
        place = f"{path}:{number}"
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        try:
            if len(cells) < len(header) and any(not row.get(name) for name in (REQUIRED if own else timm.COLUMNS)):
                raise RowError(f"The row has {len(cells)} of {len(header)} columns.")
            rows.append((_measured_time if own else timm.measured_time)(row, defaults, place))
        except RowError as error:
            skipped.append(Skipped(shown(row.get("model", "") or "?", 80), str(error), place))
    return MeasuredTable(tuple(rows), tuple(skipped), notices)


def _check_columns(path: str, header: list[str], line: int, own: bool, options: Defaults) -> None:
    """Raise InputError if a column is missing that neither the options nor the file's name replace."""
    names = [name for name in REQUIRED if not getattr(options, name, None)] if own else timm.REQUIRED
    missing = [name for name in names if name not in header]
    if not missing:
        return
    message = f"The table has no column {' or '.join(missing)}."
    if "train_step_time" in header:
        message += " Training times are not replayed."
    raise InputError("missing-column", message, file=path, line=line, nearest=nearest(missing[0], header))


def _lines(path: str) -> tuple[list[tuple[int, list[str]]], list[str]]:
    """Return the cells of a file's lines with their numbers, comments and empty lines left out, and the header."""
    text = content.read_text(path, MAX_BYTES)
    if "\0" in text:
        raise InputError("not-a-table", "The file is not a table of text.", file=path)
    plain = ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#")
    lines: list[tuple[int, list[str]]] = []
    for number, line in plain:
        try:
            lines.extend((number, cells) for cells in csv.reader([line], strict=True))
        except csv.Error as error:
            raise InputError("not-a-table", f"The line is not CSV: {error}.", file=path, line=number) from None
    if not lines:
        raise InputError("empty-table", "The table is empty.", file=path)
    header = [name.strip().lower() for name in lines[0][1]]
    repeated = next((name for name in header if name and header.count(name) > 1), None)
    if repeated:
        message = f"The table has two columns named '{shown(repeated)}'."
        raise InputError("repeated-column", message, file=path, line=lines[0][0])
    return lines, header


def _measured_time(row: dict[str, str], defaults: Defaults, place: str) -> MeasuredTime:
    """Return a row of our form. Raises RowError."""
    device, model = row.get("device") or defaults.device or "", row.get("model", "")
    if not device or not model:
        raise RowError(f"The row has no {'model' if device else 'device'}.")
    if row.get("device"):
        catalog_name(device_words(device)[0], "device")
    catalog_name(model, "model", SOURCES)
    dtype = DTYPES.get((row.get("dtype") or defaults.dtype or "").lower())
    if dtype is None:
        raise RowError(f"dtype is '{shown(row.get('dtype', ''), 40)}' but must be one of {', '.join(DTYPES)}.")
    layout = (row.get("layout") or defaults.layout or "").lower() or None
    if layout not in (None, *LAYOUTS):
        raise RowError(f"layout is '{shown(layout, 40)}' but must be one of {', '.join(LAYOUTS)}.")
    size = row.get("image_size", "")
    return MeasuredTime(
        device=device,
        model=model,
        batch=positive_count(row.get("batch", ""), "batch"),
        dtype=dtype,
        time_s=positive_number(row.get("time_ms", ""), "time_ms") / 1e3,
        place=place,
        image_size=positive_count(size, "image_size") if size else None,
        layout=layout,
        runtime=(row.get("runtime") or defaults.runtime or "").lower() or None,
        source=row.get("source", ""),
    )


def shipped() -> list[str]:
    """Return the files that are replayed by default: `results/published`, or its copy in an installed package."""
    folder = places.packaged("published", os.path.join("results", "published"))
    folder = folder.removeprefix(os.getcwd() + os.sep)  # a short name in a checkout
    try:
        return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".csv"))
    except OSError as error:
        raise HwbenchError(f"{folder}: cannot be read: {error.strerror}") from None
