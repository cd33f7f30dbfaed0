"""If, Loop and Scan: their bodies are walked once, and repeated as often as the file says that they run.

Where that depends on the data, the body counts once (of If's branches the one with more work) and the node is listed
as uncounted.
"""

from collections import ChainMap
from typing import TYPE_CHECKING, Any

import msgspec
from onnx import TensorProto

from hwbench.errors import InputError
from hwbench.workload.onnx import values as onnx_shapes
from hwbench.workload.onnx.values import Value

if TYPE_CHECKING:
    from hwbench.workload.onnx.walk import Scope, Walk


def outputs(walk: "Walk", node: Any, inputs: list[Value | None], scope: "Scope", name: str) -> list[Value]:
    """Walk the graphs inside a node; returns what is known of its outputs. Raises InputError."""
    if node.op_type == "If":
        return _branch(walk, node, inputs, scope, name)
    if node.op_type == "Loop":
        return _loop(walk, node, inputs, scope, name)
    return _scan(walk, node, inputs, scope, name)


def _body(node: Any, name: str) -> Any:
    for attribute in node.attribute:
        if attribute.name == name and attribute.HasField("g"):
            return attribute.g
    raise InputError(f"has no {name}")


def _branch(walk: "Walk", node: Any, inputs: list[Value | None], scope: "Scope", name: str) -> list[Value]:
    condition = onnx_shapes.numbers(inputs[0] if inputs else None)
    if condition:
        chosen = "then_branch" if condition[0] else "else_branch"
        return walk.graph(_body(node, chosen), ChainMap({}, *scope.maps), f"{name}/")
    started, before = len(walk.ops), walk.uncounted.copy()
    found = []
    for branch in ("then_branch", "else_branch"):
        results = walk.graph(_body(node, branch), ChainMap({}, *scope.maps), f"{name}/")
        ops, walk.ops = walk.ops[started:], walk.ops[:started]
        found.append((sum(op.macs * op.count for _, op in ops), len(ops), ops, results, walk.uncounted))
        walk.uncounted = before.copy()
    more, less = sorted(found, key=lambda one: one[:2], reverse=True)
    walk.ops += more[2]
    walk.uncounted = more[4]
    walk.uncounted["If (the branch with more work)"] += walk.repeat
    walk.unused_params += sum(op.params for _, op in less[2])
    same = [a.shape == b.shape for a, b in zip(more[3], less[3], strict=False)]
    return [_unsure(value, same[i] if i < len(same) else False, inputs) for i, value in enumerate(more[3])]


def _unsure(value: Value, same: bool, inputs: list[Value | None]) -> Value:
    """The value of the branch that was counted, of which it is not known that it is the one."""
    holds = "data" if any(one is not None and one.role == "data" for one in inputs) else value.role
    return msgspec.structs.replace(value, role=holds, data=None, shape=value.shape if same else None)


def _loop(walk: "Walk", node: Any, inputs: list[Value | None], scope: "Scope", name: str) -> list[Value]:
    body = _body(node, "body")
    carried = inputs[2:]
    if len(body.input) != len(carried) + 2 or len(body.output) < len(carried) + 1:
        raise InputError("has a body with other inputs or outputs than its own")
    limit, condition = onnx_shapes.numbers(inputs[0]), onnx_shapes.numbers(inputs[1])
    inner = {
        body.input[0].name: onnx_shapes.shaped(TensorProto.INT64, ()),
        body.input[1].name: onnx_shapes.shaped(TensorProto.BOOL, ()),
    } | _carried(body.input[2:], carried)
    going_on = inputs[1] is None or condition == [True]
    trips = max(int(limit[0]), 0) if limit and going_on and _goes_on(body) else None
    results = _repeated(walk, body, inner, scope, name, trips)
    scans = [_stacked(value, trips, 0) for value in results[1 + len(carried) :]]
    return [*_left(carried, results[1 : 1 + len(carried)]), *scans]


