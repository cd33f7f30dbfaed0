"""The utilization of a loop as text."""

from hwbench import answers
from hwbench.report.text.format import interval, number, percent
from hwbench.report.text.layout import PLAIN, Style, field, heading
from hwbench.study.utilization import Utilization
from hwbench.units import si


@answers.lines.register
def lines(answer: Utilization, style: Style = PLAIN) -> list[str]:
    """Return what the steps reach, what a step should take, and what is left out."""
    steps = f"{number(answer.steps, 'step')} on {answer.device}" + (f" · {answer.dtype}" if answer.dtype else "")
    result = [*heading(steps, style), ""]
    if answer.time_s is not None:
        wait = f", {si(answer.wait_s, 's', 3)} between steps" if answer.wait_s is not None else ""
        result += field("step", f"{si(answer.time_s, 's')}{wait} (medians)", style)
    rates = [(answer.samples_per_s, "samples"), (answer.tokens_per_s, "tokens")]
    text = ", ".join(f"{value:,.4g} {unit}/s" for value, unit in rates if value is not None)
    result += field("rate", text, style) if text else []
    if answer.model_flops and answer.flops_per_second:
        text = f"{si(answer.model_flops, 'FLOP')} a step, {si(answer.flops_per_second, 'FLOP/s')}"
        result += field("operations", text, style)
    if answer.mfu is not None and answer.peak_flops_per_second:
        ends = answer.mfu_interval
        around = f" ({percent(ends[0])} to {percent(ends[1])} at {percent(answer.interval_level)})" if ends else ""
        text = f"{percent(answer.mfu)}{around} of {si(answer.peak_flops_per_second, 'FLOP/s')} ({answer.peak})"
        result += field("MFU", text, style)
        if answer.hardware_flops != answer.model_flops:
            result += field("HFU", f"{percent(answer.hfu)}: with what checkpoints compute again", style)
    if answer.expected_time_s is not None:
        ends = answer.expected_interval_s
        around = f", {interval(*ends)}" if ends else ""
        text = f"{si(answer.expected_time_s, 's', 3)} a step{around}; limited by {answer.bound}"
        result += field("expected", text, style)
    return result
