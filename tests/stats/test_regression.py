"""Regressions against fits from scratch, a group or a row left out at a time."""

import numpy as np
import pytest
from scipy import stats

from hwbench.stats import regression

GROUPS = np.array([0, 0, 0, 1, 1, 2, 2, 3])
X = np.array([0.0, 1.0, 2.5, 0.5, 1.5, 1.0, 3.0, 2.0])
Y = np.array([0.1, 1.3, 2.2, 1.0, 2.4, 0.2, 2.9, 2.6])


def r2(errors: np.ndarray, values: np.ndarray) -> float:
    return 1 - float(np.sum(errors**2) / np.sum((values - values.mean()) ** 2))


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    fit = stats.linregress(x, y)
    return float(fit.slope), float(fit.intercept)


def dummies(groups: np.ndarray) -> np.ndarray:
    return (groups[:, None] == np.unique(groups)).astype(float)


def test_a_slopes_interval_is_the_jackknife_with_groups_less_one_degrees() -> None:
    design = np.column_stack([X, np.ones(8)])
    sums = regression.moments(design, Y, GROUPS)
    value, left = line(X, Y)[0], [line(X[g != GROUPS], Y[g != GROUPS])[0] for g in range(4)]
    error = np.sqrt(3 / 4 * sum((each - value) ** 2 for each in left))
    half = error * stats.t.ppf(0.95, 3)
    found = regression.slope(sums, 0, 0.9)
    assert found.value == pytest.approx(value)
    assert found.interval == pytest.approx((value - half, value + half))
    few = regression.moments(design[GROUPS < 2], Y[GROUPS < 2], GROUPS[GROUPS < 2])
    assert regression.slope(few, 0).interval is None


def test_three_groups_are_enough_for_an_interval() -> None:
    design = np.column_stack([X, np.ones(8)])[GROUPS < 3]
    sums = regression.moments(design, Y[GROUPS < 3], GROUPS[GROUPS < 3])
    assert regression.slope(sums, 0).interval is not None
    assert regression.slope(sums[:2], 0).interval is None


def test_groups_lose_their_means_also_those_of_one_row_and_those_of_none() -> None:
    labels = np.array([0, 0, 2])
    assert regression.within(np.array([1.0, 3.0, 7.0]), labels).tolist() == [-1, 1, 0]
    matrix = np.array([[1.0, 10.0], [3.0, 30.0], [7.0, 70.0]])
    assert regression.within(matrix, labels).tolist() == [[-1, -10], [1, 10], [0, 0]]


def test_pooled_and_grouped_fits() -> None:
    slope, constant = line(X, Y)
    assert regression.pooled(X[:, None], Y) == pytest.approx(r2(Y - slope * X - constant, Y))
    full = np.column_stack([X, dummies(GROUPS)])
    residuals = Y - full @ np.linalg.lstsq(full, Y, rcond=None)[0]
    assert regression.grouped(X[:, None], Y, GROUPS) == pytest.approx(r2(residuals, Y))
    assert regression.r_squared(np.zeros(3), np.ones(3)) is None
    assert regression.r_squared(np.array([0.1, 0.1]), np.array([0.1, 0.3])) == pytest.approx(0)


def test_groups_left_out() -> None:
    errors = np.empty(8)
    effects = np.empty(8)
    for g in range(4):
        out = g == GROUPS
        slope, constant = line(X[~out], Y[~out])
        errors[out] = Y[out] - slope * X[out] - constant
        full = np.column_stack([X[~out], dummies(GROUPS[~out])])
        slope, *intercepts = np.linalg.lstsq(full, Y[~out], rcond=None)[0]
        effects[out] = Y[out] - slope * X[out] - np.mean(intercepts)
    assert regression.pooled_unseen(X[:, None], Y, GROUPS) == pytest.approx(r2(errors, Y))
    assert regression.grouped_unseen(X[:, None], Y, GROUPS) == pytest.approx(r2(effects, Y))
    one, two = GROUPS < 1, GROUPS < 2
    assert regression.pooled_unseen(X[one, None], Y[one], GROUPS[one]) is None
    assert regression.pooled_unseen(X[two, None], Y[two], GROUPS[two]) is not None
    assert regression.grouped_unseen(X[two, None], Y[two], GROUPS[two]) is None


def test_rows_left_out_need_a_neighbor_in_their_group() -> None:
    errors = np.empty(7)
    for row in range(7):
        rest = np.arange(8) != row
        full = np.column_stack([X[rest], dummies(GROUPS)[rest]])
        errors[row] = Y[row] - np.array([X[row], *dummies(GROUPS)[row]]) @ np.linalg.lstsq(full, Y[rest], rcond=None)[0]
    value, rows = regression.grouped_seen(X[:, None], Y, GROUPS)
    assert (value, rows) == (pytest.approx(r2(errors, Y[:7])), 7)
    assert regression.grouped_seen(X[:2, None], Y[:2], np.array([0, 1])) == (None, 0)


