"""Costs of kernels by the shapes of their tensors: one function per family of torch operators.

Pure: torch is not imported. `aten.py` assigns operators to families and names the references.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hwbench.workload.shapes import advance, conv_kind

Role = Literal["data", "weight", "constant"]

PRODUCTS = "m·n·k of a product of m×k by k×n (Golub and Van Loan, Matrix Computations, section 1.1.11: two FLOP each)"
CONVOLUTIONS = "kernel × channels / groups for each output (Dumoulin and Visin, arXiv:1603.07285)"
ELEMENTS = "adds, multiplies, compares and transcendental functions of one element, counted in elementwise.py's way"
BATCH_NORM = "Ioffe and Szegedy, arXiv:1502.03167: at inference a multiply-add by per-channel constants"
LAYER_NORM = "Ba et al., arXiv:1607.06450: see elementwise.layer_norm"


class Tensor(Struct, frozen=True):
    """A tensor of a kernel: `elements` are the distinct ones (an expanded dimension is read once).

    Those of a `sparse` one are the elements that it holds.
    """

    shape: tuple[int, ...]
    elements: int
    floating: bool = True
    contiguous: bool = True
    role: Role = "data"
    dtype: str = "float32"
    sparse: bool = False


class Call(Struct, frozen=True):
    """One call of an operator, such as `aten.mm`, with tensors reduced to what the formulas need.

    `samples` are those of the run: weights that only some of them touch are counted for one.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[Tensor, ...]
    samples: int = 1

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """Return an argument by position or keyword."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)

    @property
    def written(self) -> int:
        """Elements of the first output."""
        return self.outputs[0].elements if self.outputs else 0

    def bias_adds(self, position: int | None, name: str = "") -> int:
        """Return the additions of a bias in this argument: one for each element written, if there is one."""
        return 0 if position is None or self.get(position, name) is None else self.written


class Cost(Struct, frozen=True):
    """Work of a call: multiply-accumulates, bias additions, other arithmetic, and its kind of kernel.

    `idle` is the share of experts that a token does not use, `skipped_macs` those of pairs that attention leaves out.

    `reads` replaces the elements of its first tensor (a table of which some rows are read), `reads_second` those of its
    second (experts of which some run). `params` are those of packed weights, whose shape does not tell. The last fields
    are those of `Op`; `groups` are those of the whole call.
    """

    kind: str
    macs: int = 0
    bias_adds: int = 0
    elementwise_flops: int = 0
    reads: int | None = None
    reads_second: int | None = None
    params: int | None = None
    groups: int = 1
    columns: int = 0
    depth: int = 0
    window: int = 0
    stride: int = 1
    masked: bool = False
    idle: float = 0.0
    skipped_macs: int = 0


def joined(costs: list[Cost]) -> Cost:
    """Return the cost of several calls in one kernel, such as of sequences of different lengths."""
    names = ("macs", "bias_adds", "elementwise_flops", "skipped_macs") if len(costs) > 1 else ()
    return msgspec.structs.replace(costs[0], **{name: sum(getattr(cost, name) for cost in costs) for name in names})


class Formula(Struct, frozen=True):
    """How to count an operator, and the source of the count.

    `params` are the inputs that can be trainable parameters (None: any); `open_ended` states that the shape of the
    output depends on the data, so that the count does not use it.
    """

    cost: Callable[[Call], Cost]
    reference: str
    params: tuple[int, ...] | None = None
    open_ended: bool = False


def elements_of(tensor: Tensor) -> int:
    """Return how many elements take part in a product: all but those that a sparse tensor leaves out."""
    return tensor.elements if tensor.sparse else prod(tensor.shape)


def product(a: Tensor, b: Tensor, written: int, bias: bool = False) -> Cost:
    """Count a product of matrices, batched from three dimensions on; `linear` where one of them is a weight.

    Each element that a sparse one holds meets a row of the other, on average of those that this holds.
    """
    kind = "batched_matmul" if len(a.shape) > 2 else "linear" if "weight" in (a.role, b.role) else "matmul"
    return Cost(
        kind,
        macs=elements_of(a) * elements_of(b) // max(prod(b.shape[:-1]), 1),
        bias_adds=written if bias else 0,
        groups=prod(a.shape[:-2]),
        columns=b.shape[-1],
        depth=a.shape[-1],
    )


def mm(call: Call) -> Cost:
    """Count the product of the first two arguments."""
    return product(call.args[0], call.args[1], call.written)


def addmm(call: Call) -> Cost:
    """Count a product and an addition to it."""
    return product(call.args[1], call.args[2], call.written, bias=True)


def vector_product(call: Call) -> Cost:
    """Count the product of a matrix or vector and a vector."""
    operands = call.args[1:] if call.name == "aten.addmv" else call.args
    adds = call.written if call.name == "aten.addmv" else 0
    return Cost("matmul", macs=elements_of(operands[0]), bias_adds=adds, columns=1, depth=operands[0].shape[-1])


def linear(call: Call) -> Cost:
    """Count a fully connected layer in one call."""
    columns, depth = prod(call.args[1].shape[:-1]), call.args[1].shape[-1]
    return Cost("linear", call.written * depth, call.bias_adds(2, "bias"), columns=columns, depth=depth)


def packed_linear(call: Call) -> Cost:
    """Count a product with packed weights, whose shape does not tell their rows."""
    columns, depth = call.outputs[0].shape[-1], call.args[0].shape[-1]
    return Cost("linear", call.written * depth, columns=columns, depth=depth)


def grouped_mm(call: Call, first: int = 0) -> Cost:
    """Count a product whose rows of `a` belong to groups of `b` (mixture of experts): each meets one group's matrix.

    Of the groups, no more are read than one sample has rows; a larger batch may read more.
    """
    a, b = call.args[first : first + 2]
    macs = a.shape[-2] * a.shape[-1] * b.shape[-1]
    if len(a.shape) == len(b.shape) == 3:
        return Cost("grouped_matmul", macs=a.shape[0] * macs)
    if len(b.shape) == 2:  # groups along the columns of b, or along the summed dimension as in a weight gradient
        return Cost("grouped_matmul", macs=macs)
    experts = min(b.shape[0], max(1, a.shape[0] // call.samples))
    return Cost("grouped_matmul", macs=macs, reads_second=experts * b.shape[1] * b.shape[2])


def grouped_mm_backward(call: Call) -> Cost:
    """Count the gradients of both operands, one product each."""
    return Cost("grouped_matmul_backward", macs=len(call.outputs) * grouped_mm(call, first=1).macs)


def trilinear(call: Call) -> Cost:
    """Count the product of the first two operands, summed as early as possible, with the third.

    Each operand lacks the dimensions that it is expanded over; work is over all that either operand of a product has.
    """
    operands, missing, summed = call.args[:3], call.args[3:6], call.args[6]
    dims = len(operands[0].shape) + len(missing[0])
    present = [[d for d in range(dims) if d not in absent] for absent in missing]
    sizes: dict[int, int] = {}
    for own, operand in zip(present, operands, strict=True):
        sizes |= zip(own, operand.shape, strict=True)
    first = {*present[0], *present[1]}
    second = {d for d in first if d not in summed or d in present[2]} | {*present[2]}
    return Cost("bilinear", macs=sum(prod(sizes[d] for d in over) for over in (first, second)))


def recurrent(call: Call) -> Cost:
    """Count all steps of a recurrent layer: each weight matrix meets each step once; gates cost ten operations each.

    Called with the data, the states and the weights of all layers and directions, which are `groups`.
    """
    data, _, weights = call.args
    steps = prod(data.shape[:-1])
    matrices = [weight for weight in weights if len(weight.shape) == 2]
    biases = sum(prod(weight.shape) for weight in weights if len(weight.shape) == 1)
    gates = sum(weight.shape[0] for weight in matrices)
    macs = steps * sum(prod(weight.shape) for weight in matrices)
    flops, passes = 5 * steps * gates, max(len(matrices) // 2, 1)
    return Cost("recurrent", macs=macs, bias_adds=steps * biases, elementwise_flops=flops, groups=passes)


def recurrent_backward(call: Call) -> Cost:
    """Count the gradients of a recurrent layer's weights and inputs: each product once more for either.

    Called with the gradient, the data, the states and the weights; `data`, `states` and `weights` say which gradients
    are wanted. The first layer needs none of its data, the first step none of its state.
    """
    gradient, data, states, weights = call.args
    (layers, *of_batch, width), steps = states[0].shape, prod(data.shape[:-1])
    batch = of_batch[-1] if of_batch else 1
    matrices = [weight for weight in weights if len(weight.shape) == 2]
    each, first = len(matrices) // layers, gradient.shape[-1] // width
    macs = 0
    for position, matrix in enumerate(matrices):
        layer, number = divmod(position, each)
        passes = steps - batch * (not call.kwargs["states"]) if number == 1 else steps
        if number == 0 and layer < first and not call.kwargs["data"]:
            passes = 0
        macs += prod(matrix.shape) * (passes + steps * call.kwargs["weights"])
    gates = sum(matrix.shape[0] for matrix in matrices)
    return Cost("recurrent_backward", macs=macs, elementwise_flops=10 * steps * gates)


def recurrent_kernel(times: int) -> Callable[[Call], Cost]:
    """Return the cost of a backend's kernel for recurrent layers: its weights are a list, or its four next arguments.

    A backward pass is `times` two: each product of the forward pass has one for either operand.
    """

    def cost(call: Call) -> Cost:
        weights = call.args[1] if isinstance(call.args[1], (list, tuple)) else call.args[1:5]
        forward = recurrent(msgspec.structs.replace(call, args=(call.args[0], None, weights)))
        work = {name: times * getattr(forward, name) for name in ("macs", "bias_adds", "elementwise_flops")}
        return msgspec.structs.replace(forward, **work)

    return cost


def convolution(call: Call) -> Cost:
    """Count a convolution, or a transposed one."""
    x, weight = call.args[0], call.args[1]
    transposed, groups = bool(call.get(6, "transposed", False)), int(call.get(8, "groups", 1))
    macs = (prod(x.shape) if transposed else call.written) * prod(weight.shape[1:])
    window = prod(weight.shape[2:])
    return Cost(
        conv_kind(groups, x.shape[1], window, transposed), macs=macs, bias_adds=call.bias_adds(2, "bias"),
        groups=groups, columns=weight.shape[1] * window if transposed else weight.shape[0] // groups,
        depth=x.shape[1] // groups if transposed else prod(weight.shape[1:]), window=window,
        stride=advance(call.get(3, "stride", 1), len(weight.shape) - 2),
    )  # fmt: skip


def convolution_backward(call: Call) -> Cost:
    """Count one convolution each for the gradients of the input and the weight, as far as they are requested."""
    gradient, x, weight = call.args[:3]
    transposed, groups, wanted = bool(call.args[7]), int(call.args[9]), call.args[10]
    each = (prod(x.shape) if transposed else prod(gradient.shape)) * prod(weight.shape[1:])
    window = prod(weight.shape[2:])
    kind = conv_kind(groups, x.shape[1], window, transposed)
    return Cost(
        f"{kind}_backward", macs=each * (bool(wanted[0]) + bool(wanted[1])),
        elementwise_flops=prod(gradient.shape) if wanted[2] else 0, groups=groups, columns=weight.shape[0] // groups,
        depth=prod(weight.shape[1:]), window=window, stride=advance(call.args[4], len(weight.shape) - 2),
    )  # fmt: skip


def norm(kind: str, each: int) -> Callable[[Call], Cost]:
    """Return the cost function of a normalization over the last dimension, with `each` operations an element."""
    return lambda call: Cost(kind, elementwise_flops=each * call.args[0].elements, depth=_row(call.args[0]))


def row_wise(kind: str, each: int) -> Callable[[Call], Cost]:
    """Return the cost function of `each` operations an element written, over rows of the last dimension."""
    return lambda call: Cost(kind, elementwise_flops=each * call.written, depth=_row(call.args[0]))


def _row(tensor: Tensor) -> int:
    return tensor.shape[-1] if tensor.shape else 1


def per_output(kind: str, each: int = 0) -> Callable[[Call], Cost]:
    """Return the cost function of `each` operations an element written."""
    return lambda call: Cost(kind, elementwise_flops=each * call.written)


def per_input(kind: str, each: int = 1) -> Callable[[Call], Cost]:
    """Return the cost function of `each` operations an element read."""
    return lambda call: Cost(kind, elementwise_flops=each * call.args[0].elements)


def pool(call: Call) -> Cost:
    """Count window - 1 comparisons, or window - 1 additions and a division, an output."""
    kind, dimensions = "max_pool" if "max" in call.name else "avg_pool", len(call.args[0].shape) - 2
    kernel = call.get(1, "kernel_size", ())
    window = kernel if isinstance(kernel, int) else advance(kernel, dimensions)
    stride = advance(call.get(2, "stride", ()) or kernel, dimensions)
    flops = call.written * max(window - (kind == "max_pool"), 0)
    return Cost(kind, elementwise_flops=flops, window=window, stride=stride)


def embedding(call: Call) -> Cost:
    """Count a look-up of rows, of the whole table at most."""
    return Cost("embedding", reads=min(call.args[0].elements, call.written))


def embedding_bag(call: Call) -> Cost:
    """Count a look-up of rows that are summed."""
    table, indices = call.args[0], call.args[1]
    rows = prod(indices.shape) * table.shape[-1]
    return Cost("embedding", elementwise_flops=rows, reads=rows)


def part(kind: str) -> Callable[[Call], Cost]:
    """Return the cost function of what reads as much of the first tensor as it writes."""
    return lambda call: Cost(kind, reads=call.written)


def cast(call: Call) -> Cost:
    """Count a change of dtype, or else a copy."""
    if call.outputs and call.outputs[0].dtype != call.args[0].dtype:
        return Cost("cast")
    return copy(call)


def copy(call: Call) -> Cost:
    """Count a copy; strided where the source is not contiguous."""
    source = call.args[call.name == "aten.copy_"]
    return Cost("strided_copy" if isinstance(source, Tensor) and not source.contiguous else "copy")
