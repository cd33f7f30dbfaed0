"""A kernel as the time model sees it: what an op launches at a batch and a dtype, and of which family it is."""

from typing import Any

from msgspec import Struct

from hwbench.workload.ops import Op

FAMILIES: dict[str, str] = {
    "conv": "conv",
    "transposed_conv": "conv",
    "bilinear": "linear",
    "pointwise_conv": "pointwise",
    "grouped_conv": "grouped",
    "depthwise_conv": "depthwise",
    "linear": "linear",
    "matmul": "linear",
    "recurrent": "recurrent",
    "batched_matmul": "batched",
    "grouped_matmul": "batched",
    "attention": "attention",
    "elementwise": "map",
    "add": "map",
    "relu": "map",
    "relu6": "map",
    "sigmoid": "map",
    "tanh": "map",
    "silu": "map",
    "scale": "map",
    "position_embedding": "map",
    "fill": "map",
    "gelu": "erf",
    "batch_norm": "batch_norm",
    "cast": "cast",
    "copy": "copy",
    "gather": "copy",
    "embedding": "copy",
    "class_token": "copy",
    "strided_copy": "strided",
    "layer_norm": "row_norm",
    "rms_norm": "row_norm",
    "group_norm": "group_norm",
    "local_response_norm": "group_norm",
    "softmax": "softmax",
    "max_pool": "pool",
    "avg_pool": "pool",
    "upsample": "pool",
    "reduction": "reduce",
    "global_avg_pool": "reduce",
}
"""The family of kernels that each kind of op belongs to; kinds that are not here are moved memory and no more."""

UNKNOWN = "unknown"
TILED = ("conv", "pointwise", "linear", "batched", "stem", "recurrent")
HEAVY = frozenset((*TILED, "grouped", "depthwise", "attention"))
CONVOLUTIONS = frozenset(("conv", "pointwise", "grouped", "depthwise", "stem"))
"""Families with multiply-adds; TILED are those that compute tile by tile of the result."""
_ORDERED = ("map", "erf", "copy", "cast")
"""Families that are as fast as memory only where all tensors lie in the same order."""
UNSTATED = 256
"""Columns and depth of products whose shapes are not known."""


class Launch(Struct):
    """Counts of one launch for the whole batch; any number may be an array. Bytes and FLOP are those of one launch.

    `rows` × `columns` results sum over `depth` in each of `groups` products. `elements` are written; `saved_bytes` and
    `fused` are what a fusing compiler makes of it; `unfused` is attention whose scores reach memory, `positions` those
    of `_interpolated`. `half` says that elements of the first input take two bytes or less.
    """

    family: str
    count: Any
    flops: Any
    elementwise_flops: Any
    input_bytes: Any
    weight_bytes: Any
    output_bytes: Any
    elements: Any
    rows: Any
    columns: Any
    depth: Any
    groups: Any
    window: Any
    stride: Any
    channels_last: Any
    strided: Any
    masked: Any
    unfused: Any
    half: Any
    saved_bytes: Any
    fused: Any
    positions: Any
    backward: Any = False


def family(op: Op) -> str:
    """The family of kernels that an op launches one of."""
    found = FAMILIES.get(op.kind.removesuffix("_backward"), UNKNOWN)
    if op.macs:
        if found == "conv" and op.window > 1 and 0 < op.depth <= 4 * op.window:
            return "stem"  # an image of three channels starves the matrix engine
        if found == "grouped" and op.depth <= 2 * op.window:
            return "depthwise"
        return "linear" if found == UNKNOWN else found
    if found == "map" and op.name.endswith(":gelu"):
        found = "erf"
    if op.strided and found in _ORDERED:
        return "strided"
    return "broadcast" if found == "map" and op.broadcast else found


def _interpolated(op: Op, elements: int) -> int:
    """Positions that an upsampling kernel has a thread for, each for all images and channels; 0 for other kernels.

    So works torch's kernel for channels first that mixes neighbors (more than 4 operations an element).
    """
    shape = op.output_shape
    if op.kind != "upsample" or len(shape) < 3 or op.channels_last or op.elementwise_flops <= 4 * elements:
        return 0
    return shape[-1] * shape[-2]


def launch(op: Op, samples: Any, bits: int) -> Launch:
    """The kernel of an op for `samples` samples (a number or an array) whose elements take `bits` bits each."""
    times = 1 if op.constant else samples
    size = bits / 8
    rows: Any = 0
    groups: Any = op.groups
    columns, depth = op.columns, op.depth
    if op.macs:
        columns, depth = columns or UNSTATED, depth or UNSTATED
        rows = op.macs / (op.groups * columns * depth)
        if op.kind in ("batched_matmul", "attention", "attention_backward"):
            groups = op.groups * times
        else:
            rows = rows * times
    shape = op.output_shape
    elements = 1
    for extent in shape:
        elements *= extent
    return Launch(
        family(op),
        op.count,
        2 * op.macs * times,
        op.elementwise_flops * times,
        (op.input_elements * size + op.fixed_input_bytes) * times,
        op.weight_elements * size + op.fixed_weight_bytes,
        (op.output_elements * size + op.fixed_output_bytes) * times,
        elements * times,
        rows,
        columns,
        depth,
        groups,
        op.window or 1,
        op.stride,
        op.channels_last,
        op.strided,
        op.masked,
        len(shape) > 3,
        (op.dtype in ("fp16", "bf16")) if op.dtype else bits <= 16,
        (op.fused_elements * size + op.fused_bytes) * times,
        op.fused,
        _interpolated(op, elements),
        op.kind.endswith("_backward"),
    )
