"""Memory of an ONNX graph whose nodes run in their order: a tensor is freed after the last node that reads it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

from onnx import TensorProto

from hwbench.workload.formulas.tally import Amount
from hwbench.workload.onnx.values import Value, bits


class Buffers:
    """What exists now, and at the peak: inputs, and what nodes wrote that depends on them."""

    def __init__(self) -> None:
        self.live = self.peak = Amount()

    def add(self, amount: Amount) -> None:
        """Add what is written."""
        self.live += amount
        self.peak = max(self.live, self.peak, key=lambda each: 4 * each.elements + each.bytes)

    def free(self, amount: Amount) -> None:
        """Take away what nobody reads any longer."""
        self.live = Amount(self.live.elements - amount.elements, self.live.bytes - amount.bytes)


class Readers:
    """The readers that are left of what the nodes of one graph wrote; views share what they are made of."""

    def __init__(self, graph: Any, buffers: Buffers) -> None:
        self._buffers = buffers
        self._of = Counter([*_names(graph.node), *(info.name for info in graph.output)])
        self._left: dict[str, int] = {}
        self._sizes: dict[str, Amount] = {}
        self._source: dict[str, str] = {}  # of views, by name

    def write(self, node: Any, outputs: Iterable[Value], is_view: bool) -> None:
        """Add what a node writes, and take away what it was the last to read."""
        for key, value in zip(node.output, outputs, strict=False):
            source = self._source.get(node.input[0]) if is_view and node.input else None
            if source is not None:
                self._source[key] = source
                self._left[source] += self._of[key]
            elif value.role == "data" and value.shape is not None and not (is_view and node.input):
                self._source[key], self._left[key], self._sizes[key] = key, self._of[key], size(value)
                self._buffers.add(self._sizes[key])
        for key in _names([node]):
            if (source := self._source.get(key)) is not None:
                self._left[source] -= 1
        for key in [key for key, left in self._left.items() if left <= 0]:
            del self._left[key]
            self._buffers.free(self._sizes.pop(key))

    def close(self) -> None:
        """Take away all: the node around the graph adds what the graph returns."""
        for amount in self._sizes.values():
            self._buffers.free(amount)


def _names(nodes: Iterable[Any]) -> Iterator[str]:
    """Yield what nodes read, each as often as it is named, in graphs inside them too."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs) if attribute.ByteSize() else ():
                yield from _names(graph.node)
                yield from (info.name for info in graph.output)


def size(value: Value) -> Amount:
    """Return the size of a tensor: elements of fp32 follow the run's dtype."""
    elements = prod(value.shape or ())
    return Amount(elements) if value.dtype == TensorProto.FLOAT else Amount(bytes=-(-elements * bits(value.dtype) // 8))
