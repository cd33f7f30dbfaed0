"""Intervals of medians and shares against numpy and scipy."""

import numpy as np
import pytest
from scipy import stats

from hwbench.stats.intervals import Interval, median_interval, proportion_interval


def test_half_width_is_a_share_of_the_value() -> None:
    assert Interval(4.0, 3.0, 6.0).half_width == 3 / 8
    assert Interval(-4.0, -6.0, -3.0).half_width == 3 / 8
    assert Interval(0.0, -1.0, 1.0).half_width == float("inf")


def test_a_medians_interval_is_percentiles_of_resampled_medians() -> None:
    samples = [3.0, 1.0, 2.0, 10.0, 4.0, 7.0]
    random = np.random.default_rng(5)
    medians = [np.median([samples[i] for i in row]) for row in random.integers(0, 6, (400, 6))]
    found = median_interval(samples, 0.9, 400, seed=5)
    assert (found.value, found.level) == (3.5, 0.9)
    assert (found.low, found.high) == pytest.approx(np.percentile(medians, [5, 95]))
    assert median_interval([2.0]) == Interval(2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="sample"):
        median_interval([])


@pytest.mark.parametrize(("hits", "count"), [(0, 7), (3, 7), (7, 7), (1, 2)])
def test_a_shares_interval_is_exact(hits: int, count: int) -> None:
    expected = stats.binomtest(hits, count).proportion_ci(0.9, "exact")
    assert proportion_interval(hits, count, 0.9) == pytest.approx((expected.low, expected.high))
