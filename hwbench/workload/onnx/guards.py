"""What onnx's inference must not be given: in C++ it divides, indexes and allocates by some numbers unchecked."""

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

from hwbench.errors import InputError, shown
from hwbench.workload.onnx.file import MAX_DIMENSIONS
from hwbench.workload.ops import MAX_COUNT, Shape

MAX_ATTRIBUTE = (1 << 31) - 1
"""Of whole numbers whose products onnx computes without a check."""
_POSITIVE = ("strides", "dilations", "kernel_shape", "group", "blocksize", "num_outputs")
_SHAPES = {"Expand": 1, "Reshape": 1, "Unsqueeze": 1, "ConstantOfShape": 0, "AffineGrid": 1}
"""Inputs whose elements are dimensions, by operator."""


def check_node(node: Any, shapes: Sequence[Shape | None]) -> None:
    """Raise InputError for a node by whose attributes, or number of dimensions, onnx would abort or take all memory."""
    for attribute in node.attribute:
        numbers = [*attribute.ints, *([attribute.i] if attribute.HasField("i") else ())]
        if attribute.name in _POSITIVE and any(number < 1 for number in numbers or [0]):
            raise InputError("bad-node", f"Its {attribute.name} must be positive.")
        if any(not -MAX_ATTRIBUTE - 1 <= number <= MAX_ATTRIBUTE for number in numbers) and node.op_type not in _FREE:
            raise InputError("bad-node", f"Its {shown(attribute.name, 40)} is out of range.")
        if attribute.name == "num_outputs" and attribute.i != len(node.output):
            raise InputError("bad-node", f"Its num_outputs is {attribute.i}, but it has {len(node.output)} outputs.")
    position = _SHAPES.get(node.op_type)
    shape = shapes[position] if position is not None and position < len(shapes) else None
    if shape is not None and prod(shape) > MAX_DIMENSIONS:
        raise InputError("too-large", f"Its output would have more than {MAX_DIMENSIONS} dimensions.")


_FREE = ("Shape",)
"""Operators whose attributes onnx limits itself."""


def check_types(types: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
    """Raise InputError for a tensor with a negative size, or with more elements than any machine has memory for."""
    for name, proto in dict(types).items():
        sizes = [dim.dim_value for dim in proto.tensor_type.shape.dim if dim.HasField("dim_value")]
        if any(size < 0 for size in sizes):
            raise InputError("bad-node", f"The tensor '{shown(name)}' would have a negative size.")
        if prod(sizes) > MAX_COUNT:
            raise InputError("too-large", f"The tensor '{shown(name)}' is larger than the memory of any machine.")
        if len(proto.tensor_type.shape.dim) > MAX_DIMENSIONS:
            raise InputError("too-large", f"The tensor '{shown(name)}' has more than {MAX_DIMENSIONS} dimensions.")
