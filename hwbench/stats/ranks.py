"""Rank correlation, of all rows and of resampled groups of rows."""

import numpy as np

from hwbench.stats.regression import Array, Labels, centered


def ranks(values: Array) -> Array:
    """Return ranks from 1; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(a: Array, b: Array) -> float | None:
    """Return the rank correlation; None where one side does not vary."""
    x, y = centered(ranks(a)), centered(ranks(b))
    size = float(np.sqrt(np.sum(x**2) * np.sum(y**2)))
    return float(np.sum(x * y)) / size if size > 0 else None


def spearman_resampled(a: Array, b: Array, groups: Labels, weights: Array) -> Array:
    """Return the rank correlation of each resample of groups, NaN where there is none."""
    drawn = (np.repeat(np.arange(len(a)), row[groups].astype(int)) for row in weights)
    values = (spearman(a[rows], b[rows]) if len(rows) else None for rows in drawn)
    return np.array(list(values), dtype=float)
