"""What every question accepts: names of devices, number formats, batch sizes, clocks, and quantities."""

import sys
from typing import Any, Literal, cast, get_args

from msgspec import Struct

from hwbench import dtypes
from hwbench.errors import InputError, shown
from hwbench.machine.device import Device
from hwbench.machine.parts import ClockKind
from hwbench.notices import Notice
from hwbench.predict.model.runtimes import Math
from hwbench.units import Quantity, Seconds

MAX_BATCH = 1_000_000_000
MAX_ROWS = 10_000
"""Estimates of one answer."""
MIN_BUDGET_S, MAX_BUDGET_S = 0.05, 86400.0


class DeviceRef(Struct, frozen=True):
    """What the name of a device refers to: this machine, a saved run, or the catalog and files."""

    kind: Literal["host", "run", "catalog"]
    name: str

    @classmethod
    def parse(cls, text: Any) -> "DeviceRef":
        """Return the reference of `host`, `run:RUN`, a catalog name or the path of a YAML file. Raises InputError."""
        if not isinstance(text, str):
            message = f"The device is neither a name nor a device, but of type {type(text).__name__}."
            raise InputError("unknown-device", message, field="device")
        if text.lower() == "host":
            return cls("host", text)
        if text.lower().startswith("run:"):
            return cls("run", text[4:])
        return cls("catalog", text)


class LocatedDevice(Struct, frozen=True):
    """A device that a name refers to, and what a reader of its numbers must know."""

    device: Device
    notices: tuple[Notice, ...] = ()


def is_here(device: str) -> bool:
    """Return whether a name means this machine or, by torch's name, its GPU, on which networks can be timed."""
    return device.lower().partition(":")[0] in ("host", "cuda", "mps")


def check_dtype(name: str) -> str:
    """Return a dtype as hwbench spells it. Raises InputError with the nearest."""
    return dtypes.dtype(name).name


def check_batch(value: int) -> int:
    """Return a batch size. Raises InputError for anything but a whole number from 1 to MAX_BATCH."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_BATCH:
        message = f"'{shown(value, 40)}' is not a batch size (a whole number from 1 to {MAX_BATCH})."
        raise InputError("batch-range", message, field="batch")
    return value


def check_batches(values: Any) -> range | tuple[int, ...] | None:
    """Return batch sizes, None where none are named; a range stays one. Raises InputError for anything else."""
    if values is None or isinstance(values, range):
        return values
    if not isinstance(values, list | tuple):
        message = f"'{shown(values, 40)}' is no sequence of batch sizes."
        raise InputError("batch-range", message, field="batches")
    return tuple(map(check_batch, values))


def check_clock(kind: str | None) -> ClockKind | None:
    """Return the kind of a clock, `all-core` or `all_core` for the latter. Raises InputError for an unknown one."""
    if kind is None:
        return None
    name = str(kind).replace("-", "_")
    if name not in get_args(ClockKind):
        choices = get_args(ClockKind)
        raise InputError("unknown-clock", f"There is no clock '{shown(kind)}'.", field="clock", nearest=choices)
    return cast("ClockKind", name)


def check_math(name: str) -> Math:
    """Return how fp32 is computed: `default` or `strict`. Raises InputError for anything else."""
    if name not in get_args(Math):
        choices = get_args(Math)
        raise InputError("unknown-math", f"There is no math '{shown(name)}'.", field="math", nearest=choices)
    return cast("Math", name)


def check_quantity(kind: type[Quantity], value: float | str, field: str) -> float:
    """Return a positive quantity in SI units, given as such or as text with its unit. Raises InputError."""
    if isinstance(value, str):
        try:
            return float(kind.parse_positive(value))
        except InputError as error:
            raise error.at(field=field) from None
    if not 0 < value <= sys.float_info.max:  # whole numbers may be larger
        raise InputError("not-positive", f"'{shown(value, 40)}' is not a positive number.", field=field)
    return float(value)


def check_duration(value: float | str, field: str, low: float = MIN_BUDGET_S, high: float = MAX_BUDGET_S) -> float:
    """Return a time in s, given in s or as text such as `30s`. Raises InputError for one out of range."""
    seconds = check_quantity(Seconds, value, field)
    if not low <= seconds <= high:
        message = f"{Seconds(seconds)} is out of range ({Seconds(low)} to {Seconds(high)})."
        raise InputError("duration-range", message, field=field)
    return seconds
