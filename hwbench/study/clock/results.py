"""Answers of a clock study: its suites, the catalog's peaks, and the elasticity of one model."""

from typing import Any, ClassVar, Literal

from msgspec import Struct

from hwbench.answers import Answer, plain
from hwbench.notices import Notice

Ends = tuple[float, float] | None
Grade = Literal["good", "fair", "weak", "none"]
"""How well clock speed predicts scores."""


class Intervals(Struct, frozen=True):
    """Intervals at `level`: of R² and slopes by the jackknife, of rank correlation and shares from resampled groups."""

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
    """A pair in which the lower clock wins by a large margin."""

    slower: Member
    faster: Member


class Cores(Struct, frozen=True):
    """The effect of cores in the `n` rows where they are known: R² of clock and cores, slope of cores."""

    n: int
    r2: float | None
    r2_cv: float | None
    r2_microarchitecture: float | None
    slope: float
    slope_interval: Ends


class Suite(Answer, Struct, frozen=True):
    """The results of one suite. R² are of the log of the score; None where unknown.

    `r2_clock_cv` is for microarchitectures not seen in fitting; `r2_microarchitecture` has an effect for each of them,
    `_seen` predicts each row by the others, and `_cv` those not seen. `slope_clock` is the elasticity across all rows,
    `slope_within` that inside a microarchitecture: percent of score for a percent of clock. `ci` is that of `r2_clock`.
    """

    SCHEMA: ClassVar[str] = "study-clock"
    TITLE: ClassVar[str] = "Clock speed as a predictor"
    ROWS: ClassVar[str] = "between"
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
    grade: Grade
    notes: tuple[Notice, ...]
    verdict: str = ""


class PeakView(Struct, frozen=True):
    """R² of the log of peak FLOP/s from log clock alone, from clock and units, and from clock × units × FLOP per cycle.

    The last is the peak's definition, so that its R² is 1: it checks the arithmetic. `shares` are the parts of the
    peaks' variance that each factor brings (its covariance with the log of the peak over the variance): they sum to 1.
    """

    kind: str
    engine: str
    dtype: str
    n: int
    architectures: int
    r2_clock: float | None
    r2_clock_cv: float | None
    r2_clock_units: float | None
    r2_product: float | None
    shares: dict[str, float]
    clock_ratio: float
    peak_ratio: float


class ModelClock(Answer, Struct, frozen=True):
    """Elasticity of a model's throughput to the clock: percent of speed for a percent of clock, at the same memory.

    1 is a model whose speed follows the clock, 0 one that does not depend on it. By the roofline, and by the expected
    time where there is one; None where the bandwidth is unknown.
    """

    SCHEMA: ClassVar[str] = "study-clock"
    TITLE: ClassVar[str] = "Clock speed as a predictor"
    model: str
    device: str
    dtype: str
    batch: int
    clock_hz: float
    roofline_time_s: float | None
    expected_time_s: float | None
    elasticity_roofline: float | None
    elasticity_expected: float | None
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Return a clock study without suites."""
        return ClockStudy(model=self).to_dict()


class ClockStudy(Answer, Struct, frozen=True, kw_only=True):
    """A clock study: of scores by suite with the catalog's own peaks, or of one model."""

    SCHEMA: ClassVar[str] = "study-clock"
    TITLE: ClassVar[str] = "Clock speed as a predictor"
    MAIN: ClassVar[tuple[str, ...]] = ("data", "clock", "level", "window_years")
    ROWS: ClassVar[str] = "suites"
    data: str | None = None
    level: float | None = None
    window_years: float | None = None
    clock: str | None = None
    suites: tuple[Suite, ...] = ()
    catalog: tuple[PeakView, ...] = ()
    model: ModelClock | None = None
    notices: tuple[Notice, ...] = ()

    def body(self) -> dict[str, Any]:
        """Return the JSON keys; a study of one model has neither data nor level."""
        if self.model:
            return {"suites": [], "catalog": [], "model": plain(self.model)}
        return super().body()
