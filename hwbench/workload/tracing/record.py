"""What a traced run does, operator by operator: roles of tensors, bytes, parameters, each turned into an op."""

from typing import Any

import msgspec
import torch

from hwbench.workload.formulas.cost import Call, Cost
from hwbench.workload.ops import Op
from hwbench.workload.tracing.fusion import ROWS, Access, Node, norms_of_images, savings
from hwbench.workload.tracing.stand_ins import address, dense, distinct, is_channels_last, tensors

RUN_DTYPE = torch.float32
"""Tensors of this dtype take the size of the run's dtype; all others keep their own."""

_DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64"}
_FIRST_OUTPUT = ("batch_norm", "layer_norm", "group_norm", "rms_norm", "attention")
"""Operators whose further outputs are small statistics."""
_PER_SAMPLE = ("batched_matmul", "attention", "attention_backward")
"""Kinds whose independent products come with the samples."""


class Trace:
    """What a run of a module was seen to do: ops in order, operators without a formula, parameters of no op."""

    def __init__(self, batch: int, autocast: bool) -> None:
        self.batch = batch
        self.autocast = autocast
        self.ops: list[Op] = []
        self.nodes: list[Node] = []  # as a compiler sees the ops
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
        read, weights, written = _Bytes(), _Bytes(), _Bytes()
        reads, writes = [], []
        partly = dict(enumerate((cost.reads, cost.reads_second)))
        for position, tensor in enumerate(inputs):
            some = partly.get(position)
            data = self.role(tensor) == "data" or (position == 0 and some is not None and reads_data)
            access = self._access(tensor, distinct(tensor) if some is None else some, shares if data else 1)
            (read if data else weights).add(access)
            reads.append(access)
        for tensor in counted:
            access = self._access(tensor, tensor.numel(), shares)
            written.add(access)
            writes.append(access)
        extent = max((t.numel() for t in (inputs if cost.kind in ROWS else counted)), default=0)
        self.nodes.append(Node(cost.kind, extent, tuple(reads), tuple(writes)))
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
                groups=_share(cost.groups, shares if cost.kind in _PER_SAMPLE else 1),
                columns=cost.columns,
                depth=cost.depth,
                window=cost.window,
                stride=cost.stride,
                channels_last=any(is_channels_last(tensor) for tensor in (*inputs[:1], *counted[:1])),
                strided=_is_strided(cost, inputs, counted),
                broadcast=cost.kind == "elementwise" and any(1 < distinct(t) < extent for t in inputs),
                masked=cost.masked,
            )
        )

    def _access(self, tensor: torch.Tensor, elements: int, shares: int) -> Access:
        """A tensor's part of an op's counts: elements where they take the size of the run's dtype, bytes elsewhere."""
        which = address(tensor) if tensor.layout is torch.strided else id(tensor)
        if tensor.dtype == RUN_DTYPE and not self.autocast:
            return Access(which, elements=_share(elements, shares))
        return Access(which, bytes=_share(elements * tensor.element_size(), shares))

    def finished(self) -> list[Op]:
        """The ops, each with what a fusing compiler would save of it; norms that feed convolutions are marked."""
        between = norms_of_images(self.nodes)
        return [
            msgspec.structs.replace(
                op,
                channels_last=op.channels_last or position in between,
                fused=saved.fused,
                fused_elements=saved.elements,
                fused_bytes=saved.bytes,
            )
            for position, (op, saved) in enumerate(zip(self.ops, savings(self.nodes), strict=True))
        ]

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

    def __init__(self) -> None:
        self.elements = 0
        self.fixed = 0

    def add(self, access: Access) -> None:
        self.elements += access.elements
        self.fixed += access.bytes


def _is_strided(cost: Cost, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> bool:
    """Whether an op meets tensors that lie in memory in different orders, or with gaps. Matrix products never do."""
    if cost.window and cost.macs and outputs:
        return _order(inputs[0]) != _order(outputs[0])
    if cost.macs or not outputs:
        return False
    like = [tensor for tensor in inputs if tensor.shape == outputs[0].shape and tensor.layout is torch.strided]
    return any(_order(tensor) != _order(outputs[0]) for tensor in like) or not all(dense(tensor) for tensor in like)


def _order(tensor: torch.Tensor) -> tuple[int, ...]:
    """Dimensions of more than one element, from the widest stride to the narrowest; those of no stride left out."""
    strides = tensor.stride()
    known = [d for d, size in enumerate(tensor.shape) if size > 1 and strides[d]]
    return tuple(sorted(known, key=lambda d: -strides[d]))


def _share(amount: int, shares: int) -> int:
    return -(-amount // shares)
