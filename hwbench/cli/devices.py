"""`hwbench devices`: the catalog of machines."""

import click
import msgspec

from hwbench.cli import options, output
from hwbench.errors import InputError, nearest, shown
from hwbench.machine.device import Device

TEMPLATE = """\
# A device for hwbench. Replace every value by one that you can name a source for, and delete what you do not know:
# unknown means absent. Keep it as devices/{name}.yaml in the folder that HWBENCH_CONFIGS names, or in {user},
# or give its path: hwbench peak --device {name}.yaml
title: {title}
kind: gpu                      # cpu or gpu
vendor: Vendor
released: 2024-01              # a month, or a year in quotes
units:                         # one entry a class of identical units (a hybrid CPU has two)
  - name: SM                   # what the vendor calls one unit: core, P-core, SM, CU ...
    architecture: ampere-ga10x # FLOP per cycle of one unit: a file in configs/architectures, or give `rates` here:
    # rates:
    #   - {{engine: vector, isa: cuda, dtype: fp32, flops_per_cycle: 256, how: 128 lanes × FMA}}
    count: 82
    clock: {{base: 1.395 GHz, boost: 1.695 GHz}}
memory:                        # bandwidth = bus × rate / 8
  {{type: GDDR6X, size: 24 GiB, bus: 384 bit, rate: 19.5 GT/s, bandwidth: 936 GB/s}}
caches:
  - {{name: L2, size: 6 MiB}}    # shared_by: how many units share one, absent for all
power: 350 W
provenance:                    # delete each line once its values are true
  units: assumed
  memory: assumed
  caches: assumed
  power: assumed
  released: assumed
sources: []                    # - {{title: data sheet, url: https://..., gives: [units, memory, power]}}
"""


class Row(msgspec.Struct, frozen=True):
    """A device in the JSON of `devices list`."""

    name: str
    title: str
    kind: str
    vendor: str
    architecture: str
    units: int
    released: str | None
    power_w: float | None
    bandwidth_bytes_per_second: float | None
    aliases: tuple[str, ...]


def _filters(command: options.F) -> options.F:
    for option in (
        click.option("--kind", type=click.Choice(["cpu", "gpu"]), help="Only CPUs or GPUs."),
        click.option("--vendor", metavar="V", help="Only this vendor's."),
        click.option("--architecture", metavar="A", help="Only architectures whose name contains A."),
        click.option("--year", metavar="Y", help="Only those released in a year or years: 2020, 2017..2021, 2022.."),
        options.json_option,
    ):
        command = option(command)
    return command


@click.group(short_help="The catalog of machines: list, show, search, lint, new.", invoke_without_command=True)
@options.json_option
@click.pass_context
def devices(context: click.Context, as_json: bool) -> None:
    """List, show, search and check the catalogued devices, or start a new one.

    \b
    Examples:
      hwbench devices list --kind cpu --year 2017..
      hwbench devices show rtx3090
      hwbench devices search "titan x"
      hwbench devices new my-card > my-card.yaml
    """
    options.refuse_json_before(context, as_json)
    if context.invoked_subcommand is None:
        context.invoke(list_devices, as_json=as_json)


@devices.command("list")
@_filters
def list_devices(
    kind: str | None = None,
    vendor: str | None = None,
    architecture: str | None = None,
    year: str | None = None,
    as_json: bool = False,
) -> None:
    """List the catalogued devices, by name.

    \b
    Example:
      hwbench devices list --kind gpu --vendor nvidia --year 2020..
    """
    from hwbench.machine import catalog

    first, last = _years(year)
    sound, faults = catalog.sound_devices()
    every = sound.values()
    vendors = {device.vendor.lower(): device.vendor for device in every}
    if vendor is not None and vendor.lower() not in vendors:
        choices = [vendors[name] for name in nearest(vendor, vendors)] or sorted(vendors.values())
        raise InputError(f"there is no vendor '{shown(vendor)}'", field="--vendor", nearest=choices)
    found = [
        device
        for device in every
        if kind in (None, device.kind)
        and (vendor is None or vendor.lower() == device.vendor.lower())
        and (architecture is None or architecture.lower() in device.architectures)
        and (year is None or (device.released is not None and first <= int(device.released[:4]) <= last))
    ]
    _write_list(found, faults, as_json)


