"""An ONNX file as a workload: input sizes from the file or the request, then a walk over its nodes.

Nothing of the file is run and its external data stays closed. Parameters are the floating-point initializers that ops
read (except statistics of batch normalization), and quantized weights. A file does not tell trained initializers from
buffers, so buffers that torch would not count are counted.
"""

import os
import re
from collections import ChainMap
from collections.abc import Callable, Iterator
from math import prod
from typing import Any

from msgspec import Struct
from onnx import TensorProto, helper

from hwbench.errors import InputError, nearest, shown
from hwbench.workload import growth
from hwbench.workload.onnx import buffers
from hwbench.workload.onnx import file as onnx_file
from hwbench.workload.onnx.control import State
from hwbench.workload.onnx.values import STANDARD, Value, of_tensor, shaped
from hwbench.workload.onnx.walk import walk_graph
from hwbench.workload.ops import Activations, Op, Shape, Workload, fold, uncounted
from hwbench.workload.request import ModelRequest, typed_shape

_BATCH = re.compile(r".*batch.*", re.IGNORECASE)
_LETTER = re.compile(r"n|b|bs", re.IGNORECASE)
"""Names of the batch, the latter only of a first dimension, or of the second where steps come first."""
_NAMELESS = "?*-1 "
"""What some exporters write for a dimension without a name: `?`, `*` or `-1`; such dimensions are not alike."""
_RECURRENT = ("LSTM", "GRU", "RNN")
_DTYPES = {
    "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64,
    "int32": TensorProto.INT32, "bool": TensorProto.BOOL, "uint8": TensorProto.UINT8, "float64": TensorProto.DOUBLE,
}  # fmt: skip
_Sizes = list[int | str | None]


_Dims = list[tuple[int, ...]]
"""For each input the dimensions that are the batch."""


class _Walk(Struct, frozen=True):
    """What a walk over the graph found: its ops and outputs, all of one batch."""

    shapes: list[Shape]
    state: State
    outputs: list[Value]

    @property
    def ops(self) -> list[Op]:
        """The ops, not folded."""
        return [op for _, op in self.state.ops]


def workload(path: str, request: ModelRequest) -> Workload:
    """Return the workload of an `.onnx` file. Raises InputError that names the file, and the node where there is one.

    It is of exactly the inputs in the file or the request. Where a walk at another size of the batch shows that the
    cost is a multiple of it, apart from traffic of weights, ops are those of one sample. An open batch is 1.
    """
    for name in request.parameters_but("input", "image_size", "batch", "batch_dim", "unfolded", "values"):
        text = "This does not apply to an ONNX file, which is counted unchanged; export the model accordingly."
        raise InputError("not-for-onnx", text, field=name)
    requested_inputs(request)  # fails before the file is read
    try:
        model = onnx_file.read(path)
        opsets = {"" if item.domain in STANDARD else item.domain: item.version for item in model.opset_import}
        if not opsets:
            raise InputError("no-opset", "The file does not state which operator set it uses.")
        return _counted(path, model.graph, opsets, request)
    except InputError as error:
        raise error if error.field else error.at(file=path) from None


