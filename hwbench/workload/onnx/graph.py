"""An ONNX file as a workload: input sizes from the file or the request, then a walk over its nodes.

Nothing of the file is run and its external data stays closed. Parameters are the floating-point initializers that ops
read (except statistics of batch normalization), and quantized weights. A file does not tell trained initializers from
buffers, so buffers that torch would not count are counted.
"""

import os
from collections import ChainMap

from hwbench.errors import InputError, shown
from hwbench.workload.onnx import file as onnx_file
from hwbench.workload.onnx import walk
from hwbench.workload.onnx.sizes import SymbolicSizes, requested_inputs
from hwbench.workload.onnx.state import State
from hwbench.workload.onnx.values import STANDARD
from hwbench.workload.ops import Workload, fold
from hwbench.workload.request import ModelRequest

TRACED_BATCH = 2
"""Samples where the file leaves the batch open, as in a torch trace."""


def workload(path: str, request: ModelRequest) -> Workload:
    """Return the workload of an `.onnx` file. Raises InputError that names the file, and the node where there is one.

    An open batch dimension is taken as 2 or as in `request.input`; where the graph only fits a batch of 1, as 1.
    """
    _refuse_options(request)
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
        uncounted=tuple(
            f"{shown(name)} ({count} of {len(state.ops)} operators)" for name, count in sorted(state.uncounted.items())
        ),
        unused_params=state.unused_params,
    )


def _walked(path: str, graph: object, opsets: dict[str, int], sizes: SymbolicSizes) -> State:
    state = State(path, opsets, sizes.batch, sizes.symbols)
    walk.walk_graph(state, graph, ChainMap(sizes.values()))
    return state


def _refuse_options(request: ModelRequest) -> None:
    """Raise InputError for parameters that apply to a module but not to a file."""
    parameters = {
        "mode": request.training,
        "dtype": request.autocast,
        "phase": request.phase,
        "context": request.context,
        "channels_last": request.channels_last,
    }
    for name, value in parameters.items():
        if value:
            text = "This does not apply to an ONNX file, which is counted unchanged; export the model accordingly."
            raise InputError("not-for-onnx", text, field=name)
