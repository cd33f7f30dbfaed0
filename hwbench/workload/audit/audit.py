"""Other counters beside ours: each that is installed counts the same run, and differences are explained by evidence.

A difference is put down to a cause only where numbers agree: module by module where the counter tells them, else in
total. What no rule explains is said to be unexplained.
"""

import copy
import itertools
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from hwbench.errors import shown
from hwbench.workload.audit import counters as other_counters
from hwbench.workload.audit.counters import LARGEST_COPY, Counter, Found, Unit
from hwbench.workload.ops import Op, Workload
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.build import Built
from hwbench.workload.tracing.patches import slow_path

_CLOSE = 1e-6
_MOST_KINDS, _MOST_TERMS = 6, 3
_AGAIN, _BESIDE = "counts again", "counts, though in no module,"
_ONCE = "counts the weights of linear layers once for each entry of the first dimension, not for each position"
_TRANSFORMER = ("MultiheadAttention", "TransformerEncoderLayer")


class Audit(Struct, frozen=True):
    """What another counter finds: MACs a sample, their ratio to ours, and why they differ.

    `says` is the unit that the counter names, `unit` the one that it was found to count in. `layers` holds the MACs of
    each module's own operators where the counter tells them. With an `error` there is no count.
    """

    counter: str
    version: str | None = None
    says: Unit | None = None
    unit: Unit | None = None
    macs: float | None = None
    ratio: float | None = None
    seconds: float | None = None
    layers: dict[str, float] = {}
    explanations: tuple[str, ...] = ()
    error: str | None = None


class Own(Struct):
    """Our own count of the run: modules and their ops by path, how many names each module has, how often it ran."""

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
        """MACs of one sample; what does not depend on the input runs once a batch."""
        return sum(op.macs * op.count / (self.batch if op.constant else 1) for op in ops)


def audit(built: Built, ours: Workload, counters: tuple[Counter, ...] = other_counters.COUNTERS) -> tuple[Audit, ...]:
    """What every other counter finds for one forward pass of `built`, of which `ours` is the count."""
    own = count(built)
    return tuple(_audited(counter, built, ours, own) for counter in counters)


def _audited(counter: Counter, built: Built, ours: Workload, own: Own) -> Audit:
    """One counter's result; whatever it raises is its own error."""
    version = other_counters.version(counter)
    if version is None:
        return Audit(counter.name, says=counter.says, error=f"not installed: pip install {counter.package}")
    if counter.needs_data and other_counters.state_bytes(built.module) > LARGEST_COPY:
        return Audit(counter.name, version, counter.says, error="too large to run: it needs the weights in memory")
    try:
        unit = other_counters.calibrated(counter)
        started = time.perf_counter()
        found = other_counters.per_sample(counter, built, unit)
        seconds = time.perf_counter() - started
        slow = _without_fast_path(counter, built, unit, found, own)
    except Exception as error:
        what = f"{type(error).__name__}: {error}".partition("\n")[0]
        return Audit(counter.name, version, counter.says, error=f"fails: {shown(what, 200)}")
    told = _unit_sentences(counter, unit)
    if not _same(own.total, ours.macs):
        told.append(
            f"compared with {own.total:,.0f} MACs, ours a sample of one forward pass of {built.batch};"
            f" the workload has {ours.macs:,}"
        )
    if slow is not None:
        hidden = _share(found.total - slow.total, own.total)
        told.append(f"does not see into torch's fast path for transformer layers: {hidden}")
    told += explain(slow or found, own)
    ratio = found.total / own.total if own.total else None
    return Audit(counter.name, version, counter.says, unit, found.total, ratio, seconds, found.layers, tuple(told))


def count(built: Built) -> Own:
    """Our trace with ops by module, not folded, and the number of times that each module ran."""
    from torch.nn.modules import module as hooks

    modules = dict(built.module.named_modules())
    names = {id(module): name for name, module in modules.items()}
    calls: dict[str, int] = {}

    def entered(module: Any, _args: Any) -> None:
        name = names.get(id(module), "")
        calls[name] = calls.get(name, 0) + 1

    args, kwargs = copy.deepcopy((built.args, built.kwargs))
    hook = hooks.register_module_forward_pre_hook(entered)
    try:
        trace = torch_trace.trace(built.module, args, kwargs, batch=built.batch)
    finally:
        hook.remove()
    ops: dict[str, list[Op]] = {}
    for op in _with_attention(trace.ops):
        ops.setdefault(op.name.rpartition(":")[0], []).append(op)
    again: dict[str, int] = {}
    for _, module in built.module.named_modules(remove_duplicate=False):
        again[names[id(module)]] = again.get(names[id(module)], 0) + 1
    return Own(modules, ops, again, calls, built.batch)


