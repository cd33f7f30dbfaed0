"""Closed-form counts of layers: functions from an input shape (without the batch) to an Op.

Images are `(channels, height, width)` (any number of spatial dimensions), sequences `(tokens, width)`. A multiply-add
is one MAC. Every kind a network file may use is a function listed in KINDS; its keyword arguments are the kind's
options. Kinds without multiply-adds are in `elementwise.py`.
"""

from collections.abc import Callable
from math import prod
from typing import Literal

from hwbench.errors import InputError
from hwbench.workload import shapes
from hwbench.workload.layers import elementwise
from hwbench.workload.layers.elementwise import layer
from hwbench.workload.ops import Op, Shape
from hwbench.workload.shapes import Pad, Positive, Size, each, format_shape, image, window, wrong_shape


def _check_groups(channels: int, inputs: int, groups: int) -> None:
    if inputs % groups or channels % groups:
        text = f"The {groups} groups do not divide {inputs} input and {channels} output channels."
        raise InputError("bad-option", text)


def conv(
    shape: Shape, *, channels: Positive, kernel: Size, stride: Size = 1, padding: Pad | Literal["same"] = 0,
    dilation: Size = 1, groups: Positive = 1, bias: bool = True,
) -> Op:  # fmt: skip
    """Count a convolution: each output element sums over kernel × input channels / groups."""
    inputs, spatial = image(shape)
    _check_groups(channels, inputs, groups)
    kernels, sizes = window(spatial, kernel, stride, padding, dilation=dilation)
    depth = inputs // groups * prod(kernels)
    outputs = channels * prod(sizes)
    return layer(
        shapes.conv_kind(groups, inputs, prod(kernels)), shape, (channels, *sizes),
        params=channels * depth + channels * bias, macs=outputs * depth, bias_adds=outputs * bias, groups=groups,
        columns=channels // groups, depth=depth, window=prod(kernels), stride=shapes.advance(stride, len(spatial)),
    )  # fmt: skip


