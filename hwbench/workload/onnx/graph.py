"""An ONNX file as a workload: input sizes from the file or the request, then a walk over its nodes.

Nothing of the file is run and its external data stays closed. Parameters are the floating-point initializers that ops
read (except statistics of batch normalization), and quantized weights. A file does not tell trained initializers from
buffers, so buffers that torch would not count are counted.
"""

import os
import re
from collections import ChainMap
from typing import Any

from onnx import TensorProto

from hwbench.errors import InputError, shown
from hwbench.workload.onnx import file as onnx_file
from hwbench.workload.onnx import walk
from hwbench.workload.onnx.control import State
from hwbench.workload.onnx.values import STANDARD, shaped
from hwbench.workload.ops import Shape, Workload, fold, uncounted
from hwbench.workload.request import ModelRequest, TypedShape, typed_shape

TRACED_BATCH = 2
"""Samples where the file leaves the batch open, as in a torch trace."""

_BATCH_NAME = re.compile(r"n|b|bs|.*batch.*", re.IGNORECASE)
_DTYPES = {
    "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64,
    "int32": TensorProto.INT32, "bool": TensorProto.BOOL, "uint8": TensorProto.UINT8, "float64": TensorProto.DOUBLE,
}  # fmt: skip
_Sizes = list[int | str | None]


def workload(path: str, request: ModelRequest) -> Workload:
    """Return the workload of an `.onnx` file. Raises InputError that names the file, and the node where there is one.

    An open batch dimension is taken as 2 or as in `request.input`; where the graph only fits a batch of 1, as 1.
    """
    for name in request.parameters_but("input", "image_size", "batch"):
        text = "This does not apply to an ONNX file, which is counted unchanged; export the model accordingly."
        raise InputError("not-for-onnx", text, field=name)
    requested_inputs(request)  # fails before the file is read
    try:
        model = onnx_file.read(path)
        opsets = {"" if item.domain in STANDARD else item.domain: item.version for item in model.opset_import}
        if not opsets:
            raise InputError("no-opset", "The file does not state which operator set it uses.")
        title = f"{shown(model.graph.name or os.path.basename(path))}, ONNX opset {opsets.get('', 0)}"
        sizes = SymbolicSizes(model.graph, request, TRACED_BATCH)
        try:
            state = _walked(path, model.graph, opsets, sizes)
        except InputError:
            if not sizes.free_batch:
                raise
            sizes = SymbolicSizes(model.graph, request, 1)
            state = _walked(path, model.graph, opsets, sizes)
    except InputError as error:
        raise error if error.field else error.at(file=path) from None
    return Workload(
        name=request.model,
        title=title,
        input_shape=sizes.first[1:] or sizes.first,
        ops=fold(state.ops),
        uncounted=uncounted(state.uncounted, len(state.ops)),
        unused_params=state.unused_params,
    )


def _walked(path: str, graph: Any, opsets: dict[str, int], sizes: "SymbolicSizes") -> State:
    state = State(path, opsets, sizes.batch, sizes.symbols)
    inputs = zip(sizes.inputs, sizes.shapes, strict=True)
    values = {info.name: shaped(info.type.tensor_type.elem_type, shape, "data") for info, shape in inputs}
    walk.walk_graph(state, graph, ChainMap(values))
    return state


class SymbolicSizes:
    """The dimensions of every input, and the batch among them. Raises InputError for a size that is unknown."""

    def __init__(self, graph: Any, request: ModelRequest, batch: int) -> None:
        weights = {tensor.name for tensor in graph.initializer}
        weights |= {sparse.values.name for sparse in graph.sparse_initializer}
        self.inputs = [info for info in graph.input if info.name not in weights]
        self.symbols: dict[str, int] = {}
        requested = requested_inputs(request)
        if len(requested) > len(self.inputs):
            raise _mismatch(f"The graph has {len(self.inputs)} inputs, not {len(requested)}.")
        self.dims = [_dims(info) for info in self.inputs]
        name = self._find_batch()
        for position, shape in enumerate(requested):
            self.dims[position] = self._bind(position, shape)
        self.free_batch = name is not None and name not in self.symbols
        size = self.symbols.setdefault(name, batch) if name is not None else batch
        for dims in self.dims:
            if dims and dims[0] is None:
                dims[0], self.free_batch = size, True
        if request.image_size:
            self._bind_image(request.image_size)
        self.shapes = [self._settle(position) for position in range(len(self.inputs))]
        self.first = next((shape for shape in self.shapes if shape), (1,))
        self.batch = size if name is not None else self.first[0]

    def _find_batch(self) -> str | None:
        """Return the symbol of the batch: by its name, else the first input's first dimension."""
        names = [size for dims in self.dims for size in dims or [] if isinstance(size, str)]
        named = next((name for name in names if _BATCH_NAME.fullmatch(name)), None)
        first = next((dims[0] for dims in self.dims if dims), None)
        return named or (first if isinstance(first, str) else None)

    def _bind_image(self, side: int) -> None:
        for dims in self.dims:
            if dims is not None and len(dims) == 4:
                self.symbols = {size: side for size in dims[2:] if isinstance(size, str)} | self.symbols
                dims[2:] = [side if size is None else size for size in dims[2:]]

    def _bind(self, position: int, requested: TypedShape) -> _Sizes:
        """Return an input's requested sizes, and bind its symbols. Raises InputError where the file differs."""
        info, dims = self.inputs[position], self.dims[position]
        if requested.dtype and _DTYPES[requested.dtype] != info.type.tensor_type.elem_type:
            raise _mismatch(f"Input '{shown(info.name)}' is not of dtype {requested.dtype}.")
        if dims is None:
            return list(requested.shape)
        if len(dims) != len(requested.shape):
            raise _mismatch(f"Input '{shown(info.name)}' has {len(dims)} dimensions.")
        for number, (size, wanted) in enumerate(zip(dims, requested.shape, strict=True)):
            known = self.symbols.setdefault(size, wanted) if isinstance(size, str) else size
            if known not in (None, wanted):
                what = f"Dimension {number} of input '{shown(info.name)}'"
                raise _mismatch(f"{what} is {known} in this file, not {wanted}.")
        return list(requested.shape)

    def _settle(self, position: int) -> Shape:
        name, dims = shown(self.inputs[position].name), self.dims[position]
        if dims is None:
            raise _needed(f"Input '{name}' has no shape in this file, so one must be given.")
        sizes = [self.symbols.get(dim) if isinstance(dim, str) else dim for dim in dims]
        for number, (size, dim) in enumerate(zip(sizes, dims, strict=True)):
            if size is None:
                axis = f"'{shown(dim)}'" if dim else number
                what = f"Dimension {axis} of input '{name}'"
                raise _needed(f"{what} has no size in this file, so a shape must be given.")
        return tuple(size for size in sizes if size is not None)


def requested_inputs(request: ModelRequest) -> list[TypedShape]:
    """Return the shapes of a request, separated by commas. Raises InputError."""
    return [typed_shape(text, _DTYPES) for text in (request.input.split(",") if request.input else ())]


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
    sizes = [dim.dim_value if dim.dim_value > 0 else dim.dim_param or None for dim in info.type.tensor_type.shape.dim]
    if len(sizes) > onnx_file.MAX_DIMENSIONS:
        text = f"Input '{shown(info.name)}' has {len(sizes)} dimensions, more than any operator takes."
        raise InputError("unsupported-input", text)
    return sizes
