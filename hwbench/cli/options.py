"""Options that several commands share, and commands that remember which of them is being run."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import click

from hwbench.cli.values import BATCH, BATCHES, CONTEXT, DTYPE, DTYPES, RUNTIMES, Choice
from hwbench.errors import InputError, shown
from hwbench.files import folders
from hwbench.report.text.layout import wrapped

F = TypeVar("F", bound=Callable[..., Any])

CLOCKS = ("base", "boost", "all-core", "fixed")


class Invocation:
    """The command that is being run: errors are written in the terms of its options, as text or as JSON."""

    def __init__(self) -> None:
        self.context: click.Context | None = None
        self.arguments: tuple[str, ...] = ()

    def begin(self, context: click.Context, arguments: list[str]) -> None:
        """Remember the command whose arguments are parsed next."""
        self.context, self.arguments = context, tuple(arguments)

    @property
    def as_json(self) -> bool:
        """True where the answer is to be JSON, also where the arguments of the command could not be parsed."""
        values = self.context.params if self.context else {}
        return bool(values.get("as_json")) or values.get("form") == "json" or "--json" in self.arguments

    def option(self, field: str) -> str:
        """Return the option or argument of the command for a parameter; other fields as they are."""
        head, dot, rest = field.partition(".")
        for parameter in self.context.command.params if self.context else ():
            if getattr(parameter, "hidden", False) or isinstance(parameter, NameArgument):
                continue
            names = [parameter.name, *(option.lstrip("-").replace("-", "_") for option in parameter.opts)]
            if head in names:
                option = max(parameter.opts, key=len) if isinstance(parameter, click.Option) else head.upper()
                return f"{option} {rest}".strip() if dot else option
        return field


def printing_option(*names: str, help: str, text: Callable[[click.Context], str]) -> click.Option:  # noqa: A002
    """Return an option that prints a text and exits, as click's own do after importing `locale` to translate `help`."""

    def show(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value and not context.resilient_parsing:
            click.echo(text(context))
            context.exit()

    return click.Option(names, is_flag=True, is_eager=True, expose_value=False, callback=show, help=help)


_HELP = printing_option("-h", "--help", help="Show this message and exit.", text=click.Context.get_help)


class _Remembered(click.Command):
    """A command that tells the invocation in `context.obj` that it is the one being run."""

    def get_help_option(self, ctx: click.Context) -> click.Option:  # noqa: ARG002
        """Return the option for help."""
        return _HELP

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember the command, then parse as click does."""
        if isinstance(ctx.obj, Invocation):
            ctx.obj.begin(ctx, args)
        return super().parse_args(ctx, args)


LANGUAGE, TRACED = "Options of language models", "Options of traced models"
"""Sections of the help; `hwbench count --help` explains the options of traced models for all commands."""


class HelpOption(click.Option):
    """An option, in a section of the help."""

    def __init__(self, *declarations: Any, section: str = "Options", **attributes: Any) -> None:
        super().__init__(*declarations, **attributes)
        self.section = section
        self._absent = attributes.get("default", () if self.multiple else False if self.is_flag else None)

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Take the value as click does, but at once where none is given: click looks for it in four places."""
        if self.name in opts or self.callback or not self.name:
            return super().handle_parse_result(ctx, opts, args)
        value = self._absent
        ctx.params[self.name] = self.type.convert(value, self, ctx) if isinstance(value, str) else value
        return value, args


option = partial(click.option, cls=HelpOption)


class Command(_Remembered):
    """A command of hwbench, whose help has sections for the options of language models and of traced ones."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; those of traced models in a section, which only `count` has in full."""
        records: dict[str, list[tuple[str, str]]] = {}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)) is not None:
                records.setdefault(getattr(option, "section", "Options"), []).append(record)
        tracing = records.pop(TRACED, [])
        for title in ("Options", LANGUAGE):
            if title in records:
                with formatter.section(title):
                    formatter.write_dl(records[title])
        if tracing:
            with formatter.section(TRACED):
                if self.name == "count":
                    formatter.write_dl(tracing)
                    return
                names = ", ".join(record.split()[0] for record, _ in tracing)
                indent = " " * formatter.current_indent
                lines = wrapped(f"{names}: see `hwbench count --help`.", formatter.width - len(indent))
                formatter.write("".join(f"{indent}{line}\n" for line in lines))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and merge arguments with the options of the same meaning."""
        rest = super().parse_args(ctx, args)
        for parameter in self.params:
            if isinstance(parameter, NameArgument) and not ctx.resilient_parsing:
                parameter.merge(ctx.params)
        return rest


class Group(_Remembered, click.Group):
    """A group of such commands, itself one."""

    command_class = Command


def command(name: str | None = None) -> Callable[[Callable[..., Any]], Command]:
    """Return a decorator that makes a function a command."""
    return click.command(name, cls=Command)


def group(invoke_without_command: bool = False) -> Callable[[Callable[..., Any]], Group]:
    """Return a decorator that makes a function a group of commands."""
    return click.group(cls=Group, invoke_without_command=invoke_without_command)


def complete(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return the shell completion by the names of a catalog folder."""

    def names(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
        try:
            return [name for name in folders.files(kind) if name.startswith(typed.lower())]
        except InputError:  # a catalog folder that cannot be read: no message belongs between two key strokes
            return []

    return names


def _named(field: str, required: bool, letter: str, text: str) -> Callable[[F], F]:
    """Return a decorator that adds a name as an argument and as an option of the same meaning."""
    complete_names = complete(f"{field}s")
    argument = click.argument(
        f"{field}_argument", cls=NameArgument, metavar=f"[{field.upper()}]", required=False, needed=required,
        shell_complete=complete_names,
    )  # fmt: skip
    metavar = field[0].upper()
    named = option(f"--{field}", letter, metavar=metavar, help=text, shell_complete=complete_names)
    return lambda function: argument(named(function))


class NameArgument(click.Argument):
    """An argument that is the short form of an option; `needed` where one of them must be given."""

    def __init__(self, *declarations: Any, needed: bool, **attributes: Any) -> None:
        super().__init__(*declarations, **attributes)
        self.needed = needed

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Take the value as click does, but at once where none is given."""
        if isinstance(opts.get(self.name or ""), str):
            return super().handle_parse_result(ctx, opts, args)
        ctx.params[self.name or ""] = None
        return None, args

    def merge(self, values: dict[str, Any]) -> None:
        """Replace both forms by the value that was given. Raises InputError for both, and for neither where needed."""
        field = (self.name or "").removesuffix("_argument")
        argument, option = values.pop(self.name or "", None), values.get(field)
        if argument is not None and option is not None:
            raise InputError("given-twice", f"The {field} is given as an argument and as an option.", field=field)
        values[field] = option if argument is None else argument
        if self.needed and values[field] is None:
            here = " (host is this machine)" if field == "device" else ""
            raise InputError("missing", f"A {field} is needed: see `hwbench {field}s`{here}.", field=field)


def model_option(required: bool = True) -> Callable[[F], F]:
    """Return a decorator that adds MODEL and `--model`."""
    text = (
        "Catalog name (see `hwbench models`), file (.yaml, .onnx, .json), matmul:MxNxO, torchvision:, timm: or "
        "hf:NAME, torch:module:factory, torch:file.py:factory."
    )
    return _named("model", required, "-m", text)


def tracing_options(function: F) -> F:
    """Add the options of models that are traced rather than read from a list of layers."""
    traced = partial(option, section=TRACED)
    for decorator in (  # the last one is the first in the help
        traced("--strict", is_flag=True, help="Fail if an operator could not be counted."),
        traced("--channels-last", is_flag=True, help="Trace images in channels-last memory format."),
        traced("--real", is_flag=True, help="Run the model on random values, with its memory and time, to count it."),
        traced("--context", type=CONTEXT, metavar="N", help="Context length in tokens."),
        traced("--phase", type=Choice(["prefill", "decode"]), help="Phase of a causal language model."),
        traced(
            "--mode", type=Choice(["inference", "training"]), default="inference", show_default=True,
            help="Trace a forward pass or a training step.",
        ),
        traced("--image-size", type=click.IntRange(1, 100_000), metavar="N", help="Image size in pixels."),
        traced("--batch-dim", type=click.IntRange(0, 15), metavar="K", help="Dimension of an input that is the batch."),
        traced(
            "--value", "values", multiple=True, metavar="NAME=VALUE",
            callback=lambda _context, _parameter, texts: model_values(texts),
            help="Argument of a traced model that is no tensor, or input of an ONNX file: sr=16000. Repeatable.",
        ),
        traced("--input", "inputs", metavar="SHAPE", help="Input of a traced model: 2x3x224x224, 2x128:int64."),
    ):  # fmt: skip
        function = decorator(function)
    return function


def model_values(texts: tuple[str, ...]) -> dict[str, int | float | bool | str | None] | None:
    """Return numbers, true, false, none or words of texts such as `sr=16000` by name; None where there are none."""
    values: dict[str, int | float | bool | str | None] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or len(name.split()) != 1:
            raise InputError("bad-value", f"'{shown(text)}' is not NAME=VALUE, such as sr=16000.", field="values")
        if name in values:
            raise InputError("given-twice", f"'{shown(name)}' is given twice.", field="values")
        values[name] = _plain(value)
    return values or None


def _plain(text: str) -> int | float | bool | str | None:
    words: dict[str, bool | None] = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def optimizer_option(function: F, default: str = "none") -> F:
    """Add `--optimizer`."""
    text = f"Optimizer of training steps [default: {default}]."
    return option("--optimizer", type=Choice(["sgd", "momentum", "adam", "adamw"]), help=text)(function)


def dtype_option(several: bool = False) -> Callable[[F], F]:
    """Return a decorator that adds `--dtype`, of one number format or of several."""
    name, kind = ("dtypes", DTYPES) if several else ("dtype", DTYPE)
    text = "Number format, or several: fp32,fp16." if several else "Number format."
    return option("--dtype", name, type=kind, metavar="D", default="fp32", show_default=True, help=text)


def batch_option(several: bool = False) -> Callable[[F], F]:
    """Return a decorator that adds `--batch`, of one size or of several."""
    name, kind = ("batches", BATCHES) if several else ("batch", BATCH)
    text = "Batch size, or several: 1,8,64 or 1..64 or 8..64:8" if several else "Batch size"
    return option("--batch", name, type=kind, metavar="N", help=f"{text} [default: that of the inputs, else 1].")


def layers_option(function: F) -> F:
    """Add `--layers`."""
    text = "List every layer, also those that blocks repeat."
    return option("--layers", is_flag=True, help=text)(function)


def device_option(required: bool) -> Callable[[F], F]:
    """Return a decorator that adds `--device`, and `--set` to change one of its values."""
    text = "Catalog name in any spelling (see `hwbench devices`), YAML file, host (this machine) or run:RUN."
    device = _named("device", required, "-d", text)
    return lambda function: device(settings_option(function))


def settings_option(function: F) -> F:
    """Add `--set`."""
    return option(
        "--set",
        "settings",
        multiple=True,
        metavar="FIELD=VALUE",
        callback=lambda _context, _parameter, values: settings(values),
        help="Replace a value: clock=3GHz, units=64, bandwidth=1TB/s, memory=48GiB, power=300W, or "
        "overhead=0.5 for launches at half their cost. Repeatable.",
    )(function)


def settings(texts: tuple[str, ...]) -> dict[str, str]:
    """Return the values of texts such as `clock=3GHz` by field."""
    pairs: dict[str, str] = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals:
            message = f"'{shown(text)}' is not FIELD=VALUE, such as clock=3GHz."
            raise InputError("bad-setting", message, field="settings")
        if field.strip() in pairs:
            raise InputError("given-twice", f"'{shown(field)}' is set twice.", field="settings")
        pairs[field.strip()] = value.strip()
    return pairs


def clock_option(function: F) -> F:
    """Add `--clock`."""
    text = "Clock to compute peaks with [default: fixed, all-core, boost, base; the first that is known]."
    return option("--clock", type=Choice(CLOCKS), help=text)(function)


def runtimes_option(function: F) -> F:
    """Add `--runtime` of runs, of one engine or of several."""
    text = "torch-eager,torch-compile,onnxruntime,openvino, all (installed), or llama.cpp [default: by the model]."
    return option("--runtime", "runtimes", type=RUNTIMES, metavar="R", help=text)(function)


def runtime_option(function: F, more: str = "") -> F:
    """Add `--runtime`."""
    text = "What runs the model: torch-eager, torch-compile, onnxruntime, openvino, a full name such as "
    text += f"torch-eager-cuda{more}."
    return option("--runtime", metavar="R", help=text)(function)


def math_option(function: F) -> F:
    """Add `--math`."""
    text = "How fp32 is computed: by torch's default (convolutions in tf32 where a GPU has it), or strictly in fp32."
    choice = Choice(["default", "strict"])
    return option("--math", type=choice, default="default", show_default=True, help=text)(function)


def budget_option(
    default: str | None, text: str = "Time to measure for; importing torch and building the model come on top."
) -> Callable[[F], F]:
    """Return a decorator that adds `--budget`."""
    return option("--budget", default=default, show_default=default is not None, metavar="T", help=text)


def json_option(function: F) -> F:
    """Add `--json`."""
    return option("--json", "as_json", is_flag=True, is_eager=True, help="Write one JSON object and nothing else.")(
        function
    )


def format_option(formats: tuple[str, ...]) -> Callable[[F], F]:
    """Return a decorator that adds `--format`, and `--json` as a short form of one of them."""
    text = "Format of standard output [default: text]."
    chosen = option("--format", "form", type=Choice(formats), is_eager=True, help=text)
    return lambda function: json_option(chosen(function))


def form(chosen: str | None, as_json: bool) -> str:
    """Return the output format of `--format` and `--json` together. Raises InputError where they disagree."""
    if as_json and chosen not in (None, "json"):
        raise InputError("exclusive", f"The format {chosen} and JSON exclude each other.", field="form")
    return "json" if as_json else chosen or "text"


def refuse_json_before(context: click.Context, as_json: bool) -> None:
    """Raise InputError where `--json` stands before the subcommand it belongs to."""
    if as_json and context.invoked_subcommand:
        message = f"This option belongs after '{context.invoked_subcommand}'."
        raise InputError("misplaced-option", message, field="as_json")
