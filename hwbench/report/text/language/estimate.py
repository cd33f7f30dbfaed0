"""A language model as text: an estimate (does it fit, how fast is it, why, how to check that), and what it holds."""

from hwbench import answers
from hwbench.predict.language.estimate import LanguageEstimate
from hwbench.predict.language.memory import Remedy
from hwbench.predict.language.phases import Phase
from hwbench.report.text.format import integer, interval, percent, rate_interval
from hwbench.report.text.format import rate as per_second
from hwbench.report.text.layout import PLAIN, Style, field, heading, sentences, table
from hwbench.units import Bytes, si
from hwbench.workload.language.counting import LanguageCount

_SPENT = {
    "weights": "reading weights", "decoding": "decoding weights", "arithmetic": "arithmetic", "cache": "the cache",
    "launches": "launches", "link": "the link",
}  # fmt: skip


_HELP = {
    "weights": "--weights {}", "kv_dtype": "--kv-dtype {}", "batch": "{} sequences at once",
    "bandwidth": "twice the bandwidth", "compute": "twice the units",
}  # fmt: skip


@answers.lines.register(LanguageEstimate)
def single(answer: LanguageEstimate, style: Style = PLAIN) -> list[str]:
    """Return the lines of an estimate; where the model does not fit, that is the first."""
    scenario = answer.scenario
    several = f"{scenario.devices} × " if scenario.devices > 1 else ""
    beside = f" ({scenario.gpu_layers} layers) and {answer.host}" if answer.host else ""
    title = f"{answer.title}, {answer.weights}, on {several}{answer.device}{beside}, {answer.runtime}"
    first = _misfit(answer, style) if answer.fits is False else []
    lines = [*first, *heading(title, style), "", *_times(answer, style), ""]
    if answer.fits is not False:
        lines += sentences(_memory(answer), style)
    for phase in answer.phases:
        lines += sentences(_spent(phase), style)
    if answer.energy_bound_j:
        lines += sentences(
            f"At most {si(answer.energy_bound_j, 'J', 3)} a generated token, by the devices' power.", style
        )
    if answer.improvements:
        texts = (f"{_HELP[each.change].format(each.value)} ×{each.gain:.3g}" for each in answer.improvements)
        lines += sentences(f"Would help: {', '.join(texts)} in tokens a second of all sequences.", style)
    return [*lines, "", *sentences(f"Check it: {answer.check_command}", style)]


def _misfit(answer: LanguageEstimate, style: Style) -> list[str]:
    need = answer.budget
    text = f"DOES NOT FIT: {_needs(answer)}; there is {Bytes(need.size or 0.0)}."
    lines = [style.paint(line, "warning") for line in sentences(text, style)]
    remedies = ", or ".join(_remedy(each) for each in answer.remedies)
    lines += sentences(f"What would fit: {remedies}." if remedies else "No smaller format or context fits.", style)
    return [*lines, *sentences("The times below are those of devices with enough memory.", style), ""]


def _remedy(each: Remedy) -> str:
    return {
        "format": f"--weights {each.value}",
        "context": f"a context of {each.value} tokens",
        "layers": f"--gpu-layers {each.value} with --cpu for the others",
        "devices": f"--devices {each.value}",
    }[each.kind]


def _needs(answer: LanguageEstimate) -> str:
    need, scenario = answer.budget, answer.scenario
    sequences = f" of {scenario.batch} sequences" if scenario.batch > 1 else ""
    return (
        f"{Bytes(need.needed)} are needed: weights {Bytes(need.weights)}, cache of {scenario.reserved} "
        f"tokens{sequences} {Bytes(need.cache)}, buffers {Bytes(need.buffers)}"
    )


def _memory(answer: LanguageEstimate) -> str:
    need = answer.budget
    if need.size is None:
        return f"{_needs(answer)}."
    most = f"the longest context is {need.longest_context:,} tokens, the largest batch {need.largest_batch:,}"
    return f"It fits: {_needs(answer)}; there is {Bytes(need.size)}, so {most}."


def _times(answer: LanguageEstimate, style: Style) -> list[str]:
    scenario, level = answer.scenario, f"{100 * answer.interval_level:.0f} % interval"
    rows = []
    if prompt := answer.phase("prompt"):
        ends = interval(*prompt.interval_s)
        rate = per_second(prompt.tokens_per_s)
        rows.append(
            (f"first token after {scenario.prompt}", si(prompt.expected_time_s, "s", 3), ends, rate, _roof(prompt))
        )
    generation, rates = answer.phase("generation"), answer.tokens_per_s_interval
    if generation and rates and answer.tokens_per_s:
        ends = rate_interval(*rates)
        rate = per_second(generation.tokens_per_s)
        rows.append(("tokens of a sequence", per_second(answer.tokens_per_s), ends, rate, _roof(generation)))
    ends = interval(*answer.interval_s)
    roof = sum(phase.roofline_time_s for phase in answer.phases) / answer.expected_time_s
    rows.append(("prompt and generation", si(answer.expected_time_s, "s", 3), ends, "", percent(roof)))
    return table(("", "expected", level, "tokens in all", "of roofline"), rows, "lrrrr", style)


def _roof(phase: Phase) -> str:
    return percent(phase.roofline_time_s / phase.expected_time_s)


def _spent(phase: Phase) -> str:
    total = phase.parts.total
    shares = sorted(((getattr(phase.parts, name) / total, label) for name, label in _SPENT.items()), reverse=True)
    listed = ", ".join(f"{label} {percent(share)}" for share, label in shares if share >= 0.005)
    return f"{'The prompt' if phase.name == 'prompt' else 'The generation'} is spent on {listed}."


@answers.lines.register
def counted(answer: LanguageCount, style: Style = PLAIN) -> list[str]:
    """Return a row a kind of tensor, then parameters, sizes by format, and the cache of a token."""
    rows = [
        (t.kind, t.format, str(t.count), integer(t.params), integer(t.active_params), str(Bytes(t.bytes)))
        for t in answer.tensors
    ]
    header = ("tensors", "format", "count", "parameters", "used by a token", "size")
    some = any(t.params != t.active_params for t in answer.tensors)
    chosen = [index for index, name in enumerate(header) if some or name != "used by a token"]
    lines = [*heading(f"{answer.title}, {answer.weights}", style), ""]
    shown = [tuple(row[index] for index in chosen) for row in rows]
    lines += [*table(tuple(header[index] for index in chosen), shown, "ll" + "r" * (len(chosen) - 2), style), ""]
    active = f"; {integer(answer.active_params)} of them are used by a token, with the head and without the embedding"
    lines += field("parameters", f"{integer(answer.params)}{active}", style)
    lines += field("operations", f"{si(answer.flops_per_token, 'FLOP')} a token, without attention", style)
    sizes = ", ".join(f"{name} {Bytes(size)}" for name, size in answer.sizes.items())
    lines += field("weights", sizes, style)
    windows = (
        f", {answer.windowed_layers} of {answer.layers} layers up to their window" if answer.windowed_layers else ""
    )
    lines += field("cache", f"{Bytes(answer.kv_bytes_per_token)} a token in {answer.kv_dtype}{windows}", style)
    if answer.context:
        lines += field("context", f"{answer.context:,} tokens at most", style)
    return lines
