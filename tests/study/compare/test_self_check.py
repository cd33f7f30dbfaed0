"""A/A comparisons: simulated machines that are steady, and one that is not."""

import numpy as np
import pytest

from hwbench.measure.record import Measurement, Record, Sample
from hwbench.stats.intervals import proportion_interval
from hwbench.study.compare.self_check import self_check


def a_run(random: np.random.Generator, number: int, spread: float, shift: float = 1.0) -> Record:
    """Three processes with a speed of their own, nine samples each."""
    samples = [
        Sample(float(shift * speed * random.normal(1, 0.002)), 1, process=process)
        for process, speed in enumerate(random.normal(1, spread, 3))
        for _ in range(9)
    ]
    one = Measurement("clock", "scalar", "Hz", 1e9, tuple(samples))
    return Record(
        f"20260101-000000-000-{number:06x}",
        "2026-01-01T00:00:00",
        "0",
        (),
        {},
        {},
        {},
        (one,),
        processes=3,
        turns="both",
    )


def test_a_steady_machine_holds() -> None:
    random = np.random.default_rng(1)
    pairs = [(a_run(random, 2 * n, 0.003), a_run(random, 2 * n + 1, 0.003)) for n in range(40)]
    found = self_check(pairs)
    assert (found.pairs, found.processes, found.kernels) == (40, 3, 1)
    assert found.holds
    assert found.false_positives == 0  # a significant difference would have to be of 3 % too
    assert found.rate == 0
    assert found.interval == proportion_interval(0, 40)
    assert found.significant <= 6  # 5 % of 40, and what chance adds to it once in a hundred times
    assert 0.97 < found.worst_ratio < 1.03


def test_a_machine_that_changes_between_the_runs_of_a_pair_does_not() -> None:
    random = np.random.default_rng(2)
    pairs = [(a_run(random, 2 * n, 0.003), a_run(random, 2 * n + 1, 0.003, 1.08)) for n in range(10)]
    found = self_check(pairs)
    assert found.false_positives == 10
    assert not found.holds
    assert found.worst_ratio == pytest.approx(1 / 1.08, rel=0.01)
    assert found.worst_kernel == "clock scalar"


def test_no_pairs_tell_nothing() -> None:
    with pytest.raises(ValueError, match="needs a pair"):
        self_check([])


@pytest.mark.parametrize(("hits", "count", "low", "high"), [
    (0, 20, 0.0, 0.1684), (1, 20, 0.0013, 0.2487), (20, 20, 0.8316, 1.0), (5, 10, 0.1871, 0.8129),
])  # fmt: skip
def test_the_interval_of_a_share_is_the_published_one(hits: int, count: int, low: float, high: float) -> None:
    """Clopper-Pearson bounds at 95 %, from tables of the binomial distribution."""
    assert proportion_interval(hits, count) == pytest.approx((low, high), abs=5e-5)
