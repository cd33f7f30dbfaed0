"""An ONNX file as a graph without its weights: read whole, large tensors emptied at once, local functions inlined.

Files come from anybody: external data is never opened (its location is dropped before anything else looks at it), no
operator's code is run, and functions that would unfold without end are refused.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import onnx
from onnx import inliner

from hwbench.errors import InputError, shown

LARGEST = 1 << 31
"""Bytes of the largest file: protobuf's own limit."""

MOST_KEPT = 4096
"""Elements up to which a tensor keeps its values: shapes, axes and scales are smaller, weights need not be known."""

MOST_DIMENSIONS = 64
MOST_UNFOLDED = 1_000_000
_DATA = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
_Key = tuple[str, str]


def read(path: str) -> Any:
    """The model in a file, without the values of its weights. Raises InputError when it is none."""
    content = _content(path)
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # protobuf raises what its backend likes
        raise InputError("is not an ONNX file, or was cut short", file=path) from None
    del content
    if not model.graph.node:
        raise InputError("is not an ONNX file, or its graph has no nodes", file=path)
    try:
        model.ClearField("training_info")
        for tensor in _tensors(model.graph):
            _empty(tensor)
        _check_text(model.graph)
        for function in model.functions:
            _check_nodes(function.node)
            for tensor in _node_tensors(function.node):
                _empty(tensor)
        return _inlined(model) if model.functions else model
    except InputError as error:
        raise error.at(file=path) from None


def has_data(tensor: Any) -> bool:
    """Whether a tensor's values were kept."""
    return not prod(tensor.dims) or any(len(getattr(tensor, field)) for field in _DATA)


def _content(path: str) -> bytes:
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise InputError("cannot be read: it is not a file", file=path)
        if found.st_size >= LARGEST:
            raise InputError("is larger than 2 GiB, more than ONNX allows: keep weights as external data", file=path)
        with open(path, "rb") as file:
            return file.read(LARGEST)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot be read: {shown(reason)}", file=path) from None


def _tensors(graph: Any) -> Iterator[Any]:
    """Every tensor in a graph and the graphs inside it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for graph in _graphs(attribute):
                yield from _tensors(graph)


def _graphs(attribute: Any) -> Iterator[Any]:
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _check_text(graph: Any) -> None:
    """Raise InputError where a name is not UTF-8: protobuf then hands out bytes."""
    infos = [*graph.input, *graph.output, *graph.value_info]
    names = [named.name for named in (*graph.initializer, *infos)]
    names += [sparse.values.name for sparse in graph.sparse_initializer]
    names += [dim.dim_param for info in infos for dim in info.type.tensor_type.shape.dim]
    if any(isinstance(name, bytes) for name in (graph.name, *names)):
        raise InputError("has names that are not text")
    _check_nodes(graph.node)


def _check_nodes(nodes: Iterable[Any]) -> None:
    for node in nodes:
        names = [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
        if any(isinstance(name, bytes) for name in names):
            raise InputError("has names that are not text")
        for attribute in node.attribute:
            for graph in _graphs(attribute):
                _check_text(graph)


def _empty(tensor: Any) -> None:
    """Drop where external data lies, and the values of a large tensor."""
    if len(tensor.dims) > MOST_DIMENSIONS or any(size < 0 for size in tensor.dims):
        raise InputError(f"tensor '{shown(tensor.name)}' has no possible shape")
    external = tensor.data_location == onnx.TensorProto.EXTERNAL
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    if external or prod(tensor.dims) > MOST_KEPT:
        for field in _DATA:
            tensor.ClearField(field)


def _inlined(model: Any) -> Any:
    """The model with its local functions' bodies in place of their calls."""
    functions = {(function.domain, function.name): function for function in model.functions}
    sizes: dict[_Key, int] = {}
    for key in functions:
        _unfolded(key, functions, sizes, ())
    if sum(sizes.get((node.domain, node.op_type), 1) for node in _all_nodes(model.graph.node)) > MOST_UNFOLDED:
        raise InputError(f"its functions unfold to more than {MOST_UNFOLDED} nodes")
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:
        raise InputError(f"its functions cannot be inlined: {shown(error, 300)}") from None


def _unfolded(key: _Key, functions: dict[_Key, Any], sizes: dict[_Key, int], callers: tuple[_Key, ...]) -> int:
    """Nodes that a call of a function becomes."""
    if key in callers or len(callers) > MOST_DIMENSIONS:
        raise InputError(f"its function '{shown(key[1])}' calls itself, or too deeply")
    if key not in sizes:
        inside = [(node.domain, node.op_type) for node in _all_nodes(functions[key].node)]
        sizes[key] = sum(
            _unfolded(called, functions, sizes, (*callers, key)) if called in functions else 1 for called in inside
        )
    if sizes[key] > MOST_UNFOLDED:
        raise InputError(f"its functions unfold to more than {MOST_UNFOLDED} nodes")
    return sizes[key]


def _all_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in _graphs(attribute):
                yield from _all_nodes(graph.node)
