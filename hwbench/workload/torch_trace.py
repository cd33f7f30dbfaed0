"""Any torch module as a workload: traced on tensors without data, every operator that would launch a kernel counted.

The module runs once on `meta` tensors (or, under autocast, on fake CUDA tensors) below a dispatch mode. No weights are
allocated, nothing is computed, and the module is left as it was found. Fused attention and recurrent layers, which
torch would take apart for such tensors, are caught one level higher.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from hwbench.errors import InputError, shown
from hwbench.workload import aten
from hwbench.workload.cost import Call, Cost, Tensor
from hwbench.workload.op import Op
from hwbench.workload.torch_run import (
    address,
    attended,
    autocast_as_cuda,
    convert_all,
    converter,
    copy_into,
    dense,
    distinct,
    fake_mode,
    is_channels_last,
    item_of,
    multiplied,
    named,
    normalized,
    recurred,
    replaced,
    set_item,
    slow_path,
    swapped,
    tensors,
)

RUN_DTYPE = torch.float32
"""Tensors of this dtype take the size of the run's dtype; all others keep their own."""

_DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64"}
_ATTENTION = "aten.scaled_dot_product_attention"
_ANSWERS = {"aten.all": True, "aten.any": False, "aten.eq": True, "aten.ne": False}
"""What a module is told that asks one thing about its data: checks hold, oddities are absent (no padding, no NaN)."""
_GUARDED: dict[Any, Callable[..., Any]] = {
    torch.Tensor.__getitem__: item_of,
    torch.Tensor.__setitem__: set_item,
    torch.Tensor.copy_: copy_into,
}
_FIRST_OUTPUT = ("batch_norm", "layer_norm", "group_norm", "rms_norm", "attention")
"""Operators whose further outputs are small statistics."""


