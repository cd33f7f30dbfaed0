"""Saved records: one JSON file each, written whole or not at all, found by id, by the beginning of one, or as latest.

The folder is the first of these: the one that the caller names, that of `HWBENCH_RESULTS`, `results/` of the checkout,
the user's data folder. Ids begin with the time in UTC, so that they sort as the runs do; the times of the files tell
which was saved last.
"""

import os
import re
import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from hwbench.errors import HwbenchError, InputError, nearest, shown
from hwbench.files import atomic, content, documents, places
from hwbench.files.messages import complaint
from hwbench.measure.record import SCHEMA, Record
from hwbench.measure.upgrades import UPGRADES
from hwbench.notices import Notice, notice
from hwbench.units import Quantity, exact

SUFFIX = ".json"
LATEST = "latest"
MAX_BYTES = 1 << 26
"""Size of a file above which it is no record."""
_VERSION = int(SCHEMA.rpartition("/")[2])
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_ID = re.compile(r"[12][0-9]{7}-[0-9]{6}-[0-9]{3}-[0-9a-f]{6}")


def folder(save: str | None = None) -> str:
    """Return the folder of records, whether or not it exists."""
    named = save or os.environ.get("HWBENCH_RESULTS")
    if named:
        return named
    top = os.path.dirname(places.shipped())
    if os.path.isfile(os.path.join(top, "pyproject.toml")) and os.path.isdir(os.path.join(top, "hwbench")):
        return os.path.join(top, "results")
    return os.path.join(places.user("data"), "results")


def new_id(now: datetime | None = None) -> str:
    """Return an id for a run that begins now: `20261124-085512-123-a1b2c3`, the time in UTC and six random digits."""
    now = now or datetime.now(UTC)
    return _with_other_digits(f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}-")


def _with_other_digits(identity: str) -> str:
    return identity[:20] + secrets.token_hex(3)


def is_id(text: str) -> bool:
    """Return whether a text is an id of a run, which is also the name of its file."""
    return _ID.fullmatch(text) is not None


def time_of(identity: str) -> float:
    """Return the time of an id in s since 1970; infinity where it is no time."""
    try:
        return datetime.strptime(identity[:15] + "+0000", "%Y%m%d-%H%M%S%z").timestamp()
    except ValueError:
        return float("inf")


def prepare(where: str | None = None) -> None:
    """Make the folder of records and try to write into it. Raises InputError: asked before anything is measured."""
    directory = folder(where)
    atomic.make_folder(directory)
    atomic.refuse_unwritable(os.path.join(directory, new_id() + SUFFIX))


def save(run: Record, where: str | None = None) -> tuple[Record, str]:
    """Write a record into the folder; return it, and the path of its file. Raises InputError where that cannot be done.

    The file is written whole or not at all, however the process ends. No record is replaced: where there is one of the
    same id, this one gets other digits. Where a file of the folder is of a later time, because the clock was set back,
    this one is given a time after it, so that `latest` is what was saved last.
    """
    if not is_id(run.id):
        raise InputError("bad-id", f"'{shown(run.id, 40)}' is not the id of a run.", field="id")
    directory = folder(where)
    atomic.make_folder(directory)
    before, _ = _last(directory)
    later = before + 1 if before >= time.time_ns() else None
    while True:
        path = os.path.join(directory, run.id + SUFFIX)
        try:
            atomic.write_atomically(path, encode(run), new=True, modified_ns=later)
            return run, path
        except InputError as error:
            if error.code != "file-exists":
                raise
            run = msgspec.structs.replace(run, id=_with_other_digits(run.id))


def encode(run: Record) -> str:
    """Return a record as the text of its file: JSON, indented by one."""
    return msgspec.json.format(msgspec.json.encode(run, enc_hook=exact), indent=1).decode() + "\n"


def schema() -> str:
    """Return the JSON Schema of a record's file, which docs/reference/schemas/run.json holds (`make schema`)."""
    described = msgspec.json.schema(Record, schema_hook=_quantity_schema)
    return msgspec.json.format(msgspec.json.encode(described), indent=1).decode() + "\n"


def _quantity_schema(kind: type[Quantity]) -> dict[str, Any]:
    return {"type": "string", "description": str(kind.__doc__), "examples": [kind.example]}


def names(where: str | None = None) -> list[str]:
    """Return the ids of the saved records, the oldest first; none without a folder."""
    directory = folder(where)
    try:
        files = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        message = f"The folder of records cannot be read: {error.strerror}."
        raise InputError("not-readable", message, file=directory) from None
    return sorted(name.removesuffix(SUFFIX) for name in files if is_id(name.removesuffix(SUFFIX)))


def _last(directory: str) -> tuple[int, str]:
    """Return when the record that was saved last was, in ns, and its id; 0 and no id where there is none."""
    last = (0, "")
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            identity = entry.name.removesuffix(SUFFIX)
            if identity != entry.name and is_id(identity):
                with suppress(OSError):
                    last = max(last, (entry.stat().st_mtime_ns, identity))
    return last


def find(name: str, where: str | None = None) -> str:
    """Return the path of a record by its path, its id, the beginning of one, its name, or `latest`, the one saved last.

    Raises InputError with the nearest ids.
    """
    if name.endswith(SUFFIX) or os.sep in name:
        return name
    known = names(where)
    if not known:
        message = "There are no saved runs: make one with `hwbench bench`."
        raise InputError("no-runs", message, file=folder(where))
    fitting = [identity for identity in known if identity.startswith(name)] if name else []
    fitting = [_last(folder(where))[1] or known[-1]] if name.lower() == LATEST else fitting
    if len(fitting) == 1:
        return os.path.join(folder(where), fitting[0] + SUFFIX)
    if fitting:
        message = f"{len(fitting)} saved runs have ids that begin with '{shown(name)}'."
        raise InputError("ambiguous-run", message, nearest=fitting[-3:])
    if called := path_of(name, where):
        return called
    raise InputError("unknown-run", f"There is no saved run '{shown(name)}'.", nearest=nearest(name, known))


