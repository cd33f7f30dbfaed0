"""Options that several commands share, and how their text becomes values."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hwbench.errors import InputError, nearest, shown
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

if TYPE_CHECKING:  # nothing of the measure room is loaded for a catalogued device
    pass

F = TypeVar("F", bound=Callable[..., Any])

LARGEST_BATCH = 1_000_000_000
CLOCKS = ("base", "boost", "all-core", "fixed")


def complete(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Shell completion by the names of a catalog folder."""

    def found(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
        from hwbench.files import folders

        try:
            return [name for name in folders.files(kind) if name.startswith(typed.lower())]
        except InputError:  # a catalog folder that cannot be read: no message belongs between two key strokes
            return []

    return found


def model_option(command: F) -> F:
    """`--model`."""
    text = (
        "Catalog name, file (.yaml, .onnx, .json), matmul:MxNxO, torchvision:, timm: or hf:NAME, torch:module:factory."
    )
    return click.option("--model", "-m", required=True, metavar="M", help=text, shell_complete=complete("models"))(
        command
    )


def tracing_options(command: F) -> F:
    """Options of models that are traced rather than read from a list of layers."""
    for option in (
        click.option(
            "--input", "input_shape", metavar="SHAPE", help="A traced model's input: 2x3x224x224, 2x128:int64."
        ),
        click.option("--image-size", type=click.IntRange(1, 100_000), metavar="N", help="Side of its image."),
        click.option("--phase", type=click.Choice(["prefill", "decode"]), help="Phase of a causal language model."),
        click.option("--context", type=click.IntRange(1, 100_000_000), metavar="N", help="Tokens of prompt or cache."),
        click.option(
            "--mode",
            type=click.Choice(["inference", "training"]),
            default="inference",
            show_default=True,
            help="What is traced: a forward pass, or a step of training.",
        ),
        click.option("--channels-last", is_flag=True, help="Trace images in channels-last memory format."),
        click.option("--strict", is_flag=True, help="Fail where an operator could not be counted."),
    ):
        command = option(command)
    return command


UNTRACED: dict[str, Any] = {
    "input_shape": None, "image_size": None, "phase": None, "context": None, "mode": "inference",
    "channels_last": False, "strict": False,
}  # fmt: skip
"""What `tracing_options` give where nothing is asked for."""


def request(model: str, dtype: str, batch: int, tracing: dict[str, Any]) -> ModelRequest:
    """What `--model`, a dtype and the options of tracing ask for; the batch matters to a training step alone."""
    from hwbench.dtypes import MIXED

    training = tracing["mode"] == "training"
    return ModelRequest(
        model=model,
        input=tracing["input_shape"],
        image_size=tracing["image_size"],
        phase=tracing["phase"],
        context=tracing["context"],
        training=training,
        autocast="fp16" if dtype == MIXED else None,
        channels_last=tracing["channels_last"],
        batch=batch if training else 1,
    )


def builder(model: str, tracing: dict[str, Any]) -> Callable[[str, int], Workload]:
    """What makes the workload of `--model` at a dtype and batch, under the options of tracing, each one once.

    It raises InputError, under `--strict` for operators that were not counted too.
    """
    from hwbench.workload import load

    made: dict[ModelRequest, Workload] = {}

    def build(dtype: str, batch: int) -> Workload:
        asked = request(model, dtype, batch, tracing)
        if asked not in made:
            made[asked] = load.workload(asked)
        found = made[asked]
        if tracing["strict"] and found.uncounted:
            raise InputError(f"not counted: {', '.join(found.uncounted)}", field="--strict")
        return found

    return build


def device_option(required: bool) -> Callable[[F], F]:
    """`--device`, and `--set` to change one of its values."""

    def decorate(command: F) -> F:
        text = "Catalog name in any spelling (see `hwbench devices`), YAML file, host (this machine) or run:RUN."
        setting = click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="FIELD=VALUE",
            help="Replace a value: clock=3GHz, units=64, bandwidth=1TB/s, memory=48GiB or power=300W. Repeatable.",
        )
        device = click.option(
            "--device", "-d", required=required, metavar="D", help=text, shell_complete=complete("devices")
        )
        return device(setting(command))

    return decorate


def clock_option(command: F) -> F:
    """`--clock`."""
    text = "Clock that peaks multiply by [default: fixed, else all-core of the ISA, else boost, else base]."
    return click.option("--clock", type=click.Choice(CLOCKS), help=text)(command)


def runtime_option(command: F) -> F:
    """`--runtime`."""
    text = "What runs the model: torch-eager-cuda, torch-compile-cuda, or either with -cpu [default: eager]."
    return click.option("--runtime", metavar="R", help=text)(command)


def json_option(command: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Write one JSON object and nothing else.")(command)


def form(chosen: str | None, as_json: bool) -> str:
    """What `--format` and `--json` ask for together: `text` unless said otherwise. Raises InputError for two things."""
    if as_json and chosen not in (None, "json"):
        raise InputError(f"{chosen} and --json exclude each other", field="--format")
    return "json" if as_json else chosen or "text"


def refuse_json_before(context: click.Context, as_json: bool) -> None:
    """`--json` belongs to a subcommand. Raises InputError where it stands before one."""
    if as_json and context.invoked_subcommand:
        raise InputError(f"goes after {context.invoked_subcommand}", field="--json")


def dtypes(text: str) -> list[str]:
    """The dtypes of a list such as `fp32,fp16`. Raises InputError with the nearest."""
    from hwbench.dtypes import BITS, MIXED

    known = (*BITS, MIXED)
    names = [name.strip().lower() for name in text.split(",")]
    for name in names:
        if name not in known:
            choices = nearest(name, known) or known
            raise InputError(f"there is no dtype '{shown(name)}'", field="--dtype", nearest=choices)
    return list(dict.fromkeys(names))


def batches(text: str) -> list[int]:
    """The batch sizes of a list such as `1,8,64`. Raises InputError for anything but whole numbers from 1."""
    found = []
    for part in text.split(","):
        digits = part.strip()
        if not digits.isascii() or not digits.isdigit() or not 0 < int(digits[:20]) <= LARGEST_BATCH:
            reason = f"'{shown(digits, 40)}' is not a batch size (1 to {LARGEST_BATCH}; several: 1,8,64)"
            raise InputError(reason, field="--batch")
        found.append(int(digits))
    return list(dict.fromkeys(found))
