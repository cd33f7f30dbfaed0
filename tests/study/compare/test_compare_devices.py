"""Devices side by side: factors multiply to the ratio whatever the devices, and nothing unknown is dropped."""

import math
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hwbench.cli.commands.compare import SORTS as OFFERED
from hwbench.errors import InputError
from hwbench.machine.device import Device, highest, peaks
from hwbench.machine.parts import Memory
from hwbench.predict.estimate import estimate
from hwbench.predict.forecast import Shares
from hwbench.study.compare import decomposition
from hwbench.study.compare.devices import SORTS, compare
from hwbench.units import BytesPerSecond
from hwbench.workload import load
from tests.shipped import DEVICES

MODELS = {name: load.workload(name) for name in ("alexnet", "resnet18", "mobilenet_v2", "lenet5")}
names = st.sampled_from(sorted(name for name, one in DEVICES.items() if one.units and highest(peaks(one), "fp32")))


@settings(max_examples=150, deadline=None)
@given(names, names)
def test_factors_of_peaks_multiply_to_the_ratio(own: str, base: str) -> None:
    pair = DEVICES[own].peak("fp32"), DEVICES[base].peak("fp32")
    found = decomposition.of_peaks(own, pair[0], base, pair[1])
    assert found.ratio == math.prod(factor.factor for factor in found.factors)
    assert found.ratio == pytest.approx(pair[0].flops_per_second / pair[1].flops_per_second, rel=1e-12)
    assert [factor.name for factor in found.factors] == ["units", "clock", "flops_per_cycle"]
    assert all(factor.factor == factor.ratio for factor in found.factors)


@settings(max_examples=150, deadline=None)
@given(names, names, st.sampled_from(sorted(MODELS)), st.sampled_from([1, 7, 256]), st.sampled_from(["fp32", "fp16"]))
def test_factors_of_times_multiply_to_the_ratio(own: str, base: str, model: str, batch: int, dtype: str) -> None:
    found = compare([DEVICES[base], DEVICES[own]], dtype, MODELS[model], (batch,), baseline=base)
    times = [row.times[0] for row in found.devices if row.times]
    if own == base or len(times) < 2:
        return
    one = found.decompositions[0]
    if None in (times[0].roofline_time_s, times[1].roofline_time_s):
        assert one.of == "peak"
        return
    ratio = (times[0].expected_time_s or times[0].roofline_time_s or 0) / (
        times[1].expected_time_s or times[1].roofline_time_s or 1
    )
    assert one.ratio == math.prod(factor.factor for factor in one.factors)
    assert one.ratio == pytest.approx(ratio, rel=1e-9)
    if abs(math.log(ratio)) > 1e-6:
        assert sum(factor.share or 0 for factor in one.factors) == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(names, names, st.sampled_from(sorted(MODELS)), st.sampled_from([1, 64]))
def test_the_other_way_round_is_the_reciprocal(own: str, base: str, model: str, batch: int) -> None:
    pair = [DEVICES[own], DEVICES[base]]
    there, back = (compare(pair, "fp32", MODELS[model], (batch,), baseline=name) for name in (base, own))
    if own != base:
        for a, b in zip(there.decompositions[0].factors, back.decompositions[0].factors, strict=True):
            assert a.factor * b.factor == pytest.approx(1)


def _changed(device: Device, **settings_of: str) -> Device:
    changed = device.with_(**settings_of)
    return msgspec.structs.replace(changed, name="changed")


def _worth(model: str, batch: int, dtype: str = "fp32", **settings_of: str) -> dict[str, float]:
    """What each factor is worth between an RTX 3090 and one that is changed, by the roofline alone."""
    base, own = DEVICES["rtx3090"], _changed(DEVICES["rtx3090"], **settings_of)
    plain = [estimate(MODELS[model], one, dtype, batch, bounds_only=True) for one in (own, base)]
    found = decomposition.of_times("changed", plain[0], own.peak(dtype), "rtx3090", plain[1], base.peak(dtype))
    assert found.of == "roofline"
    return {factor.name: factor.factor for factor in found.factors}


