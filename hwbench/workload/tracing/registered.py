"""Modules and functions of autograd with a formula of the caller's: a call of `forward` is one op."""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch

from hwbench.workload.formulas.registered import CLASSES, Registration
from hwbench.workload.tracing.twins import tensors


@contextlib.contextmanager
def one_op_each(dispatch: Any, without_data: bool) -> Iterator[None]:
    """Count calls of registered classes by their formulas; `without_data` an `output` of theirs replaces the call."""
    with contextlib.ExitStack() as stack:
        for kind, registration in CLASSES.items():
            stack.enter_context(_replaced(kind, "forward", _forward(dispatch, kind, registration, without_data)))
            if registration.backward and not issubclass(kind, torch.nn.Module):
                stack.enter_context(_replaced(kind, "backward", _backward(dispatch, kind, registration)))
        yield


@contextlib.contextmanager
def _replaced(kind: type, name: str, function: Any) -> Iterator[None]:
    own = vars(kind).get(name)
    setattr(kind, name, function if issubclass(kind, torch.nn.Module) else staticmethod(function))
    try:
        yield
    finally:
        if own is None:
            delattr(kind, name)
        else:
            setattr(kind, name, own)


def _forward(dispatch: Any, kind: Any, registration: Registration, without_data: bool) -> Any:
    original, is_module = kind.forward, issubclass(kind, torch.nn.Module)
    has_context = not is_module and kind.setup_context is torch.autograd.Function.setup_context

    def forward(*args: Any, **kwargs: Any) -> Any:
        own = args[1:] if has_context else args
        with dispatch.trace.quiet():
            replaces = without_data and registration.output is not None
            output = registration.output(*own, **kwargs) if replaces else original(*args, **kwargs)  # type: ignore[misc]
        weights = list(args[0].parameters()) if is_module else []
        dispatch.count_as(registration.name, registration.forward, own, kwargs, list(tensors(output)), weights)
        return output

    forward.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
    return forward


def _backward(dispatch: Any, kind: Any, registration: Registration) -> Any:
    original, formula = kind.backward, registration.backward

    def backward(context: Any, *gradients: Any) -> Any:
        with dispatch.trace.quiet():
            output = original(context, *gradients)
        dispatch.count_as(f"{registration.name}_backward", formula, gradients, {}, list(tensors(output)), [])
        return output

    return backward
