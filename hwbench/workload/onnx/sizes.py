"""Input sizes of an ONNX graph: from the file where they are numbers, else from the request."""

import re
from typing import Any

from onnx import TensorProto

from hwbench.errors import InputError, shown
from hwbench.workload.inputs import TypedShape, typed_shape
from hwbench.workload.onnx.file import MAX_DIMENSIONS
from hwbench.workload.onnx.values import Value, shaped
from hwbench.workload.request import ModelRequest

_BATCH_NAME = re.compile(r"n|b|bs|.*batch.*", re.IGNORECASE)
_DTYPES = {
    "float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64,
    "int32": TensorProto.INT32, "bool": TensorProto.BOOL, "uint8": TensorProto.UINT8, "float64": TensorProto.DOUBLE,
}  # fmt: skip
_Sizes = list[int | str | None]


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
        self.batch_name = self._find_batch()
        for position, shape in enumerate(requested):
            self.dims[position] = self._bind(position, shape)
        self.free_batch = self.batch_name is not None and self.batch_name not in self.symbols
        if self.batch_name is not None and self.free_batch:
            self.symbols[self.batch_name] = batch
        self.free_batch |= self._bind_unnamed(batch)
        if request.image_size:
            self._bind_image(request.image_size)
        self.shapes = [self._settle(position) for position in range(len(self.inputs))]
        self.first = next((shape for shape in self.shapes if shape), (1,))
        self.batch = self.symbols[self.batch_name] if self.batch_name is not None else self.first[0]

    def values(self) -> dict[str, Value]:
        """Return the inputs by name."""
        return {
            info.name: shaped(info.type.tensor_type.elem_type, shape, "data")
            for info, shape in zip(self.inputs, self.shapes, strict=True)
        }

    def _find_batch(self) -> str | None:
        """Return the symbol of the batch: by its name, else the first input's first dimension."""
        names = [size for dims in self.dims for size in dims or [] if isinstance(size, str)]
        named = next((name for name in names if _BATCH_NAME.fullmatch(name)), None)
        first = next((dims[0] for dims in self.dims if dims), None)
        return named or (first if isinstance(first, str) else None)

    def _bind_unnamed(self, batch: int) -> bool:
        """Give first dimensions without a name the size of the batch; return whether there are any."""
        size = self.symbols[self.batch_name] if self.batch_name is not None else batch
        unnamed = [dims for dims in self.dims if dims and dims[0] is None]
        for dims in unnamed:
            dims[0] = size
        return bool(unnamed)

    def _bind_image(self, side: int) -> None:
        for dims in self.dims:
            if dims is None or len(dims) != 4:
                continue
            for size in dims[2:]:
                if isinstance(size, str):
                    self.symbols.setdefault(size, side)
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

    def _settle(self, position: int) -> tuple[int, ...]:
        name, dims = self.inputs[position].name, self.dims[position]
        if dims is None:
            text = f"Input '{shown(name)}' has no shape in this file, so one must be given."
            raise InputError("input-needed", text, field="input")
        sizes = []
        for number, dim in enumerate(dims):
            size = self.symbols.get(dim) if isinstance(dim, str) else dim
            if size is None:
                which = f"'{shown(dim)}'" if dim else str(number)
                text = f"Dimension {which} of input '{shown(name)}' has no size in this file, so a shape must be given."
                raise InputError("input-needed", text, field="input")
            sizes.append(size)
        return tuple(sizes)


def requested_inputs(request: ModelRequest) -> list[TypedShape]:
    """Return the shapes of a request, separated by commas. Raises InputError."""
    texts = request.input.split(",") if request.input else []
    return [typed_shape(text, _DTYPES) for text in texts]


def _mismatch(text: str) -> InputError:
    return InputError("input-mismatch", text, field="input")


def _dims(info: Any) -> _Sizes | None:
    """Return an input's sizes: numbers, names, None where there is neither; None for all where the rank is unknown."""
    if not info.type.HasField("tensor_type"):
        text = f"Input '{shown(info.name)}' is not a tensor, which is not supported."
        raise InputError("unsupported-input", text)
    if not info.type.tensor_type.HasField("shape"):
        return None
    sizes: _Sizes = []
    for dim in info.type.tensor_type.shape.dim:
        sizes.append(dim.dim_value if dim.dim_value > 0 else dim.dim_param or None)
    if len(sizes) > MAX_DIMENSIONS:
        text = f"Input '{shown(info.name)}' has {len(sizes)} dimensions, more than any operator takes."
        raise InputError("unsupported-input", text)
    return sizes
