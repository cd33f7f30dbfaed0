"""YAML files as data, with the line, column and field of whatever is wrong in one.

Files come from anybody: plain data only (see `yaml`), at most 1 MiB. Those of the catalog come from `cache` where it
has them.
"""

from typing import Any, TypeVar

import msgspec

from hwbench.errors import InputError, shown
from hwbench.files import cache
from hwbench.files.content import read_text
from hwbench.units import Quantity

T = TypeVar("T")


class Document(msgspec.Struct, frozen=True):
    """One YAML file: its path, its text where it was read, and the data in it."""

    path: str
    text: str | None
    data: dict[str, Any]

    def error(self, code: str, message: str, field: str = "", choices: tuple[str, ...] = ()) -> InputError:
        """Return an InputError at the place of `field` (`units[0].clock.boost`), or of the nearest field around it."""
        from hwbench.files import yaml

        marks: yaml.Marks = {}
        text = read_text(self.path) if self.text is None else self.text
        yaml.parse(text, self.path, marks)  # a second pass, so that reading a valid file costs nothing more
        line, column = marks[max((known for known in marks if _is_at_or_above(known, field)), key=len)]
        return InputError(code, message, file=self.path, line=line, column=column, field=field or None, nearest=choices)


def read(path: str, listed: str | None = None) -> Document:
    """Return the document in a YAML file. Raises InputError for anything but one mapping of plain data.

    A list is taken as the value of the field `listed`, where there is one.
    """
    data = cache.data(path)
    if data is not None:
        return Document(path, None, data)
    from hwbench.files import yaml

    text = read_text(path)
    data = yaml.parse(text, path)
    if isinstance(data, list) and listed:
        return Document(path, text, {listed: data})
    if not isinstance(data, dict):
        raise InputError("not-a-mapping", "The file is not a mapping of fields to values.", file=path, line=1, column=1)
    return Document(path, text, data)


def convert(document: Document, kind: type[T], data: Any = None) -> T:
    """Return the document as a `kind`, every field checked. Raises InputError at the first field that is wrong."""
    try:
        return msgspec.convert(document.data if data is None else data, kind, dec_hook=quantity)
    except msgspec.ValidationError as error:
        from hwbench.files.messages import complaint

        wrong = complaint(error, kind)
        raise document.error("invalid-field", wrong.sentence, wrong.field, wrong.nearest) from None
    except RecursionError:
        raise InputError("too-deep", "The file is nested too deeply.", file=document.path) from None


def _is_at_or_above(known: str, field: str) -> bool:
    return field.startswith(known) and (len(known) == len(field) or not known or field[len(known)] in ".[")


def quantity(kind: type, value: Any) -> Any:
    """Convert a type that msgspec does not know: a quantity."""
    if not issubclass(kind, Quantity):
        raise TypeError(f"{kind.__name__} is not a type of a field")
    if not isinstance(value, str):
        raise ValueError(f"{shown(value, 40)} has no unit: write it like '{kind.example}'")
    try:
        return kind.parse_positive(value)
    except InputError as error:
        raise ValueError(error.message) from None
