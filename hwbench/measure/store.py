"""Where runs are kept: one JSON file a run, written whole or not at all, found by id, by part of one, or as the latest.

The folder is, in this order: the one named by the caller (`--save`), by `HWBENCH_RESULTS`, `results/` of the checkout,
or the user's data folder. Ids begin with the time in UTC, so that their order is that of the runs.
"""

import os
import re
import secrets
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from hwbench.errors import InputError, nearest, shown
from hwbench.files import documents, folders
from hwbench.measure.record import SCHEMA, Record
from hwbench.measure.upgrades import UPGRADES
from hwbench.notices import Notice, notice
from hwbench.units import Quantity, exact

SUFFIX = ".json"
LATEST = "latest"
LARGEST = 1 << 26
"""Bytes of a run's file from which it is none of ours."""
_VERSION = int(SCHEMA.rpartition("/")[2])
_ID = re.compile(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{6}")


def folder(save: str | None = None) -> str:
    """The folder for runs, whether or not it exists."""
    named = save or os.environ.get("HWBENCH_RESULTS")
    if named:
        return named
    top = os.path.dirname(folders.shipped())
    if os.path.isfile(os.path.join(top, "pyproject.toml")) and os.path.isdir(os.path.join(top, "hwbench")):
        return os.path.join(top, "results")
    return _user_data()


def _user_data() -> str:
    if os.name == "posix" and sys.platform != "darwin":
        home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
        return os.path.join(home, "hwbench", "results")
    import platformdirs

    return os.path.join(platformdirs.user_data_dir("hwbench", appauthor=False), "results")


def new_id(now: datetime | None = None) -> str:
    """An id for a run that begins now: `20261124-085512-123-a1b2c3`, of the time in UTC and six random digits."""
    now = now or datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}-{secrets.token_hex(3)}"


def save(run: Record, where: str | None = None) -> str:
    """Write the run into the folder and return its path. Raises InputError where that cannot be done.

    A file is there whole or not at all, whatever stops the process; two runs at once have two ids.
    """
    place = folder(where)
    try:
        os.makedirs(place, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", file=place) from None
    path = os.path.join(place, run.id + SUFFIX)
    documents.write_atomically(path, encode(run))
    return path


def encode(run: Record) -> str:
    """The run as the text of its file: JSON, indented by one."""
    return msgspec.json.format(msgspec.json.encode(run, enc_hook=exact), indent=1).decode() + "\n"


def schema() -> str:
    """The JSON Schema of a run's file, as it stands in docs/run.schema.json (`make schema`)."""
    found = msgspec.json.schema(Record, schema_hook=_quantity_schema)
    return msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n"


def _quantity_schema(kind: type[Quantity]) -> dict[str, Any]:
    return {"type": "string", "description": str(kind.__doc__), "examples": [kind.example]}


def names(where: str | None = None) -> list[str]:
    """Ids of the saved runs, the oldest first; none where there is no folder."""
    place = folder(where)
    try:
        found = os.listdir(place)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=place) from None
    return sorted(name.removesuffix(SUFFIX) for name in found if _ID.fullmatch(name.removesuffix(SUFFIX)))


def find(name: str, where: str | None = None) -> str:
    """Path of a run by its path, its id, the beginning of one, or `latest`. Raises InputError with the nearest ids."""
    if name.endswith(SUFFIX) or os.sep in name:
        return name
    known = names(where)
    if not known:
        raise InputError("there are no saved runs: `hwbench bench` makes one", file=folder(where))
    if name.lower() == LATEST:
        return os.path.join(folder(where), known[-1] + SUFFIX)
    fitting = [one for one in known if one.startswith(name)] if name else []
    if len(fitting) == 1:
        return os.path.join(folder(where), fitting[0] + SUFFIX)
    if fitting:
        raise InputError(f"'{shown(name)}' begins {len(fitting)} ids", nearest=fitting[-3:])
    raise InputError(f"there is no run '{shown(name)}'", nearest=nearest(name, known))


def load(name: str, where: str | None = None) -> Record:
    """The run that a name means (see `find`). Raises InputError that names the file and what is wrong with it."""
    path = find(name, where)
    return decode(documents.read_text(path, LARGEST), path)


def decode(text: str, path: str | None = None) -> Record:
    """A run from the text of its file, of this schema or an older one. Raises InputError."""
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"is not the JSON of a run: {error}", file=path) from None
    try:
        record = msgspec.convert(_upgraded(data), Record, dec_hook=documents.quantity)
    except msgspec.ValidationError as error:
        raise InputError(f"is not a run: {documents.said(error)}", file=path, field=_field(error)) from None
    except InputError as error:
        raise error.at(file=path) from None
    except RecursionError:
        raise InputError("is nested too deeply", file=path) from None
    return msgspec.structs.replace(record, notices=tuple(map(_readable, record.notices)))


def _readable(one: Notice) -> Notice:
    """Return a saved notice, as plain text where this version has no sentence for its code and data."""
    try:
        return one if one.text else notice("recorded", text=one.code)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return notice("recorded", text=f"{one.code} {one.data}")


def _upgraded(data: Any) -> dict[str, Any]:
    """Data of any known schema as that of the newest. Also takes what `bench --json` wrote, which holds a run."""
    if isinstance(data, dict) and isinstance(data.get("run"), dict):
        data = data["run"]
    schema = data.get("schema") if isinstance(data, dict) else None
    match = re.fullmatch(r"hwbench\.run/([1-9]\d{0,3})", schema) if isinstance(schema, str) else None
    if match is None:
        raise InputError(f"is not a run: its schema is not like {SCHEMA}", field="schema")
    version = int(match[1])
    if version > _VERSION:
        raise InputError(f"was saved by a newer hwbench: {schema}, and this one reads up to {SCHEMA}", field="schema")
    for upgrade in UPGRADES[version - 1 :]:
        data = upgrade(data)
    return {**data, "schema": SCHEMA}


def _field(error: msgspec.ValidationError) -> str | None:
    """The path that msgspec's message ends in."""
    match = re.search(r" - at `\$\.?(.*)`$", str(error))
    return match[1] if match else None


def latest(where: str | None = None, kernel: str | None = None) -> str | None:
    """Path of the newest run, of those that measured a kernel if one is named; None where there is none.

    Files that cannot be read are passed over.
    """
    for name in reversed(names(where)):
        path = os.path.join(folder(where), name + SUFFIX)
        if kernel is None:
            return path
        try:
            run = load(path)
        except InputError:
            continue
        if any(one.kernel == kernel for one in run.measurements):
            return path
    return None
