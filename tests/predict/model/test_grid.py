"""Grids of forecasts: equal to forecasts one by one, whatever the number of devices, dtypes and batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.predict.forecast import forecast
from hwbench.predict.model.grid import grid
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
    st.lists(st.sampled_from(["fp32", "fp16", "int8", "bf16"]), min_size=1, max_size=2, unique=True),
    st.lists(st.integers(1, 5000), min_size=1, max_size=4),
)
def test_arrays_and_numbers_agree(model: str, names: list[str], dtypes: list[str], batches: list[int]) -> None:
    devices = [DEVICES[name] for name in names]
    found = grid(MODELS[model], devices, dtypes, batches)
    assert found.shape == (len(devices), len(dtypes), len(batches))
    for i, device in enumerate(devices):
        for j, dtype in enumerate(dtypes):
            for k, batch in enumerate(batches):
                one = forecast(MODELS[model], device, dtype, batch)
                if one is None:
                    assert np.isnan(found[i, j, k])
                else:
                    assert found[i, j, k] == pytest.approx(one.time_s, rel=1e-9)


def test_a_grid_leaves_out_devices_that_a_runtime_does_not_run_on() -> None:
    found = grid(ALEXNET, [RTX3090, DEVICES["i9-10940x"]], ["fp32"], [1], "torch-compile-cpu")
    assert np.isnan(found[0, 0, 0])
    assert found[1, 0, 0] == pytest.approx(time_of(ALEXNET, DEVICES["i9-10940x"], runtime="torch-compile-cpu"))
    with pytest.raises(InputError, match="no runtime"):
        grid(ALEXNET, [RTX3090], ["fp32"], [1], "nonsense")


def test_many_blocks_are_one_grid() -> None:
    batches = list(range(1, 9001))
    found = grid(ALEXNET, [RTX3090, DEVICES["rtx4090"], DEVICES["a10"]], ["fp16"], batches)
    assert not np.isnan(found).any()
    assert found[1, 0, 6999] == pytest.approx(time_of(ALEXNET, DEVICES["rtx4090"], "fp16", 7000))
