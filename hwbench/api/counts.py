"""What a model computes and moves, layer by layer, and formulas of callers for what hwbench does not know."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Unpack

from msgspec.structs import replace

from hwbench.api.checks import check_dtype
from hwbench.api.lookup import Model, ModelOptions
from hwbench.dtypes import dtype as known_dtype
from hwbench.errors import InputError, shown
from hwbench.workload import counting, load
from hwbench.workload.counting import ATTENTION, Attention, Count
from hwbench.workload.ops import CONVENTIONS, Convention, Workload

if TYPE_CHECKING:
    import torch

    from hwbench.workload.formulas.cost import Call, Cost
    from hwbench.workload.formulas.registered import Registration

MAX_DEPTH = 100
"""Levels of modules that a tree may show."""


def count(
    model: "str | Workload | torch.nn.Module",
    inputs: Any = None,
    *,
    convention: Convention = "flop",
    dtype: str = "fp32",
    batch: int | None = None,
    audit: bool = False,
    depth: int | None = None,
    attention: Attention = "full",
    optimizer: str | None = None,
    **options: Unpack[ModelOptions],
) -> Count:
    """Return the parameters, operations and traffic of a model, layer by layer; `inputs` as for `estimate`.

    With `audit` other installed counters count a traced model too. With `depth` there are totals by module in `tree`,
    down to so many levels. `attention` counts every pair of a query and a key (`full`), or leaves out those of a causal
    flag or a window (`computed`). An `optimizer` (sgd, momentum, adam, adamw) updates the weights of a training step.
    """
    source, name = Model(model, inputs, options, unfolded=depth is not None, optimizer=optimizer), check_dtype(dtype)
    if convention not in CONVENTIONS:
        message = f"There is no convention '{shown(convention)}'."
        raise InputError("unknown-convention", message, field="convention", nearest=CONVENTIONS)
    if depth is not None and (not isinstance(depth, int) or not 1 <= depth <= MAX_DEPTH):
        raise InputError("bad-depth", f"A tree has a whole number of levels, 1 to {MAX_DEPTH}.", field="depth")
    if attention not in ATTENTION:
        message = f"Attention is not counted '{shown(attention)}'."
        raise InputError("unknown-attention", message, field="attention", nearest=tuple(ATTENTION))
    size = source.batch(batch, name)
    workload = source.workload(name, size)
    answer = counting.count(workload, convention, name, known_dtype(name).bits, size, depth, attention)
    return replace(answer, audit=load.audit(source.request(name, size), workload)) if audit else answer


def register_formula(
    target: Any,
    function: "Callable[[Call], Cost | int]",
    *,
    backward: "Callable[[Call], Cost | int] | None" = None,
    output: Callable[..., Any] | None = None,
) -> "Registration":
    """Let `function` count a target, for `count`, `estimate` and `meter`; use it in a `with` block, or `remove` it.

    `target` is an operator of torch (`torch.ops.mylib.attend`, or its name `mylib.attend`), or a class of modules or of
    `torch.autograd.Function`, each call of which is then one op. `function` gets the call, whose `args`, `kwargs` and
    `outputs` have tensors with a `shape` (the args of a module begin with itself), and returns multiply-adds or a
    `Cost`. `backward` counts the backward pass of a Function; of a module its operators count. Where a call cannot run
    without data, `output` returns tensors like its result, from the arguments of the call. Raises InputError for
    another target.
    """
    from hwbench.workload.formulas.registered import Registration  # which counts of the catalog do without

    if isinstance(target, str):
        return Registration(target.replace("::", "."), function, backward, output)
    if name := getattr(target, "_qualified_op_name", None) or getattr(getattr(target, "_schema", None), "name", None):
        return Registration(name.partition("::")[0] + "." + name.partition("::")[2], function, backward, output)
    homes = {f"{kind.__module__}.{kind.__name__}" for kind in getattr(target, "__mro__", ())}
    if not homes & {"torch.nn.modules.module.Module", "torch.autograd.function.Function"}:
        text = f"{shown(repr(target), 100)} is no operator of torch, module class or autograd.Function."
        raise InputError("bad-target", text, field="target")
    return Registration(target, function, backward, output)
