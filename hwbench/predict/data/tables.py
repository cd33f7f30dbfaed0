"""Measured step times from CSV files: our own form, and timm's `benchmark-infer-*.csv` as they stand upstream.

Our form has a row a measurement with the columns of COLUMNS in any order, lines that begin with `#` are comments:

    device,model,image_size,batch,dtype,layout,runtime,time_ms,source

`device` is a catalog name in any spelling, and may be followed by settings as `--set` takes them:
`xeon-platinum-8124m units=8`. `image_size`, `layout`, `runtime` and `source` may be empty. timm's files name device,
dtype, layout and runtime in the file name alone (see `named`); options say them where it does not. Rows that cannot be
used are kept with the reason and the line: real tables have failed runs, repeats and zeros in them.
"""

import csv
import math
import os
import re
from collections.abc import Iterable

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from hwbench.errors import HwbenchError, InputError, nearest, shown
from hwbench.files import documents, folders
from hwbench.notices import Notice, notice

COLUMNS = ("device", "model", "image_size", "batch", "dtype", "layout", "runtime", "time_ms", "source")
NEEDED = ("device", "model", "batch", "dtype", "time_ms")
TIMM_COLUMNS = ("model", "infer_step_time", "infer_batch_size", "infer_img_size")
LAYOUTS = ("nchw", "nhwc")
LARGEST = 64 << 20
MOST_APART = 0.05
"""How far a file's throughput and step time may contradict each other, as a share."""

_DTYPES = {
    "amp": "amp", "fp16": "fp16", "float16": "fp16", "half": "fp16", "bf16": "bf16", "bfloat16": "bf16",
    "fp32": "fp32", "float32": "fp32", "fp64": "fp64", "float64": "fp64", "int8": "int8",
}  # fmt: skip
_COMPILED = ("dynamo", "compile", "inductor")
_NO_DEVICE = re.compile(r"benchmark|model|infer|eager|cpu|cu[0-9]+|rocm[0-9]*|pt[0-9]+")


class Defaults(Struct, frozen=True):
    """What holds for every row of a file that does not say it itself; None where nobody said it."""

    device: str | None = None
    dtype: str | None = None
    layout: str | None = None
    runtime: str | None = None


class MeasuredTime(Struct, frozen=True, omit_defaults=True):
    """One measured step: `time_s` seconds for a `batch`. `place` is `file:line`; `params` is what the file says."""

    device: str
    model: str
    batch: int
    dtype: str
    time_s: float
    place: str
    image_size: int | None = None
    layout: str | None = None
    runtime: str | None = None
    source: str = ""
    params: float | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """What two measurements of the same thing share."""
        return (self.device, self.model, self.image_size, self.batch, self.dtype, self.layout, self.runtime)


class Skipped(Struct, frozen=True):
    """A row that was left out, and why."""

    model: str
    reason: str
    place: str
    device: str | UnsetType = UNSET


