"""The parsed catalog, one binary file a folder, so that a look-up neither parses YAML nor opens other files.

Only two places are trusted: the installed package, where the build puts each folder's cache next to it, and the user's
cache folder, for the shipped catalog of a checkout and for the user's own. A file next to somebody's YAML files is
never read. An entry holds only while its file has the size and the times it was parsed at (in the package: the size).
A cache that is missing, damaged or of another version is made anew; one that cannot be written costs time only.
"""

import os
import time
from contextlib import suppress
from typing import Any, TypeVar

from msgspec import MsgspecError, Struct, msgpack

from hwbench import __version__
from hwbench.errors import InputError
from hwbench.files import places
from hwbench.files.content import read_bytes, read_text
from hwbench.files.names import SUFFIX, key

T = TypeVar("T")

FORMAT = f"{__version__}/3"
"""Raise the number whenever `yaml.parse` gives other data for the same text, or the cache holds it otherwise."""
EXTENSION = ".cache"
MAX_BYTES = 1 << 26
GROUP = 4
"""Entries of a group, in the mean."""
PRIME = 999_999_937
"""Checksums are remainders by it: a change of neighboring bits alters them, and no library has to be loaded."""
SETTLED_NS = 2_000_000_000
"""Age in ns from which a file's time shows later changes: two writes within one tick of the clock have one time."""


Entry = tuple[tuple[int, ...], bytes]
"""A file's stamp: size, then mtime and ctime in ns outside the package; its data as msgpack, null where no mapping."""


class CachedFolder(Struct, frozen=True, array_like=True):
    """One folder: its path (empty in the package), sealed groups of entries, and the sealed file of each alias.

    The name of a file tells its group, so that the look-up of one decodes a few of them.
    """

    format: str = FORMAT
    folder: str = ""
    groups: tuple[memoryview, ...] = ()
    aliases: bytes = b""

    def entry(self, name: str) -> Entry | None:
        """Return the entry of a file's name; None where there is none, or its group is damaged."""
        return _entries(self.groups[_hash(name) % len(self.groups)]).get(name) if self.groups else None

    def __len__(self) -> int:
        return sum(len(_entries(group)) for group in self.groups)


_catalogs: dict[str, CachedFolder] = {}
"""Caches that this process has read, by the path of their file."""


def data(path: str) -> dict[str, Any] | None:
    """Return the data of a catalog file; None where it must be parsed, as any file outside the catalog must."""
    folder, name = os.path.split(path)
    place = _place(folder)
    if place is None:
        return None
    catalog = _load(place, folder)
    entry = _valid(catalog, folder, name)
    if entry is None:
        stamp = _stamp(path)
        is_shipped = os.path.dirname(folder) == places.shipped()
        if not (stamp and _is_settled(stamp) and catalog.folder and is_shipped and _is_writable(place)):
            return None
        entry = _refreshed(folder).get(name)
    parsed: dict[str, Any] | None = msgpack.decode(entry[1]) if entry else None
    return parsed


def find(folder: str, alias: str) -> str | None:
    """Return the name of the file in a folder that has an alias of this key, None where the cache knows none."""
    place = _place(folder)
    if place is not None:
        catalog = _load(place, folder)
        name = (_unsealed(catalog.aliases, dict[str, str]) or {}).get(alias)
        if name and _valid(catalog, folder, name + SUFFIX):
            return name
    return None


def aliases(folder: str) -> dict[str, str]:
    """Return the name of the file of each alias's key in a folder as it is now."""
    place = _place(folder)
    old, listed = _load(place, folder) if place else CachedFolder(), _listed(folder)
    if len(listed) == len(old) and all(_valid(old, folder, name) for name in listed):
        known = _unsealed(old.aliases, dict[str, str])
        if known is not None:
            return known
    return _aliases(_refreshed(folder))


