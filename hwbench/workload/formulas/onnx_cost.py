"""Costs of ONNX nodes by the shapes of their inputs: one function per family of operators.

Pure: onnx is not imported. `call.args` holds inputs by position (None where left out), `call.kwargs` attributes.
`onnx.py` assigns operators to families and names the references.
"""

from collections.abc import Callable
from math import log2, prod

import msgspec

from hwbench.errors import InputError
from hwbench.workload.formulas import attention as fused_attention
from hwbench.workload.formulas.attention import EVERY_PAIR, Span
from hwbench.workload.formulas.cost import Call, Cost, Tensor
from hwbench.workload.shapes import conv_kind

MAX_EQUATION_LETTERS = 1000


def conv(
    x: int = 0, weight: int = 1, bias: int | None = 2, after: int = 0, last: bool = False, padded: bool = False
) -> Callable[[Call], Cost]:
    """Return the cost function of a convolution with operands at these inputs and `after` operations per output.

    Channels of images are their second dimension, or the `last`; of kernels that are `padded` there may be more.
    """

    def count(call: Call) -> Cost:
        image, kernel = call.args[x], call.args[weight]
        groups, channels = int(call.kwargs.get("group", 1)), image.shape[-1 if last or _is_last(call) else 1]
        if channels != kernel.shape[1] * groups and not padded:
            text = f"Its kernels have {kernel.shape[1]} channels; the image has {channels} in {groups} groups."
            raise InputError("bad-node", text)
        window = prod(kernel.shape[2:])
        kind = conv_kind(groups, channels, window)
        return Cost(
            kind, call.written * prod(kernel.shape[1:]), call.bias_adds(bias), after * call.written, groups=groups,
            columns=kernel.shape[0] // max(groups, 1), depth=prod(kernel.shape[1:]), window=window,
            stride=prod(call.kwargs.get("strides", ())),
        )  # fmt: skip

    return count


def blocked_conv(call: Call) -> Cost:
    """Count a convolution on blocks of channels, with the sum of its fourth input and its activation."""
    fused = ("activation" in call.kwargs) + (len(call.args) > 3 and call.args[3] is not None)
    return conv(after=fused, padded=True)(call)


def _is_last(call: Call) -> bool:
    return bool(call.kwargs.get("channels_last"))


def conv_transpose(call: Call) -> Cost:
    """Count a transposed convolution: each input element meets kernel × output channels / groups."""
    return Cost("transposed_conv", prod(call.args[0].shape) * prod(call.args[1].shape[1:]), call.bias_adds(2))


def matmul(a: int = 0, b: int = 1, bias: int | None = None, after: int = 0) -> Callable[[Call], Cost]:
    """Return the cost function of numpy.matmul, `linear` where the second operand is a matrix of weights."""

    def count(call: Call) -> Cost:
        left, right, output = call.args[a], call.args[b], call.outputs[0].shape
        depth = left.shape[-2 if call.kwargs.get("transA") else -1]
        kind, adds = _product_kind(left, right), call.bias_adds(bias)
        groups, columns = prod(output[:-2]) if kind == "batched_matmul" else 1, output[-1] if output else 1
        after_product = after * call.written
        return Cost(kind, call.written * depth, adds, after_product, groups=groups, columns=columns, depth=depth)

    return count


def _product_kind(left: Tensor, right: Tensor) -> str:
    if not left.role == right.role == "data" and len(right.shape) <= 2:
        return "linear"
    return "batched_matmul" if max(len(left.shape), len(right.shape)) > 2 else "matmul"


def blockwise_matmul(call: Call) -> Cost:
    """Count a product with packed weights of few bits: `K` and `N` are attributes."""
    columns, depth = int(call.kwargs["N"]), int(call.kwargs["K"])
    params = columns * depth + (columns if call.get(5, "") is not None else 0)
    return Cost("linear", call.written * depth, call.bias_adds(5), elementwise_flops=2 * columns * depth, params=params)


