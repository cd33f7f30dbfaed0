"""Laws of the roofline: it is a roof."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwbench.predict.roofline import Roofline
from hwbench.workload.ops import Work

RATES = st.floats(1e3, 1e19)
COUNTS = st.integers(0, 10**18)
WORKS = st.builds(Work, flops=COUNTS, input_bytes=COUNTS, weight_bytes=COUNTS, output_bytes=COUNTS)
ROOFS = st.builds(Roofline, peak=RATES, bandwidth=RATES)


def test_a_worked_example() -> None:
    roof = Roofline(peak=100e9, bandwidth=10e9)
    assert roof.ridge_point == 10
    assert roof.attainable(2) == 20e9
    assert roof.attainable(50) == 100e9
    assert roof.time(Work(flops=10**9, input_bytes=10**9)) == 0.1  # 0.01 s of compute, 0.1 s of memory
    assert roof.bound(Work(flops=10**9, input_bytes=10**9)) == "memory"
    assert roof.bound(Work(flops=10**12, input_bytes=10**9)) == "compute"
    assert roof.bound(Work(flops=10**10, input_bytes=10**9)) == "memory"  # at the ridge


@given(ROOFS, WORKS)
def test_no_point_lies_above_the_roof(roof: Roofline, work: Work) -> None:
    time = roof.time(work)
    if time > 0:
        assert work.flops / time <= roof.peak * (1 + 1e-12)
        assert work.flops / time <= roof.attainable(work.intensity) * (1 + 1e-12) or work.traffic == 0
        assert work.traffic / time <= roof.bandwidth * (1 + 1e-12)


@given(ROOFS, WORKS, WORKS)
def test_running_ops_one_by_one_is_never_faster_than_together(roof: Roofline, one: Work, two: Work) -> None:
    together, apart = roof.time(one + two), roof.time(one) + roof.time(two)
    assert together <= apart * (1 + 1e-12)


@given(ROOFS, st.floats(0, 1e12))
def test_attainable_meets_both_ceilings_at_the_ridge(roof: Roofline, intensity: float) -> None:
    attainable = roof.attainable(intensity)
    expected = roof.peak if intensity >= roof.ridge_point else intensity * roof.bandwidth
    assert attainable == pytest.approx(expected, rel=1e-12)


@given(ROOFS, WORKS, st.floats(1, 1e6))
def test_a_faster_machine_is_never_slower(roof: Roofline, work: Work, factor: float) -> None:
    for faster in (Roofline(roof.peak * factor, roof.bandwidth), Roofline(roof.peak, roof.bandwidth * factor)):
        assert faster.time(work) <= roof.time(work)
    both = Roofline(roof.peak * factor, roof.bandwidth * factor)
    assert math.isclose(both.time(work) * factor, roof.time(work), rel_tol=1e-9)
