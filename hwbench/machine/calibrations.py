"""Calibrations of devices: a JSON file each, kept beside the user's own devices until it is removed."""

import os

import msgspec

from hwbench.errors import InputError
from hwbench.files import content, names, places
from hwbench.machine.parts import DeviceCalibration

MAX_BYTES = 1 << 16


def path(key: str) -> str:
    """Return the path of a device's calibration, whether or not the file exists; `key` is its name or a machine's."""
    return os.path.join(places.user("config"), "calibrations", f"{names.key(key)}.json")


def load(key: str) -> DeviceCalibration | None:
    """Return the calibration of a device; None without a file, or where it is damaged."""
    try:
        return msgspec.json.decode(content.read_bytes(path(key), MAX_BYTES), type=DeviceCalibration)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None


def save(key: str, calibration: DeviceCalibration) -> str:
    """Save the calibration of a device and return the path of its file. Raises InputError where that cannot be done."""
    from hwbench.files import atomic  # which reading does without, and every estimate reads

    file = path(key)
    try:
        os.makedirs(os.path.dirname(file), exist_ok=True)
    except OSError as error:
        message = f"The folder of calibrations cannot be made: {error.strerror}."
        raise InputError("not-writable", message, file=os.path.dirname(file)) from None
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
