"""The verdict of a clock study: a grade, and what the numbers say in plain words."""

from hwbench.study.clock.results import Suite

GRADES = (
    (0.9, "a good guide"),
    (0.7, "a fair guide"),
    (0.4, "a weak guide"),
    (-float("inf"), "no guide"),
)
"""Least R² of clock alone for microarchitectures that the fit has not seen, and what clock speed then is."""


def grade(r2: float) -> str:
    """What clock speed is at an R²."""
    return next(words for least, words in GRADES if r2 >= least)


def verdict(suite: Suite) -> str:
    """The suite's numbers in a few sentences."""
    sentences = [_alone(suite), _conclusion(suite), _microarchitecture(suite), _cores(suite)]
    return " ".join(sentence for sentence in (*sentences, _inversions(suite), _slopes(suite)) if sentence)


def _alone(suite: Suite) -> str:
    text = f"Clock alone explains {_share(suite.r2_clock)} of the variance of the log score{_between(suite.ci)}"
    if suite.r2_clock_cv is None:
        return f"{text} (n = {suite.n})."
    unseen = "for microarchitectures that the fit has not seen"
    if suite.r2_clock_cv <= 0:
        return f"{text}; {unseen} it predicts worse than the mean does (R² {suite.r2_clock_cv:.2f}, n = {suite.n})."
    return f"{text}; {_share(suite.r2_clock_cv)} {unseen} (n = {suite.n})."


def _conclusion(suite: Suite) -> str:
    if suite.r2_clock_cv is None:
        return f"Within these data it is {suite.grade}; of other microarchitectures they say nothing."
    ends = suite.intervals.r2_clock_cv
    grades = dict.fromkeys(grade(end) for end in ends) if ends else {}
    doubt = f" (its interval reaches from {' to '.join(grades)})" if len(grades) > 1 else ""
    return f"So it is {suite.grade}{doubt}."


def _microarchitecture(suite: Suite) -> str:
    if suite.r2_microarchitecture is None:
        return ""
    text = f"With the microarchitecture known as well, {_share(suite.r2_microarchitecture)} is explained"
    if suite.r2_microarchitecture_seen is not None:
        text += f" ({_share(suite.r2_microarchitecture_seen)} of rows left out one at a time)"
    return text + "."


def _cores(suite: Suite) -> str:
    if suite.cores is None or suite.cores.r2 is None:
        return ""
    some = "" if suite.cores.n == suite.n else f" (of the {suite.cores.n} rows whose cores are known)"
    return f"Clock and cores explain {_share(suite.cores.r2)}{some}."


def _inversions(suite: Suite) -> str:
    found = suite.inversions
    if found.share is None:
        return ""
    apart = found.pairs - found.equal_clock
    text = f"The lower clock wins in {_share(found.share)} of {apart:,} pairs of different clock ({found.inverted:,})"
    near = suite.inversions_window
    if near is not None and near.share is not None and near.window_years is not None:
        years = "1 year" if near.window_years == 1 else f"{near.window_years:g} years"
        text += f", and in {_share(near.share)} of those at most {years} apart ({near.inverted:,} of "
        text += f"{near.pairs - near.equal_clock:,})"
    return text + "."


def _slopes(suite: Suite) -> str:
    text = f"A clock higher by 10 % goes with a score {_change(suite.slope_clock, suite.intervals.slope_clock)}"
    if suite.slope_within is None or suite.microarchitectures in (None, 1):
        return text + "."
    return (
        f"{text} over all, and {_change(suite.slope_within, suite.intervals.slope_within)} within a microarchitecture."
    )


def _change(slope: float, ends: tuple[float, float] | None) -> str:
    """What 1.1 to the power of a slope changes: `higher by 7.3 % (6.1 to 8.4)`."""
    change = 100 * (1.1**slope - 1)
    text = f"{'higher' if change >= 0 else 'lower'} by {abs(change):.1f} %"
    if ends is None:
        return text
    low, high = (100 * (1.1 ** max(min(end, 50.0), -50.0) - 1) for end in ends)
    return f"{text} ({low:.1f} to {high:.1f})"


def _share(value: float) -> str:
    """A share in percent: no digits are kept that n cannot bear, and neither 0 nor 100 is said of anything else."""
    percent = 100 * value
    if 0 < percent < 0.5 or 99.5 <= percent < 100:
        return f"{percent:.2g} %" if percent < 1 else f"{min(percent, 99.99):.2f} %"
    return f"{percent:.0f} %" if abs(percent) >= 10 else f"{percent:.1f} %"


def _between(ends: tuple[float, float] | None) -> str:
    return f" (95 % interval {100 * ends[0]:.0f} to {100 * ends[1]:.0f} %)" if ends else ""
