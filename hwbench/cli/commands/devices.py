"""`hwbench devices`: the catalog of machines."""

from typing import Any

import click

from hwbench import api
from hwbench.cli import filters, options, output


@options.group(invoke_without_command=True)
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
def list_devices(as_json: bool = False, **parameters: Any) -> None:
    """List the catalogued devices, by name.

    \b
    Examples:
      hwbench devices list
      hwbench devices list --kind gpu --vendor nvidia --year 2020..
    """
    output.show(api.devices(**parameters), as_json)


@devices.command("show", short_help="Show one device: peaks, memory, caches, sources.")
@click.argument("name", shell_complete=options.complete("devices"))
@options.json_option
def show(name: str, as_json: bool) -> None:
    """Show one device: peaks, memory, caches, aliases, notes, published scores and sources.

    \b
    Example:
      hwbench devices show rtx3090
    """
    output.show(api.device_details(name), as_json)


@devices.command("search", short_help="List devices whose name or title contains TEXT.")
@click.argument("text")
@options.json_option
def search(text: str, as_json: bool) -> None:
    """List devices whose name, title, alias or architecture contains TEXT; case, spaces and dashes do not matter.

    \b
    Example:
      hwbench devices search "titan x"
    """
    output.show(api.devices(search=text), as_json)


@devices.command("lint", short_help="Check the catalog against its sources.")
@options.json_option
def lint(as_json: bool) -> None:
    """Check the catalog: sources, published peaks against computed ones, bandwidths, names. Exit code 2 for faults.

    \b
    Example:
      hwbench devices lint
    """
    answer = api.lint_devices()
    output.show(answer, as_json)
    click.get_current_context().exit(2 if answer.faults else 0)


@devices.command("new", short_help="Print a commented template of a device's file.")
@click.argument("name")
def new(name: str) -> None:
    """Print a commented template of a device's YAML file.

    \b
    Example:
      hwbench devices new my-card > my-card.yaml
    """
    output.write(api.device_template(name))
