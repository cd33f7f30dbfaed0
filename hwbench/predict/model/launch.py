"""What one op launches at a batch and a dtype: a kernel of a family, with its counts, product and layout."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hwbench.dtypes import BITS
from hwbench.predict.model.latest import latest
from hwbench.workload.ops import Op, Shape, Workload

Number = Any
"""A float, or a numpy array of floats."""

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
"""Family of kernels of each kind of op; other kinds are taken to move memory only."""

UNKNOWN = "unknown"
TILED = ("conv", "pointwise", "linear", "batched", "stem", "recurrent")
HEAVY = frozenset((*TILED, "grouped", "depthwise", "attention"))
CONVOLUTIONS = frozenset(("conv", "pointwise", "grouped", "depthwise", "stem"))
"""Families with multiply-adds; TILED are those that compute tile by tile of the result."""
_RECURRENT = ("lstm", "gru", "rnn")
_VARIANTS = {3: "conv", 4: "volume", 2: "signal"}
"""Convolutions of windows by the dimensions of their results: of images, of volumes, of signals."""
_FUNCTIONS = (
    {"gelu": "erf"}
    | dict.fromkeys(("sigmoid", "tanh", "silu", "exp"), "exp")
    | dict.fromkeys(("elu", "mish", "softplus", "log", "log1p", "expm1", "log_sigmoid_forward"), "log")
)
"""Elementwise ops whose functions take many instructions, few or many of them vectorized."""
NARROW = 16
"""Channels in a group below which no kernel has a vector of them."""
WIDE = 49
"""Positions beyond which kernels of depthwise convolutions keep no window in registers."""
RECURRENT_CELLS = ("lstm", "gru", "rnn", "cell", "recurrent")
"""Variants whose overhead is that of their steps."""
_APART = (*RECURRENT_CELLS, "batch_norm")
"""Variants that do more in the forward pass of a training step: they keep gates, and take statistics."""
_GROUPS = (
    dict.fromkeys(("max_pool", "avg_pool", "upsample", "upsample_backward", "interpolated"), "pool")
    | dict.fromkeys(("exp", "log", "erf", "broadcast"), "map")
    | {"narrow": "grouped", "transposed_narrow": "transposed"}
)
"""Variants that share factors in backward passes."""
_EPILOGUES = ("map", "exp", "log", "erf", "batch_norm", "broadcast")
"""Variants that runtimes may compute on the result of a product before it is stored."""
_ORDERED = ("map", "exp", "erf", "copy", "cast")
"""Families that are as fast as memory only if all tensors have the same order."""
FUSED_RANK = 4
SMALL, SMALL_SIDE = 20480, 3
"""Elements of an image (of a volume's planes) and side of the window up to which torch convolves one without oneDNN."""
UNSTATED = 256
"""Columns and depth of products whose shapes are not known."""
PER_SAMPLE = ("batched_matmul", "attention", "attention_backward")
"""Kinds of ops whose products are those of the samples: a batch adds products, not rows."""
_GROWING = (
    "macs", "elementwise_flops", "input_elements", "output_elements", "fixed_input_bytes", "fixed_output_bytes",
    "fused_elements", "fused_bytes",
)  # fmt: skip


class Counts(Struct, frozen=True):
    """FLOP, bytes and elements of one launch for the whole batch.

    `elements` are written; `saved_bytes` is the traffic that a fusing compiler avoids, `biased_bytes` the result of a
    convolution to which a bias is added.
    """

    flops: Number
    elementwise_flops: Number
    input_bytes: Number
    weight_bytes: Number
    output_bytes: Number
    elements: Number
    saved_bytes: Number
    biased_bytes: Number


class Product(Struct, frozen=True):
    """The shape of an op's matrix products: `rows` × `columns` results in each of `groups` sum over `depth`."""

    rows: Number
    columns: Number
    depth: Number
    groups: Number


class Layout(Struct, frozen=True):
    """How an op walks over its tensors and how they lie in memory.

    `window` counts positions, 9 for 3×3. `half` is for elements of the first input in two bytes or fewer, `strided` for
    tensors in different orders. `positions` are those that an upsampling kernel has a thread for, 0 for other kernels.
    `inside` is the share of a window that lies within the image in the mean, if it is padded to keep its size.
    """

    window: Number
    stride: Number
    channels_last: Number
    strided: Number
    half: Number
    positions: Number
    inside: Number = 1.0


class Place(Struct, frozen=True):
    """What the others tell of an op: whether it maps the result of a product, and elements that enter or leave at it.

    `trained` says that it is part of a training step. `edge` counts those that come as an image in the order of its
    channels, or leave so, before and after convolutions.
    """

    epilogue: bool = False
    edge: float = 0.0
    trained: bool = False


ALONE = Place()
"""The place of an op without neighbors."""


class Launch(Struct, frozen=True):
    """One of `count` launches of an op that are alike.

    `variant` is finer than the family: which convolution, which arithmetic. `fused` says that a fusing compiler merges
    it into another launch, `epilogue` that it maps the result of a product, `edge` how many elements are reordered at
    an end of the network, `steps` how often a recurrent layer runs through its weights, `plain` that it convolves one
    small image or volume. Of attention: `masked`, `unfused` if its scores reach memory, `backward`. `group` is that
    of an op of a training step.
    """

    family: str
    count: Number
    counts: Counts
    product: Product
    layout: Layout
    fused: Number
    masked: Number
    unfused: Number
    backward: Number
    variant: str = ""
    epilogue: Number = False
    steps: Number = 0.0
    plain: Number = False
    edge: Number = 0.0
    group: str = ""


def family_of(op: Op) -> str:
    """Return the family of the kernel that an op launches."""
    name = FAMILIES.get(op.kind.removesuffix("_backward"), UNKNOWN)
    if op.macs:
        if name == "conv" and op.window > 1 and 0 < op.depth <= 4 * op.window:
            return "stem"  # an image of three channels starves the matrix engine
        if name == "grouped" and op.depth <= 2 * op.window:
            return "depthwise"
        return "linear" if name == UNKNOWN else name
    return UNKNOWN if name in HEAVY else _light_family(op, name)  # a heavy one without products only moves memory


def _light_family(op: Op, name: str) -> str:
    """Return the family of a kernel without multiply-adds, whose kind of op belongs to the family `name`."""
    if name == "map":
        function = _function(op)
        name = "exp" if function == "log" else function
    weights, inputs = op.weight_elements + op.fixed_weight_bytes, op.input_elements + op.fixed_input_bytes
    if name == "batch_norm" and weights and not inputs:
        return "group_norm"  # of weights: their statistics come first
    if op.strided and name in _ORDERED:
        return "strided"
    return "broadcast" if name in ("map", "exp") and op.broadcast else name


def _function(op: Op) -> str:
    """Return what an elementwise op computes: `erf`, an `exp`, a `log` or like it, or a `map` of few instructions."""
    kind, name = op.kind.removesuffix("_backward"), op.name.rpartition(":")[2].rstrip("_")
    return _FUNCTIONS.get(name if kind == "elementwise" else kind, "map")


def _recurrent(op: Op) -> str:
    """Return which cell a recurrent layer repeats; one alone is a kind of its own."""
    name = op.name.rpartition(":")[2]
    return (
        "cell" if name.endswith("_cell") else next((cell for cell in _RECURRENT if name.startswith(cell)), "recurrent")
    )


_FINER: dict[str, Callable[[Op], str]] = {
    "conv": lambda op: _VARIANTS.get(len(op.output_shape), "conv"),
    "grouped": lambda op: "narrow" if op.depth < NARROW * op.window else "grouped",
    "depthwise": lambda op: "multiplied" if op.columns > 1 else "wide" if op.window > WIDE else "depthwise",
    "recurrent": _recurrent,
    "copy": lambda op: "shuffled" if op.name.endswith(("pixel_shuffle", "pixel_unshuffle")) else "copy",
    "pool": lambda op: (
        "interpolated" if op.kind == "upsample" and op.elementwise_flops > 4 * _elements(op) else op.kind
    ),
    "reduce": lambda op: "moment" if op.name.endswith(("var", "std", "var_mean", "vector_norm")) else "reduce",
    "row_norm": lambda op: "turned" if op.strided and not op.channels_last else "row_norm",
    "batch_norm": lambda op: "batch_norm" if op.weight_elements + op.fixed_weight_bytes else "group_norm",
    "exp": _function,
}
"""What tells the kernels of a family apart on a CPU. The norm of a batch without weights needs its statistics first."""


def variant_of(op: Op, family: str = "") -> str:
    """Return what an op computes where its family, if known already, has several kernels on a CPU, else the family."""
    family = family or family_of(op)
    if op.kind == "transposed_conv" and op.macs:
        return "transposed" if op.depth >= NARROW or op.groups == 1 else "transposed_narrow"
    return _FINER[family](op) if family in _FINER else family


def group_of(op: Op) -> str:
    """Return the operators of a training step that an op shares factors with: by pass and kernel, or its optimizer."""
    name, variant = op.name.rpartition(":")[2], variant_of(op)
    if op.part == "optimizer":
        return name if op.kind == "optimizer" else ""
    if op.part != "backward":
        return f"forward {variant}" if variant in _APART else "forward"
    if op.kind == "norm_backward":
        return name.removeprefix("native_").removesuffix("_backward")
    return "transposed" if op.kind.startswith("transposed") else _GROUPS.get(variant, variant)


def places(ops: Sequence[Op]) -> list[Place]:
    """Return the place of each op in its network."""
    edges, heavy = [0.0] * len(ops), [k for k, op in enumerate(ops) if op.macs and op.part == "forward"]
    for k in {*heavy[:1], *heavy[-1:]}:
        if family_of(ops[k]) in CONVOLUTIONS:
            image, last = len(ops[k].output_shape), ops[-1]
            out = _elements(last) if k == heavy[-1] and len(last.output_shape) == image else 0.0
            edges[k] = (ops[k].input_elements * (k == heavy[0]) + out) / ops[k].count
    trained = any(op.part != "forward" for op in ops)
    return [Place(*pair, trained) for pair in zip(epilogues(ops), edges, strict=True)]


def epilogues(ops: Sequence[Op]) -> list[bool]:
    """Return which ops map the result of the product before them, alone or after others that do.

    Ops that are alike are listed once, where the first of them runs, which stands for all.
    """
    result, elements = [], 0.0
    for op in ops:
        if op.macs:
            elements = _elements(op)
            result.append(False)
            continue
        if _elements(op) != elements or variant_of(op) not in _EPILOGUES:
            elements = 0.0
        result.append(elements > 0.0)
    return result


def _interpolated(op: Op) -> int:
    """Return the positions that an upsampling kernel has a thread for, each for all images and channels; else 0.

    torch's kernel works so for channels first if it mixes neighbors (more than 4 operations an element).
    """
    shape = op.output_shape
    return 0 if len(shape) < 3 or op.channels_last else shape[-1] * shape[-2]


def _elements(op: Op) -> float:
    """Return the elements that one sample's launch writes; a shape may have two samples folded into it.

    Ops of mixed precision count bytes alone, and in their own dtype where they multiply and add.
    """
    if op.output_elements:
        return op.output_elements
    return op.fixed_output_bytes * 8 / BITS[op.dtype] if op.macs and op.dtype else prod(op.output_shape)


def _fuses(op: Op) -> bool:
    """Return whether torch has one kernel for an attention: its tensors are batch × heads × tokens × width.

    A shape lacks the batch, unless windows are folded into it: then it has more than one sample's heads. Two dimensions
    are those of a network file, which has the heads in the width.
    """
    shape = op.output_shape
    return len(shape) <= 2 or len(shape) + (prod(shape[:-2]) == op.groups) == FUSED_RANK


def _has_bias(op: Op, size: float) -> bool:
    """Return whether a convolution adds a bias: whether it has more weights than its product has."""
    if not (op.macs and op.kind.endswith("conv") and op.columns and op.depth):
        return False
    size = BITS[op.dtype] / 8 if op.dtype else size
    return op.weight_elements + op.fixed_weight_bytes / size > op.columns * op.depth * op.groups


def ops_of_one(workload: Workload) -> tuple[Op, ...]:
    """Return a network's ops as those of one sample, also where they were counted for several at once."""
    return tuple(_of_one(op, workload.samples) for op in workload.ops) if workload.samples > 1 else workload.ops


def _of_one(op: Op, samples: int) -> Op:
    if op.constant:
        return op
    fields: dict[str, Any] = {name: getattr(op, name) / samples for name in _GROWING}
    if op.kind in PER_SAMPLE:
        fields["groups"] = op.groups / samples
    image = op.kind.endswith(("conv", "conv_backward"))  # of which each step of an accumulated gradient has some
    shape = op.output_shape[1:] if image else _shape_of_one(op.output_shape, samples)
    return replace(op, output_shape=shape, **fields)


def _shape_of_one(shape: Shape, samples: int) -> Shape:
    """Return a shape without the dimension of the batch, or with a sample's part of the first that may hold it."""
    for k, size in enumerate(shape):
        if size % samples == 0:
            return shape[:k] + ((size // samples,) if size > samples else ()) + shape[k + 1 :]
    return shape


@latest(4)
def launches_of(workload: Workload, batch: int, bits: int) -> tuple[Launch, ...]:
    """Return the launches of a network's ops, in their order. Raises InputError for a batch that was not traced."""
    samples = workload.repeats(batch) * workload.samples
    return tuple(_repeated(launch, op, samples) for launch, op in _of_a_sample(workload, bits))


@latest(2)
def _of_a_sample(workload: Workload, bits: int) -> tuple[tuple[Launch, Op], ...]:
    ops = ops_of_one(workload)
    return tuple((_launch_of(op, bits, place), op) for op, place in zip(ops, places(ops), strict=True))


def launch_of(op: Op, samples: Number, bits: int, place: Place = ALONE) -> Launch:
    """Return the launch of an op for `samples` samples (a number or an array) whose elements take `bits` bits each."""
    return _repeated(_launch_of(op, bits, place), op, samples)


def _repeated(launch: Launch, op: Op, samples: Number) -> Launch:
    """Return the launch of an op for `samples` samples, from the one of a sample."""
    plain = (samples == 1) & launch.plain
    if op.constant:
        return replace(launch, plain=plain)
    counts, product = launch.counts, launch.product
    counts = Counts(
        counts.flops * samples,
        counts.elementwise_flops * samples,
        counts.input_bytes * samples,
        counts.weight_bytes,
        counts.output_bytes * samples,
        counts.elements * samples,
        counts.saved_bytes * samples,
        counts.biased_bytes * samples,
    )
    if op.macs and op.kind in PER_SAMPLE:
        product = replace(product, groups=product.groups * samples)
    elif op.macs:
        product = replace(product, rows=product.rows * samples)
    return replace(launch, counts=counts, product=product, plain=plain, edge=launch.edge * samples)


def _launch_of(op: Op, bits: int, place: Place) -> Launch:
    """Return the launch of an op for one sample."""
    size = bits / 8
    family, output_bytes = family_of(op), op.output_elements * size + op.fixed_output_bytes
    variant = variant_of(op, family)
    return Launch(
        family=family,
        count=op.count,
        counts=Counts(
            flops=2 * op.macs,
            elementwise_flops=op.elementwise_flops,
            input_bytes=op.input_elements * size + op.fixed_input_bytes,
            weight_bytes=op.weight_elements * size + op.fixed_weight_bytes,
            output_bytes=output_bytes,
            elements=_elements(op),
            saved_bytes=op.fused_elements * size + op.fused_bytes,
            biased_bytes=output_bytes if _has_bias(op, size) else 0.0,
        ),
        product=_product(op),
        layout=Layout(
            window=op.window or 1,
            stride=op.stride,
            channels_last=op.channels_last,
            strided=op.strided,
            half=(op.dtype in ("fp16", "bf16")) if op.dtype else bits <= 16,
            positions=_interpolated(op) if variant == "interpolated" else 0,
            inside=_inside(op),
        ),
        fused=op.fused,
        masked=op.masked,
        unfused=op.kind.startswith("attention") and not _fuses(op),
        backward=op.part == "backward" or op.kind.endswith("_backward"),
        variant=variant,
        epilogue=place.epilogue,
        edge=place.edge,
        group=group_of(op) if place.trained else "",
        plain=family in CONVOLUTIONS and _is_small(op),
        steps=op.macs / op.weight_elements if op.kind == "recurrent" and op.weight_elements else 0.0,
    )


def _is_small(op: Op) -> bool:
    """Return whether torch convolves one sample of a convolution on one thread without oneDNN."""
    sides = len(op.output_shape) - 1
    if op.groups > 1 or not 1 <= sides <= 3:
        return False
    rows = op.output_shape[-1] if sides == 3 else 1
    return op.input_elements <= SMALL * rows and (sides == 1 or op.window <= SMALL_SIDE**sides)


def _inside(op: Op) -> float:
    """Return the share of the windows' positions within the image, padded on all sides by half a window."""
    sides = len(op.output_shape) - 1
    if op.window <= 1 or op.stride >= op.window or not 1 <= sides <= 3 or op.kind == "transposed_conv" or not op.macs:
        return 1.0
    side, step = op.window ** (1 / sides), op.stride ** (1 / sides)
    reach, share = (side - 1) / 2, 1.0
    for outputs in op.output_shape[1:]:
        length = outputs * step
        near = min(reach, length - 1)
        share *= (near * (near + 1) + 2 * (length - 1 - near) * reach + length) / (side * length)
    return min(share, 1.0)


def _product(op: Op) -> Product:
    """Return the shape of an op's products for one sample."""
    if not op.macs:
        return Product(rows=0, columns=op.columns, depth=op.depth, groups=op.groups)
    columns, depth = op.columns or UNSTATED, op.depth or UNSTATED
    return Product(rows=op.macs / (op.groups * columns * depth), columns=columns, depth=depth, groups=op.groups)
