"""Ops with their work, three conventions of counting it, and workloads: ops in order of execution."""

from collections.abc import Iterable, Mapping
from operator import add
from typing import Literal

from msgspec import Struct
from msgspec.structs import astuple, replace

from hwbench.errors import InputError, shown
from hwbench.notices import Notice, notice

Convention = Literal["flop", "mac", "mac-bias"]
Part = Literal["forward", "backward", "recompute", "optimizer"]
"""Part of a training step; `recompute` is what checkpoints run again."""


CONVENTIONS: dict[Convention, str] = {
    "flop": "2 per multiply-add of convolution, linear, matmul and attention",
    "mac": "1 per multiply-add",
    "mac-bias": "parameters × output positions, the bias counted as one, as textbooks do",
}


class Work(Struct, frozen=True):
    """Operations and bytes; works add.

    `flops` counts multiply-adds only, two each; arithmetic of elementwise, normalization and pooling ops stands
    apart in `elementwise_flops`. Of each, `integer_ops` and `elementwise_integer_ops` compute on integers. The bytes
    are those that must cross main memory once, with nothing fused.
    """

    flops: int = 0
    elementwise_flops: int = 0
    input_bytes: int = 0
    weight_bytes: int = 0
    output_bytes: int = 0
    integer_ops: int = 0
    elementwise_integer_ops: int = 0

    @property
    def traffic(self) -> int:
        """Bytes to and from main memory."""
        return self.input_bytes + self.weight_bytes + self.output_bytes

    @property
    def intensity(self) -> float:
        """FLOP per byte of traffic; 0 where nothing moves."""
        return self.flops / self.traffic if self.traffic else 0.0

    @property
    def floating(self) -> "Work":
        """The work with operations on floating-point numbers alone."""
        return replace(
            self,
            flops=self.flops - self.integer_ops,
            elementwise_flops=self.elementwise_flops - self.elementwise_integer_ops,
        )

    def __add__(self, other: "Work") -> "Work":
        return Work(*map(add, astuple(self), astuple(other)))


Shape = tuple[int, ...]

MAX_COUNT = 1 << 62
"""Operations, parameters or elements of an op, above which a network is refused: no machine has such a memory."""


class Op(Struct, frozen=True, omit_defaults=True):
    """One kernel of a network, counted for one sample; `count` ops are alike and run one after the other.

    `output_shape` has no batch dimension. `params` and the weights do not grow with the batch; everything else does,
    unless the op is `constant`: it then runs once, whatever the batch. Elements take the size of the run's dtype;
    bytes of tensors whose size does not follow it (indices, masks, all of a mixed-precision run) are in `fixed_`.
    `dtype` is the op's own where it differs from the run's.

    What a kernel's speed depends on beyond its counts, for one sample (0 or absent where unknown): an op with
    multiply-adds is `groups` products whose result has `columns` and sums over `depth` (for attention: heads, keys,
    width of a head; an optimizer's groups are its tensors); a normalization or softmax goes over rows of `depth`.
    `window` is the positions under a kernel of convolution or pooling, `stride` the input positions an output position
    advances. `channels_last` is the layout of an image (and of a layer norm over the channels of one that a convolution
    reads), `strided` says that some tensor is not traversed in the order in which it lies in memory, `broadcast` that
    an elementwise op repeats a smaller tensor, `masked` that attention adds a mask. A compiler that fuses moves
    `fused_elements` and `fused_bytes` less than the traffic, and has no kernel of its own for a `fused` op (see
    fusion.py). `part` is that of a training step, and `idle_params` are those of experts that a token does not use. Of
    attention, `skipped_macs` are multiply-adds of pairs that a causal flag or a window leaves out; they count, unless a
    workload is asked for those `computed`. An `integer` op computes on integers: a product of quantized tensors, or
    arithmetic of indices.
    """

    kind: str
    output_shape: Shape
    params: int = 0
    macs: int = 0
    bias_adds: int = 0
    elementwise_flops: int = 0
    input_elements: int = 0
    weight_elements: int = 0
    output_elements: int = 0
    fixed_input_bytes: int = 0
    fixed_weight_bytes: int = 0
    fixed_output_bytes: int = 0
    name: str = ""
    dtype: str | None = None
    constant: bool = False
    count: int = 1
    groups: int = 1
    columns: int = 0
    depth: int = 0
    window: int = 0
    stride: int = 1
    channels_last: bool = False
    strided: bool = False
    broadcast: bool = False
    masked: bool = False
    fused: bool = False
    fused_elements: int = 0
    fused_bytes: int = 0
    part: Part = "forward"
    idle_params: int = 0
    skipped_macs: int = 0
    integer: bool = False

    @property
    def flops(self) -> int:
        """Operations of one sample's multiply-adds, two each."""
        return 2 * self.macs * self.count

    def operations(self, convention: Convention, batch: int = 1) -> int:
        """Count the operations of a batch by a convention."""
        each = {"flop": 2 * self.macs, "mac": self.macs, "mac-bias": self.macs + self.bias_adds}[convention]
        return each * self.count * (1 if self.constant else batch)

    def work(self, bits: int, batch: int = 1) -> Work:
        """Return the work of a batch whose elements take `bits` bits each."""
        samples = 1 if self.constant else batch
        inputs = _bytes(self.input_elements * samples, bits) + self.fixed_input_bytes * samples
        weights = _bytes(self.weight_elements, bits) + self.fixed_weight_bytes
        outputs = _bytes(self.output_elements * samples, bits) + self.fixed_output_bytes * samples
        flops, elementwise_flops = 2 * self.macs * samples, self.elementwise_flops * samples
        amounts = (flops, elementwise_flops, inputs, weights, outputs)
        on_integers = (flops, 0 if flops else elementwise_flops) if self.integer else ()  # products are scaled in fp32
        return Work(*(self.count * each for each in (*amounts, *on_integers)))

    def live_bytes(self, bits: int, batch: int = 1) -> int:
        """Return the bytes of a batch's input and output that exist at once: folded ops run one after the other."""
        work = self.work(bits, batch)
        return (work.input_bytes + work.output_bytes) // self.count


