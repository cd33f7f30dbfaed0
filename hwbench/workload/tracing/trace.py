"""Any torch module traced on tensors without data: every operator that would launch a kernel is counted.

The module runs once on `meta` tensors (or, under autocast, on fake CUDA tensors) below a dispatch mode. No weights are
allocated, nothing is computed, and the module is restored afterwards. Fused attention and recurrent layers, which
torch would decompose for such tensors, are caught one level higher.
"""

import contextlib
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from hwbench.errors import InputError, shown
from hwbench.workload.formulas import aten
from hwbench.workload.formulas.cost import Call, Cost, Tensor, joined
from hwbench.workload.tracing import control, parts, patches, registered, stand_ins, twins
from hwbench.workload.tracing.record import Trace

_ATTENTION = "aten.scaled_dot_product_attention"
_ANSWERS = {
    "aten.all": True, "aten.any": False, "aten.eq": True, "aten.ne": False, "aten._is_all_true": True,
    "aten._is_any_true": False,
}  # fmt: skip
"""Answers to a module that asks about its data: checks hold, oddities are absent (no padding, no NaN).

Each answer is recorded in the trace and reported to the user: other data may take another path.
"""
_BY_VALUES = ("aten.index", "aten.repeat_interleave", "aten.arange")
"""Operators whose output's shape depends on the values of some tensor, so that they run on these."""
_CONSTANTS = ("aten.arange", "aten.zeros", "aten.ones", "aten.full", "aten.scalar_tensor", "aten.tril_indices")
"""Operators that make tensors of nothing; those of integers may decide about shapes."""
_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_GUARDED: dict[Any, Callable[..., Any]] = {
    torch.Tensor.__getitem__: stand_ins.get_item,
    torch.Tensor.__setitem__: stand_ins.set_item,
    torch.Tensor.copy_: stand_ins.copy_into,
    torch.Tensor.contiguous: stand_ins.make_contiguous,
    torch.Tensor.__invert__: torch.ops.aten.bitwise_not.default,
}


@cache
def name_of(func: Any) -> str:
    """Return an operator's name, such as `aten.mm`, without its overload."""
    return f"{func.namespace}.{func._schema.name.partition('::')[2]}"


@cache
def is_composite(func: Any) -> bool:
    """Return whether an operator is made of others, which inference mode does not take apart before it is seen."""
    key = "CompositeImplicitAutograd"
    return func.namespace == "aten" and bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key))


