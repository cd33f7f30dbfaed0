"""Language models on several devices, or in several scenarios, as a table."""

from collections.abc import Callable

from hwbench import answers
from hwbench.report.text.format import cut, number, rate_interval
from hwbench.report.text.format import rate as per_second
from hwbench.report.text.layout import PLAIN, Style, heading, sentences, table
from hwbench.study.language_points import LanguagePoint, LanguagePoints
from hwbench.units import si

MAX_POINTS = 40
MAX_DEVICES = 10


@answers.lines.register
def lines(answer: LanguagePoints, style: Style = PLAIN, most: int | None = None) -> list[str]:
    """Return a row a point, at most `most`, and for a requirement how many deliver."""
    points = answer.points[: most or (MAX_DEVICES if answer.question == "require" else MAX_POINTS)]
    result = [*heading(cut(f"{answer.title} in {answer.runtime}", 100), style), ""]
    if answer.question == "require":
        result += [*sentences(_verdict(answer), style), ""]
    if points:
        result += table(*_table(answer, points), style, spare=("energy", "first token", "interval", "power"))
    if len(points) < len(answer.points):
        result.append(style.paint(f"... and {len(answer.points) - len(points)} more (--all or --json)", "dim"))
    if answer.unknown:
        text = f"Left out because their bandwidth or rates are unknown: {number(len(answer.unknown), 'device')}."
        result += ["", *sentences(text, style)]
    return result


def _verdict(answer: LanguagePoints) -> str:
    targets = [f"{answer.tokens_per_s:.4g} tokens a second of each sequence" if answer.tokens_per_s else ""]
    targets += [f"a first token within {si(answer.ttft_s, 's', 3)}" if answer.ttft_s else ""]
    wanted = " and ".join(filter(None, targets))
    may = len(answer.points) - answer.delivering
    text = f"{wanted}: {answer.delivering} of {answer.judged} devices deliver by the whole interval of their forecast"
    return f"{text}, {may} may: it lies inside their interval. Lowest power first."


def _table(
    answer: LanguagePoints, points: tuple[LanguagePoint, ...]
) -> tuple[tuple[str, ...], list[tuple[str, ...]], str]:
    columns: dict[str, Callable[[LanguagePoint], str]] = {
        "model": lambda p: cut(f"{p.model} {p.weights}", 30),
        "device": lambda p: (f"{p.devices} × " if p.devices > 1 else "") + cut(p.device, 26),
        "batch": lambda p: str(p.batch),
        "context": lambda p: str(p.context),
        "power": lambda p: f"{p.power_w:g} W" if p.power_w else "-",
        "verdict": lambda p: p.verdict or "-",
        "fits": lambda p: {True: "yes", False: "no", None: "?"}[p.fits],
        "first token": lambda p: si(p.ttft_s, "s", 3) if p.ttft_s else "-",
        "tokens": lambda p: per_second(p.tokens_per_s),
        "interval": lambda p: rate_interval(*p.tokens_per_s_interval) if p.tokens_per_s_interval else "-",
        "in all": lambda p: per_second(p.tokens_per_s_all),
        "energy": lambda p: f"≤ {si(p.energy_per_token_bound_j, 'J', 3)}" if p.energy_per_token_bound_j else "-",
        "limited by": lambda p: p.limited_by,
    }  # fmt: skip
    varying = {
        "model": len({(p.model, p.weights) for p in points}) > 1,
        "device": answer.question != "curve",
        "batch": len({p.batch for p in points}) > 1,
        "context": len({p.context for p in points}) > 1,
        "power": answer.question != "curve",
        "verdict": answer.question == "require",
        "fits": answer.question != "require",
        "in all": any(p.batch > 1 for p in points),
    }
    shown = [name for name in columns if varying.get(name, True)]
    left = ("model", "device", "verdict", "fits", "limited by")
    rows = [tuple(columns[name](point) for name in shown) for point in points]
    return tuple(shown), rows, "".join("l" if name in left else "r" for name in shown)
