"""Errors of predictions: as shares of the measured value, by rank correlation, and by coverage of intervals."""

from collections.abc import Sequence
from statistics import fmean, median

import numpy as np
from msgspec import Struct

from hwbench.stats.ranks import spearman

WITHIN = (10, 20, 30)
"""Errors in percent up to which predictions are counted."""
MIN_RANKED = 3


class Metrics(Struct, frozen=True):
    """Errors of `n` predictions. Errors and shares are fractions: 0.08 is 8 %.

    `mape` is the mean, `median_ape` the median of |predicted - measured| / measured, `bias` its mean with the sign
    (above 0 if predicted too long). `within` is the share of predictions with errors up to a percentage, `spearman` the
    rank correlation, None for fewer than three or if all are equal. `interval_coverage` is the share of intervals that
    contain the measured value, `interval_ratio` the median of high / low.
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
    predicted: Sequence[float], measured: Sequence[float], intervals: Sequence[tuple[float, float]] = ()
) -> Metrics:
    """Return the metrics of predictions and measurements in the same unit, all above zero."""
    errors = [(p - m) / m for p, m in zip(predicted, measured, strict=True)]
    sizes = [abs(error) for error in errors]
    covered = [low <= m <= high for (low, high), m in zip(intervals, measured, strict=False)]
    return Metrics(
        n=len(errors),
        mape=fmean(sizes) if sizes else None,
        median_ape=median(sizes) if sizes else None,
        within={str(p): fmean([100 * size <= p for size in sizes]) for p in WITHIN} if sizes else {},
        spearman=spearman(np.array(predicted), np.array(measured)) if len(errors) >= MIN_RANKED else None,
        bias=fmean(errors) if errors else None,
        interval_coverage=fmean(covered) if covered else None,
        interval_ratio=median(high / low for low, high in intervals) if covered else None,
    )