class Dispatch(TorchDispatchMode):
    """See every operator below autograd."""

    supports_higher_order_operators = True

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace
        self.questions: dict[int, tuple[str, Any]] = {}  # by the storage of the answer, as in Trace
        self.packed = twins.Packed(trace.add_weights)
        self.forms = stand_ins.Forms()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if any(twins.is_made_of_others(kind) for kind in types):
            return NotImplemented  # it takes the operator apart, and those of its parts come here
        if isinstance(func, torch._ops.HigherOrderOperator):
            with self:
                return control.run(func.name(), self.trace, args)
        if is_composite(func) and not any(tensor.is_nested for tensor in twins.tensors((args, kwargs))):
            with self:
                return func.decompose(*args, **kwargs)
        name, key = name_of(func), stand_ins.form_key(args, kwargs)
        if name == "aten._local_scalar_dense" and not self.trace.real and twins.address(args[0]) in self.questions:
            question = self.questions[twins.address(args[0])][0]
            return self.trace.assume(question.removeprefix("aten."), _ANSWERS[question])
        output: Any = self._run(func, name, args, kwargs, key)
        if name == "aten.convolution" and any(twins.is_channels_last(tensor) for tensor in args[:2]):
            output = stand_ins.make_contiguous(output, torch.channels_last)  # as cuDNN does; `meta` tensors forget
        if name in _ANSWERS and output.dim() == 0:
            self.questions[twins.address(output)] = (name, StorageWeakRef(output.untyped_storage()))
        outputs = twins.split_nested(list(twins.tensors(output)))
        in_place = name == "aten.add" and parts.is_sum_of_gradients() and not args[0]._is_view()
        self.trace.see(outputs, args[0] if in_place else None)
        if self.counts(func, name):
            self.count(name, args, kwargs, outputs, func.tags, key)
        return output

    @staticmethod
    @cache
    def counts(func: Any, name: str) -> bool:
        """Return whether an operator launches a kernel."""
        return name not in aten.FREE and not func.is_view and func.namespace not in ("prim", "profiler")

    def _run(self, func: Any, name: str, args: Any, kwargs: Any, key: Any) -> Any:
        """Run the call, where necessary in a way that works without data or on a torch without CUDA."""
        if self.trace.real:
            return func(*args, **kwargs)
        if name == "aten.equal":
            return args[0].shape == args[1].shape and self.trace.assume("equal", True)
        if name == "aten.native_batch_norm":
            return stand_ins.batch_norm_output(*args)
        fake = self.trace.autocast and not torch.cuda._is_compiled()
        if fake and name == "aten.convolution":
            args = (stand_ins.make_contiguous(args[0]), stand_ins.make_contiguous(args[1]), *args[2:])
        if self.trace.has_values and name == "aten._to_copy":
            kwargs = kwargs | {"device": None}  # values stay
        elif (
            self.trace.has_values and name in _CONSTANTS and not (kwargs.get("dtype") or torch.int64).is_floating_point
        ):
            kwargs = kwargs | {"device": "cpu"}  # such as positions that are selected by the values of others
        elif self.trace.has_values and (
            (torch.Tag.pointwise in func.tags and stand_ins.is_large((args, kwargs)))
            or (name not in _BY_VALUES and stand_ins.is_mixed((args, kwargs)))
        ):
            return stand_ins.run_on_meta(func, args, kwargs, "meta")
        try:
            return self.forms.run(func, args, kwargs, key)
        except RuntimeError:  # of kernels that ask for the device
            if not fake:
                raise
            return stand_ins.run_on_meta(func, args, kwargs, "cuda")

    def count_as(
        self, name: str, formula: Any, args: Any, kwargs: Any, outputs: list[torch.Tensor], more: list[torch.Tensor]
    ) -> None:
        """Record a call by a formula of the caller's; it reads `more` tensors than its arguments."""
        own, named = twins.convert_all((args, kwargs), self._tensor, False)
        call = Call(name, own, named, tuple(map(self._tensor, outputs)), self.trace.batch)
        if not self.trace.is_quiet:
            self.trace.record(call, formula(call), [*twins.tensors((args, kwargs)), *more], outputs)

    def count(
        self, name: str, args: Any, kwargs: Any, outputs: list[torch.Tensor], tags: Any = (), key: Any = None
    ) -> None:
        """Record one call with the cost of its formula; calls with the same `key` are known by the first of them."""
        if "quantized" in name:
            args, key = self.packed.open_all(args), None
        tensors = list(twins.tensors((args, kwargs)))
        inputs = twins.split_nested(tensors)
        if self.trace.is_quiet:
            self.trace.pass_on(inputs, outputs)
            return
        key = key and self.trace.key(name, key, inputs, outputs)
        if self.trace.repeat(key, inputs, outputs):
            return
        samples = max((len(tensor.unbind()) for tensor in tensors if tensor.is_nested), default=1)
        calls = [self._call(name, args, kwargs, outputs, sample) for sample in range(samples)]
        flags = torch.Tag.pointwise in tags, getattr(torch.Tag, "reduction", None) in tags
        costs = [cost for call in calls if (cost := aten.cost(call, *flags)) is not None]
        if not costs:
            self.trace.leave_out(name)
        cost = joined(costs) if costs else Cost("uncounted")
        self.trace.record(calls[0], cost, inputs, outputs, key if costs else None)

    def _call(self, name: str, args: Any, kwargs: Any, outputs: list[torch.Tensor], sample: int) -> Call:
        """Return a call as formulas see it: of tensors that nest several, of the one of this sample."""

        def describe(tensor: torch.Tensor) -> Tensor:
            return self._tensor(tensor.unbind()[sample] if tensor.is_nested else tensor)

        own, named = twins.convert_all((args, kwargs), describe, False)
        return Call(name, own, named, tuple(map(self._tensor, outputs[sample:] or outputs)), self.trace.batch)

    def _tensor(self, tensor: torch.Tensor) -> Tensor:
        return Tensor(
            tuple(tensor.shape),
            twins.distinct_elements(tensor),
            tensor.is_floating_point(),
            twins.is_dense(tensor),
            "weight" if self.trace.role(tensor) == "weight" else "data",
            str(tensor.dtype).removeprefix("torch."),
            twins.is_sparse(tensor),
        )


