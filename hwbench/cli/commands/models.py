"""`hwbench models`: the catalog of networks."""

from typing import Any

import click
import msgspec

from hwbench.cli import options, output
from hwbench.cli.output import write
from hwbench.errors import InputError
from hwbench.notices import Notice
from hwbench.workload.ops import Workload


class ModelRow(msgspec.Struct, frozen=True):
    """A network in the JSON of `models list`."""

    name: str
    title: str
    params: int
    macs: int
    input_shape: tuple[int, ...]
    ops: int


@click.group(short_help="The catalog of networks: list, show, search, export, lint.", invoke_without_command=True)
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
    from hwbench.workload import load

    sound, faults = load.valid_workloads()
    _write_list(list(sound.values()), faults, as_json)


def _write_list(found: list[Workload], faults: tuple[Notice, ...], as_json: bool) -> None:
    if as_json:
        rows = [ModelRow(w.name, w.title, w.params, w.macs, w.input_shape, len(w.ops)) for w in found]
        output.write_json("models", {"models": rows}, faults)
        return
    from hwbench.report.text import workload as report

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
    from hwbench.cli.commands.count import count

    context.invoke(count, model=name, as_json=as_json)


@models.command("search", short_help="Networks whose name or title contains TEXT.")
@click.argument("text")
@options.json_option
def search(text: str, as_json: bool) -> None:
    """List networks whose name or title contains TEXT; case, spaces and dashes do not matter.

    \b
    Example:
      hwbench models search resnet
    """
    from hwbench.files import folders
    from hwbench.workload import load

    wanted = folders.key(text)
    sound, faults = load.valid_workloads()
    aliases = {name: folders.read_aliases(path) for name, path in folders.files("models").items()}
    found = [
        w for w in sound.values() if any(wanted in folders.key(t) for t in (w.name, w.title, *aliases.get(w.name, ())))
    ]
    _write_list(found, faults, as_json)


@models.command("export", short_help="Save a traced model as a small file.")
@click.argument("model")
@click.option("--output", "-o", required=True, metavar="FILE", help="Where to write: a name ending in .json.")
@click.option("--dtype", default="fp32", show_default=True, help="fp32, or amp for mixed precision.")
@click.option("--batch", default="1", show_default=True, help="Batch of a training step.")
@options.tracing_options
def export(model: str, output: str, dtype: str, batch: str, **tracing: Any) -> None:
    """Save a traced model as a small file that loads without torch: `--model FILE.json`.

    \b
    Examples:
      hwbench models export hf:resnet -o resnet-traced.json
      hwbench models export hf:llama --phase decode --context 1024 -o llama-decode.json
    """
    from hwbench.workload.saved import file as saved_file

    if not output.endswith(".json"):
        raise InputError("must end in .json, or nothing will know what it is", field="--output")
    formats, sizes = options.dtypes(dtype), options.batches(batch)
    found = options.builder(model, tracing)(formats[0], sizes[0])
    saved_file.save(found, output)
    write(f"{output}: {found.title}, {len(found.ops)} different ops\n")


@models.command("lint", short_help="Check published counts against ours.")
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
