"""An ONNX file as a graph that an engine can run: its nodes, random weights, and inputs of one batch.

The file is read as for counting: external data stays closed, so that large weights are random. An engine's C++ reads
the graph: call this in the process that runs it, which has limits.
"""

from math import prod
from typing import Any

import numpy as np
import onnx
from msgspec import Struct

from hwbench.errors import InputError, shown
from hwbench.workload.onnx import file as onnx_file
from hwbench.workload.onnx.graph import GraphSizes, filled
from hwbench.workload.ops import Shape
from hwbench.workload.request import ModelRequest

MAX_BYTES = 1 << 31
"""Of all weights: protobuf's limit."""
SCALE = 0.02
"""Standard deviation of random weights."""


class RunnableGraph(Struct, frozen=True):
    """A graph with weights, and the shape and numpy's dtype of each input."""

    content: bytes
    inputs: tuple[tuple[Shape, str], ...]


def runnable(path: str, request: ModelRequest, batch: int) -> RunnableGraph:
    """Return the graph of a file with random weights at a batch. Raises InputError."""
    try:
        model = onnx_file.read(path)
        sizes = GraphSizes(model.graph, request)
        whole: list[tuple[int, ...]] = [() for _ in sizes.inputs]
        shapes, _ = sizes.at(next((dims for dims, _ in sizes.candidates(request.batch_dim)), whole), batch)
        _fill(model.graph)
        tensors = [filled(name, value, sizes.inputs, shapes) for name, value in request.values]
    except InputError as error:
        raise error if error.field else error.at(file=path) from None
    model.graph.initializer.extend(tensors)
    fixed = {tensor.name for tensor in tensors}
    for info, shape in zip(sizes.inputs, shapes, strict=True):
        info.type.tensor_type.ClearField("shape")
        for size in shape:
            info.type.tensor_type.shape.dim.add().dim_value = size
    model.graph.ClearField("value_info")  # of another batch
    for info in model.graph.output:
        info.type.tensor_type.ClearField("shape")
    pairs = [(info, shape) for info, shape in zip(sizes.inputs, shapes, strict=True) if info.name not in fixed]
    variable = [info for info in model.graph.input if info.name not in fixed]
    inputs = tuple((shape, _dtype(info.name, info.type.tensor_type.elem_type).name) for info, shape in pairs)
    del model.graph.input[:]
    model.graph.input.extend(variable)
    return RunnableGraph(model.SerializeToString(), inputs)


def _fill(graph: Any) -> None:
    """Give every weight without data random values. Raises InputError for weights that are too large or sparse."""
    empty = [tensor for tensor in graph.initializer if not onnx_file.has_data(tensor)]
    if graph.sparse_initializer:
        raise InputError("not-runnable", "Its weights are sparse, which is not supported.")
    kinds = [_dtype(tensor.name, tensor.data_type) for tensor in empty]
    if sum(prod(tensor.dims) * kind.itemsize for tensor, kind in zip(empty, kinds, strict=True)) >= MAX_BYTES:
        raise InputError("too-large", "Its weights are larger than 2 GiB, more than one graph may have.")
    random = np.random.default_rng(0)
    for tensor, kind in zip(empty, kinds, strict=True):
        values: Any = np.zeros(tuple(tensor.dims))
        if kind.kind == "f":
            values = SCALE * random.standard_normal(tuple(tensor.dims), dtype=np.float32)
        elif kind.itemsize == 1 and kind.kind in "iu":
            values = random.integers(-100 if kind.kind == "i" else 0, 100, tuple(tensor.dims))
        tensor.raw_data = values.astype(kind).tobytes()


def _dtype(name: str, kind: int) -> Any:
    """Return numpy's dtype of a tensor. Raises InputError for one that numpy lacks."""
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    except (KeyError, TypeError, ValueError):
        dtype = np.dtype(object)
    if dtype.kind not in "fiub":
        raise InputError("not-runnable", f"'{shown(name)}' has a dtype that is not supported here.")
    return dtype
