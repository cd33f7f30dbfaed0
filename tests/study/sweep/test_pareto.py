"""The front of time and power against its definition, device by device."""

import numpy as np
import pytest

from hwbench.study.sweep.panel import pareto


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
