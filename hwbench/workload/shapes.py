"""Shapes: images, sliding windows and their outputs."""

from math import prod
from typing import Annotated

from msgspec import Meta

from hwbench.errors import InputError
from hwbench.workload.ops import Shape

Positive = Annotated[int, Meta(gt=0, le=1 << 40)]
NonNegative = Annotated[int, Meta(ge=0, le=1 << 40)]
Size = Positive | tuple[Positive, ...]
Pad = NonNegative | tuple[NonNegative, ...]


def image(shape: Shape) -> tuple[int, Shape]:
    """Return channels and spatial dimensions. Raises InputError for a shape without the latter."""
    if len(shape) < 2:
        raise wrong_shape("an image (channels × height × width)", shape)
    return shape[0], shape[1:]


def each(value: int | tuple[int, ...], dimensions: int, what: str) -> tuple[int, ...]:
    """Return one number per spatial dimension; a single one applies to all. Raises InputError that names `what`."""
    if isinstance(value, int):
        return (value,) * dimensions
    if len(value) != dimensions:
        raise InputError("bad-option", f"The {what} has {len(value)} numbers for {dimensions} spatial dimensions.")
    return tuple(value)


def advance(strides: int | tuple[int, ...], dimensions: int) -> int:
    """Return the input positions that an output position advances, over all dimensions; one stride may apply to all."""
    sizes = (strides,) if isinstance(strides, int) else strides
    return prod(sizes) if len(sizes) == dimensions else prod(sizes[:1]) ** dimensions


def conv_kind(groups: int, inputs: int, window: int, transposed: bool = False) -> str:
    """Return the kind of a convolution by its groups and window."""
    if transposed:
        return "transposed_conv"
    if groups > 1:
        return "depthwise_conv" if groups == inputs else "grouped_conv"
    return "pointwise_conv" if window == 1 else "conv"


def format_shape(shape: Shape) -> str:
    """Return a shape as text: `96×55×55`."""
    return "×".join(str(size) for size in shape)


def wrong_shape(needed: str, shape: Shape) -> InputError:
    """Return the error for an input that does not have the needed shape."""
    return InputError("shape-mismatch", f"The input must be {needed}, not {format_shape(shape) or 'a single number'}.")


Sizes = int | tuple[int, ...]
"""One number for every spatial dimension, or one for each."""


def window(
    spatial: Shape, kernel: Sizes, stride: Sizes, padding: Sizes | str, *, dilation: Sizes = 1, ceil: bool = False
) -> tuple[Shape, Shape]:
    """Return kernel and output size of a sliding window: ⌊(i + 2p - d(k - 1) - 1) / s⌋ + 1.

    Dumoulin and Visin, A guide to convolution arithmetic, arXiv:1603.07285, relationship 15. Rounding up (`ceil`)
    follows Caffe: a last window that would begin in the right padding is dropped. Raises InputError.
    """
    n = len(spatial)
    kernels, strides, dilations = (
        each(value, n, what) for value, what in ((kernel, "kernel"), (stride, "stride"), (dilation, "dilation"))
    )
    if padding == "same":
        return kernels, tuple(-(-size // s) for size, s in zip(spatial, strides, strict=True))
    if isinstance(padding, str):
        raise InputError("bad-option", f"The padding must be a number, a list or 'same', not {padding!r}.")
    sizes = []
    for i, k, s, p, d in zip(spatial, kernels, strides, each(padding, n, "padding"), dilations, strict=True):
        span = i + 2 * p - d * (k - 1) - 1
        size = (-(-span // s) if ceil else span // s) + 1
        size -= ceil and (size - 1) * s >= i + p
        if size < 1:
            text = f"The kernel ({k}, dilation {d}) is larger than the padded input ({i} + 2 × {p})."
            raise InputError("bad-option", text)
        sizes.append(size)
    return kernels, tuple(sizes)