def test_one_change_is_worth_something_by_itself() -> None:
    wider = _worth("alexnet", 1, bandwidth="1872 GB/s")
    assert wider["bandwidth"] > 1.5  # its weights are read at batch 1
    assert {name: wider[name] for name in ("units", "clock", "flops_per_cycle")} == {
        "units": 1, "clock": 1, "flops_per_cycle": 1,
    }  # fmt: skip
    faster = _worth("alexnet", 256, clock="3.39 GHz")
    assert faster["clock"] > 1.5
    assert (faster["units"], faster["flops_per_cycle"], faster["bandwidth"]) == pytest.approx((1, 1, 1))


def test_a_clock_is_worth_nothing_where_all_waits_for_memory() -> None:
    slow = _changed(DEVICES["rtx3090"], bandwidth="1 GB/s")
    fast = msgspec.structs.replace(_changed(slow, clock="3.39 GHz"), name="both")
    plain = [estimate(MODELS["alexnet"], one, bounds_only=True) for one in (slow, fast)]
    assert plain[0].roofline.bound == "memory"
    one = decomposition.of_times("b", plain[1], fast.peak("fp32"), "a", plain[0], slow.peak("fp32"))
    clock = next(factor for factor in one.factors if factor.name == "clock")
    assert clock.ratio == pytest.approx(2)
    assert clock.factor == pytest.approx(1)