def _counted(path: str, graph: Any, opsets: dict[str, int], request: ModelRequest) -> Workload:
    sizes = GraphSizes(graph, request)

    def walk(dims: _Dims, batch: int) -> _Walk:
        shapes, symbols = sizes.at(dims, batch)
        state = State(path, opsets, symbols)
        types = zip(sizes.inputs, shapes, strict=True)
        values = {info.name: shaped(info.type.tensor_type.elem_type, shape, "data") for info, shape in types}
        for value in values.values():
            state.buffers.add(buffers.size(value))
        for name, stated in request.values:
            values[name] = of_tensor(filled(name, stated, sizes.inputs, shapes))
        return _Walk(shapes, state, walk_graph(state, graph, ChainMap(values)))

    batch, dims, first, each = _batch(sizes, walk, request)
    ops, activations = each or (None, None)
    if ops is None and request.batch not in (None, batch):
        if dims is None:
            text = "Which dimension of the inputs is the batch is not known, so they are counted as they are given."
            raise InputError("batch-unknown", f"{text} State it as the dimension of the batch.", field="batch")
        batch = request.batch or batch
        first = walk(dims, batch)
    named = [(name, op) for (name, _), op in zip(first.state.ops, ops or first.ops, strict=True)]
    return Workload(
        name=request.model,
        title=f"{shown(graph.name or os.path.basename(path))}, ONNX opset {opsets.get('', 0)}",
        input_shape=_of_sample(first.shapes, dims),
        ops=tuple(op for _, op in named) if request.unfolded else fold(named),
        uncounted=uncounted(first.state.uncounted, len(first.state.ops)),
        unused_params=first.state.unused_params,
        samples=1 if ops is not None else batch,
        batch=batch,
        fixed="" if ops is not None else "unknown" if dims is None else "interplay",
        activations=activations or Activations(first.state.buffers.peak.elements, first.state.buffers.peak.bytes),
    )


def _of_sample(shapes: list[Shape], dims: _Dims | None) -> Shape:
    """Return the shape of the first input that has one, without the batch."""
    position = next((position for position, shape in enumerate(shapes) if shape), None)
    if position is None:
        return (1,)
    without = dims[position] if dims is not None else ()
    return tuple(size for k, size in enumerate(shapes[position]) if k not in without) or shapes[position]


def _batch(
    sizes: "GraphSizes", walk: Callable[[_Dims, int], _Walk], request: ModelRequest
) -> tuple[int, _Dims | None, _Walk, tuple[tuple[Op, ...], Activations] | None]:
    """Return the batch given, its dimensions, a walk, and ops and memory of one sample; None for what is not known.

    Raises InputError for a graph whose inputs have no size, or do not fit.
    """
    for dims, certain in sizes.candidates(request.batch_dim):
        stated, ran = sizes.stated_batch(dims), False
        for small in (stated,) if stated else (2, 1):
            try:
                first, second = walk(dims, small), walk(dims, small + 1)
            except InputError:  # it fits another size only
                continue
            ran = True
            if certain or _grows(first, second, (small, small + 1), sizes.steps):
                ops = growth.per_sample(first.ops, second.ops, (small, small + 1))
                memory = growth.activations(first.state.buffers.peak, second.state.buffers.peak, (small, small + 1))
                return stated or 1, dims, first if ops or stated else walk(dims, 1), (ops, memory) if ops else None
        if certain or not (stated or ran):
            return stated or 1, dims, walk(dims, stated or 1), None
    given_walk = walk([() for _ in sizes.inputs], 1)
    shapes = [*given_walk.shapes, *(output.shape or () for output in given_walk.outputs)]
    first_sizes = {shape[0] if len(shape) > 1 else 0 for shape in shapes}
    if len(first_sizes) == 1 and 0 not in first_sizes:  # all inputs and outputs, of a graph made for one batch
        return first_sizes.pop(), [(0,) for _ in sizes.inputs], given_walk, None
    return 1, None, given_walk, None


def _grows(first: _Walk, second: _Walk, sizes: tuple[int, int], steps: int) -> bool:
    """Return whether multiply-adds and outputs grow in proportion to the batch, and no steps of recurrent layers do."""
    if not growth.multiples(first.ops, second.ops, sizes):
        return False
    recurrent = ((a, b) for a, b in zip(first.ops, second.ops, strict=True) if a.kind == "recurrent")
    outputs = ((a.shape, b.shape) for a, b in zip(first.outputs, second.outputs, strict=True))
    return all(a.output_shape[steps : steps + 1] == b.output_shape[steps : steps + 1] for a, b in recurrent) and all(
        prod(a) * sizes[1] == prod(b) * sizes[0] for a, b in outputs if a and b
    )


