"""Statistics of measurements: medians and ratios with bootstrap intervals; seeded, so that they can be repeated."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from hwbench.stats.intervals import LEVEL, RESAMPLES, Interval, blocks, median_interval


def median_interval_over_processes(
    processes: Sequence[Sequence[float]], level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Return the median of positive samples of several processes, its interval Student's t over resampled processes.

    This is one side of `ratio_of_medians`; of one process, `median_interval`.
    """
    groups = [group for group in processes if len(group)]
    if len(groups) < 2:
        return median_interval(groups[0] if groups else (), level, resamples, seed)
    from scipy.special import stdtrit

    center, variance, freedom = _log_median(groups, resamples, np.random.default_rng(seed))
    half = float(np.sqrt(variance)) * float(stdtrit(freedom, (1 + level) / 2))
    low, value, high = (float(np.exp(x)) for x in (center - half, center, center + half))
    return Interval(value, low, high, level)


class Ratio(Struct, frozen=True):
    """How many times `b` is `a`, with its interval, and the p-values for verdicts.

    `p_equal` is of the hypothesis that they are equal (two-sided), `p_apart` of the hypothesis that they differ by the
    margin or more (two one-sided tests: Schuirmann 1987). `processes` are the fewer of the two sides; `assumed` tells
    that one side had a single process, so that the spread between processes is assumed.
    """

    value: float
    low: float
    high: float
    level: float
    p_equal: float
    p_apart: float
    processes: int
    assumed: bool = False


ASSUMED_SPREAD = 0.02
"""Standard deviation of the log of a fresh process's median, taken where there is one process and it cannot be known.

Above the 0.3 to 1.8 % that the kernels of `hwbench bench` showed on a crowded machine (docs/comparing.md)."""


def ratio_of_medians(
    a: Sequence[Sequence[float]],
    b: Sequence[Sequence[float]],
    margin: float,
    level: float = LEVEL,
    resamples: int = RESAMPLES // 2,
    seed: int = 0,
) -> Ratio:
    """Return the median of `b` over that of `a`, each given as the positive samples of each of its processes.

    Processes are resampled, not samples: those of one process resemble each other. The interval is Student's t around
    the log of the ratio, with the bootstrap's standard error enlarged by n / (n - 1) and Welch's degrees of freedom,
    because percentiles of five resampled processes miss the truth twice as often as they say (Hesterberg 2015, The
    American Statistician 69(4); simulated in study/compare/simulation.py). Raises ValueError without samples.
    """
    from scipy.special import stdtr, stdtrit

    random = np.random.default_rng(seed)
    sides = [_log_median([side for side in sides if len(side)], resamples, random) for sides in (a, b)]
    estimate = sides[1][0] - sides[0][0]
    parts = [variance for _, variance, _ in sides]
    error = float(np.sqrt(sum(parts)))
    spread = sum(part**2 / freedom for (_, part, freedom) in sides)
    freedom = sum(parts) ** 2 / spread if spread else float("inf")
    half = error * float(stdtrit(min(freedom, 1e9), (1 + level) / 2))
    edge = float(np.log1p(margin))
    if error:
        p_equal = 2 * float(stdtr(min(freedom, 1e9), -abs(estimate) / error))
        p_apart = float(stdtr(min(freedom, 1e9), (abs(estimate) - edge) / error))
    else:
        p_equal, p_apart = float(estimate == 0), float(abs(estimate) >= edge)
    low, value, high = (float(np.exp(x)) for x in (estimate - half, estimate, estimate + half))
    processes = min(sum(1 for side in sides if len(side)) for sides in (a, b))
    return Ratio(value, low, high, level, p_equal, p_apart, processes, processes < 2)


def _log_median(
    processes: Sequence[Sequence[float]], resamples: int, random: np.random.Generator
) -> tuple[float, float, float]:
    """Return the log of the median of all samples, its variance over resampled processes, and the degrees of freedom.

    Of one process the samples are resampled, and the spread between processes is assumed and known.
    """
    if not processes:
        raise ValueError("a ratio needs a sample on each side")
    alone = len(processes) == 1
    groups = [[value] for value in processes[0]] if alone else processes
    values = np.concatenate([np.asarray(group, dtype=float) for group in groups])
    owners = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    order = np.argsort(values, kind="stable")
    values, owners = np.log(values[order]), owners[order]
    shares = np.full(len(groups), 1 / len(groups))
    medians = np.concatenate(
        [
            _weighted_medians(values, random.multinomial(len(groups), shares, rows)[:, owners])
            for rows in blocks(resamples, values.size)
        ]
    )
    inflation = len(groups) / (len(groups) - 1) if len(groups) > 1 else 1.0
    center = float(_weighted_medians(values, np.ones((1, values.size), dtype=np.int64))[0])
    variance = float(np.var(medians - center)) * inflation + (ASSUMED_SPREAD**2 if alone else 0.0)
    return center, variance, 1e9 if alone else len(groups) - 1.0


def _weighted_medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the median of sorted `values` under each row of whole-number weights."""
    cumulated = np.cumsum(weights, axis=1)
    half = cumulated[:, -1:] / 2
    lower = np.argmax(cumulated >= half, axis=1)
    upper = np.argmax(cumulated > half, axis=1)
    middle: np.ndarray = (values[lower] + values[upper]) / 2
    return middle


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number, so that the chance of any false rejection stays at the level (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