def test_an_expected_time_is_split_by_what_limits_it() -> None:
    """Compute, memory and launches of 1, 2 and 3 s against 4, 2 and 3 s, at four times the peak and the same memory."""
    base, own = (estimate(MODELS["alexnet"], DEVICES[name]) for name in ("rtx3090", "rtx4090"))
    assert base.forecast
    forecasts = [
        msgspec.structs.replace(base.forecast, time_s=sum(parts), shares=Shares(*(part / sum(parts) for part in parts)))
        for parts in ((4.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    ]
    known = [
        msgspec.structs.replace(each, forecast=forecast, peak_flops_per_second=peak, bandwidth_bytes_per_second=1e12)
        for each, forecast, peak in zip((base, own), forecasts, (1e13, 2e13), strict=True)
    ]
    ceilings = [DEVICES["rtx3090"].peak("fp32")] * 2
    found = decomposition.of_times("rtx4090", known[1], ceilings[1], "rtx3090", known[0], ceilings[0])
    worth = {factor.name: factor.factor for factor in found.factors}
    assert (found.of, found.ratio) == ("expected", pytest.approx(9 / 6))
    assert (worth["units"], worth["clock"], worth["bandwidth"], worth["launches"]) == pytest.approx((1, 1, 1, 1))
    weight = math.log(9 / 6) / math.log(4)  # all of the difference is of compute
    assert worth["flops_per_cycle"] == pytest.approx(2**weight)
    assert worth["efficiency"] == pytest.approx(2**weight)


def test_what_waits_for_launches_differs_by_no_factor() -> None:
    base, own = (estimate(load.workload("resnet50"), DEVICES[name], "fp16") for name in ("h100-pcie", "b200"))
    ceilings = [DEVICES[name].peak("fp16") for name in ("h100-pcie", "b200")]
    found = decomposition.of_times("b200", own, ceilings[1], "h100-pcie", base, ceilings[0])
    assert base.bound == own.bound == "overhead"
    assert found.ratio == pytest.approx(1, abs=0.01)
    assert all(factor.factor == pytest.approx(1, abs=0.02) for factor in found.factors)


def test_a_hybrid_cpu_is_the_mean_of_its_units() -> None:
    units, clock, per_cycle = decomposition.parts(DEVICES["i7-12700h"].peak("fp32"))
    assert units == 14
    assert clock == pytest.approx((6 * 4.7e9 + 8 * 3.5e9) / 14)
    assert per_cycle == pytest.approx((6 * 4.7 * 32 + 8 * 3.5 * 16) / (6 * 4.7 + 8 * 3.5))
    row = compare([DEVICES["i7-12700h"]]).devices[0]
    assert [(term.name, term.units, term.clock_hz) for term in row.terms] == [
        ("P-core", 6, 4.7e9),
        ("E-core", 8, 3.5e9),
    ]


def test_unknown_values_are_named_and_their_devices_kept() -> None:
    bare = msgspec.structs.replace(DEVICES["rtx3090"], name="bare", memory=Memory(), power=None)
    found = compare([DEVICES["rtx3090"], bare, DEVICES["athlon-xp-2000plus"]], "bf16", MODELS["alexnet"])
    rows = {row.name: row for row in found.devices}
    assert list(rows) == ["rtx3090", "bare", "athlon-xp-2000plus"]
    assert rows["bare"].bandwidth_bytes_per_second is None
    assert rows["bare"].times[0].roofline_time_s is None
    assert rows["bare"].times[0].ideal_time_s == rows["rtx3090"].times[0].ideal_time_s
    assert rows["bare"].missing[0].startswith("memory bandwidth")
    assert "power" in rows["bare"].missing
    assert rows["athlon-xp-2000plus"].peak_flops_per_second is None
    assert rows["athlon-xp-2000plus"].times == ()
    assert rows["athlon-xp-2000plus"].missing[0] == "bf16 rate"
    assert [(one.device, one.of) for one in found.decompositions] == [("bare", "peak")]


def test_numbers_of_a_row() -> None:
    row = compare([DEVICES["rtx3090"]], "fp16", MODELS["alexnet"], (8,)).devices[0]
    bounds = estimate(MODELS["alexnet"], DEVICES["rtx3090"], "fp16", 8)
    assert row.peak_flops_per_second == bounds.peak_flops_per_second
    assert row.ridge_point == bounds.ridge_point
    assert row.peak_flops_per_second_per_w == bounds.peak_flops_per_second / 350
    assert row.times[0].roofline_time_s == bounds.roofline_time_s
    assert row.times[0].throughput_per_s_per_w == pytest.approx((row.times[0].throughput_per_s or 0) / 350)
    assert {(peak.engine, peak.dtype) for peak in row.peaks} >= {("vector", "fp32"), ("matrix", "fp16")}
    half = next(ceiling for ceiling in row.peaks if (ceiling.engine, ceiling.dtype) == ("matrix", "fp16"))
    assert half.flops_per_second == bounds.peak_flops_per_second


@pytest.mark.sample(2)
@pytest.mark.parametrize("sort", sorted(SORTS))
def test_sorted_with_the_unknown_last(sort: str) -> None:
    bare = msgspec.structs.replace(DEVICES["rtx3090"], name="bare", memory=Memory(), power=None, released=None)
    found = compare([bare, *DEVICES.values()], "fp16", MODELS["alexnet"], sort=sort)
    value, descending = SORTS[sort]
    keys = [value(row) for row in found.devices]
    known = [key for key in keys if key is not None]
    assert None not in keys[: len(known)]
    assert all((a >= b if descending else a <= b) for a, b in pairwise(known))  # type: ignore[operator]
    assert len(found.devices) == len(DEVICES) + 1


def test_a_rate_per_watt_is_never_compared_with_a_peak_per_watt() -> None:
    """A device whose bandwidth is unknown has no inferences/s/W, so that it is last, and not first by its FLOP/s/W."""
    bare = msgspec.structs.replace(DEVICES["rtx4090"], name="bare", memory=Memory())
    found = compare([bare, DEVICES["rtx3090"]], "fp32", MODELS["alexnet"], sort="per-watt")
    assert found.devices[1].times[0].throughput_per_s_per_w is None
    assert [row.name for row in found.devices] == ["rtx3090", "bare"]
    assert [row.name for row in compare([DEVICES["rtx3090"], bare], sort="per-watt").devices] == ["bare", "rtx3090"]


def test_the_command_offers_every_order() -> None:
    assert set(SORTS) == set(OFFERED)


def test_baseline() -> None:
    pair = [DEVICES["rtx3090"], DEVICES["rtx4090"]]
    assert compare(pair).baseline == "rtx3090"
    assert compare(pair, baseline="rtx4090").decompositions[0].device == "rtx3090"
    with pytest.raises(InputError) as caught:
        compare(pair, baseline="rtx3091")
    assert (caught.value.code, caught.value.field) == ("unknown-baseline", "baseline")
    assert "rtx3090" in caught.value.nearest
    with pytest.raises(InputError) as caught:
        compare(pair, sort="time")
    assert (caught.value.code, caught.value.field) == ("needs-model", "sort")


def test_a_runtime_of_one_kind_of_device() -> None:
    found = compare([DEVICES["i9-10940x"], DEVICES["rtx3090"]], "fp32", MODELS["resnet18"], runtime="torch-compile-cpu")
    own, other = found.devices
    assert own.times[0].expected_time_s == pytest.approx(
        estimate(MODELS["resnet18"], DEVICES["i9-10940x"], runtime="torch-compile-cpu").forecast.time_s
    )
    assert other.times[0].expected_time_s is None
    assert other.times[0].roofline_time_s is not None
    assert other.missing == ("expected time, as torch-compile-cpu is not for this kind of device (gpu)",)
    assert found.decompositions[0].of == "roofline"
    with pytest.raises(InputError):
        compare([DEVICES["rtx3090"]], runtime="tensorflow")


def test_notices_name_what_is_assumed() -> None:
    chosen = DEVICES["rtx3090"].with_(clock="2 GHz", bandwidth=str(BytesPerSecond(1e12)))
    assert compare([chosen], "fp32", MODELS["alexnet"]).notices == ()  # what was set is not assumed
    guessed = replace(chosen, provenance=dict.fromkeys(chosen.provenance, "assumed"))
    assert [(notice.code, notice.data) for notice in compare([guessed], "fp32", MODELS["alexnet"]).notices] == [
        ("peaks-assumed-of", {"devices": ["rtx3090"]}),
        ("bandwidths-assumed-of", {"devices": ["rtx3090"]}),
    ]
    large = compare([DEVICES["gtx1050ti"]], "fp32", MODELS["alexnet"], (100_000,))
    assert [notice.code for notice in large.notices] == ["model-does-not-fit-on"]


def test_what_is_compared_is_named_and_the_highest_peak_comes_first() -> None:
    some = [DEVICES[name] for name in ("rtx3060", "rtx4090", "rtx3090")]
    found = compare(some, "fp32", MODELS["lenet5"], (1, 8), sort="peak")
    assert (found.model, found.title, found.batches) == ("lenet5", MODELS["lenet5"].title, (1, 8))
    assert [row.name for row in found.devices] == ["rtx4090", "rtx3090", "rtx3060"]
    bare = compare(some, "fp32", None, (1, 8))
    assert (bare.model, bare.title, bare.batches) == (None, None, ())
    nobody = compare([])
    assert (nobody.baseline, nobody.devices, nobody.decompositions) == (None, (), ())


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", "3060 3090 4090"), ("released", "3090 3060 4090"), ("bandwidth", "4090 3090 3060"),
        ("ridge", "3060 3090 4090"), ("power", "3060 3090 4090"), ("time", "4090 3090 3060"),
        ("per-watt", "4090 3090 3060"),
    ],
)  # fmt: skip
def test_orders_begin_with_the_largest_where_more_is_better(sort: str, order: str) -> None:
    some = [DEVICES[f"rtx{name}"] for name in ("4090", "3060", "3090")]
    found = compare(some, "fp32", MODELS["alexnet"], (256,), sort=sort)
    assert " ".join(row.name.removeprefix("rtx") for row in found.devices) == order
    if sort == "time":  # by the roofline, where the runtime does not run
        bounds = compare(some, "fp32", MODELS["alexnet"], (256,), sort=sort, runtime="torch-eager-cpu")
        assert [row.name for row in bounds.devices] == [row.name for row in found.devices]


def test_what_keeps_a_peak_unknown_is_named() -> None:
    (row,) = compare([DEVICES["rtx3090"]], clock="all_core").devices
    assert row.missing[0] == "all-core clock"
    (row,) = compare([DEVICES["rtx3090"]], "fp8").devices
    assert row.missing[0] == "fp8 rate"
