"""How the cost of ops depends on the batch: found by comparing the ops of the same run at two sizes of the batch."""

from collections.abc import Sequence

from msgspec.structs import replace

from hwbench.workload.formulas.tally import Amount
from hwbench.workload.ops import Activations, Op, Shape

_ALIKE = ("name", "kind", "count", "params", "dtype", "integer")
"""Fields that do not depend on the batch."""
_PRODUCTS = ("macs", "bias_adds", "skipped_macs")
_ROUNDED = ("elementwise_flops", "fused_elements", "fused_bytes")
"""Amounts of which a sample has its part even where they are no multiple of the batch, as in sorting."""
_TRAFFIC = (
    ("input_elements", "weight_elements", "output_elements"),
    ("fixed_input_bytes", "fixed_weight_bytes", "fixed_output_bytes"),
)


def per_sample(first: Sequence[Op], second: Sequence[Op], sizes: tuple[int, int]) -> tuple[Op, ...] | None:
    """Return the ops of one sample from those of two runs, whose ops are counted for all samples of a batch.

    `sizes` are the two batches. None where the cost of an op is not a multiple of the batch, beside traffic that does
    not grow: it is then known for these batches only.
    """
    if len(first) != len(second):
        return None
    pairs = {(id(a), id(b)): (a, b) for a, b in zip(first, second, strict=True)}  # most are the same
    if any(_identity(a) != _identity(b) for a, b in pairs.values()):
        return None
    of_samples = {key: _per_sample(a, b, sizes) for key, (a, b) in pairs.items()}
    ops = [of_samples[id(a), id(b)] for a, b in zip(first, second, strict=True)]
    return tuple(op for op in ops if op is not None) if None not in ops else None


def multiples(first: Sequence[Op], second: Sequence[Op], sizes: tuple[int, int]) -> bool:
    """Return whether two runs have the same ops, with multiply-adds that are multiples of the batch or constant."""
    return len(first) == len(second) and all(
        _identity(a) == _identity(b) and b.macs in (a.macs, a.macs * sizes[1] / sizes[0])
        for a, b in zip(first, second, strict=True)
    )


def activations(first: Amount, second: Amount, sizes: tuple[int, int]) -> Activations:
    """Return what two runs at these batches hold at their peaks as what a sample adds and what does not grow."""
    (elements, constant), (each, other) = (
        _line(a, b, sizes) for a, b in ((first.elements, second.elements), (first.bytes, second.bytes))
    )
    return Activations(elements, each, constant, other)


def _line(first: int, second: int, sizes: tuple[int, int]) -> tuple[int, int]:
    """Return what a sample adds and what does not grow of amounts at two batches."""
    slope = min(max((second - first) // (sizes[1] - sizes[0]), 0), first // sizes[0])
    return slope, first - slope * sizes[0]


def _identity(op: Op) -> tuple[object, ...]:
    return tuple(getattr(op, name) for name in _ALIKE)


def _per_sample(first: Op, second: Op, sizes: tuple[int, int]) -> Op | None:
    small, large = sizes

    def line(name: str) -> tuple[int, int] | None:
        """Return what does not grow and what each sample adds; None where the amount is not such a sum."""
        a, b = getattr(first, name), getattr(second, name)
        slope, rest = divmod(b - a, large - small)
        base = a - slope * small
        return None if rest or slope < 0 or base < 0 else (base, slope)

    lines = {name: line(name) for name in (*_PRODUCTS, *(name for names in _TRAFFIC for name in names))}
    if None in lines.values():
        return None
    amounts = {name: pair for name, pair in lines.items() if pair is not None}
    if first.elementwise_flops == second.elementwise_flops and not any(slope for _, slope in amounts.values()):
        return replace(first, constant=True)
    if any(amounts[name][0] for name in _PRODUCTS):
        return None
    changes = {name: amounts[name][1] for name in _PRODUCTS}
    changes |= {name: -(-getattr(first, name) // small) for name in _ROUNDED}
    for read, weight, written in _TRAFFIC:
        changes[read] = amounts[read][1] + amounts[weight][1]
        changes[weight] = sum(amounts[name][0] for name in (read, weight, written))
        changes[written] = amounts[written][1]
    for name in ("groups", "columns"):
        a, b = getattr(first, name), getattr(second, name)
        changes[name] = a // small if a != b and a * large == b * small else a
    return replace(second, constant=False, output_shape=_shape(first, second, sizes), **changes)


def _shape(first: Op, second: Op, sizes: tuple[int, int]) -> Shape:
    """Return the shape of one sample's output: without the dimension of the batch, or with a sample's part of it."""
    small, large = sizes
    shape = []
    for a, b in zip(first.output_shape, second.output_shape, strict=False):
        if (a, b) != (small, large):
            shape.append(max((b - a) // (large - small), 1) if a != b else a)
    return tuple(shape)
