"""Ratios of medians against scipy's tests and formulas by hand; simulations say what the methods hold."""

import numpy as np
import pytest
from scipy import stats

from hwbench.stats.comparison import (
    ASSUMED_SPREAD,
    holm,
    log_mean,
    median_interval_over_processes,
    ratio_of_medians,
)
from hwbench.stats.intervals import median_interval

A = [[1.0], [1.02, 1.02], [1.5]]
B = [[1.1], [1.0, 1.12, 2.0], [1.13], [1.9]]
LOG_A, LOG_B = np.log([1.0, 1.02, 1.5]), np.log([1.1, 1.12, 1.13, 1.9])


def test_a_ratio_is_welchs_t_over_the_processes_medians() -> None:
    margin, level = 0.03, 0.9
    expected = stats.ttest_ind(LOG_B, LOG_A, equal_var=False)
    ends = expected.confidence_interval(level)
    ratio = ratio_of_medians([A], [B], margin, level)
    assert ratio.value == pytest.approx(np.exp(LOG_B.mean() - LOG_A.mean()))
    assert (ratio.low, ratio.high) == pytest.approx((np.exp(ends.low), np.exp(ends.high)))
    assert ratio.p_equal == pytest.approx(expected.pvalue)
    error = (LOG_A.var(ddof=1) / 3 + LOG_B.var(ddof=1) / 4) ** 0.5
    away = LOG_B.mean() - LOG_A.mean() - np.log(1 + margin)
    assert ratio.p_apart == pytest.approx(stats.t.cdf(away / error, expected.df))
    assert (ratio.level, ratio.processes, ratio.assumed) == (level, 3, False)


def test_an_allowance_has_to_be_exceeded() -> None:
    a, b = [[1.0], [1.01], [1.02]], [[1.2], [1.21], [1.23]]
    first, second = np.log([1.0, 1.01, 1.02]), np.log([1.2, 1.21, 1.23])
    plain = stats.ttest_ind(second, first, equal_var=False)
    error, away = plain.statistic and (second.mean() - first.mean()) / plain.statistic, second.mean() - first.mean()
    found = ratio_of_medians([a], [b], 0.03, allowance=0.1)
    expected = sum(stats.t.sf((away + side * np.log(1.1)) / error, plain.df) for side in (-1, 1))
    assert found.p_equal == pytest.approx(expected)
    assert found.p_equal > ratio_of_medians([a], [b], 0.03).p_equal == pytest.approx(plain.pvalue)
    assert ratio_of_medians([a], [a], 0.03, allowance=0.1).p_equal == pytest.approx(1)


def test_paired_processes_are_compared_by_their_differences() -> None:
    a, b = [[1.0], [1.1], [1.3]], [[1.05], [1.16], [1.36]]
    differences = np.log([1.05, 1.16 / 1.1, 1.36 / 1.3])
    expected = stats.ttest_1samp(differences, 0)
    ends = expected.confidence_interval(0.95)
    found = ratio_of_medians([a], [b], 0.03, paired=True)
    assert found.value == pytest.approx(np.exp(differences.mean()))
    assert (found.low, found.high) == pytest.approx((np.exp(ends.low), np.exp(ends.high)))
    assert found.p_equal == pytest.approx(expected.pvalue)


def test_an_interval_over_processes_is_students_t_around_the_log() -> None:
    ends = stats.ttest_1samp(LOG_A, 0).confidence_interval(0.9)
    found = median_interval_over_processes(A, 0.9)
    expected = (np.exp(LOG_A.mean()), np.exp(ends.low), np.exp(ends.high), 0.9)
    assert (found.value, found.low, found.high, found.level) == pytest.approx(expected)


def test_two_processes_have_a_spread_of_their_own() -> None:
    found = median_interval_over_processes([[1.0], [1.21]])
    half = stats.t.ppf(0.975, 1) * np.log(1.21) / 2
    assert (found.value, found.low) == pytest.approx((1.1, 1.1 * np.exp(-half)))
    ratio = ratio_of_medians([A[:2]], [B[:2]], 0.03)
    assert (ratio.processes, ratio.assumed) == (2, False)