def transposed_conv(
    shape: Shape, *, channels: Positive, kernel: Size, stride: Size = 1, padding: Pad = 0, output_padding: Pad = 0,
    dilation: Size = 1, groups: Positive = 1, bias: bool = True,
) -> Op:  # fmt: skip
    """Count a transposed convolution: each input element meets kernel × output channels / groups.

    Output size (i - 1)s - 2p + d(k - 1) + output padding + 1: Dumoulin and Visin, relationship 14.
    """
    inputs, spatial = image(shape)
    _check_groups(channels, inputs, groups)
    options = {"kernel": kernel, "stride": stride, "padding": padding, "output_padding": output_padding}
    kernels, strides, pads, extra, dilations = (
        each(value, len(spatial), what) for what, value in (options | {"dilation": dilation}).items()
    )
    sizes = tuple(
        (i - 1) * s - 2 * p + d * (k - 1) + o + 1
        for i, k, s, p, o, d in zip(spatial, kernels, strides, pads, extra, dilations, strict=True)
    )
    if min(sizes) < 1:
        raise InputError("bad-option", f"The padding leaves nothing of the output ({format_shape(sizes)}).")
    weights = inputs * (channels // groups) * prod(kernels)
    return layer(
        "transposed_conv", shape, (channels, *sizes), params=weights + channels * bias, macs=prod(spatial) * weights,
        bias_adds=channels * prod(sizes) * bias, groups=groups, columns=channels // groups * prod(kernels),
        depth=inputs // groups, window=prod(kernels), stride=prod(strides),
    )  # fmt: skip


def linear(shape: Shape, *, features: Positive, bias: bool = True) -> Op:
    """Count a fully connected layer over the last dimension, applied at every position."""
    if not shape:
        raise wrong_shape("at least one dimension", shape)
    width, output = shape[-1], (*shape[:-1], features)
    outputs = prod(output)
    params, adds = features * (width + bias), outputs * bias
    return layer("linear", shape, output, params, macs=outputs * width, bias_adds=adds, columns=features, depth=width)


def matmul(shape: Shape, *, columns: Positive) -> Op:
    """Count a product of two activations, A(... m×n) · B(... n×columns), batched over the leading dimensions."""
    if len(shape) < 2:
        raise wrong_shape("a matrix", shape)
    *leading, rows, depth = shape
    groups = prod(leading)
    return layer(
        "batched_matmul" if leading else "matmul", shape, (*leading, rows, columns),
        macs=groups * rows * columns * depth, input_elements=prod(shape) + groups * depth * columns, groups=groups,
        columns=columns, depth=depth,
    )  # fmt: skip


def attention(shape: Shape, *, heads: Positive, kv_heads: Positive | None = None) -> Op:
    """Count fused scaled dot-product self-attention over `(tokens, q + k + v)` packed in the last dimension.

    Two products of tokens × tokens × width (Vaswani et al., arXiv:1706.03762, equation 1); softmax as `softmax`
    counts it, plus one scaling a score. Fused: scores never reach memory. Fewer `kv_heads` share keys and values.
    """
    if len(shape) != 2:
        raise wrong_shape("tokens × (q + k + v)", shape)
    tokens, packed = shape
    kv = kv_heads or heads
    if heads % kv or packed % (heads + 2 * kv):
        text = f"A width of {packed} is not (q + k + v) of {heads} heads with {kv} key-value heads."
        raise InputError("shape-mismatch", text)
    width = packed // (heads + 2 * kv) * heads
    return layer(
        "attention", shape, (tokens, width), macs=2 * tokens * tokens * width,
        elementwise_flops=6 * heads * tokens * tokens, groups=heads, columns=tokens, depth=width // heads,
    )  # fmt: skip


def max_pool(shape: Shape, *, kernel: Size, stride: Size | None = None, padding: Pad = 0, ceil: bool = False) -> Op:
    """Count the maximum over windows: window - 1 comparisons an output. The default stride is the kernel."""
    return _pool("max_pool", shape, kernel, stride or kernel, padding, ceil, less=1)


def avg_pool(shape: Shape, *, kernel: Size, stride: Size | None = None, padding: Pad = 0, ceil: bool = False) -> Op:
    """Count the mean over windows: window - 1 additions and a division an output."""
    return _pool("avg_pool", shape, kernel, stride or kernel, padding, ceil)


def _pool(kind: str, shape: Shape, kernel: Size, stride: Size, padding: Pad, ceil: bool, less: int = 0) -> Op:
    """Count one operation per position of the window, less `less`; a window that could be all padding is refused."""
    channels, spatial = image(shape)
    n = len(spatial)
    for size, pad in zip(each(kernel, n, "kernel"), each(padding, n, "padding"), strict=True):
        if pad > size // 2:  # as torch does
            raise InputError("bad-option", f"The padding ({pad}) is more than half of the kernel ({size}).")
    kernels, sizes = window(spatial, kernel, stride, padding, ceil=ceil)
    positions, flops = prod(kernels), channels * prod(sizes) * (prod(kernels) - less)
    steps = shapes.advance(stride, n)
    return layer(kind, shape, (channels, *sizes), elementwise_flops=flops, window=positions, stride=steps)


def global_avg_pool(shape: Shape) -> Op:
    """Count the mean over all positions of each channel, which leaves `(channels,)`."""
    channels, _ = image(shape)
    return layer("global_avg_pool", shape, (channels,), elementwise_flops=prod(shape))


def embedding(shape: Shape, *, rows: Positive, width: Positive) -> Op:
    """Count a table look-up of 8-byte indices, which reads the rows of one sample's indices, the table at most.

    The whole table counts as parameters. Samples of a batch share rows; how many depends on the data.
    """
    indices = prod(shape)
    fields = {"input_elements": 0, "weight_elements": min(rows, indices) * width, "fixed_input_bytes": 8 * indices}
    return layer("embedding", shape, (*shape, width), rows * width, **fields)


KINDS: tuple[Callable[..., Op], ...] = (
    conv, transposed_conv, linear, matmul, attention, max_pool, avg_pool, global_avg_pool,
    elementwise.local_response_norm, elementwise.batch_norm, elementwise.layer_norm, elementwise.softmax,
    elementwise.relu, elementwise.relu6, elementwise.sigmoid, elementwise.tanh, elementwise.gelu, elementwise.silu,
    elementwise.scale, elementwise.add, elementwise.copy, embedding, elementwise.class_token,
    elementwise.position_embedding,
)  # fmt: skip
"""Every layer kind that a network file may name."""
