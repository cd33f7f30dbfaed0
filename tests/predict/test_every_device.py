"""Every model on every device at every dtype: all at once in arrays, and one by one with the models taken in turn."""

import math

import numpy as np
import pytest

from hwbench.dtypes import BITS
from hwbench.errors import InputError
from hwbench.machine.device import Device, peaks
from hwbench.predict.estimate import estimate
from hwbench.predict.forecast import forecast
from hwbench.predict.model.grid import grid
from hwbench.predict.model.runtimes import KERNELS
from tests.shipped import DEVICES, MODELS

NAMES, EVERY = tuple(DEVICES), tuple(DEVICES.values())
ABLE = {device.name: device for device in EVERY if device.memory.bandwidth and device.kind != "accelerator"}


def computes(device: Device, dtype: str) -> bool:
    """Return whether the device has a dense peak of the dtype with an accumulator that frameworks sum in."""
    try:
        device.peak(dtype)
    except InputError:
        return False
    return True


def own_devices(model: str) -> tuple[str, ...]:
    """Return the devices whose turn the model is."""
    return NAMES[list(MODELS).index(model) :: len(MODELS)]


@pytest.mark.sample(1)
@pytest.mark.parametrize("model", MODELS)
def test_every_device_in_arrays(model: str) -> None:
    """The bounds are there wherever the device computes the dtype, and the forecast wherever it can be."""
    bandwidth = np.array([device.memory.bandwidth is not None for device in EVERY])[:, None]
    for dtype in BITS:
        found = grid(MODELS[model], EVERY, dtype, (1, 64))
        able = np.array([computes(device, dtype) for device in EVERY])[:, None]
        timed = able & np.array([[device.name in ABLE and dtype in KERNELS] for device in EVERY])
        wanted = [(able, "ideal"), (able & bandwidth, "roofline")]
        wanted += [(timed, name) for name in ("time", "low", "high", "compute", "memory", "overhead")]
        for known, name in wanted:
            assert (np.isfinite(getattr(found, name)) == known).all(), (dtype, name)
        assert (found.ideal[able[:, 0]] > 0).all(), dtype
        assert (found.ideal <= found.roofline * (1 + 1e-9))[(able & bandwidth)[:, 0]].all(), dtype
        own = timed[:, 0]
        assert ((found.low > 0) & (found.low < found.time) & (found.time < found.high))[own].all(), dtype
        assert (found.compute + found.memory + found.overhead)[own] == pytest.approx(1), dtype


@pytest.mark.sample(1)
@pytest.mark.parametrize("model", MODELS)
def test_every_device_estimates_at_every_dtype_it_has(model: str) -> None:
    for device in map(DEVICES.__getitem__, own_devices(model)):
        for dtype in {p.dtype for p in peaks(device) if p.sparsity == "dense" and computes(device, p.dtype)}:
            found = estimate(MODELS[model], device, dtype)
            assert found.ideal_time_s > 0
            if found.roofline_time_s is None:
                assert device.memory.bandwidth is None
                assert "bandwidth-unknown" in {notice.code for notice in found.notices}
                continue
            assert found.ideal_time_s <= found.roofline_time_s * (1 + 1e-9)
            assert found.roofline.utilization is not None
            assert 0 < found.roofline.utilization <= 1 + 1e-9
            assert found.flops == sum(layer.flops for layer in found.layers)
            assert found.traffic_bytes == sum(layer.traffic_bytes for layer in found.layers)


@pytest.mark.sample(1)
@pytest.mark.parametrize("model", MODELS)
def test_every_device_forecasts_whatever_dtype_is_asked_for(model: str) -> None:
    for device in map(DEVICES.__getitem__, own_devices(model)):
        for dtype in sorted({p.dtype for p in peaks(device)} | {"fp32", "fp16"}):
            for batch in (1, 64):
                found = forecast(MODELS[model], device, dtype, batch)
                if device.name not in ABLE or dtype not in KERNELS:
                    assert found is None
                    continue
                assert found is not None
                assert 0 < found.interval_s[0] < found.time_s < found.interval_s[1] < math.inf
                assert sum(op.time_s for op in found.ops) == pytest.approx(found.time_s)
                assert all(op.time_s > 0 for op in found.ops)
