"""YAML files as data, and what is wrong with one by line, column and field.

Files come from anybody: plain data only (see `plain_yaml`), at most 1 MiB. A folder may hold a `parsed.txt`: the data
of its files, each with a checksum of the text that it was parsed from, so that reading a file of the catalog needs no
YAML parser. A text that has changed is parsed.
"""

import os
import re
from binascii import crc32
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from hwbench.errors import InputError, nearest, shown
from hwbench.units import Quantity

T = TypeVar("T")
Marks = dict[str, tuple[int, int]]

LARGEST = 1 << 20
PARSED = "parsed.txt"
"""Name of the file that holds the data of its neighbors: a line each, of name, checksum and JSON, with tabs between."""


class Document(msgspec.Struct, frozen=True):
    """One YAML file: where it is, its text, and the data in it."""

    path: str
    text: str
    data: dict[str, Any]

    def error(self, message: str, field: str = "", choices: tuple[str, ...] = ()) -> InputError:
        """An InputError at the place of `field` (`units[0].clock.boost`), or of the nearest thing around it."""
        from hwbench.files import yaml as plain_yaml

        marks: Marks = {}
        plain_yaml.parse(self.text, self.path, marks)  # a second pass, so that reading a sound file pays nothing
        line, column = marks[max((known for known in marks if _is_at_or_above(known, field)), key=len)]
        return InputError(message, file=self.path, line=line, column=column, field=field or None, nearest=choices)


def read_text(path: str, largest: int = LARGEST) -> str:
    """The text of a file of ours or the user's. Raises InputError when it cannot be read as UTF-8 of sane size."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            # A device or a pipe has no size to check: read one byte past the limit instead.
            content = file.read(largest + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {_reason(error)}", file=path) from None
    if len(content) > largest:
        raise InputError(f"is larger than {largest >> 10} KiB, which no file of this kind needs", file=path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError("is not UTF-8 text", file=path, line=line) from None


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _open_at_once(path: str, flags: int) -> int:
    """A descriptor without waiting for somebody to write: a pipe that nobody feeds is an empty file."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return descriptor


def read(path: str) -> Document:
    """The document in a YAML file. Raises InputError for anything but one mapping of plain data."""
    text = read_text(path)
    data = _parsed(path, text)
    if data is None:
        from hwbench.files import yaml as plain_yaml

        data = plain_yaml.parse(text, path)
    if not isinstance(data, dict):
        raise InputError("holds no mapping of fields to values", file=path, line=1, column=1)
    return Document(path, text, data)


def _parsed(path: str, text: str) -> Any:
    """The data that the folder's parsed file holds for exactly this text, else None."""
    folder, name = os.path.split(path)
    lines = _lines(os.path.join(folder, PARSED))
    start = lines.find(f"\n{name}\t{_checksum(text)}\t".encode(errors="replace")) if lines else -1
    if start < 0:
        return None
    start = lines.index(b"{", start)
    return msgspec.json.decode(lines[start : lines.index(b"\n", start)])


@lru_cache(maxsize=4)
def _lines(path: str) -> bytes:
    """What a parsed file holds; nothing where there is none or it cannot be read: the texts are there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError):
        return b""


def _checksum(text: str) -> str:
    return f"{len(text)}-{crc32(text.encode(errors='replace')):08x}"


def parsed_lines(paths: Iterable[str]) -> str:
    """Text of the parsed file that YAML files call for; files that are not sound are left out of it."""
    from hwbench.files import yaml as plain_yaml

    lines = ["", ""]
    for path in paths:
        with suppress(InputError):
            text = read_text(path)
            data = msgspec.json.encode(plain_yaml.parse(text, path)).decode()
            lines.insert(-1, f"{os.path.basename(path)}\t{_checksum(text)}\t{data}")
    return "\n".join(lines)


def convert(document: Document, kind: type[T], data: Any = None) -> T:
    """The document as a `kind`, every field checked. Raises InputError at the first field that is wrong."""
    try:
        return msgspec.convert(document.data if data is None else data, kind, dec_hook=quantity)
    except msgspec.ValidationError as error:
        raise _explain(document, kind, error) from None
    except RecursionError:
        raise InputError("is nested too deeply", file=document.path) from None


def _is_at_or_above(known: str, field: str) -> bool:
    return field.startswith(known) and (len(known) == len(field) or not known or field[len(known)] in ".[")


def quantity(kind: type, value: Any) -> Any:
    """msgspec's hook for the types it does not know: ours are the quantities."""
    if not issubclass(kind, Quantity):
        raise TypeError(f"{kind.__name__} cannot stand in a file")
    if not isinstance(value, str):
        raise ValueError(f"{shown(value, 40)} has no unit: write it like '{kind.example}'")
    try:
        return kind.parse_positive(value)
    except InputError as error:
        raise ValueError(error.message) from None