def _computed(op: Op) -> Op:
    """Return the op without the pairs of queries and keys that it leaves out."""
    if not op.skipped_macs:
        return op
    computed = op.macs - op.skipped_macs
    return replace(op, macs=computed, elementwise_flops=-(-op.elementwise_flops * computed // op.macs), skipped_macs=0)


def _bytes(elements: int, bits: int) -> int:
    return -(-elements * bits // 8)


def fold(ops: Iterable[tuple[str, Op]]) -> tuple[Op, ...]:
    """Return ops with those that differ in their name alone made one with a count, by first execution.

    Each op comes with its operator: ops of different operators stay apart.
    """
    alike: dict[tuple[str, Op], tuple[str, int]] = {}
    for operator, op in ops:
        key = (operator, replace(op, name="", count=1))
        name, count = alike.get(key, (op.name, 0))
        alike[key] = (name, count + op.count)
    return tuple(replace(op, name=name, count=count) for (_, op), (name, count) in alike.items())


def uncounted(operators: Mapping[str, int], ops: int) -> tuple[str, ...]:
    """Return a line for each operator without a count: how often it runs, of so many ops."""
    return tuple(f"{shown(name)} ({count} of {ops} operators)" for name, count in sorted(operators.items()))


class Activations(Struct, frozen=True, omit_defaults=True):
    """What a run holds at its peak beside its weights: of each sample, and what does not grow with the batch.

    Elements take the size of the run's dtype; those of another size (indices, masks, all of mixed precision) are bytes.
    """

    elements: int = 0
    fixed_bytes: int = 0
    constant_elements: int = 0
    constant_bytes: int = 0

    def size(self, bits: int, samples: int) -> int:
        """Return the bytes of so many samples at `bits` an element."""
        elements = self.elements * samples + self.constant_elements
        return -(-elements * bits // 8) + self.fixed_bytes * samples + self.constant_bytes


class MemoryUse(Struct, frozen=True):
    """Bytes that a run holds. `peak_bytes` are those at once: gradients grow while activations shrink.

    `activations_bytes` are the inputs and all that the run makes from them, at their peak, freed when nothing refers to
    them; None where lifetimes are not known.
    """

    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    activations_bytes: int | None
    peak_bytes: int | None


class Published(Struct, frozen=True, forbid_unknown_fields=True):
    """Counts of one sample as a paper or a library states them; tests compare ours with them."""

    params: int
    macs: int
    source: str
    url: str | None = None


class AssumedAnswer(Struct, frozen=True):
    """What was assumed where a traced `module` asked about values, which a run without data lacks: `all` is true."""

    operator: str
    module: str
    answer: bool


_FIXED = {
    "training": "A training step is traced at its batch",
    "unknown": "Which dimension of the inputs is the batch is not known",
    "interplay": "The cost is not a multiple of the batch",
}
"""Why a workload is known at one batch only."""


class Workload(Struct, frozen=True, omit_defaults=True):
    """A network as its ops in order of execution. `uncounted` names what could not be counted,
    `assumed` what was assumed about values (as text in files of earlier versions).

    `unused_params` belong to no op; `state_elements` a run keeps in memory beside weights and the activations of a
    layer, for one sample: a key-value cache. `activations` are its activations at their peak, and `passes` those of a
    step of training together with gradients of weights; None where that is not known. `batch` is that
    of the inputs as they were given. Where the cost is not known to be a multiple of the batch (`fixed`), ops are
    counted for `samples` at once and for no other batch. `real` says that it ran on random values. `trainable_params`
    are unknown where a file does not tell them from others; an optimizer keeps `optimizer_elements` of them. `phase` is
    that of a causal language model: a sample of `decode` is a token.
    """

    name: str
    title: str
    input_shape: Shape
    ops: tuple[Op, ...]
    published: Published | None = None
    uncounted: tuple[str, ...] = ()
    assumed: tuple[AssumedAnswer | str, ...] = ()
    unused_params: int = 0
    state_elements: int = 0
    samples: int = 1
    batch: int = 1
    fixed: Literal["", "training", "unknown", "interplay"] = ""
    real: bool = False
    trainable_params: int | None = None
    optimizer_elements: int = 0
    phase: Literal["prefill", "decode"] | None = None
    activations: Activations | None = None
    passes: Activations | None = None

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader of the counts must know: the assumptions of a trace."""
        assumed = (
            notice("traced-without-data", text=item)
            if isinstance(item, str)
            else notice("assumed-value", operator=item.operator, module=item.module, answer=item.answer)
            for item in self.assumed
        )
        notices = (("real-values", self.real), ("batch-unknown", self.fixed == "unknown"))
        return (*assumed, *(notice(code) for code, applies in notices if applies))

    def repeats(self, batch: int) -> int:
        """Return how often a batch repeats the ops' counts. Raises InputError for one that was not traced."""
        if self.fixed and batch != self.samples:
            text = f"{_FIXED[self.fixed]}: {self.name} is counted for a batch of {self.samples}, not {batch}."
            raise InputError("batch-not-traced", text, field="batch")
        if batch % self.samples:
            text = f"The model was traced with {self.samples} samples, so a batch of {batch} needs its own trace."
            raise InputError("batch-not-traced", text, field="batch")
        return batch // self.samples

    @property
    def launches(self) -> int:
        """Operators with their repetitions."""
        return sum(op.count for op in self.ops)

    @property
    def params(self) -> int:
        """Parameters, trainable or frozen."""
        return self.unused_params + sum(op.params * op.count for op in self.ops)

    @property
    def non_embedding_params(self) -> int:
        """Parameters but those of tables in which rows are looked up, also where a table multiplies later."""
        return self.params - sum(op.params * op.count for op in self.ops if op.kind == "embedding")

    @property
    def active_params(self) -> int:
        """Parameters at work for one token: of a mixture's experts, those that are chosen."""
        return self.params - sum(op.idle_params * op.count for op in self.ops)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample, or of all `samples`."""
        return sum(op.macs * op.count for op in self.ops)

    @property
    def skipped_macs(self) -> int:
        """Multiply-accumulates among `macs` of pairs that causal and windowed attention leave out."""
        return sum(op.skipped_macs * op.count for op in self.ops)

    def computed(self) -> "Workload":
        """Return the workload with attention counted at the share that is computed; traffic stays the same."""
        return replace(self, ops=tuple(map(_computed, self.ops)))

    def operations(self, convention: Convention, batch: int = 1) -> int:
        """Count the operations of a batch by a convention."""
        return sum(op.operations(convention, self.repeats(batch)) for op in self.ops)

    def work(self, bits: int, batch: int = 1) -> Work:
        """Return the work of a batch at `bits` bits an element."""
        return sum((op.work(bits, self.repeats(batch)) for op in self.ops), Work())

    def memory(self, bits: int, batch: int = 1) -> MemoryUse:
        """Return the bytes that a run layer by layer in torch holds, at `bits` bits an element."""
        repeats, training = self.repeats(batch), self.fixed == "training"
        weights, optimizer = _bytes(self.params, bits), _bytes(self.optimizer_elements, bits)
        total = self.passes if training else self.activations
        return MemoryUse(
            weights_bytes=weights,
            gradients_bytes=_bytes(self.trainable_params or 0, bits) if training else 0,
            optimizer_bytes=optimizer,
            activations_bytes=self.activations.size(bits, repeats) if self.activations else None,
            peak_bytes=weights + optimizer + total.size(bits, repeats) if total else None,
        )

    @property
    def live_ops(self) -> tuple[Op, ...]:
        """Multiply-adds, whose inputs and outputs exist beside the state."""
        return tuple(op for op in self.ops if op.macs)

    def capacity(self, bits: int, batch: int = 1) -> int:
        """Return the bytes of memory that a run needs at least: of a step of training, its peak.

        In inference all weights, the state, and the largest multiply-add's input and output: other layers may work in
        place.
        """
        if self.passes and (peak := self.memory(bits, batch).peak_bytes):
            return peak
        live = max((op.live_bytes(bits, self.repeats(batch)) for op in self.live_ops), default=0)
        return _bytes(self.params + self.optimizer_elements + self.state_elements * batch, bits) + live
