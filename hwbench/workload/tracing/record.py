"""What a traced run does, operator by operator: roles of tensors, bytes, parameters, each turned into an op."""

import contextlib
from bisect import bisect
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import torch
from msgspec import Struct
from torch.multiprocessing.reductions import StorageWeakRef

from hwbench.workload.formulas.cost import Call, Cost, Role
from hwbench.workload.formulas.tally import Amount, Parameters, Tally, joint_role
from hwbench.workload.ops import AssumedAnswer, Op, Part, fold
from hwbench.workload.tracing import parts
from hwbench.workload.tracing.fusion import ROWS, Access, Node, Saving, norms_of_images, savings
from hwbench.workload.tracing.lifetimes import Lifetimes
from hwbench.workload.tracing.twins import (
    address,
    distinct_elements,
    frozen_weights,
    is_channels_last,
    is_dense,
    keeps_values,
    tensors,
)

RUN_DTYPE = torch.float32
"""Tensors of this dtype take the size of the run's dtype; all others keep their own."""

_DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64"}
_BYTES = (torch.int8, torch.uint8, torch.qint8, torch.quint8)
_PRODUCTS = ("linear", "matmul", "batched_matmul")
_BY_HISTORY = ("aten.topk", "aten._grouped_mm", "aten._grouped_mm_backward")
"""Operators whose cost depends on the choice of experts before them, or decides about it."""
_FIRST_OUTPUT = ("batch_norm", "layer_norm", "group_norm", "rms_norm", "attention")
"""Operators whose further outputs are small statistics."""


def folded(ops: Iterable[Op]) -> tuple[Op, ...]:
    """Return finished ops, those of one operator that are alike made one with a count."""
    return fold((op.name.rpartition(":")[2], op) for op in ops)


class Alike(Struct, frozen=True):
    """What calls of an operator on tensors of the same forms and roles share: their op but for its module, and amounts.

    `products` says that what they write is a product without a bias, `extent` how many elements they go over.
    """

    op: Op
    idle: float
    extent: int
    reads: tuple[Amount, ...]
    writes: tuple[Amount, ...]
    products: bool
    ops: dict[tuple[str, Part], Op]


