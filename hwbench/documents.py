"""YAML files as data, and what is wrong with one by line, column and field.

Files come from anybody: no tags, no anchors (so no alias bombs), no duplicate keys, at most 1 MiB. Plain scalars
follow YAML 1.2 (`no` is text, `12:30` is text, `1e9` is a number), not the surprises of YAML 1.1.
"""

import os
import re
from typing import Any, TypeVar

import msgspec
import yaml

from hwbench.errors import InputError, nearest, shown
from hwbench.units import Quantity

T = TypeVar("T")
Marks = dict[str, tuple[int, int]]

LARGEST = 1 << 20
DEEPEST = 40
_NUMERIC = frozenset("0123456789.eE+-")
_LITERALS: dict[str, bool | None] = {"": None, "null": None, "~": None, "true": True, "false": False}
_PLAIN_DATA = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map", "!", None)
_Loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class Document(msgspec.Struct, frozen=True):
    """One YAML file: where it is, its text, and the data in it."""

    path: str
    text: str
    data: dict[str, Any]

    def error(self, message: str, field: str = "", choices: tuple[str, ...] = ()) -> InputError:
        """An InputError at the place of `field` (`units[0].clock.boost`), or of the nearest thing around it."""
        marks: Marks = {}
        _Builder(self.text, self.path, marks).document()  # a second pass, so that reading a sound file pays nothing
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
    data = _Builder(text, path).document()
    if not isinstance(data, dict):
        raise InputError("holds no mapping of fields to values", file=path, line=1, column=1)
    return Document(path, text, data)


def convert(document: Document, kind: type[T], data: Any = None) -> T:
    """The document as a `kind`, every field checked. Raises InputError at the first field that is wrong."""
    try:
        return msgspec.convert(document.data if data is None else data, kind, dec_hook=_quantity)
    except msgspec.ValidationError as error:
        raise _explain(document, kind, error) from None
    except RecursionError:
        raise InputError("is nested too deeply", file=document.path) from None


class _Builder:
    """Plain data out of the parser's events: none of YAML's object construction, and no recursion without a limit."""

    def __init__(self, text: str, path: str, marks: Marks | None = None) -> None:
        self.path = path
        self.marks = marks
        self.text = text

    def document(self) -> Any:
        """The only document of the text."""
        loader = None
        try:
            loader = self.loader = _Loader(self.text)
            loader.get_event()
            if loader.check_event(yaml.StreamEndEvent):
                raise InputError("is empty", file=self.path)
            loader.get_event()
            data = self._value(loader.get_event(), "", 0)
            loader.get_event()
            if not loader.check_event(yaml.StreamEndEvent):
                raise self._error(loader.get_event(), "a file holds one document only")
        except yaml.MarkedYAMLError as error:
            mark: Any = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
            message = f"is not valid YAML: {error.problem or error.context}"
            raise InputError(message, file=self.path, line=line, column=column) from None
        except yaml.YAMLError as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"is not valid YAML: {reason}", file=self.path) from None
        finally:
            if loader is not None:
                loader.dispose()
        return data

    def _error(self, event: Any, message: str) -> InputError:
        mark = event.start_mark
        return InputError(message, file=self.path, line=mark.line + 1, column=mark.column + 1)

    def _value(self, event: Any, field: str, depth: int) -> Any:
        if depth > DEEPEST:
            raise self._error(event, f"is nested more than {DEEPEST} levels deep")
        self._check(event)
        if self.marks is not None:
            self.marks.setdefault(field, (event.start_mark.line + 1, event.start_mark.column + 1))
        if isinstance(event, yaml.ScalarEvent):
            # A style: quoted, or a block of text. A tag: text, whatever it looks like.
            return event.value if event.style or event.tag else self._plain(event)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := self.loader.get_event(), yaml.SequenceEndEvent):
                below = "" if self.marks is None else f"{field}[{len(items)}]"
                items.append(self._value(event, below, depth + 1))
            return items
        return self._mapping(field, depth)

    def _check(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._error(event, "anchors and aliases are not allowed: write the value out")
        if event.tag not in _PLAIN_DATA:
            raise self._error(event, f"the tag {shown(event.tag, 60)} is not allowed: files hold plain data only")

    def _mapping(self, field: str, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := self.loader.get_event(), yaml.MappingEndEvent):
            self._check(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "a key must be plain text")
            key = event.value
            if key in mapping:
                raise self._error(event, f"the key '{shown(key)}' stands twice in the same mapping")
            below = ""
            if self.marks is not None:  # the pass that an error pays for
                below = f"{field}.{key}" if field else key
                mark: Any = event.start_mark
                self.marks[below] = (mark.line + 1, mark.column + 1)
            mapping[key] = self._value(self.loader.get_event(), below, depth + 1)
        return mapping

    def _plain(self, event: Any) -> Any:
        text: str = event.value
        if text in _LITERALS:
            return _LITERALS[text]
        if not _NUMERIC.issuperset(text) or not any(map(str.isdigit, text)):
            return text
        try:
            value = float(text)
        except ValueError:
            return text  # a date, a range of versions
        if len(text) > 30 or value in (float("inf"), float("-inf")):
            raise self._error(event, f"the number {shown(text, 30)} is too large")
        return value if "." in text or "e" in text.lower() else int(text)


def _is_at_or_above(known: str, field: str) -> bool:
    return field.startswith(known) and (len(known) == len(field) or not known or field[len(known)] in ".[")


def _quantity(kind: type, value: Any) -> Any:
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


def write_atomically(path: str, content: str) -> None:
    """Write beside, sync, rename: a reader sees the old file or the new one, never half of one."""
    beside = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"  # threads of one process write too
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be written: {_reason(error)}", file=path) from None
    finally:
        if os.path.exists(beside):
            os.unlink(beside)
