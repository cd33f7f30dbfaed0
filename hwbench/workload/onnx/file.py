"""An ONNX file as a graph without its weights: large tensors are emptied at once, local functions inlined.

Files may come from anybody: external data is never opened (its location is dropped first), no operator's code is run,
and functions that would expand without end are refused.
"""

import itertools
import os
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import onnx
from onnx import inliner

from hwbench.errors import InputError, shown
from hwbench.files.content import regular

MAX_BYTES = 1 << 31
"""Of a file: protobuf's own limit."""

MAX_KEPT_ELEMENTS = 4096
"""Elements up to which a tensor keeps its values: shapes, axes and scales are smaller, weights need not be known."""

MAX_DIMENSIONS = 64
MAX_NODES = 100_000
"""Of a graph whose functions are inlined."""

_DATA = ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
_Key = tuple[str, str]


def read(path: str) -> Any:
    """Return the model in a file, without the values of its weights. Raises InputError for another file."""
    content = _content(path)
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # protobuf's errors depend on its backend
        raise InputError("not-onnx", "This is not an ONNX file, or it is truncated.", file=path) from None
    del content
    if not model.graph.node:
        raise InputError("not-onnx", "This is not an ONNX file, or its graph has no nodes.", file=path)
    try:
        model.ClearField("training_info")
        functions = [function.node for function in model.functions]
        graphs = [model.graph, *(graph for nodes in (model.graph.node, *functions) for graph in _graphs(nodes))]
        nodes = [*itertools.chain(*(graph.node for graph in graphs), *functions)]
        for tensor in _tensors(graphs, nodes):
            _empty(tensor)
        _check_text(graphs, nodes)
        return _inlined(model) if model.functions else model
    except InputError as error:
        raise error.at(file=path) from None


def has_data(tensor: Any) -> bool:
    """Return whether a tensor has its values."""
    return not prod(tensor.dims) or any(len(getattr(tensor, field)) for field in _DATA)


def _content(path: str) -> bytes:
    with regular(path) as file:
        if os.fstat(file.fileno()).st_size < MAX_BYTES:
            return file.read(MAX_BYTES)
    text = "The file is larger than 2 GiB, more than ONNX allows. Export the weights as external data."
    raise InputError("too-large", text, file=path)


def _graphs(nodes: Iterable[Any]) -> Iterator[Any]:
    """Yield the graphs inside nodes, and those inside them."""
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            yield graph
            yield from _graphs(graph.node)


def _tensors(graphs: Iterable[Any], nodes: Iterable[Any]) -> Iterator[Any]:
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors)
        own = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else ()  # emptying one would set it
        for sparse in (*own, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)


def _check_text(graphs: Iterable[Any], nodes: Iterable[Any]) -> None:
    """Raise InputError where a name is not UTF-8: protobuf then returns bytes."""
    names: list[Any] = []
    for graph in graphs:
        infos = [*graph.input, *graph.output, *graph.value_info]
        names += [graph.name, *(named.name for named in (*graph.initializer, *infos))]
        names += [sparse.values.name for sparse in graph.sparse_initializer]
        names += [dim.dim_param for info in infos for dim in info.type.tensor_type.shape.dim]
    for node in nodes:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    if any(isinstance(name, bytes) for name in names):
        raise InputError("not-utf8", "The file has names that are not UTF-8 text.")


def _empty(tensor: Any) -> None:
    """Drop the location of external data, and the values of a large tensor."""
    if len(tensor.dims) > MAX_DIMENSIONS or any(size < 0 for size in tensor.dims):
        raise InputError("bad-tensor", f"Tensor '{shown(tensor.name)}' has an impossible shape.")
    external = tensor.data_location == onnx.TensorProto.EXTERNAL
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    if external or prod(tensor.dims) > MAX_KEPT_ELEMENTS:
        for field in _DATA:
            tensor.ClearField(field)


def _inlined(model: Any) -> Any:
    functions = {(function.domain, function.name): function for function in model.functions}
    sizes: dict[_Key, int] = {}
    for key in functions:
        _inlined_nodes(key, functions, sizes, ())
    if sum(sizes.get(called, 1) for called in _called(model.graph.node)) > MAX_NODES:
        raise InputError("too-large", f"Its functions expand to more than {MAX_NODES} nodes.")
    try:
        return inliner.inline_local_functions(model)
    except Exception as error:
        raise InputError("bad-function", f"Its functions cannot be inlined: {shown(error, 300)}") from None


def _inlined_nodes(key: _Key, functions: dict[_Key, Any], sizes: dict[_Key, int], callers: tuple[_Key, ...]) -> int:
    """Return the number of nodes that a call of a function becomes."""
    if key in callers or len(callers) > MAX_DIMENSIONS:
        raise InputError("bad-function", f"Its function '{shown(key[1])}' calls itself, or is nested too deeply.")
    if key not in sizes:
        sizes[key] = sum(
            _inlined_nodes(called, functions, sizes, (*callers, key)) if called in functions else 1
            for called in _called(functions[key].node)
        )
    if sizes[key] > MAX_NODES:
        raise InputError("too-large", f"Its functions expand to more than {MAX_NODES} nodes.")
    return sizes[key]


def _called(nodes: Iterable[Any]) -> list[_Key]:
    """Return the operators of nodes and of the graphs inside them."""
    return [(node.domain, node.op_type) for node in itertools.chain(nodes, *(graph.node for graph in _graphs(nodes)))]
