"""If, Loop and Scan, and what a walk collects: bodies are walked once, and repeat as often as the file states.

Where that depends on the data, the body counts once (of If's branches the one with more work) and the node is listed
as uncounted.
"""

from collections import ChainMap, Counter
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from onnx import TensorProto

from hwbench.errors import InputError
from hwbench.workload.formulas.tally import Parameters
from hwbench.workload.onnx.buffers import Buffers
from hwbench.workload.onnx.values import Opsets, Origin, Value, numbers, of_tensor, shaped
from hwbench.workload.ops import Op

OPERATORS = ("If", "Loop", "Scan")

Scope = ChainMap[str, Value]
"""Values by name, those of the innermost graph first."""

WalkGraph = Callable[[Any, Scope, str], list[Value]]
"""Walks a graph below a scope and a prefix of names, and returns what is known of its outputs."""

_Walk = Callable[[Any, dict[str, Value]], list[Value]]
"""Walks a graph inside the node, given values by name."""


class State:
    """The ops found so far in the file at `path`, for all samples of a batch; each of them counts `repeat` times."""

    def __init__(self, path: str, opsets: Opsets, symbols: dict[str, int]) -> None:
        self.path = path
        self.opsets = opsets
        self.symbols = symbols
        self.ops: list[tuple[str, Op]] = []  # each with its operator
        self.uncounted: Counter[str] = Counter()
        self.params = Parameters()
        self.buffers = Buffers()
        self.unused_params = 0
        self.repeat = 1
        self._origins = 0

    def stored(self, value: Value, elements: int, parameter: bool = True) -> Value:
        """Return the value of an initializer or, not certainly a parameter, of a Constant."""
        self._origins += 1
        self.params.add(self._origins, elements)
        origin = Origin(self._origins, parameter)
        return replace(value, role="weight" if parameter else "constant", origin=origin)

    def add(self, operator: str, op: Op) -> None:
        """Add an op: in a loop it runs as often as the loop, but its parameters count once."""
        if self.repeat > 1 and op.params:
            self.ops += [(operator, op), (operator, replace(op, params=0, count=self.repeat - 1))]
        elif self.repeat:
            self.ops.append((operator, replace(op, count=self.repeat)))


def outputs(
    state: State, node: Any, inputs: list[Value | None], scope: Scope, name: str, walk_graph: WalkGraph
) -> list[Value]:
    """Walk the graphs inside a node; return what is known of its outputs. Raises InputError."""

    def walk(body: Any, inner: dict[str, Value]) -> list[Value]:
        return walk_graph(body, scope.new_child(inner), f"{name}/")

    return {"If": _branch, "Loop": _loop, "Scan": _scan}[node.op_type](state, node, inputs, walk)


def _body(node: Any, name: str) -> Any:
    for attribute in node.attribute:
        if attribute.name == name and attribute.HasField("g"):
            return attribute.g
    raise InputError("bad-node", f"It has no {name}.")


def _branch(state: State, node: Any, inputs: list[Value | None], walk: _Walk) -> list[Value]:
    condition = numbers(inputs[0] if inputs else None)
    if condition:
        chosen = "then_branch" if condition[0] else "else_branch"
        return walk(_body(node, chosen), {})
    started, before = len(state.ops), state.uncounted.copy()
    branches, failure = [], None
    for branch in ("then_branch", "else_branch"):
        try:
            results = walk(_body(node, branch), {})
        except InputError as error:
            if error.code != "bad-node":
                raise
            failure = error  # it does not fit these inputs, so it is the other one that runs
        else:
            ops = state.ops[started:]
            branches.append((sum(op.macs * op.count for _, op in ops), len(ops), ops, results, state.uncounted))
        del state.ops[started:]
        state.uncounted = before.copy()
    if failure is not None and not branches:
        raise failure
    (_, _, more_ops, more, uncounted), *others = sorted(branches, key=lambda b: b[:2], reverse=True)
    state.ops += more_ops
    state.uncounted = uncounted
    if not others:
        return more
    [(_, _, less_ops, less, _)] = others
    state.uncounted["If (the branch with more work)"] += state.repeat
    state.unused_params += sum(op.params for _, op in less_ops)
    same = [a.shape == b.shape for a, b in zip(more, less, strict=False)]
    return [_unsure(value, same[i] if i < len(same) else False, inputs) for i, value in enumerate(more)]


def _unsure(value: Value, same: bool, inputs: list[Value | None]) -> Value:
    """Return the value of the counted branch without what may differ in the other."""
    depends_on_data = any(known is not None and known.role == "data" for known in inputs)
    role = "data" if depends_on_data else value.role
    return replace(value, role=role, data=None, shape=value.shape if same else None)