def path_of(name: str, where: str | None = None) -> str | None:
    """Return the path of the newest record that somebody gave a name; None without one."""
    if not _NAME.fullmatch(name):
        return None
    for identity in reversed(names(where)):
        path = os.path.join(folder(where), identity + SUFFIX)
        with suppress(InputError):
            text = content.read_text(path, MAX_BYTES)
            if f'"name": "{name}"' in text and decode(text, path).name == name:
                return path
    return None


def rename(name: str, new: str, where: str | None = None) -> str:
    """Give a record another name than its id, and return its path. Raises InputError for a name that is taken."""
    if not _NAME.fullmatch(new) or new.lower() == LATEST:
        message = f"'{shown(new, 40)}' is no name of a run: up to 40 letters, digits, - and _, a letter first."
        raise InputError("bad-name", message, field="new")
    path = find(name, where)
    run = load(path)
    if (taken := path_of(new, where)) and taken != path:
        raise InputError("name-taken", f"Another saved run is called '{new}'.", file=taken, field="new")
    saved_ns = os.stat(path).st_mtime_ns  # it is no later run than before
    atomic.write_atomically(path, encode(msgspec.structs.replace(run, name=new)), modified_ns=saved_ns)
    return path


def remove(name: str, where: str | None = None) -> str:
    """Remove a record and return its path. Raises InputError, also for any other file."""
    path = find(name, where)
    if os.path.basename(path).removesuffix(SUFFIX) not in names(os.path.dirname(path) or "."):
        load(path)  # so that no other file is removed
    try:
        os.remove(path)
    except OSError as error:
        raise InputError("not-writable", f"The run cannot be removed: {error.strerror}.", file=path) from None
    return path


def load(name: str, where: str | None = None) -> Record:
    """Return the record that a name means (see `find`). Raises InputError with the file and the field.

    A notice reports where `latest` has not the latest id: the clock was set back, or runs overlapped or were copied.
    """
    path = find(name, where)
    record = decode(content.read_text(path, MAX_BYTES), path)
    last = names(where)[-1] if name.lower() == LATEST else record.id
    if last == record.id:
        return record
    return msgspec.structs.replace(record, notices=(*record.notices, notice("later-id", id=record.id, later=last)))


def decode(text: str, path: str | None = None) -> Record:
    """Return the record in the text of a file, of this schema or an older one. Raises InputError."""
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError("not-json", f"This is not the JSON of a saved run: {error}.", file=path) from None
    try:
        record = msgspec.convert(_upgraded(data), Record, dec_hook=documents.quantity)
    except msgspec.ValidationError as error:
        wrong = complaint(error)
        message = f"This is not a saved run. {wrong.sentence}"
        raise InputError("not-a-run", message, file=path, field=wrong.field) from None
    except InputError as error:
        raise error.at(file=path) from None
    except RecursionError:
        raise InputError("too-deep", "This is nested too deeply for a saved run.", file=path) from None
    return msgspec.structs.replace(record, notices=tuple(map(_readable, record.notices)))


class _Reported(Struct, frozen=True):
    message: str
    code: str = "failure"
    field: str | None = None
    nearest: tuple[str, ...] = ()


class _Failed(Struct, frozen=True):
    error: _Reported


def decode_answer(out: str, err: str, exit_code: int) -> Record:
    """Return the record that `hwbench bench --json` wrote in another process. Raises its error if it wrote one.

    `out` and `err` are what it wrote to standard output and standard error.
    """
    if exit_code in (0, 130) and out.strip():
        return decode(out)
    try:
        reported = msgspec.json.decode(out, type=_Failed).error
    except msgspec.DecodeError:
        last = err.strip().rpartition("\n")[2]
        reported = _Reported(last or f"The process exited with code {exit_code} and no message.")
    if exit_code == InputError.exit_code:
        raise InputError(reported.code, reported.message, field=reported.field, nearest=reported.nearest)
    raise HwbenchError(reported.message)


def _readable(saved: Notice) -> Notice:
    """Return a saved notice, as plain text where this version has no sentence for its code and data."""
    try:
        return saved if saved.text else notice("recorded", text=saved.code)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return notice("recorded", text=f"{saved.code} {saved.data}")


def _upgraded(data: Any) -> dict[str, Any]:
    """Return data of any known schema as that of the newest. Accepts what `bench --json` writes, which holds a record.

    Raises InputError.
    """
    if isinstance(data, dict) and isinstance(data.get("run"), dict):
        data = data["run"]
    schema = data.get("schema") if isinstance(data, dict) else None
    match = re.fullmatch(r"hwbench\.run/([1-9]\d{0,3})", schema) if isinstance(schema, str) else None
    if match is None:
        raise InputError("not-a-run", f"This is not a saved run: its schema is not like {SCHEMA}.", field="schema")
    version = int(match[1])
    if version > _VERSION:
        message = f"A newer hwbench saved this run: its schema is {schema}, and this version reads up to {SCHEMA}."
        raise InputError("newer-schema", message, field="schema")
    for upgrade in UPGRADES[version - 1 :]:
        data = upgrade(data)
    return {**data, "schema": SCHEMA}
