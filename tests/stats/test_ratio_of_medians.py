"""Ratios of medians against an independent few-line implementation: numbers, not simulations."""

import numpy as np
import pytest
from scipy import stats

from hwbench.stats.comparison import (
    ASSUMED_SPREAD,
    holm,
    median_interval_over_processes,
    ratio_of_medians,
)

A = [[1.0], [1.02], [1.5]]
B = [[1.1], [1.12], [1.13], [1.9]]


def side(processes: list[list[float]], random: np.random.Generator, resamples: int) -> tuple[float, float, float]:
    """Log of the median, its variance × n / (n - 1), and n - 1 degrees, of processes of one sample each."""
    n = len(processes)
    logs = np.sort(np.log(np.concatenate(processes)))
    drawn = random.multinomial(n, np.full(n, 1 / n), resamples)
    medians = [float(np.median(np.repeat(logs, row))) for row in drawn]
    return float(np.median(logs)), float(np.mean((medians - np.mean(medians)) ** 2)) * n / (n - 1), n - 1.0


def test_a_ratio_is_welchs_t_over_resampled_processes() -> None:
    margin, level, resamples = 0.03, 0.9, 300
    random = np.random.default_rng(7)
    (a, var_a, n_a), (b, var_b, n_b) = (side(each, random, resamples) for each in (A, B))
    error, estimate = (var_a + var_b) ** 0.5, b - a
    freedom = (var_a + var_b) ** 2 / (var_a**2 / n_a + var_b**2 / n_b)
    half = error * stats.t.ppf((1 + level) / 2, freedom)
    ratio = ratio_of_medians(A, B, margin, level, resamples, seed=7)
    assert ratio.value == pytest.approx((1.12 * 1.13) ** 0.5 / 1.02)
    assert (ratio.low, ratio.high) == pytest.approx((np.exp(estimate - half), np.exp(estimate + half)))
    assert ratio.p_equal == pytest.approx(2 * stats.t.sf(estimate / error, freedom))
    assert ratio.p_apart == pytest.approx(stats.t.cdf((estimate - np.log(1 + margin)) / error, freedom))
    assert (ratio.level, ratio.processes, ratio.assumed) == (level, 3, False)


def test_an_interval_over_processes_is_students_t_around_the_log() -> None:
    center, variance, freedom = side(A, np.random.default_rng(3), 200)
    half = variance**0.5 * stats.t.ppf(0.975, freedom)
    found = median_interval_over_processes(A, resamples=200, seed=3)
    expected = (1.02, np.exp(center - half), np.exp(center + half), 0.95)
    assert (found.value, found.low, found.high, found.level) == pytest.approx(expected)


def test_without_any_spread_only_the_ratio_decides() -> None:
    same, twice = [[1.0, 1.0], [1.0]], [[2.0], [2.0, 2.0]]
    ratio = ratio_of_medians(same, twice, margin=1.0)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2, 2, 2))
    assert (ratio.p_equal, ratio.p_apart) == (0.0, 1.0)  # exactly the margin is not within it
    ratio = ratio_of_medians(same, twice, margin=1.1)
    assert (ratio.p_equal, ratio.p_apart) == (0.0, 0.0)
    ratio = ratio_of_medians(same, same, margin=0.1)
    assert (ratio.value, ratio.p_equal, ratio.p_apart) == (1.0, 1.0, 0.0)


def test_one_process_a_side_has_the_assumed_spread_and_a_normal_interval() -> None:
    ratio = ratio_of_medians([[1.0] * 3], [[1.1] * 3], margin=0.03)
    error = 2**0.5 * ASSUMED_SPREAD
    half = error * stats.norm.ppf(0.975)
    assert (ratio.low, ratio.high) == pytest.approx((1.1 * np.exp(-half), 1.1 * np.exp(half)), rel=1e-6)
    assert ratio.p_equal == pytest.approx(2 * stats.norm.sf(np.log(1.1) / error), rel=1e-4)
    assert ratio.p_apart == pytest.approx(stats.norm.cdf(np.log(1.1 / 1.03) / error), rel=1e-6)
    assert (ratio.processes, ratio.assumed) == (1, True)


def test_empty_processes_do_not_count() -> None:
    assert ratio_of_medians([*A, []], [[], *B], 0.03) == ratio_of_medians(A, B, 0.03)
    assert median_interval_over_processes([[], [1.0, 1.0]]).value == 1.0
    with pytest.raises(ValueError, match="sample"):
        ratio_of_medians([[]], B, 0.03)


def test_holm_multiplies_by_how_many_are_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.09, 0.09, 0.9])
    assert holm([0.4, 0.5]) == [0.8, 0.8]
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
