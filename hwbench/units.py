"""Quantities: parse text such as `2.4 GHz` into SI floats at the boundary, and format them there.

Each quantity is a `float` in SI units whose class knows its unit, so that a field's type defines what a file may
give. Prefixes are the SI's (k 10^3 to E 10^18) and, for bytes, the IEC's (Ki 2^10 to Ei 2^60). Letter case counts:
`m` is milli and `M` is mega.
"""

import re
from typing import ClassVar, Self

from hwbench.errors import InputError, shown

MIN_VALUE, MAX_VALUE = 1e-30, 1e30
"""Range of every quantity but zero: beyond, products would leave the range of a float."""
MAX_WHOLE = 1 << 53
"""Largest whole number from outside: floats hold every one below."""

_LARGE = {"": 0, "k": 3, "K": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SMALL = {"m": -3, "u": -6, "µ": -6, "μ": -6, "n": -9, "p": -12}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SHOWN = {"s": ("p", "n", "µ", "m", ""), "bit": ("",)}
_NUMBER = r"[+-]?([0-9]*\.?[0-9]*)(?:[eE]([+-]?[0-9]{1,4}))?"
"""Digits and exponent of a number."""


class Quantity(float):
    """A non-negative amount of `unit`, in SI."""

    unit: ClassVar[str]
    spellings: ClassVar[tuple[str, ...]] = ()
    prefixes: ClassVar[dict[str, int]] = _LARGE
    binary: ClassVar[bool] = False
    others: ClassVar[dict[str, float]] = {}  # units that take no prefix
    example: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `<number> <prefix><unit>`. Raises InputError that names the unit expected."""
        bare = text.strip() if len(text) <= 100 else ""
        digits, _, unit = bare.partition(" ")
        exponent = "0"
        if not (digits.isascii() and digits.replace(".", "", 1).isdigit()):  # which no number of the catalog needs
            match = re.match(_NUMBER, bare)
            assert match is not None  # but it may be empty
            digits, exponent, unit = match[1], match[2] or "0", bare[match.end() :]
        if digits in ("", "."):
            raise InputError("not-a-quantity", f"'{shown(text, 40)}' is not a quantity: write it like '{cls.example}'.")
        if bare.startswith("-"):
            raise InputError("negative-quantity", f"'{shown(text, 40)}' is negative.")
        power, factor = cls._scale(unit.lstrip(), text)
        value = float(f"{digits}e{int(exponent) + power}") * factor
        if value and not MIN_VALUE <= value <= MAX_VALUE:
            raise InputError("quantity-range", f"'{shown(text, 40)}' is out of range.")
        return cls(value)

    @classmethod
    def _scale(cls, unit: str, text: str) -> tuple[int, float]:
        """Return the power of ten and the binary factor of a unit with its prefix."""
        if unit in cls.others:
            return 0, cls.others[unit]
        for spelling in (cls.unit, *cls.spellings):
            if unit.endswith(spelling):
                prefix = unit.removesuffix(spelling)
                if prefix in cls.prefixes:
                    return cls.prefixes[prefix], 1
                if cls.binary and prefix in _BINARY:
                    return 0, 1 << _BINARY[prefix]
        if not unit:
            raise InputError("no-unit", f"'{shown(text, 40)}' has no unit: write it like '{cls.example}'.")
        message = f"'{shown(unit, 40)}' is not a unit of {cls.unit}: write it like '{cls.example}'."
        raise InputError("wrong-unit", message)

    @classmethod
    def parse_positive(cls, text: str) -> Self:
        """Read as `parse` does, and refuse zero too."""
        value = cls.parse(text)
        if not value:
            raise InputError("quantity-zero", "The value must be more than zero.")
        return value

    def __str__(self) -> str:
        return si(self, self.unit, binary=self.binary and self.unit == "B")


class Hertz(Quantity):
    """A frequency, 1/s."""

    unit, example = "Hz", "2.4 GHz"


class Bytes(Quantity):
    """An amount of memory; `MB` is 10^6 and `MiB` is 2^20 bytes."""

    unit, example, binary = "B", "24 GiB", True


class BytesPerSecond(Quantity):
    """A memory or link bandwidth."""

    unit, example, binary = "B/s", "936 GB/s", True


class FlopsPerSecond(Quantity):
    """A rate of floating-point (or integer: TOP/s) operations."""

    unit, example = "FLOP/s", "35.58 TFLOP/s"
    spellings = ("FLOPS", "FLOPs/s", "Flop/s", "Flops/s", "flop/s", "flops/s", "OP/s", "OPS")


def operations_unit(dtype: str) -> str:
    """Return the unit of operations on a dtype: FLOP, or OP for integers."""
    return "OP" if dtype.startswith("int") else "FLOP"


class TransfersPerSecond(Quantity):
    """The data rate of one pin of a memory bus: transfers of one bit each second."""

    unit, example = "T/s", "19.5 GT/s"
    spellings = ("bps", "bit/s")


class Bits(Quantity):
    """The width of a bus."""

    unit, example, prefixes = "bit", "384 bit", {"": 0}
    spellings = ("bits", "-bit")


class Watts(Quantity):
    """A power."""

    unit, example, prefixes = "W", "350 W", {**_LARGE, "m": -3}


class Seconds(Quantity):
    """A duration."""

    unit, example, prefixes = "s", "5 ms", {"": 0, **_SMALL}


class PerSecond(Quantity):
    """A rate of whole inferences, also stated for a minute or an hour."""

    unit, example, others = "/s", "30/s", {"/min": 1 / 60, "/h": 1 / 3600}


def whole_number(text: str, high: int = MAX_WHOLE, low: int = 1) -> int | None:
    """Return the whole number of ASCII digits in a text; None for other text and for values beyond `low` and `high`.

    Every whole number in text from outside is read here: length and value are limited before anything computes with it.
    """
    digits = text.strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > len(str(high)):
        return None
    value = int(digits)
    return value if low <= value <= high else None


def si(value: float, unit: str, digits: int = 4, binary: bool = False) -> str:
    """Format a value with the prefix that leaves one to three digits before the point: `si(2.4e9, "Hz")` is `2.4 GHz`.

    Seconds and bits take no prefix above one, which nobody reads: 86400 s, 8192 bit.
    """
    if value == 0:
        return f"0 {unit}".strip()
    step, names = (1024.0, ("", *_BINARY)) if binary else (1000.0, _SHOWN.get(unit, ("", "k", "M", "G", "T", "P", "E")))
    index = names.index("")
    while abs(value) < 1 and index > 0:
        value, index = value * 1000, index - 1
    # No rounding adds more than a tenth, so that most values need none here.
    while abs(value) >= 0.9 * step and index < len(names) - 1:
        if abs(value) < step and abs(float(f"{value:.{digits}g}")) < step:
            break
        value, index = max(abs(value) / step, 1.0) * (1 if value > 0 else -1), index + 1
    number = f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}" if value < 1e15 else f"{value:.3e}"
    return f"{number} {names[index]}{unit}".strip()


def exact(quantity: Quantity) -> str:
    """Return text that parses back to the same float, whatever its size."""
    return f"{float(quantity)!r} {quantity.unit}"