_WORDS = {
    "object": "a mapping", "array": "a list", "str": "text", "int": "a whole number",
    "float": "a number", "bool": "true or false", "null": "nothing",
}  # fmt: skip
_TYPES = re.compile(rf"`((?:{'|'.join(_WORDS)})(?: \| (?:{'|'.join(_WORDS)}))*)`")


def said(error: msgspec.ValidationError) -> str:
    """msgspec's complaint in our words, without the place."""
    message = _parted(str(error))[0]
    if "regex" in message and "20" in message:
        return "expected a date like 2020 (in quotes) or 2020-09"
    if re.match(r"Expected `str[^`]*`, got `(int|float|bool)`", message):
        message += ": put it in quotes"
    message = _TYPES.sub(lambda types: " or ".join(_WORDS[name] for name in types.group(1).split(" | ")), message)
    message = re.sub(r"Invalid enum value ('.*')", r"\1 is not one of the values allowed", message, flags=re.DOTALL)
    return message.replace("Object missing required field", "missing field").replace("Expected", "expected")


def _parted(text: str) -> tuple[str, str]:
    """Message and field of msgspec's `message - at `$.field``."""
    match = re.fullmatch(r"(.*?)(?: - at `(?:key in )?\$?([^`]*)`)?", text, re.DOTALL)
    message, field = (match.group(1), match.group(2) or "") if match else (text, "")
    return message, field.lstrip(".").replace("[...]", "")


def _explain(document: Document, kind: Any, error: msgspec.ValidationError) -> InputError:
    """What is wrong, at its line, with the nearest valid fields or values."""
    message, field = _parted(str(error))
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message, re.DOTALL)
    if unknown:
        name = unknown.group(1)
        choices = nearest(name, _choices(kind, field))
        return document.error(f"unknown field '{shown(name)}'", f"{field}.{name}".lstrip("."), choices)
    value = re.fullmatch(r"Invalid enum value '(.*)'", message, re.DOTALL)
    values = _choices(kind, field) if value else []
    return document.error(said(error), field, nearest(value.group(1), values) or tuple(values) if value else ())


def _choices(kind: Any, field: str) -> list[str]:
    """Names of the fields that the struct at `field` may have, or the values that may stand there."""
    import typing

    for step in [None, *re.findall(r"[^.\[\]]+", field)]:
        if step and not step.isdigit() and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            kind = typing.get_type_hints(kind).get(step)
        while arguments := [a for a in typing.get_args(kind) if a not in (type(None), ...)]:
            if all(isinstance(argument, str) for argument in arguments):
                return arguments
            kind = arguments[-1]  # what a tuple, a dict or an optional field holds
    return list(kind.__struct_fields__) if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else []


def write_atomically(path: str, content: str | Iterable[str]) -> None:
    """Write beside, sync, rename: a reader sees the old file or the new one, never half of one.

    Content that is too large to hold comes in pieces; where making one fails, the old file stays. A link stays a link.
    A device or a pipe (`/dev/null`, `/dev/stdout`) is written to: root could replace it by a file.
    """
    pieces = [content] if isinstance(content, str) else content
    beside = None
    try:
        target = os.path.realpath(path)
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            with open(path, "w", encoding="utf-8") as device:
                device.writelines(pieces)
            return
        beside = f"{target}.{os.getpid()}.{os.urandom(4).hex()}.tmp"  # threads of one process write too
        with open(beside, "w", encoding="utf-8") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be written: {_reason(error)}", file=path) from None
    finally:
        if beside and os.path.exists(beside):
            os.unlink(beside)
