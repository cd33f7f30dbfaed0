"""A workload's counts in every convention, for programs."""

from typing import Any, ClassVar

from msgspec import UNSET, Struct, UnsetType

from hwbench.answers import Answer
from hwbench.notices import Notice, notice
from hwbench.workload.ops import CONVENTIONS, Convention, Op, Shape, Workload
from hwbench.workload.tree import Branch, tree


class LayerCount(Struct, frozen=True):
    """One layer, or `count` that are alike, at the batch and dtype of the whole; parameters do not grow with it."""

    name: str
    kind: str
    count: int
    params: int
    macs: int
    flops: int
    elementwise_flops: int
    traffic_bytes: int
    weight_bytes: int
    output_shape: Shape
    conventions: dict[Convention, int]


class Count(Answer, Struct, frozen=True):
    """A model counted: totals, the same in each convention, and its layers."""

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
    convention: Convention
    count: int
    conventions: dict[Convention, int]
    trainable_params: int | None
    non_embedding_params: int
    active_params: int
    uncounted: tuple[str, ...]
    layers: tuple[LayerCount, ...]
    workload: Workload
    tree: Branch | UnsetType = UNSET
    audit: tuple[Any, ...] | UnsetType = UNSET

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What a reader must know of how the workload was counted."""
        return (*self.workload.notices, *self._of_tree)

    @property
    def _of_tree(self) -> tuple[Notice, ...]:
        """Of a saved workload, ops that are alike are known by the name of the first."""
        ops = sum(op.count - 1 for op in self.workload.ops if ":" in op.name)
        return (notice("tree-of-folded", ops=ops),) if ops and not isinstance(self.tree, UnsetType) else ()


def count(
    workload: Workload, convention: Convention, dtype: str, bits: int, batch: int = 1, depth: int | None = None
) -> Count:
    """Count one batch at `bits` bits an element; `count` is the total in the chosen convention.

    With a `depth` there are totals by module, down to so many levels.
    """
    total = workload.work(bits, batch)
    conventions = {name: workload.operations(name, batch) for name in CONVENTIONS}
    return Count(
        model=workload.name, dtype=dtype, batch=batch, params=workload.params, macs=total.flops // 2, flops=total.flops,
        traffic_bytes=total.traffic, elementwise_flops=total.elementwise_flops, convention=convention,
        count=conventions[convention], conventions=conventions, uncounted=workload.uncounted,
        trainable_params=workload.trainable_params, non_embedding_params=workload.non_embedding_params,
        active_params=workload.active_params,
        layers=tuple(_layer(op, bits, workload.repeats(batch)) for op in workload.ops), workload=workload,
        tree=UNSET if depth is None else tree(workload, bits, batch, depth),
    )  # fmt: skip


def _layer(op: Op, bits: int, batch: int) -> LayerCount:
    work = op.work(bits, batch)
    return LayerCount(
        name=op.name, kind=op.kind, params=op.params * op.count, count=op.count, macs=work.flops // 2, flops=work.flops,
        elementwise_flops=work.elementwise_flops, traffic_bytes=work.traffic, weight_bytes=work.weight_bytes,
        output_shape=op.output_shape, conventions={name: op.operations(name, batch) for name in CONVENTIONS},
    )  # fmt: skip
