"""Grids of forecasts: equal to forecasts one by one, whatever the number of devices, dtypes and batches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.predict.estimate import estimate
from hwbench.predict.forecast import LIMITS, forecast
from hwbench.predict.model import bounds, scalar, time
from hwbench.predict.model.bounds import ceilings_of, engines
from hwbench.predict.model.grid import grid, stacked
from hwbench.predict.model.hardware import hardware_of
from hwbench.predict.model.launch import launches_of
from hwbench.predict.model.parameters import PartFactors, parameters
from hwbench.predict.model.runtimes import Math
from hwbench.workload.ops import Op, Workload
from tests.shipped import DEVICES, MODELS

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


SMALL = Workload(
    "small", "A product, a norm whose traffic nothing hides, and an op of no family", (4096,),
    (
        Op("linear", (4096,), macs=1 << 24, params=1 << 24, input_elements=4096, weight_elements=1 << 24,
           output_elements=4096, columns=4096, depth=4096),
        Op("layer_norm", (4096,), input_elements=4096 << 12, output_elements=4096 << 12, count=3),
        Op("strange", (4096,), input_elements=4096 << 10, output_elements=4096 << 10, count=2),
    ),
)  # fmt: skip


def test_parts_of_a_grid_are_sums_over_launches() -> None:
    """As `time` and `bounds` give them launch by launch, with numbers instead of arrays."""
    device, batch = DEVICES["rtx4090"], 4096
    found = grid(SMALL, [device], "fp16", [batch])
    hardware, ceilings = hardware_of(device, {"fp16"}), ceilings_of(device, *engines(device, {"fp16"}))
    runtime, weights = parameters().runtimes["torch-eager-cuda"], time.weight_bytes(SMALL, 16)
    assert hardware is not None
    hardware = replace(hardware, expected=runtime.factors(device.label, hardware.architecture))
    ideal = roofline = in_memory = compute = memory = 0.0
    kept: list[tuple[float, float]] = []
    for launch in launches_of(SMALL, batch, 16):
        least, traffic = bounds.least(scalar, launch, "fp16", ceilings, weights, False)
        ideal, roofline = ideal + least * launch.count, roofline + max(least, traffic / 1008e9) * launch.count
        in_memory += traffic / 1008e9 * launch.count if traffic / 1008e9 >= least else 0.0
        one = time.launch_time(scalar, launch, "fp16", hardware, runtime, weights)
        own = time.parts(scalar, one, runtime)
        compute, memory = compute + own[0] * launch.count, memory + own[1] * launch.count
        kept.append((time.device_time(scalar, one, runtime) * launch.count, one.host * launch.count))
    assert 0 < in_memory < roofline
    assert (found.ideal[0, 0], found.roofline[0, 0]) == pytest.approx((ideal, roofline))
    assert found.memory_roofline[0, 0] == pytest.approx(in_memory)
    on_device, on_host = (sum(each[index] for each in kept) for index in (0, 1))
    total = (on_device**4 + on_host**4) ** 0.25
    shares = [(on_device / total) ** 3 / total, (on_host / total) ** 3 / total]  # of a second more on either
    assert found.time[0, 0] == pytest.approx(total)
    assert (found.compute[0, 0], found.memory[0, 0]) == pytest.approx((shares[0] * compute, shares[0] * memory))
    assert found.unknown[0, 0] == pytest.approx(shares[0] * kept[2][0] + shares[1] * kept[2][1])
    assert found.overhead[0, 0] == pytest.approx(1 - shares[0] * (compute + memory))


def test_an_op_of_no_family_has_a_share_of_what_the_host_takes() -> None:
    tiny = replace(SMALL, ops=(SMALL.ops[0], Op("strange", (8,), input_elements=8, output_elements=8, count=9)))
    one = forecast(tiny, RTX3090, "fp16", 1)
    assert one is not None
    assert one.ops[1].shares.whole > 0.4
    assert grid(tiny, [RTX3090], "fp16", [1]).unknown[0, 0] == pytest.approx(one.ops[1].shares.whole, rel=1e-9)


def test_structs_of_numbers_become_structs_of_arrays() -> None:
    pair = [PartFactors(2.0, 3.0), PartFactors(5.0, 7.0)]
    assert stacked(pair).memory.tolist() == [3, 7]
    assert stacked(pair, (-1, 1)).compute.tolist() == [[2], [5]]
    assert stacked([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])["a"].tolist() == [1, 2]
    assert stacked([{"b": "x"}, {"b": "y"}]) == {"b": "x"}
    assert stacked([True, False]).tolist() == [True, False]
    assert stacked([True, True]) is True
    assert stacked([1, 1]).dtype == float


@pytest.mark.parametrize(("block", "rows"), [(1, 3), (5, 3), (12, 5), (100, 2)])
def test_blocks_of_any_size_give_the_same_grid(block: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [DEVICES[name] for name in ("rtx3090", "rtx4090", "a10", "i9-10940x", "apple-m1-max-gpu")][:rows]
    whole = grid(ALEXNET, devices, "fp32", range(1, 8))
    monkeypatch.setattr("hwbench.predict.model.grid.BLOCK", block)
    parts = grid(ALEXNET, devices, "fp32", range(1, 8))
    for field in ("ideal", "roofline", "memory_roofline", "time", "compute", "memory", "unknown", "low", "high"):
        assert getattr(parts, field) == pytest.approx(getattr(whole, field), nan_ok=True), field


def test_many_blocks_are_one_grid() -> None:
    batches = list(range(1, 9001))
    found = grid(ALEXNET, [RTX3090, DEVICES["rtx4090"], DEVICES["a10"]], "fp16", batches)
    assert not np.isnan(found.time).any()
    assert found.time[1, 6999] == pytest.approx(time_of(ALEXNET, DEVICES["rtx4090"], "fp16", 7000))
