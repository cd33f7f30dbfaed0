"""Clock studies as text."""

from collections.abc import Iterable, Sequence

from hwbench import answers
from hwbench.report.text.format import cut
from hwbench.report.text.layout import PLAIN, Style, field, heading, sentences, table
from hwbench.study.clock.results import Between, ClockStudy, Ends, Grade, ModelClock, PeakView, Striking, Suite
from hwbench.study.clock.verdict import GRADES, change, predictor
from hwbench.units import Hertz, si

MAX_CLASSES = 10
MAX_NAME = 34
_GRADES = [grade for _, grade in GRADES]


@answers.lines.register
def study(answer: ClockStudy, style: Style = PLAIN) -> list[str]:
    """Return each suite, and what the catalog's own peaks show; or the study of one model."""
    if answer.model:
        return model(answer.model, style)
    lines = _summary(answer.suites, style) if len(answer.suites) > 1 else []
    for each in answer.suites:
        lines += [*suite(each, style), ""]
    note = (
        "R² is of the log of the score: 0 % is as good as the mean, and a worse prediction is below 0 %. Intervals are "
        f"of {100 * (answer.level or 0):.0f} %, over microarchitectures."
    )
    return [*lines, *sentences(note, style), *peak_views(answer.catalog, style)]


def _summary(suites: Sequence[Suite], style: Style) -> list[str]:
    """Return the answer over all suites in a sentence, then a row for each."""
    graded: dict[Grade, list[str]] = {}
    for each in sorted(suites, key=lambda each: _GRADES.index(each.grade)):
        graded.setdefault(each.grade, []).append(cut(each.suite, MAX_NAME))
    parts = [f"{predictor(grade, article=True)} of {', '.join(names)}" for grade, names in graded.items()]
    text = f"Clock speed alone is {', and '.join(parts)}, judged by microarchitectures that were not seen in fitting."
    known, lost = _between(each.r2_microarchitecture for each in suites), _between(e.inversions.share for e in suites)
    text += f" Together with the microarchitecture it explains {known} of the variance." if known else ""
    text += f" The lower clock wins in {lost} of the pairs." if lost else ""
    rows = []
    for each in suites:
        shares = (each.r2_clock, each.r2_clock_cv, each.r2_microarchitecture, each.inversions.share)
        rows.append((cut(each.suite, MAX_NAME), str(each.n), *map(_r2, shares), each.grade))
    header = ("suite", "n", "R² clock", "R² unseen", "R² microarch.", "lower wins", "predictor")
    lines = table(header, rows, "lrrrrrl", style, spare=("n", "R² microarch."))
    return [*sentences(text, style), "", *lines, ""]


def _between(shares: Iterable[float | None]) -> str:
    """Return `23 to 73 %`; nothing without known shares."""
    known = sorted(share for share in shares if share is not None)
    low, high = (_r2(end) for end in (known[0], known[-1])) if known else ("", "")
    return high if low == high else f"{low.removesuffix(' %')} to {high}"


@answers.lines.register
def suite(answer: Suite, style: Style = PLAIN) -> list[str]:
    """Return the verdict, the R² behind it, and the classes and pairs in which the lower clock wins."""
    groups = f" · {answer.microarchitectures} microarchitectures" if answer.microarchitectures else ""
    low, high = (str(Hertz(clock)) for clock in answer.clock_hz)
    lines = heading(f"{answer.suite}: clock speed is {predictor(answer.grade, article=True)}", style)
    lines += [*heading(f"{answer.n} rows · {answer.devices} devices{groups} · {low} to {high}", style, "dim"), ""]
    lines += [*sentences(answer.verdict, style), "", *_fits(answer, style), ""]
    if answer.spearman is not None:
        text = f"Spearman's correlation of clock and score {answer.spearman:.2f}{_ends(answer.intervals.spearman)}"
        lines += field("ranks", text, style)
    for pair in answer.striking:
        lines += field("lower wins", _pair(pair), style)
    classes = answer.pairs or answer.between
    if classes:
        lines += ["", *_classes(classes, style)]
        if len(classes) > MAX_CLASSES:
            rest = len(classes) - MAX_CLASSES
            lines += heading(f"... and {rest} more pairs of classes (--json has all, --pair A B one)", style, "dim")
    for note in answer.notes:
        lines += ["", *sentences(str(note), style)]
    return lines


