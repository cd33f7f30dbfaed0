"""The command line: its commands, and how an error becomes one line and an exit code."""

import contextlib
import importlib
import os
import sys
from collections.abc import Mapping
from typing import NoReturn

import click

from hwbench import __version__
from hwbench.cli.options import Group, Invocation, printing_option
from hwbench.cli.output import ReaderLeft, error_object, write
from hwbench.errors import HwbenchError, InputError, nearest, shown
from hwbench.units import whole_number

COMMANDS = {
    "estimate": "Predict how long a model takes on a device, and what limits it.",
    "count": "Count a model's parameters, operations and traffic by layer.",
    "peak": "Show the theoretical peaks of a device or of this machine.",
    "require": "Find devices that reach a target rate or latency.",
    "devices": "List, show, search and check the catalogued devices.",
    "models": "List, show, search, export and check the catalogued networks.",
    "compare": "Compare devices, or saved runs with a statistical verdict.",
    "sweep": "Estimate models on many devices and batch sizes.",
    "fleet": "Benchmark every host of a Dask cluster, or spread a sweep over it.",
    "study": "Study what predicts performance, with statistics.",
    "completion": "Print a completion script for the shell.",
    "bench": "Measure this machine: clock, FMA, matrix products, memory.",
    "results": "List, show, name and remove saved runs.",
    "self-check": "Measure the false-positive rate of `hwbench compare` here.",
    "run": "Time a model in torch or another engine, next to the predictions.",
    "explain": "Measure where performance is lost below the peak.",
    "validate": "Compare predictions with measured times and explain the errors.",
    "calibrate": "Fit the time model to measured times.",
    "report": "Write an HTML report that opens offline.",
    "explore": "Serve the answers on a local page with sliders.",
}
"""One line of help for every command, which is in `cli/commands/<name>.py`, a dash as an underscore."""

READER_LEFT = 141
"""Exit code where the reader of standard output has gone: that of a program that SIGPIPE ends."""

HELP = """Predict, measure and explain how fast a neural network runs on a CPU or GPU.

\b
Examples:
  hwbench estimate alexnet rtx3090
  hwbench count --model resnet50
  hwbench peak
  hwbench require --model alexnet --rate 30/s
"""