class GraphSizes:
    """The dimensions of every input: numbers from the file or the request, else names, or None for neither."""

    def __init__(self, graph: Any, request: ModelRequest) -> None:
        weights = {tensor.name for tensor in graph.initializer}
        weights |= {sparse.values.name for sparse in graph.sparse_initializer}
        self.inputs = [info for info in graph.input if info.name not in weights]
        layouts = [
            next((a.i for a in node.attribute if a.name == "layout"), 0)
            for node in graph.node
            if node.op_type in _RECURRENT
        ]
        self.steps_first = 0 in layouts
        self.steps = 0 if self.steps_first else 1  # the dimension of recurrent layers' time
        self.symbols: dict[str, int] = {}
        requested = requested_inputs(request)
        if len(requested) > len(self.inputs):
            raise _mismatch(f"The graph has {len(self.inputs)} inputs, not {len(requested)}.")
        self.names = [_dims(info) for info in self.inputs]
        self.dims = list(self.names)
        for position, (shape, dtype) in enumerate(requested):
            self.dims[position] = self._bind(position, shape, dtype)
        if request.image_size:
            self._bind_image(request.image_size)

    def candidates(self, dim: int | None) -> Iterator[tuple[_Dims, bool]]:
        """Yield dimensions that may be the batch, with whether that is stated: by the caller, or by a name."""
        if dim is not None:
            yield self._position(dim), True
            return
        names = [(k, size) for dims in self.names for k, size in enumerate(dims or ()) if isinstance(size, str)]
        stated = (n for k, n in names if _BATCH.fullmatch(n) or (k <= self.steps_first and _LETTER.fullmatch(n)))
        batch = next(stated, None)
        if batch is not None:
            yield (
                [
                    tuple(k for k, size in enumerate(dims or ()) if size == batch or (size is None and not k))
                    for dims in self.names
                ],
                True,
            )
            return
        for position in (1, 0) if self.steps_first else (0,):
            dims = self._position(position)
            sizes = {self.dims[i][position] for i, own in enumerate(dims) if own}  # type: ignore[index]
            if sizes and len(sizes - {1, None}) <= 1:
                yield dims, False

    def _position(self, position: int) -> _Dims:
        return [(position,) if dims is not None and len(dims) > position else () for dims in self.dims]

    def stated_batch(self, dims: _Dims) -> int | None:
        """Return the size of the batch, None where it is open. Raises InputError for dimensions that do not exist."""
        if not any(dims):
            raise InputError("batch-dim", "No input has this dimension (the first is 0).", field="batch_dim")
        values = [self._size(i, k) for i, own in enumerate(dims) for k in own]
        return max((size for size in values if size is not None), default=None)

    def _size(self, position: int, dim: int) -> int | None:
        size = (self.dims[position] or ())[dim]
        return self.symbols.get(size) if isinstance(size, str) else size

    def at(self, batch_dims: _Dims, batch: int) -> tuple[list[Shape], dict[str, int]]:
        """Return the shapes of the inputs at a batch, and the sizes of names. Raises InputError for an unknown size."""
        stated = self.stated_batch(batch_dims) if any(batch_dims) else None
        names = {(self.names[i] or ())[k] for i, own in enumerate(batch_dims) for k in own if self.names[i]}
        symbols = self.symbols | {name: batch for name in names if isinstance(name, str)}
        shapes = []
        for position, dims in enumerate(self.dims):
            name = shown(self.inputs[position].name)
            if dims is None:
                raise _needed(f"Input '{name}' has no shape in this file, so one must be given.")
            sizes = [symbols.get(size) if isinstance(size, str) else size for size in dims]
            for k in batch_dims[position]:
                sizes[k] = batch if sizes[k] in (None, stated) else sizes[k]
            for number, (size, dim) in enumerate(zip(sizes, dims, strict=True)):
                if size is None:
                    axis = f"'{shown(dim)}'" if dim else number
                    what = f"Dimension {axis} of input '{name}'"
                    raise _needed(f"{what} has no size in this file, so a shape must be given.")
            shapes.append(tuple(size for size in sizes if size is not None))
        return shapes, symbols

    def _bind_image(self, side: int) -> None:
        for dims in self.dims:
            if dims is not None and len(dims) == 4:
                self.symbols = {size: side for size in dims[2:] if isinstance(size, str)} | self.symbols
                dims[2:] = [side if size is None else size for size in dims[2:]]

    def _bind(self, position: int, shape: Shape, dtype: str | None) -> _Sizes:
        """Return an input's requested sizes, and bind its symbols. Raises InputError where the file differs."""
        info, dims = self.inputs[position], self.dims[position]
        if dtype and _DTYPES[dtype] != info.type.tensor_type.elem_type:
            raise _mismatch(f"Input '{shown(info.name)}' is not of dtype {dtype}.")
        if dims is None:
            return list(shape)
        if len(dims) != len(shape):
            raise _mismatch(f"Input '{shown(info.name)}' has {len(dims)} dimensions.")
        for number, (size, wanted) in enumerate(zip(dims, shape, strict=True)):
            known = self.symbols.setdefault(size, wanted) if isinstance(size, str) else size
            if known not in (None, wanted):
                what = f"Dimension {number} of input '{shown(info.name)}'"
                raise _mismatch(f"{what} is {known} in this file, not {wanted}.")
        return list(shape)