class Trace:
    """What a run of a module did: ops in order, operators without a formula, answers about values that it lacked.

    The run holds `batch` samples, by which amounts are divided unless the trace is `whole`. A `real` one has values,
    one that `assumes` has some that nobody stated.
    """

    def __init__(
        self, batch: int, autocast: bool, whole: bool = False, real: bool = False, assumes: bool = False
    ) -> None:
        self.batch = batch
        self.whole = whole
        self.autocast = autocast
        self.real = real
        self.assumes = assumes
        self.has_values = assumes  # of some inputs
        self.ops: list[Op] = []
        self.nodes: list[Node] = []  # as a compiler sees the ops
        self.uncounted: dict[str, int] = {}
        self.assumed: dict[AssumedAnswer, None] = {}  # in the order in which they were made
        self.modules: list[str] = []
        self._moves: list[tuple[int, str]] = []  # the next number of autograd, and the module from then on
        self.output: Any = None  # what the module returned
        self.params = Parameters()
        self._choice = (0, 0)  # of the last `topk`: how many of each, and how many in all
        self._products: set[int] = set()  # what products without a bias wrote
        self._alike: dict[Any, Alike] = {}  # by what decides about calls
        # By storage; a weak reference keeps its address its own, and not its memory.
        self._roles: dict[int, tuple[Role, Any]] = {}
        self.lifetimes = Lifetimes()
        self.activations = self.passes = Amount()  # at their peak, those of training with gradients of weights
        self.is_quiet = False
        self._root = torch.nn.Module()

    def enter(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Record which storages are weights and which hold data."""
        self._root = module
        weights = [*module.parameters(), *module.buffers()]
        for owner in module.modules():
            weights += [value for value in vars(owner).values() if isinstance(value, torch.Tensor)]
        for tensor in weights:
            if tensor.layout is torch.strided:
                self._roles[address(tensor)] = ("weight", tensor.untyped_storage())  # which exists throughout
                self.lifetimes.leave_out(address(tensor))
            self.has_values = self.has_values or keeps_values(tensor)
        for parameter in module.parameters():
            self.params.add(address(parameter), parameter.numel())
        self.add_weights(frozen_weights(module))
        for tensor in tensors((args, kwargs)):
            self._mark(tensor, "data")
            self.see([tensor])
            self.has_values = self.has_values or keeps_values(tensor)

    def add_weights(self, weights: list[torch.Tensor]) -> None:
        """Record weights that an object keeps packed, once the run comes upon it."""
        for tensor in weights:
            self._roles[address(tensor)] = ("weight", tensor.untyped_storage())
            self.lifetimes.leave_out(address(tensor))
            self.params.add(address(tensor), tensor.numel())

    def running(self) -> torch.nn.Module:
        """Return the module that runs."""
        return self._root.get_submodule(self.modules[-1] if self.modules else "")

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Record no ops meanwhile: one of the caller's formulas counts them."""
        before, self.is_quiet = self.is_quiet, True
        try:
            yield
        finally:
            self.is_quiet = before

    def pass_on(self, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> Role:
        """Give outputs the role of the inputs that they are made of, and return it."""
        role = joint_role(map(self.role, inputs))
        for tensor in inputs:
            if tensor.layout is torch.strided and address(tensor) not in self._roles:  # as one that no kernel wrote
                self._mark(tensor, "constant")
        for tensor in outputs:
            self._mark(tensor, role)
        return role

    def moved(self) -> None:
        """Record which module runs from now on."""
        self._moves.append((parts.next_number(), self.modules[-1] if self.modules else ""))

    def _module(self, part: Part) -> str:
        """Return the path of the module that runs, or whose gradients are computed."""
        if part == "backward" and (before := bisect(self._moves, parts.differentiated(), key=lambda move: move[0])):
            return self._moves[before - 1][1]
        return self.modules[-1] if self.modules else ""

    def assume(self, operator: str, answer: bool) -> bool:
        """Record and return the answer that the running module gets about values that it lacks."""
        self.assumed[AssumedAnswer(operator, self.modules[-1] if self.modules else "", answer)] = None
        return answer

    def leave_out(self, operator: str) -> None:
        """Record an operator that is not, or not wholly, counted."""
        self.uncounted[operator] = self.uncounted.get(operator, 0) + 1

    def _mark(self, tensor: torch.Tensor, role: Role) -> None:
        if tensor.layout is torch.strided:
            storage = tensor.untyped_storage()
            known = self._roles.get(storage._cdata)
            if known is None or known[0] != role:
                self._roles[storage._cdata] = (role, known[1] if known else StorageWeakRef(storage))

    def role(self, tensor: torch.Tensor) -> Role:
        """Return whether a tensor holds data, weights (or what was made of them alone), or neither."""
        known = self._roles.get(address(tensor)) if tensor.layout is torch.strided else None
        return known[0] if known else "constant"

    def see(self, outputs: Iterable[torch.Tensor], over: torch.Tensor | None = None) -> None:
        """Record that tensors exist, perhaps in the place of another."""
        self.lifetimes.see(outputs, None if self.autocast else RUN_DTYPE, over)

    def end(self) -> None:
        """Find the peaks of memory, and follow no tensor any longer."""
        gradients = [weight.grad for weight in self._root.parameters() if weight.grad is not None]
        self.passes, self.activations = self.lifetimes.peak(), self.lifetimes.peak(without=gradients)
        self.lifetimes.close()

    def key(self, name: str, form: Any, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> Any:
        """Return what an op depends on: its operator, the form of its call, and the roles of what it reads and writes.

        None where it depends on more.
        """
        if name in _BY_HISTORY:
            return None
        written = [address(tensor) for tensor in outputs]
        results = [(tensor.shape, tensor.stride(), tensor.dtype) for tensor in outputs]
        roles = [(self.role(tensor), address(tensor) in written) for tensor in inputs]
        return (name, form, tuple(roles), tuple(results), self._is_bias(name, inputs))

    def repeat(self, key: Any, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> bool:
        """Add an op that is known by its key; return whether it is."""
        alike = self._alike.get(key) if key else None
        if alike is not None:
            self.pass_on(inputs, outputs)
            self.add(alike, inputs, outputs)
        return alike is not None

    def record(
        self, call: Call, cost: Cost, inputs: list[torch.Tensor], outputs: list[torch.Tensor], key: Any = None
    ) -> None:
        """Add an op, and remember it by its key; its outputs hold data if an input does."""
        if self._is_bias(call.name, inputs):
            cost = Cost(cost.kind, bias_adds=cost.elementwise_flops)
        cost = self._of_chosen(call, cost)
        alike = self._described(call, cost, inputs, outputs, self.pass_on(inputs, outputs) == "data")
        if key:
            self._alike[key] = alike
        self.add(alike, inputs, outputs)

    def add(self, alike: Alike, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        """Add an op on these tensors."""
        if alike.products:
            self._products.update(address(tensor) for tensor in outputs)
        reads = tuple(map(Access, map(_place, inputs), alike.reads))
        writes = tuple(Access(_place(tensor), amount) for tensor, amount in zip(outputs, alike.writes, strict=False))
        self.nodes.append(Node(alike.op.kind, alike.extent, reads, writes))
        part = parts.part()
        module = self._module(part)
        op = alike.ops.get((module, part))
        if op is None:
            name = f"{module}:{alike.op.name}".lstrip(":")
            op = alike.ops[module, part] = msgspec.structs.replace(alike.op, name=name, part=part)
        if params := self.params.claim(address(t) for t in inputs if t.layout is torch.strided):
            op = msgspec.structs.replace(op, params=params, idle_params=round(params * alike.idle))
        self.ops.append(op)

    def _described(
        self, call: Call, cost: Cost, inputs: list[torch.Tensor], outputs: list[torch.Tensor], reads_data: bool
    ) -> Alike:
        """Return what calls share that are alike."""
        counted = outputs[:1] if any(part in call.name for part in _FIRST_OUTPUT) else outputs
        tally = Tally(self.batch if reads_data and not self.whole else 1)
        reads = []
        read_elements = dict(enumerate((cost.reads, cost.reads_second)))
        for position, tensor in enumerate(inputs):
            elements = read_elements.get(position)
            # What is looked up in a table grows with the samples, even in one of weights.
            is_data = self.role(tensor) == "data" or (position == 0 and elements is not None and reads_data)
            if elements is None:
                elements = distinct_elements(tensor)
            reads.append(tally.read(elements, self._bits(tensor), is_data))
        writes = [tally.write(tensor.numel(), self._bits(tensor)) for tensor in counted]
        extent = max((t.numel() for t in (inputs if cost.kind in ROWS else counted)), default=0)
        shape = tuple(counted[0].shape) if counted else ()
        if cost.kind.endswith("conv_backward"):  # which may write gradients of weights alone
            shape = tuple(call.args[0].shape)
        op = tally.op(
            cost,
            shape[1:] if reads_data and not self.whole and shape[:1] == (self.batch,) else shape,
            name=call.name.removeprefix("aten."),
            dtype=self._dtype(call.name, cost, inputs),
            constant=not reads_data,
            channels_last=any(is_channels_last(tensor) for tensor in (*inputs[:1], *counted[:1])),
            strided=_is_strided(cost, inputs, counted),
            integer=not any(tensor.is_floating_point() or tensor.is_complex() for tensor in (*inputs, *counted)),
            broadcast=cost.kind == "elementwise" and any(1 < distinct_elements(t) < extent for t in inputs),
        )
        products = cost.kind in _PRODUCTS and not cost.bias_adds
        return Alike(op, cost.idle, extent, tuple(reads), tuple(writes), products, {})

    def _is_bias(self, name: str, inputs: list[torch.Tensor]) -> bool:
        """Return whether an op adds a vector of weights to a product: it is that of a bias."""
        return (
            name in ("aten.add", "aten.add_")
            and any(tensor.dim() == 1 and self.role(tensor) == "weight" for tensor in inputs)
            and any(address(tensor) in self._products for tensor in inputs if tensor.layout is torch.strided)
        )

    def _of_chosen(self, call: Call, cost: Cost) -> Cost:
        """Return the cost of a product of experts with their share that a token does not use, by the choice before."""
        if call.name == "aten.topk":
            self._choice = (call.outputs[0].shape[-1], call.outputs[0].elements)
        if cost.kind != "grouped_matmul" or len(call.args[1].shape) != 3 or call.args[0].shape[0] != self._choice[1]:
            return cost
        return msgspec.structs.replace(cost, idle=1 - self._choice[0] / call.args[1].shape[0])

    def _bits(self, tensor: torch.Tensor) -> int | None:
        """Return the bits of an element, None where they follow the run's dtype."""
        return None if tensor.dtype == RUN_DTYPE and not self.autocast else 8 * int(tensor.element_size())

    def finished(self) -> list[Op]:
        """Return the ops with what a fusing compiler would save; layer norms of images are marked channels last."""
        norms = norms_of_images(self.nodes)
        by_use: dict[tuple[int, Saving, bool], Op] = {}  # most are the same
        ops = []
        for position, (op, saving) in enumerate(zip(self.ops, savings(self.nodes), strict=True)):
            key = (id(op), saving, position in norms)
            if key not in by_use:
                by_use[key] = msgspec.structs.replace(
                    op,
                    channels_last=op.channels_last or position in norms,
                    fused=saving.fused,
                    fused_elements=saving.amount.elements,
                    fused_bytes=saving.amount.bytes,
                )
            ops.append(by_use[key])
        return ops

    def folded(self) -> tuple[Op, ...]:
        """Return the finished ops, those of one operator that are alike made one with a count."""
        return folded(self.finished())

    def _dtype(self, operator: str, cost: Cost, inputs: list[torch.Tensor]) -> str | None:
        """Return the dtype that an op computes in, where it need not be the run's; of quantized ones of any input."""
        dtype = next((tensor.dtype for tensor in inputs if tensor.is_floating_point()), RUN_DTYPE)
        of_bytes = [tensor.dtype in _BYTES for tensor in inputs]
        if cost.macs and (any(of_bytes) if "quantized" in operator else of_bytes and all(of_bytes)):
            return "int8"
        if self.autocast or (dtype != RUN_DTYPE and cost.macs):
            return _DTYPES.get(dtype)
        return None


def _place(tensor: torch.Tensor) -> int:
    return address(tensor) if tensor.layout is torch.strided else id(tensor)


def _is_strided(cost: Cost, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> bool:
    """Return whether tensors of an op are laid out in different orders or with gaps; never of a matrix product."""
    if cost.window and cost.macs and outputs:
        return _order(inputs[0]) != _order(outputs[0])
    if cost.macs or not outputs:
        return False
    like = [tensor for tensor in inputs if tensor.shape == outputs[0].shape and tensor.layout is torch.strided]
    return any(_order(tensor) != _order(outputs[0]) for tensor in like) or not all(is_dense(tensor) for tensor in like)


def _order(tensor: torch.Tensor) -> tuple[int, ...]:
    """Return the dimensions of more than one element by falling stride, those of stride 0 left out."""
    strides = tensor.stride()
    known = [d for d, size in enumerate(tensor.shape) if size > 1 and strides[d]]
    return tuple(sorted(known, key=lambda d: -strides[d]))
