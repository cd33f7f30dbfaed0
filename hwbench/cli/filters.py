"""Options that choose among the catalogued devices, and the devices that they choose."""

from collections.abc import Iterable

import click
from msgspec import Struct

from hwbench.cli.options import F
from hwbench.errors import InputError, nearest, shown
from hwbench.machine.device import Device


class Filter(Struct, frozen=True):
    """Which devices are meant; what is None does not matter."""

    kind: str | None = None
    vendor: str | None = None
    architecture: str | None = None
    year: str | None = None

    @property
    def given(self) -> bool:
        """Whether anything was asked for."""
        return self != Filter()


def filter_options(command: F) -> F:
    """`--kind`, `--vendor`, `--architecture` and `--year`."""
    for option in (  # the last one stands first in the help
        click.option("--year", metavar="Y", help="Only those released in a year or years: 2020, 2017..2021, 2022.."),
        click.option("--architecture", metavar="A", help="Only architectures whose name contains A."),
        click.option("--vendor", metavar="V", help="Only this vendor's."),
        click.option("--kind", type=click.Choice(["cpu", "gpu"]), help="Only CPUs or GPUs."),
    ):
        command = option(command)
    return command


def chosen(every: Iterable[Device], wanted: Filter) -> list[Device]:
    """The devices that a filter lets through. Raises InputError for a vendor that there is not, or for no year."""
    devices = list(every)
    first, last = years(wanted.year)
    vendors = {device.vendor.lower(): device.vendor for device in devices}
    vendor, architecture = wanted.vendor, wanted.architecture
    if vendor is not None and vendor.lower() not in vendors:
        choices = [vendors[name] for name in nearest(vendor, vendors)] or sorted(vendors.values())
        raise InputError(f"there is no vendor '{shown(vendor)}'", field="--vendor", nearest=choices)
    return [
        device
        for device in devices
        if wanted.kind in (None, device.kind)
        and (vendor is None or vendor.lower() == device.vendor.lower())
        and (architecture is None or architecture.lower() in device.architectures)
        and (wanted.year is None or (device.released is not None and first <= int(device.released[:4]) <= last))
    ]


def years(text: str | None) -> tuple[int, int]:
    """First and last year of `2020`, `2017..2021`, `2022..` or `..2010`."""
    if text is None:
        return 0, 9999
    first, dots, last = text.partition("..")
    if any(part and not (part.isascii() and part.isdigit() and len(part) == 4) for part in (first, last)) or text in (
        "",
        "..",
    ):
        raise InputError(
            f"'{shown(text, 40)}' is not a year or a range of years: 2020, 2017..2021, 2022..", field="--year"
        )
    found = int(first or 0), int(last or 9999) if dots else int(first)
    if found[0] > found[1]:
        raise InputError(f"{text} ends before it begins", field="--year")
    return found
