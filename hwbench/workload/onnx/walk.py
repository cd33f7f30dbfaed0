"""A walk over an ONNX graph's nodes in their order: each becomes an op, is free, or is listed as uncounted.

The role of a value follows the data: inputs are data, initializers weights, and a value that depends on neither is made
once (`constant`). Graphs inside If, Loop and Scan are walked at their node.
"""

from collections import ChainMap
from collections.abc import Iterable, Sequence
from functools import partial
from math import prod
from typing import Any

from msgspec.structs import replace
from onnx import TensorProto, helper

from hwbench.errors import InputError, shown
from hwbench.workload.formulas import onnx as onnx_formulas
from hwbench.workload.formulas.cost import Call, Cost, Formula, Tensor
from hwbench.workload.formulas.stated_attention import STATED
from hwbench.workload.formulas.tally import Tally, joint_role
from hwbench.workload.onnx import bodies, control, values
from hwbench.workload.onnx.buffers import Readers
from hwbench.workload.onnx.control import Scope, State
from hwbench.workload.onnx.file import MAX_KEPT_ELEMENTS
from hwbench.workload.onnx.values import FLOATING, STANDARD, Value
from hwbench.workload.ops import MAX_COUNT

_DTYPES = {
    TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16", TensorProto.DOUBLE: "fp64", TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8",
}  # fmt: skip
_MALFORMED = (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError)
_QUANTIZED = frozenset(
    number
    for name, number in TensorProto.DataType.items()
    if name.startswith(("INT", "UINT", "FLOAT8", "FLOAT4")) and not name.endswith("64")
)
_INTEGERS = frozenset(
    number for name, number in TensorProto.DataType.items() if name.startswith(("INT", "UINT", "BOOL"))
)
_MAX_ARGUMENTS = 16
_TABLES = ("DequantizeLinear", "GatherBlockQuantized")
"""Operators without products whose integers are weights."""


def walk_graph(state: State, graph: Any, scope: Scope, prefix: str = "") -> list[Value]:
    """Walk a graph whose inputs are in the innermost map of `scope`; return what is known of its outputs.

    Raises InputError that names the file and the node.
    """
    for tensor in graph.initializer:
        scope[tensor.name] = state.stored(values.of_tensor(tensor), prod(tensor.dims))
    for sparse in graph.sparse_initializer:
        value = values.shaped(sparse.values.data_type, list(sparse.dims))
        scope[sparse.values.name] = state.stored(value, prod(sparse.values.dims))
    stated = {info.name: info.type for info in (*graph.value_info, *graph.output)}
    readers = Readers(graph, state.buffers)
    for number, node in enumerate(graph.node):
        name = f"{prefix}{node.name or f'{node.op_type}_{number}'}"
        try:
            outputs = _node(state, node, [_read(key, scope) for key in node.input], scope, name, stated)
        except InputError as error:
            if error.file:  # of a node inside this one
                raise
            raise _at_node(error.code, error.message, state, name, node) from None
        except _MALFORMED as error:
            text = f"Its attributes or inputs are not those of this operator ({shown(error)})."
            raise _at_node("bad-node", text, state, name, node) from None
        for key, value in zip(node.output, outputs, strict=False):
            scope[key] = value
        readers.write(node, outputs, node.op_type in onnx_formulas.FREE)
    readers.close()
    return [_read(info.name, scope) or Value() for info in graph.output]


def _at_node(code: str, text: str, state: State, name: str, node: Any) -> InputError:
    domain = "" if node.domain in STANDARD else f"{node.domain}."
    return InputError(code, f"{shown(domain + node.op_type)}: {text}", file=state.path, field=shown(name))


def _read(name: str, scope: Scope) -> Value | None:
    if not name:
        return None
    if name not in scope:
        text = f"'{shown(name)}' is read, but no input, initializer or earlier node provides it."
        raise InputError("undefined-value", text)
    return scope[name]


def _stated(state: State, value: Value, stated: Any) -> Value:
    """Return the value with the shape that the file states, where inference found none."""
    known = values.of_type(stated, value.role, state.symbols) if value.shape is None else value
    return value if known.shape is None else known


