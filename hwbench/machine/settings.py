"""Replace values of a device: another clock, more units, a faster memory."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from hwbench.errors import InputError, nearest, shown
from hwbench.machine.parts import Specification
from hwbench.units import (
    Bytes,
    BytesPerSecond,
    Hertz,
    Quantity,
    Watts,
    whole_number,
)

S = TypeVar("S", bound=Specification)


def override(device: S, settings: Mapping[str, str]) -> S:
    """Return a device with some values replaced, each marked `assumed`: `{"clock": "3 GHz"}`. Raises InputError."""
    for field, text in settings.items():
        try:
            device = _override(device, field, text)
        except InputError as error:
            raise error.at(field=f"settings.{field}") from None
    return device


def _override(device: S, field: str, text: str) -> S:
    head, _, unit_class = field.partition(".")
    provenance = dict(device.provenance)
    if field in _MEMORY:
        attribute, quantity = _MEMORY[field]
        memory = msgspec.structs.replace(device.memory, **{attribute: quantity.parse_positive(text)})
        provenance[f"memory.{attribute}"] = "assumed"
        return msgspec.structs.replace(device, memory=memory, provenance=provenance)
    if field == "power":
        provenance["power"] = "assumed"
        return msgspec.structs.replace(device, power=Watts.parse_positive(text), provenance=provenance)
    classes = [units.name for units in device.units]
    if head not in ("clock", "units"):
        choices = ("clock", "units", "power", *_MEMORY)
        message = f"'{shown(head, 40)}' cannot be set: choose from {', '.join(choices)}."
        raise InputError("unknown-setting", message, nearest=nearest(head, choices))
    if (unit_class or "." in field) and unit_class not in classes:
        raise InputError("unknown-units", f"There are no units called '{shown(unit_class)}'.", nearest=classes)
    if head == "units" and not unit_class and len(classes) > 1:
        message = "The device has more than one class of units: name one."
        raise InputError("units-ambiguous", message, nearest=[f"units.{name}" for name in classes])
    selected = [name for name in classes if unit_class in ("", name)]
    replaced = []
    for units in device.units:
        if units.name in selected and head == "clock":
            clock = msgspec.structs.replace(units.clock, fixed=Hertz.parse_positive(text))
            units = msgspec.structs.replace(units, clock=clock)  # noqa: PLW2901
            provenance[f"units.{units.name}.clock"] = "assumed"
            provenance.pop(f"units.{units.name}.clock.fixed", None)
        elif units.name in selected:
            units = msgspec.structs.replace(units, count=_count(text))  # noqa: PLW2901
            provenance[f"units.{units.name}.count"] = "assumed"
        replaced.append(units)
    return msgspec.structs.replace(device, units=tuple(replaced), provenance=provenance)


MAX_UNITS = 10_000_000
_MEMORY: dict[str, tuple[str, type[Quantity]]] = {"bandwidth": ("bandwidth", BytesPerSecond), "memory": ("size", Bytes)}


def _count(text: str) -> int:
    count = whole_number(text, MAX_UNITS)
    if count is None:
        raise InputError("units-range", f"'{shown(text, 40)}' is not a number of units (1 to {MAX_UNITS}).")
    return count
