"""Calibrations of devices by runtime: a JSON file a device, kept beside the user's own until it is removed."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from hwbench.errors import InputError
from hwbench.files import content, names, places
from hwbench.machine.parts import DeviceCalibration

if TYPE_CHECKING:
    from hwbench.machine.language_calibration import LanguageCalibration

MAX_BYTES = 1 << 16


def path(key: str) -> str:
    """Return the path of a device's calibrations, whether or not the file exists; `key` is its name or a machine's."""
    return os.path.join(places.user("config"), "calibrations", f"{names.key(key)}.json")


def load(key: str) -> tuple[DeviceCalibration, ...]:
    """Return the calibrations of a device, each of another runtime; none without a file, or where it is damaged.

    Files of the first version hold one, without a list.
    """
    known = _load(key, DeviceCalibration | tuple[DeviceCalibration, ...])
    return (known,) if isinstance(known, DeviceCalibration) else known or ()


def load_language(key: str) -> "LanguageCalibration | None":
    """Return the calibration of a device for language models; None without a file, or where it is damaged."""
    from hwbench.machine.language_calibration import LanguageCalibration

    known: LanguageCalibration | None = _load(language_key(key), LanguageCalibration)
    return known


def language_key(key: str) -> str:
    """Return the key under which the calibration of a device for language models is kept, beside the other one."""
    return f"{key}-language"


def _load(key: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(content.read_bytes(path(key), MAX_BYTES), type=kind)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None


def prepare(key: str) -> None:
    """Raise InputError where calibrations of a device cannot be saved: asked before anything is measured."""
    from hwbench.files import atomic

    atomic.make_folder(os.path.dirname(path(key)))
    atomic.refuse_unwritable(path(key))


def save(key: str, own: Sequence[DeviceCalibration]) -> str:
    """Save calibrations of a device beside those of its other runtimes, and return the path of their file.

    Raises InputError where that cannot be done.
    """
    anew = {each.runtime for each in own}
    return _write(key, [*(each for each in load(key) if each.runtime not in anew), *own])


def save_language(key: str, calibration: "LanguageCalibration") -> str:
    """Save the calibration of a device for language models, as `save` does."""
    return _write(language_key(key), calibration)


def _write(key: str, content: object) -> str:
    from hwbench.files import atomic  # which reading does without, and every estimate reads

    file = path(key)
    atomic.make_folder(os.path.dirname(file))
    atomic.write_atomically(file, msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n")
    return file


def remove(key: str, runtimes: Sequence[str] = ()) -> bool:
    """Remove the calibrations of a device, or those of some `runtimes`; return whether there was one."""
    known = load(key)
    left = [each for each in known if each.runtime not in runtimes] if runtimes else []
    if left:
        _write(key, left)
        return len(left) < len(known)
    if runtimes and not known:
        return False
    try:
        os.remove(path(key))
    except FileNotFoundError:
        return False
    except OSError as error:
        message = f"The calibrations cannot be removed: {error.strerror}."
        raise InputError("not-writable", message, file=path(key)) from None
    return True
