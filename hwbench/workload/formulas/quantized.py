"""Costs of torch's operators on quantized tensors, whose weights come as a list: the weight, and the bias if any.

Pure. Their products are of integers; what brings sums to the scale of the output takes four operations an element, or
two where it is a float, and to quantize data that has no scale yet takes six: minimum and maximum, then as any other.
"""

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import msgspec

from hwbench.workload.formulas import cost as count
from hwbench.workload.formulas.cost import Call, Cost, Tensor
from hwbench.workload.shapes import conv_kind

_OUT, _OUT_OF_DYNAMIC, _IN_OF_DYNAMIC = 4, 2, 6


def linear(call: Call) -> Cost:
    """Count a fully connected layer of packed weights."""
    return _scaled(call, count.linear(_opened(call)))


def convolution(call: Call) -> Cost:
    """Count a convolution of packed weights, whose groups follow from the channels; one of a line has a flat image."""
    x, weight, *bias = _opened(call).args[:3]
    transposed = "transpose" in call.name
    channels = call.outputs[0].shape[1] if transposed else x.shape[1]
    groups, window = max(channels // weight.shape[1], 1), prod(weight.shape[2:])
    macs = (prod(x.shape) if transposed else call.written) * prod(weight.shape[1:])
    cost = Cost(
        conv_kind(groups, x.shape[1], window, transposed), macs, call.written if bias and bias[0] else 0,
        groups=groups, columns=weight.shape[1] * window if transposed else weight.shape[0] // groups,
        depth=x.shape[1] // groups if transposed else prod(weight.shape[1:]), window=window,
    )  # fmt: skip
    return _scaled(call, cost)


def matmul(call: Call) -> Cost:
    """Count a product of two quantized tensors."""
    return _scaled(call, count.mm(call))


def recurrent(call: Call) -> Cost:
    """Count a recurrent layer, or a cell, of weights packed by layer and direction; it quantizes data at each step."""
    weights = list(_tensors(call.args[2:]))
    cost = count.recurrent(msgspec.structs.replace(call, args=(call.args[0], call.args[1], weights)))
    return _scaled(call, cost)


def embedding(rows: int) -> Callable[[Call], Cost]:
    """Return the cost function of a look-up in a packed table, by the indices of argument `rows`; each is scaled."""

    def cost(call: Call) -> Cost:
        looked_up = prod(call.args[rows].shape) * call.outputs[0].shape[-1]
        return Cost("embedding", elementwise_flops=(2 + ("bag" in call.name)) * looked_up, reads=looked_up)

    return cost


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    for item in value if isinstance(value, (list, tuple)) else ():
        yield from _tensors(item)


def _opened(call: Call) -> Call:
    """Return a call with its packed weights as the second argument, and the bias as the third."""
    weight, *bias = call.args[1]
    return msgspec.structs.replace(call, args=(call.args[0], weight, *(bias or [None])))


def _scaled(call: Call, cost: Cost) -> Cost:
    """Return a cost with the arithmetic that quantizes data or sums; none of weights in half precision."""
    if "fp16" in call.name:
        return cost
    is_static = not call.outputs[0].floating
    flops = _OUT * call.written if is_static else _OUT_OF_DYNAMIC * call.written
    flops += 0 if is_static else _IN_OF_DYNAMIC * call.args[0].elements
    return msgspec.structs.replace(cost, elementwise_flops=cost.elementwise_flops + flops)
