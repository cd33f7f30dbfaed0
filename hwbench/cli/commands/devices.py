"""`hwbench devices`: the catalog of machines."""

import click
import msgspec

from hwbench.cli import filters, options, output
from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.notices import Notice

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


class DeviceRow(msgspec.Struct, frozen=True):
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
@filters.filter_options
@options.json_option
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

    sound, faults = catalog.valid_devices()
    found = filters.chosen(sound.values(), filters.Filter(kind, vendor, architecture, year))
    _write_list(found, faults, as_json)


def _write_list(found: list[Device], faults: tuple[Notice, ...], as_json: bool) -> None:
    if as_json:
        output.write_json("devices", {"devices": [_row(device) for device in found]}, faults)
        return
    from hwbench.report.text import machine as report

    output.write_lines([*report.device_list(found, output.style()), "", f"{len(found)} devices"], faults)


def _row(device: Device) -> DeviceRow:
    return DeviceRow(
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


@devices.command("show", short_help="One device: peaks, memory, caches, sources.")
@click.argument("name", shell_complete=options.complete("devices"))
@options.json_option
def show(name: str, as_json: bool) -> None:
    """Show one device: peaks, memory, caches, aliases, notes, published scores and sources.

    \b
    Example:
      hwbench devices show rtx3090
    """
    from hwbench.machine import catalog, description

    device = catalog.device(name)
    found = description.known_peaks(device)
    told = description.notices(device, found)
    if as_json:
        sources, scores = msgspec.to_builtins(device.sources), msgspec.to_builtins(device.scores)
        body = description.describe(device, found).body()
        extra = {"aliases": device.aliases, "notes": device.notes, "sources": sources, "scores": scores}
        output.write_json("devices-show", {**body, **extra}, told)
        return
    from hwbench.report.text import machine as report

    style = output.style()
    lines = [*report.heading(device, style), *report.details(device, style)]
    output.write_lines([*lines, "", *report.peak_table(device, found, style)], told)


@devices.command("search", short_help="Devices whose name or title contains TEXT.")
@click.argument("text")
@options.json_option
def search(text: str, as_json: bool) -> None:
    """List devices whose name, title, alias or architecture contains TEXT; case, spaces and dashes do not matter.

    \b
    Example:
      hwbench devices search "titan x"
    """
    from hwbench.files import folders
    from hwbench.machine import catalog

    wanted = folders.key(text)
    sound, faults = catalog.valid_devices()
    found = [
        device
        for device in sound.values()
        if any(wanted in folders.key(t) for t in (device.name, device.title, device.architectures, *device.aliases))
    ]
    _write_list(found, faults, as_json)


@devices.command("lint", short_help="Check the catalog against its sources.")
@options.json_option
def lint(as_json: bool) -> None:
    """Check the catalog: sources, published peaks against computed ones, bandwidths, names. Exit code 2 for faults.

    \b
    Example:
      hwbench devices lint
    """
    from hwbench.files import folders
    from hwbench.machine import lint as linter

    faults = linter.lint()
    checked = len(folders.files("devices")), len(folders.files("architectures"))
    if as_json:
        output.write_json("devices-lint", {"faults": faults, "devices": checked[0], "architectures": checked[1]})
    else:
        output.write_lines([*faults, f"{checked[0]} devices, {checked[1]} architectures, {len(faults)} faults"])
    if faults:
        click.get_current_context().exit(2)


@devices.command("new", short_help="A commented template of a device's file.")
@click.argument("name")
def new(name: str) -> None:
    """Write a commented template of a device's YAML file to standard output.

    \b
    Example:
      hwbench devices new my-card > my-card.yaml
    """
    from hwbench.files import folders

    if not name.isprintable() or not 0 < len(name.strip()) <= 100 or "/" in name or "\\" in name:
        raise InputError("a device name is 1 to 100 printable characters, and no path", field="NAME")
    title = msgspec.json.encode(name).decode()  # a JSON string is a YAML string
    output.write(TEMPLATE.format(name=name.lower().replace(" ", "-"), title=title, user=folders.user()))
