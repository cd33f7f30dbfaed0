"""The batch of a model that is traced: which dimension of the inputs it is, and what grows with it.

A dimension is the batch if a run at another size of it has the same operators, whose multiply-adds and whose outputs
grow in proportion. Where the caller names no dimension, the one of torch's convention is tried.
"""

import copy
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from msgspec.structs import replace
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from hwbench.errors import InputError, shown
from hwbench.workload import growth
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.build import Built, give_settings
from hwbench.workload.tracing.control import LOOP
from hwbench.workload.tracing.record import Trace
from hwbench.workload.tracing.twins import (
    convert_all,
    is_channels_last,
    keep_values,
    keeps_values,
    rows,
    tensors,
)

_UNINITIALIZED: tuple[Any, ...] = (UninitializedParameter, UninitializedBuffer)
_AUTOCAST = {"fp16": torch.float16, "bf16": torch.bfloat16}


SMALL = 1 << 26
"""Elements of weights and of inputs up to which a module that needs values runs on real ones without being told to."""


def run(built: Built, request: ModelRequest) -> Trace:
    """Return the trace of all samples of a module's inputs: without data or, where it needs them, on random values.

    Between both, weights have no data, but inputs and what is made of them alone do. Random values are the same each
    time, since what a module computes may depend on them. They take one thread, unless the user asks for them: threads
    that wait for one another between many small operators take several times the work. Raises InputError where it runs
    on none.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        torch.set_num_threads(threads if request.real else 1)
        try:
            return _on_what_it_needs(built, request)
        finally:
            torch.set_num_threads(threads)


def _on_what_it_needs(built: Built, request: ModelRequest) -> Trace:
    weights = sum(weight.numel() for weight in (*built.module.parameters(), *built.module.buffers()))
    is_small = max(weights, _size((built.args, built.kwargs))) <= SMALL
    try:
        trace = _run(built, request, request.real)
        if LOOP not in trace.uncounted or request.autocast or not is_small:
            return trace
    except InputError as error:
        if request.real or request.autocast or error.code != "not-traceable":
            raise
        if give_settings(built.module):
            return _on_what_it_needs(built, request)
        if _size((built.args, built.kwargs)) <= SMALL:
            with suppress(InputError):
                return _run(_with_values(built), request, False)
        if not is_small:
            text = f"{error.message} If it needs values, let it run on real ones, which takes its memory and time."
            raise InputError("needs-values", text, field="model") from error.__cause__
    return _run(built, request, True)


def _with_values(built: Built) -> Built:
    """Return the module with zeros for the indices of its inputs that have no values, and random other values."""

    def fill(tensor: torch.Tensor, _last: bool = False) -> torch.Tensor:
        if not tensor.is_meta:
            return tensor
        values = torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")
        return keep_values(values.uniform_() if values.is_floating_point() else values)

    args, kwargs = convert_all((built.args, built.kwargs), fill, False)
    return replace(built, args=args, kwargs=kwargs, assumes=True)


def _run(built: Built, request: ModelRequest, real: bool) -> Trace:
    return torch_trace.trace(
        built.module,
        built.args,
        built.kwargs,
        batch=built.batch,
        training=request.training,
        autocast=_AUTOCAST.get(request.autocast or ""),
        channels_last=request.channels_last,
        whole=True,
        real=real,
        assumes=built.assumes,
    )


def with_known_shapes(built: Built) -> Built:
    """Return a copy of a module whose lazy layers have taken their shapes from its inputs; any other as it is."""
    weights = [*built.module.parameters(), *built.module.buffers()]
    if not any(isinstance(tensor, _UNINITIALIZED) for tensor in weights):
        return built

    def without_data(tensor: Any, _last: bool = False) -> Any:
        if isinstance(tensor, _UNINITIALIZED):
            kind: Any = type(tensor)
            return kind(device="meta")
        moved = tensor.detach().to("meta")
        return torch.nn.Parameter(moved, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else moved

    module = copy.deepcopy(built.module, {id(tensor): without_data(tensor) for tensor in weights})
    args, kwargs = convert_all((built.args, built.kwargs), without_data, False)
    try:
        with torch.no_grad(), torch.device("meta"):
            module(*args, **kwargs)
    except Exception as error:  # whatever the user's module raises
        reason = shown(" ".join(f"{type(error).__name__}: {error}".split()), 300)
        text = f"The lazy layers of {type(module).__name__} do not take their shapes from these inputs: {reason}"
        raise InputError("not-traceable", text, field="model") from error
    return replace(built, module=module)


def along(built: Built, dim: int) -> Built:
    """Return the module with dimension `dim` of its inputs as the batch. Raises InputError where there is none."""
    size = next((tensor.shape[dim] for tensor in tensors((built.args, built.kwargs)) if tensor.dim() > dim), 0)
    if not size:
        text = f"No input has a dimension {dim} (the first is 0)."
        raise InputError("batch-dim", text, field="batch_dim")
    return replace(built, batch=size, batch_dim=dim)


def resized(built: Built, batch: int) -> Built:
    """Return the module with inputs of another batch, without data: each that has the batch's size along its dimension.

    Raises InputError where the dimension of the batch is not known.
    """
    dim = built.batch_dim
    if batch == built.batch:
        return built
    if dim is None:
        raise unknown(built)

    def resize(tensor: torch.Tensor, _last: bool = False) -> torch.Tensor:
        if tensor.dim() <= dim or tensor.shape[dim] != built.batch * rows(tensor):
            return tensor
        if keeps_values(tensor):
            return keep_values(tensor.narrow(dim, 0, 1).repeat_interleave(batch, dim))
        shape = (*tensor.shape[:dim], batch * rows(tensor), *tensor.shape[dim + 1 :])
        order = torch.channels_last if is_channels_last(tensor) else torch.contiguous_format
        return torch.empty(shape, dtype=tensor.dtype, device="meta", memory_format=order)

    args, kwargs = convert_all((built.args, built.kwargs), resize, False)
    return replace(built, args=args, kwargs=kwargs, batch=batch)


def unknown(built: Built) -> InputError:
    """Return the error for another batch of inputs whose batch is not known."""
    shapes = ", ".join("x".join(map(str, tensor.shape)) for tensor in tensors((built.args, built.kwargs)))
    text = f"Which dimension of the inputs ({shapes}) is the batch is not known, so they are counted as they are given."
    return InputError("batch-unknown", f"{text} State it as the dimension of the batch.", field="batch")


def grown(built: Built, request: ModelRequest) -> tuple[Built, Trace, Trace | None]:
    """Return the module with its batch as far as it can be found, its trace, and one of a sample more if that runs.

    Raises InputError where the module does not run without data.
    """
    candidates = [built] if built.batch_dim is not None else list(_candidates(built))
    first = run(candidates[0] if candidates else built, request)
    if built.batch_dim is not None and request.training:
        return built, first, None
    for candidate in candidates:
        sizes = (candidate.batch, candidate.batch + 1)
        try:
            second = run(resized(candidate, sizes[1]), request)
        except InputError:  # the module needs the size that this dimension has
            continue
        if request.batch_dim is not None and _size(first.output) == _size(second.output):
            text = f"The outputs do not grow with dimension {request.batch_dim} of the inputs, so it is not the batch."
            raise InputError("batch-dim", text, field="batch_dim")
        if built.batch_dim is not None or (
            growth.multiples(first.ops, second.ops, sizes) and _outputs_grow(first.output, second.output, sizes)
        ):
            return candidate, first, second
    stated = (candidate for candidate in candidates if candidate.batch == request.batch)
    return next(stated, built), first, None


def _candidates(built: Built) -> Iterator[Built]:
    """Yield the module with each dimension that may be the batch: 1 where layers have it second by default, then 0."""
    second = any(getattr(module, "batch_first", None) is False for module in built.module.modules())
    inputs = list(tensors((built.args, built.kwargs)))
    for dim in (1, 0) if second else (0,):
        sizes = {tensor.shape[dim] for tensor in inputs if tensor.dim() > dim}
        if sizes and len(sizes - {1}) <= 1 and 0 not in sizes:
            yield replace(built, batch=max(sizes), batch_dim=dim)


def _size(output: Any) -> int:
    """Return how many elements all outputs have."""
    return sum(tensor.numel() for tensor in tensors(output))


def _outputs_grow(first: Any, second: Any, sizes: tuple[int, int]) -> bool:
    """Return whether every output of more than one number grows in proportion to the batch."""
    pairs = zip(tensors(first), tensors(second), strict=False)
    return all(a.numel() * sizes[1] == b.numel() * sizes[0] for a, b in pairs if a.dim())
