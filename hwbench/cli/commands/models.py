"""`hwbench models`: the catalog of networks."""

from typing import Any

import click

from hwbench import api
from hwbench.cli import language, options, output


@options.group(invoke_without_command=True)
@options.json_option
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """List, show, search, export and check the catalogued networks, or start a new one.

    \b
    Examples:
      hwbench models
      hwbench models show alexnet
      hwbench models search net
      hwbench models new my-net > my-net.yaml
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
    output.show(api.models(), as_json)


@models.command("show")
@click.argument("name", shell_complete=options.complete("models"))
@options.json_option
def show(name: str, as_json: bool) -> None:
    """Show one network layer by layer, as `hwbench count` does.

    \b
    Example:
      hwbench models show lenet5
    """
    known = language.is_asked(name, {}, None)
    output.show(api.count_language(name) if known else api.count(name), as_json)


@models.command("search", short_help="List networks whose name or title contains TEXT.")
@click.argument("text")
@options.json_option
def search(text: str, as_json: bool) -> None:
    """List networks whose name, title or alias contains TEXT; case, spaces and dashes do not matter.

    \b
    Example:
      hwbench models search resnet
    """
    output.show(api.models(search=text), as_json)


@models.command("export", short_help="Save a traced model as a small file.")
@click.argument("model")
@click.option("--output", "-o", "path", required=True, metavar="FILE", help="File to write, ending in .json.")
@options.dtype_option()
@options.batch_option()
@options.tracing_options
def export(model: str, path: str, **parameters: Any) -> None:
    """Save a traced model as a small file that loads without torch: `--model FILE.json`.

    \b
    Examples:
      hwbench models export hf:resnet -o resnet-traced.json
      hwbench models export hf:llama --phase decode --context 1024 -o llama.json
    """
    with output.status(output.tracing(model)):
        answer = api.export(model, path, **parameters)
    output.show(answer, as_json=False)


@models.command("lint", short_help="Check published counts against ours.")
@options.json_option
def lint(as_json: bool) -> None:
    """Check that every network's published parameter and MAC counts equal ours. Exit code 2 for faults.

    \b
    Example:
      hwbench models lint
    """
    answer = api.lint_models()
    output.show(answer, as_json)
    click.get_current_context().exit(2 if answer.faults else 0)


@models.command("new", short_help="Print a commented template of a network's file.")
@click.argument("name")
def new(name: str) -> None:
    """Print a commented template of a network's YAML file, with a small network in it.

    \b
    Example:
      hwbench models new my-net > my-net.yaml
    """
    output.write(api.model_template(name))