class MeasuredTable(Struct, frozen=True):
    """The measurements of some files, what was left out of them, and what a reader of both must know."""

    rows: tuple[MeasuredTime, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notices: tuple[Notice, ...] = ()


class _FaultError(Exception):
    """Why one row cannot be used."""


def read(paths: Iterable[str], said: Defaults | None = None) -> MeasuredTable:
    """The measurements of several files, repeats left out. Raises InputError for a file that holds no such table."""
    rows: list[MeasuredTime] = []
    skipped: list[Skipped] = []
    notices: list[Notice] = []
    first: dict[tuple[object, ...], MeasuredTime] = {}
    for path in paths:
        found = _file(path, said or Defaults())
        skipped += found.skipped
        notices += found.notices
        for row in found.rows:
            before = first.setdefault(row.identity, row)
            if before is row:
                rows.append(row)
                continue
            apart = f"in {row.time_s / before.time_s:.3g} of its time" if row.time_s != before.time_s else "exactly"
            skipped.append(Skipped(row.model, f"repeats {before.place} {apart}", row.place, row.device))
    return MeasuredTable(tuple(rows), tuple(skipped), tuple(notices))


def _file(path: str, said: Defaults) -> MeasuredTable:
    lines, header = _lines(path)
    own = {"device", "time_ms"} & set(header)
    columns = NEEDED if own else TIMM_COLUMNS
    if own:
        given = {name for name in Defaults.__struct_fields__ if getattr(said, name) is not None}
        missing = [name for name in NEEDED if name not in header and name not in given]
    else:
        missing = [name for name in TIMM_COLUMNS[:2] if name not in header]
    if missing:
        training = " (training times, which are not replayed)" if "train_step_time" in header else ""
        what = f"has no column {' or '.join(missing)}{training}"
        raise InputError(what, file=path, line=lines[0][0], nearest=nearest(missing[0], header))
    notices: list[Notice] = []
    file_said = said if own else _completed(named(path, notices), said, path)
    rows: list[MeasuredTime] = []
    skipped: list[Skipped] = []
    for number, cells in lines[1:]:
        place = f"{path}:{number}"
        row = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        try:
            if len(cells) < len(header) and any(not row.get(name) for name in columns):
                raise _FaultError(f"has {len(cells)} of {len(header)} columns")
            rows.append((_own if own else _timm)(row, file_said, place))
        except _FaultError as fault:
            skipped.append(Skipped(shown(row.get("model", "") or "?", 80), str(fault), place))
    return MeasuredTable(tuple(rows), tuple(skipped), tuple(notices))


def _lines(path: str) -> tuple[list[tuple[int, list[str]]], list[str]]:
    """The lines of a file with their numbers, comments and empty ones left out, and the names in its first."""
    text = documents.read_text(path, LARGEST)
    if "\0" in text:
        raise InputError("is not a table of text", file=path)
    plain = ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip() and line[0] != "#")
    found: list[tuple[int, list[str]]] = []
    for number, line in plain:
        try:
            found.extend((number, cells) for cells in csv.reader([line], strict=True))
        except csv.Error as error:
            raise InputError(f"is not a line of a table: {error}", file=path, line=number) from None
    if not found:
        raise InputError("is an empty table", file=path)
    header = [name.strip().lower() for name in found[0][1]]
    repeated = next((name for name in header if name and header.count(name) > 1), None)
    if repeated:
        raise InputError(f"has two columns named '{shown(repeated)}'", file=path, line=found[0][0])
    return found, header


def _own(row: dict[str, str], said: Defaults, place: str) -> MeasuredTime:
    """A row of our form."""
    device, model = row.get("device") or said.device or "", row.get("model", "")
    if not device or not model:
        raise _FaultError(f"names no {'model' if device else 'device'}")
    dtype = _DTYPES.get((row.get("dtype") or said.dtype or "").lower())
    if dtype is None:
        raise _FaultError(f"has the dtype '{shown(row.get('dtype', ''), 40)}': choose from {', '.join(_DTYPES)}")
    layout = (row.get("layout") or said.layout or "").lower() or None
    if layout not in (None, *LAYOUTS):
        raise _FaultError(f"has the layout '{shown(layout, 40)}': choose from {', '.join(LAYOUTS)}")
    size = row.get("image_size", "")
    return MeasuredTime(
        device=device,
        model=model,
        batch=_count(row.get("batch", ""), "batch"),
        dtype=dtype,
        time_s=_positive(row.get("time_ms", ""), "time_ms") / 1e3,
        place=place,
        image_size=_count(size, "image_size") if size else None,
        layout=layout,
        runtime=(row.get("runtime") or said.runtime or "").lower() or None,
        source=row.get("source", ""),
    )


