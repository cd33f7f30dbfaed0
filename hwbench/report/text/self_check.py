"""The outcome of a self-check in a few sentences."""

from hwbench.report.text.layout import PLAIN, Style, field, percent, sentences
from hwbench.study.compare.self_check import SelfCheck


def self_check(found: SelfCheck, style: Style = PLAIN) -> list[str]:
    """How often a difference was claimed that is none, and whether that is what the level promises."""
    each = f"{found.processes} fresh process{'' if found.processes == 1 else 'es'}"
    low, high = (percent(share) for share in found.interval)
    level = f"{100 * found.level:g} %"
    pairs = f"{found.pairs} pair{'' if found.pairs == 1 else 's'}"
    lines = sentences(
        f"{pairs} of runs of the same {found.kernels} kernels, {each} a run, compared at level {level} "
        f"with a margin of {100 * found.margin:g} %:",
        style,
    )
    lines.append("")
    lines += field(
        "different",
        f"{found.false_positives} of {found.pairs} = {percent(found.rate)} ({level} interval "
        f"{low} to {high}): some kernel called faster or slower",
        style,
    )
    lines += field(
        "significant",
        f"{found.significant} of {found.pairs}, however small the difference; "
        f"{percent(found.stated)} is what the level allows",
        style,
    )
    lines += field("largest", f"ratio {found.worst_ratio:.4f}: {found.worst_kernel}", style)
    verdict = (
        f"No more false differences than the level allows, as far as {pairs} can tell."
        if found.holds
        else f"More false differences than the {percent(found.stated)} that the level allows: something changes from "
        "process to process or over time (other work, the clock). Compare more processes, or quiet the machine."
    )
    return [*lines, "", *sentences(verdict, style)]
