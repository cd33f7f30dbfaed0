"""Other counters run on the same model: each that is installed counts the same run, and differences are explained."""

import collections
import copy
import time
from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hwbench.errors import InputError, shown
from hwbench.workload.audit import counters as other_counters
from hwbench.workload.audit.causes import Cause, CauseKind, ModuleCounts, OwnCounts, Term, TermKind, explain, same
from hwbench.workload.audit.counters import MAX_COPY_BYTES, Counter, Unit
from hwbench.workload.ops import Op, Workload
from hwbench.workload.saved import shipped
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.build import Built
from hwbench.workload.tracing.patches import disable_fast_path

_CAUSES: dict[CauseKind, str] = {
    "counts-nothing": "counts nothing of {ops}",
    "fast-path": "does not see into torch's fast path for transformer layers",
    "grouped-as-dense": "counts grouped convolutions as dense ones",
    "names-counted-again": "adds modules that have several names once for each name",
    "no-arithmetic": "counts modules without arithmetic, for an unknown reason",
    "no-formula": "counts operators that hwbench has no formula for",
    "runs-counted-again": "multiplies the MACs of modules that run several times by the number of runs once more",
    "runs-counted-once": "counts modules that run several times once",
    "transposed-by-output": "counts transposed convolutions by output positions, not by input",
    "unexplained": "differs for an unknown reason",
    "unexplained-but-small": "differs for an unknown reason, by less than the biases and elementwise operations there",
    "weights-once-per-entry": (
        "counts the weights of linear layers once for each entry of the first dimension, not for each position"
    ),
}
_TERMS: dict[TermKind, str] = {
    "adds-biases": "adds biases",
    "adds-operations": "adds operations of {ops}",
    "counts-again": "counts again {ops}",
    "counts-outside-modules": "counts, though in no module, {ops}",
    "leaves-out": "leaves out {ops}",
}
MAX_MODULES = 3
"""Modules that a sentence names."""
_TRANSFORMER = ("MultiheadAttention", "TransformerEncoderLayer")


class Audit(Struct, frozen=True):
    """Another counter's result: MACs a sample, their ratio to ours, and the causes of the difference.

    `says` is the unit that the counter states, `unit` the one that it was found to count in. `layers` holds the MACs of
    each module's own operators where the counter gives them. With an `error` there is no count.
    """

    counter: str
    version: str | None = None
    says: Unit | None = None
    unit: Unit | None = None
    macs: float | None = None
    ratio: float | None = None
    seconds: float | None = None
    layers: dict[str, float] = {}
    causes: tuple[Cause, ...] = ()
    explanations: tuple[str, ...] = ()
    error: str | None = None


def audit(
    built: Built, workload: Workload, counters: tuple[Counter, ...] = other_counters.COUNTERS
) -> tuple[Audit, ...]:
    """Run every other counter on one forward pass of `built`, of which `workload` is our count."""
    own = count(built)
    return tuple(_audited(counter, built, workload, own) for counter in counters)


def _audited(counter: Counter, built: Built, workload: Workload, own: OwnCounts) -> Audit:
    """Return one counter's result; an exception in it becomes its `error`."""
    version = shipped.installed(counter.package)
    error = None
    if version is None:
        error = f"{counter.name} is not installed; run `pip install {counter.package}`."
    elif counter.needs_data and other_counters.state_bytes(built.module) > MAX_COPY_BYTES:
        error = f"{counter.name} needs the weights in memory; the model is too large for that."
    if error is not None:
        return Audit(counter.name, version, counter.says, error=error)
    try:
        unit = other_counters.calibrated(counter)
        started = time.perf_counter()
        theirs = other_counters.per_sample(counter, built, unit)
        seconds = time.perf_counter() - started
        slow = _without_fast_path(counter, built, unit, theirs, own)
    except Exception as raised:
        reason = f"{type(raised).__name__}: {raised}".partition("\n")[0]
        return Audit(counter.name, version, counter.says, error=f"{counter.name} failed: {shown(reason, 200)}")
    causes = explain(slow or theirs, own)
    if slow is not None:
        causes = (Cause("fast-path", amount=theirs.total - slow.total), *causes)
    return Audit(
        counter=counter.name, version=version, says=counter.says, unit=unit, macs=theirs.total,
        ratio=theirs.total / own.total if own.total else None, seconds=seconds, layers=theirs.layers, causes=causes,
        explanations=tuple(_explanations(counter, unit, causes, own, workload)),
    )  # fmt: skip