def _timm(row: dict[str, str], said: Defaults, place: str) -> MeasuredTime:
    """A row of timm's tables, whose step time is in milliseconds a batch."""
    name = row.get("model", "")
    if not name:
        raise _FaultError("names no model")
    batch = _count(row.get("infer_batch_size", ""), "infer_batch_size")
    time = _positive(row.get("infer_step_time", ""), "infer_step_time") / 1e3
    rate = row.get("infer_samples_per_sec")
    if rate:
        apart = _positive(rate, "infer_samples_per_sec") * time / batch
        if abs(apart - 1) > MOST_APART:
            raise _FaultError(f"contradicts itself: samples a second × step time is {apart:.3g} batches")
    params = row.get("param_count")
    return MeasuredTime(
        device=said.device or "",
        model=f"timm:{name}",
        batch=batch,
        dtype=said.dtype or "",
        time_s=time,
        place=place,
        image_size=_count(row.get("infer_img_size", ""), "infer_img_size"),
        layout=said.layout,
        runtime=said.runtime,
        source="timm results",
        params=_positive(params, "param_count") * 1e6 if params and params != "0.0" else None,
    )


def _positive(text: str, column: str) -> float:
    """A cell as a number above zero. Raises _FaultError."""
    try:
        value = float(text)
    except ValueError:
        raise _FaultError(f"{column} is '{shown(text, 40)}', not a number" if text else f"{column} is empty") from None
    if not (math.isfinite(value) and value > 0):
        raise _FaultError(f"{column} is {value:g}: it must be above zero")
    return value


def _count(text: str, column: str) -> int:
    """A cell as a whole number above zero. Raises _FaultError."""
    value = _positive(text, column)
    if value != int(value) or value > 1e9:
        raise _FaultError(f"{column} is {value:g}: it must be a whole number")
    return int(value)


def named(path: str, notices: list[Notice] | None = None) -> Defaults:
    """What the name of a file of timm's says: `benchmark-infer-amp-nhwc-pt240-cu124-rtx3090-dynamo.csv`.

    Order does not matter, `-` and `_` part words. What is no dtype, layout, version or runtime is the device.
    """
    words = re.split(r"[-_]", os.path.splitext(os.path.basename(path))[0].lower())
    dtypes = [_DTYPES[word] for word in words if word in _DTYPES]
    layouts = [word for word in words if word in LAYOUTS]
    versions = [version for version in map(torch_version, words) if version]
    compiled = any(word in _COMPILED for word in words)
    device = [w for w in words if w and not (w in _DTYPES or w in LAYOUTS or w in _COMPILED or _NO_DEVICE.fullmatch(w))]
    if "amp" in dtypes and "bf16" in dtypes and notices is not None:
        notices.append(notice("autocast-as-fp16", file=path))
    return Defaults(
        device="-".join(device) or None,
        dtype="amp" if "amp" in dtypes else dtypes[0] if dtypes else None,
        layout=layouts[0] if layouts else None,
        runtime=f"torch-{versions[0]}-{'compile' if compiled else 'eager'}" if versions else None,
    )


def torch_version(word: str) -> str | None:
    """The version in a word of a file name: `pt240` is 2.4, `pt113` is 1.13, `pt2100` is 2.10."""
    match = re.fullmatch(r"pt([12])([0-9]+)", word)
    if match is None:
        return None
    major, rest = match.groups()
    minor = rest if major == "1" or len(rest) == 1 else rest[:-1]  # the last digit is the patch, since 2.0
    return f"{major}.{int(minor)}"


def _completed(found: Defaults, said: Defaults, path: str) -> Defaults:
    """What the options say, else the file name. Raises InputError where nobody says the device or the dtype."""
    given = {name: value for name in Defaults.__struct_fields__ if (value := getattr(said, name)) is not None}
    whole = replace(found, **given)
    for name in ("device", "dtype"):
        if not getattr(whole, name):
            raise InputError(f"does not say the {name} in its name: give --{name}", file=path)
    return whole


def shipped() -> list[str]:
    """The files that are replayed when none is named: `results/published`, or its copy in an installed package."""
    folder = folders.packaged("published", os.path.join("results", "published"))
    beside = os.getcwd() + os.sep
    folder = folder.removeprefix(beside)  # a short name where a reader stands in the checkout
    try:
        return sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".csv"))
    except OSError as error:
        raise HwbenchError(f"{folder}: cannot be read: {error.strerror}") from None
