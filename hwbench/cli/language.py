"""Options of language models, which several commands share."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import click

from hwbench.api import is_language_question
from hwbench.cli.options import LANGUAGE, HelpOption
from hwbench.cli.values import Choice
from hwbench.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])
option = partial(click.option, cls=HelpOption, section=LANGUAGE)

SHARED = ("weights", "kv_dtype", "prompt", "generate", "fused_attention")
NAMES = (*SHARED, "devices", "split", "link", "gpu_layers", "cpu")
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


_DEFAULTS = (None, (), False, "fp32", ("fp32",), "default", "inference")
FILTERS = ("kind", "vendor", "architecture", "year")


def options_of(parameters: Mapping[str, Any], *others: str) -> dict[str, Any]:
    """Return the options that have a value, those of language models and `others`. Raises InputError for any other."""
    allowed = (*NAMES, "context", "runtime", *others)
    for field, value in parameters.items():
        if field not in allowed and value not in _DEFAULTS:
            raise InputError("not-for-language", "Language models do not have this option.", field=field)
    return {name: parameters[name] for name in allowed if parameters.get(name) not in (None, (), False)}


def single_batch(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with their only batch. Raises InputError for several."""
    batches = parameters.get("batches") or ()
    if len(batches) > 1:
        raise InputError("single-value", "This needs a single batch size.", field="batches")
    rest = {name: value for name, value in parameters.items() if name != "batches"}
    return {**rest, "batch": batches[0]} if batches else rest


def points_options(function: F) -> F:
    """Add the options of language models on several devices, or in several scenarios."""
    for decorator in (
        option("--link", metavar="B", help="With --split tensor: 64GB/s from each device to the next."),
        option(
            "--split", type=Choice(["layers", "tensor"]), help="Whether devices have other layers, or a part of each."
        ),
        option("--devices", type=click.IntRange(1, 4096), metavar="N", help="Devices that share the model."),
        shared_options,
    ):
        function = decorator(function)
    return function


def language_options(function: F) -> F:
    """Add the options of language models that are estimated."""
    for decorator in (
        option("--cpu", metavar="D", help="CPU that has the layers beyond --gpu-layers; host is this one."),
        option("--gpu-layers", type=_TOKENS, metavar="K", help="Layers on the device, the others on --cpu."),
        points_options,
    ):
        function = decorator(function)
    return function
