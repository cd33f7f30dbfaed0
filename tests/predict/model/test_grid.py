"""Grids of forecasts: equal to forecasts one by one, whatever the number of devices, dtypes and batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.predict.estimate import estimate
from hwbench.predict.forecast import LIMITS, forecast
from hwbench.predict.model.grid import grid
from hwbench.predict.model.runtimes import Math
from hwbench.workload import load
from hwbench.workload.ops import Workload

DEVICES = catalog.devices()
MODELS = load.workloads()
RTX3090 = DEVICES["rtx3090"]
ALEXNET = MODELS["alexnet"]


def time_of(
    workload: Workload, device: Device, dtype: str = "fp32", batch: int = 1, runtime: str | None = None
) -> float:
    found = forecast(workload, device, dtype, batch, runtime)
    assert found is not None
    return found.time_s


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(MODELS)),
    st.lists(st.sampled_from(sorted(DEVICES)), min_size=1, max_size=4, unique=True),
    st.sampled_from(["fp32", "fp16", "int8", "bf16"]),
    st.lists(st.integers(1, 5000), min_size=1, max_size=4),
    st.sampled_from(["default", "strict"]),
)
def test_arrays_and_numbers_agree(model: str, names: list[str], dtype: str, batches: list[int], math: Math) -> None:
    devices = [DEVICES[name] for name in names]
    found = grid(MODELS[model], devices, dtype, batches, math=math)
    assert found.time.shape == found.ideal.shape == (len(devices), len(batches))
    for i, device in enumerate(devices):
        for j, batch in enumerate(batches):
            one = None
            if not np.isnan(found.ideal[i, j]):
                bounds = estimate(MODELS[model], device, dtype, batch, math=math)
                assert found.ideal[i, j] == pytest.approx(bounds.ideal_time_s, rel=1e-9)
                one = bounds.forecast
            if one is None:
                assert np.isnan([found.time[i, j], found.low[i, j], found.bound[i, j]]).all()
                continue
            assert found.time[i, j] == pytest.approx(one.time_s, rel=1e-9)
            assert (found.low[i, j], found.high[i, j]) == pytest.approx(one.interval_s, rel=1e-9)
            shares = found.compute[i, j], found.memory[i, j], found.overhead[i, j]
            assert shares == pytest.approx((one.shares.compute, one.shares.memory, one.shares.overhead), abs=1e-9)
            assert sum(shares) == pytest.approx(1)
            assert getattr(one.shares, LIMITS[int(found.bound[i, j])]) == pytest.approx(max(shares))


def test_a_grid_leaves_out_devices_that_a_runtime_does_not_run_on() -> None:
    found = grid(ALEXNET, [RTX3090, DEVICES["i9-10940x"]], "fp32", [1], "torch-compile-cpu")
    assert np.isnan(found.time[0, 0])
    assert found.roofline[0, 0] > 0
    assert found.time[1, 0] == pytest.approx(time_of(ALEXNET, DEVICES["i9-10940x"], runtime="torch-compile-cpu"))
    with pytest.raises(InputError, match="no runtime"):
        grid(ALEXNET, [RTX3090], "fp32", [1], "nonsense")


def test_many_blocks_are_one_grid() -> None:
    batches = list(range(1, 9001))
    found = grid(ALEXNET, [RTX3090, DEVICES["rtx4090"], DEVICES["a10"]], "fp16", batches)
    assert not np.isnan(found.time).any()
    assert found.time[1, 6999] == pytest.approx(time_of(ALEXNET, DEVICES["rtx4090"], "fp16", 7000))