def _loop(state: State, node: Any, inputs: list[Value | None], walk: _Walk) -> list[Value]:
    body = _body(node, "body")
    carried = inputs[2:]
    if len(body.input) != len(carried) + 2 or len(body.output) < len(carried) + 1:
        raise InputError("bad-node", "The inputs or outputs of its body do not match its own.")
    limit, condition = numbers(inputs[0]), numbers(inputs[1])
    turn, keeps_on = shaped(TensorProto.INT64, ()), shaped(TensorProto.BOOL, ())
    inner = {body.input[0].name: turn, body.input[1].name: keeps_on} | _carried(body.input[2:], carried)
    begins = inputs[1] is None or condition == [True]
    trips = max(int(limit[0]), 0) if limit and begins and _keeps_condition(body) else None
    results = _repeated(state, trips, lambda: walk(body, inner))
    scans = [_stacked(value, trips, 0) for value in results[1 + len(carried) :]]
    return [*_after(carried, results[1 : 1 + len(carried)]), *scans]


def _keeps_condition(body: Any) -> bool:
    """Return whether a loop's body returns its condition unchanged, or a true constant."""
    name = body.output[0].name
    for node in reversed(body.node):
        if name in node.output:
            if node.op_type == "Constant":
                return any(_is_true(a.t) for a in node.attribute if a.name == "value")
            if node.op_type not in ("Identity", "Cast") or not node.input:
                return False
            name = node.input[0]
    return name == body.input[1].name or any(_is_true(t) for t in body.initializer if t.name == name)


def _is_true(tensor: Any) -> bool:
    return numbers(of_tensor(tensor)) == [True]


def _scan(state: State, node: Any, inputs: list[Value | None], walk: _Walk) -> list[Value]:
    body = _body(node, "body")
    if state.opsets[""] < 9:
        raise InputError("unsupported-operator", "Opsets before 9 are not supported.")
    attributes = {attribute.name: attribute for attribute in node.attribute}
    scanned = attributes["num_scan_inputs"].i
    states = len(inputs) - scanned
    if scanned < 1 or states < 0 or len(body.input) != len(inputs) or len(body.output) < states:
        raise InputError("bad-node", "The inputs or outputs of its body do not match its own.")
    axes = list(attributes["scan_input_axes"].ints) if "scan_input_axes" in attributes else [0] * scanned
    first = inputs[states]
    trips = first.shape[axes[0]] if first and first.shape else None
    sliced = [_slice(value, axis) for value, axis in zip(inputs[states:], axes, strict=True)]
    inner = _carried(body.input[:states], inputs[:states])
    inner |= zip((info.name for info in body.input[states:]), sliced, strict=True)
    results = _repeated(state, trips, lambda: walk(body, inner))
    out_axes = attributes["scan_output_axes"].ints if "scan_output_axes" in attributes else [0] * len(results)
    scans = [_stacked(value, trips, axis) for value, axis in zip(results[states:], out_axes, strict=False)]
    return [*_after(inputs[:states], results[:states]), *scans]


def _repeated(state: State, trips: int | None, walk: Callable[[], list[Value]]) -> list[Value]:
    """Walk a body that runs `trips` times; where that is unknown it counts once and is listed."""
    outer = state.repeat
    if trips is None:
        state.uncounted["loop body, counted once"] += state.repeat
    else:
        state.repeat *= trips
    try:
        return walk()
    finally:
        state.repeat = outer


def _carried(infos: Any, values: list[Value | None]) -> dict[str, Value]:
    """Return what a body knows of values that each turn replaces: their shape, not their elements."""
    return {
        info.name: Value(value.type, value.shape, "data" if value.role == "data" else "constant") if value else Value()
        for info, value in zip(infos, values, strict=True)
    }


def _after(before: list[Value | None], after: list[Value]) -> list[Value]:
    """Return the values after the last turn: their shape is known where a turn keeps it."""
    unchanged = (old is not None and old.shape == value.shape for old, value in zip(before, after, strict=True))
    return [
        replace(value, data=None, origin=None) if same else Value(role=value.role)
        for same, value in zip(unchanged, after, strict=True)
    ]


def _slice(value: Value | None, axis: int) -> Value:
    if value is None or value.shape is None:
        return Value(role="data")
    shape = list(value.shape)
    del shape[axis]
    return shaped(value.dtype, shape, value.role)


def _stacked(value: Value, trips: int | None, axis: int) -> Value:
    if value.shape is None:
        return Value(role=value.role)
    at = axis + len(value.shape) + 1 if axis < 0 else axis
    return shaped(value.dtype, [*value.shape[:at], trips, *value.shape[at:]], value.role)
