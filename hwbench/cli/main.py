"""The command line: which file holds which command, and how an error becomes one line and an exit code."""

import contextlib
import importlib
import os
import sys
from typing import NoReturn

import click

from hwbench.cli.output import error_object, write
from hwbench.errors import HwbenchError, InputError, nearest, shown
from hwbench.version import VERSION

COMMANDS = (
    "estimate", "count", "peak", "require", "devices", "models", "compare", "sweep", "fleet", "study",
    "completion", "bench", "results", "self-check", "run", "explain", "validate", "calibrate", "report",
)  # fmt: skip
"""Every command, each in `cli/<name>.py` as a click command of that name, a dash as an underscore."""

HELP = """How long will this network take on this machine, what holds it back, and how do you know?

\b
Examples:
  hwbench estimate --model alexnet --device rtx3090
  hwbench count --model resnet50
  hwbench peak
  hwbench require --model alexnet --rate 30/s
"""


class LazyGroup(click.Group):
    """A group that imports the file of a command only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names of all commands, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name, or None."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"hwbench.cli.commands.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest command in the error."""
        name = args[0]
        if not name.startswith("-") and name not in COMMANDS:
            raise InputError(f"there is no command '{shown(name)}'", nearest=nearest(name, COMMANDS))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """As click does, but without the empty line that it writes before it reports an interrupt."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Abort from None


@click.group(cls=LazyGroup, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="hwbench %(version)s")
def hwbench() -> None:
    """Shown as HELP."""


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 2 the user's error, 1 ours, 130 interrupted."""
    try:
        code = hwbench.main(prog_name="hwbench", standalone_mode=False) or 0  # what `context.exit` was given
        write("")  # so that a failed flush is an error with a message
    except HwbenchError as error:
        code = _fail(error)
    except click.exceptions.NoArgsIsHelpError as error:
        with contextlib.suppress(OSError):  # standard error is closed or full: there is nobody to tell
            click.echo(error.format_message(), err=True)
        code = 2
    except click.ClickException as error:
        code = _fail(_usage(error))
    except (click.exceptions.Abort, KeyboardInterrupt):
        code = _fail(HwbenchError("interrupted"), 130)
    except OSError as error:
        code = _fail(InputError(error.strerror or str(error), file=error.filename or "standard output"))
    except MemoryError:
        code = _fail(HwbenchError("out of memory"))
    except RecursionError:
        code = _fail(InputError("the input is nested too deeply"))
    except Exception as error:  # a defect: one line that says where, for the report that we hope for
        code = _fail(HwbenchError(f"internal error: {type(error).__name__}: {error} ({_origin(error)})"))
    _leave(code)


def _usage(error: click.ClickException) -> InputError:
    """Click's complaint in our form: the command that it is about, what is wrong, the nearest valid choices."""
    choices = getattr(error, "possibilities", None) or ()
    message = " ".join((error.message if choices else error.format_message()).split())
    context = getattr(error, "ctx", None)
    command = context.command_path.partition(" ")[2] if context else ""  # the line begins with `hwbench` as it is
    return InputError(message[:1].lower() + message[1:].rstrip("."), field=command or None, nearest=choices)


def _origin(error: BaseException) -> str:
    """File and line that raised the error."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "nowhere"


def _fail(error: HwbenchError, code: int | None = None) -> int:
    """Say what is wrong in one line on stderr and, with --json, as an object on stdout."""
    code = error.exit_code if code is None else code
    if "--json" in sys.argv:
        with contextlib.suppress(InputError):  # standard output may be what failed: the line on stderr has to do
            write(error_object(error, code) + "\n")
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(f"hwbench: {error}", file=sys.stderr)
    return code


def _leave(code: int) -> NoReturn:
    """Exit without a second complaint where standard output is closed: nothing is left in its buffer to flush."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
