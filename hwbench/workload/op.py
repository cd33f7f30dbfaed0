"""Ops and workloads: counts that depend on shapes alone, turned into work at a batch and a dtype."""

from msgspec import Struct

from hwbench.workload.work import Convention, Work

Shape = tuple[int, ...]


class Op(Struct, frozen=True):
    """One kernel's worth of a network, counted for one sample.

    `output_shape` has no batch dimension. `params` and `weight_elements` do not grow with the batch; everything
    else does. `index_bytes` are bytes of integers, whose size does not follow the dtype.
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
    index_bytes: int = 0
    name: str = ""

    @property
    def flops(self) -> int:
        """Floating-point operations of the multiply-adds, two each."""
        return 2 * self.macs

    def count(self, convention: Convention) -> int:
        """Operations of one sample as the convention counts them."""
        return {"flop": 2 * self.macs, "mac": self.macs, "mac-bias": self.macs + self.bias_adds}[convention]

    def work(self, bits: int, batch: int = 1) -> Work:
        """Work of a batch whose elements take `bits` bits each."""
        return Work(
            flops=2 * self.macs * batch,
            elementwise_flops=self.elementwise_flops * batch,
            input_bytes=_bytes(self.input_elements * batch, bits) + self.index_bytes * batch,
            weight_bytes=_bytes(self.weight_elements, bits),
            output_bytes=_bytes(self.output_elements * batch, bits),
        )


def _bytes(elements: int, bits: int) -> int:
    return -(-elements * bits // 8)


class Published(Struct, frozen=True, forbid_unknown_fields=True):
    """Counts as a paper or a library states them, for one sample: what tests hold ours to."""

    params: int
    macs: int
    source: str
    url: str | None = None


class Workload(Struct, frozen=True):
    """A network as its ops in order of execution. `uncounted` names what could not be counted."""

    name: str
    title: str
    input_shape: Shape
    ops: tuple[Op, ...]
    published: Published | None = None
    uncounted: tuple[str, ...] = ()

    @property
    def params(self) -> int:
        """Trainable parameters."""
        return sum(op.params for op in self.ops)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one sample."""
        return sum(op.macs for op in self.ops)

    def count(self, convention: Convention) -> int:
        """Operations of one sample as the convention counts them."""
        return sum(op.count(convention) for op in self.ops)

    def work(self, bits: int, batch: int = 1) -> Work:
        """Work of one batch."""
        return sum((op.work(bits, batch) for op in self.ops), Work())

    def capacity(self, bits: int, batch: int = 1) -> int:
        """Bytes of memory that no run can do without: all weights, and the largest op's input and output."""
        live = max((op.input_elements + op.output_elements for op in self.ops), default=0)
        return _bytes(self.params, bits) + _bytes(live * batch, bits)
