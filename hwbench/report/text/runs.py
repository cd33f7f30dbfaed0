"""Saved runs compared, as text."""

from hwbench.report.text.layout import Style, field, heading, sentences, table
from hwbench.study.compare.runs import Blocked, Metric, Overall, RunComparison
from hwbench.units import si

MOST_DIFFERENCES = 20
_ROLES = {"faster": "compute", "slower": "memory"}


def runs(found: RunComparison, style: Style) -> list[str]:
    """Conditions that differ, then kernel by kernel how many times as fast the second run is, then what is left out."""
    lines = [*heading(f"{found.b} against {found.a}", style), ""]
    lines += _differences(found, style) if found.differences else ["The recorded conditions are the same."]
    lines += ["", *_metrics(found, style)]
    if found.geometric_mean:
        lines += ["", *field("overall", _overall(found.geometric_mean), style)]
    if found.blocked:
        lines += ["", f"not compared ({len(found.blocked)}):"]
        lines += [line for one in found.blocked for line in sentences(_blocked(one), style, "  ")]
    level, margin = f"{100 * found.level:g} %", f"{100 * found.margin:g} %"
    note = (
        f"`times` is how many times as fast {found.b} is, with its {level} interval over processes. Faster or slower: "
        f"significant at {level} after Holm's correction for {len(found.metrics)} metrics, and by more than {margin}. "
        f"Equivalent: a difference of {margin} is ruled out at {level}, corrected likewise."
    )
    return [*lines, "", *sentences(note, style)]


def _differences(found: RunComparison, style: Style) -> list[str]:
    shown = found.differences[:MOST_DIFFERENCES]
    rows = [(one.field[-40:], _value(one.a), _value(one.b)) for one in shown]
    roles = ["warning" if one.warning else "" for one in shown]
    lines = table(("condition", "was", "is"), rows, "lll", style, roles)
    more = len(found.differences) - len(shown)
    return lines + (heading(f"... and {more} more conditions (--json)", style, "dim") if more else [])


def _value(value: object) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= 26 else f"{text[:25]}…"


def _metrics(found: RunComparison, style: Style) -> list[str]:
    rows = [
        (
            _name(metric),
            si(metric.a, metric.unit),
            si(metric.b, metric.unit),
            f"{metric.ratio:.3f}",
            f"{metric.interval[0]:.3f} – {metric.interval[1]:.3f}",
            metric.verdict,
        )
        for metric in found.metrics
    ]
    roles = [_ROLES.get(metric.verdict, "") for metric in found.metrics]
    return table(("kernel", "was", "is", "times", "interval", "verdict"), rows, "lrrrrl", style, roles)


def _name(metric: Metric) -> str:
    threads = f"×{metric.threads}" if metric.threads > 1 else None
    core = "gpu" if metric.where == "gpu" else metric.core_class
    parts = (metric.kernel, metric.variant, metric.isa, metric.dtype, metric.size, core, threads)
    name = " ".join(part for part in parts if part and part != "core")
    return name if len(name) <= 36 else f"{name[:35]}…"


def _overall(overall: Overall) -> str:
    low, high = overall.interval
    return (
        f"geometric mean over {overall.kernels} identical kernels: {overall.ratio:.3f} times as fast "
        f"({low:.3f} – {high:.3f})"
    )


def _blocked(one: Blocked) -> str:
    return f"{one.kernel} {one.variant}: {one.reason}"
