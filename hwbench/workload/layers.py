"""Closed-form counts of every layer kind: functions from an input shape (without the batch) to an Op.

Images are `(channels, height, width)` (any number of spatial dimensions), sequences `(tokens, width)`. A multiply-add
is one MAC. Elementwise operations count one for each add, multiply, compare or transcendental function of an element.
Every kind a network file may use is a function listed in KINDS; its keyword arguments are the kind's options.
"""

from collections.abc import Callable
from math import prod
from typing import Annotated, Literal

from msgspec import Meta

from hwbench.errors import InputError
from hwbench.workload.op import Op, Shape

Positive = Annotated[int, Meta(gt=0, le=1 << 40)]
NonNegative = Annotated[int, Meta(ge=0, le=1 << 40)]
Size = Positive | tuple[Positive, ...]
Pad = NonNegative | tuple[NonNegative, ...]


def _image(shape: Shape) -> tuple[int, Shape]:
    """Channels and spatial dimensions. Raises InputError for a shape without the latter."""
    if len(shape) < 2:
        raise InputError(f"needs an image (channels × height × width), got {format_shape(shape)}")
    return shape[0], shape[1:]


def _each(value: int | tuple[int, ...], dimensions: int, what: str) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * dimensions
    if len(value) != dimensions:
        raise InputError(f"{what} has {len(value)} numbers for {dimensions} spatial dimensions")
    return tuple(value)


def format_shape(shape: Shape) -> str:
    """A shape as people write it: `96×55×55`."""
    return "×".join(str(size) for size in shape)


