"""Metrics against values worked out by hand, scipy, and laws that hold for all."""

import math
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hwbench.predict.replay.metrics import metrics

TIMES = st.lists(st.floats(1e-6, 1e3), min_size=3, max_size=40)


def test_by_hand() -> None:
    found = metrics([1.05, 1.8, 4.0], [1.0, 2.0, 3.0], [(0.9, 1.2), (1.6, 1.9), (2.5, 5.0)])
    assert found.n == 3
    assert found.mape == pytest.approx((0.05 + 0.1 + 1 / 3) / 3)
    assert found.median_ape == pytest.approx(0.1)
    assert found.within == {"10": pytest.approx(2 / 3), "20": pytest.approx(2 / 3), "30": pytest.approx(2 / 3)}
    assert found.bias == pytest.approx((0.05 - 0.1 + 1 / 3) / 3)
    assert found.spearman == pytest.approx(1.0)
    assert found.interval_coverage == pytest.approx(2 / 3)
    assert found.interval_ratio == pytest.approx(1.2 / 0.9)


def test_nothing_to_measure() -> None:
    found = metrics([], [])
    assert (found.n, found.mape, found.bias, found.spearman, found.interval_coverage, found.within) == (
        0, None, None, None, None, {},
    )  # fmt: skip


def test_two_predictions_have_no_rank_correlation() -> None:
    assert metrics([1, 2], [1, 2]).spearman is None
    assert metrics([1, 1, 1], [1, 2, 3]).spearman is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=3, max_size=30))
def test_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    predicted, measured = zip(*pairs, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant input
        theirs = stats.spearmanr(predicted, measured).statistic
    ours = metrics(predicted, measured).spearman
    assert math.isnan(theirs) if ours is None else ours == pytest.approx(theirs, abs=1e-12)


@settings(deadline=None)
@given(TIMES)
def test_a_perfect_prediction(times: list[float]) -> None:
    found = metrics(times, times, [(time, time) for time in times])
    assert found.mape == 0
    assert found.bias == 0
    assert found.within == {"10": 1, "20": 1, "30": 1}
    assert found.interval_coverage == 1


@settings(deadline=None)
@given(TIMES, st.floats(0.1, 10))
def test_units_do_not_matter(times: list[float], scale: float) -> None:
    predicted = [time * (1 + 0.3 * math.sin(index)) for index, time in enumerate(times)]
    one, other = metrics(predicted, times), metrics([scale * p for p in predicted], [scale * t for t in times])
    assert one.mape == pytest.approx(other.mape)
    assert one.bias == pytest.approx(other.bias)
    assert abs(one.bias or 0) <= (one.mape or 0)
    assert list(one.within.values()) == sorted(one.within.values())
