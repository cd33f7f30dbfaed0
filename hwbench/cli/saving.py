"""Options of commands that measure: how many processes, and where the record goes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from hwbench.cli.options import option
from hwbench.errors import InputError, shown

F = TypeVar("F", bound=Callable[..., Any])


def processes_option(default: int, text: str) -> Callable[[F], F]:
    """Return a decorator that adds `--processes`."""
    kind = click.IntRange(1, 100)
    return option(
        "--processes", "fresh_processes", type=kind, metavar="N", default=default, show_default=True, help=text
    )


def save_option(function: F) -> F:
    """Add `--save`, with or without a folder, for commands that save nothing by default."""
    text = "Save the record, in DIR or in the folder of saved runs."
    return option(
        "--save", is_flag=False, flag_value="", metavar="[DIR]", help=text,
        callback=lambda _context, _parameter, folder: folder is not None and (folder or True),
    )(function)  # fmt: skip


def folder_options(function: F) -> F:
    """Add `--save` and `--no-save`, for commands that save their record by default."""
    folder = option("--save", metavar="DIR", help="Folder for the record [default: see `hwbench results path`].")
    return folder(option("--no-save", is_flag=True, help="Do not save the record.")(function))


@contextmanager
def saving(save: str | None, no_save: bool) -> Iterator[str | bool]:
    """Yield the folder for a record, True for the usual one, False for none. Raises InputError for two of these."""
    if save is not None and no_save:
        raise InputError("exclusive", "A folder cannot be combined with saving nothing.", field="save")
    try:
        yield save or not no_save
    except InputError as error:
        if save or error.code != "not-writable":
            raise
        text = f"Without it the record is written to {shown(error.file, 300)}. {error.message}"
        raise InputError(error.code, text, field="no_save") from None
