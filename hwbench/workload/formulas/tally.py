"""From a kernel's cost and its tensors to an Op: amounts of one sample, apart by the role of each tensor."""

from collections.abc import Hashable, Iterable
from typing import Any

from msgspec import Struct

from hwbench.workload.formulas.cost import Cost, Role
from hwbench.workload.ops import Op, Shape

_PER_SAMPLE = ("batched_matmul", "attention", "attention_backward")
"""Kinds whose independent products are those of the samples."""


class Amount(Struct, frozen=True):
    """Part of an op's traffic: elements of the run's dtype, and bytes of tensors whose size does not follow it."""

    elements: int = 0
    bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.elements + other.elements, self.bytes + other.bytes)


class Tally:
    """Sum what one kernel reads and writes; its data holds `samples`, by which amounts are divided."""

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.inputs = self.weights = self.outputs = Amount()

    def read(self, elements: int, bits: int | None, is_data: bool) -> Amount:
        """Add a tensor that is read, with its bits per element unless these follow the run's dtype."""
        amount = _amount(elements, bits, self.samples if is_data else 1)
        if is_data:
            self.inputs += amount
        else:
            self.weights += amount
        return amount

    def write(self, elements: int, bits: int | None) -> Amount:
        """Add a tensor that is written, likewise."""
        amount = _amount(elements, bits, self.samples)
        self.outputs += amount
        return amount

    def op(self, cost: Cost, output_shape: Shape, params: int = 0, **fields: Any) -> Op:
        """Return the op of a cost and its parameters, with further fields of Op."""
        samples = self.samples
        fields |= {
            name: share(getattr(cost, name), samples)
            for name in ("macs", "bias_adds", "elementwise_flops", "skipped_macs")
        }
        fields |= {name: getattr(cost, name) for name in ("columns", "depth", "window", "stride", "masked")}
        return Op(
            kind=cost.kind, output_shape=output_shape, params=params, idle_params=round(params * cost.idle),
            input_elements=self.inputs.elements,
            weight_elements=self.weights.elements, output_elements=self.outputs.elements,
            fixed_input_bytes=self.inputs.bytes, fixed_weight_bytes=self.weights.bytes,
            fixed_output_bytes=self.outputs.bytes,
            groups=share(cost.groups, samples if cost.kind in _PER_SAMPLE else 1), **fields,
        )  # fmt: skip


class Parameters:
    """Trainable parameters by what holds them. The first op that reads them claims them, so that none counts twice."""

    def __init__(self) -> None:
        self._elements: dict[Hashable, int] = {}

    def add(self, holder: Hashable, elements: int) -> None:
        """Add parameters; one holder may have several."""
        self._elements[holder] = self._elements.get(holder, 0) + elements

    def claim(self, holders: Iterable[Hashable]) -> int:
        """Return how many parameters are claimed here for the first time."""
        return sum(self._elements.pop(holder, 0) for holder in holders)

    @property
    def unclaimed(self) -> int:
        """Parameters that no op has read."""
        return sum(self._elements.values())


def joint_role(roles: Iterable[Role]) -> Role:
    """Return the role of what is made of tensors: data if any is, else weight if any is."""
    present = set(roles)
    return "data" if "data" in present else "weight" if "weight" in present else "constant"


def share(amount: int, samples: int) -> int:
    """Return one sample's part of the amount of several, rounded up."""
    return -(-amount // samples)


def _amount(elements: int, bits: int | None, samples: int) -> Amount:
    if bits is None:
        return Amount(elements=share(elements, samples))
    return Amount(bytes=share(-(-elements * bits // 8), samples))
