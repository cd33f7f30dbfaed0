"""Forecasts against our own step times of six networks, in torch on one thread of a machine busy with other work.

The sample is for everybody, where test_ledger.py needs measurements that are not part of the project. Nothing was
fitted to it; its bounds are generous, because other work disturbed the microbenchmarks and the networks alike. How it
was measured is stated in the first lines of the table; `benchmarks/step_times.py` measures another.
"""

from pathlib import Path

import pytest

from hwbench.api import lookup
from hwbench.machine.device import Device
from hwbench.notices import Notice
from hwbench.predict.data import tables
from hwbench.predict.replay.replay import replay
from hwbench.predict.replay.summary import Validation

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def validation() -> Validation:
    def finder(name: str) -> tuple[Device, tuple[Notice, ...]]:
        assert name == "sample"
        return lookup.device(f"run:{GOLDEN / 'step-times-bench.json'}"), ()

    return replay(tables.read([str(GOLDEN / "step-times.csv")]), finder=finder)


def test_every_row_is_predicted(validation: Validation) -> None:
    assert validation.skipped == ()
    assert validation.all.n == 30
    assert len({row.model for row in validation.rows}) == 6


def test_errors_stay_within_generous_bounds(validation: Validation) -> None:
    """MAPE 30 % and bias +25 % when the sample was made, with 73 % of the times within the interval."""
    errors = validation.all
    assert (errors.mape or 1) <= 0.4
    assert (errors.spearman or 0) >= 0.9
    assert (errors.interval_coverage or 0) >= 0.6


def test_forecasts_are_closer_than_the_bounds(validation: Validation) -> None:
    assert (validation.all.mape or 1) < 0.8 * (validation.roofline.mape or 0)
    assert (validation.all.mape or 1) < 0.8 * (validation.ideal.mape or 0)
