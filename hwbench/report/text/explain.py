"""Where performance is lost, as text: a bar for each rung from the peak to the model."""

from hwbench import answers
from hwbench.report.text.format import number, percent
from hwbench.report.text.layout import PLAIN, Style, heading, sentences, table
from hwbench.study.explain import Explanation, Step
from hwbench.units import si

BAR = 16


@answers.lines.register
def explanation(answer: Explanation, style: Style = PLAIN) -> list[str]:
    """Return a row for each rung with its bar, then the reason of each loss."""
    model = f"{answer.model} (batch {answer.batch}) on " if answer.model else ""
    threads = number(answer.threads, "thread")
    lines = heading(f"Where performance is lost: {model}{answer.device} · {answer.dtype} · {threads}", style)
    if answer.steps:
        rows = [_row(step, max(step.share for step in answer.steps)) for step in answer.steps]
        header = ("", "", "rate", "of first", "× before", "interval", "cause")
        lines += ["", *table(header, rows, "llrrrll", style, spare=("", "of first", "interval"))]
    lines += ["", *sentences(answer.summary, style)]
    for step in answer.steps:
        if step.reason and step.ratio is not None and abs(step.ratio - 1) > 0.005:
            change = "lost" if step.ratio < 1 else "gained"
            low, high = step.ratio_interval or (step.ratio, step.ratio)
            doubt = " (perhaps none, by its interval)" if low <= 1 <= high else ""
            doubt = " (of one sample)" if low == high else doubt
            text = f"{step.lost}: {percent(abs(step.ratio - 1))} {change}{doubt}, {step.reason}."
            lines += sentences(text, style, "  ")
    if answer.missing:
        lines += ["", *sentences(f"Not measured: {', '.join(answer.missing)}.", style)]
    return lines


def _row(step: Step, most: float) -> tuple[str, ...]:
    length = round(BAR * step.share / most)
    low, high = step.ratio_interval or (0.0, 0.0)
    change = ("", "")
    if step.ratio is not None:
        change = (f"{step.ratio:.3g}", f"{low:.3g} to {high:.3g}" if low < high else "one sample")
    start = (step.title, "█" * length or "▏", si(step.flops_per_second, "FLOP/s"), percent(step.share))
    return (*start, *change, step.lost or "")