class _Functions(TorchFunctionMode):
    """Catch what torch would decompose or refuse for tensors without data, though a GPU runs it as one kernel."""

    def __init__(self, trace: Trace, dispatch: Dispatch) -> None:
        super().__init__()
        self.trace = trace
        self.dispatch = dispatch
        homes = [(home, name) for home in (torch, torch._VF) for name in _RECURRENT]
        self.recurrent = {getattr(home, name): name for home, name in homes if hasattr(home, name)}
        self.cells = {getattr(torch._VF, f"{name}_cell"): f"{name}_cell" for name in _RECURRENT}
        self.without_cuda = trace.autocast and not torch.cuda.is_available()
        homes = [(torch, "_grouped_mm"), (torch.nn.functional, "grouped_mm")]
        self.grouped = {getattr(home, name) for home, name in homes if hasattr(home, name)}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        needs_cuda = self.without_cuda and torch.is_grad_enabled()
        if needs_cuda and any(tensor.requires_grad for tensor in twins.tensors((args, kwargs))):
            raise _without_cuda("A forward pass that computes gradients")
        if func is torch._C._nn.scaled_dot_product_attention:
            return self.attend(*args, **kwargs)
        if func is torch.tensor and self.trace.has_values:
            kwargs = kwargs | {"device": "cpu"}
        if func in self.grouped:
            return self._multiply_groups(*args, **kwargs)
        if func in self.recurrent:
            return self._recur(self.recurrent[func], args)
        if func in self.cells and not torch.is_grad_enabled():
            return self._step(self.cells[func], *args)
        if func in _GUARDED and self.trace.autocast and not torch.cuda._is_compiled():
            return _GUARDED[func](*args, **kwargs)
        return func(*args, **kwargs)

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: Any = None,
        _dropout: float = 0.0, is_causal: bool = False, **flags: Any,
    ) -> torch.Tensor:  # fmt: skip
        """Run fused attention, in autocast's dtype."""
        flags = self._window(query, key, attn_mask) | {"is_causal": is_causal, **flags}
        dtype = torch.get_autocast_dtype("cuda") if self.trace.autocast and torch.is_autocast_enabled("cuda") else None
        if dtype is not None:
            query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
        return _Fused.apply(self.dispatch, _ATTENTION, flags, stand_ins.attention_output, query, key, value, attn_mask)

    def _window(self, query: torch.Tensor, key: torch.Tensor, mask: Any) -> dict[str, Any]:
        """Return the window of a mask that a causal model of transformers makes from positions alone, as flags."""
        if mask is None or self.trace.role(mask) != "constant" or mask.shape[-2:] != (query.shape[-2], key.shape[-2]):
            return {}
        if not (size := _window_of(self.trace.running())):
            return {}
        return {"window_size_left": size - 1, "window_size_right": 0, "offset": key.shape[-2] - query.shape[-2]}

    def _multiply_groups(self, mat_a: torch.Tensor, mat_b: torch.Tensor, offs: Any = None, *_: Any, **__: Any) -> Any:
        result = stand_ins.grouped_product_output
        return _Fused.apply(self.dispatch, "aten._grouped_mm", {}, result, mat_a, mat_b, offs)

    def _recur(self, name: str, args: tuple[Any, ...]) -> tuple[torch.Tensor, ...]:
        """Run a recurrent layer as one op for all its steps."""
        data, states, weights, result = stand_ins.recurrent_output(args)
        outputs: tuple[torch.Tensor, ...] = _Recurrent.apply(
            self.dispatch, f"aten.{name}", result, len(states), data, *states, *weights
        )
        return outputs

    def _step(self, name: str, data: torch.Tensor, state: Any, *weights: torch.Tensor) -> Any:
        """Return the next state of a recurrent cell, whose products do not wait for each other."""
        states = [item.new_empty(item.shape) for item in twins.tensors(state)]
        self.dispatch.count(f"aten.{name}", (data, state, weights), {}, states)
        return tuple(states) if isinstance(state, (list, tuple)) else states[0]


