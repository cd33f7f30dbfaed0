"""What a compiler that fuses saves: chains of kernels that only move and map elements become one kernel.

The rules, after what TorchInductor does (Ansel et al., PyTorch 2, ASPLOS 2024, section 4):

1. Products, convolutions, attention and everything else not named below stay kernels of their own.
2. An op that maps elements, or that normalizes or sums over them, joins the kernels that wrote its inputs if those are
   of these kinds too and go over as many elements; it does not if some other input depends on what they write.
3. A joint kernel reads each tensor from outside once, and writes only what is read outside of it or not at all.
"""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from msgspec import Struct

from hwbench.workload.formulas.tally import Amount

MAPS = frozenset(
    """
    elementwise cast copy strided_copy batch_norm scale add relu relu6 sigmoid tanh gelu silu gather upsample fill
    position_embedding class_token dequantize
    """.split()  # noqa: SIM905
)
"""Kinds that write each element from a few."""

ROWS = frozenset("layer_norm group_norm rms_norm softmax reduction avg_pool global_avg_pool weight_norm".split())  # noqa: SIM905
"""Kinds that sum over elements: they go over what they read."""
_JOINING = MAPS | ROWS


class Access(Struct, frozen=True):
    """One tensor that an op reads or writes: which, and its share of the op's counts for one sample."""

    tensor: int
    amount: Amount = Amount()


class Node(Struct, frozen=True):
    """An op as a fusing compiler sees it: its kind, the elements that it goes over, and its tensors in order."""

    kind: str
    extent: int
    reads: tuple[Access, ...]
    writes: tuple[Access, ...]


class Saving(Struct, frozen=True):
    """What fusion saves of one op, and whether it has no kernel of its own."""

    amount: Amount = Amount()
    fused: bool = False


_BITS = 2048
"""Bits in the sets of what kernels need, one an op, at which they become one each for kernels that are read later."""
_KERNELS = 256
"""Kernels that are read later up to which it pays to give each of them one bit."""


def savings(nodes: list[Node]) -> list[Saving]:
    """Return what fusion saves of each op, in order of execution."""
    group, producer = _groups(nodes)
    readers = [(source, reader) for reader, sources in enumerate(producer) for source in sources if source is not None]
    read_outside = {source for source, reader in readers if group[source] != group[reader]}
    only_inside = {source for source, _ in readers} - read_outside
    result, begun = [], set()
    already_read: set[tuple[int, int, int | None]] = set()  # (kernel, tensor, position of its writer)
    for position, node in enumerate(nodes):
        amount = sum((access.amount for access in node.writes), Amount()) if position in only_inside else Amount()
        for access, source in zip(node.reads, producer[position], strict=True):
            key = (group[position], access.tensor, source)
            if (source is not None and group[source] == group[position]) or key in already_read:
                amount += access.amount
            already_read.add(key)
        result.append(Saving(amount, group[position] in begun))
        begun.add(group[position])
    return result


def norms_of_images(nodes: list[Node]) -> set[int]:
    """Return the positions of layer norms whose result a convolution reads: their rows are channels of an image."""
    writer: dict[int, int] = {}
    norms = set()
    for position, node in enumerate(nodes):
        if node.kind.endswith("conv"):
            sources = [writer.get(access.tensor) for access in node.reads]
            norms |= {source for source in sources if source is not None and nodes[source].kind == "layer_norm"}
        for access in node.writes:
            writer[access.tensor] = position
    return norms


def _groups(nodes: list[Node]) -> tuple[list[int], list[list[int | None]]]:
    """Return the kernel of each op, and the op that wrote each tensor that it reads."""
    group: list[int] = []
    writer: dict[int, int] = {}
    producers: list[list[int | None]] = []
    kernels: dict[int, list[int]] = {}  # the ops of each kernel
    members: dict[int, int] = {}  # the same as bits of an integer
    needs: dict[int, int] = {}  # all ops outside of a kernel that must have run before it
    last = _last_reads(nodes)  # of each op, and then of its kernel
    bits, most = 0, _BITS
    for position, node in enumerate(nodes):
        if bits >= most:
            read_later = [kernel for kernel in members if last[kernel] >= position]
            if len(read_later) < _KERNELS:
                members, needs = _shorter(read_later, members, needs)
                bits = len(members)
            most = bits + _BITS
        sources = [writer.get(access.tensor) for access in node.reads]
        latest_first = sorted((source for source in sources if source is not None), reverse=True)
        parents = list(dict.fromkeys(group[source] for source in latest_first))
        joined = _joined(node, nodes, parents, members, needs)
        own = joined[0] if joined else position
        outside = _union(needs[p] | (0 if p in joined else members[p]) for p in parents)
        together = 1 << bits | _union(members.pop(other) for other in joined)
        bits += 1
        last[own] = max(last[position], *(last[other] for other in joined), -1)
        group.append(own)
        kernels.setdefault(own, []).append(position)
        for other in joined[1:]:
            for moved in kernels[other]:
                group[moved] = own
            kernels[own] += kernels.pop(other)
        members[own], needs[own] = together, outside & ~together
        producers.append(sources)
        for access in node.writes:
            writer[access.tensor] = position
    return group, producers


def _last_reads(nodes: list[Node]) -> list[int]:
    """Return the position of the last op that reads what each op wrote; -1 where none does."""
    writer: dict[int, int] = {}
    last = [-1] * len(nodes)
    for position, node in enumerate(nodes):
        for access in node.reads:
            if (source := writer.get(access.tensor)) is not None:
                last[source] = position
        for access in node.writes:
            writer[access.tensor] = position
    return last


def _shorter(
    kernels: list[int], members: dict[int, int], needs: dict[int, int]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return members and needs of some kernels with one bit for each of these kernels, and none for others.

    A kernel of which nothing is read any more is joined by no op, and what it needs is among the needs of its readers.
    """
    numbered = list(enumerate(kernels))
    of = {kernel: _union(1 << bit for bit, other in numbered if members[other] & needs[kernel]) for kernel in kernels}
    return {kernel: 1 << bit for bit, kernel in numbered}, of


def _joined(
    node: Node, nodes: list[Node], parents: list[int], members: dict[int, int], needs: dict[int, int]
) -> list[int]:
    """Return the kernels among an op's parents, latest first, that it can join."""
    if node.kind not in _JOINING:
        return []
    fitting = [parent for parent in parents if nodes[parent].kind in _JOINING and nodes[parent].extent == node.extent]
    joined: list[int] = []
    for parent in fitting:  # what must run before the joint kernel without being part of it:
        before = _union(needs[p] | (0 if p in fitting else members[p]) for p in parents if p != parent)
        if not members[parent] & before:
            joined.append(parent)
    return joined


def _union(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)
