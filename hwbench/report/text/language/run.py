"""A measured language model as text: tokens a second of each phase, next to its forecast."""

from hwbench import answers
from hwbench.report.text.format import number, percent, rate_interval
from hwbench.report.text.format import rate as per_second
from hwbench.report.text.layout import PLAIN, Style, heading, sentences, table
from hwbench.study.language import LanguageRun


@answers.lines.register(LanguageRun)
def measured(answer: LanguageRun, style: Style = PLAIN) -> list[str]:
    """Return a measured model: each phase with its interval and grade next to its forecast."""
    title = f"{answer.title}, {answer.weights}{' of random weights' if answer.synthetic else ''}, on {answer.device}"
    how = f"{answer.runtime}, {number(answer.threads, 'thread')}, {(answer.isa or 'unknown vectors').upper()}"
    rows, reasons = [], []
    for run in answer.runs:
        name = f"prompt of {run.tokens}" if run.phase == "prompt" else f"{run.tokens} tokens after {run.context}"
        ends = rate_interval(*run.tokens_per_s_interval)
        rate, ratio = None if run.expected_time_s is None else run.tokens / run.expected_time_s, run.expected_ratio
        roof = percent(1 / run.roofline_ratio) if run.roofline_ratio else "-"
        apart = "-" if ratio is None else f"{100 * (ratio - 1):+.0f} %"
        rows.append((name, per_second(run.tokens_per_s), ends, run.grade, per_second(rate), apart, roof))
        reasons += [f"{name}: {reason}" for reason in run.reasons]
    header = ("", "measured", "95 % interval", "grade", "expected", "time apart", "of roofline")
    lines = [*heading(f"{title}, {how}", style), "", *table(header, rows, "lrrlrrr", style)]
    lines += ["", *sentences("; ".join(reasons) + ".", style)] if reasons else []
    lines += ["", *sentences(f"Check it: {answer.check_command}", style)] if answer.check_command else []
    lines += [f"kept: {answer.file}"] if answer.synthetic and answer.file else []
    return [*lines, *(["", f"saved: {answer.path}"] if answer.path else [])]