def _listed(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    except OSError:
        return []


def packed(folder: str) -> bytes:
    """Return the cache of a folder as a wheel holds it, whose files keep their sizes but not their times."""
    paths = (os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(SUFFIX))
    entries = {os.path.basename(path): entry for path in paths if (entry := _parsed(path))}
    return msgpack.encode(_catalog("", {name: (stamp[:1], content) for name, (stamp, content) in entries.items()}))


def _refreshed(folder: str) -> dict[str, Entry]:
    """Return every file of a folder; where the folder is cached and has changed, the cache is written too."""
    place = _place(folder)
    old = _load(place, folder) if place else CachedFolder()
    every = ((name, _valid(old, folder, name) or _parsed(os.path.join(folder, name))) for name in _listed(folder))
    entries = {name: entry for name, entry in every if entry}
    if place and old.folder:
        new = _catalog(folder, {name: entry for name, entry in entries.items() if _is_settled(entry[0])})
        is_pipe = os.path.exists(place) and not os.path.isfile(place)  # writing to it would wait for a reader
        if new != old and (new or old) and not is_pipe:
            from hwbench.files.atomic import write_atomically

            _catalogs[place] = new
            with suppress(InputError, OSError):
                os.makedirs(os.path.dirname(place), exist_ok=True)
                write_atomically(place, msgpack.encode(new))
    return entries


def _place(folder: str) -> str | None:
    """Return the path of a folder's cache; None for a folder that has none."""
    top = os.path.dirname(folder)
    if top == os.path.join(places.PACKAGE, "configs") and os.path.isfile(folder + EXTENSION):
        return folder + EXTENSION
    if top != places.shipped() and top != places.user("config"):
        return None
    name = f"{os.path.basename(folder)}-{_checksum(os.fsencode(folder)):08x}{EXTENSION}"
    place = os.path.join(places.user("cache"), "catalog", name)
    return place if os.path.isabs(place) else None


def _load(place: str, folder: str) -> CachedFolder:
    """Return the cache at a place; an empty one where it cannot be used."""
    if place not in _catalogs:
        catalog = CachedFolder(folder=folder)
        with suppress(ValueError, MsgspecError, RecursionError):
            stored = msgpack.decode(read_bytes(place, MAX_BYTES), type=CachedFolder)
            if stored.format == FORMAT and stored.folder == ("" if place == folder + EXTENSION else folder):
                catalog = stored
        _catalogs[place] = catalog
    return _catalogs[place]


def _catalog(folder: str, entries: dict[str, Entry]) -> CachedFolder:
    groups: list[dict[str, Entry]] = [{} for _ in range(len(entries) // GROUP + 1)]
    for name, entry in entries.items():
        groups[_hash(name) % len(groups)][name] = entry
    return CachedFolder(
        folder=folder, groups=tuple(memoryview(_sealed(group)) for group in groups), aliases=_sealed(_aliases(entries))
    )


def _valid(catalog: CachedFolder, folder: str, name: str) -> Entry | None:
    """Return the entry of a file, None where there is none, it is of another folder, or the file has changed."""
    entry = catalog.entry(name) if os.path.basename(name) == name else None
    stamp = _stamp(os.path.join(folder, name)) if entry else None
    return entry if entry and stamp and entry[0] and entry[0] == stamp[: len(entry[0])] else None


def _hash(name: str) -> int:
    return _checksum(name.encode(errors="surrogateescape"))


def _checksum(content: bytes | memoryview) -> int:
    """Return the remainder of the bytes, as one number, by PRIME."""
    return int.from_bytes(content, "big") % PRIME


def _entries(group: memoryview) -> dict[str, Entry]:
    return _unsealed(group, dict[str, Entry]) or {}


def _sealed(value: Any) -> bytes:
    """Return a value with a checksum, so that a damaged cache is noticed wherever the damage is."""
    content = msgpack.encode(value)
    return _checksum(content).to_bytes(4, "big") + content


def _unsealed(sealed: bytes | memoryview, kind: type[T]) -> "T | None":
    content = sealed[4:]
    if _checksum(content) != int.from_bytes(sealed[:4], "big"):
        return None
    with suppress(ValueError, MsgspecError):
        return msgpack.decode(content, type=kind)
    return None


def _parsed(path: str) -> Entry | None:
    from hwbench.files import yaml

    stamp = _stamp(path)  # before reading: a change in between shows
    if stamp is None:
        return None
    try:
        parsed = yaml.parse(read_text(path), path)
        content = msgpack.encode(parsed if isinstance(parsed, dict) else None)
    except (ValueError, OverflowError):  # not valid, or too large a number: who reads the file learns why
        content = msgpack.encode(None)
    return stamp, content


def _aliases(entries: dict[str, Entry]) -> dict[str, str]:
    """Return the name of the file of each alias's key; the first of two files with the same alias."""
    names: dict[str, str] = {}
    for name, (_, content) in entries.items():
        listed = (msgpack.decode(content) or {}).get("aliases")
        for alias in listed if isinstance(listed, list) else ():
            names.setdefault(key(str(alias)), name.removesuffix(SUFFIX))
    return names


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _is_settled(stamp: tuple[int, ...]) -> bool:
    return len(stamp) == 1 or stamp[1] < time.time_ns() - SETTLED_NS


def _is_writable(place: str) -> bool:
    folder = os.path.dirname(place)
    while not os.path.isdir(folder) and folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
    return os.access(folder, os.W_OK | os.X_OK)
