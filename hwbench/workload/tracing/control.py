"""Operators of torch that take functions: `cond` and `while_loop`, and FlexAttention as one kernel."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

from hwbench.errors import InputError, shown
from hwbench.workload.tracing.patches import replace_attribute
from hwbench.workload.tracing.record import Trace

LOOP = "while_loop, counted once"
"""What a loop is listed as that ran once because the values that end it were not known."""


def run(operator: str, trace: Trace, args: tuple[Any, ...]) -> Any:
    """Run an operator that takes functions: its branch or its loop, by real values where there are any.

    Without data the first branch runs, and the body of a loop once, which is reported. Raises InputError for another.
    """
    if operator == "cond":
        condition, first, second, operands = args
        if isinstance(condition, torch.Tensor):
            condition = condition.item() if trace.real else trace.assume("cond", True)
        return (first if condition else second)(*operands)
    if operator == "while_loop":
        goes_on, body, carried, more = args
        if not trace.real:
            trace.leave_out(LOOP)
            return body(*carried, *more)
        while goes_on(*carried, *more):
            carried = body(*carried, *more)
        return carried
    text = f"The operator {shown(operator)} takes functions, which cannot be followed; run the module without it."
    raise InputError("not-traceable", text, field="model")


@contextlib.contextmanager
def flexible_attention(attend: Callable[..., torch.Tensor]) -> Iterator[None]:
    """Run FlexAttention, where it is in use, by `attend`: a mask counts in full, a function of scores as nothing."""
    module: Any = sys.modules.get("torch.nn.attention.flex_attention")
    if module is None:
        yield
        return

    def counted(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _scores: Any, block_mask: Any, *_: Any, **__: Any
    ) -> Any:
        sums = query.new_empty(query.shape[:-1])
        return attend(query, key, value, masked=block_mask[-1] is not module.noop_mask), sums, sums

    with contextlib.ExitStack() as stack:
        for name, replacement in (("_validate_device", lambda *_: None), ("flex_attention_hop", counted)):
            if hasattr(module, name):
                stack.enter_context(replace_attribute(module, name, replacement))
        yield
