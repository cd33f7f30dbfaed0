"""`hwbench results`: the saved runs."""

import os

import click

from hwbench.cli import options, output
from hwbench.errors import InputError

MOST = 20


@click.group(short_help="The saved runs: list, show, path.", invoke_without_command=True)
@options.json_option
@click.pass_context
def results(context: click.Context, as_json: bool) -> None:
    """List and show saved runs, and say where they are.

    \b
    Examples:
      hwbench results
      hwbench results list --json
      hwbench results path
    """
    options.refuse_json_before(context, as_json)
    if context.invoked_subcommand is None:
        context.invoke(list_runs, as_json=as_json)


def _where(command: options.F) -> options.F:
    text = "Folder of the runs [default: see `hwbench results path`]."
    return click.option("--from", "where", metavar="DIR", help=text)(command)


@results.command("list", short_help="The saved runs, the oldest first.")
@_where
@click.option("--all", "everything", is_flag=True, help=f"List every run, not only the newest {MOST}.")
@options.json_option
def list_runs(where: str | None = None, everything: bool = False, as_json: bool = False) -> None:
    """List the saved runs, the oldest first; a file that cannot be read is listed with the reason.

    \b
    Example:
      hwbench results list
    """
    from hwbench.measure import store
    from hwbench.measure.record import Record

    if where is not None and not os.path.isdir(where):
        raise InputError("is no folder", file=where)
    names = store.names(where)
    hidden = 0 if everything or as_json else max(0, len(names) - MOST)
    rows: list[tuple[str, Record | None, str]] = []
    for name in names[hidden:]:
        try:
            rows.append((name, store.load(name, where), ""))
        except InputError as error:
            rows.append((name, None, error.message))
    if as_json:
        output.write_json("results", {"folder": store.folder(where), "runs": [_row(*row) for row in rows]})
        return
    from hwbench.report.text.run import run_list

    if not rows:
        output.write_lines([f"There are no saved runs in {store.folder(where)}: `hwbench bench` makes one."])
        return
    more = [f"… and {hidden} older (--all)"] if hidden else []
    output.write_lines([*run_list(rows, output.style()), *more])


def _row(name: str, run: object, trouble: str) -> dict[str, object]:
    """A run in the JSON of `results list`."""
    from hwbench.measure.record import Record

    if not isinstance(run, Record):
        return {"id": name, "created": None, "brand": None, "machine": None, "kernels": [], "error": trouble}
    return {
        "id": name,
        "created": run.created,
        "brand": run.environment.get("brand"),
        "machine": run.environment.get("machine"),
        "kernels": list(dict.fromkeys(one.kernel for one in run.measurements)),
        "error": None,
    }


@results.command("show", short_help="A run as `bench` shows it.")
@click.argument("run", metavar="RUN")
@_where
@options.json_option
def show_run(run: str, where: str | None, as_json: bool) -> None:
    """Show a run as `bench` did: by its file, its id, the beginning of one, or `latest`.

    \b
    Example:
      hwbench results show latest
    """
    from hwbench.measure import store
    from hwbench.measure.analysis.results import results as derived

    path = store.find(run, where)
    record = store.load(path)
    found = derived(record)
    if as_json:
        payload = {"path": path, "run": record, "results": found.results, "findings": found.findings}
        output.write_json("bench", payload, record.notices)
        return
    from hwbench.report.text.run import run as report

    style = output.style()
    output.write_lines([*report(record, found.results, found.findings, style), "", f"file: {path}"], record.notices)


@results.command("path")
@click.argument("run", metavar="[RUN]", required=False)
@_where
def show_path(run: str | None, where: str | None) -> None:
    """Give the folder of the saved runs, or the file of one.

    It is the folder named by HWBENCH_RESULTS, else `results` of a checkout, else one in your data folder.

    \b
    Examples:
      hwbench results path
      hwbench results path latest
    """
    import os

    from hwbench.measure import store

    path = store.find(run, where) if run else store.folder(where)
    if run and not os.path.exists(path):
        raise InputError("cannot be read: No such file or directory", file=path)
    output.write_lines([path])