def filled(name: str, value: float | str | None, inputs: list[Any], shapes: list[Shape]) -> Any:
    """Return a tensor of an input all elements of which have the value that the user states. Raises InputError."""
    names = [info.name for info in inputs]
    if name not in names:
        text = f"The graph has no input '{shown(name)}'."
        raise InputError("unknown-value", text, field="values", nearest=nearest(name, names) or tuple(names[:3]))
    number, shape = inputs[names.index(name)].type.tensor_type.elem_type, shapes[names.index(name)]
    kind = "" if number == TensorProto.STRING else helper.tensor_dtype_to_np_dtype(number).kind
    if type(value) not in {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float)}.get(kind, ()):
        what = {"b": "true or false", "i": "a whole number", "u": "a whole number", "f": "a number"}.get(kind)
        text = f"'{shown(value)}' is no value of input '{shown(name)}'{(what and f', which is {what}') or ''}."
        raise InputError("bad-value", text, field="values")
    if prod(shape) > onnx_file.MAX_KEPT_ELEMENTS:
        text = f"Input '{shown(name)}' has more than {onnx_file.MAX_KEPT_ELEMENTS} elements, too many to state."
        raise InputError("bad-value", text, field="values")
    try:
        return helper.make_tensor(name, number, shape, [value] * prod(shape))
    except (OverflowError, ValueError, TypeError):
        text = f"'{shown(value)}' is out of the range of input '{shown(name)}'."
        raise InputError("bad-value", text, field="values") from None


def requested_inputs(request: ModelRequest) -> list[tuple[Shape, str | None]]:
    """Return the shapes and dtypes of a request, separated by commas. Raises InputError."""
    return [typed_shape(text, _DTYPES, empty=True) for text in (request.input.split(",") if request.input else ())]


def _mismatch(text: str) -> InputError:
    return InputError("input-mismatch", text, field="input")


def _needed(text: str) -> InputError:
    return InputError("input-needed", text, field="input")


def _dims(info: Any) -> _Sizes | None:
    """Return an input's sizes: numbers, names, None where there is neither; None for all where the rank is unknown."""
    if not info.type.HasField("tensor_type"):
        raise InputError("unsupported-input", f"Input '{shown(info.name)}' is not a tensor, which is not supported.")
    if not info.type.tensor_type.HasField("shape"):
        return None
    dims = info.type.tensor_type.shape.dim
    sizes = [dim.dim_value if dim.dim_value > 0 else dim.dim_param.strip(_NAMELESS) or None for dim in dims]
    if len(sizes) > onnx_file.MAX_DIMENSIONS:
        text = f"Input '{shown(info.name)}' has {len(sizes)} dimensions, more than any operator takes."
        raise InputError("unsupported-input", text)
    return sizes