def _with_attention(ops: list[Op]) -> list[Op]:
    """The ops with products just before and after a softmax as attention, which they are, in separate kernels."""
    found, product, scores = list(ops), -1, -1
    for position, op in enumerate(ops):
        if op.kind == "softmax":
            scores = product
        elif op.macs:
            if scores >= 0 and ops[scores].kind == op.kind == "batched_matmul":
                for part in (scores, position):
                    found[part] = msgspec.structs.replace(ops[part], kind="attention")
            product, scores = position, -1
    return found


def _unit_sentences(counter: Counter, unit: Unit | None) -> list[str]:
    if unit is None:
        return ["counts a plain linear layer and a plain convolution in different units, or wrong: taken as MACs"]
    if unit == "flop":
        return ["counts FLOPs, two for each multiply-add: halved here"]
    return [] if counter.says == "mac" else ["says FLOPs, but counts one for each multiply-add, which is a MAC"]


def _per_sample(found: Found, unit: Unit | None, batch: int) -> Found:
    scale = batch * (2 if unit == "flop" else 1)
    layers = {name: count / scale for name, count in found.layers.items()}
    return Found(found.total / scale, layers, 0.5 if unit == "flop" else 1.0)


def _without_fast_path(counter: Counter, built: Built, unit: Unit | None, found: Found, own: Own) -> Found | None:
    """The same count with torch's transformer fast path off, where that makes a difference."""
    layers = {base.__name__ for module in own.modules.values() for base in type(module).__mro__}
    if not counter.needs_data or found.total >= own.total or not layers.intersection(_TRANSFORMER):
        return None
    with slow_path():
        slow = other_counters.per_sample(counter, built, unit)
    return None if _same(slow.total, found.total) else slow


def explain(found: Found, own: Own) -> list[str]:
    """Why a count differs from ours: a sentence a cause, with modules and the share of our MACs."""
    if _same(found.total, own.total):
        return []
    causes: dict[str, list[tuple[str, float]]] = {}
    told = 0.0
    for name in dict.fromkeys([*own.ops, *found.layers]) if found.layers else ():
        ops, theirs = own.ops.get(name, []), found.layers.get(name, 0.0)
        surplus = theirs - own.macs(ops)
        told += surplus
        if not _same(theirs, own.macs(ops)):
            why = cause(ops, theirs, own, found.each, name)
            causes.setdefault(why, []).append((name or "the module itself", surplus))
    rest = found.total - own.total - told
    if not _same(rest, 0.0, own.total):
        again = sum((names - 1) * found.layers.get(name, 0.0) for name, names in own.names.items())
        everything = [op for ops in own.ops.values() for op in ops]
        why = cause(everything, own.total + rest, own, found.each).replace(_AGAIN, _BESIDE if found.layers else _AGAIN)
        if again and _same(rest, again):
            why = "adds modules that have several names once for each name"
        causes.setdefault(why, []).append(("in total", rest))
    ordered = sorted(causes.items(), key=lambda item: -abs(sum(surplus for _, surplus in item[1])))
    return [_sentence(why, places, own.total) for why, places in ordered]


def _sentence(why: str, places: list[tuple[str, float]], truth: float) -> str:
    names = [name for name, _ in sorted(places, key=lambda place: -abs(place[1]))]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{why} ({', '.join(names[:3])}{more}): {_share(sum(surplus for _, surplus in places), truth)}"


def _share(amount: float, truth: float) -> str:
    return f"{100 * amount / truth:+.3g} % of our MACs" if truth else f"{amount:+,.0f} MACs"


