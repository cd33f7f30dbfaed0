"""The parameters of a model beyond its name."""

import re
from collections.abc import Collection
from typing import Literal

from msgspec import Struct

from hwbench.errors import InputError, nearest, shown
from hwbench.workload.ops import Shape

Phase = Literal["prefill", "decode"]
_TYPED_SHAPE = r"([0-9]{1,9}(?:x[0-9]{1,9}){0,15})(?::([a-z0-9]+))?"


class ModelRequest(Struct, frozen=True):
    """A model's name and how to run it.

    `input` is a shape such as `2x3x224x224` or `2x128:int64` whose first dimension is the batch. A language model's
    `phase` is `prefill` (a prompt of `context` tokens) or `decode` (one token against a cache of `context`).
    `autocast` is `fp16` or `bf16` for mixed precision as CUDA does it. A training step is traced at `batch`.
    """

    model: str
    input: str | None = None
    image_size: int | None = None
    phase: Phase | None = None
    context: int | None = None
    training: bool = False
    autocast: str | None = None
    channels_last: bool = False
    batch: int = 1


class TypedShape(Struct, frozen=True):
    """The shape of an input, and its dtype where that is given."""

    shape: Shape
    dtype: str | None = None


def typed_shape(text: str, dtypes: Collection[str]) -> TypedShape:
    """Return the shape and dtype in a text such as `2x128:int64`. Raises InputError."""
    match = re.fullmatch(_TYPED_SHAPE, text)
    shape = tuple(int(size) for size in match.group(1).split("x")) if match else ()
    if match is None or not all(shape):
        sentence = f"'{shown(text)}' is not a shape such as 2x8x16x16 or 2x128:int64."
        raise InputError("not-a-shape", sentence, field="input")
    dtype = match.group(2)
    if dtype and dtype not in dtypes:
        choices = nearest(dtype, dtypes) or tuple(dtypes)
        raise InputError("unknown-dtype", f"There is no input dtype '{shown(dtype)}'.", field="input", nearest=choices)
    return TypedShape(shape, dtype)
