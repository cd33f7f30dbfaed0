"""The part of a training step that runs now in this thread: passes, what checkpoints run again, optimizers."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import torch
from torch.optim import optimizer

from hwbench.workload.ops import Part

_CHECKPOINT = "torch/utils/checkpoint.py"
"""The end of the file whose code runs parts of a forward pass again during the backward pass."""
_ENGINE = "torch/autograd/graph.py"
"""The end of the file that begins a backward pass, also that of a part that was run again."""
_stepping = threading.local()


def part() -> Part:
    """Return the part of a step that runs now."""
    if torch._C._current_graph_task_id() != -1:
        return "recompute" if _is_checkpoint_run_again() else "backward"
    # A forward pass that an optimizer asks for, as those of Lightning do, has gradients; the update itself has none.
    return "optimizer" if getattr(_stepping, "depth", 0) and not torch.is_grad_enabled() else "forward"


def next_number() -> int:
    """Return the number that autograd gives to the next operator of this thread that it will differentiate."""
    return int(torch._C._autograd._get_sequence_nr())


def differentiated() -> int:
    """Return the number of the operator whose gradient is computed now; -1 where that is of none, as a sum of them."""
    node: Any = torch._C._current_autograd_node()
    return -1 if node is None else node._sequence_nr()


def is_sum_of_gradients() -> bool:
    """Return whether an addition now is one of autograd's own, of gradients of a tensor that several operators read."""
    in_backward = torch._C._current_graph_task_id() != -1 and not torch.is_grad_enabled()
    return in_backward and not hasattr(torch._C._current_autograd_node(), "_forward_cls")  # of a Function in Python


@contextlib.contextmanager
def optimizers() -> Iterator[None]:
    """Note while an optimizer of this thread updates parameters."""

    def before(*_: Any) -> None:
        _stepping.depth = getattr(_stepping, "depth", 0) + 1

    def after(*_: Any) -> None:
        _stepping.depth -= 1

    hooks = (optimizer.register_optimizer_step_pre_hook(before), optimizer.register_optimizer_step_post_hook(after))
    _stepping.depth = 0
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _is_checkpoint_run_again() -> bool:
    """Return whether a checkpoint was entered after the innermost backward pass: it may begin one itself."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename.replace("\\", "/")
        if file.endswith((_CHECKPOINT, _ENGINE)):
            return file.endswith(_CHECKPOINT)
        frame = frame.f_back
    return False
