"""Devices and architectures from YAML files: the shipped catalog, the user's folders, or a path."""

import os
from typing import Any

import msgspec

from hwbench.errors import InputError, shown
from hwbench.files import documents, folders, names
from hwbench.files.documents import Document
from hwbench.machine.device import Device
from hwbench.machine.parts import Architecture
from hwbench.notices import Notice, notice
from hwbench.units import whole_number

MAX_CHAIN = 8
_MONTHS = ("", "-01", "-02", "-03", "-04", "-05", "-06", "-07", "-08", "-09", "-10", "-11", "-12")


def device(name: str) -> Device:
    """Return the device that a catalog name, an alias in any spelling, a brand, or a path of a YAML file means.

    Raises InputError with the nearest names, or with file, line and field where a file is wrong.
    """
    if names.is_path(name):
        return load_device(name)
    return load_device(folders.find("devices", name, _named_otherwise))


def _named_otherwise(name: str, error: InputError, tables: folders.Tables) -> str:
    from hwbench.machine.elsewhere import named_otherwise  # which names of the catalog do without

    return named_otherwise(name, error, tables, lambda stem: device(stem).memory.size or 0)


def load_device(path: str) -> Device:
    """Return the device in a YAML file, its units' rates filled in from their architectures."""
    document = _resolved(path, ())
    if "name" in document.data:
        raise document.error("name-in-file", "The name of a device is that of its file.", "name")
    loaded = documents.convert(document, Device)
    _check_month(document, loaded.released, "released")
    for position, score in enumerate(loaded.scores):
        _check_month(document, score.available, f"scores[{position}].available")
    units = []
    for position, described in enumerate(loaded.units):
        rates, field = described.rates, f"units[{position}].architecture"
        if not rates:
            try:
                known = architecture(described.architecture)
            except InputError as error:
                if error.file is not None:
                    raise
                raise document.error(error.code, error.message, field, error.nearest) from None
            if known.kind != loaded.kind:
                message = f"The architecture is of a {known.kind}, the device is a {loaded.kind}."
                raise document.error("architecture-kind", message, field)
            rates = known.rates
        units.append(msgspec.structs.replace(described, rates=rates))
    return msgspec.structs.replace(loaded, units=tuple(units), name=os.path.splitext(os.path.basename(path))[0])


def architecture(name: str) -> Architecture:
    """Return the microarchitecture of a catalog name. Raises InputError with the nearest names."""
    return load_architecture(folders.find("architectures", name))


def load_architecture(path: str) -> Architecture:
    """Return the microarchitecture in a YAML file."""
    document = _resolved(path, ())
    loaded = documents.convert(document, Architecture)
    _check_month(document, loaded.released, "released")
    return loaded


def _check_month(document: Document, text: str | None, field: str) -> None:
    """Refuse what is neither a year nor a year and a month; a pattern of the type would cost every start."""
    if text is None or (
        text[:2] in ("19", "20") and whole_number(text[2:4], 99, 0) is not None and text[4:] in _MONTHS
    ):
        return
    raise document.error("invalid-field", "This must be a year or a year and a month, such as 2024-05.", field)


def devices() -> dict[str, Device]:
    """Return every device of the catalog by name, the user's included. Raises InputError at the first broken file."""
    return {name: load_device(path) for name, path in folders.files("devices").items()}


def valid_devices() -> tuple[dict[str, Device], tuple[Notice, ...]]:
    """Return every device of the catalog whose file is valid by name, and a notice for each other file."""
    valid, notices = {}, []
    for name, path in folders.files("devices").items():
        try:
            valid[name] = load_device(path)
        except InputError as error:
            notices.append(notice("file-left-out", error=str(error)))
    return valid, tuple(notices)


def architectures() -> dict[str, Architecture]:
    """Return every microarchitecture of the catalog by name."""
    return {name: load_architecture(path) for name, path in folders.files("architectures").items()}


def _resolved(path: str, chain: tuple[str, ...]) -> Document:
    """Return the document with what its `based_on` names beneath it: mappings merge, everything else is replaced.

    Aliases and printed peaks are the parent's own and are not inherited.
    """
    document = documents.read(path)
    if "based_on" not in document.data:
        return document
    identity = os.path.realpath(path)
    if identity in chain:
        raise document.error("based-on-itself", "The file is based on itself, directly or through others.", "based_on")
    if len(chain) >= MAX_CHAIN:
        raise document.error("based-on-chain", f"The chain has more than {MAX_CHAIN} files.", "based_on")
    base = document.data["based_on"]
    if not isinstance(base, str):
        raise document.error("based-on-type", "The base is not the name of a file or a catalog entry.", "based_on")
    kind = os.path.basename(os.path.dirname(os.path.abspath(path)))
    try:
        kind = kind if kind in ("devices", "architectures") else "devices"
        is_path = names.is_path(base)
        parent_path = os.path.join(os.path.dirname(path), base) if is_path else folders.find(kind, base)
    except InputError as error:
        raise document.error(error.code, error.message, "based_on", error.nearest) from None
    own_folders = (os.path.realpath(os.path.dirname(path)), os.path.dirname(identity))
    if is_path and os.path.dirname(os.path.realpath(parent_path)) not in own_folders:  # errors show what a file holds
        raise document.error("base-elsewhere", "The base is a catalog entry or a file of the same folder.", "based_on")
    if not os.path.isfile(parent_path):
        raise document.error("not-a-file", f"There is no file '{shown(parent_path)}'.", "based_on")
    parent = _resolved(parent_path, (*chain, identity)).data
    inherited = {key: value for key, value in parent.items() if key not in ("aliases", "published", "disputed")}
    own = {key: value for key, value in document.data.items() if key != "based_on"}
    return Document(path, document.text, _merged(inherited, own))


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged
