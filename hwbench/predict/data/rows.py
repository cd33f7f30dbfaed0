"""One row of a table of measured times: what it holds, what is wrong with it, and its cells as numbers."""

import math

from msgspec import UNSET, Struct, UnsetType

from hwbench.errors import shown

LAYOUTS = ("nchw", "nhwc")
DTYPES = {
    "amp": "amp", "fp16": "fp16", "float16": "fp16", "half": "fp16", "bf16": "bf16", "bfloat16": "bf16",
    "fp32": "fp32", "float32": "fp32", "fp64": "fp64", "float64": "fp64", "int8": "int8",
}  # fmt: skip
"""Spellings of dtypes in tables."""
_MAX_COUNT = 1e9
MIN_VALUE, MAX_VALUE = 1e-9, 1e18
"""Range of a number: a picosecond is 1e-9 ms."""
_FILES = (".yaml", ".yml", ".json", ".onnx")


class Defaults(Struct, frozen=True):
    """Values for all rows of a file that do not state their own; None if unknown."""

    device: str | None = None
    dtype: str | None = None
    layout: str | None = None
    runtime: str | None = None


class MeasuredTime(Struct, frozen=True, omit_defaults=True):
    """One measured step: `time_s` seconds for a `batch`. `place` is `file:line`; `params` is the file's own count."""

    device: str
    model: str
    batch: int
    dtype: str
    time_s: float
    place: str
    image_size: int | None = None
    layout: str | None = None
    runtime: str | None = None
    source: str = ""
    params: float | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """Everything but the time and where it was read: equal for repeats of one measurement."""
        return (self.device, self.model, self.image_size, self.batch, self.dtype, self.layout, self.runtime)


class Skipped(Struct, frozen=True):
    """A row that was left out, and why."""

    model: str
    reason: str
    place: str
    device: str | UnsetType = UNSET


class RowError(Exception):
    """A row that cannot be used; the message says why."""


def catalog_name(text: str, column: str, sources: tuple[str, ...] = ()) -> str:
    """Return a cell that names an entry of the catalog, or a model of one of the `sources`. Raises RowError.

    Nothing that a table names is opened, imported or called: no path, no saved run, no `torch:module:factory`.
    """
    source, colon, name = text.partition(":")
    allowed = source in sources and "?" not in name if colon else not text.endswith(_FILES)
    if not allowed or not text.isprintable() or "/" in text or "\\" in text:
        raise RowError(f"{column} is '{shown(text, 40)}', which is not a name of the catalog.")
    return text


def device_words(text: str) -> tuple[str, dict[str, str]]:
    """Return the name and the settings of a device such as `i9-10940x units=8`."""
    words = text.split()
    name = " ".join(word for word in words if "=" not in word)
    return name, dict(word.split("=", 1) for word in words if "=" in word)


def positive_number(text: str, column: str) -> float:
    """Return a cell as a number above zero. Raises RowError."""
    if not text:
        raise RowError(f"{column} is empty.")
    try:
        value = float(text)
    except ValueError:
        raise RowError(f"{column} is '{shown(text, 40)}', not a number.") from None
    if not (math.isfinite(value) and value > 0):
        raise RowError(f"{column} is {value:g} but must be above zero.")
    if not MIN_VALUE <= value <= MAX_VALUE:
        raise RowError(f"{column} is {value:g} but must be from {MIN_VALUE:g} to {MAX_VALUE:g}.")
    return value


def positive_count(text: str, column: str) -> int:
    """Return a cell as a whole number above zero. Raises RowError."""
    value = positive_number(text, column)
    if value > _MAX_COUNT or value != int(value):
        raise RowError(f"{column} is {value:g} but must be a whole number.")
    return int(value)