def _node(
    state: State, node: Any, inputs: list[Value | None], scope: Scope, name: str, stated: dict[str, Any]
) -> list[Value]:
    standard = node.domain in STANDARD
    operator = node.op_type if standard else f"{node.domain}.{node.op_type}"
    if standard and node.op_type in control.OPERATORS:
        return control.outputs(state, node, inputs, scope, name, partial(walk_graph, state))
    if standard and node.op_type == "Constant":
        value = values.of_tensor(_constant(node))
        return [state.stored(value, prod(value.shape or ()), parameter=False)]
    inferred = values.infer(node, inputs, state.opsets)
    outputs = [_stated(state, value, stated.get(key)) for key, value in zip(node.output, inferred, strict=False)]
    role = joint_role(value.role for value in inputs if value is not None)
    if operator in onnx_formulas.FREE:
        first = inputs[0] if inputs else None
        origin = first.origin if first and node.op_type not in ("Shape", "Size") else None
        return [replace(value, role=value.role if value.data is not None else role, origin=origin) for value in outputs]
    folded = bool(outputs) and all(value.data is not None for value in outputs)
    body = bodies.of(node, inputs, state.opsets) if not folded and onnx_formulas.formula(operator) is None else None
    if standard and body is not None and (results := _inside(state, body, inputs, name)) is not None:
        return results
    if standard and node.op_type == "ConstantOfShape" and outputs and outputs[0].shape is not None:
        if not folded:
            _emit(state, node, operator, inputs, outputs, name)
        is_weight = inputs[0] is not None and inputs[0].origin is not None  # else its shape follows from other shapes
        return [state.stored(outputs[0], prod(outputs[0].shape), parameter=False) if is_weight else outputs[0]]
    product = not folded and _emit(state, node, operator, inputs, outputs, name)
    return outputs if folded else [replace(value, role=role, product=product) for value in outputs]


def _inside(state: State, body: "bodies.Body", inputs: list[Value | None], name: str) -> list[Value] | None:
    """Walk the function that onnx defines for an operator, in the opset of that function; None where that fails."""
    outer, state.opsets = state.opsets, body.opsets
    ops, missing = len(state.ops), state.uncounted.copy()
    present = {key: value for key, value in zip(body.inputs, inputs, strict=False) if value is not None}
    absent = dict.fromkeys(set(body.inputs) - set(present), Value())
    try:
        return walk_graph(state, body.graph, ChainMap(present | absent), f"{name}/")
    except InputError as error:
        if error.code != "bad-node":
            raise
        del state.ops[ops:]
        state.uncounted = missing
        return None
    finally:
        state.opsets = outer


def _emit(
    state: State, node: Any, operator: str, inputs: Sequence[Value | None], outputs: list[Value], name: str
) -> bool:
    """Add the node's op; return whether it is a product that a bias may be added to."""
    formula = onnx_formulas.formula(operator)
    inputs_known = all(value is None or value.shape is not None for value in inputs)
    output_known = all(value.shape is not None for value in outputs[:1]) or bool(formula and formula.open_ended)
    call = Call(
        name=node.op_type,
        args=tuple(value and _tensor(value) for value in inputs),
        kwargs={a.name: _plain(a) for a in node.attribute if not a.ref_attr_name} | _elements(operator, inputs),
        outputs=tuple(_tensor(value) for value in outputs if value.shape is not None),
    )
    if formula is None or not (inputs_known and output_known):
        state.uncounted[operator if formula is None else f"{operator} of unknown shape"] += state.repeat
        cost = Cost("uncounted")
    else:
        lacking = [key for key in STATED.get(operator, {}).values() if key not in call.kwargs]
        for key in lacking:
            few = f"no constant of at most {MAX_KEPT_ELEMENTS:,} numbers"
            state.uncounted[f"{operator} whose {key} is {few}"] += state.repeat
        try:
            cost = formula.cost(call)
        except _MALFORMED:
            if node.domain in STANDARD:
                raise
            if not lacking:
                state.uncounted[f"{operator} of unusual inputs"] += state.repeat
            cost = Cost("uncounted")
    is_bias = any(value and value.role == "weight" and len(value.shape or ()) == 1 for value in inputs)
    if operator == "Add" and is_bias and any(value and value.product for value in inputs):
        cost = Cost(cost.kind, bias_adds=cost.elementwise_flops)
    _record(state, operator, name, formula, cost, inputs, outputs)
    return cost.kind in ("linear", "matmul", "batched_matmul") and not cost.bias_adds


def _elements(operator: str, inputs: Sequence[Value | None]) -> dict[str, list[Any]]:
    """Return the elements of inputs that a formula needs, as far as the file states them."""
    stated = {key: values.numbers(inputs[at]) for at, key in STATED.get(operator, {}).items() if at < len(inputs)}
    return {key: numbers for key, numbers in stated.items() if numbers is not None}


