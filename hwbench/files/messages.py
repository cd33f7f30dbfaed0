"""Complaints of msgspec about a value: its reason, the field that it is about, and the nearest choices."""

import re
from typing import Any

from msgspec import Struct, ValidationError

from hwbench.errors import nearest

_FORM = r"(.*?)(?: - at `(?:key in )?\$?([^`]*)`)?"
"""Form of msgspec's messages, which tests/files/test_messages.py pins: a reason, then the path of the field."""
_NAMED = r"Object contains unknown field `(.*)`|Invalid enum value '(.*)'"


class Complaint(Struct, frozen=True):
    """What is wrong with a value: a sentence, the path of the field such as `units[0].clock`, and nearest choices."""

    sentence: str
    field: str
    nearest: tuple[str, ...] = ()


def complaint(error: ValidationError, kind: Any = None) -> Complaint:
    """Return what msgspec found wrong; with the type that was converted to, an unknown name has its nearest choices."""
    match = re.fullmatch(_FORM, str(error), re.DOTALL)
    reason, field = (match[1], match[2] or "") if match else (str(error), "")
    field, sentence = field.lstrip(".").replace("[...]", ""), _plain(reason)
    named = re.fullmatch(_NAMED, reason, re.DOTALL)
    if named is None or kind is None:
        return Complaint(sentence, field)
    (unknown, value), choices = named.groups(), _choices(kind, field)
    if unknown is not None:
        return Complaint(sentence, f"{field}.{unknown}".lstrip("."), nearest(unknown, choices))
    return Complaint(sentence, field, nearest(value, choices) or tuple(choices))


def _plain(reason: str) -> str:
    """Return a reason with the names of types in plain words."""
    expected = re.fullmatch(r"Expected `([^`]*)`(.*?)(?:, got `([^`]*)`)?", reason, re.DOTALL)
    if expected is None:
        return reason if reason.endswith(".") else f"{reason}."
    wanted = " or ".join(_TYPES.get(name, name) for name in expected[1].split(" | "))
    got = f", not {_TYPES.get(expected[3], expected[3])}" if expected[3] else ""
    return f"This must be {wanted}{expected[2]}{got}."


_TYPES = {
    "bool": "true or false", "int": "a whole number", "float": "a number", "str": "text", "null": "null",
    "array": "a list", "object": "a mapping",
}  # fmt: skip


def _choices(kind: Any, field: str) -> list[str]:
    """Return the names of the fields that the struct at `field` may have, or the values that the field may have."""
    import typing

    for step in [None, *re.findall(r"[^.\[\]]+", field)]:
        if step and not step.isdigit() and isinstance(kind, type) and issubclass(kind, Struct):
            kind = typing.get_type_hints(kind).get(step)
        while arguments := [a for a in typing.get_args(kind) if a not in (type(None), ...)]:
            if all(isinstance(argument, str) for argument in arguments):
                return arguments
            kind = arguments[-1]  # what a tuple, a dict or an optional field holds
    return list(kind.__struct_fields__) if isinstance(kind, type) and issubclass(kind, Struct) else []