def einsum(call: Call) -> Cost:
    """Count a contraction from left to right, as torch does: sums over one operand first, then a product.

    A product that sums over nothing is elementwise.
    """
    terms, output = _letters(call)
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, call.args, strict=True):
        for letter, size in zip(term, operand.shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    macs = flops = 0
    left = terms[0]
    for position, right in enumerate(terms[1:], 1):
        needed = {letter for term in (output, *terms[position + 1 :]) for letter in term}
        flops += sum(
            prod(sizes[letter] for letter in set(term))
            for term, other in ((left, right), (right, left))
            if set(term) - set(other) - needed
        )
        shared = {letter for letter in {*left, *right} if letter in needed or (letter in left and letter in right)}
        points = prod(sizes[letter] for letter in shared)
        macs, flops = (macs + points, flops) if shared - needed else (macs, flops + points)
        left = tuple(shared & needed)
    if len(terms) == 1 and set(left) - set(output):
        flops += call.args[0].elements
    return Cost("batched_matmul" if macs else "elementwise", macs, elementwise_flops=flops)


def _letters(call: Call) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return the equation's terms and output as letters; dimensions of an ellipsis are named `.0` from the right."""
    equation = str(call.kwargs["equation"]).replace(" ", "")
    if len(equation) > MAX_EQUATION_LETTERS:
        raise InputError("too-large", "Its equation is too long.")
    left, arrow, right = equation.partition("->")
    terms, widest = [], 0
    for term, operand in zip(left.split(","), call.args, strict=True):
        extra = len(operand.shape) - len(term.replace("...", ""))
        widest = max(widest, extra if "..." in term else 0)
        terms.append(_spread(term, extra))
    if arrow:
        return terms, _spread(right, widest)
    flat = [letter for term in terms for letter in term]
    alone = sorted(letter for letter in set(flat) if flat.count(letter) == 1 and letter[0] != ".")
    return terms, (*_spread("...", widest), *alone)


def _spread(term: str, extra: int) -> tuple[str, ...]:
    before, dots, after = term.partition("...")
    return (*before, *(f".{place}" for place in range(extra - 1, -1, -1) if dots), *after)


def attention(call: Call) -> Cost:
    """Count Attention of `(batch, heads, tokens, width)`, or with heads packed in the width of three dimensions.

    Past keys and values (inputs 4 and 5) lengthen the context.
    """
    query, key, value = (_headed(call, position) for position in range(3))
    past = _tokens(call.get(4, ""), -2)
    if past:
        key, value = (_tensor((*t.shape[:-2], t.shape[-2] + past, t.shape[-1])) for t in (key, value))
    sizes = (call.kwargs.get(f"{side}_window_size", -1) for side in ("left", "right"))
    left, right = (None if size < 0 else size for size in sizes)
    span = Span(left, 0 if call.kwargs.get("is_causal") else right, past)
    masked = call.get(3, "") is not None
    return msgspec.structs.replace(fused_attention.attention(query, key, value, span=span), masked=masked)


def _headed(call: Call, position: int) -> Tensor:
    tensor: Tensor = call.args[position]
    if len(tensor.shape) != 3:
        return tensor
    heads = int(call.kwargs["q_num_heads" if position == 0 else "kv_num_heads"])
    batch, tokens, width = tensor.shape
    return _tensor((batch, heads, tokens, width // heads))


def _tensor(shape: tuple[int, ...]) -> Tensor:
    return Tensor(shape, prod(shape))


def packed_attention(past: int) -> Callable[[Call], Cost]:
    """Return the cost function of com.microsoft Attention: projections to queries, keys and values, then attention.

    Past keys and values are input `past`.
    """

    def count(call: Call) -> Cost:
        batch, tokens, depth = call.args[0].shape
        packed, heads = call.args[1].shape[1], int(call.kwargs["num_heads"])
        widths = [int(width) for width in call.kwargs.get("qkv_hidden_sizes", ()) or [packed // 3] * 3]
        keys = tokens + _tokens(call.get(past, ""), 3)
        fused = _of_heads(batch, heads, tokens, keys, widths[0] // heads, widths[2] // heads, _one_way(call))
        adds = batch * tokens * packed if call.get(2, "") is not None else 0
        macs, skipped = fused.macs + batch * tokens * depth * packed, fused.skipped_macs
        return Cost("attention", macs, adds, fused.elementwise_flops, skipped_macs=skipped)

    return count


def unpadded_attention(projected: bool) -> Callable[[Call], Cost]:
    """Return the cost function of com.microsoft PackedAttention, whose tokens of all sequences stand one after another.

    Their lengths are values; the cost is that of sequences of one length. Inputs are `projected` here, or before.
    """

    def count(call: Call) -> Cost:
        first, heads = call.args[0].shape, int(call.kwargs["num_heads"])
        sequences = max(call.args[3 if projected else 4].shape[0], 1)
        widths = [first[-1] if len(first) == 4 else first[-1] // heads] * 3
        macs = adds = 0
        if projected:
            packed = call.args[1].shape[1]
            sizes = [int(width) for width in call.kwargs.get("qkv_hidden_sizes", ()) or [packed // 3] * 3]
            widths, macs = [size // heads for size in sizes], first[0] * first[1] * packed
            adds = first[0] * packed if call.get(2, "") is not None else 0
        elif call.get(2, "") is not None:
            widths[2] = call.args[2].shape[-1] // heads
        length = -(-first[0] // sequences)
        fused = _of_heads(sequences, heads, length, length, widths[0], widths[2], False)
        return Cost("attention", macs + fused.macs, adds, fused.elementwise_flops)

    return count


def _tokens(tensor: Tensor | None, dim: int) -> int:
    """Return the length of keys and values along a dimension; 0 where there are none."""
    return tensor.shape[dim] if isinstance(tensor, Tensor) else 0


def _of_heads(
    batch: int, heads: int, queries: int, keys: int, width: int, value_width: int, causal: bool, window: int = 0
) -> Cost:
    """Count heads whose last query has the position of the last key and meets keys in a `window` before it."""
    query, key = _tensor((batch, heads, queries, width)), _tensor((batch, heads, keys, width))
    span = Span(window - 1 if window > 0 else None, 0, keys - queries) if causal else EVERY_PAIR
    return fused_attention.attention(query, key, _tensor((batch, heads, keys, value_width)), span=span)


def _one_way(call: Call) -> bool:
    return bool(call.kwargs.get("unidirectional"))


def multi_head_attention(past: int) -> Callable[[Call], Cost]:
    """Return the cost function of com.microsoft MultiHeadAttention, whose past keys are input `past`.

    Queries are `(batch, tokens, width)`, or with keys and values `(batch, tokens, heads, 3, width)`; keys are alike, or
    `(batch, heads, tokens, width)`, or with values `(batch, tokens, heads, 2, width)`.
    """

    def count(call: Call) -> Cost:
        (query, key, value), heads = (call.get(position, "") for position in range(3)), int(call.kwargs["num_heads"])
        batch, tokens = query.shape[:2]
        width = query.shape[-1] if len(query.shape) == 5 else query.shape[-1] // heads
        keys = tokens if key is None else key.shape[2 if len(key.shape) == 4 else 1]
        value_width = width if value is None else value.shape[-1] if len(value.shape) == 4 else value.shape[-1] // heads
        keys += _tokens(call.get(past, ""), 2)
        return _of_heads(batch, heads, tokens, keys, width, value_width, _one_way(call))

    return count


def grouped_query_attention(call: Call) -> Cost:
    """Count com.microsoft GroupQueryAttention, which is causal: queries, keys, values in one or apart, after past."""
    batch, tokens, packed = call.args[0].shape
    heads, kv_heads = int(call.kwargs["num_heads"]), int(call.kwargs["kv_num_heads"])
    width = packed // (heads if call.get(1, "") is not None else heads + 2 * kv_heads)
    keys = (_tokens(call.get(1, ""), 1) or tokens) + _tokens(call.get(3, ""), 2)
    window = int(call.kwargs.get("local_window_size", -1))
    return _of_heads(batch, heads, tokens, keys, width, width, True, window)


def experts(weights: tuple[int, ...], bits: bool = False) -> Callable[[Call], Cost]:
    """Return the cost function of a mixture of experts: each token meets `k` of them. Weights may be packed."""

    def count(call: Call) -> Cost:
        per_element = 8 // int(call.kwargs.get("expert_weight_bits", 4)) if bits else 1
        matrices = [call.args[at] for at in weights if at < len(call.args) and call.args[at] is not None]
        tokens, chosen = prod(call.args[0].shape[:-1]), int(call.kwargs.get("k", 1))
        each = per_element * sum(prod(matrix.shape[1:]) for matrix in matrices)
        params = per_element * sum(prod(matrix.shape) for matrix in matrices)
        idle = 1 - chosen / matrices[0].shape[0] if matrices else 0.0
        return Cost("grouped_matmul", tokens * chosen * each, params=params if bits else None, idle=idle)

    return count


def fourier(call: Call) -> Cost:
    """Count DFT: 5 n log2 n operations for n complex points along the axis, half of them for real ones.

    Its points are those that it writes (`dft_length` pads or cuts); where half of them are, twice as many but two.
    """
    x, axis = call.args[0], int(call.kwargs.get("axis", 1))
    half, points = bool(call.kwargs.get("onesided")), max(x.shape[axis], 1)
    if call.get(1, "") is not None and call.outputs and len(call.outputs[0].shape) == len(x.shape):
        written = call.outputs[0].shape[axis]
        points = max(2 * (written - 1) if half else written, 1)
    others = prod(x.shape[:-1]) // max(x.shape[axis], 1)
    each = 2.5 if x.shape[-1] == 1 or half else 5
    return Cost("fft", elementwise_flops=round(each * others * points * log2(points)))


def short_fourier(call: Call) -> Cost:
    """Count STFT: a window and a transform for each frame; half of the bins are written of a real one."""
    *frames, bins, _ = call.outputs[0].shape
    window = call.get(2, "")
    points = window.shape[0] if window is not None else 2 * (bins - 1) if call.kwargs.get("onesided", 1) else bins
    each = 2.5 if call.args[0].shape[-1] == 1 else 5
    return Cost("fft", elementwise_flops=round(prod(frames) * points * (1 + each * log2(max(points, 2)))))


def recurrent(call: Call) -> Cost:
    """Count LSTM, GRU or RNN: weights and recurrence weights of all directions meet every step of a sequence once.

    Gates cost five operations an element for each of the two, as in the torch trace. Weights are `(directions, gates,
    inputs)`, those of com.microsoft's quantized one `(directions, inputs, gates)`.
    """
    data, weight, recurrence = call.args[:3]
    steps = data.shape[0] * data.shape[1]
    bias = call.get(3, "")
    macs = steps * (prod(weight.shape) + prod(recurrence.shape))
    gates = 2 * prod(weight.shape) // (weight.shape[1] if call.name == "DynamicQuantizeLSTM" else weight.shape[2])
    return Cost("recurrent", macs, steps * prod(bias.shape) if bias is not None else 0, 5 * steps * gates)


def lrn(call: Call) -> Cost:
    """Count a square, size - 1 additions, scale, add, power and divide per element."""
    return Cost("local_response_norm", elementwise_flops=call.args[0].elements * (int(call.kwargs["size"]) + 4))


def pool(kind: str, each: int, less: int = 0) -> Callable[[Call], Cost]:
    """Return the cost of `each` operations per element of the window, less `less` per output."""
    return lambda call: Cost(kind, elementwise_flops=call.written * (each * prod(call.kwargs["kernel_shape"]) - less))


def resize(call: Call) -> Cost:
    """Count interpolation along the dimensions that change: 3, 9 or 21 operations if linear, 35 if cubic."""
    mode = str(call.kwargs.get("mode", "nearest"))
    changed = sum(before != after for before, after in zip(call.args[0].shape, call.outputs[0].shape, strict=True))
    each = 35 if mode == "cubic" else (0, 3, 9, 21)[min(changed, 3)] if mode in ("linear", "bilinear") else 0
    return Cost("upsample", elementwise_flops=each * call.written)


def grid_sample(call: Call) -> Cost:
    """Count interpolation between the neighbors of every position in the grid."""
    mode = str(call.kwargs.get("mode", "linear"))
    each = 0 if mode == "nearest" else 35 if "cubic" in mode else 21 if len(call.args[0].shape) == 5 else 9
    return Cost("upsample", elementwise_flops=each * call.written)


def gather(call: Call) -> Cost:
    """Count a look-up, which reads as much as it writes; in a table of weights it is an embedding."""
    table = call.args[0]
    is_embedding = table.role == "weight" and table.floating and len(table.shape) == 2
    return Cost("embedding" if is_embedding else "gather", reads=call.written)


def gather_quantized(call: Call) -> Cost:
    """Count GatherBlockQuantized: a look-up in a table, whose last dimension may be packed, times scales of its blocks.

    What is shifted before has a zero point, or bytes.
    """
    table, written = call.args[0], call.outputs[0]
    axis = int(call.kwargs.get("gather_axis", 0)) % len(table.shape)
    each = written.shape[-1] // table.shape[-1] if axis < len(table.shape) - 1 else 1  # elements in one that is held
    flops = call.written * (1 + (call.get(3, "") is not None or table.dtype == _UINT8))
    kind = "embedding" if table.role == "weight" and len(table.shape) == 2 else "gather"
    return Cost(kind, elementwise_flops=flops, reads=call.written // each, params=prod(table.shape) * each)


_UINT8 = "2"
"""The number of the type in ONNX files."""


def scatter(call: Call) -> Cost:
    """Count a copy with some elements replaced or added to."""
    adds = str(call.kwargs.get("reduction", "none")) != "none"
    return Cost("copy", elementwise_flops=call.args[2].elements if adds else 0)


def suppression(call: Call) -> Cost:
    """Count the sorting of non-maximum suppression; comparisons of boxes depend on the data."""
    scores = call.args[1]
    return Cost("sort", elementwise_flops=round(scores.elements * max(1.0, log2(max(scores.shape[-1], 1)))))


def variadic(call: Call) -> Cost:
    """Count one operation for each further input; a mean divides once more."""
    each = len(call.args) - 1 + (call.name == "Mean")
    return Cost("elementwise", elementwise_flops=each * call.written)


def embedded(call: Call) -> Cost:
    """Count EmbedLayerNormalization: two or three look-ups, their sum, a layer normalization."""
    return Cost("embedding", elementwise_flops=9 * call.written)