def count(built: Built) -> OwnCounts:
    """Return our count by module, not folded, with the number of times that each module ran."""
    from torch.nn.modules import module as hooks

    modules = dict(built.module.named_modules())
    paths = {id(module): name for name, module in modules.items()}
    calls: collections.Counter[str] = collections.Counter()

    def enter(module: Any, _args: Any) -> None:
        calls[paths.get(id(module), "")] += 1

    with hooks.register_module_forward_pre_hook(enter):
        try:
            args, kwargs = copy.deepcopy((built.args, built.kwargs))
            trace = torch_trace.trace(built.module, args, kwargs, batch=built.batch)
        except InputError as error:
            if error.code != "not-traceable":
                raise
            calls.clear()  # of the run that did not end
            trace = torch_trace.trace(built.module, built.args, built.kwargs, batch=built.batch, real=True)
    ops: dict[str, list[Op]] = {}
    for op in _with_attention(trace.ops):
        ops.setdefault(op.name.rpartition(":")[0], []).append(op)
    names = collections.Counter(paths[id(module)] for _, module in built.module.named_modules(remove_duplicate=False))
    return OwnCounts(modules, ops, names, calls, built.batch)


def _with_attention(ops: list[Op]) -> list[Op]:
    """Return the ops with products just before and after a softmax as attention, which is then in separate kernels."""
    result, product, scores = list(ops), -1, -1
    for position, op in enumerate(ops):
        if op.kind == "softmax":
            scores = product
        elif op.macs:
            if scores >= 0 and ops[scores].kind == op.kind == "batched_matmul":
                for part in (scores, position):
                    result[part] = replace(ops[part], kind="attention")
            product, scores = position, -1
    return result


def _without_fast_path(
    counter: Counter, built: Built, unit: Unit | None, theirs: ModuleCounts, own: OwnCounts
) -> ModuleCounts | None:
    """Return the count with torch's transformer fast path off, None where that makes no difference."""
    layers = {base.__name__ for module in own.modules.values() for base in type(module).__mro__}
    if not counter.needs_data or theirs.total >= own.total or not layers.intersection(_TRANSFORMER):
        return None
    with disable_fast_path():
        slow = other_counters.per_sample(counter, built, unit)
    return None if same(slow.total, theirs.total) else slow


def _explanations(
    counter: Counter, unit: Unit | None, causes: tuple[Cause, ...], own: OwnCounts, workload: Workload
) -> Iterator[str]:
    """Yield sentences about a counter that found these causes of its difference from `own`."""
    if unit is None:
        yield (
            f"{counter.name} counts a plain linear layer and a plain convolution in different units, or wrongly; "
            "its counts are taken as MACs."
        )
    elif unit == "flop":
        yield f"{counter.name} counts FLOPs, two for each multiply-add; they are halved here."
    elif counter.says != "mac":
        yield f"{counter.name} states FLOPs, but counts one for each multiply-add, which is a MAC."
    if not same(own.total, workload.macs):
        yield (
            f"{counter.name} is compared with {own.total:,.0f} MACs, the count of hwbench for one sample of a forward "
            f"pass of {own.batch}; the workload has {workload.macs:,}."
        )
    for cause in causes:
        yield f"{counter.name} {_sentence(cause, own.total)}."


def _sentence(cause: Cause, total: float) -> str:
    if cause.kind == "changes":
        text = _terms(cause.terms)
        if cause.alternatives:
            text += f" [or equally: {'; '.join(map(_terms, cause.alternatives))}]"
    else:
        text = _CAUSES[cause.kind].format(ops=", ".join(cause.ops))
    if cause.modules:
        names = ["in total" if name is None else name or "the module itself" for name in cause.modules]
        more = f" and {len(names) - MAX_MODULES} more" if len(names) > MAX_MODULES else ""
        text += f" ({', '.join(names[:MAX_MODULES])}{more})"
    share = f"{100 * cause.amount / total:+.3g} % of our MACs" if total else f"{cause.amount:+,.0f} MACs"
    return f"{text}: {share}"


def _terms(terms: tuple[Term, ...]) -> str:
    return " and ".join(_TERMS[term.kind].format(ops=", ".join(term.ops)) for term in terms)
