"""A walk over an ONNX graph's nodes in their order: each becomes an op, is free, or is listed as uncounted.

What a value holds follows the data: inputs are data, initializers weights, and whatever no data went into is made once
(`constant`). Graphs inside If, Loop and Scan are walked where they stand.
"""

from collections import ChainMap, Counter
from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec
from onnx import TensorProto, helper

from hwbench.errors import InputError, shown
from hwbench.workload.formulas import onnx as onnx_formulas
from hwbench.workload.formulas.cost import Call, Cost, Tensor
from hwbench.workload.formulas.onnx import OnnxFormula
from hwbench.workload.onnx import values
from hwbench.workload.onnx.values import FLOATING, STANDARD, Value
from hwbench.workload.ops import Op

Scope = ChainMap[str, Value]

LARGEST = 1 << 62
_DTYPES = {
    TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16", TensorProto.DOUBLE: "fp64", TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8",
}  # fmt: skip
_MALFORMED = (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError)
_QUANTIZED = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32)
_MOST_ARGUMENTS = 16


class Walk:
    """The ops found so far. Counts are per sample: those of what holds data are divided by `batch`."""

    def __init__(self, opsets: values.Opsets, batch: int, symbols: dict[str, int]) -> None:
        self.opsets = opsets
        self.batch = batch
        self.symbols = symbols
        self.ops: list[tuple[str, Op]] = []
        self.uncounted: Counter[str] = Counter()
        self.unused_params = 0
        self.repeat = 1
        self._params: dict[str, int] = {}
        self._origins = 0

    def graph(self, graph: Any, scope: Scope, prefix: str = "") -> list[Value]:
        """Walk a graph whose inputs are in the innermost map of `scope`; returns what is known of its outputs."""
        for tensor in graph.initializer:
            scope[tensor.name] = self._weight(values.of_tensor(tensor), prod(tensor.dims))
        for sparse in graph.sparse_initializer:
            value = values.shaped(sparse.values.data_type, list(sparse.dims))
            scope[sparse.values.name] = self._weight(value, prod(sparse.values.dims))
        stated = {info.name: info.type for info in (*graph.value_info, *graph.output)}
        for number, node in enumerate(graph.node):
            name = f"{prefix}{node.name or f'{node.op_type}_{number}'}"
            try:
                outputs = self._node(node, [self._read(key, scope) for key in node.input], scope, name, stated)
            except InputError as error:
                raise _placed(error, name, node) from None
            except _MALFORMED as error:
                what = InputError(f"its attributes or inputs are not what this operator takes ({shown(error)})")
                raise _placed(what, name, node) from None
            for key, value in zip(node.output, outputs, strict=False):
                scope[key] = value
        return [self._read(info.name, scope) or Value() for info in graph.output]

    def _weight(self, value: Value, elements: int, parameter: bool = True) -> Value:
        """A value that an initializer holds (or, not certainly a parameter, a Constant)."""
        self._origins += 1
        origin = f"{'' if parameter else '?'}{self._origins}"
        self._params[origin] = elements
        return msgspec.structs.replace(value, role="weight" if parameter else "constant", origin=origin)

    @staticmethod
    def _read(name: str, scope: Scope) -> Value | None:
        if not name:
            return None
        if name not in scope:
            raise InputError(f"reads '{shown(name)}', which no input, initializer or earlier node provides")
        return scope[name]

    def _stated(self, value: Value, stated: Any) -> Value:
        """The value with the shape that the file states, where inference found none."""
        if value.shape is not None or stated is None:
            return value
        known = values.of_type(stated, value.role, self.symbols)
        return known if known.shape is not None else value

    def _node(
        self, node: Any, inputs: list[Value | None], scope: Scope, name: str, stated: dict[str, Any]
    ) -> list[Value]:
        standard = node.domain in STANDARD
        operator = node.op_type if standard else f"{node.domain}.{node.op_type}"
        if standard and node.op_type in ("If", "Loop", "Scan"):
            from hwbench.workload.onnx import control

            return control.outputs(self, node, inputs, scope, name)
        if standard and node.op_type == "Constant":
            value = values.of_tensor(_constant(node))
            return [self._weight(value, prod(value.shape or ()), parameter=False)]
        found = values.infer(node, inputs, self.opsets)
        outputs = [self._stated(value, stated.get(key)) for key, value in zip(node.output, found, strict=False)]
        role = role_of(inputs)
        if operator in onnx_formulas.FREE:
            first = inputs[0] if inputs else None
            origin = first.origin if first and node.op_type not in ("Shape", "Size") else None
            return [
                msgspec.structs.replace(value, role=value.role if value.data is not None else role, origin=origin)
                for value in outputs
            ]
        folded = bool(outputs) and all(value.data is not None for value in outputs)
        if standard and node.op_type == "ConstantOfShape" and outputs and outputs[0].shape is not None:
            if not folded:
                self._emit(node, operator, inputs, outputs, name)
            return [self._weight(outputs[0], prod(outputs[0].shape), parameter=False)]
        if folded:
            return outputs
        product = self._emit(node, operator, inputs, outputs, name)
        return [msgspec.structs.replace(value, role=role, product=product) for value in outputs]

    def _emit(self, node: Any, operator: str, inputs: Sequence[Value | None], outputs: list[Value], name: str) -> bool:
        """Add the node's op; whether it is a product that a bias may be added to."""
        formula = onnx_formulas.formula(operator)
        stated = all(value is None or value.shape is not None for value in inputs)
        complete = stated and (
            all(value.shape is not None for value in outputs[:1]) or bool(formula and formula.open_ended)
        )
        attributes = {attribute.name: _plain(attribute) for attribute in node.attribute if not attribute.ref_attr_name}
        call = Call(
            name=node.op_type,
            args=tuple(value and _tensor(value) for value in inputs),
            kwargs=attributes,
            outputs=tuple(_tensor(value) for value in outputs if value.shape is not None),
        )
        if formula is None or not complete:
            self.uncounted[operator if formula is None else f"{operator} of unknown shape"] += self.repeat
            costs = Cost("uncounted")
        else:
            costs = formula.cost(call)
        if operator == "Add" and any(value and value.product for value in inputs) and _adds_bias(inputs):
            costs = Cost(costs.kind, bias_adds=costs.elementwise_flops)
        self._record(operator, name, formula, costs, inputs, outputs)
        return costs.kind in ("linear", "matmul", "batched_matmul") and not costs.bias_adds

    def _record(
        self,
        operator: str,
        name: str,
        formula: OnnxFormula | None,
        cost: Cost,
        inputs: Sequence[Value | None],
        outputs: list[Value],
    ) -> None:
        reads_data = role_of(inputs) == "data"
        shares = self.batch if reads_data else 1
        read, weights, written = _Bytes(), _Bytes(), _Bytes()
        for position, value in enumerate(inputs):
            looked_up = cost.reads is not None and position == 0
            if value is None or value.shape is None or _is_argument(value):
                continue
            elements = cost.reads if cost.reads is not None and looked_up else prod(value.shape)
            data = value.role == "data" or (looked_up and reads_data)
            (read if data else weights).add(value, elements, shares if data else 1)
        for value in outputs:
            if value.shape is not None:
                written.add(value, prod(value.shape), shares)
        shape = outputs[0].shape if outputs and outputs[0].shape else ()
        op = Op(
            kind=cost.kind,
            output_shape=shape[1:] if shape and reads_data and shares > 1 and shape[0] == self.batch else shape,
            params=self._claimed(operator, inputs, formula, cost),
            macs=share(cost.macs, shares),
            bias_adds=share(cost.bias_adds, shares),
            elementwise_flops=share(cost.elementwise_flops, shares),
            input_elements=read.elements,
            weight_elements=weights.elements,
            output_elements=written.elements,
            fixed_input_bytes=read.fixed,
            fixed_weight_bytes=weights.fixed,
            fixed_output_bytes=written.fixed,
            name=name,
            dtype=_computed_in(inputs) if cost.macs else None,
            constant=not reads_data,
            groups=share(cost.groups, shares if cost.kind in ("batched_matmul", "attention") else 1),
            columns=cost.columns,
            depth=cost.depth,
            window=cost.window,
            stride=cost.stride,
            masked=cost.masked,
        )
        if max(op.macs, op.params, op.input_elements, op.output_elements, op.elementwise_flops) > LARGEST:
            raise InputError("is larger than any machine's memory")
        self._add(operator, op)

    def _add(self, operator: str, op: Op) -> None:
        """An op in a loop runs as often as the loop; its parameters are there once."""
        if self.repeat > 1 and op.params:
            self.ops.append((operator, op))
            self.ops.append((operator, msgspec.structs.replace(op, params=0, count=self.repeat - 1)))
        elif self.repeat:
            self.ops.append((operator, msgspec.structs.replace(op, count=self.repeat)))

    def _claimed(self, operator: str, inputs: Sequence[Value | None], formula: OnnxFormula | None, cost: Cost) -> int:
        """Parameters read here for the first time: those that several nodes share count once."""
        return sum(
            self._params.pop(value.origin, 0)
            for position, value in enumerate(inputs)
            if value is not None
            and value.origin is not None
            and (formula is None or formula.params is None or position in formula.params)
            and _is_parameter(operator, value, formula, cost)
        )