def _window_of(module: Any) -> int | None:
    """Return how many keys, its own among them, a query meets in a causal attention of transformers; None for all."""
    if not getattr(module, "is_causal", False):
        return None
    config = getattr(module, "config", None)
    size = None if getattr(config, "layer_types", None) else getattr(config, "sliding_window", None)
    return getattr(module, "sliding_window", size)


class _Fused(torch.autograd.Function):
    """A kernel without arithmetic that is counted, forward and backward."""

    @staticmethod
    def forward(ctx: Any, dispatch: Dispatch, name: str, flags: Any, result: Any, *operands: Any) -> torch.Tensor:
        ctx.dispatch, ctx.name, ctx.flags = dispatch, name, flags
        output = result(*operands)
        sums = operands[0].new_empty(output.shape[:-1], dtype=torch.float32) if name == _ATTENTION else None
        ctx.save_for_backward(output, sums, *operands)
        dispatch.count(name, operands, flags, [output])
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        _, _, *operands = ctx.saved_tensors
        pairs = zip(operands, ctx.needs_input_grad[-len(operands) :], strict=True)
        results = [tensor.new_empty(tensor.shape) if need else None for tensor, need in pairs]
        outputs = [tensor for tensor in results if tensor is not None]
        ctx.dispatch.count(f"{ctx.name}_backward", (*gradients, *operands), ctx.flags, outputs)
        return (None, None, None, None, *results)


class _Recurrent(torch.autograd.Function):
    """A recurrent layer as one op each way: its data, states and weights give the output and the last states."""

    @staticmethod
    def forward(ctx: Any, dispatch: Dispatch, name: str, result: Any, states: int, *tensors: Any) -> Any:
        ctx.dispatch, ctx.name, ctx.states = dispatch, name, states
        outputs = result(tensors[0], tensors[1 : 1 + states])
        gates = sum(weight.shape[0] for weight in tensors[1 + states :] if weight.dim() == 2) // 2
        ctx.save_for_backward(*tensors, *outputs, outputs[0].new_empty((*tensors[0].shape[:-1], gates)))
        dispatch.count(name, (tensors[0], tensors[1 : 1 + states], tensors[1 + states :]), {}, outputs)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        wanted = ctx.needs_input_grad[4:]
        tensors = ctx.saved_tensors[: len(wanted)]
        pairs = zip(tensors, wanted, strict=True)
        results = [tensor.new_empty(tensor.shape) if need else None for tensor, need in pairs]
        data, states, weights = tensors[0], tensors[1 : 1 + ctx.states], tensors[1 + ctx.states :]
        flags = {"data": wanted[0], "states": any(wanted[1 : 1 + ctx.states]), "weights": any(wanted[1 + ctx.states :])}
        outputs = [tensor for tensor in results if tensor is not None]
        ctx.dispatch.count(f"{ctx.name}_backward", (gradients[0], data, states, weights), flags, outputs)
        return (None, None, None, None, *results)