def test_without_any_spread_only_the_ratio_decides() -> None:
    same, twice = [[1.0, 1.0], [1.0]], [[2.0], [2.0, 2.0]]
    ratio = ratio_of_medians([same], [twice], margin=1.0)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2, 2, 2))
    assert (ratio.p_equal, ratio.p_apart) == (0.0, 1.0)  # exactly the margin is not within it
    ratio = ratio_of_medians([same], [twice], margin=1.1)
    assert (ratio.p_equal, ratio.p_apart) == (0.0, 0.0)
    ratio = ratio_of_medians([same], [same], margin=0.1)
    assert (ratio.value, ratio.p_equal, ratio.p_apart) == (1.0, 1.0, 0.0)


def test_one_process_a_side_has_the_assumed_spread_and_a_normal_interval() -> None:
    ratio = ratio_of_medians([[[1.0] * 3]], [[[1.1] * 3]], margin=0.03)
    error = 2**0.5 * ASSUMED_SPREAD
    half = error * stats.norm.ppf(0.975)
    assert (ratio.low, ratio.high) == pytest.approx((1.1 * np.exp(-half), 1.1 * np.exp(half)), rel=1e-6)
    assert ratio.p_equal == pytest.approx(2 * stats.norm.sf(np.log(1.1) / error), rel=1e-6)
    assert ratio.p_apart == pytest.approx(stats.norm.cdf(np.log(1.1 / 1.03) / error), rel=1e-6)
    assert (ratio.processes, ratio.assumed) == (1, True)


def test_a_mean_of_kernels_of_one_process_has_their_own_variances() -> None:
    kernels = [[[1.0, 1.2, 1.1, 1.15, 1.05]], [[3.0, 5.0, 4.0, 4.5, 3.5]]]
    found, variance = log_mean(kernels), ASSUMED_SPREAD**2
    for (samples,) in kernels:
        own = median_interval(samples)
        variance += (np.log(own.high / own.low) / 2 / stats.norm.ppf(0.975)) ** 2 / 4
    assert found.processes == (pytest.approx(np.log(1.1 * 4) / 2),)
    assert (found.variance, found.freedom) == (pytest.approx(variance), np.inf)
    several = log_mean([A, [[4.0], [9.0], [1.0]]])
    logs = (LOG_A + np.log([4, 9, 1])) / 2
    assert (several.value, several.variance, several.freedom) == pytest.approx((logs.mean(), logs.var(ddof=1) / 3, 2))


def test_empty_processes_do_not_count() -> None:
    assert ratio_of_medians([[*A, []]], [[[], *B]], 0.03) == ratio_of_medians([A], [B], 0.03)
    assert median_interval_over_processes([[], [1.0, 1.0]]).value == 1.0
    assert median_interval_over_processes([[0.0], [1.0, 2.0]]) == median_interval([0.0, 1.0, 2.0])
    for empty in ([[[]]], [[]], []):
        with pytest.raises(ValueError, match="sample"):
            ratio_of_medians(empty, [B], 0.03)


def test_processes_of_unequal_sample_counts_count_alike() -> None:
    """Of five processes one has 200 samples: pooled they would decide alone, and 8 % of A/A pairs would differ."""
    random, trials, differ, held = np.random.default_rng(0), 2000, 0, 0
    for _ in range(trials):
        sides = [
            [np.exp(random.normal(0, 0.01) - random.exponential(0.015, size)).tolist() for size in (9, 9, 9, 9, 200)]
            for _ in range(2)
        ]
        found = ratio_of_medians(sides[:1], sides[1:], 0.03)
        differ += found.p_equal < 0.05
        held += found.low <= 1 <= found.high
    error = (0.05 * 0.95 / trials) ** 0.5
    assert 0.02 < differ / trials <= 0.05 + 3 * error
    assert held / trials >= 0.95 - 3 * error


def test_holm_multiplies_by_how_many_are_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.9])
    assert holm([0.4, 0.5]) == [0.8, 0.8]
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
