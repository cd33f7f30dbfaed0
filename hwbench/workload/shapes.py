"""Shapes: what a layer may be fed with, and what a sliding window leaves of it."""

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
    """Channels and spatial dimensions. Raises InputError for a shape without the latter."""
    if len(shape) < 2:
        raise InputError(f"needs an image (channels × height × width), got {format_shape(shape)}")
    return shape[0], shape[1:]


def each(value: int | tuple[int, ...], dimensions: int, what: str) -> tuple[int, ...]:
    """One number for each spatial dimension; a single one stands for all. Raises InputError that names `what`."""
    if isinstance(value, int):
        return (value,) * dimensions
    if len(value) != dimensions:
        raise InputError(f"{what} has {len(value)} numbers for {dimensions} spatial dimensions")
    return tuple(value)


def advance(strides: int | tuple[int, ...], dimensions: int) -> int:
    """Input positions that an output position advances, over all dimensions; one stride may stand for all."""
    sizes = (strides,) if isinstance(strides, int) else strides
    return prod(sizes) if len(sizes) == dimensions else prod(sizes[:1]) ** dimensions


def format_shape(shape: Shape) -> str:
    """A shape as people write it: `96×55×55`."""
    return "×".join(str(size) for size in shape)


def window(
    spatial: Shape,
    kernel: int | tuple[int, ...],
    stride: int | tuple[int, ...],
    padding: int | tuple[int, ...] | str,
    *,
    dilation: int | tuple[int, ...] = 1,
    ceil: bool = False,
) -> tuple[tuple[int, ...], Shape]:
    """Kernel and output size of a sliding window: ⌊(i + 2p - d(k - 1) - 1) / s⌋ + 1.

    Dumoulin and Visin, A guide to convolution arithmetic, arXiv:1603.07285, relationship 15. Rounding up (`ceil`)
    follows Caffe: a last window that would begin in the right padding is dropped.
    """
    n = len(spatial)
    kernels, strides, dilations = (
        each(value, n, what) for value, what in ((kernel, "kernel"), (stride, "stride"), (dilation, "dilation"))
    )
    if padding == "same":
        return kernels, tuple(-(-size // s) for size, s in zip(spatial, strides, strict=True))
    if isinstance(padding, str):
        raise InputError(f"padding is a number, a list or 'same', not {padding!r}")
    sizes = []
    for i, k, s, p, d in zip(spatial, kernels, strides, each(padding, n, "padding"), dilations, strict=True):
        span = i + 2 * p - d * (k - 1) - 1
        size = (-(-span // s) if ceil else span // s) + 1
        size -= ceil and (size - 1) * s >= i + p
        if size < 1:
            raise InputError(f"the kernel ({k}, dilation {d}) is larger than the padded input ({i} + 2 × {p})")
        sizes.append(size)
    return kernels, tuple(sizes)


def pooled(
    spatial: Shape,
    kernel: int | tuple[int, ...],
    stride: int | tuple[int, ...],
    padding: int | tuple[int, ...],
    ceil: bool,
) -> tuple[tuple[int, ...], Shape]:
    """As `window`, for pooling. Raises InputError where a window could lie in the padding alone, as torch does."""
    kernels = each(kernel, len(spatial), "kernel")
    for size, pad in zip(kernels, each(padding, len(spatial), "padding"), strict=True):
        if pad > size // 2:
            raise InputError(f"the padding ({pad}) is more than half of the kernel ({size})")
    return window(spatial, kernel, stride, padding, ceil=ceil)
