"""`hwbench models`: the catalog of networks."""

import click
import msgspec

from hwbench.cli import options, output
from hwbench.workload.op import Workload


class Row(msgspec.Struct, frozen=True):
    """A network in the JSON of `models list`."""

    name: str
    title: str
    params: int
    macs: int
    input_shape: tuple[int, ...]
    ops: int


@click.group(short_help="The catalog of networks: list, show, search, lint.", invoke_without_command=True)
@options.json_option
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """List, show, search and check the catalogued networks.

    \b
    Examples:
      hwbench models
      hwbench models show alexnet
      hwbench models search net
    """
    options.refuse_json_before(context, as_json)
    if context.invoked_subcommand is None:
        context.invoke(list_models, as_json=as_json)


@models.command("list")
@options.json_option
def list_models(as_json: bool = False) -> None:
    """List the catalogued networks, by name.

    \b
    Example:
      hwbench models list
    """
    from hwbench.workload import zoo

    sound, faults = zoo.sound_workloads()
    _write_list(list(sound.values()), faults, as_json)


def _write_list(found: list[Workload], faults: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        rows = [Row(w.name, w.title, w.params, w.macs, w.input_shape, len(w.ops)) for w in found]
        output.write_json("models", {"models": rows}, faults)
        return
    from hwbench.report import workload as report

    output.write_lines([*report.model_list(found, output.style()), "", f"{len(found)} models"], faults)


@models.command("show")
@click.argument("name", shell_complete=options.complete("models"))
@options.json_option
@click.pass_context
def show(context: click.Context, name: str, as_json: bool) -> None:
    """Show one network layer by layer, as `hwbench count` does.

    \b
    Example:
      hwbench models show lenet5
    """
    from hwbench.cli.count import count

    context.invoke(count, model=name, as_json=as_json)


@models.command("search")
@click.argument("text")
@options.json_option
def search(text: str, as_json: bool) -> None:
    """List networks whose name or title contains TEXT; case, spaces and dashes do not matter.

    \b
    Example:
      hwbench models search resnet
    """
    from hwbench import folders
    from hwbench.workload import zoo

    wanted = folders.key(text)
    sound, faults = zoo.sound_workloads()
    aliases = {name: folders.read_aliases(path) for name, path in folders.files("models").items()}
    found = [
        w for w in sound.values() if any(wanted in folders.key(t) for t in (w.name, w.title, *aliases.get(w.name, ())))
    ]
    _write_list(found, faults, as_json)


@models.command("lint")
@options.json_option
def lint(as_json: bool) -> None:
    """Check that every network's published parameter and MAC counts equal ours. Exit code 2 for faults.

    \b
    Example:
      hwbench models lint
    """
    from hwbench.workload import lint as linter

    faults, checked = linter.lint()
    if as_json:
        output.write_json("models-lint", {"faults": faults, "models": checked})
    else:
        output.write_lines([*faults, f"{checked} models, {len(faults)} faults"])
    if faults:
        click.get_current_context().exit(2)
