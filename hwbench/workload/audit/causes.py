"""Why another counter differs from ours: rules whose numbers agree with the difference, per module or in total.

A difference is attributed to a cause only where the numbers agree. `audit.py` writes the sentences.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from hwbench.workload.ops import Op

CauseKind = Literal[
    "changes", "counts-nothing", "fast-path", "grouped-as-dense", "names-counted-again", "no-arithmetic", "no-formula",
    "runs-counted-again", "runs-counted-once", "transposed-by-output", "unexplained", "unexplained-but-small",
    "weights-once-per-entry",
]  # fmt: skip
TermKind = Literal["leaves-out", "counts-again", "counts-outside-modules", "adds-biases", "adds-operations"]

IN_TOTAL = None
"""Place of a difference that belongs to no module."""

_CLOSE = 1e-6
_MAX_KINDS, _MAX_TERMS = 6, 3


class Term(Struct, frozen=True):
    """One change to our count: of the ops of some kinds, or of all biases."""

    kind: TermKind
    ops: tuple[str, ...] = ()


class Cause(Struct, frozen=True):
    """A cause and the MACs a sample by which the other count exceeds ours for it.

    `terms` are the changes that give the other count, `alternatives` others of the same size that give it too; `ops`
    are the kinds of a `counts-nothing`. `modules` are ordered by the size of their difference, `None` is in total.
    """

    kind: CauseKind
    terms: tuple[Term, ...] = ()
    alternatives: tuple[tuple[Term, ...], ...] = ()
    ops: tuple[str, ...] = ()
    modules: tuple[str | None, ...] = ()
    amount: float = 0.0


class ModuleCounts(Struct, frozen=True):
    """A counter's total and its counts of modules without their children.

    They are of the whole run in the counter's unit, or of a sample in MACs; `each` is then the MACs that it counts for
    an operation that is not a multiply-add.
    """

    total: float
    layers: dict[str, float] = {}
    each: float = 1.0


class OwnCounts(Struct):
    """Our counts of a run: modules and their ops by path, the number of names of each module, and of its runs."""

    modules: dict[str, Any]
    ops: dict[str, list[Op]]
    names: dict[str, int]
    calls: dict[str, int]
    batch: int

    @property
    def total(self) -> float:
        """MACs of one sample in all."""
        return self.macs([op for ops in self.ops.values() for op in ops])

    def macs(self, ops: list[Op]) -> float:
        """Return the MACs of one sample; ops that do not depend on the input run once per batch."""
        return sum(op.macs * op.count / (self.batch if op.constant else 1) for op in ops)


def explain(theirs: ModuleCounts, own: OwnCounts) -> tuple[Cause, ...]:
    """Return the causes by which a count differs from ours, largest first."""
    if same(theirs.total, own.total):
        return ()
    places: dict[Cause, list[tuple[str | None, float]]] = {}
    explained = 0.0
    for name in dict.fromkeys([*own.ops, *theirs.layers]) if theirs.layers else ():
        ops, count = own.ops.get(name, []), theirs.layers.get(name, 0.0)
        surplus = count - own.macs(ops)
        explained += surplus
        if not same(count, own.macs(ops)):
            places.setdefault(_cause(ops, count, own, theirs.each, name), []).append((name, surplus))
    rest = theirs.total - own.total - explained
    if not same(rest, 0.0, own.total):
        again = sum((names - 1) * theirs.layers.get(name, 0.0) for name, names in own.names.items())
        if again and same(rest, again):
            cause = Cause("names-counted-again")
        else:
            ops = [op for ops in own.ops.values() for op in ops]
            surplus_term: TermKind = "counts-outside-modules" if theirs.layers else "counts-again"
            cause = _cause(ops, own.total + rest, own, theirs.each, None, surplus_term)
        places.setdefault(cause, []).append((IN_TOTAL, rest))
    causes = []
    for cause, surpluses in places.items():
        modules = tuple(name for name, _ in sorted(surpluses, key=lambda place: -abs(place[1])))
        causes.append(replace(cause, modules=modules, amount=sum(surplus for _, surplus in surpluses)))
    return tuple(sorted(causes, key=lambda cause: -abs(cause.amount)))


def _cause(
    ops: list[Op], theirs: float, own: OwnCounts, each: float, name: str | None, surplus: TermKind = "counts-again"
) -> Cause:
    """Return the rule that makes theirs of our ops' MACs, in the module `name` if it is of one."""
    ours = own.macs(ops)
    if not ours:
        kinds = tuple(sorted({op.kind for op in ops if op.elementwise_flops}))
        if any(op.kind == "uncounted" for op in ops):
            return Cause("no-formula")
        return Cause("changes", (Term("adds-operations", kinds),)) if kinds else Cause("no-arithmetic")
    if not theirs:
        return Cause("counts-nothing", ops=tuple(_macs_by_kind(ops, own)))
    if name is not None:
        for amount, kind in _mistakes(own.modules[name], ops, ours, theirs, own.calls.get(name, 1), own.batch):
            if same(theirs, amount):
                return Cause(kind)
    return _changes(ops, theirs, own, each, surplus)


