"""Sweeps: each point equals its `estimate`, and the front is the one that trying all pairs gives."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwbench.dtypes import BITS
from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.predict.estimate import estimate
from hwbench.study.sweep.front import Front, some
from hwbench.study.sweep.panel import Panel, pareto
from hwbench.study.sweep.sweep import MAX_PANEL_POINTS, Chunk, capable, chunks, panel
from hwbench.units import Bytes
from hwbench.workload import load
from hwbench.workload.ops import Op, Workload
from tests.shipped import DEVICES

MODELS = {name: load.workload(name) for name in ("alexnet", "resnet18", "mobilenet_v2", "lenet5", "bert-base")}
MIXED = Workload(
    "mixed",
    "Ops of their own dtypes, odd numbers of elements and bytes that follow nothing",
    (3, 5, 7),
    (
        Op("conv", (4, 3), macs=977, input_elements=105, weight_elements=33, output_elements=36, dtype="fp32", count=3),
        Op("embedding", (7,), input_elements=7, fixed_input_bytes=8, fixed_weight_bytes=13, output_elements=49),
        Op("rope", (7,), input_elements=9, output_elements=9, constant=True, fixed_output_bytes=3),
        Op("linear", (1,), macs=35, params=36, input_elements=35, weight_elements=36, output_elements=1),
    ),
    state_elements=11,
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(DEVICES)), min_size=1, max_size=5, unique=True),
    st.sampled_from([*MODELS.values(), MIXED]),
    st.sampled_from([*BITS, "amp"]),
    st.lists(st.integers(1, 100_000), min_size=1, max_size=4, unique=True),
)
def test_a_point_is_what_estimate_says(names: list[str], workload: Workload, dtype: str, batches: list[int]) -> None:
    devices, unable = capable([DEVICES[name] for name in names], workload, dtype)
    assert {device.name for device in devices} | set(unable) == set(names)
    for name in unable:
        with pytest.raises(InputError):
            estimate(workload, DEVICES[name], dtype)
    if not devices:
        return
    found = panel(Chunk(workload, dtype, devices, tuple(batches)))
    for row, device in enumerate(devices):
        for column, batch in enumerate(batches):
            one = estimate(workload, device, dtype, batch)
            assert found.ideal[row, column] == pytest.approx(one.ideal_time_s, rel=1e-12)
            expected = found.expected[row, column]
            assert (None if np.isnan(expected) else expected) == (
                None if one.forecast is None else pytest.approx(one.forecast.time_s, rel=1e-9)
            )
            if one.interval_s is not None:
                ends = found.low[row, column], found.high[row, column]
                assert ends == pytest.approx(one.interval_s, rel=1e-9)
            fits = found.fits[row, column]
            assert (None if np.isnan(fits) else bool(fits)) == one.fits
            if one.roofline_time_s is None:
                assert np.isnan(found.roofline[row, column])
            else:
                assert found.roofline[row, column] == pytest.approx(one.roofline_time_s, rel=1e-12)


def _beaten(time: Any, power: Any, row: int, column: int) -> bool:
    """Whether another device is better in one and no worse in the other."""
    own = time[row, column], power[row]
    return any(
        other <= own[0] and watts <= own[1] and (other < own[0] or watts < own[1])
        for other, watts in zip(time[:, column], power, strict=True)
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 4))
def test_the_front_is_what_trying_all_pairs_finds(seed: int, devices: int, batches: int) -> None:
    random = np.random.default_rng(seed)
    time = random.integers(1, 6, (devices, batches)).astype(float)  # few values: many are equal
    power = random.integers(1, 5, devices).astype(float)
    time[random.random((devices, batches)) < 0.15] = np.nan
    power[random.random(devices) < 0.15] = np.nan
    front = pareto(time, power)
    for row in range(devices):
        for column in range(batches):
            known = not (np.isnan(time[row, column]) or np.isnan(power[row]))
            assert front[row, column] == (known and not _beaten(time, power, row, column))


def test_parts_are_small_and_hold_everything_once() -> None:
    devices = tuple(DEVICES.values())
    found = list(chunks(MODELS["alexnet"], "fp32", devices, range(1, 4001)))
    assert len(found) > 1
    assert all(len(part.devices) * len(part.batches) <= MAX_PANEL_POINTS for part in found)
    assert [batch for part in found for batch in part.batches] == list(range(1, 4001))
    few = list(chunks(MODELS["alexnet"], "fp32", devices[:1], range(1, 20_001)))
    assert [len(part.batches) for part in few] == [8192, 8192, 3616]
    hundred = list(chunks(MODELS["alexnet"], "fp32", devices[:1] * 100, range(1, 9001)))
    assert [len(part.batches) for part in hundred] == [5000, 4000]
    assert len(list(chunks(MODELS["alexnet"], "fp32", devices[:1] * 500_001, (1, 2)))) == 2
    assert list(chunks(MODELS["alexnet"], "fp32", (), range(1, 5))) == []
    whole = list(chunks(MODELS["alexnet"], "fp32", devices[:1], (1, 8)))
    assert [part.batches for part in whole] == [(1, 8)]


def test_a_runtime_of_one_kind_of_device() -> None:
    devices = (DEVICES["rtx3090"], DEVICES["i9-10940x"])
    found = panel(Chunk(MODELS["resnet18"], "fp32", devices, (1, 8), "torch-compile-cpu"))
    assert np.isnan(found.expected[0]).all()
    assert not found.rank[0].any()
    one = estimate(MODELS["resnet18"], devices[1], "fp32", 8, runtime="torch-compile-cpu")
    assert found.expected[1, 1] == pytest.approx(one.forecast.time_s, rel=1e-9)
    with pytest.raises(InputError):
        panel(Chunk(MODELS["resnet18"], "fp32", devices, (1,), "tensorflow"))


def test_a_training_step_has_points_at_its_batch_only() -> None:
    step = msgspec.structs.replace(MODELS["lenet5"], samples=8, batch=8, fixed="training")
    device = DEVICES["rtx3090"]
    found = panel(Chunk(step, "fp32", (device,), (8,)))
    assert found.expected[0, 0] == pytest.approx(estimate(step, device, "fp32", 8).expected_time_s, rel=1e-9)
    needed = step.capacity(32, 8)
    exact, small = (
        msgspec.structs.replace(device, memory=msgspec.structs.replace(device.memory, size=Bytes(size)))
        for size in (needed, needed - 1)
    )
    assert panel(Chunk(step, "fp32", (exact, small), (8,))).fits.tolist() == [[1], [0]]
    for batch in (1, 16):
        with pytest.raises(InputError) as caught:
            panel(Chunk(step, "fp32", (device,), (8, batch)))
        assert (caught.value.code, caught.value.field) == ("batch-not-traced", "batch")


def test_memory_holds_states_of_every_sample() -> None:
    """Odd numbers of elements of 4 bits: params, states and the largest op of 3 samples, in whole bytes."""
    workload = msgspec.structs.replace(MIXED, state_elements=12)
    elements = 36 + 3 * (12 + 105 + 36)
    device, needed = DEVICES["rtx3090"], -(-elements * 4 // 8)
    assert elements % 2 == 1
    sizes = (
        msgspec.structs.replace(device, memory=msgspec.structs.replace(device.memory, size=size and Bytes(size)))
        for size in (needed, needed - 1, None)
    )
    fits = panel(Chunk(workload, "int4", tuple(sizes), (3,))).fits
    assert fits[:2].tolist() == [[1], [0]]
    assert np.isnan(fits[2])
    pair, needed = msgspec.structs.replace(workload, samples=2, batch=2), (36 + 4 * 12 + 2 * (105 + 36)) // 2
    sizes = (
        msgspec.structs.replace(device, memory=msgspec.structs.replace(device.memory, size=Bytes(size)))
        for size in (needed, needed - 1)
    )
    assert panel(Chunk(pair, "int4", tuple(sizes), (4,))).fits.tolist() == [[1], [0]]


def test_the_front_is_gathered_from_all_panels() -> None:
    front = Front((1, 5))
    devices = tuple(DEVICES[name] for name in ("rtx3090", "n100", "rtx4090"))
    batches = (range(1, 4), range(4, 6))
    seen = list(front.watch(panel(Chunk(MODELS["alexnet"], "fp32", devices, own)) for own in batches))
    assert front.points == 15 == sum(one.points for one in seen)
    rows = front.rows()
    assert [(row.batch, row.device) for row in rows if row.batch == 5] == [
        (5, "n100"), (5, "rtx3090"), (5, "rtx4090"),
    ]  # fmt: skip
    assert {row.batch for row in rows} == {1, 5}
    first = estimate(MODELS["alexnet"], DEVICES["n100"])
    assert (rows[0].device, rows[0].rank, rows[0].bound) == ("n100", 1, first.bound)
    assert rows[0].time_s == pytest.approx(first.expected_time_s, rel=1e-9)
    assert rows[0].interval_s == pytest.approx(first.interval_s, rel=1e-9)
    assert rows[0].throughput_per_s == pytest.approx(1 / rows[0].time_s)


def test_a_device_that_is_too_small_for_a_batch_is_on_no_front() -> None:
    found = panel(Chunk(MODELS["resnet18"], "fp32", (DEVICES["gtx1050ti"],), (1, 100_000)))
    assert found.fits.tolist() == [[1, 0]]
    assert np.isfinite(found.expected).all()
    assert found.rank.tolist() == [[1, 0]]


def test_the_batches_whose_fronts_are_listed() -> None:
    assert some((8, 1, 64)) == (8, 1, 64)
    assert some(range(1, 257)) == (1, 16, 256)
    assert some((1, 1000, 2, 3, 40)) == (1, 40, 1000)
    assert some((1, 1000, 2, 3)) == (1, 1000, 2, 3)
    assert some((8, 7, 6, 5, 4, 3, 2, 1, 1000)) == (1, 1000, 1000)  # 32 lies between by ratio
    assert some((1, 2, 3, 4, 5)) == (1, 3, 5)


def test_a_point_without_time_has_no_rate() -> None:
    devices, one = (catalog.device("rtx3090"),), np.ones((1, 1))
    found = Panel(
        "m", "fp32", devices, np.array([8]), one, one, 0 * one, 0 * one, one, 2 * one, one, np.array([9.0]), one
    )
    front = Front([8])
    assert list(front.watch([found])) == [found]
    (row,) = front.rows()
    assert (row.time_s, row.throughput_per_s, row.interval_s) == (0, None, (0, 1))
    assert (row.batch, row.rank, row.power_w, row.bound) == (8, 1, 9.0, "overhead")
    timed = msgspec.structs.replace(found, expected=4 * one)
    front = Front([8])
    assert list(front.watch([timed])) == [timed]
    assert front.rows()[0].throughput_per_s == 2
