"""Shapes of inputs as people type them: `2x3x224x224`, `2x128:int64`."""

import re
from collections.abc import Collection

from msgspec import Struct

from hwbench.errors import InputError, nearest, shown
from hwbench.workload.ops import Shape

_TYPED_SHAPE = r"([0-9]{1,9}(?:x[0-9]{1,9}){0,15})(?::([a-z0-9]+))?"


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
