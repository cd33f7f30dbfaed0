"""How far predictions lie from measurements: errors as shares of the measured value, rank correlation, coverage."""

from collections.abc import Sequence
from statistics import fmean, median

from msgspec import Struct

WITHIN = (10, 20, 30)
"""Errors in percent up to which predictions are counted."""


class Metrics(Struct, frozen=True):
    """Errors of `n` predictions. Errors and shares are fractions: 0.08 is 8 %.

    `mape` is the mean, `median_ape` the median of |predicted - measured| / measured, `bias` the mean of it with its
    sign (above 0: predicted too long); `within` the share of predictions whose error is at most so many percent;
    `spearman` the rank correlation, None for fewer than three or where all are alike. Of intervals: the share that
    holds the measured value, and the median of high / low.
    """

    n: int
    mape: float | None
    median_ape: float | None
    within: dict[str, float]
    spearman: float | None
    bias: float | None
    interval_coverage: float | None = None
    interval_ratio: float | None = None


def metrics(
    predicted: Sequence[float], measured: Sequence[float], intervals: Sequence[tuple[float, float] | None] = ()
) -> Metrics:
    """The metrics of predictions beside measurements in the same unit, all above zero."""
    errors = [(p - m) / m for p, m in zip(predicted, measured, strict=True)]
    sizes = [abs(error) for error in errors]
    known = [(i, m) for i, m in zip(intervals, measured, strict=False) if i is not None]
    return Metrics(
        n=len(errors),
        mape=fmean(sizes) if sizes else None,
        median_ape=median(sizes) if sizes else None,
        within={str(p): _share([100 * size <= p for size in sizes]) for p in WITHIN} if sizes else {},
        spearman=spearman(predicted, measured),
        bias=fmean(errors) if errors else None,
        interval_coverage=_share([low <= m <= high for (low, high), m in known]) if known else None,
        interval_ratio=median(high / low for (low, high), _ in known) if known else None,
    )


def _share(told: list[bool]) -> float:
    return sum(told) / len(told)


def spearman(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Rank correlation (Spearman 1904), ties given their mean rank; None where it is not defined."""
    if len(a) < 3:
        return None
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    middle = (len(a) + 1) / 2
    covariance = sum((x - middle) * (y - middle) for x, y in zip(ranks_a, ranks_b, strict=True))
    spread = (sum((x - middle) ** 2 for x in ranks_a) * sum((y - middle) ** 2 for y in ranks_b)) ** 0.5
    return covariance / spread if spread else None


def _ranks(values: Sequence[float]) -> list[float]:
    """Rank of each value from 1, equal values sharing the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for position in order[start:end]:
            ranks[position] = (start + 1 + end) / 2
        start = end
    return ranks
