"""Closed-form counts of layers: functions from an input shape (without the batch) to an Op.

Images are `(channels, height, width)` (any number of spatial dimensions), sequences `(tokens, width)`. A multiply-add
is one MAC. Every kind a network file may use is a function listed in KINDS; its keyword arguments are the kind's
options. Kinds without multiply-adds are in `elementwise.py`.
"""

from collections.abc import Callable
from math import prod
from typing import Literal

from hwbench.errors import InputError
from hwbench.workload.layers.elementwise import (  # fmt: skip
    add,
    batch_norm,
    class_token,
    copy,
    gelu,
    layer_norm,
    local_response_norm,
    position_embedding,
    relu,
    relu6,
    scale,
    sigmoid,
    silu,
    softmax,
    tanh,
)
from hwbench.workload.ops import Op, Shape
from hwbench.workload.shapes import (
    Pad,
    Positive,
    Size,
    advance,
    conv_kind,
    each,
    format_shape,
    image,
    pooled,
    window,
    wrong_shape,
)


def _check_groups(channels: int, inputs: int, groups: int) -> None:
    if inputs % groups or channels % groups:
        text = f"The {groups} groups do not divide {inputs} input and {channels} output channels."
        raise InputError("bad-option", text)


def conv(
    shape: Shape,
    *,
    channels: Positive,
    kernel: Size,
    stride: Size = 1,
    padding: Pad | Literal["same"] = 0,
    dilation: Size = 1,
    groups: Positive = 1,
    bias: bool = True,
) -> Op:
    """Count a convolution: each output element sums over kernel × input channels / groups."""
    inputs, spatial = image(shape)
    _check_groups(channels, inputs, groups)
    kernels, sizes = window(spatial, kernel, stride, padding, dilation=dilation)
    depth = inputs // groups * prod(kernels)
    outputs = channels * prod(sizes)
    params = channels * depth + channels * bias
    return Op(
        kind=conv_kind(groups, inputs, prod(kernels)),
        output_shape=(channels, *sizes),
        params=params,
        macs=outputs * depth,
        bias_adds=outputs * bias,
        input_elements=prod(shape),
        weight_elements=params,
        output_elements=outputs,
        groups=groups,
        columns=channels // groups,
        depth=depth,
        window=prod(kernels),
        stride=advance(stride, len(spatial)),
    )


