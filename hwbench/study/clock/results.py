"""What a clock study finds, suite by suite."""

from msgspec import Struct

Ends = tuple[float, float] | None


class Intervals(Struct, frozen=True):
    """Intervals at `level`: of R², rank correlation and shares from resampled groups, of slopes by the jackknife."""

    level: float
    r2_clock: Ends = None
    r2_clock_cv: Ends = None
    r2_microarchitecture: Ends = None
    slope_clock: Ends = None
    slope_within: Ends = None
    spearman: Ends = None
    inversions: Ends = None


class Inversions(Struct, frozen=True):
    """Pairs of rows, those among them of equal clock, and those in which the lower clock has the higher score.

    `share` is that of inversions among pairs of different clock.
    """

    pairs: int
    inverted: int
    equal_clock: int
    share: float | None
    window_years: float | None = None


class Between(Struct, frozen=True):
    """Inversions of pairs of one row of `a` and one of `b`; in `a_wins` of them the lower clock is that of `a`."""

    a: str
    b: str
    rows: tuple[int, int]
    pairs: int
    inverted: int
    equal_clock: int
    share: float | None
    a_wins: int


class Member(Struct, frozen=True):
    """A device in a pair: clock in Hz."""

    device: str
    clock: float
    score: float
    year: float | None


class Striking(Struct, frozen=True):
    """A pair in which the lower clock wins by much."""

    slower: Member
    faster: Member


class Cores(Struct, frozen=True):
    """What knowing the cores as well adds, of `n` rows where they are known: R² of clock and cores, slope of cores."""

    n: int
    r2: float | None
    r2_cv: float | None
    r2_microarchitecture: float | None
    slope: float
    slope_interval: Ends


class Suite(Struct, frozen=True):
    """What the rows of one suite say. R² are of the log of the score; None where it cannot be told.

    `r2_clock_cv` is for microarchitectures not seen in fitting; `r2_microarchitecture` has an effect for each of them,
    `_seen` predicts each row by the others, and `_cv` those not seen. `slope_clock` is the elasticity across all rows,
    `slope_within` that inside a microarchitecture: percent of score for a percent of clock. `ci` is that of `r2_clock`.
    """

    suite: str
    n: int
    devices: int
    microarchitectures: int | None
    clock_hz: tuple[float, float]
    r2_clock: float
    r2_clock_cv: float | None
    r2_microarchitecture: float | None
    r2_microarchitecture_seen: float | None
    r2_microarchitecture_cv: float | None
    slope_clock: float
    slope_within: float | None
    cores: Cores | None
    spearman: float | None
    ci: Ends
    intervals: Intervals
    inversions: Inversions
    inversions_window: Inversions | None
    between: tuple[Between, ...]
    pairs: tuple[Between, ...]
    striking: tuple[Striking, ...]
    grade: str
    notes: tuple[str, ...]
    verdict: str = ""


class Study(Struct, frozen=True):
    """The suites of a table that have rows enough, and what had to be said about it."""

    data: str
    level: float
    window_years: float
    suites: tuple[Suite, ...]
    warnings: tuple[str, ...]
