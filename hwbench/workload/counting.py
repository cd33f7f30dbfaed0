"""A workload's counts in every convention, for programs."""

from typing import Any, ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType

from hwbench.answers import Answer
from hwbench.notices import Notice, notice
from hwbench.workload.ops import CONVENTIONS, Convention, MemoryUse, Op, Part, Shape, Work, Workload
from hwbench.workload.tree import Branch, tree

Attention = Literal["full", "computed"]
ATTENTION: dict[Attention, str] = {
    "full": "every query meets every key",
    "computed": "pairs that a causal flag or a window leaves out do not count",
}


class LayerCount(Struct, frozen=True):
    """One layer, or `count` that are alike, at the batch and dtype of the whole; parameters do not grow with it."""

    name: str
    kind: str
    count: int
    params: int
    macs: int
    flops: int
    elementwise_flops: int
    integer_ops: int
    elementwise_integer_ops: int
    traffic_bytes: int
    weight_bytes: int
    output_shape: Shape
    conventions: dict[Convention, int]


class PartCount(Struct, frozen=True):
    """A part of a training step: its operations and traffic."""

    macs: int
    flops: int
    elementwise_flops: int
    traffic_bytes: int


class Count(Answer, Struct, frozen=True):
    """A model counted: totals, the same in each convention, and its layers.

    `flops` and `elementwise_flops` are operations on floating-point numbers; those on integers (`integer_ops`, two a
    multiply-add, and `elementwise_integer_ops`) stand apart. `macs` and conventions count the products of both.
    """

    SCHEMA: ClassVar[str] = "count"
    MAIN: ClassVar[tuple[str, ...]] = ("model", "dtype", "batch", "params", "macs", "flops", "traffic_bytes")
    ROWS: ClassVar[str] = "layers"
    CONTEXT: ClassVar[tuple[str, ...]] = ("workload",)

    model: str
    dtype: str
    batch: int
    params: int
    macs: int
    flops: int
    traffic_bytes: int
    elementwise_flops: int
    integer_ops: int
    elementwise_integer_ops: int
    convention: Convention
    count: int
    conventions: dict[Convention, int]
    trainable_params: int | None
    non_embedding_params: int
    active_params: int
    attention: Attention
    parts: dict[Part, PartCount]
    optimizer_state_bytes: int
    memory: MemoryUse
    skipped_macs: int
    unknown_masks: int
    uncounted: tuple[str, ...]
    layers: tuple[LayerCount, ...]
    workload: Workload
    tree: Branch | UnsetType = UNSET
    audit: tuple[Any, ...] | UnsetType = UNSET

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader must know of how the workload was counted."""
        return (*self.workload.notices, *self._of_attention, *self._of_tree)

    @property
    def _of_attention(self) -> tuple[Notice, ...]:
        """What attention would count in the other way, and which masks are not known."""
        if self.attention == "full":
            flops = self.flops - 2 * self.skipped_macs
            return (notice("attention-in-full", flops=flops, of=self.flops),) if self.skipped_macs else ()
        in_full = notice("attention-as-computed", flops=self.flops + 2 * self.skipped_macs)
        masks = notice("attention-masks", ops=self.unknown_masks)
        return (*([in_full] if self.skipped_macs else ()), *([masks] if self.unknown_masks else ()))

    @property
    def _of_tree(self) -> tuple[Notice, ...]:
        """Of a saved workload, ops that are alike are known by the name of the first."""
        ops = sum(op.count - 1 for op in self.workload.ops if ":" in op.name)
        return (notice("tree-of-folded", ops=ops),) if ops and not isinstance(self.tree, UnsetType) else ()


def count(
    workload: Workload, convention: Convention, dtype: str, bits: int, batch: int = 1, depth: int | None = None,
    attention: Attention = "full",
) -> Count:  # fmt: skip
    """Count one batch at `bits` bits an element; `count` is the total in the chosen convention.

    With a `depth` there are totals by module, down to so many levels. `attention` counts every pair of a query and a
    key, or only those that it computes.
    """
    repeats = workload.repeats(batch)
    skipped = sum(op.skipped_macs * op.count * (1 if op.constant else repeats) for op in workload.ops)
    masks = sum(op.count for op in workload.ops if op.masked and not op.skipped_macs)
    if attention == "computed":
        workload = workload.computed()
    total = workload.work(bits, batch)
    conventions = {name: workload.operations(name, batch) for name in CONVENTIONS}
    return Count(
        model=workload.name, dtype=dtype, batch=batch, params=workload.params, macs=total.flops // 2,
        flops=total.floating.flops, traffic_bytes=total.traffic, elementwise_flops=total.floating.elementwise_flops,
        integer_ops=total.integer_ops, elementwise_integer_ops=total.elementwise_integer_ops, convention=convention,
        count=conventions[convention], conventions=conventions, uncounted=workload.uncounted,
        trainable_params=workload.trainable_params, non_embedding_params=workload.non_embedding_params,
        active_params=workload.active_params, attention=attention, parts=_parts(workload, bits, repeats),
        optimizer_state_bytes=-(-workload.optimizer_elements * bits // 8), memory=workload.memory(bits, batch),
        skipped_macs=skipped, unknown_masks=masks,
        layers=tuple(_layer(op, bits, repeats) for op in workload.ops), workload=workload,
        tree=UNSET if depth is None else tree(workload, bits, batch, depth),
    )  # fmt: skip


def _parts(workload: Workload, bits: int, batch: int) -> dict[Part, PartCount]:
    """Return the parts of a training step; none in inference, which is one."""
    works: dict[Part, Work] = {}
    for op in workload.ops:
        works[op.part] = works.get(op.part, Work()) + op.work(bits, batch)
    return {
        part: PartCount(work.flops // 2, work.floating.flops, work.floating.elementwise_flops, work.traffic)
        for part, work in works.items()
        if len(works) > 1
    }


def _layer(op: Op, bits: int, batch: int) -> LayerCount:
    work = op.work(bits, batch)
    return LayerCount(
        name=op.name, kind=op.kind, params=op.params * op.count, count=op.count, macs=work.flops // 2,
        flops=work.floating.flops, elementwise_flops=work.floating.elementwise_flops, integer_ops=work.integer_ops,
        elementwise_integer_ops=work.elementwise_integer_ops, traffic_bytes=work.traffic,
        weight_bytes=work.weight_bytes, output_shape=op.output_shape,
        conventions={name: op.operations(name, batch) for name in CONVENTIONS},
    )  # fmt: skip
