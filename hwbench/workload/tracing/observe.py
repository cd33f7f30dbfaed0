"""A run of torch counted while it computes: every operator of a step on its real tensors, by the part it belongs to.

What is counted is what ran, whatever the code around the module did: losses, gradients, recomputation of checkpoints,
optimizers, mixed precision. It takes some ten µs an operator, so that one step is counted and others are timed.
"""

import contextlib
from typing import Any

import torch
from msgspec import Struct
from torch.utils._python_dispatch import _get_current_dispatch_mode

from hwbench.workload.formulas.cost import Role
from hwbench.workload.ops import Op, Part, Workload, fold, uncounted
from hwbench.workload.tracing.parts import optimizers
from hwbench.workload.tracing.patches import disable_fast_path, track_modules
from hwbench.workload.tracing.record import Alike, Trace
from hwbench.workload.tracing.registered import one_op_each
from hwbench.workload.tracing.trace import Dispatch, is_composite, name_of
from hwbench.workload.tracing.twins import address, tensors


class ObservedWork(Struct, frozen=True):
    """FLOP of what ran, two a multiply-add, by part of the step and by dtype, and its ops as a workload."""

    parts: dict[Part, int]
    dtypes: dict[str, int]
    workload: Workload

    @property
    def model_flops(self) -> int:
        """FLOP of the forward and backward passes alone, nothing counted twice: what an MFU counts."""
        return self.parts.get("forward", 0) + self.parts.get("backward", 0)

    @property
    def hardware_flops(self) -> int:
        """FLOP of the passes with what is computed again: what an HFU counts."""
        return self.model_flops + self.parts.get("recompute", 0)


class _Live(Trace):
    """A trace that keeps no tensor of the run alive: whatever is no weight of the module counts as data."""

    def __init__(self) -> None:
        super().__init__(1, autocast=True, whole=True)  # so that each tensor takes the bytes that it has
        self.parts: dict[Part, int] = {}
        self.dtypes: dict[str, int] = {}

    def enter(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Record which storages are weights, and no others from here on: their memory would never be free again."""
        super().enter(module, args, kwargs)
        self._mark = lambda *_: None  # type: ignore[method-assign]

    def role(self, tensor: torch.Tensor) -> Role:
        """Return `weight` for tensors of the module, `data` for others."""
        return "weight" if tensor.layout is torch.strided and address(tensor) in self._roles else "data"

    def add(self, alike: Alike, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        """Add an op to the part of the step in which it runs."""
        super().add(alike, inputs, outputs)
        op = self.ops[-1]
        self.parts[op.part] = self.parts.get(op.part, 0) + op.flops
        if op.flops:
            dtype = _computed_in(op, inputs[0])
            self.dtypes[dtype] = self.dtypes.get(dtype, 0) + op.flops
        self.nodes.clear()  # of what a compiler might fuse; nothing of a run in eager mode


class Observation:
    """Count what torch does between `start` and `stop` in the calling thread and in the backward passes it begins."""

    def __init__(self, module: torch.nn.Module | None = None) -> None:
        self._trace = _Live()
        inner = torch._C._functorch.peek_interpreter_stack() is not None  # where weights have no storage
        self._module = module
        self._trace.enter(torch.nn.Module() if inner or module is None else module, (), {})
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        """Begin to count."""
        if not isinstance(_get_current_dispatch_mode(), _Observer):  # else of another meter, which may end first
            self._stack.enter_context(torch.compiler.set_stance("force_eager"))
            self._stack.enter_context(disable_fast_path())  # of transformer layers, in which operators are hidden
        self._stack.enter_context(optimizers())
        if self._module is not None:
            self._stack.enter_context(track_modules(self._module, self._trace.modules, self._trace.moved))
        observer = self._stack.enter_context(_Observer(self._trace))
        self._stack.enter_context(one_op_each(observer, without_data=False))

    def stop(self) -> None:
        """Count no longer."""
        self._stack.close()

    def work(self, name: str, batch: int = 1) -> ObservedWork:
        """Return what was counted, of `batch` samples at once."""
        trace = self._trace
        workload = Workload(
            name=name, title=name, input_shape=(batch,), ops=fold((op.name, op) for op in trace.ops),
            uncounted=uncounted(trace.uncounted, len(trace.ops)), unused_params=trace.params.unclaimed,
            samples=batch, batch=batch, fixed="training",
        )  # fmt: skip
        return ObservedWork(dict(trace.parts), dict(trace.dtypes), workload)


class _Observer(Dispatch):
    """See every operator below autograd, run as it is."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if isinstance(func, torch._ops.HigherOrderOperator):
            self._miss(func.name())
            return func(*args, **(kwargs or {}))
        if is_composite(func):
            with self:  # where autograd is off, a composition of operators comes as a whole
                return func.decompose(*args, **(kwargs or {}))
        output = func(*args, **(kwargs or {}))
        name = name_of(func)
        if self.counts(func, name):
            try:
                self.count(name, args, kwargs or {}, list(tensors(output)), func.tags)
            except Exception:  # of a formula: the loop is somebody else's, and goes on
                self._miss(name)
        return output

    def _miss(self, name: str) -> None:
        self.trace.uncounted[name] = self.trace.uncounted.get(name, 0) + 1


def _computed_in(op: Op, tensor: torch.Tensor) -> str:
    """Return the dtype that an op on a tensor computes in, by torch's name of it where hwbench knows none."""
    name = str(tensor.dtype).removeprefix("torch.")
    if name.startswith(("float8", "int8", "uint8")):
        return "fp8" if name.startswith("float8") else "int8"
    if not tensor.is_floating_point() or op.dtype is None:
        return name
    backend = torch.backends.cudnn if op.window else torch.backends.cuda.matmul
    allows_tf32 = op.dtype == "fp32" and tensor.device.type == "cuda" and backend.allow_tf32
    return "tf32" if allows_tf32 else op.dtype