def _window(
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
        _each(value, n, what) for value, what in ((kernel, "kernel"), (stride, "stride"), (dilation, "dilation"))
    )
    if padding == "same":
        return kernels, tuple(-(-size // s) for size, s in zip(spatial, strides, strict=True))
    if isinstance(padding, str):
        raise InputError(f"padding is a number, a list or 'same', not {padding!r}")
    sizes = []
    for i, k, s, p, d in zip(spatial, kernels, strides, _each(padding, n, "padding"), dilations, strict=True):
        span = i + 2 * p - d * (k - 1) - 1
        size = (-(-span // s) if ceil else span // s) + 1
        size -= ceil and (size - 1) * s >= i + p
        if size < 1:
            raise InputError(f"the kernel ({k}, dilation {d}) is larger than the padded input ({i} + 2 × {p})")
        sizes.append(size)
    return kernels, tuple(sizes)


def _check_groups(channels: int, inputs: int, groups: int) -> None:
    if inputs % groups or channels % groups:
        raise InputError(f"{groups} groups do not divide {inputs} input and {channels} output channels")


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
    """Convolution: each output element sums over kernel × input channels / groups."""
    inputs, spatial = _image(shape)
    _check_groups(channels, inputs, groups)
    kernels, sizes = _window(spatial, kernel, stride, padding, dilation=dilation)
    depth = inputs // groups * prod(kernels)
    outputs = channels * prod(sizes)
    kind = "conv"
    if groups > 1:
        kind = "depthwise_conv" if groups == inputs else "grouped_conv"
    elif prod(kernels) == 1:
        kind = "pointwise_conv"
    params = channels * depth + channels * bias
    return Op(
        kind=kind,
        output_shape=(channels, *sizes),
        params=params,
        macs=outputs * depth,
        bias_adds=outputs * bias,
        input_elements=prod(shape),
        weight_elements=params,
        output_elements=outputs,
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
    """Transposed convolution: each input element is spread over kernel × output channels / groups.

    Output size (i - 1)s - 2p + d(k - 1) + output padding + 1: Dumoulin and Visin, relationship 14.
    """
    inputs, spatial = _image(shape)
    _check_groups(channels, inputs, groups)
    n = len(spatial)
    kernels, strides, pads, extra, dilations = (
        _each(value, n, what)
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
        raise InputError(f"the padding leaves nothing of the output ({format_shape(sizes)})")
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
    )


def linear(shape: Shape, *, features: Positive, bias: bool = True) -> Op:
    """Fully connected layer over the last dimension, applied at every position before it."""
    if not shape:
        raise InputError("needs at least one dimension")
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
    )


def matmul(shape: Shape, *, columns: Positive) -> Op:
    """Product of two activations, A(... m×n) · B(... n×columns), batched over the leading dimensions."""
    if len(shape) < 2:
        raise InputError(f"needs a matrix, got {format_shape(shape)}")
    *leading, rows, depth = shape
    outputs = prod(leading) * rows * columns
    return Op(
        kind="batched_matmul" if leading else "matmul",
        output_shape=(*leading, rows, columns),
        macs=outputs * depth,
        input_elements=prod(shape) + prod(leading) * depth * columns,
        output_elements=outputs,
    )


def attention(shape: Shape, *, heads: Positive, kv_heads: Positive | None = None) -> Op:
    """Scaled dot-product self-attention over `(tokens, q + k + v)` packed in the last dimension, fused.

    Two products of tokens × tokens × width (Vaswani et al., arXiv:1706.03762, equation 1); softmax as `softmax`
    counts it, plus one scaling a score. Fused: scores never reach memory. Fewer `kv_heads` share keys and values.
    """
    if len(shape) != 2:
        raise InputError(f"needs tokens × (q + k + v), got {format_shape(shape)}")
    tokens, packed = shape
    kv = kv_heads or heads
    if heads % kv or packed % (heads + 2 * kv):
        raise InputError(f"a width of {packed} is not (q + k + v) of {heads} heads with {kv} key-value heads")
    width = packed // (heads + 2 * kv) * heads
    scores = heads * tokens * tokens
    return Op(
        kind="attention",
        output_shape=(tokens, width),
        macs=2 * tokens * tokens * width,
        elementwise_flops=6 * scores,
        input_elements=tokens * packed,
        output_elements=tokens * width,
    )


def _pool(kind: str, shape: Shape, outputs: Shape, per_output: int) -> Op:
    elements = shape[0] * prod(outputs)
    return Op(
        kind=kind,
        output_shape=(shape[0], *outputs),
        elementwise_flops=elements * per_output,
        input_elements=prod(shape),
        output_elements=elements,
    )


def max_pool(shape: Shape, *, kernel: Size, stride: Size | None = None, padding: Pad = 0, ceil: bool = False) -> Op:
    """Maximum over windows: window - 1 comparisons an output. The stride is the kernel unless given."""
    _, spatial = _image(shape)
    kernels, sizes = _window(spatial, kernel, stride or kernel, padding, ceil=ceil)
    return _pool("max_pool", shape, sizes, prod(kernels) - 1)


def avg_pool(shape: Shape, *, kernel: Size, stride: Size | None = None, padding: Pad = 0, ceil: bool = False) -> Op:
    """Mean over windows: window - 1 additions and a division an output."""
    _, spatial = _image(shape)
    kernels, sizes = _window(spatial, kernel, stride or kernel, padding, ceil=ceil)
    return _pool("avg_pool", shape, sizes, prod(kernels))


def global_avg_pool(shape: Shape) -> Op:
    """Mean over all positions of each channel; leaves `(channels,)`."""
    channels, spatial = _image(shape)
    return Op(
        kind="global_avg_pool",
        output_shape=(channels,),
        elementwise_flops=channels * prod(spatial),
        input_elements=prod(shape),
        output_elements=channels,
    )


def local_response_norm(shape: Shape, *, size: Positive = 5) -> Op:
    """Normalization over neighboring channels (Krizhevsky et al. 2012, section 3.3).

    Per element: a square, size - 1 additions, scale, add, power, divide.
    """
    _image(shape)
    return _elementwise("local_response_norm", shape, size + 4)


def batch_norm(shape: Shape) -> Op:
    """Batch normalization at inference: one multiply-add by per-channel constants. Parameters: scale and shift.

    It reads four vectors (mean, variance, scale, shift); running statistics are no parameters.
    """
    channels = shape[0]
    op = _elementwise("batch_norm", shape, 2)
    return _with_weights(op, params=2 * channels, weights=4 * channels)


def layer_norm(shape: Shape) -> Op:
    """Layer normalization over the last dimension: mean (1), variance (3), scale (1), affine (2) an element."""
    width = shape[-1]
    return _with_weights(_elementwise("layer_norm", shape, 7), params=2 * width, weights=2 * width)


def _with_weights(op: Op, params: int, weights: int) -> Op:
    return Op(
        kind=op.kind,
        output_shape=op.output_shape,
        params=params,
        elementwise_flops=op.elementwise_flops,
        input_elements=op.input_elements,
        weight_elements=weights,
        output_elements=op.output_elements,
    )


def _elementwise(kind: str, shape: Shape, per_element: int, inputs: int = 1) -> Op:
    elements = prod(shape)
    return Op(
        kind=kind,
        output_shape=shape,
        elementwise_flops=per_element * elements,
        input_elements=inputs * elements,
        output_elements=elements,
    )


def softmax(shape: Shape) -> Op:
    """Softmax over the last dimension: maximum, subtract, exponential, sum, divide."""
    return _elementwise("softmax", shape, 5)


def relu(shape: Shape) -> Op:
    """One comparison an element."""
    return _elementwise("relu", shape, 1)


def relu6(shape: Shape) -> Op:
    """Two comparisons an element."""
    return _elementwise("relu6", shape, 2)


def sigmoid(shape: Shape) -> Op:
    """Negate, exponential, add, divide."""
    return _elementwise("sigmoid", shape, 4)


def tanh(shape: Shape) -> Op:
    """One transcendental function an element."""
    return _elementwise("tanh", shape, 1)


def gelu(shape: Shape) -> Op:
    """Half of x · (1 + erf(x / √2)): two scalings, erf, add, multiply (Hendrycks and Gimpel, arXiv:1606.08415)."""
    return _elementwise("gelu", shape, 5)


def silu(shape: Shape) -> Op:
    """Multiplication by the sigmoid."""
    return _elementwise("silu", shape, 5)


def scale(shape: Shape) -> Op:
    """Multiplication by one learned scale a channel, and a learned shift (LeNet-5's subsampling coefficients)."""
    channels = shape[0]
    return _with_weights(_elementwise("scale", shape, 2), params=2 * channels, weights=2 * channels)


def add(shape: Shape, *, inputs: Annotated[int, Meta(ge=2, le=1000)] = 2) -> Op:
    """Sum of equal shapes, as at the end of a residual block."""
    return _elementwise("add", shape, inputs - 1, inputs)


def copy(shape: Shape) -> Op:
    """A copy: no arithmetic, everything read and written once. Concatenation is one."""
    return _elementwise("copy", shape, 0)


def embedding(shape: Shape, *, rows: Positive, width: Positive) -> Op:
    """Table look-up of 8-byte indices: only the rows looked up are read, though the table counts as parameters."""
    indices = prod(shape)
    return Op(
        kind="embedding",
        output_shape=(*shape, width),
        params=rows * width,
        input_elements=indices * width,
        output_elements=indices * width,
        index_bytes=8 * indices,
    )


def class_token(shape: Shape) -> Op:
    """A learned vector put before a sequence `(tokens, width)`, which is copied to make room for it."""
    if len(shape) != 2:
        raise InputError(f"needs tokens × width, got {format_shape(shape)}")
    tokens, width = shape
    return Op(
        kind="class_token",
        output_shape=(tokens + 1, width),
        params=width,
        input_elements=tokens * width,
        weight_elements=width,
        output_elements=(tokens + 1) * width,
    )


def position_embedding(shape: Shape) -> Op:
    """A learned value for every element of a sequence, added to it (Dosovitskiy et al., arXiv:2010.11929)."""
    elements = prod(shape)
    return _with_weights(_elementwise("position_embedding", shape, 1), params=elements, weights=elements)


KINDS: tuple[Callable[..., Op], ...] = (
    conv, transposed_conv, linear, matmul, attention, max_pool, avg_pool, global_avg_pool, local_response_norm,
    batch_norm, layer_norm, softmax, relu, relu6, sigmoid, tanh, gelu, silu, scale, add, copy, embedding,
    class_token, position_embedding,
)  # fmt: skip
"""Every layer kind that a network file may name."""