def _is_parameter(operator: str, value: Value, formula: OnnxFormula | None, cost: Cost) -> bool:
    """Whether what an operator reads from an initializer or constant was learned.

    It is if it has dimensions and is floating-point (one number that every element meets is a constant of the program);
    where operators name their weights and multiply by them, integers and Constant nodes are weights too.
    """
    if not value.shape or (cost.kind == "elementwise" and operator != "PRelu" and prod(value.shape) == 1):
        return False
    if value.dtype in FLOATING and value.origin is not None and not value.origin.startswith("?"):
        return True
    names_weights = formula is not None and formula.params is not None and (cost.macs or cost.kind == "batch_norm")
    return value.dtype in (*FLOATING, *_QUANTIZED) and bool(names_weights or operator == "DequantizeLinear")


class _Bytes:
    """Elements of the run's dtype, and bytes of all other tensors."""

    def __init__(self) -> None:
        self.elements = 0
        self.fixed = 0

    def add(self, value: Value, elements: int, shares: int) -> None:
        if value.dtype == TensorProto.FLOAT:
            self.elements += share(elements, shares)
        else:
            self.fixed += share(-(-elements * values.bits(value.dtype) // 8), shares)


def role_of(inputs: Sequence[Value | None]) -> Any:
    """What is made of these: data if any of them is, weights if any is and none is data."""
    roles = {value.role for value in inputs if value is not None}
    return next((role for role in ("data", "weight") if role in roles), "constant")


def share(amount: int, shares: int) -> int:
    """One sample's part of a batch's amount, rounded up."""
    return -(-amount // shares)


def _tensor(value: Value) -> Tensor:
    shape = value.shape or ()
    size = -(-values.bits(value.dtype) // 8)
    return Tensor(shape, prod(shape), size, value.dtype in FLOATING, role=value.role, dtype=str(value.dtype))


def _is_argument(value: Value) -> bool:
    """Whether a value is an argument of the operator rather than a tensor that it works through: axes, bounds."""
    if value.data is None or value.role == "data" or value.shape is None:
        return False
    few = len(value.shape) == 1 and value.shape[0] <= _MOST_ARGUMENTS and value.dtype == TensorProto.INT64
    return not value.shape or few


def _adds_bias(inputs: Sequence[Value | None]) -> bool:
    return any(value is not None and value.role == "weight" and len(value.shape or ()) == 1 for value in inputs)


def _computed_in(inputs: Sequence[Value | None]) -> str | None:
    """The dtype that a product is computed in, where it is not the run's."""
    return _DTYPES.get(next((value.dtype for value in inputs if value is not None), 0))


def _plain(attribute: Any) -> Any:
    value = helper.get_attribute_value(attribute)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _constant(node: Any) -> Any:
    """What a Constant node holds, as a TensorProto. Raises InputError."""
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if attribute.name == "value":
            return value
        if attribute.name == "sparse_value":
            return TensorProto(data_type=value.values.data_type, dims=value.dims)
        single, many = attribute.name.removeprefix("value_"), attribute.name.removeprefix("value_").removesuffix("s")
        dtype = {"int": TensorProto.INT64, "float": TensorProto.FLOAT, "string": TensorProto.STRING}.get(many)
        if dtype is not None:
            return helper.make_tensor(
                "", dtype, [] if single == many else [len(value)], [value] if single == many else value
            )
    raise InputError("holds no value")


def _placed(error: InputError, name: str, node: Any) -> InputError:
    if error.message.startswith("node "):
        return error
    domain = "" if node.domain in STANDARD else f"{node.domain}."
    return InputError(f"node {shown(name)} ({shown(domain + node.op_type)}) {error.message}", field=error.field)
