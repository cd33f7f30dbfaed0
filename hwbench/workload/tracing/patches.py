"""Temporary changes to a module and to torch's switches for a run without data, each undone afterwards."""

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from hwbench.workload.tracing.twins import Convert, convert_all, tensors

_OWN = ("_parameters", "_buffers", "_modules")
_PLAIN = (bool, int, float, str, type(None))


@contextlib.contextmanager
def swap_tensors(module: torch.nn.Module, convert: Convert, training: bool, channels_last: bool) -> Iterator[None]:
    """Replace a module's tensors by their twins and set its mode; restore both afterwards."""
    owners = (owner for owner in module.modules() if not isinstance(owner, torch.jit.ScriptModule))
    originals = [(owner, dict(vars(owner))) for owner in owners]
    try:
        for owner, attributes in originals:
            changed = {
                key: convert_all(value, convert, False)
                for key, value in attributes.items()
                if key not in _OWN and type(value) not in _PLAIN and next(tensors(value), None) is not None
            }
            for store in ("_parameters", "_buffers"):
                changed[store] = convert_all(attributes[store], convert, channels_last)
            for hooks in ("_forward_hooks", "_forward_pre_hooks"):  # which the module may add to
                changed[hooks] = attributes[hooks].copy()
            vars(owner).update(changed, training=training)
        yield
    finally:
        for owner, attributes in originals:
            vars(owner).clear()
            vars(owner).update(attributes)


@contextlib.contextmanager
def track_modules(module: torch.nn.Module, stack: list[str], moved: Callable[[], None]) -> Iterator[None]:
    """Keep the path of the running module on top of `stack`, by hooks of no module; tell when it changes."""
    from torch.nn.modules import module as hooks

    names = {id(child): name for name, child in module.named_modules()}

    def before(child: torch.nn.Module, _args: Any) -> None:
        stack.append(names.get(id(child), stack[-1] if stack else ""))
        moved()

    def after(_child: torch.nn.Module, _args: Any, _output: Any) -> None:
        if stack:  # else of a module that ran already when this began
            stack.pop()
        moved()

    try:
        pre, post = hooks.register_module_forward_pre_hook, hooks.register_module_forward_hook
        with pre(before), post(after, always_call=True):
            yield
    finally:
        stack.clear()


@contextlib.contextmanager
def replace_attribute(home: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute of a module or class; restore it afterwards."""
    original = getattr(home, name)
    setattr(home, name, value)
    try:
        yield
    finally:
        setattr(home, name, original)


_INITIALIZERS = (
    "kaiming_uniform_", "kaiming_normal_", "_no_grad_uniform_", "_no_grad_normal_", "_no_grad_trunc_normal_",
    "_no_grad_fill_", "_no_grad_zero_",
)  # fmt: skip


@contextlib.contextmanager
def skip_initializers(always: bool) -> Iterator[None]:
    """Skip torch's initializers of tensors without data, whose values nobody sees, or `always`: half of the cost."""

    def sparing(initialize: Callable[..., Any]) -> Callable[..., Any]:
        return lambda tensor, *args, **kwargs: (
            tensor if always or tensor.is_meta else initialize(tensor, *args, **kwargs)
        )

    with contextlib.ExitStack() as stack:
        for name in _INITIALIZERS:
            if hasattr(torch.nn.init, name):
                stack.enter_context(replace_attribute(torch.nn.init, name, sparing(getattr(torch.nn.init, name))))
        yield


@contextlib.contextmanager
def skip_checks(module: torch.nn.Module) -> Iterator[None]:
    """Skip the checks of values in models of transformers: as many placeholders in the text as there are images."""
    homes = {type(part).__module__ for part in module.modules()}
    with contextlib.ExitStack() as stack:
        for home in (sys.modules[name] for name in homes if name in sys.modules):
            if hasattr(home, "torch_compilable_check"):
                stack.enter_context(replace_attribute(home, "torch_compilable_check", lambda *_, **__: None))
        yield


def as_it_is(model: Any = None, **_options: Any) -> Any:
    """Return a function or module that would be compiled unchanged, in the place of `torch.compile`."""
    return model if model is not None else as_it_is


@contextlib.contextmanager
def show_inside_functions() -> Iterator[None]:
    """Let a mode see what torch's own functions in Python call, as those of its multi-head attention, not only them."""
    home: Any = torch.nn.functional
    with contextlib.ExitStack() as stack:
        for name in ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic"):
            stack.enter_context(replace_attribute(home, name, lambda *_: False))
        yield


@contextlib.contextmanager
def spare_old_objects() -> Iterator[None]:
    """Let Python look for garbage among new objects alone: to pass over torch's own takes longer than a trace."""
    if gc.get_freeze_count():  # by the caller
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def disable_fast_path() -> Iterator[None]:
    """Turn off the inference fast path of torch's transformer layers, which hides their operators from counters."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


@contextlib.contextmanager
def autocast_as_cuda(dtype: torch.dtype | None) -> Iterator[None]:
    """Act as torch.autocast("cuda") on a machine without CUDA, where the class itself refuses."""
    if dtype is None:
        yield
        return
    enabled, before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", dtype)
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", enabled)
        torch.set_autocast_dtype("cuda", before)
