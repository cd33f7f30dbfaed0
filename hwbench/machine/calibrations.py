"""Calibrations of devices: a JSON file each, kept beside the user's own devices until it is removed."""

import os
from typing import TYPE_CHECKING, TypeVar

import msgspec

from hwbench.errors import InputError
from hwbench.files import content, names, places
from hwbench.machine.parts import DeviceCalibration

if TYPE_CHECKING:
    from hwbench.machine.language_calibration import LanguageCalibration

MAX_BYTES = 1 << 16
T = TypeVar("T")


def path(key: str) -> str:
    """Return the path of a device's calibration, whether or not the file exists; `key` is its name or a machine's."""
    return os.path.join(places.user("config"), "calibrations", f"{names.key(key)}.json")


def load(key: str) -> DeviceCalibration | None:
    """Return the calibration of a device; None without a file, or where it is damaged."""
    return _load(key, DeviceCalibration)


def load_language(key: str) -> "LanguageCalibration | None":
    """Return the calibration of a device for language models, as `load` does."""
    from hwbench.machine.language_calibration import LanguageCalibration

    return _load(language_key(key), LanguageCalibration)


def language_key(key: str) -> str:
    """Return the key under which the calibration of a device for language models is kept, beside the other one."""
    return f"{key}-language"


def _load(key: str, kind: type[T]) -> "T | None":
    try:
        return msgspec.json.decode(content.read_bytes(path(key), MAX_BYTES), type=kind)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None


def prepare(key: str) -> None:
    """Raise InputError where the calibration of a device cannot be saved: asked before anything is measured."""
    from hwbench.files import atomic

    atomic.make_folder(os.path.dirname(path(key)))
    atomic.refuse_unwritable(path(key))


def save(key: str, calibration: "DeviceCalibration | LanguageCalibration") -> str:
    """Save the calibration of a device and return the path of its file. Raises InputError where that cannot be done."""
    from hwbench.files import atomic  # which reading does without, and every estimate reads

    file = path(key)
    atomic.make_folder(os.path.dirname(file))
    atomic.write_atomically(file, msgspec.json.format(msgspec.json.encode(calibration), indent=1).decode() + "\n")
    return file


def remove(key: str) -> bool:
    """Remove the calibration of a device; return whether there was one."""
    try:
        os.remove(path(key))
    except FileNotFoundError:
        return False
    except OSError as error:
        message = f"The calibration cannot be removed: {error.strerror}."
        raise InputError("not-writable", message, file=path(key)) from None
    return True