def transposed_conv(
    shape: Shape,
    *,
    channels: Positive,
    kernel: Size,
    stride: Size = 1,
    padding: Pad = 0,
    output_padding: Pad = 0,
    dilation: Size = 1,
    groups: Positive = 1,
    bias: bool = True,
) -> Op:
    """Count a transposed convolution: each input element meets kernel × output channels / groups.

    Output size (i - 1)s - 2p + d(k - 1) + output padding + 1: Dumoulin and Visin, relationship 14.
    """
    inputs, spatial = image(shape)
    _check_groups(channels, inputs, groups)
    n = len(spatial)
    kernels, strides, pads, extra, dilations = (
        each(value, n, what)
        for value, what in (
            (kernel, "kernel"),
            (stride, "stride"),
            (padding, "padding"),
            (output_padding, "output_padding"),
            (dilation, "dilation"),
        )
    )
    sizes = tuple(
        (i - 1) * s - 2 * p + d * (k - 1) + o + 1
        for i, k, s, p, o, d in zip(spatial, kernels, strides, pads, extra, dilations, strict=True)
    )
    if min(sizes) < 1:
        raise InputError("bad-option", f"The padding leaves nothing of the output ({format_shape(sizes)}).")
    outputs = channels * prod(sizes)
    params = inputs * (channels // groups) * prod(kernels) + channels * bias
    return Op(
        kind="transposed_conv",
        output_shape=(channels, *sizes),
        params=params,
        macs=prod(shape) * (channels // groups) * prod(kernels),
        bias_adds=outputs * bias,
        input_elements=prod(shape),
        weight_elements=params,
        output_elements=outputs,
        groups=groups,
        columns=channels // groups * prod(kernels),
        depth=inputs // groups,
        window=prod(kernels),
        stride=prod(strides),
    )


def linear(shape: Shape, *, features: Positive, bias: bool = True) -> Op:
    """Count a fully connected layer over the last dimension, applied at every position."""
    if not shape:
        raise wrong_shape("at least one dimension", shape)
    width, positions = shape[-1], prod(shape[:-1])
    params = width * features + features * bias
    return Op(
        kind="linear",
        output_shape=(*shape[:-1], features),
        params=params,
        macs=positions * width * features,
        bias_adds=positions * features * bias,
        input_elements=prod(shape),
        weight_elements=params,
        output_elements=positions * features,
        columns=features,
        depth=width,
    )


def matmul(shape: Shape, *, columns: Positive) -> Op:
    """Count a product of two activations, A(... m×n) · B(... n×columns), batched over the leading dimensions."""
    if len(shape) < 2:
        raise wrong_shape("a matrix", shape)
    *leading, rows, depth = shape
    outputs = prod(leading) * rows * columns
    return Op(
        kind="batched_matmul" if leading else "matmul",
        output_shape=(*leading, rows, columns),
        macs=outputs * depth,
        input_elements=prod(shape) + prod(leading) * depth * columns,
        output_elements=outputs,
        groups=prod(leading),
        columns=columns,
        depth=depth,
    )


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
    scores = heads * tokens * tokens
    return Op(
        kind="attention",
        output_shape=(tokens, width),
        macs=2 * tokens * tokens * width,
        elementwise_flops=6 * scores,
        input_elements=tokens * packed,
        output_elements=tokens * width,
        groups=heads,
        columns=tokens,
        depth=width // heads,
    )


def _pool(kind: str, shape: Shape, outputs: Shape, kernels: Shape, stride: Size, less: int = 0) -> Op:
    """Count pooling with one operation per position of the window, less `less`."""
    elements, positions = shape[0] * prod(outputs), prod(kernels)
    return Op(
        kind=kind,
        output_shape=(shape[0], *outputs),
        elementwise_flops=elements * (positions - less),
        input_elements=prod(shape),
        output_elements=elements,
        window=positions,
        stride=advance(stride, len(outputs)),
    )


def max_pool(shape: Shape, *, kernel: Size, stride: Size | None = None, padding: Pad = 0, ceil: bool = False) -> Op:
    """Count the maximum over windows: window - 1 comparisons an output. The default stride is the kernel."""
    _, spatial = image(shape)
    kernels, sizes = pooled(spatial, kernel, stride or kernel, padding, ceil)
    return _pool("max_pool", shape, sizes, kernels, stride or kernel, less=1)


def avg_pool(shape: Shape, *, kernel: Size, stride: Size | None = None, padding: Pad = 0, ceil: bool = False) -> Op:
    """Count the mean over windows: window - 1 additions and a division an output."""
    _, spatial = image(shape)
    kernels, sizes = pooled(spatial, kernel, stride or kernel, padding, ceil)
    return _pool("avg_pool", shape, sizes, kernels, stride or kernel)


def global_avg_pool(shape: Shape) -> Op:
    """Count the mean over all positions of each channel, which leaves `(channels,)`."""
    channels, spatial = image(shape)
    return Op(
        kind="global_avg_pool",
        output_shape=(channels,),
        elementwise_flops=channels * prod(spatial),
        input_elements=prod(shape),
        output_elements=channels,
    )


def embedding(shape: Shape, *, rows: Positive, width: Positive) -> Op:
    """Count a table look-up of 8-byte indices, which reads the rows of one sample's indices, the table at most.

    The whole table counts as parameters. Samples of a batch share rows; how many depends on the data.
    """
    indices = prod(shape)
    return Op(
        kind="embedding",
        output_shape=(*shape, width),
        params=rows * width,
        weight_elements=min(rows, indices) * width,
        output_elements=indices * width,
        fixed_input_bytes=8 * indices,
    )


KINDS: tuple[Callable[..., Op], ...] = (
    conv, transposed_conv, linear, matmul, attention, max_pool, avg_pool, global_avg_pool, local_response_norm,
    batch_norm, layer_norm, softmax, relu, relu6, sigmoid, tanh, gelu, silu, scale, add, copy, embedding,
    class_token, position_embedding,
)  # fmt: skip
"""Every layer kind that a network file may name."""
