"""Options of language models, which several commands share."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import click

from hwbench.api import is_language_question
from hwbench.cli.options import LanguageOption

F = TypeVar("F", bound=Callable[..., Any])
option = partial(click.option, cls=LanguageOption)

NAMES = ("weights", "kv_dtype", "prompt", "generate", "devices", "gpu_layers", "cpu", "fused_attention")
_TOKENS = click.IntRange(0, 100_000_000)


def is_asked(model: str, options: Mapping[str, object], runtime: str | None) -> bool:
    """Return whether these options ask about a language model, which has an estimate of its own."""
    return is_language_question(model, options, runtime)


def shared_options(function: F) -> F:
    """Add the options of language models that are estimated or run."""
    for decorator in (
        option("--fused-attention", is_flag=True, help="Attention in one kernel (llama.cpp's -fa 1)."),
        option("--generate", type=_TOKENS, metavar="N", help="Tokens that are generated."),
        option("--prompt", type=_TOKENS, metavar="N", help="Tokens of the prompt."),
        option("--kv-dtype", metavar="F", help="Number format of the cache: f16, q8_0, q4_0 [default: f16]."),
        option("--weights", metavar="F", help="Format of the weights: q4_k_m, q8_0, f16, fp8, ..."),
    ):
        function = decorator(function)
    return function


def language_options(function: F) -> F:
    """Add the options of language models that are estimated."""
    for decorator in (
        option("--cpu", metavar="D", help="CPU that has the layers beyond --gpu-layers; host is this one."),
        option("--gpu-layers", type=_TOKENS, metavar="K", help="Layers on the device, the others on --cpu."),
        option("--devices", type=click.IntRange(1, 4096), metavar="N", help="Devices that layers are split between."),
        shared_options,
    ):
        function = decorator(function)
    return function
