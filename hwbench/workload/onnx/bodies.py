"""What onnx itself defines an operator by: a function of other operators, for those that have no formula here.

The bodies are onnx's own, not of the file: nothing of the file is run.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from onnx import FunctionProto, GraphProto, ValueInfoProto, defs

from hwbench.workload.onnx.values import Opsets, Value


class Body(Struct, frozen=True):
    """A function as a graph, the names of its inputs in order, and the opsets that it is written in."""

    graph: Any
    inputs: tuple[str, ...]
    opsets: Mapping[str, int]


def of(node: Any, inputs: Sequence[Value | None], opsets: Opsets) -> Body | None:
    """Return the function of a node's operator; None where onnx has none, or not for these inputs."""
    try:
        schema = defs.get_schema(node.op_type, opsets.get("", 0), "")
        content = _content(schema, node, inputs, opsets[""])
        function = FunctionProto.FromString(content) if content else None
    except Exception:  # whatever onnx raises for an unusual node
        return None
    if function is None or not function.node:
        return None
    graph = GraphProto(name=function.name, node=function.node)
    stated = {attribute.name: attribute for attribute in node.attribute}
    defaults = {name: attribute.default_value for name, attribute in schema.attributes.items()}
    for inner in graph.node:
        _resolve(inner, defaults | stated)
    graph.output.extend(ValueInfoProto(name=name) for name in function.output)
    return Body(graph, tuple(function.input), {item.domain: item.version for item in function.opset_import})


def _content(schema: Any, node: Any, inputs: Sequence[Value | None], opset: int) -> bytes | None:
    if schema.has_function:
        return bytes(schema.function_body.SerializeToString())
    if not schema.has_context_dependent_function:
        return None
    types = [value.type.SerializeToString() for value in inputs if value is not None and value.type is not None]
    versions = [version for version in schema.context_dependent_function_opset_versions if version <= opset]
    content = schema.get_context_dependent_function_with_opset_version(max(versions), node.SerializeToString(), types)
    return bytes(content)


def _resolve(node: Any, values: Mapping[str, Any]) -> None:
    """Replace the attributes of a node that refer to those of the operator, and drop those without a value."""
    resolved = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            value = values.get(attribute.ref_attr_name)
            if value is None or not value.type:
                continue
            name = attribute.name
            attribute.CopyFrom(value)
            attribute.name = name
        resolved.append(attribute)
    attributes = [type(attribute).FromString(attribute.SerializeToString()) for attribute in resolved]
    del node.attribute[:]
    node.attribute.extend(attributes)
