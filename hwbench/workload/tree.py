"""Totals of a workload by module: parameters, operations and traffic of each path of its ops' names."""

from operator import add

from msgspec import Struct

from hwbench.workload.ops import CONVENTIONS, Convention, Op, Workload


class Branch(Struct, frozen=True):
    """A module with all that is in it, at the batch and dtype of the whole, whose own path is empty.

    Parameters are those that ops of the module read first. `share` is the part of all operations; None where there are
    none.
    """

    path: str
    params: int
    macs: int
    flops: int
    elementwise_flops: int
    traffic_bytes: int
    share: float | None
    conventions: dict[Convention, int]
    inner: tuple["Branch", ...]

    @property
    def name(self) -> str:
        """The module's own name, the last of its path."""
        return self.path.rpartition(".")[2]


def tree(workload: Workload, bits: int, batch: int, depth: int) -> Branch:
    """Return the whole with its modules down to `depth` levels."""
    repeats, root = workload.repeats(batch), _Node()
    for op in workload.ops:
        amounts, node = _amounts(op, bits, repeats), root
        node.add(amounts)
        for name in scope(op.name)[:depth]:
            node = node.inner.setdefault(name, _Node())
            node.add(amounts)
    root.add((workload.unused_params, *(0 for _ in root.amounts[1:])))
    return root.branch((), root.amounts[1])


def scope(name: str) -> tuple[str, ...]:
    """Return the modules of an op's name, outermost first: of `layer1.0.conv1:convolution`, `/layer1/conv1/Conv`.

    A layer of a list is a module itself, and so is an op of no module.
    """
    if "/" in name:
        parts = [part for part in name.split("/")[:-1] if part]  # layer1/layer1.0/conv1, layers.0/q_proj
        own = (part.removeprefix(f"{outer}.") for outer, part in zip(("", *parts), parts, strict=False))
        return tuple(".".join(own).split(".")) if parts else ("",)
    module, colon, operator = name.rpartition(":")
    return tuple((module if colon else operator).split("."))


def _amounts(op: Op, bits: int, batch: int) -> tuple[int, ...]:
    work = op.work(bits, batch)
    each = (op.operations(name, batch) for name in CONVENTIONS)
    floating = work.floating
    return (op.params * op.count, work.flops // 2, floating.flops, floating.elementwise_flops, work.traffic, *each)


class _Node:
    """What a module adds up: parameters, multiply-adds, FLOP, elementwise FLOP, traffic, operations by convention."""

    def __init__(self) -> None:
        self.amounts: tuple[int, ...] = (0, 0, 0, 0, 0, *(0 for _ in CONVENTIONS))
        self.inner: dict[str, _Node] = {}

    def add(self, amounts: tuple[int, ...]) -> None:
        """Add those of an op."""
        self.amounts = tuple(map(add, self.amounts, amounts))

    def branch(self, path: tuple[str, ...], whole: int) -> Branch:
        """Return the module of a path, of a whole with so many multiply-adds."""
        params, macs, flops, elementwise, traffic, *each = self.amounts
        return Branch(
            path=".".join(path), params=params, macs=macs, flops=flops, elementwise_flops=elementwise,
            traffic_bytes=traffic, share=macs / whole if whole else None,
            conventions=dict(zip(CONVENTIONS, each, strict=True)),
            inner=tuple(node.branch((*path, name), whole) for name, node in self.inner.items()),
        )  # fmt: skip
