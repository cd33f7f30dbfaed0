"""Other counters run on the same model: each that is installed counts the same run, and differences are explained."""

import copy
import time
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from hwbench.errors import shown
from hwbench.workload.audit import counters as other_counters
from hwbench.workload.audit import text
from hwbench.workload.audit.causes import Cause, ModuleCounts, OwnCounts, explain, same
from hwbench.workload.audit.counters import MAX_COPY_BYTES, Counter, Unit
from hwbench.workload.ops import Op, Workload
from hwbench.workload.saved import shipped
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.build import Built
from hwbench.workload.tracing.patches import disable_fast_path

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
    if version is None:
        return Audit(counter.name, says=counter.says, error=text.not_installed(counter))
    if counter.needs_data and other_counters.state_bytes(built.module) > MAX_COPY_BYTES:
        error = f"{counter.name} needs the weights in memory; the model is too large for that."
        return Audit(counter.name, version, counter.says, error=error)
    try:
        unit = other_counters.calibrated(counter)
        started = time.perf_counter()
        theirs = other_counters.per_sample(counter, built, unit)
        seconds = time.perf_counter() - started
        slow = _without_fast_path(counter, built, unit, theirs, own)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        return Audit(counter.name, version, counter.says, error=f"{counter.name} failed: {shown(reason, 200)}")
    causes = explain(slow or theirs, own)
    if slow is not None:
        causes = (Cause("fast-path", amount=theirs.total - slow.total), *causes)
    return Audit(
        counter=counter.name,
        version=version,
        says=counter.says,
        unit=unit,
        macs=theirs.total,
        ratio=theirs.total / own.total if own.total else None,
        seconds=seconds,
        layers=theirs.layers,
        causes=causes,
        explanations=tuple(text.explanations(counter, unit, causes, own, workload)),
    )


def count(built: Built) -> OwnCounts:
    """Return our count by module, not folded, with the number of times that each module ran."""
    from torch.nn.modules import module as hooks

    modules = dict(built.module.named_modules())
    paths = {id(module): name for name, module in modules.items()}
    calls: dict[str, int] = {}

    def enter(module: Any, _args: Any) -> None:
        name = paths.get(id(module), "")
        calls[name] = calls.get(name, 0) + 1

    args, kwargs = copy.deepcopy((built.args, built.kwargs))
    hook = hooks.register_module_forward_pre_hook(enter)
    try:
        trace = torch_trace.trace(built.module, args, kwargs, batch=built.batch)
    finally:
        hook.remove()
    ops: dict[str, list[Op]] = {}
    for op in _with_attention(trace.ops):
        ops.setdefault(op.name.rpartition(":")[0], []).append(op)
    names: dict[str, int] = {}
    for _, module in built.module.named_modules(remove_duplicate=False):
        names[paths[id(module)]] = names.get(paths[id(module)], 0) + 1
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
