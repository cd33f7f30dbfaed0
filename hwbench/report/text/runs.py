"""Saved runs compared, the runs of a cluster, and the false-positive rate of comparisons, as text."""

from collections.abc import Sequence

from hwbench import answers
from hwbench.measure.cluster import Failure, Success
from hwbench.measure.record import label
from hwbench.report.text.format import cut, number, percent
from hwbench.report.text.layout import PLAIN, Style, field, heading, sentences, table
from hwbench.study.compare.runs import Overall, RunComparison
from hwbench.study.compare.self_check import SelfCheck
from hwbench.units import si

MAX_DIFFERENCES = 20
_ROLES = {"faster": "compute", "slower": "memory"}


@answers.lines.register
def runs(comparison: RunComparison, style: Style = PLAIN) -> list[str]:
    """Return the conditions that differ, each kernel's ratio and verdict, and the kernels that were not compared."""
    c = comparison
    lines = [*heading(f"{c.names[1]} against {c.names[0]}", style), ""]
    lines += _differences(c, style) if c.differences else ["The recorded conditions are the same."]
    lines += ["", *_metrics(c, style)]
    if c.geometric_mean:
        lines += ["", *field("overall", _overall(c.geometric_mean), style)]
    if c.blocked:
        lines += ["", f"not compared ({len(c.blocked)}):"]
        for kernel in c.blocked:
            lines += sentences(f"{kernel.kernel} {kernel.variant}: {kernel.reason}", style, "  ")
    level, margin = f"{100 * c.level:g} %", f"{100 * c.margin:g} %"
    largest = max(metric.allowance for metric in c.metrics)
    above = f", or significantly above {100 * largest:g} % where a drift or one process may be why" if largest else ""
    note = (
        f"`times` is how many times as fast {c.names[1]} is, with its {level} interval over processes. Faster or "
        f"slower: significant at {level} after Holm's correction for {len(c.metrics)} metrics, and by more than "
        f"{margin}{above}. Equivalent: a difference of {margin} is ruled out at {level}, corrected likewise."
    )
    return [*lines, "", *sentences(note, style)]


def _differences(comparison: RunComparison, style: Style) -> list[str]:
    differences = comparison.differences[:MAX_DIFFERENCES]
    rows = [(difference.field[-40:], _value(difference.a), _value(difference.b)) for difference in differences]
    roles = ["warning" if difference.warning else "" for difference in differences]
    lines = table(("condition", "was", "is"), rows, "lll", style, roles)
    more = len(comparison.differences) - len(differences)
    return lines + (heading(f"... and {more} more conditions (--json)", style, "dim") if more else [])


def _value(value: object) -> str:
    return "-" if value is None else cut(str(value), 26)


def _metrics(comparison: RunComparison, style: Style) -> list[str]:
    rows = []
    for metric in comparison.metrics:
        values = (si(metric.a, metric.unit), si(metric.b, metric.unit), _times(metric.ratio))
        interval = " – ".join(map(_times, metric.interval))
        rows.append((cut(label(metric), 36), *values, interval, metric.verdict))
    roles = [_ROLES.get(metric.verdict, "") for metric in comparison.metrics]
    header = ("kernel", "was", "is", "times", "interval", "verdict")
    return table(header, rows, "lrrrrl", style, roles, spare=("was", "is"))


def _overall(overall: Overall) -> str:
    interval = " – ".join(map(_times, overall.interval))
    return (
        f"geometric mean over {overall.kernels} identical kernels, clocks left out: {_times(overall.ratio)} times as "
        f"fast ({interval})"
    )


def _times(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio >= 0.01 else f"{ratio:.2g}"


def cluster(
    successes: Sequence[Success],
    failures: Sequence[Failure],
    paths: Sequence[str | None],
    comparisons: Sequence[RunComparison],
    style: Style = PLAIN,
) -> list[str]:
    """Return a row for each host that was measured, and each run compared with the first."""
    total = number(len(successes) + len(failures), "host")
    lines = [*heading(f"{len(successes)} of {total} measured", style), ""]
    rows = [
        (host.host, host.run.id, cut(str(host.run.environment.get("brand", "-")), 40), path or "not saved")
        for host, path in zip(successes, paths, strict=True)
    ]
    lines += table(("host", "run", "processor", "record"), rows, "llll", style, spare=("processor",))
    for comparison in comparisons:
        lines += ["", "", *runs(comparison, style)]
    return lines


@answers.lines.register
def self_check(check: SelfCheck, style: Style = PLAIN) -> list[str]:
    """Return the false-positive rate of comparisons, and whether it is what the level allows."""
    each = f"{check.processes} fresh process{'' if check.processes == 1 else 'es'}"
    low, high = (percent(share) for share in check.interval)
    level = f"{100 * check.level:g} %"
    pairs = number(check.pairs, "pair")
    lines = sentences(
        f"{pairs} of runs of the same {check.kernels} kernels, {each} a run, compared at level {level} "
        f"with a margin of {100 * check.margin:g} %:",
        style,
    )
    different = f"{check.false_positives} of {check.pairs} = {percent(check.rate)} ({level} interval {low} to {high}): "
    different += "some kernel was called faster or slower"
    significant = f"{check.significant} of {check.pairs}, however small the difference"
    significant += f"; the level allows {percent(check.stated)}"
    lines += ["", *field("different", different, style), *field("significant", significant, style)]
    lines += field("largest", f"ratio {check.worst_ratio:.4f}: {check.worst_kernel}", style)
    verdict = (
        f"No more false positives than the level allows, as far as {pairs} can show."
        if check.holds
        else f"More false positives than the {percent(check.stated)} that the level allows: something changes between "
        "processes or over time (other work, the clock). Compare more processes, or stop other programs."
    )
    return [*lines, "", *sentences(verdict, style)]
