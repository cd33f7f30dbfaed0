"""What a compiler that fuses saves: chains of kernels that only move and map elements become one kernel.

The rules, after what TorchInductor does (Ansel et al., PyTorch 2, ASPLOS 2024, section 4):

1. Products, convolutions, attention and everything else not named below stay kernels of their own.
2. An op that maps elements, or that normalizes or sums over them, joins the kernels that wrote its inputs if those are
   of these kinds too and go over as many elements; it does not if some other input depends on what they write.
3. A joint kernel reads each tensor from outside once, and writes only what is read outside of it or not at all.
"""

from msgspec import Struct

MAPS = frozenset(
    """
    elementwise cast copy strided_copy batch_norm scale add relu relu6 sigmoid tanh gelu silu gather upsample fill
    position_embedding class_token dequantize
    """.split()  # noqa: SIM905
)
"""Kinds that write each element from a few."""

ROWS = frozenset("layer_norm group_norm rms_norm softmax reduction avg_pool global_avg_pool weight_norm".split())  # noqa: SIM905
"""Kinds that sum over elements: they go over what they read."""


class Access(Struct, frozen=True):
    """One tensor that an op reads or writes: which, and its share of the op's counts for one sample."""

    tensor: int
    elements: int = 0
    bytes: int = 0


class Node(Struct, frozen=True):
    """An op as a fusing compiler sees it: its kind, the elements that it goes over, and its tensors in order."""

    kind: str
    extent: int
    reads: tuple[Access, ...]
    writes: tuple[Access, ...]


class Saving(Struct, frozen=True):
    """What fusion saves of one op: elements, bytes of other tensors, and whether it has no kernel of its own."""

    elements: int = 0
    bytes: int = 0
    fused: bool = False


def savings(nodes: list[Node]) -> list[Saving]:
    """Return what fusion saves of each op, in order of execution."""
    group, producer = _groups(nodes)
    read_outside: set[int] = set()  # writes, by position of the op that wrote, that another kernel reads
    read_inside: set[int] = set()
    for position, sources in enumerate(producer):
        for source in sources:
            if source is not None:
                (read_inside if group[source] == group[position] else read_outside).add(source)
    result, begun = [], set()
    already_read: set[tuple[int, int, int | None]] = set()  # (kernel, tensor, position of its writer)
    for position, node in enumerate(nodes):
        elements = size = 0
        for access, source in zip(node.reads, producer[position], strict=True):
            key = (group[position], access.tensor, source)
            if (source is not None and group[source] == group[position]) or key in already_read:
                elements, size = elements + access.elements, size + access.bytes
            already_read.add(key)
        if position in read_inside and position not in read_outside:
            elements += sum(access.elements for access in node.writes)
            size += sum(access.bytes for access in node.writes)
        result.append(Saving(elements, size, group[position] in begun))
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
    members: dict[int, int] = {}  # sets of ops as bits of an integer
    needs: dict[int, int] = {}  # all ops outside of a kernel that must have run before it
    for position, node in enumerate(nodes):
        sources = [writer.get(access.tensor) for access in node.reads]
        latest_first = sorted((source for source in sources if source is not None), reverse=True)
        parents = list(dict.fromkeys(group[source] for source in latest_first))
        joined = _joined(node, nodes, parents, members, needs)
        own = joined[0] if joined else position
        outside = 0
        for parent in parents:
            if parent not in joined:
                outside |= members[parent] | needs[parent]
        for other in joined:
            outside |= needs[other]
        together = 1 << position
        for other in joined:
            together |= members.pop(other)
            needs.pop(other)
        group.append(own)
        for other in joined[1:]:
            group = [own if known == other else known for known in group]
        members[own], needs[own] = together, outside & ~together
        producers.append(sources)
        for access in node.writes:
            writer[access.tensor] = position
    return group, producers


def _joined(
    node: Node, nodes: list[Node], parents: list[int], members: dict[int, int], needs: dict[int, int]
) -> list[int]:
    """Return the kernels among an op's parents, latest first, that it can join."""
    if node.kind not in MAPS and node.kind not in ROWS:
        return []
    fitting = [
        parent
        for parent in parents
        if (nodes[parent].kind in MAPS or nodes[parent].kind in ROWS) and nodes[parent].extent == node.extent
    ]
    joined: list[int] = []
    for parent in fitting:
        others = [other for other in parents if other != parent and other not in joined]
        before = 0  # what must run before the joint kernel without being part of it
        for other in others:
            before |= needs[other] | (0 if other in fitting else members[other])
        for other in joined:
            before |= needs[other]
        if not members[parent] & before:
            joined.append(parent)
    return joined