def _mistakes(
    module: Any, ops: list[Op], ours: float, theirs: float, calls: int, batch: int
) -> Iterator[tuple[float, CauseKind]]:
    """Yield the counts that known mistakes would give for a module."""
    if getattr(module, "groups", 1) != 1:
        yield ours * module.groups, "grouped-as-dense"
    if getattr(module, "transposed", False):
        positions = sum(math.prod(op.output_shape[1:]) for op in ops if op.macs)
        yield positions * module.weight.numel(), "transposed-by-output"
    if calls > 1:
        yield ours / calls, "runs-counted-once"
        yield ours * calls, "runs-counted-again"
    weight = getattr(module, "weight", None)
    if weight is not None and weight.dim() == 2 and theirs < ours:
        bias = getattr(module, "bias", None)
        for params in (weight.numel(), weight.numel() + (0 if bias is None else bias.numel())):
            yield max(1, round(theirs * batch / params)) * params / batch, "weights-once-per-entry"


def _changes(ops: list[Op], theirs: float, own: OwnCounts, each: float, surplus_term: TermKind) -> Cause:
    """Return the fewest kinds left out or counted again, biases and other operations added that make theirs."""
    macs = _macs_by_kind(ops, own)
    surplus = theirs - own.macs(ops)
    biases = each * sum(op.bias_adds * op.count for op in ops)
    others = _other_operations(ops)
    moved = [(kinds, sign * sum(macs[kind] for kind in kinds)) for kinds in _subsets(macs) for sign in (-1, 1)]
    matches: dict[tuple[Term, ...], int] = {}
    for (kinds, amount), bias, (added, operations) in itertools.product(moved, {0.0, biases}, others):
        if (kinds or bias or added) and same(surplus, amount + bias + each * operations):
            terms = [Term("leaves-out" if amount < 0 else surplus_term, kinds)] if kinds else []
            terms += [Term("adds-biases")] if bias else []
            terms += [Term("adds-operations", added)] if added else []
            matches.setdefault(tuple(terms), len(kinds) + bool(bias) + len(added))
    if matches:
        best, *equal = [terms for terms, size in matches.items() if size == min(matches.values())]
        return Cause("changes", best, tuple(equal))
    is_small = 0 < surplus <= biases + each * max(operations for _, operations in others)
    return Cause("unexplained-but-small" if is_small else "unexplained")


def _macs_by_kind(ops: list[Op], own: OwnCounts) -> dict[str, float]:
    macs: dict[str, float] = {}
    for op in ops:
        if op.macs:
            macs[op.kind] = macs.get(op.kind, 0.0) + own.macs([op])
    return macs


def _other_operations(ops: list[Op]) -> list[tuple[tuple[str, ...], float]]:
    """Return sets of kinds with their operations that are not multiply-adds: one an element, or as we count them."""
    result: list[tuple[tuple[str, ...], float]] = [((), 0.0)]
    for per_element in (True, False):
        totals: dict[str, float] = {}
        for op in ops:
            if op.elementwise_flops:
                amount = op.output_elements if per_element else op.elementwise_flops
                totals[op.kind] = totals.get(op.kind, 0.0) + amount * op.count
        result += [(kinds, sum(totals[kind] for kind in kinds)) for kinds in _subsets(totals) if kinds]
    return result


def _subsets(kinds: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    largest = sorted(kinds, key=lambda kind: -kinds[kind])[:_MAX_KINDS]
    for size in range(min(len(largest), _MAX_TERMS) + 1):
        yield from itertools.combinations(largest, size)


def same(a: float, b: float, scale: float = 0.0) -> bool:
    """Return whether two counts agree to rounding."""
    return abs(a - b) <= _CLOSE * max(abs(a), abs(b), abs(scale))