def cause(ops: list[Op], theirs: float, own: Own, each: float, name: str | None = None) -> str:
    """Which rule makes theirs of our ops' MACs; `each` is what an operation that is no multiply-add counts for."""
    ours = own.macs(ops)
    if not ours:
        kinds = sorted({op.kind for op in ops if op.elementwise_flops})
        if any(op.kind == "uncounted" for op in ops):
            return "counts operators that we have no formula for"
        return f"adds operations of {', '.join(kinds)}" if kinds else "unexplained: counts where we see no arithmetic"
    if not theirs:
        return f"counts nothing of {', '.join(dict.fromkeys(_parts(ops, own)))}"
    if name is not None:
        for amount, why in _of_module(own.modules[name], ops, ours, theirs, own.calls.get(name, 1), own.batch):
            if _same(theirs, amount):
                return why
    return _sum_of_parts(ops, theirs, own, each)


def _of_module(
    module: Any, ops: list[Op], ours: float, theirs: float, calls: int, batch: int
) -> Iterator[tuple[float, str]]:
    """Counts that known mistakes would give for a module, and what they are."""
    if getattr(module, "groups", 1) != 1:
        yield ours * module.groups, "counts grouped convolutions as dense ones"
    if getattr(module, "transposed", False):
        positions = sum(math.prod(op.output_shape[1:]) for op in ops if op.macs)
        yield positions * module.weight.numel(), "counts transposed convolutions by output positions, not by input"
    if calls > 1:
        yield ours / calls, "counts modules that run several times once"
        yield ours * calls, "counts modules that run several times as often again for each run"
    weight = getattr(module, "weight", None)
    if weight is not None and weight.dim() == 2 and theirs < ours:
        bias = getattr(module, "bias", None)
        for params in (weight.numel(), weight.numel() + (0 if bias is None else bias.numel())):
            yield max(1, round(theirs * batch / params)) * params / batch, _ONCE


def _sum_of_parts(ops: list[Op], theirs: float, own: Own, each: float) -> str:
    """The simplest sum of kinds left out or counted again, biases and other operations added that makes theirs."""
    parts = _parts(ops, own)
    surplus = theirs - own.macs(ops)
    biases = each * sum(op.bias_adds * op.count for op in ops)
    others = _others(ops)
    moved = [(kinds, sign * sum(parts[kind] for kind in kinds)) for kinds in _subsets(parts) for sign in (-1, 1)]
    matches: dict[str, int] = {}
    for (kinds, amount), bias, (added, much) in itertools.product(moved, {0.0, biases}, others):
        if (kinds or bias or added) and _same(surplus, amount + bias + each * much):
            told = [f"{'leaves out' if amount < 0 else _AGAIN} {', '.join(kinds)}"] if kinds else []
            told += ["adds biases"] if bias else []
            told += [f"adds operations of {', '.join(added)}"] if added else []
            matches.setdefault(" and ".join(told), len(kinds) + bool(bias) + len(added))
    if matches:
        best, *equal = [why for why, terms in matches.items() if terms == min(matches.values())]
        return f"{best} [or equally: {'; '.join(equal)}]" if equal else best
    least_known = 0 < surplus <= biases + each * max(much for _, much in others)
    return "unexplained" + (", but less than the biases and elementwise operations there" if least_known else "")


def _parts(ops: list[Op], own: Own) -> dict[str, float]:
    """MACs by kind of op."""
    parts: dict[str, float] = {}
    for op in ops:
        if op.macs:
            parts[op.kind] = parts.get(op.kind, 0.0) + own.macs([op])
    return parts


def _others(ops: list[Op]) -> list[tuple[tuple[str, ...], float]]:
    """Sets of kinds whose ops are no multiply-adds, and their operations: one an element, or as we count them."""
    found: list[tuple[tuple[str, ...], float]] = [((), 0.0)]
    for per_element in (True, False):
        totals: dict[str, float] = {}
        for op in ops:
            if op.elementwise_flops:
                amount = op.output_elements if per_element else op.elementwise_flops
                totals[op.kind] = totals.get(op.kind, 0.0) + amount * op.count
        found += [(kinds, sum(totals[kind] for kind in kinds)) for kinds in _subsets(totals) if kinds]
    return found


def _subsets(kinds: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    largest = sorted(kinds, key=lambda kind: -kinds[kind])[:_MOST_KINDS]
    for size in range(min(len(largest), _MOST_TERMS) + 1):
        yield from itertools.combinations(largest, size)


def _same(a: float, b: float, scale: float = 0.0) -> bool:
    return abs(a - b) <= _CLOSE * max(abs(a), abs(b), abs(scale))
