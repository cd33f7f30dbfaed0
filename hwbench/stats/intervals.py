"""Medians and shares with their intervals, in closed form."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from math import floor, sqrt
from statistics import NormalDist

from msgspec import Struct

LEVEL = 0.95


class Interval(Struct, frozen=True):
    """A value with its interval at `level`, in the unit of the samples."""

    value: float
    low: float
    high: float
    level: float = LEVEL

    @property
    def half_width(self) -> float:
        """Half of the interval's width as a share of the value: 0.01 is ±1 %."""
        return (self.high - self.low) / (2 * abs(self.value)) if self.value else float("inf")


def normal_quantile(level: float) -> float:
    """Return how many standard deviations around the mean hold `level` of a normal distribution: 1.96 for 95 %."""
    return NormalDist().inv_cdf((1 + level) / 2)


def median_interval(samples: Sequence[float], level: float = LEVEL) -> Interval:
    """Return the median with its distribution-free interval; samples are in the order in which they were taken.

    How many samples lie below the median is binomial, so that the interval ends at the order statistics (n + 1) / 2 ±
    z √n / 2, between two of them in proportion, and at the lowest and highest where the samples are too few (Hahn and
    Meeker 1991, Statistical Intervals, 5.2). n is the effective number: samples that follow from each other count for
    fewer. One sample gives an interval of no width: nothing is known of its spread. Raises ValueError without samples.
    """
    if not len(samples):
        raise ValueError("a median needs a sample")
    values, count = sorted(map(float, samples)), effective_count(samples)
    reach = normal_quantile(level) * sqrt(count) / (2 * (count + 1))
    low, middle, high = (_order_statistic(values, 0.5 + side * reach) for side in (-1, 0, 1))
    return Interval(middle, low, high, level)


def _order_statistic(values: Sequence[float], share: float) -> float:
    """Return the value below which an expected share of the population lies, of sorted samples (Weibull 1939)."""
    return _between(values, min(max(share * (len(values) + 1), 1.0), float(len(values))) - 1)


def _between(values: Sequence[float], place: float) -> float:
    """Return the value at a place from 0 on, between two in proportion."""
    below = floor(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below]) if above > below else values[below]


def effective_count(samples: Sequence[float]) -> float:
    """Return how many independent samples tell as much of the median as these, in the order in which they were taken.

    n (1 - ρ) / (1 + ρ) for the correlation ρ of neighbors' ranks, corrected for its bias (1 + 3ρ) / n (Marriott and
    Pope 1954, Biometrika 41), where it is more than chance makes it (1 / √n). Fewer than about 20 samples hide much of
    a correlation.
    """
    count = len(samples)
    values = sorted(samples)
    around = [bisect_left(values, x) + bisect_right(values, x) - count for x in samples]  # twice: ranks less their mean
    total = sum(each * each for each in around)
    neighbors = sum(a * b for a, b in pairwise(around)) / total if total else 0.0
    if neighbors <= 1 / sqrt(count):
        return float(count)
    correlation = min(neighbors + (1 + 3 * neighbors) / count, (count - 1) / (count + 1))
    return count * (1 - correlation) / (1 + correlation)


def proportion_interval(hits: int, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of a share from `hits` of `count` trials (Clopper and Pearson 1934, Biometrika 26)."""
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = float(betaincinv(hits, count - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 1 - tail)) if hits < count else 1.0
    return low, high