def _record(
    state: State, operator: str, name: str, formula: Formula | None, cost: Cost, inputs: Sequence[Value | None],
    outputs: list[Value],
) -> None:  # fmt: skip
    present = {position: value for position, value in enumerate(inputs) if value is not None}
    reads_data = joint_role(value.role for value in present.values()) == "data"
    tally = Tally(1)
    for position, value in present.items():
        if value.shape is not None and not _is_argument(value):
            elements = cost.reads if position == 0 else None
            # What is looked up in a table grows with the samples, even in one of weights.
            is_data = value.role == "data" or (elements is not None and reads_data)
            tally.read(prod(value.shape) if elements is None else elements, _bits(value), is_data)
    for value in outputs:
        if value.shape is not None:
            tally.write(prod(value.shape), _bits(value))
    shape = (outputs[0].shape if outputs else None) or ()
    learned = present if formula is None or formula.params is None else formula.params
    claimed = state.params.claim(
        value.origin.number
        for position, value in present.items()
        if value.origin and position in learned and _is_parameter(operator, value, formula, cost)
    )
    op = tally.op(
        cost,
        shape,
        params=claimed if cost.params is None or not claimed else cost.params,
        name=name,
        dtype=_dtype(operator, present.values()) if cost.macs else None,
        integer=operator in onnx_formulas.INTEGER or all(v.dtype in _INTEGERS for v in (*present.values(), *outputs)),
        constant=not reads_data,
    )
    largest = max(op.macs, op.params, op.input_elements, op.output_elements, op.elementwise_flops, 1)
    if largest * state.repeat > MAX_COUNT:
        raise InputError("too-large", "It is larger than the memory of any machine.")
    state.add(operator, op)


def _dtype(operator: str, inputs: Iterable[Value]) -> str | None:
    return "int8" if operator in onnx_formulas.INTEGER else _DTYPES.get(next((value.dtype for value in inputs), 0))


def _bits(value: Value) -> int | None:
    """Return the bits of an element, None where they follow the run's dtype."""
    return None if value.dtype == TensorProto.FLOAT else values.bits(value.dtype)


def _is_parameter(operator: str, value: Value, formula: Formula | None, cost: Cost) -> bool:
    """Return whether what an operator reads from an initializer or constant was learned.

    It is if it has dimensions and is floating-point (a single number in an elementwise operator is a constant of the
    program); where operators name their weights and multiply by them, integers and Constant nodes are weights too.
    """
    if not value.shape or (cost.kind == "elementwise" and operator != "PRelu" and prod(value.shape) == 1):
        return False
    if value.dtype in FLOATING and value.origin is not None and value.origin.parameter:
        return True
    names_weights = formula is not None and formula.params is not None and (cost.macs or cost.kind == "batch_norm")
    return value.dtype in (*FLOATING, *_QUANTIZED) and bool(names_weights or operator.endswith(_TABLES))


def _tensor(value: Value) -> Tensor:
    shape = value.shape or ()
    return Tensor(shape, prod(shape), value.dtype in FLOATING, role=value.role, dtype=str(value.dtype))


def _is_argument(value: Value) -> bool:
    """Return whether a value is an argument of the operator, such as axes or bounds, not a tensor to process."""
    if value.data is None or value.role == "data" or value.shape is None:
        return False
    few = len(value.shape) == 1 and value.shape[0] <= _MAX_ARGUMENTS and value.dtype == TensorProto.INT64
    return not value.shape or few


def _plain(attribute: Any) -> Any:
    value = helper.get_attribute_value(attribute)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


_CONSTANTS = {
    "value_int": TensorProto.INT64, "value_ints": TensorProto.INT64, "value_float": TensorProto.FLOAT,
    "value_floats": TensorProto.FLOAT, "value_string": TensorProto.STRING, "value_strings": TensorProto.STRING,
}  # fmt: skip


def _constant(node: Any) -> Any:
    for attribute in node.attribute:
        name, value = attribute.name, helper.get_attribute_value(attribute)
        if name == "value":
            return value
        if name == "sparse_value":
            return TensorProto(data_type=value.values.data_type, dims=value.dims)
        if name in _CONSTANTS:
            many = name.endswith("s")
            return helper.make_tensor("", _CONSTANTS[name], [len(value)] if many else [], value if many else [value])
    raise InputError("bad-node", "It has no value.")
