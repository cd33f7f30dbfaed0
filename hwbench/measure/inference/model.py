"""Networks that can be run, with random weights and inputs, beside what is counted of them.

The module is built from the catalog's layers or by the package that the name refers to, and must have as many
parameters as the workload counts. Inputs rotate among a few, so that no pass finds its input in a cache.
"""

from typing import Any

import msgspec
import torch
from msgspec import Struct

from hwbench.errors import HwbenchError
from hwbench.measure.engines.base import Inputs
from hwbench.workload import load
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import layer_network, sources
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.twins import convert_all, tensors

INPUTS = 4
"""Different inputs among which passes rotate."""


class RunnableModel(Struct, frozen=True):
    """A module that runs, and its workload. `modules` are those after which ops are named, with their names.

    `args` and `kwargs` are those of one pass over `batch` samples along dimension `batch_dim` (None where that is not
    known): meta tensors, or the user's own data. An index in
    the input has `rows` possible values. `output_shape` is that of one sample, None where only a run shows it.
    """

    workload: Workload
    module: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    batch: int
    modules: tuple[tuple[str, Any], ...]
    rows: int
    output_shape: tuple[int, ...] | None = None
    traced: bool = False
    batch_dim: int | None = 0

    @property
    def positional(self) -> Any:
        """The module as one of tensors in the order of the arguments: itself where they are nothing else."""
        if not self.kwargs and all(isinstance(value, torch.Tensor) for value in self.args):
            return self.module
        return Positional(self.module, self.args, self.kwargs)

    def inputs(self, batch: int, channels_last: bool = False, count: int = INPUTS) -> Inputs:
        """Return sets of tensors for a pass over `batch` samples: random, or the user's own data."""
        return [tuple(self._filled(batch, seed, channels_last)) for seed in range(count)]

    def _filled(self, batch: int, seed: int, channels_last: bool) -> list[Any]:
        random = torch.Generator().manual_seed(seed)
        return [_filled(tensor, self, batch, random, channels_last) for tensor in tensors((self.args, self.kwargs))]


class Positional(torch.nn.Module):
    """A module called with tensors alone, which take the places of those in `args` and `kwargs`.

    Each call gets a key-value cache of its own, which it may extend; the outputs are the tensors of the output.
    """

    def __init__(self, inner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        self.inner, self.arguments = inner, (args, kwargs)

    def forward(self, *values: Any) -> tuple[Any, ...]:
        """Run the module on these tensors."""
        following = iter(values)
        args, kwargs = convert_all(self.arguments, lambda _tensor, _last=False: next(following), False)
        return tuple(tensors(self.inner(*args, **kwargs)))


def build(request: ModelRequest) -> RunnableModel:
    """Return the model of a request with random weights on the CPU. Raises InputError.

    Raises HwbenchError where the module has other parameters than the workload counts.
    """
    if request.model.partition(":")[0] in load.TRACED:
        model = _traced(request)
    else:
        file, workload = load.layer_list(request), load.workload(request)
        module = layer_network.module(file.layers, file.input, inplace=not request.training)
        dtype = torch.int64 if module.rows else torch.float32
        data = torch.empty(1, *file.input, dtype=dtype, device="meta")
        shape = None if request.training else workload.ops[-1].output_shape
        model = RunnableModel(workload, module, (data,), {}, 1, module.leaves, module.rows or 2, shape)
    params = sum(parameter.numel() for parameter in model.module.parameters())
    if params != model.workload.params:
        text = f"The module of {request.model} has {params} parameters; {model.workload.params} were counted."
        raise HwbenchError(text)
    return model


def _traced(request: ModelRequest) -> RunnableModel:
    built, workload = sources.count_module(sources.build(request, "cpu"), request)
    modules = tuple(built.module.named_modules())
    config = getattr(built.module, "config", None)
    rows = getattr(config and config.get_text_config(), "vocab_size", None)
    tables = [module.num_embeddings for _, module in modules if isinstance(module, torch.nn.Embedding)]
    rows = rows or min(tables, default=2)
    module = built.module.eval()
    return RunnableModel(
        workload, module, built.args, built.kwargs, built.batch, modules, rows, traced=True, batch_dim=built.batch_dim
    )


def unfolded(model: RunnableModel, request: ModelRequest, batch: int = 0) -> Workload:
    """Return the workload with every op by itself, named after its module: `features.0:convolution`.

    That of a training step is of `batch` samples.
    """
    if request.training:
        step = torch_trace.trace(model.positional, model.inputs(batch, count=1)[0], training=True)
        passes = (msgspec.structs.replace(op, name=op.name.removeprefix("inner.")) for op in step.finished())
        update = (op for op in model.workload.ops if op.part == "optimizer")
        return msgspec.structs.replace(model.workload, ops=(*passes, *update))
    if not model.traced:
        return model.workload
    traced = torch_trace.trace(
        model.module, model.args, model.kwargs, batch=model.batch, channels_last=request.channels_last,
        whole=bool(model.workload.fixed),
    )  # fmt: skip
    return msgspec.structs.replace(model.workload, ops=tuple(traced.finished()))


def _filled(tensor: Any, model: RunnableModel, batch: int, random: Any, channels_last: bool) -> Any:
    """Return a tensor of that batch with random data: normal reals, integers as indices, masks all true."""
    shape, dim = list(tensor.shape), model.batch_dim
    if dim is not None and len(shape) > dim and shape[dim] == model.batch:
        shape[dim] = batch
    if not tensor.is_meta:
        data = (
            tensor
            if dim is None or len(shape) <= dim
            else tensor.index_select(dim, torch.arange(shape[dim]) % tensor.shape[dim])
        )
        data = data.float() if data.is_floating_point() else data
    elif tensor.is_floating_point():
        data = torch.randn(shape, generator=random)
    elif tensor.dtype == torch.bool:
        data = torch.ones(shape, dtype=torch.bool)
    else:
        data = torch.randint(0, model.rows, shape, generator=random, dtype=tensor.dtype)
    if isinstance(model.module, bytes):  # a graph, whose inputs have their dtypes
        return data.to(tensor.dtype)
    return data.contiguous(memory_format=torch.channels_last) if channels_last and data.dim() == 4 else data