def _goes_on(body: Any) -> bool:
    """Whether a loop's body hands its condition on unchanged, or makes it of a true constant."""
    name = body.output[0].name
    for node in reversed(body.node):
        if name in node.output:
            if node.op_type == "Constant":
                held = [a.t for a in node.attribute if a.name == "value"]
                return bool(held) and onnx_shapes.numbers(onnx_shapes.of_tensor(held[0])) == [True]
            if node.op_type not in ("Identity", "Cast") or not node.input:
                return False
            name = node.input[0]
    held = [tensor for tensor in body.initializer if tensor.name == name]
    true = bool(held) and onnx_shapes.numbers(onnx_shapes.of_tensor(held[0])) == [True]
    return true or name == body.input[1].name


def _scan(walk: "Walk", node: Any, inputs: list[Value | None], scope: "Scope", name: str) -> list[Value]:
    body = _body(node, "body")
    if walk.opsets[""] < 9:
        raise InputError("of opsets before 9 is not supported")
    attributes = {attribute.name: attribute for attribute in node.attribute}
    scanned = attributes["num_scan_inputs"].i
    states = len(inputs) - scanned
    if scanned < 1 or states < 0 or len(body.input) != len(inputs) or len(body.output) < states:
        raise InputError("has a body with other inputs or outputs than its own")
    axes = list(attributes["scan_input_axes"].ints) if "scan_input_axes" in attributes else [0] * scanned
    first = inputs[states]
    trips = first.shape[axes[0]] if first and first.shape else None
    sliced = [_slice(value, axis) for value, axis in zip(inputs[states:], axes, strict=True)]
    inner = _carried(body.input[:states], inputs[:states])
    inner |= dict(zip([info.name for info in body.input[states:]], sliced, strict=True))
    results = _repeated(walk, body, inner, scope, name, trips)
    placed = attributes["scan_output_axes"].ints if "scan_output_axes" in attributes else [0] * len(results)
    scans = [_stacked(value, trips, axis) for value, axis in zip(results[states:], placed, strict=False)]
    return [*_left(inputs[:states], results[:states]), *scans]


def _repeated(
    walk: "Walk", body: Any, inner: dict[str, Value], scope: "Scope", name: str, trips: int | None
) -> list[Value]:
    """The outputs of a body that runs `trips` times; where that is not known it counts once and is listed."""
    outer = walk.repeat
    if trips is None:
        walk.uncounted["loop body, counted once"] += walk.repeat
    else:
        walk.repeat *= trips
    try:
        return walk.graph(body, ChainMap(inner, *scope.maps), f"{name}/")
    finally:
        walk.repeat = outer


def _carried(infos: Any, values: list[Value | None]) -> dict[str, Value]:
    """What a body knows of values that each turn replaces: their shape, not what is in them."""
    return {
        info.name: msgspec.structs.replace(
            value or Value(),
            data=None,
            origin=None,
            product=False,
            role="data" if value and value.role == "data" else "constant",
        )
        for info, value in zip(infos, values, strict=True)
    }


def _left(before: list[Value | None], after: list[Value]) -> list[Value]:
    """Values after the last turn: shaped as before the first if a turn keeps the shape."""
    return [
        msgspec.structs.replace(value, data=None, origin=None)
        if old is not None and old.shape == value.shape
        else Value(role=value.role)
        for old, value in zip(before, after, strict=True)
    ]


def _slice(value: Value | None, axis: int) -> Value:
    if value is None or value.shape is None:
        return Value(role="data")
    shape = list(value.shape)
    del shape[axis]
    return onnx_shapes.shaped(value.dtype, shape, value.role)


def _stacked(value: Value, trips: int | None, axis: int) -> Value:
    if value.shape is None:
        return Value(role=value.role)
    at = axis + len(value.shape) + 1 if axis < 0 else axis
    return onnx_shapes.shaped(value.dtype, [*value.shape[:at], trips, *value.shape[at:]], value.role)
