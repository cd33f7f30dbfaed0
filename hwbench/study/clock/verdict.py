"""The verdict of a suite: a grade, and its numbers in sentences."""

from hwbench.study.clock.results import Ends, Grade, Suite

GRADES: tuple[tuple[float, Grade], ...] = ((0.9, "good"), (0.7, "fair"), (0.4, "weak"), (-float("inf"), "none"))
"""Smallest R² of clock alone, for microarchitectures not seen in fitting, of each grade."""


def grade(r2: float) -> Grade:
    """Return the grade of clock speed as a predictor at an R²."""
    return next(name for smallest, name in GRADES if r2 >= smallest)


def predictor(name: Grade, article: bool = False) -> str:
    """Return a grade with its noun: `weak predictor` or `a weak predictor`, `no predictor`."""
    return "no predictor" if name == "none" else f"{'a ' if article else ''}{name} predictor"


def verdict(suite: Suite) -> str:
    """Return the suite's verdict and its numbers in a few sentences."""
    sentences = (_conclusion, _clock_alone, _microarchitecture, _cores, _inversions, _slopes)
    return " ".join(text for sentence in sentences if (text := sentence(suite)))


def _conclusion(suite: Suite) -> str:
    text = f"Verdict: {predictor(suite.grade)}"
    if suite.r2_clock_cv is None:
        return f"{text} within these data, which do not tell about other microarchitectures."
    ends = suite.intervals.r2_clock_cv
    grades = dict.fromkeys(grade(end) for end in ends) if ends else {}
    interval = f" (95 % interval: {' to '.join(grades)})" if len(grades) > 1 else ""
    return f"{text}{interval}, judged by microarchitectures that were not seen in fitting."


def _clock_alone(suite: Suite) -> str:
    text = f"Clock alone explains {_share(suite.r2_clock)} of the variance of the log score{_interval(suite.ci)}"
    if suite.r2_clock_cv is None:
        return f"{text} (n = {suite.n})."
    unseen = "where the microarchitecture was not seen"
    if suite.r2_clock_cv <= 0:
        return f"{text}; {unseen} it predicts worse than the mean (R² {_share(suite.r2_clock_cv)}, n = {suite.n})."
    return f"{text}, and {_share(suite.r2_clock_cv)} {unseen} (n = {suite.n})."


def _microarchitecture(suite: Suite) -> str:
    if suite.r2_microarchitecture is None:
        return ""
    seen = suite.r2_microarchitecture_seen
    left_out = "" if seen is None else f" ({_share(seen)} of rows left out one at a time)"
    return f"Clock and microarchitecture together explain {_share(suite.r2_microarchitecture)}{left_out}."


def _cores(suite: Suite) -> str:
    if suite.cores is None or suite.cores.r2 is None:
        return ""
    rows = "" if suite.cores.n == suite.n else f" (of the {suite.cores.n} rows whose cores are known)"
    return f"Clock and cores explain {_share(suite.cores.r2)}{rows}."


def _inversions(suite: Suite) -> str:
    every = suite.inversions
    if every.share is None:
        return ""
    pairs = every.pairs - every.equal_clock
    text = f"The lower clock wins in {_share(every.share)} of {pairs:,} pairs of different clock ({every.inverted:,})"
    near = suite.inversions_window
    if near is not None and near.share is not None and near.window_years is not None:
        years = "1 year" if near.window_years == 1 else f"{near.window_years:g} years"
        text += f", and in {_share(near.share)} of those at most {years} apart ({near.inverted:,} of "
        text += f"{near.pairs - near.equal_clock:,})"
    return text + "."


def _slopes(suite: Suite) -> str:
    text = f"A score is {_higher(suite.slope_clock, suite.intervals.slope_clock)} where the clock is 10 % higher"
    if suite.slope_within is None or suite.microarchitectures in (None, 1):
        return text + "."
    return f"{text}, and {_higher(suite.slope_within, suite.intervals.slope_within)} within a microarchitecture."


def change(slope: float, ends: Ends) -> str:
    """Return what 1.1 to the power of a slope changes: `7.3 % (6.1 to 8.4)`."""
    percent = [100 * (1.1 ** max(min(value, 50.0), -50.0) - 1) for value in (slope, *(ends or ()))]
    return f"{percent[0]:.1f} %" + (f" ({percent[1]:.1f} to {percent[2]:.1f})" if ends else "")


def _higher(slope: float, ends: Ends) -> str:
    if slope >= 0:
        return f"{change(slope, ends)} higher"
    return f"{change(-slope, ends and (-ends[1], -ends[0]))} lower"


def _share(value: float) -> str:
    """Return a share in percent without false digits; only 0 and 1 are 0 % and 100 %."""
    percent = 100 * value
    if 0 < percent < 0.5 or 99.5 <= percent < 100:
        return f"{percent:.2g} %" if percent < 1 else f"{min(percent, 99.99):.2f} %"
    return f"{percent:.0f} %" if abs(percent) >= 10 else f"{percent:.1f} %"


def _interval(ends: Ends) -> str:
    return f" (95 % interval {100 * ends[0]:.0f} to {100 * ends[1]:.0f} %)" if ends else ""
