"""`hwbench results`: the saved runs."""

import click

from hwbench import api
from hwbench.api.records import MAX_SHOWN
from hwbench.cli import options, output


@options.group(invoke_without_command=True)
@options.json_option
@click.pass_context
def results(context: click.Context, as_json: bool) -> None:
    """List, show, name and remove saved runs, and print where they are.

    \b
    Examples:
      hwbench results
      hwbench results list --json
      hwbench results path
    """
    options.refuse_json_before(context, as_json)
    if context.invoked_subcommand is None:
        context.invoke(list_runs, as_json=as_json)


def _folder_option(function: options.F) -> options.F:
    text = "Folder of the runs [default: see `hwbench results path`]."
    return click.option("--from", "folder", metavar="DIR", help=text)(function)


@results.command("list", short_help="List the saved runs, the oldest first.")
@_folder_option
@click.option("--all", "everything", is_flag=True, help=f"List every run, not only the newest {MAX_SHOWN}.")
@options.json_option
def list_runs(folder: str | None = None, everything: bool = False, as_json: bool = False) -> None:
    """List the saved runs, the oldest first; a file that cannot be read is listed with the reason.

    \b
    Example:
      hwbench results list
    """
    output.show(api.saved_runs(folder, None if everything or as_json else MAX_SHOWN), as_json)


@results.command("show", short_help="Show a run as `bench` did.")
@click.argument("run", metavar="RUN")
@_folder_option
@options.json_option
def show_run(run: str, folder: str | None, as_json: bool) -> None:
    """Show a run as `bench` did: by its file, its id, the beginning of one, or `latest`.

    \b
    Example:
      hwbench results show latest
    """
    output.show(api.saved_run(run, folder), as_json)


@results.command("path")
@click.argument("run", metavar="[RUN]", required=False)
@_folder_option
def show_path(run: str | None, folder: str | None) -> None:
    """Print the folder of the saved runs, or the file of one.

    It is the folder in HWBENCH_RESULTS, else `results` of a checkout, else one in your data folder.

    \b
    Examples:
      hwbench results path
      hwbench results path latest
    """
    output.write_lines([api.saved_run_path(run, folder)])


@results.command("rename")
@click.argument("run", metavar="RUN")
@click.argument("new", metavar="NAME")
@_folder_option
@options.json_option
def rename_run(run: str, new: str, folder: str | None, as_json: bool) -> None:
    """Give a run a name, by which every command finds it too.

    \b
    Example:
      hwbench results rename latest before
    """
    output.show(api.rename_run(run, new, folder), as_json)


@results.command("remove")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@_folder_option
@options.json_option
def remove_runs(runs: tuple[str, ...], folder: str | None, as_json: bool) -> None:
    """Remove saved runs.

    RUN is a file, an id, the beginning of one, a name or `latest`.

    \b
    Example:
      hwbench results remove latest
    """
    output.show(api.remove_runs(*runs, folder=folder), as_json)
