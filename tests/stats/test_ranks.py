"""Rank correlations against scipy's."""

import numpy as np
import pytest
from scipy import stats

from hwbench.stats.ranks import ranks, spearman, spearman_resampled

A = np.array([3.0, 1.0, 2.0, 2.0, 5.0, 4.0])
B = np.array([1.0, 1.0, 3.0, 2.0, 6.0, 6.0])


def test_equal_values_share_their_mean_rank() -> None:
    assert ranks(A).tolist() == [4.0, 1.0, 2.5, 2.5, 6.0, 5.0]
    assert ranks(B).tolist() == stats.rankdata(B).tolist()


def test_a_correlation_of_ranks() -> None:
    assert spearman(A, B) == pytest.approx(stats.spearmanr(A, B).statistic)
    assert spearman(A, -A) == pytest.approx(-1)
    assert spearman(A, np.ones(6)) is None
    assert spearman(A[:2], B[1:3]) == pytest.approx(-1)


def test_resampled_groups_repeat_their_rows() -> None:
    groups = np.array([0, 0, 1, 1, 2, 3])
    weights = np.array([[1.0, 1, 1, 1], [0, 2, 1, 1], [0, 0, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]])
    found = spearman_resampled(A, B, groups, weights)
    for row in (0, 1):
        chosen = np.repeat(np.arange(6), weights[row][groups].astype(int))
        assert found[row] == pytest.approx(stats.spearmanr(A[chosen], B[chosen]).statistic)
    assert np.isnan(found).tolist() == [False, False, True, True, True]
