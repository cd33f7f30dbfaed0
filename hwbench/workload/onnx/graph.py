"""An ONNX file as a workload: input sizes from the file or the user, then a walk over its nodes.

Nothing of the file is run and its external data stays closed. Parameters are the floating-point initializers that ops
read (statistics of batch normalization are none), and quantized weights. A file does not say which of its initializers
were trained: buffers that torch would not count are.
"""

import os
import re
from collections import ChainMap
from typing import Any

import msgspec
from onnx import TensorProto

from hwbench.errors import InputError, nearest, shown
from hwbench.workload.onnx import file as onnx_file
from hwbench.workload.onnx import values as onnx_shapes
from hwbench.workload.onnx.values import STANDARD
from hwbench.workload.onnx.walk import Walk
from hwbench.workload.ops import Op, Workload
from hwbench.workload.request import ModelRequest

TRACED_BATCH = 2
"""Samples where the file leaves the batch open, as in a torch trace."""

_INPUT = re.compile(r"([0-9]{1,9}(?:x[0-9]{1,9}){0,15})(?::([a-z0-9]+))?")
_BATCH_NAME = re.compile(r"n|b|bs|.*batch.*", re.IGNORECASE)
_DTYPES = {
    "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64,
    "int32": TensorProto.INT32, "bool": TensorProto.BOOL, "uint8": TensorProto.UINT8, "float64": TensorProto.DOUBLE,
}  # fmt: skip
_Sizes = list[int | str | None]


class Given(msgspec.Struct, frozen=True):
    """An input's shape and dtype as the user typed them."""

    sizes: tuple[int, ...]
    dtype: str | None = None


def workload(path: str, request: ModelRequest) -> Workload:
    """The workload of an `.onnx` file. Raises InputError that names the file, and the node where there is one.

    An open batch dimension is taken as 2 or as `request.input` says; where the graph only fits a batch of 1, as that.
    """
    try:
        _refuse(request)
        given = [_given(text) for text in request.input.split(",")] if request.input else []
        model = onnx_file.read(path)
        opsets = {"" if item.domain in STANDARD else item.domain: item.version for item in model.opset_import}
        if not opsets:
            raise InputError("does not say which operator set it uses")
        sizes = SymbolicSizes(model.graph, given, request, TRACED_BATCH)
        try:
            return _walked(path, request, model, opsets, sizes)
        except InputError:
            if not sizes.free_batch:
                raise
            return _walked(path, request, model, opsets, SymbolicSizes(model.graph, given, request, 1))
    except InputError as error:
        raise error.at(file=path) from None


class SymbolicSizes:
    """What every input's dimensions are, and which size is the batch's. Raises InputError for what nobody says."""

    def __init__(self, graph: Any, given: list[Given], request: ModelRequest, batch: int) -> None:
        weights = {tensor.name for tensor in graph.initializer}
        weights |= {sparse.values.name for sparse in graph.sparse_initializer}
        self.inputs = [info for info in graph.input if info.name not in weights]
        self.given = given
        self.symbols: dict[str, int] = {}
        if len(given) > len(self.inputs):
            raise InputError(f"has {len(self.inputs)} inputs, not {len(given)}", field="--input")
        self.dims = [_dims(info) for info in self.inputs]
        self.batch_name = self._find_batch()
        for position, typed in enumerate(given):
            self.dims[position] = self._bound(position, typed)
        self.free_batch = self.batch_name is not None and self.batch_name not in self.symbols
        if self.batch_name is not None and self.free_batch:
            self.symbols[self.batch_name] = batch
        self.free_batch |= self._bind_unnamed(batch)
        if request.image_size:
            self._bind_image(request.image_size)
        self.shapes = [self._settled(position) for position in range(len(self.inputs))]
        first = next((shape for shape in self.shapes if shape), (1,))
        self.batch = self.symbols[self.batch_name] if self.batch_name is not None else first[0]

    def values(self) -> dict[str, onnx_shapes.Value]:
        """Inputs by name."""
        return {
            info.name: onnx_shapes.shaped(info.type.tensor_type.elem_type, shape, "data")
            for info, shape in zip(self.inputs, self.shapes, strict=True)
        }

    def _find_batch(self) -> str | None:
        """The symbol of the batch: one that is called so, else the first input's first dimension."""
        names = [size for dims in self.dims for size in dims or [] if isinstance(size, str)]
        named = next((name for name in names if _BATCH_NAME.fullmatch(name)), None)
        first = next((dims[0] for dims in self.dims if dims), None)
        return named or (first if isinstance(first, str) else None)

    def _bind_unnamed(self, batch: int) -> bool:
        """Give first dimensions without a name the batch's size; whether there are any."""
        size = self.symbols[self.batch_name] if self.batch_name is not None else batch
        open_ = [dims for dims in self.dims if dims and dims[0] is None]
        for dims in open_:
            dims[0] = size
        return bool(open_)

    def _bind_image(self, side: int) -> None:
        for dims in self.dims:
            if dims is None or len(dims) != 4:
                continue
            for size in dims[2:]:
                if isinstance(size, str):
                    self.symbols.setdefault(size, side)
            dims[2:] = [side if size is None else size for size in dims[2:]]

    def _bound(self, position: int, typed: Given) -> _Sizes:
        """An input's sizes as the user gave them, symbols learnt. Raises InputError where the file says otherwise."""
        info, dims = self.inputs[position], self.dims[position]
        elem_type = info.type.tensor_type.elem_type
        if typed.dtype and _DTYPES[typed.dtype] != elem_type:
            raise InputError(f"input '{shown(info.name)}' is not of dtype {typed.dtype}", field="--input")
        if dims is None:
            return list(typed.sizes)
        if len(dims) != len(typed.sizes):
            raise InputError(f"input '{shown(info.name)}' has {len(dims)} dimensions", field="--input")
        for number, (size, wanted) in enumerate(zip(dims, typed.sizes, strict=True)):
            known = self.symbols.setdefault(size, wanted) if isinstance(size, str) else size
            if known not in (None, wanted):
                what = f"dimension {number} of input '{shown(info.name)}' is {known} in this file, not {wanted}"
                raise InputError(what, field="--input")
        return list(typed.sizes)

    def _settled(self, position: int) -> tuple[int, ...]:
        name, dims = self.inputs[position].name, self.dims[position]
        if dims is None:
            raise InputError(f"input '{shown(name)}' has no shape in this file: give one", field="--input")
        sizes = []
        for number, dim in enumerate(dims):
            size = self.symbols.get(dim) if isinstance(dim, str) else dim
            if size is None:
                called = f"'{shown(dim)}'" if dim else str(number)
                raise InputError(
                    f"dimension {called} of input '{shown(name)}' has no size in this file: give the input's shape",
                    field="--input",
                )
            sizes.append(size)
        return tuple(sizes)