def _fits(suite: Suite, style: Style) -> list[str]:
    ends = suite.intervals
    cores = suite.cores
    rows: list[tuple[str, float | None, Ends, float | None, float | None, Ends]]
    rows = [("clock", suite.r2_clock, ends.r2_clock, suite.r2_clock_cv, suite.slope_clock, ends.slope_clock)]
    if cores is not None:
        rows.append(("clock, cores", cores.r2, None, cores.r2_cv, None, None))
    if suite.r2_microarchitecture is not None:
        name, unseen = "clock, microarch.", suite.r2_microarchitecture_cv
        spans = (ends.r2_microarchitecture, ends.slope_within)
        rows.append((name, suite.r2_microarchitecture, spans[0], unseen, suite.slope_within, spans[1]))
    if cores is not None and cores.r2_microarchitecture is not None:
        rows.append(("clock, microarch., cores", cores.r2_microarchitecture, None, None, None, None))
    body = [(name, _r2(r2), _span(span), _r2(unseen), _slope(slope, e)) for name, r2, span, unseen, slope, e in rows]
    header = ("score from", "R²", "interval", "R² unseen", "+10 % clock")
    return table(header, body, "lrrrr", style, spare=("interval",))


def _classes(classes: Sequence[Between], style: Style) -> list[str]:
    """Return a row for each two classes: their pairs, and those in which the lower clock wins."""
    rows = []
    for each in classes[:MAX_CLASSES]:
        lead = 2 * each.a_wins - each.inverted
        winner = "-" if not each.inverted else "both" if not lead else each.a if lead > 0 else each.b
        share = "-" if each.share is None else _r2(each.share)
        counts = (f"{each.pairs:,}", f"{each.equal_clock:,}", f"{each.inverted:,}", share)
        rows.append((cut(each.a, 18), cut(each.b, 18), *counts, cut(winner, 18)))
    header = ("class", "against", "pairs", "same clock", "lower wins", "share", "by")
    return table(header, rows, "llrrrrl", style, spare=("same clock", "share"))


def _pair(pair: Striking) -> str:
    a, b = pair.slower, pair.faster
    score, clock = a.score / b.score - 1, 1 - a.clock / b.clock
    return (
        f"{cut(a.device, MAX_NAME)} ({Hertz(a.clock)}, {a.score:g}) over {cut(b.device, MAX_NAME)} ({Hertz(b.clock)}, "
        f"{b.score:g}): clock {100 * clock:.0f} % lower, score {100 * score:.0f} % higher"
    )


def peak_views(views: Sequence[PeakView], style: Style = PLAIN) -> list[str]:
    """Return what explains the differences between the catalog's peaks."""
    if not views:
        return []
    title = f"The catalog's own peaks ({views[0].engine} {views[0].dtype}) explained by their factors"
    rows = []
    for view in views:
        shares = (view.r2_clock, view.r2_clock_cv, view.r2_clock_units, view.r2_product)
        factors = (view.shares[name] for name in ("clock", "units", "flops_per_cycle"))
        kind = {"cpu": "CPUs", "gpu": "GPUs", "all": "both"}[view.kind]
        rows.append((kind, str(view.n), *map(_r2, (*shares, *factors))))
    header = ("R² from", "n", "clock", "unseen", "clock, units", "all three", "by clock", "by units", "by FLOP/cycle")
    lines = table(header, rows, "lrrrrrrrr", style, spare=("unseen", "all three", "clock, units"))
    note = (
        "R² of the log of the peak. All three factors are the peak's definition, so their R² is 100 %. The last three "
        "columns are the contributions of clock, units and FLOP per cycle to the differences between peaks."
    )
    return ["", *heading(title, style), *lines, "", *sentences(note, style)]


@answers.lines.register
def model(answer: ModelClock, style: Style = PLAIN) -> list[str]:
    """Return what a faster clock would bring to one model."""
    lines = [*heading(f"{answer.model} on {answer.device} · {answer.dtype} · batch {answer.batch}", style), ""]
    known = (
        ("roofline", answer.roofline_time_s, answer.elasticity_roofline),
        ("expected", answer.expected_time_s, answer.elasticity_expected),
    )
    rows = [
        (name, "-" if time is None else si(time, "s"), f"{value:.3f}")
        for name, time, value in known
        if value is not None
    ]
    lines += table((f"at {Hertz(answer.clock_hz)}", "time", "% speed for 1 % clock"), rows, "lrr", style)
    return [*lines, "", *sentences(answer.verdict, style)]


def _r2(value: float | None) -> str:
    if value is None:
        return "-"
    percent = 100 * value
    if 99.5 <= percent < 100 - 1e-7:
        return f"{min(percent, 99.99):.2f} %"
    return f"{percent:.0f} %" if abs(percent) >= 10 or abs(percent) < 1e-9 else f"{percent:.1f} %"


def _span(ends: Ends) -> str:
    return f"{100 * ends[0]:.0f} to {100 * ends[1]:.0f} %" if ends else "-"


def _slope(value: float | None, ends: Ends) -> str:
    """Return how much higher a score is where the clock is 10 % higher."""
    return "-" if value is None else change(value, ends)


def _ends(ends: Ends) -> str:
    return f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else ""
