"""What the name of a device refers to, and what is found under it."""

from typing import Any, Literal

from msgspec import Struct

from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.notices import Notice


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
