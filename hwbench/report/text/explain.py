"""Where the performance goes, as text: a bar for each rung from the peak to the model."""

from hwbench.report.text.format import percent
from hwbench.report.text.layout import Style, heading, sentences, table
from hwbench.study.explain import Explanation, Step
from hwbench.units import si

BAR = 16


def explanation(found: Explanation, style: Style) -> list[str]:
    """A row a rung with its bar, then why each lies below the one before it."""
    threads = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
    what = f"{found.model} (batch {found.batch}) on " if found.model else ""
    lines = heading(f"Where the performance goes: {what}{found.device} · {found.dtype} · {threads}", style)
    if found.steps:
        most = max(step.share for step in found.steps)
        rows = [_row(step, most) for step in found.steps]
        header = ("", "", "rate", "of first", "× last", "interval", "for")
        lines += ["", *table(header, rows, "llrrrll", style, spare=("", "of first", "interval"))]
    lines += ["", *sentences(found.summary, style)]
    for step in found.steps:
        if step.reason and step.ratio is not None and abs(step.ratio - 1) > 0.005:
            what = "lost" if step.ratio < 1 else "won"
            text = f"{step.lost}: {percent(abs(step.ratio - 1))} {what}, {step.reason}"
            lines += sentences(f"{text}.", style, "  ")
    if found.missing:
        lines += ["", *sentences(f"Not measured: {', '.join(found.missing)}.", style)]
    return lines


def _row(step: Step, most: float) -> tuple[str, ...]:
    length = round(BAR * step.share / most)
    low, high = step.ratio_interval or (0.0, 0.0)
    return (
        step.title,
        "█" * length if length else "▏",
        si(step.flops_per_second, "FLOP/s"),
        percent(step.share),
        f"{step.ratio:.3g}" if step.ratio is not None else "",
        _interval(low, high) if step.ratio is not None else "",
        step.lost or "",
    )


def _interval(low: float, high: float) -> str:
    return f"{low:.3g} to {high:.3g}" if low < high else "one sample"