def _write_list(found: list[Device], faults: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        output.write_json("devices", {"devices": [_row(device) for device in found]}, faults)
        return
    from hwbench.report import machine as report

    output.write_lines([*report.device_list(found, output.style()), "", f"{len(found)} devices"], faults)


def _row(device: Device) -> Row:
    return Row(
        name=device.name,
        title=device.title,
        kind=device.kind,
        vendor=device.vendor,
        architecture=device.architectures,
        units=device.count,
        released=device.released,
        power_w=float(device.power) if device.power else None,
        bandwidth_bytes_per_second=float(device.memory.bandwidth) if device.memory.bandwidth else None,
        aliases=device.aliases,
    )


def _years(text: str | None) -> tuple[int, int]:
    """First and last year of `2020`, `2017..2021`, `2022..` or `..2010`."""
    if text is None:
        return 0, 9999
    first, dots, last = text.partition("..")
    if any(part and not (part.isascii() and part.isdigit() and len(part) == 4) for part in (first, last)) or text in (
        "",
        "..",
    ):
        raise InputError(f"{text!r} is not a year or a range of years: 2020, 2017..2021, 2022..", field="--year")
    years = int(first or 0), int(last or 9999) if dots else int(first)
    if years[0] > years[1]:
        raise InputError(f"{text} ends before it begins", field="--year")
    return years


@devices.command("show")
@click.argument("name", shell_complete=options.complete("devices"))
@options.json_option
def show(name: str, as_json: bool) -> None:
    """Show one device: peaks, memory, caches, aliases, notes and sources.

    \b
    Example:
      hwbench devices show rtx3090
    """
    from hwbench.machine import catalog, description

    device = catalog.device(name)
    found = description.known_peaks(device)
    told = description.warnings(device, found)
    if as_json:
        sources = [msgspec.to_builtins(source) for source in device.sources]
        body = msgspec.to_builtins(description.describe(device, found))
        extra = {"aliases": device.aliases, "notes": device.notes, "sources": sources}
        output.write_json("devices-show", {**body, **extra}, told)
        return
    from hwbench.report import machine as report

    style = output.style()
    lines = [*report.heading(device, style), *report.details(device, style)]
    output.write_lines([*lines, "", *report.peak_table(device, found, style)], told)


@devices.command("search")
@click.argument("text")
@options.json_option
def search(text: str, as_json: bool) -> None:
    """List devices whose name, title, alias or architecture contains TEXT; case, spaces and dashes do not matter.

    \b
    Example:
      hwbench devices search "titan x"
    """
    from hwbench import folders
    from hwbench.machine import catalog

    wanted = folders.key(text)
    sound, faults = catalog.sound_devices()
    found = [
        device
        for device in sound.values()
        if any(wanted in folders.key(t) for t in (device.name, device.title, device.architectures, *device.aliases))
    ]
    _write_list(found, faults, as_json)


@devices.command("lint")
@options.json_option
def lint(as_json: bool) -> None:
    """Check the catalog: sources, published peaks against computed ones, bandwidths, names. Exit code 2 for faults.

    \b
    Example:
      hwbench devices lint
    """
    from hwbench import folders
    from hwbench.machine import lint as linter

    faults = linter.lint()
    checked = len(folders.files("devices")), len(folders.files("architectures"))
    if as_json:
        output.write_json("devices-lint", {"faults": faults, "devices": checked[0], "architectures": checked[1]})
    else:
        output.write_lines([*faults, f"{checked[0]} devices, {checked[1]} architectures, {len(faults)} faults"])
    if faults:
        click.get_current_context().exit(2)


@devices.command("new")
@click.argument("name")
def new(name: str) -> None:
    """Write a commented template of a device's YAML file to standard output.

    \b
    Example:
      hwbench devices new my-card > my-card.yaml
    """
    from hwbench import folders

    if not name.isprintable() or not 0 < len(name.strip()) <= 100 or "/" in name or "\\" in name:
        raise InputError("a device name is 1 to 100 printable characters, and no path", field="NAME")
    title = msgspec.json.encode(name).decode()  # a JSON string is a YAML string
    output.write(TEMPLATE.format(name=name.lower().replace(" ", "-"), title=title, user=folders.user()))
