"""What a traced run does, operator by operator: roles of tensors, bytes, parameters, each turned into an op."""

from typing import Any

import torch

from hwbench.workload.cost import Call, Cost
from hwbench.workload.op import Op
from hwbench.workload.torch_run import address, distinct, tensors

RUN_DTYPE = torch.float32
"""Tensors of this dtype take the size of the run's dtype; all others keep their own."""

_DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64"}
_FIRST_OUTPUT = ("batch_norm", "layer_norm", "group_norm", "rms_norm", "attention")
"""Operators whose further outputs are small statistics."""


class Trace:
    """What a run of a module was seen to do: ops in order, operators without a formula, parameters of no op."""

    def __init__(self, batch: int, autocast: bool) -> None:
        self.batch = batch
        self.autocast = autocast
        self.ops: list[Op] = []
        self.uncounted: dict[str, int] = {}
        self.assumed: dict[str, bool] = {}  # what the module asked about values, and what it was told
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


def _share(amount: int, shares: int) -> int:
    return -(-amount // shares)