class LazyGroup(Group):
    """A group that imports the file of a command only to run that command."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command of a name, or None."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"hwbench.cli.commands.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does; `help COMMAND` is `COMMAND --help`."""
        return super().parse_args(ctx, [*args[1:], "--help"] if args[:1] == ["help"] else args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve as click does, with the nearest command in the error."""
        name = args[0]
        if not name.startswith("-") and name not in COMMANDS:
            message = f"There is no command '{shown(name)}'."
            raise InputError("unknown-command", message, nearest=nearest(name, COMMANDS))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Invoke as click does, but without the empty line that it writes before it reports an interrupt."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Abort from None


_VERSION = printing_option(
    "--version", "-V", help="Show the version and exit.", text=lambda _: f"hwbench {__version__}"
)


@click.group(cls=LazyGroup, help=HELP, params=[_VERSION])
def hwbench() -> None:
    """Run a command; the help is HELP."""


def main() -> NoReturn:
    """Run the command line and exit: 0 for success, 2 for the user's error, 1 for hwbench's, 130 for an interrupt.

    141 is for a reader of standard output that has gone.
    """
    invocation = Invocation()
    try:
        _check_completion(os.environ)
        # The result is what `context.exit` was given.
        code = hwbench.main(prog_name="hwbench", standalone_mode=False, obj=invocation) or 0
        write("")  # so that a failed flush is an error with a message
    except click.exceptions.NoArgsIsHelpError as error:
        with contextlib.suppress(OSError):  # standard error is closed or full: there is nobody to tell
            click.echo(error.format_message(), err=True)
        code = 2
    except ReaderLeft:
        code = READER_LEFT
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = _fail(HwbenchError("interrupted"), invocation, 130)
    except Exception as error:
        if os.environ.get("HWBENCH_TRACEBACK", "0") not in ("", "0") and sys.stderr is not None:
            import traceback  # which costs start-up time

            traceback.print_exception(error)
        code = _fail(_described(error), invocation)
    _leave(code)


def _check_completion(environment: Mapping[str, str]) -> None:
    """Raise InputError where the variables of a shell's completion, which click reads, are not those of a shell."""
    instruction = environment.get("_HWBENCH_COMPLETE", "")
    shell, _, what = instruction.partition("_")
    if instruction and (shell not in ("bash", "zsh", "fish") or what not in ("source", "complete")):
        message = f"'{shown(instruction)}' does not name a shell: the value must be like bash_complete."
        raise InputError("bad-completion", message, field="_HWBENCH_COMPLETE")
    if what != "complete":
        return
    if "COMP_WORDS" not in environment or "COMP_CWORD" not in environment:
        message = "The shell gives no words to complete: COMP_WORDS or COMP_CWORD is missing."
        raise InputError("bad-completion", message, field="_HWBENCH_COMPLETE")
    if shell != "fish" and whole_number(environment["COMP_CWORD"], low=0) is None:
        raise InputError("bad-completion", "This is not the number of a word.", field="COMP_CWORD")


def _described(error: Exception) -> HwbenchError:
    """Return an exception as an HwbenchError; an unforeseen one says where it was raised."""
    if isinstance(error, HwbenchError):
        return error
    if isinstance(error, click.ClickException):
        return _usage(error)
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        missing = isinstance(error, FileNotFoundError)  # what `os.getcwd` says of a folder that was deleted
        file = error.filename or ("the working directory" if missing else "standard output")
        return InputError("not-accessible", f"It cannot be used: {reason}.", file=file)
    if isinstance(error, MemoryError):
        return HwbenchError("out of memory")
    if isinstance(error, RecursionError):
        return InputError("too-deep", "The input is nested too deeply.")
    return HwbenchError(f"internal error: {type(error).__name__}: {error} ({_origin(error)})")


CODES: dict[type[click.ClickException], str] = {
    click.NoSuchOption: "unknown-option",
    click.MissingParameter: "missing",
    click.BadParameter: "bad-value",
}
"""Codes of what click refuses; everything else is `usage`."""


def _usage(error: click.ClickException) -> InputError:
    """Return an error of click as an InputError about an option or a command, with the nearest valid choices."""
    code = next((code for kind, code in CODES.items() if isinstance(error, kind)), "usage")
    parameter = getattr(error, "param", None)
    choices = getattr(error, "possibilities", None) or ()
    if code == "bad-value" and parameter is not None:
        return InputError(code, _sentence(error.message), field=parameter.name)
    context = getattr(error, "ctx", None)
    command = context.command_path.partition(" ")[2] if context else ""  # the line begins with `hwbench` as it is
    message = error.message if choices else error.format_message()
    return InputError(code, _sentence(message), field=command or None, nearest=choices)


def _sentence(text: str) -> str:
    words = " ".join(text.split()).rstrip(".")
    return f"{words[:1].upper()}{words[1:]}."


def _origin(error: BaseException) -> str:
    """Return the file and line that raised the error."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "nowhere"


def _fail(error: HwbenchError, invocation: Invocation, code: int | None = None) -> int:
    """Write the error in one line to stderr and, where JSON is asked for, as an object to stdout."""
    code = error.exit_code if code is None else code
    field = error.field if isinstance(error, InputError) else None
    if field and isinstance(error, InputError) and error.file is None:
        field = invocation.option(field)
    if invocation.as_json:
        with contextlib.suppress(
            InputError, ReaderLeft
        ):  # standard output may have failed: the line on stderr has to do
            write(error_object(error, code, field) + "\n")
    if sys.stderr is not None:
        text = error.described(field) if isinstance(error, InputError) else str(error)
        with contextlib.suppress(OSError):
            print(f"hwbench: {text}", file=sys.stderr)
    return code


def _leave(code: int) -> NoReturn:
    """Exit without a second complaint where standard output is closed: nothing is left in its buffer to flush."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