class Trace:
    """What a run of a module was seen to do: ops in order, operators without a formula, parameters of no op."""

    def __init__(self, batch: int, autocast: bool) -> None:
        self.batch = batch
        self.autocast = autocast
        self.ops: list[Op] = []
        self.uncounted: dict[str, int] = {}
        self.modules: list[str] = []
        self.output: Any = None  # what the module returned
        # By storage; the storage is kept, so that its address stays its own.
        self._roles: dict[int, tuple[str | None, Any]] = {}
        self._params: dict[int, list[torch.nn.Parameter]] = {}

    def enter(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Learn which storages are weights and which hold data."""
        weights = [*module.parameters(), *module.buffers()]
        for owner in module.modules():
            weights += [value for value in vars(owner).values() if isinstance(value, torch.Tensor)]
        for tensor in weights:
            self._mark(tensor, "weight")
        for parameter in module.parameters():
            self._params.setdefault(address(parameter), []).append(parameter)
        for tensor in tensors((args, kwargs)):
            self._mark(tensor, "data")

    @property
    def unused_params(self) -> int:
        """Parameters that no op has read."""
        return sum(parameter.numel() for parameters in self._params.values() for parameter in parameters)

    def _mark(self, tensor: torch.Tensor, role: str | None) -> None:
        if tensor.layout is torch.strided:
            self._roles[address(tensor)] = (role, tensor.untyped_storage())

    def role(self, tensor: torch.Tensor) -> str:
        """Whether a tensor holds data, weights (or what was made of them alone), or neither."""
        known = self._roles.get(address(tensor)) if tensor.layout is torch.strided else None
        return (known and known[0]) or "constant"

    def record(self, call: Call, cost: Cost, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        """Add an op, and let what it writes hold data if what it reads does."""
        reads_data = any(self.role(tensor) == "data" for tensor in inputs)
        made_of = "data" if reads_data else "weight" if any(self.role(t) == "weight" for t in inputs) else None
        for tensor in outputs if made_of else ():
            self._mark(tensor, made_of)
        counted = outputs[:1] if any(part in call.name for part in _FIRST_OUTPUT) else outputs
        shares = self.batch if reads_data else 1
        read = _Bytes(self.autocast)
        weights = _Bytes(self.autocast)
        partly = dict(enumerate((cost.reads, cost.reads_second)))
        for position, tensor in enumerate(inputs):
            some = partly.get(position)
            data = self.role(tensor) == "data" or (position == 0 and some is not None and reads_data)
            (read if data else weights).add(tensor, distinct(tensor) if some is None else some, shares if data else 1)
        written = _Bytes(self.autocast)
        for tensor in counted:
            written.add(tensor, tensor.numel(), shares)
        shape = tuple(counted[0].shape) if counted else ()
        self.ops.append(
            Op(
                kind=cost.kind,
                output_shape=shape[1:] if reads_data and shape[:1] == (self.batch,) else shape,
                params=self._claimed(inputs),
                macs=_share(cost.macs, shares),
                bias_adds=_share(cost.bias_adds, shares),
                elementwise_flops=_share(cost.elementwise_flops, shares),
                input_elements=read.elements,
                weight_elements=weights.elements,
                output_elements=written.elements,
                fixed_input_bytes=read.fixed,
                fixed_weight_bytes=weights.fixed,
                fixed_output_bytes=written.fixed,
                name=f"{self.modules[-1] if self.modules else ''}:{call.name.removeprefix('aten.')}".lstrip(":"),
                dtype=self._dtype(cost, inputs),
                constant=not reads_data,
            )
        )

    def _claimed(self, inputs: list[torch.Tensor]) -> int:
        """Parameters read here for the first time: a shared module's count once."""
        return sum(
            parameter.numel()
            for tensor in inputs
            if tensor.layout is torch.strided
            for parameter in self._params.pop(address(tensor), ())
        )

    def _dtype(self, cost: Cost, inputs: list[torch.Tensor]) -> str | None:
        """The dtype that an op computes in, where it need not be the run's."""
        found = next((tensor.dtype for tensor in inputs if tensor.is_floating_point()), RUN_DTYPE)
        if self.autocast or (found != RUN_DTYPE and cost.macs):
            return _DTYPES.get(found)
        return None


class _Bytes:
    """Elements of the run's dtype, and bytes of all other tensors."""

    def __init__(self, all_fixed: bool) -> None:
        self.elements = 0
        self.fixed = 0
        self.all_fixed = all_fixed

    def add(self, tensor: torch.Tensor, elements: int, shares: int) -> None:
        if tensor.dtype == RUN_DTYPE and not self.all_fixed:
            self.elements += _share(elements, shares)
        else:
            self.fixed += _share(elements * tensor.element_size(), shares)


class _Dispatch(TorchDispatchMode):
    """Sees every operator below autograd."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace
        self.answers: dict[int, tuple[bool, Any]] = {}  # by storage, as in Trace

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = f"{func.namespace}.{func._schema.name.partition('::')[2]}"
        if name == "aten._local_scalar_dense" and address(args[0]) in self.answers:
            return self.answers[address(args[0])][0]
        output: Any = normalized(*args) if name == "aten.native_batch_norm" else func(*args, **kwargs)
        if name == "aten.convolution" and any(is_channels_last(tensor) for tensor in args[:2]):
            output = output.contiguous(memory_format=torch.channels_last)  # as cuDNN does; `meta` tensors forget
        if name in _ANSWERS and output.dim() == 0:
            self.answers[address(output)] = (_ANSWERS[name], output.untyped_storage())
        if name not in aten.FREE and not func.is_view and func.namespace != "prim":
            tags = func.tags
            reduction = getattr(torch.Tag, "reduction", None) in tags
            self.count(name, args, kwargs, list(tensors(output)), torch.Tag.pointwise in tags, reduction)
        return output

    def count(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        outputs: list[torch.Tensor],
        pointwise: bool = False,
        reduction: bool = False,
    ) -> None:
        """Record one call by its formula."""
        call = Call(
            name=name,
            args=tuple(self._described(argument) for argument in args),
            kwargs={key: self._described(value) for key, value in kwargs.items()},
            outputs=tuple(self._tensor(tensor) for tensor in outputs),
            samples=self.trace.batch,
        )
        costs = aten.cost(call, pointwise, reduction)
        if costs is None:
            self.trace.uncounted[name] = self.trace.uncounted.get(name, 0) + 1
            costs = Cost("uncounted")
        self.trace.record(call, costs, list(tensors((args, kwargs))), outputs)

    def _described(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, (list, tuple)):
            return tuple(self._described(item) for item in value)
        return value

    def _tensor(self, tensor: torch.Tensor) -> Tensor:
        return Tensor(
            shape=tuple(tensor.shape),
            elements=distinct(tensor),
            itemsize=tensor.element_size(),
            floating=tensor.is_floating_point(),
            contiguous=dense(tensor),
            role="weight" if self.trace.role(tensor) == "weight" else "data",
            dtype=str(tensor.dtype).removeprefix("torch."),
        )


class _Functions(TorchFunctionMode):
    """Catches what torch would take apart or refuse for tensors without data, though a GPU runs it as one kernel."""

    def __init__(self, trace: Trace, dispatch: _Dispatch) -> None:
        super().__init__()
        self.trace = trace
        self.dispatch = dispatch
        self.recurrent = {
            getattr(home, name): name
            for home in (torch, torch._VF)
            for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")
            if hasattr(home, name)
        }
        self.cells = {
            getattr(torch._VF, name): name for name in ("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
        }
        self.grouped = {torch._grouped_mm} if hasattr(torch, "_grouped_mm") else set()
        self.grouped |= {function for function in [getattr(torch.nn.functional, "grouped_mm", None)] if function}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch._C._nn.scaled_dot_product_attention:
            return self.attend(*args, **kwargs)
        if func in self.grouped:
            return self._multiply_groups(*args, **kwargs)
        if func in self.recurrent and not torch.is_grad_enabled():
            return self._recur(self.recurrent[func], args)
        if func in self.cells and not torch.is_grad_enabled():
            return self._step(self.cells[func], *args)
        if func in _GUARDED and self.trace.autocast and not torch.cuda._is_compiled():
            return _GUARDED[func](*args)
        return func(*args, **kwargs)

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: Any = None, *_: Any, **__: Any
    ) -> torch.Tensor:
        """Fused attention, in autocast's dtype."""
        dtype = torch.get_autocast_dtype("cuda") if self.trace.autocast and torch.is_autocast_enabled("cuda") else None
        if dtype is not None:
            query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
        output: torch.Tensor = _Fused.apply(self.dispatch, _ATTENTION, attended, query, key, value, attn_mask)
        return output

    def _multiply_groups(
        self, mat_a: torch.Tensor, mat_b: torch.Tensor, offs: Any = None, *_: Any, **__: Any
    ) -> torch.Tensor:
        output: torch.Tensor = _Fused.apply(self.dispatch, "aten._grouped_mm", multiplied, mat_a, mat_b, offs)
        return output

    def _recur(self, name: str, args: tuple[Any, ...]) -> tuple[torch.Tensor, ...]:
        """A recurrent layer as one op for all its steps."""
        data, state, weights, results = recurred(args)
        self.dispatch.count(f"aten.{name}", (data, state, weights), {}, results)
        return tuple(results)

    def _step(self, name: str, data: torch.Tensor, state: Any, *weights: torch.Tensor) -> Any:
        """The next state of a recurrent cell, whose products do not wait for each other."""
        states = [item.new_empty(item.shape) for item in tensors(state)]
        self.dispatch.count(f"aten.{name}", (data, state, weights), {}, states)
        return tuple(states) if isinstance(state, (list, tuple)) else states[0]


class _Fused(torch.autograd.Function):
    """A kernel without arithmetic: has itself counted, forward and backward."""

    @staticmethod
    def forward(ctx: Any, dispatch: _Dispatch, name: str, result: Any, *operands: Any) -> torch.Tensor:
        ctx.dispatch, ctx.name, ctx.operands = dispatch, name, operands
        output: torch.Tensor = result(*operands)
        dispatch.count(name, operands, {}, [output])
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        wanted = ctx.needs_input_grad[-len(ctx.operands) :]
        results = [
            tensor.new_empty(tensor.shape) if need else None for tensor, need in zip(ctx.operands, wanted, strict=True)
        ]
        outputs = [tensor for tensor in results if tensor is not None]
        ctx.dispatch.count(f"{ctx.name}_backward", (*gradients, *ctx.operands), {}, outputs)
        return (None, None, None, *results)


def trace(
    module: torch.nn.Module,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    batch: int = 1,
    training: bool = False,
    autocast: torch.dtype | None = None,
    channels_last: bool = False,
) -> Trace:
    """Run `module` on tensors without data and count it.

    `args` and `kwargs` hold `batch` samples; counts are per sample. `training` adds the backward pass of the summed
    outputs: its counts are of the whole batch, not per sample, because gradients of weights do not grow with it.
    `autocast` is the dtype of a mixed-precision run as CUDA does it. Raises InputError where the module cannot run so.
    """
    found = Trace(1 if training else batch, autocast is not None)
    try:
        with contextlib.ExitStack() as stack:
            enter = stack.enter_context
            fake = fake_mode(autocast is not None)
            convert = converter(fake, training)
            enter(swapped(module, convert, training, channels_last))
            args, kwargs = convert_all((args, kwargs or {}), convert, channels_last)
            enter(named(module, found.modules))
            enter(torch.set_grad_enabled(training))
            enter(slow_path())
            if fake is not None:
                enter(fake)
                enter(replaced(torch.cuda, "get_device_capability", lambda *_: (8, 0)))
            enter(torch.device("meta" if fake is None else "cuda"))  # where the module makes tensors of its own
            enter(autocast_as_cuda(autocast))
            found.enter(module, args, kwargs)
            dispatch = _Dispatch(found)
            enter(dispatch)
            functions = _Functions(found, dispatch)
            enter(functions)
            # torch's own multi-head attention hides its call from the mode
            enter(replaced(torch.nn.functional, "scaled_dot_product_attention", functions.attend))
            found.output = module(*args, **kwargs)
            if training:
                _backward(found.output)
    except (InputError, KeyboardInterrupt):
        raise
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{type(module).__name__} does not run without data: {shown(what, 300)}") from error
    return found


def _backward(output: Any) -> None:
    losses = [tensor.sum() for tensor in tensors(output) if tensor.requires_grad]
    if not losses:
        raise InputError("has no output that depends on a parameter: nothing to train")
    torch.autograd.backward(losses)


def _share(amount: int, shares: int) -> int:
    return -(-amount // shares)