def _dims(info: Any) -> _Sizes | None:
    """An input's sizes: numbers, names, None where there is neither; None for all where the rank is unknown."""
    if not info.type.HasField("tensor_type"):
        raise InputError(f"input '{shown(info.name)}' is no tensor, which is not supported")
    if not info.type.tensor_type.HasField("shape"):
        return None
    sizes: _Sizes = []
    for dim in info.type.tensor_type.shape.dim:
        sizes.append(dim.dim_value if dim.dim_value > 0 else dim.dim_param or None)
    if len(sizes) > onnx_file.MOST_DIMENSIONS:
        raise InputError(f"input '{shown(info.name)}' has {len(sizes)} dimensions, more than any operator takes")
    return sizes


def _walked(path: str, request: ModelRequest, model: Any, opsets: dict[str, int], sizes: SymbolicSizes) -> Workload:
    walk = Walk(opsets, sizes.batch, sizes.symbols)
    walk.graph(model.graph, ChainMap(sizes.values()))
    shape = next((shape for shape in sizes.shapes if shape), (1,))
    total = len(walk.ops)
    return Workload(
        name=request.model,
        title=f"{shown(model.graph.name or os.path.basename(path))}, ONNX opset {opsets.get('', 0)}",
        input_shape=shape[1:] or shape,
        ops=_folded(walk.ops),
        uncounted=tuple(
            f"{shown(name)} ({count} of {total} operators)" for name, count in sorted(walk.uncounted.items())
        ),
        unused_params=walk.unused_params,
    )


def _folded(found: list[tuple[str, Op]]) -> tuple[Op, ...]:
    """The ops with those of one operator that are alike in all but the name made one with a count."""
    alike: dict[tuple[str, Op], list[Any]] = {}
    for operator, op in found:
        key = (operator, msgspec.structs.replace(op, name="", count=1))
        alike.setdefault(key, [op.name, 0])[1] += op.count
    return tuple(msgspec.structs.replace(op, name=name, count=count) for (_, op), (name, count) in alike.items())


def _given(text: str) -> Given:
    match = _INPUT.fullmatch(text)
    if match is None or any(not int(size) for size in match.group(1).split("x")):
        raise InputError(f"'{shown(text)}' is not a shape: write it like 2x8x16x16 or 2x128:int64", field="--input")
    if match.group(2) and match.group(2) not in _DTYPES:
        choices = nearest(match.group(2), _DTYPES) or tuple(_DTYPES)
        raise InputError(f"there is no input dtype '{shown(match.group(2))}'", field="--input", nearest=choices)
    return Given(tuple(int(size) for size in match.group(1).split("x")), match.group(2))


def _refuse(request: ModelRequest) -> None:
    """What can be asked of a module but not of a file."""
    asked = {
        "--mode training": request.training,
        "--autocast": request.autocast,
        "--phase": request.phase,
        "--context": request.context,
        "--channels-last": request.channels_last,
    }
    for option, value in asked.items():
        if value:
            raise InputError("an ONNX file is counted as it stands: export it so", field=option)
