"""Clock studies as text."""

from collections.abc import Sequence

from hwbench.report.text.layout import Style, field, heading, sentences, table
from hwbench.study.clock.elasticity import ModelClock
from hwbench.study.clock.peaks import PeakView
from hwbench.study.clock.results import Between, Ends, Striking, Study, Suite
from hwbench.units import Hertz, si

MOST_CLASSES = 10
LONGEST = 34


def study(found: Study, style: Style) -> list[str]:
    """Each suite: the verdict, the R² behind it, the classes and the pairs in which the lower clock wins."""
    lines = _summary(found, style) if len(found.suites) > 1 else []
    for suite in found.suites:
        lines += [*_suite(suite, style), ""]
    note = (
        "R² is of the log of the score: 0 % is what the mean explains, and a fit to others that does worse falls "
        f"below. Intervals are of {100 * found.level:.0f} %, by resampling microarchitectures."
    )
    return [*lines, *sentences(note, style)]


def _summary(found: Study, style: Style) -> list[str]:
    rows = [
        (
            _cut(suite.suite),
            str(suite.n),
            _r2(suite.r2_clock),
            _r2(suite.r2_clock_cv),
            _r2(suite.r2_microarchitecture),
            _r2(suite.inversions.share),
            suite.grade,
        )
        for suite in found.suites
    ]
    header = ("suite", "n", "R² clock", "R² unseen", "R² microarch.", "lower wins", "clock is")
    return [*table(header, rows, "lrrrrrl", style, spare=("R² unseen", "n")), ""]


def _suite(suite: Suite, style: Style) -> list[str]:
    groups = f" · {suite.microarchitectures} microarchitectures" if suite.microarchitectures else ""
    low, high = (str(Hertz(clock)) for clock in suite.clock_hz)
    lines = heading(f"{suite.suite}: clock is {suite.grade}", style)
    lines += [*heading(f"{suite.n} rows · {suite.devices} devices{groups} · {low} to {high}", style, "dim"), ""]
    lines += [*sentences(suite.verdict, style), ""]
    lines += [*_fits(suite, style), ""]
    if suite.spearman is not None:
        lines += field("ranks", f"Spearman's correlation of clock and score {suite.spearman:.2f}{_ends(suite)}", style)
    for one in suite.striking:
        lines += field("lower wins", _pair(one), style)
    shown = suite.pairs or suite.between
    if shown:
        lines += ["", *_classes(shown, style)]
        if len(shown) > MOST_CLASSES:
            rest = len(shown) - MOST_CLASSES
            lines += heading(f"... and {rest} more pairs of classes (--json has all, --pair A B one)", style, "dim")
    for note in suite.notes:
        lines += ["", *sentences(f"{note}.", style)]
    return lines


def _fits(suite: Suite, style: Style) -> list[str]:
    ends = suite.intervals
    cores = suite.cores
    rows: list[tuple[str, float | None, Ends, float | None, float | None, Ends]]
    rows = [("clock", suite.r2_clock, ends.r2_clock, suite.r2_clock_cv, suite.slope_clock, ends.slope_clock)]
    if cores is not None:
        rows.append(("clock, cores", cores.r2, None, cores.r2_cv, None, None))
    if suite.r2_microarchitecture is not None:
        name, unseen = "clock, microarchitecture", suite.r2_microarchitecture_cv
        spans = (ends.r2_microarchitecture, ends.slope_within)
        rows.append((name, suite.r2_microarchitecture, spans[0], unseen, suite.slope_within, spans[1]))
    if cores is not None and cores.r2_microarchitecture is not None:
        rows.append(("clock, microarchitecture, cores", cores.r2_microarchitecture, None, None, None, None))
    body = [(name, _r2(r2), _span(span), _r2(unseen), _slope(slope, e)) for name, r2, span, unseen, slope, e in rows]
    header = ("score from", "R²", "interval", "R² unseen", "% score for 1 % clock")
    return table(header, body, "lrrrr", style, spare=("R² unseen",))


def _classes(found: Sequence[Between], style: Style) -> list[str]:
    """Two classes a row: how many pairs, and in how many the lower clock wins."""
    rows = []
    for one in found[:MOST_CLASSES]:
        lead = 2 * one.a_wins - one.inverted
        who = "-" if not one.inverted else "both" if not lead else one.a if lead > 0 else one.b
        share = "-" if one.share is None else _r2(one.share)
        counts = (f"{one.pairs:,}", f"{one.equal_clock:,}", f"{one.inverted:,}", share)
        rows.append((_cut(one.a, 18), _cut(one.b, 18), *counts, _cut(who, 18)))
    header = ("class", "against", "pairs", "same clock", "lower wins", "share", "by")
    return table(header, rows, "llrrrrl", style, spare=("same clock", "share"))


def _pair(found: Striking) -> str:
    a, b = found.slower, found.faster
    score, clock = a.score / b.score - 1, 1 - a.clock / b.clock
    return (
        f"{_cut(a.device)} ({Hertz(a.clock)}, {a.score:g}) over {_cut(b.device)} ({Hertz(b.clock)}, {b.score:g}): "
        f"clock {100 * clock:.0f} % lower, score {100 * score:.0f} % higher"
    )


def peak_view(found: Sequence[PeakView], style: Style) -> list[str]:
    """What the catalog's peaks say."""
    if not found:
        return []
    lines = heading(
        f"The catalog's own peaks ({found[0].engine} {found[0].dtype}), from clock alone and in full", style
    )
    rows = [
        (
            {"cpu": "CPUs", "gpu": "GPUs", "all": "both"}[view.kind],
            str(view.n),
            _r2(view.r2_clock),
            _r2(view.r2_clock_cv),
            _r2(view.r2_clock_units),
            _r2(view.r2_product),
            *(_r2(view.shares[name]) for name in ("clock", "units", "flops_per_cycle")),
        )
        for view in found
    ]
    header = ("", "n", "clock", "unseen", "clock, units", "all three", "clock's", "units'", "width's share")
    lines += table(header, rows, "lrrrrrrrr", style, spare=("unseen", "units'", "width's share"))
    note = (
        "R² of the log of the peak. All three factors are the peak's definition and must give 100 %. The shares are "
        "what clock, units and flops_per_cycle each bring to the differences between peaks."
    )
    return ["", *lines, "", *sentences(note, style)]


def model(found: ModelClock, style: Style) -> list[str]:
    """What a faster clock would bring to one model."""
    lines = [*heading(f"{found.model} on {found.device} · {found.dtype} · batch {found.batch}", style), ""]
    rows = [
        (name, "-" if time is None else si(time, "s"), "-" if value is None else f"{value:.3f}")
        for name, time, value in (
            ("roofline", found.roofline_time_s, found.elasticity_roofline),
            ("expected", found.expected_time_s, found.elasticity_expected),
        )
        if value is not None
    ]
    lines += table((f"at {Hertz(found.clock_hz)}", "time", "% speed for 1 % clock"), rows, "lrr", style)
    return [*lines, "", *sentences(found.verdict, style)]


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
    if value is None:
        return "-"
    return f"{value:.2f}" + (f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else "")


def _ends(suite: Suite) -> str:
    ends = suite.intervals.spearman
    return f" ({ends[0]:.2f} to {ends[1]:.2f})" if ends else ""


def _cut(name: str, longest: int = LONGEST) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
