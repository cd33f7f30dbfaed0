"""Medians and shares with their intervals; resampling is seeded, so that it can be repeated."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

LEVEL = 0.95


RESAMPLES = 2000
MAX_DRAWN = 1 << 22
"""Numbers that resampling draws at a time: 32 MiB."""


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


def blocks(rows: int, width: int) -> list[int]:
    """Return numbers of rows that add up to `rows`, so few that a block of rows of a width takes little memory."""
    block = max(1, MAX_DRAWN // width)
    return [min(block, rows - start) for start in range(0, rows, block)]


def median_interval(
    samples: Sequence[float], level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the median with its percentile-bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    One sample gives an interval of no width: nothing is known of its spread. Raises ValueError without samples.
    """
    values = np.asarray(samples, dtype=float)
    if not values.size:
        raise ValueError("a median needs a sample")
    random = np.random.default_rng(seed)
    medians = np.concatenate(
        [
            np.median(values[random.integers(0, values.size, (rows, values.size))], axis=1)
            for rows in blocks(resamples, values.size)
        ]
    )
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.median(values)), float(low), float(high), level)


def proportion_interval(hits: int, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of a share from `hits` of `count` trials (Clopper and Pearson 1934, Biometrika 26)."""
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = float(betaincinv(hits, count - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 1 - tail)) if hits < count else 1.0
    return low, high
