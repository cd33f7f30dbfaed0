"""The parameters of a model beyond its name, and shapes of inputs as people type them: `2x3x224x224`, `2x128:int64`."""

import re
from collections.abc import Collection
from typing import Literal

from msgspec import Struct

from hwbench.errors import InputError, nearest, shown
from hwbench.workload.ops import Shape

Phase = Literal["prefill", "decode"]

MERGED = "-reparameterized"
"""End of the names of timm's models whose branches and norms are merged into their convolutions before they run."""
_NAMES = {"training": "mode", "autocast": "dtype"}
"""Fields that callers set by a parameter of another name."""


class ModelRequest(Struct, frozen=True):
    """A model's name and how to run it.

    `input` is a shape such as `2x3x224x224` or `2x128:int64`. A language model's `phase` is `prefill` (a prompt of
    `context` tokens) or `decode` (one token against a cache of `context`). `autocast` is `fp16` or `bf16` for mixed
    precision as CUDA does it. `batch` is that of a training step, and of a model whose cost is not a multiple of it;
    None is that of the inputs, along dimension `batch_dim` of them. `real` runs it on random values, not without data.
    `unfolded` ops keep a name each, also where they are alike. `optimizer` updates the weights in a training step.
    `values` are arguments of the model that are no tensors, by name.
    """

    model: str
    input: str | None = None
    image_size: int | None = None
    phase: Phase | None = None
    context: int | None = None
    training: bool = False
    autocast: str | None = None
    channels_last: bool = False
    batch: int | None = None
    batch_dim: int | None = None
    real: bool = False
    unfolded: bool = False
    optimizer: str | None = None
    values: tuple[tuple[str, int | float | bool | str | None], ...] = ()

    def parameters_but(self, *fields: str) -> list[str]:
        """Return the parameters that are set besides the model and these fields, by the names that callers use."""
        defaults = zip(self.__struct_fields__[1:], self.__struct_defaults__, strict=True)
        differing = (name for name, default in defaults if name not in fields and getattr(self, name) != default)
        return [_NAMES.get(name, name) for name in differing]


def typed_shape(text: str, dtypes: Collection[str], empty: bool = False) -> tuple[Shape, str | None]:
    """Return the shape in a text such as `2x128:int64`, and its dtype where that is given. Raises InputError.

    Sizes may be 0 where a tensor may be `empty`, such as keys before the first token.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:x[0-9]{1,9}){0,15})(?::([a-z0-9]+))?", text)
    shape = tuple(int(size) for size in match.group(1).split("x")) if match else ()
    if match is None or not (empty or all(shape)):
        sentence = f"'{shown(text)}' is not a shape such as 2x8x16x16 or 2x128:int64."
        raise InputError("not-a-shape", sentence, field="input")
    dtype = match.group(2)
    if dtype and dtype not in dtypes:
        choices = nearest(dtype, dtypes) or tuple(dtypes)
        raise InputError("unknown-dtype", f"There is no input dtype '{shown(dtype)}'.", field="input", nearest=choices)
    return shape, dtype
