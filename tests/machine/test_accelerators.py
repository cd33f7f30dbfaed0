"""Accelerators are known by what their vendors state: peaks and memory, but neither units nor clocks."""

import msgspec
import pytest

import hwbench
from hwbench.errors import InputError
from hwbench.machine import catalog
from hwbench.machine.device import Device, peaks
from hwbench.machine.parts import PublishedPeak
from tests.shipped import DEVICES

EVERY = {name: device for name, device in DEVICES.items() if device.kind == "accelerator"}


@pytest.mark.parametrize("device", EVERY.values(), ids=EVERY)
def test_their_peaks_are_the_stated_ones_at_no_clock(device: Device) -> None:
    every = peaks(device)
    assert [peak.flops_per_second for peak in every] == [peak.flops_per_second for peak in device.published]
    assert {(peak.terms, peak.provenance) for peak in every} == {((), "spec")}
    assert peaks(device, "base") == ()


def test_an_accelerator_has_bounds_and_no_forecast() -> None:
    answer = hwbench.estimate("resnet50", "tpu-v5p", dtype="bf16", batch=64)
    assert answer.ideal_time_s == pytest.approx(answer.flops / 459e12)
    assert answer.roofline_time_s is not None
    assert answer.roofline_time_s >= answer.ideal_time_s
    assert (answer.expected_time_s, answer.runtime, answer.terms) == (None, "unmodelled", ())
    assert [notice.code for notice in answer.notices] == ["no-time-model"]


def test_the_grid_has_the_same_bounds() -> None:
    points = hwbench.sweep("resnet50", devices=["tpu-v5p", "gaudi3"], dtypes=["bf16"], batches=[1, 64]).rows
    for point in points:
        alone = hwbench.estimate("resnet50", point["device"], dtype="bf16", batch=point["batch"])
        assert point["roofline_time_s"] == pytest.approx(alone.roofline_time_s)
        assert point["expected_time_s"] is None


def test_units_are_of_cpus_and_gpus_alone() -> None:
    known = catalog.device("rtx3090")
    with pytest.raises(ValueError, match="units"):
        msgspec.structs.replace(known, kind="accelerator").__post_init__()
    with pytest.raises(ValueError, match="units"):
        Device("A card", "gpu", "Nobody", (), published=(PublishedPeak("vector", "fp32", 1e12),))


def test_a_set_bandwidth_moves_the_roofline() -> None:
    device = catalog.device("gaudi3").with_(bandwidth="1 TB/s")
    assert device.memory.bandwidth == 1e12
    with pytest.raises(InputError, match="units"):
        device.with_(units="4")
