"""Simulated scores of known truth: intervals hold it as often as they say. Seeds are fixed, bounds are binomial."""

import numpy as np
import pytest
from scipy.stats import binom

from hwbench.study import fits

TRIALS = 400
SLOPE = 0.8


def simulated(seed: int, groups: int, spread: float = 0.0) -> tuple[fits.Array, fits.Array, fits.Labels]:
    """Log clock, log score, group: groups of unequal size, each with an effect, and slopes that may differ."""
    random = np.random.default_rng(seed)
    sizes = random.integers(4, 17, groups)
    label = np.repeat(np.arange(groups), sizes)
    clock = random.normal(0, 0.4, groups)[label] + random.normal(0, 0.2, len(label))
    slope = SLOPE + random.normal(0, spread, groups)[label]
    score = slope * clock + random.normal(0, 0.3, groups)[label] + random.normal(0, 0.1, len(label))
    return clock, score, label


@pytest.mark.parametrize(("groups", "spread"), [(10, 0.0), (20, 0.0), (20, 0.2)])
@pytest.mark.parametrize("kind", ["over all", "within"])
def test_slopes_are_held_as_often_as_stated(groups: int, spread: float, kind: str) -> None:
    """The least of the binomial's 99.9 % range under the stated 95 %, and not everything: intervals are no wider."""
    held, widths = 0, []
    for seed in range(TRIALS):
        clock, score, label = simulated(seed, groups, spread)
        if kind == "within":
            design, target, term = fits.within(clock, label)[:, None], fits.within(score, label), 0
        else:
            design = np.column_stack([np.ones(len(clock)), fits.centered(clock)])
            target, term = fits.centered(score), 1
        found = fits.slope(fits.moments(design, target, label), term)
        assert found.interval is not None
        held += found.interval[0] <= SLOPE <= found.interval[1]
        widths.append(found.interval[1] - found.interval[0])
    low, high = binom.interval(0.999, TRIALS, fits.LEVEL)
    assert low <= held <= high, held / TRIALS
    assert float(np.median(widths)) < 1.5


def test_resampled_r_squared_is_centered_on_what_was_found() -> None:
    clock, score, label = simulated(3, 20)
    weights = fits.draws(20)
    total = fits.moments(np.ones((len(clock), 1)), fits.centered(score), label)
    line = fits.moments(np.column_stack([np.ones(len(clock)), fits.centered(clock)]), fits.centered(score), label)
    found = fits.pooled(clock[:, None], score)
    assert found is not None
    resampled = fits.r_squared_resampled(total, line, weights)
    low, high = fits.interval(resampled)  # type: ignore[misc]
    assert low < found < high
    assert float(np.median(resampled)) == pytest.approx(found, abs=0.1)
    unseen = fits.pooled_unseen(clock[:, None], score, label)
    once = fits.unseen_resampled(total, line, np.ones((1, 20)))
    assert once[0] == pytest.approx(unseen, abs=1e-9)  # every group once: no resample at all
    assert fits.r_squared_resampled(total, line, np.ones((1, 20)))[0] == pytest.approx(found, abs=1e-9)


def test_a_resample_counts_the_pairs_of_the_rows_that_it_draws() -> None:
    """Weights on the counts of groups give what the drawn rows give when they are written out and paired."""
    random = np.random.default_rng(7)
    label = np.repeat(np.arange(6), 5)
    clock, score = random.integers(1, 9, 30).astype(float), random.integers(1, 9, 30).astype(float)
    counts = fits.pair_counts(clock, score, label)
    weights = fits.draws(6, 20)
    shares = fits.inversions_resampled(counts, weights)
    for row, share in zip(weights, shares, strict=True):
        chosen = np.repeat(np.arange(30), row[label].astype(int))
        steps = np.sign(clock[chosen][:, None] - clock[chosen][None, :])
        lower = steps * np.sign(score[chosen][:, None] - score[chosen][None, :]) < 0
        assert share == pytest.approx(lower.sum() / (steps != 0).sum())


def test_what_cannot_be_told_is_none() -> None:
    flat = np.zeros(4)
    line = np.arange(4.0)
    groups = np.zeros(4, dtype=np.intp)
    assert fits.spearman(flat, line) is None
    assert fits.r_squared(line, flat) is None
    assert fits.pooled_unseen(line[:, None], line, groups) is None
    assert fits.grouped_unseen(line[:, None], line, np.array([0, 0, 1, 1])) is None
    assert fits.slope(fits.moments(line[:, None], line, groups), 0).interval is None
    assert fits.interval(np.array([np.nan, np.nan, 1.0])) is None