def trace(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, *, batch: int = 1,
    training: bool = False, autocast: torch.dtype | None = None, channels_last: bool = False,
    whole: bool = False, real: bool = False, assumes: bool = False,
) -> Trace:  # fmt: skip
    """Run `module` on tensors without data, or on `real` ones on the CPU, and count it.

    `args` and `kwargs` hold `batch` samples; counts are per sample unless they are of the `whole` batch. `training`
    adds the backward pass of the summed outputs: its counts are of the whole batch, not per sample, because gradients
    of weights do not grow with it. `autocast` is the dtype of a mixed-precision run as CUDA does it; with `training` it
    needs a CUDA device. What is made of constants keeps its values where some inputs have values, which `assumes` says
    nobody stated. Raises InputError where the module cannot run so.
    """
    if training and autocast is not None and not torch.cuda.is_available():
        raise _without_cuda("A training step")
    result = Trace(1 if training else batch, autocast is not None, whole, real, assumes)
    try:
        with contextlib.ExitStack() as stack:
            enter = stack.enter_context
            fake = None  # or a mode whose tensors claim to be on CUDA; `meta` tensors are faster
            if autocast is not None:
                from torch._subclasses.fake_tensor import FakeTensorMode

                fake = FakeTensorMode(allow_non_fake_inputs=True)
            convert = twins.filler(training) if real else twins.converter(fake, training)
            enter(patches.spare_old_objects())
            enter(patches.swap_tensors(module, convert, training, channels_last))
            args, kwargs = twins.convert_all((args, kwargs or {}), convert, channels_last)
            enter(patches.track_modules(module, result.modules, result.moved))
            enter(torch.set_grad_enabled(training))
            enter(patches.disable_fast_path())
            enter(patches.skip_checks(module))
            if fake is not None:
                enter(fake)
                enter(patches.replace_attribute(torch.cuda, "get_device_capability", lambda *_: (8, 0)))
            # Where the module makes tensors of its own:
            enter(torch.device("cpu" if real else "meta" if fake is None else "cuda"))
            enter(patches.autocast_as_cuda(autocast))
            result.enter(module, args, kwargs)
            dispatch = enter(Dispatch(result))
            enter(registered.one_op_each(dispatch, not real))
            if not real:
                functions = enter(_Functions(result, dispatch))
                enter(patches.show_inside_functions())
                enter(control.flexible_attention(functions.attend))
            enter(patches.replace_attribute(torch, "compile", patches.as_it_is))
            if hasattr(module, "_guards_fn"):  # of an exported program: checks of the shapes that it was exported with
                enter(patches.replace_attribute(module._guards_fn, "forward", lambda *_: None))
            result.output = module(*args, **kwargs)
            if training:
                _backward(result.output)
            result.end()
    except (InputError, KeyboardInterrupt):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        inputs = ("x".join(map(str, tensor.shape)) for tensor in twins.tensors((args, kwargs or {})))
        shapes, values = " and ".join(inputs) or "nothing", "random values" if real else "tensors without data"
        text = f"{type(module).__name__} does not run on {values} of {shown(shapes)}: {shown(reason, 300)}"
        raise InputError("not-traceable", text, field="model") from error
    return result


def _without_cuda(what: str) -> InputError:
    """Return the error for gradients of fake tensors on CUDA: autograd asks the device for streams, and may abort."""
    text = f"{what} in mixed precision can be traced only where torch has a CUDA device."
    return InputError("no-cuda", text, field="dtype")


def _backward(output: Any) -> None:
    losses = [tensor.sum() for tensor in twins.tensors(output) if tensor.requires_grad]
    if not losses:
        text = "The module has no output that depends on a parameter, so there is nothing to train."
        raise InputError("nothing-to-train", text, field="model")
    torch.autograd.backward(losses)
