"""Sentences about a counter: its unit, what it is compared with, and the causes of its difference."""

from collections.abc import Iterator

from hwbench.workload.audit.causes import Cause, CauseKind, OwnCounts, Term, TermKind, same
from hwbench.workload.audit.counters import Counter, Unit
from hwbench.workload.ops import Workload

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


def explanations(
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
        yield f"{counter.name} {_cause(cause, own.total)}."


def not_installed(counter: Counter) -> str:
    """Return the sentence about a counter that is not installed."""
    return f"{counter.name} is not installed; run `pip install {counter.package}`."


def _cause(cause: Cause, total: float) -> str:
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
