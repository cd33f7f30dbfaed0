"""Options of language models, which several commands share."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from hwbench.api import is_language_question

F = TypeVar("F", bound=Callable[..., Any])

NAMES = ("weights", "kv_dtype", "prompt", "generate", "devices", "gpu_layers", "cpu", "fused_attention")
_TOKENS = click.IntRange(0, 100_000_000)


def is_asked(model: str, options: Mapping[str, object], runtime: str | None) -> bool:
    """Return whether these options ask about a language model, which has an estimate of its own."""
    return is_language_question(model, options, runtime)


def shared_options(function: F) -> F:
    """Add the options of language models that are estimated or run."""
    for option in (
        click.option("--fused-attention", is_flag=True, help="Attention in one kernel (llama.cpp's -fa 1)."),
        click.option("--generate", type=_TOKENS, metavar="N", help="Tokens that a language model generates."),
        click.option("--prompt", type=_TOKENS, metavar="N", help="Tokens of its prompt."),
        click.option("--kv-dtype", metavar="F", help="Number format of its cache: f16, q8_0, q4_0 [default: f16]."),
        click.option("--weights", metavar="F", help="Format of its weights: q4_k_m, q8_0, f16, fp8, ..."),
    ):
        function = option(function)
    return function


def language_options(function: F) -> F:
    """Add the options of language models that are estimated."""
    for option in (
        click.option("--cpu", metavar="D", help="CPU that has the layers beyond --gpu-layers; host is this one."),
        click.option("--gpu-layers", type=_TOKENS, metavar="K", help="Layers on the device, the others on --cpu."),
        click.option(
            "--devices", type=click.IntRange(1, 4096), metavar="N", help="Devices that layers are split between."
        ),
        shared_options,
    ):
        function = option(function)
    return function
