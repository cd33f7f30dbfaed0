"""Where the time of a training step goes, as text."""

from hwbench import answers
from hwbench.report.text.format import layer_name, percent
from hwbench.report.text.layout import PLAIN, Style, field, heading, name_width, sentences, table
from hwbench.study.step import Advice, StepExplanation
from hwbench.units import si

_WORDS = {"batch": "batch {}", "loading": "load data while the device works (workers, pinned memory)"}


@answers.lines.register
def step(answer: StepExplanation, style: Style = PLAIN) -> list[str]:
    """Return the shares of a step, its blocks, and what would help."""
    title = f"{answer.title or answer.model} on {answer.device} · {answer.dtype} · batch {answer.batch}"
    lines = [*heading(title, style), ""]
    wait = f", {si(answer.wait_s, 's', 3)} to the next" if answer.wait_s else ""
    of_peak = f", {percent(answer.utilization)} of the peak" if answer.utilization is not None else ""
    lines += field("step", f"{si(answer.time_s, 's')}{wait}{of_peak}", style)
    names = ("compute", "memory", "overhead", "optimizer", "waiting")
    shares = [(name, share) for name in names if (share := getattr(answer, name))]
    lines += field("spent on", ", ".join(f"{name} {percent(share)}" for name, share in shares), style) if shares else []
    if answer.expected_time_s is not None:
        lines += field("expected", si(answer.expected_time_s, "s", 3), style)
    rows = [
        (layer_name(block.name or "(the model itself)", longest=name_width(28, style)), si(block.flops, ""),
         *("-" if time is None else si(time, "s", 3) for time in
           (block.time_s, block.compute_s, block.memory_s, block.overhead_s)), percent(block.share))
        for block in answer.blocks
    ]  # fmt: skip
    header = ("block", "FLOP", "expected", "compute", "memory", "overhead", "share")
    lines += ["", *table(header, rows, "lrrrrrr", style, spare=("FLOP", "overhead"))]
    return lines + (["", *_advice(answer.advice, style)] if answer.advice else [])


def _advice(advice: tuple[Advice, ...], style: Style) -> list[str]:
    tried = any(each.measured_gain is not None for each in advice)
    rows = [
        (_WORDS.get(each.change, "{}").format(each.value), _gain(each.gain), _ends(each.gain_interval),
         *((_gain(each.measured_gain), _ends(each.measured_interval)) if tried else ()))
        for each in advice
    ]  # fmt: skip
    header = ("change" if tried else "would help", "forecast", "", *(("measured", "") if tried else ()))
    lines = table(header, rows, "lr" + "lrl"[: len(header) - 2], style, spare=())
    known = [each.is_inside for each in advice if each.is_inside is not None]
    inside = f"{sum(known)} of {len(known)} measured gains lie in the interval of the forecast." if known else ""
    return lines + (["", *sentences(inside, style)] if inside else [])


def _gain(value: float | None) -> str:
    return "" if value is None else f"×{value:.3g}"


def _ends(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return ""
    return f"{ends[0]:.3g} to {ends[1]:.3g}" if ends[0] < ends[1] else "one sample"