def test_resampled_fits_are_fits_of_the_repeated_rows() -> None:
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 1, 1], [0, 2, 2, 0]])
    ones = np.ones((8, 1))
    total = regression.moments(ones, Y, GROUPS)
    fitted = regression.moments(np.column_stack([X, ones]), Y, GROUPS)
    found, unseen = (
        resampled(total, fitted, weights) for resampled in (regression.r_squared_resampled, regression.unseen_resampled)
    )
    for row, drawn in enumerate(weights):
        repeats = drawn[GROUPS].astype(int)
        x, y, groups = (np.repeat(each, repeats) for each in (X, Y, GROUPS))
        slope, constant = line(x, y)
        assert found[row] == pytest.approx(r2(y - slope * x - constant, y))
        assert unseen[row] == pytest.approx(regression.pooled_unseen(x[:, None], y, groups))


def test_intervals_of_r_squared_are_jackknives_of_its_transforms() -> None:
    ones = np.ones((8, 1))
    total = regression.moments(ones, Y, GROUPS)
    fitted = regression.moments(np.column_stack([X, ones]), Y, GROUPS)

    def unseen(rows: np.ndarray) -> float:
        return regression.pooled_unseen(X[rows, None], Y[rows], GROUPS[rows]) or np.nan

    def root(rows: np.ndarray) -> float:
        return abs(float(np.corrcoef(X[rows], Y[rows])[0, 1]))

    every = np.ones(8, dtype=bool)
    parts = [g != GROUPS for g in range(4)]
    for interval, transformed, back in (
        (regression.r_squared_interval, lambda rows: np.arctanh(root(rows)), lambda z: np.tanh(max(z, 0)) ** 2),
        (regression.unseen_interval, lambda rows: -np.log(1 - unseen(rows)), lambda z: 1 - np.exp(-z)),
    ):
        value, left = transformed(every), np.array([transformed(rows) for rows in parts])
        half = np.sqrt(3 / 4 * np.sum((left - value) ** 2)) * stats.t.ppf(0.95, 3)
        assert interval(total, fitted, 0.9) == pytest.approx((back(value - half), back(value + half)))
        assert interval(total[:2], fitted[:2]) is None


def test_percentiles_need_values_in_half_of_the_resamples() -> None:
    nan = np.nan
    assert regression.interval(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), 0.5) == (1.0, 3.0)
    assert regression.interval(np.array([0.0, 4.0, nan, nan]), 0.5) == (1.0, 3.0)
    assert regression.interval(np.array([0.0, 4.0, nan, nan, nan]), 0.5) is None
    assert regression.interval(np.array([0.0]), 0.5) is None


def test_inversions_by_pairs() -> None:
    clock, score, groups = np.array([1.0, 2.0, 3.0, 3.0, 4.0]), np.array([2.0, 1.0, 3.0, 9.0, 4.0]), [0, 0, 1, 1, 2]
    counts = regression.pair_counts(clock, score, np.array(groups))
    weights = np.array([[1.0, 1, 1], [2, 0, 1], [1, 2, 0]])
    for drawn, share in zip(weights, regression.inversions_resampled(counts, weights), strict=True):
        inverted = apart = 0.0
        for i in range(5):
            for j in range(i):
                weight = drawn[groups[i]] * drawn[groups[j]]
                apart += weight * (clock[i] != clock[j])
                inverted += weight * ((clock[i] - clock[j]) * (score[i] - score[j]) < 0)
        assert share == pytest.approx(inverted / apart)
    near = np.zeros((5, 5), dtype=bool)
    near[0, 1] = near[1, 0] = True
    assert regression.pair_counts(clock, score, np.array(groups), near).pairs.sum() == 2


def test_draws_take_as_many_groups_as_there_are_each_as_often() -> None:
    drawn = regression.draws(4)
    assert drawn.shape == (2000, 4)
    assert (drawn.sum(axis=1) == 4).all()
    error = (4 * 1 / 4 * 3 / 4 / len(drawn)) ** 0.5
    assert np.abs(drawn.mean(axis=0) - 1).max() < 4 * error
    assert drawn.var(axis=0) == pytest.approx(np.full(4, 3 / 4), rel=0.15)
    assert (regression.draws(4, 5, seed=0) == regression.draws(4, 5)).all()
    assert (regression.draws(4, 5, seed=1) != regression.draws(4, 5)).any()
