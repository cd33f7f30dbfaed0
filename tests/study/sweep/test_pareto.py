"""The front of time and power against its definition, device by device."""

import numpy as np
import pytest

from hwbench.study.sweep.panel import pareto, ranks


@pytest.mark.parametrize("seed", range(5))
def test_a_device_is_on_the_front_where_no_other_beats_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    time = random.integers(1, 6, (12, 3)).astype(float)
    power = random.integers(1, 5, 12).astype(float)
    time[0, 0] = time[1, 1] = power[2] = np.nan
    front = pareto(time, power)
    for i, batch in np.ndindex(time.shape):
        beaten = any(
            (time[j, batch] < time[i, batch] and power[j] <= power[i])
            or (time[j, batch] <= time[i, batch] and power[j] < power[i])
            for j in range(12)
        )
        known = not (np.isnan(time[i, batch]) or np.isnan(power[i]))
        assert front[i, batch] == (known and not beaten)


def test_equals_are_on_it_together_and_nobody_where_no_time_is_known() -> None:
    assert pareto(np.array([[1.0], [1.0], [1.0]]), np.array([5.0, 5.0, 6.0])).tolist() == [[True], [True], [False]]
    assert not pareto(np.array([[np.nan], [np.nan]]), np.array([5.0, 6.0])).any()


def test_devices_that_intervals_cannot_tell_apart_have_one_rank() -> None:
    """Times of 10, 8 and 3 s for 1, 2 and 3 W: the second is within the first's interval, the third is not."""
    time, power = np.array([[10.0], [8.0], [3.0], [9.0]]), np.array([1.0, 2.0, 3.0, 4.0])
    low, high = time * 0.8, time * 1.25
    assert ranks(pareto(time, power), low, high, power).tolist() == [[1], [1], [2], [0]]
    touching = np.array([[8.0], [6.0], [3.0], [7.0]]), np.array([[12.0], [10.0], [8.0], [9.0]])
    assert ranks(pareto(time, power), *touching, power).tolist() == [[1], [1], [1], [0]]


def test_a_rank_is_measured_from_its_first_device() -> None:
    """Each device is within the interval of the one before, but not all are within the first one's."""
    time, power = np.array([[10.0], [8.0], [6.0]]), np.array([1.0, 2.0, 3.0])
    low, high = time - 1.5, time + 1.5
    assert ranks(pareto(time, power), low, high, power).tolist() == [[1], [1], [2]]
