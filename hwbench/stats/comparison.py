"""Ratios of medians with their intervals, and p-values for verdicts. Processes are the units that vary, not samples."""

from collections.abc import Sequence
from math import exp, inf, log, log1p, sqrt
from statistics import fmean, median, variance

from msgspec import Struct

from hwbench.stats.intervals import LEVEL, Interval, median_interval, normal_quantile

ASSUMED_SPREAD = 0.02
"""Standard deviation of the log of a fresh process's median, taken where there is one process and it cannot be known.

Above the 0.3 to 1.8 % that the kernels of `hwbench bench` showed on a busy machine (docs/explanation/comparing.md)."""

Kernel = Sequence[Sequence[float]]
"""The positive samples of each process that measured a kernel, in the order in which they were taken."""


class LogMean(Struct, frozen=True):
    """The log of a geometric mean of kernels: of each process, and the variance of their mean with its freedom."""

    processes: tuple[float, ...]
    variance: float
    freedom: float

    @property
    def value(self) -> float:
        """The mean over processes."""
        return fmean(self.processes)


def log_mean(kernels: Sequence[Kernel]) -> LogMean:
    """Return the log of the geometric mean of kernels' medians, each process a mean of the same kernels.

    Every process counts alike, however many samples it has. Of one process the spread between processes is assumed and
    known, and the kernels' own uncertainty is added: each interval is that of a median. Raises ValueError without
    samples.
    """
    whole = [[process for process in kernel if len(process)] for kernel in kernels]
    if not whole or not all(whole):
        raise ValueError("a ratio needs a sample on each side")
    processes = tuple(map(fmean, zip(*([log(median(own)) for own in kernel] for kernel in whole), strict=True)))
    if len(processes) > 1:
        return LogMean(processes, variance(processes) / len(processes), len(processes) - 1.0)
    own = sum(_own_variance(kernel[0]) for kernel in whole) / len(whole) ** 2
    return LogMean(processes, own + ASSUMED_SPREAD**2, inf)


def _own_variance(samples: Sequence[float]) -> float:
    """Return the variance of the log of one process's median."""
    middle = median_interval(samples)
    return float((log(middle.high / middle.low) / (2 * normal_quantile(middle.level))) ** 2)


def median_interval_over_processes(kernel: Kernel, level: float = LEVEL) -> Interval:
    """Return the geometric mean of processes' medians, its interval Student's t; of one process `median_interval`."""
    processes = [process for process in kernel if len(process)]
    if len(processes) < 2 or min(map(median, processes)) <= 0:  # counted in cycles that were not counted
        return median_interval([value for process in processes for value in process], level)
    mean = log_mean([processes])
    return _interval(mean.value, mean.variance, mean.freedom, level)


def _interval(estimate: float, variance: float, freedom: float, level: float) -> Interval:
    """Return the interval of a log, as that of its exponential."""
    half = t_quantile(freedom, level) * sqrt(variance)
    return Interval(exp(estimate), exp(estimate - half), exp(estimate + half), level)


def t_quantile(freedom: float, level: float) -> float:
    """Return how many standard errors around a mean hold `level` of Student's distribution."""
    from scipy.special import stdtrit

    return normal_quantile(level) if freedom == inf else float(stdtrit(freedom, (1 + level) / 2))


class Ratio(Struct, frozen=True):
    """How many times `b` is `a`, with its interval, and the p-values for verdicts.

    `p_equal` is of the hypothesis that they differ by no more than an allowance (two-sided), `p_apart` of the
    hypothesis that they differ by the margin or more (two one-sided tests: Schuirmann 1987). `processes` are the fewer
    of the two sides; `assumed` tells that one side had a single process, so that the spread between them is assumed.
    """

    value: float
    low: float
    high: float
    level: float
    p_equal: float
    p_apart: float
    processes: int
    assumed: bool = False


def ratio_of_medians(
    a: Sequence[Kernel],
    b: Sequence[Kernel],
    margin: float,
    level: float = LEVEL,
    *,
    allowance: float = 0.0,
    paired: bool = False,
) -> Ratio:
    """Return the median of `b` over that of `a`, of one kernel or of the geometric mean of several.

    The interval is Welch's t over processes; `paired` processes were run in turns, and their differences vary less
    where the machine drifts. `allowance` is a share by which both may differ for other reasons. Raises ValueError
    without samples.
    """
    first, second = log_mean(a), log_mean(b)
    estimate, both = second.value - first.value, (first, second)
    fewer = min(len(side.processes) for side in both)
    if paired and fewer > 1:
        differences = [y - x for x, y in zip(first.processes, second.processes, strict=True)]
        total, freedom = variance(differences) / fewer, fewer - 1.0
    else:
        total = sum(side.variance for side in both)
        spread = sum(side.variance**2 / side.freedom for side in both)
        freedom = total**2 / spread if spread else inf
    ratio = _interval(estimate, total, freedom, level)
    away, allowed, edge = abs(estimate), log1p(allowance), log1p(margin)
    if total:
        p_equal = _tail((away - allowed) / sqrt(total), freedom) + _tail((away + allowed) / sqrt(total), freedom)
        p_apart = _tail((edge - away) / sqrt(total), freedom)
    else:
        p_equal, p_apart = float(away <= allowed), float(away >= edge)
    return Ratio(ratio.value, ratio.low, ratio.high, level, p_equal, p_apart, fewer, fewer < 2)


def _tail(deviations: float, freedom: float) -> float:
    """Return the chance that Student's t exceeds so many deviations."""
    from scipy.special import ndtr, stdtr

    return float(ndtr(-deviations) if freedom == inf else stdtr(freedom, -deviations))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number, so that the chance of any false rejection stays at the level (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = list(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
