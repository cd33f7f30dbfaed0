"""Estimates: AlexNet's published story, and laws that hold for every model on every device."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwbench.report.text.estimate  # noqa: F401  which writes estimates
from hwbench.dtypes import BITS
from hwbench.errors import InputError
from hwbench.files import folders
from hwbench.machine import catalog
from hwbench.machine.device import Device
from hwbench.machine.parts import Cache, Clock, Memory, Provenance, Rate, Units
from hwbench.notices import notice
from hwbench.predict.estimate import Estimate, estimate, least_times
from hwbench.predict.forecast import forecast
from hwbench.predict.model.runtimes import Math
from hwbench.units import Bytes, BytesPerSecond, Hertz
from hwbench.workload.ops import Activations, Op, Workload
from hwbench.workload.request import ModelRequest
from hwbench.workload.saved import shipped
from tests.shipped import DEVICES, MODELS

ALEXNET = MODELS["alexnet"]


def without_cache(device: Device) -> Device:
    return msgspec.structs.replace(device, caches=(Cache("L2", Bytes(1)),))


def codes(found: Estimate) -> set[str]:
    return {notice.code for notice in found.notices}


def test_alexnet_on_an_rtx_3090_is_bound_by_reading_its_linear_layers() -> None:
    found = estimate(ALEXNET, DEVICES["rtx3090"])
    assert found.peak_flops_per_second == pytest.approx(35.58e12, rel=0.005)
    assert found.ideal_time_s == pytest.approx(2_270_512_192 / (82 * 1.695e9 * 256))
    assert found.ideal_time_s == pytest.approx(64e-6, rel=0.01)
    assert found.roofline_time_s is not None
    assert found.roofline_time_s >= 260e-6
    linear = [layer for layer in found.layers if layer.kind == "linear"]
    assert [layer.roofline_bound for layer in linear] == ["memory"] * 3
    assert [layer.bound for layer in linear[:2]] == ["memory"] * 2
    assert all(layer.weight_bytes / layer.traffic_bytes > 0.99 for layer in linear)
    conv = [layer for layer in found.layers if layer.kind == "conv"]
    assert [layer.roofline_bound for layer in conv] == ["compute"] * 5
    assert {layer.dtype for layer in conv} == {"tf32"}
    assert {layer.dtype for layer in linear} == {"fp32"}
    # fc6 by hand: 9216 × 4096 weights and 4096 biases, 9216 inputs, 4096 outputs, 4 bytes each
    assert linear[0].traffic_bytes == 4 * (9216 * 4096 + 4096 + 9216 + 4096)
    # at 936 GB/s; of all 62,378,344 weights the second-level cache keeps 6 MiB, and all of fc6's activations
    kept = 6 * 2**20 / (4 * 62_378_344)
    assert linear[0].least_traffic_bytes == pytest.approx(4 * (9216 * 4096 + 4096) * (1 - kept))
    assert linear[0].roofline_time_s == pytest.approx(linear[0].least_traffic_bytes / 936e9)
    assert found.roofline.bound == "memory"
    assert found.fits is True


def test_bounds_and_forecast_stand_side_by_side() -> None:
    found = estimate(ALEXNET, DEVICES["rtx3090"])
    prediction = forecast(ALEXNET, DEVICES["rtx3090"])
    assert prediction is not None
    assert found.forecast == prediction
    assert found.interval_level == prediction.interval_level
    wide = forecast(MODELS["lenet5"], DEVICES["i9-10940x"])
    assert wide is not None
    assert wide.notices
    assert set(wide.notices) <= set(estimate(MODELS["lenet5"], DEVICES["i9-10940x"]).notices)
    assert prediction.throughput_per_s == pytest.approx(1 / prediction.time_s)
    assert found.utilization == pytest.approx(found.ideal_time_s / prediction.time_s)
    assert [layer.expected_time_s for layer in found.layers] == [op.time_s for op in prediction.ops]
    assert [layer.bound for layer in found.layers] == [op.bound for op in prediction.ops]
    assert prediction.interval_level == 0.8
    assert prediction.runtime == "torch-eager-cuda"
    body = found.body()
    assert (body["expected_time_s"], tuple(body["interval_s"])) == (prediction.time_s, prediction.interval_s)
    assert (body["throughput_per_s"], body["bound"]) == (prediction.throughput_per_s, prediction.bound)
    assert body["utilization"] < body["roofline"]["utilization"] < 1
    assert body["throughput_per_s"] < body["roofline"]["throughput_per_s"] == 1 / found.roofline_time_s
    assert sum(body["shares"].values()) == pytest.approx(1)
    assert [layer["expected_time_s"] for layer in body["layers"]] == [op.time_s for op in prediction.ops]


def test_a_forecast_that_nobody_asked_for_or_that_cannot_be_is_null() -> None:
    bare = msgspec.structs.replace(DEVICES["rtx3090"], memory=Memory())
    for found in (estimate(ALEXNET, DEVICES["rtx3090"], bounds_only=True), estimate(ALEXNET, bare)):
        body = found.body()
        names = (
            "expected_time_s",
            "interval_s",
            "interval_level",
            "throughput_per_s",
            "utilization",
            "bound",
            "shares",
        )
        assert [body[name] for name in (*names, "shares", "elasticities", "calibration")] == [None] * len(
            (*names, 1, 2, 3)
        )
        assert all((layer["expected_time_s"], layer["bound"]) == (None, None) for layer in body["layers"])
        assert "forecast" not in body
    assert body["roofline"] == {"throughput_per_s": None, "utilization": None, "bound": None}


def test_only_the_clock_changes_what_the_clock_bounds() -> None:
    device = DEVICES["rtx3090"]
    faster = device.with_(clock="3.39 GHz")  # twice the boost clock
    before, after = estimate(ALEXNET, device), estimate(ALEXNET, faster)
    assert after.ideal_time_s == pytest.approx(before.ideal_time_s / 2)
    for old, new in zip(before.layers, after.layers, strict=True):
        assert old.roofline_time_s is not None
        assert new.roofline_time_s is not None
        if old.kind == "linear":
            assert new.roofline_time_s == old.roofline_time_s
        assert old.roofline_time_s / 2 <= new.roofline_time_s * (1 + 1e-12) <= old.roofline_time_s * (1 + 1e-12)
    assert (after.provenance["peak"], "peak-assumed" in codes(after)) == ("set", False)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(MODELS)), st.sampled_from(["fp32", "fp16"]), st.integers(1, 4096))
def test_a_batch_takes_no_longer_than_its_samples_one_by_one(model: str, dtype: str, batch: int) -> None:
    device = without_cache(DEVICES["a100-sxm4-40gb"])  # a cache may hold what a small batch moves
    one, many = estimate(MODELS[model], device, dtype), estimate(MODELS[model], device, dtype, batch)
    assert one.roofline_time_s is not None
    assert many.roofline_time_s is not None
    assert many.flops == batch * one.flops
    assert one.roofline_time_s <= many.roofline_time_s * (1 + 1e-9)
    assert many.roofline_time_s <= batch * one.roofline_time_s * (1 + 1e-9)
    assert many.ideal_time_s == pytest.approx(batch * one.ideal_time_s)


@pytest.mark.parametrize(("batch", "fits"), [(1, True), (10_000_000, False)])
def test_memory_capacity_is_checked(batch: int, fits: bool) -> None:
    found = estimate(ALEXNET, DEVICES["rtx3090"], "fp32", batch)
    assert found.fits is fits
    assert ("does-not-fit" in codes(found)) is not fits


def test_the_memory_needed_is_weights_and_the_largest_layer() -> None:
    found = estimate(ALEXNET, DEVICES["rtx3090"], "fp32", 8)
    assert found.memory_needed_bytes == 4 * 62_378_344 + 8 * 4 * (3 * 224 * 224 + 96 * 55 * 55)  # conv1


def test_the_memory_needed_in_training_is_that_at_its_peak() -> None:
    step = msgspec.structs.replace(NET, fixed="training", samples=4, batch=4, passes=Activations(4000))
    found = estimate(step, DEVICES["rtx3090"], "fp16", 4)
    assert found.memory_needed_bytes == 2 * (NET.params + 4 * 1000)
    assert found.mode == "training"
    assert "samples/s" in str(found)
    assert "inferences/s" not in str(found)


def test_the_memory_needed_in_mixed_precision_is_that_of_its_own_tensors() -> None:
    workload = shipped.workload(ModelRequest("timm:resnet50", autocast="fp16"))
    assert workload is not None
    found = estimate(workload, DEVICES["rtx3090"], "amp", 512)
    largest = (256 + 128) * 56 * 56  # layer2.0.conv1 in two bytes an element, while the weights stay in four
    assert found.memory_needed_bytes == 4 * 25_557_032 + 512 * 2 * largest
    assert estimate(workload, DEVICES["rtx3090"], "amp", 16384).fits is False


def test_unknown_memory_is_said() -> None:
    bare = msgspec.structs.replace(DEVICES["rtx3090"], memory=Memory())
    found = estimate(ALEXNET, bare)
    assert found.roofline_time_s is None
    assert found.utilization is None
    assert found.fits is None
    assert found.bound is None
    assert all(layer.bound is None for layer in found.layers)
    assert codes(found) == {"bandwidth-unknown", "memory-size-unknown"}


def test_a_dtype_without_a_rate_is_an_error_that_lists_the_others() -> None:
    with pytest.raises(InputError, match="The bf16 rate of gtx1080ti is unknown"):
        estimate(ALEXNET, DEVICES["gtx1080ti"], "bf16")


def test_what_was_not_counted_is_said() -> None:
    odd = Workload("odd", "Odd", (3,), (Op(kind="linear", output_shape=(1,), macs=1),), uncounted=("fft",))
    assert notice("uncounted", ops=["fft"]) in estimate(odd, DEVICES["rtx3090"]).notices


def test_half_the_bytes_and_twice_the_rate_halve_every_time() -> None:
    device = without_cache(DEVICES["a100-sxm4-40gb"])
    single, half = estimate(ALEXNET, device, "tf32"), estimate(ALEXNET, device, "fp16")
    assert half.peak_flops_per_second == pytest.approx(2 * single.peak_flops_per_second)
    assert single.roofline_time_s is not None
    assert half.roofline_time_s == pytest.approx(single.roofline_time_s / 2, rel=1e-6)


def test_every_dtype_of_the_catalog_has_a_size() -> None:
    used = {rate.dtype for architecture in catalog.architectures().values() for rate in architecture.rates}
    assert used <= set(BITS)
    assert folders.files("devices").keys() == DEVICES.keys()


def test_the_main_bound_is_that_of_most_of_the_time() -> None:
    """An op of 2 s of compute and one of 3 s of memory: memory, though by less than a factor of two."""
    rate = Rate("vector", "cuda", "fp32", 100)
    units = (Units("arch", 1, Clock(fixed=Hertz(1e7)), rates=(rate,)),)
    device = without_cache(Device("x", "gpu", "Nobody", units, Memory(bandwidth=BytesPerSecond(4e6))))
    busy = Op("matmul", (1,), macs=1_000_000_000, columns=1, depth=1, name="busy")
    moving = Op("copy", (1,), input_elements=3_000_000, name="moving")
    found = estimate(Workload("w", "w", (1,), (busy, moving)), device, bounds_only=True)
    assert [layer.roofline_time_s for layer in found.layers] == pytest.approx([2.0, 3.0])
    assert [layer.roofline_bound for layer in found.layers] == ["compute", "memory"]
    assert (found.roofline.bound, found.roofline_time_s) == ("memory", pytest.approx(5.0))
    assert (found.roofline.utilization, found.ideal_time_s, found.ridge_point) == (pytest.approx(0.4), 2.0, 250.0)
    longer = msgspec.structs.replace(busy, count=2)
    nothing = Op("relu", (1,), name="nothing")
    net = Workload("w", "w", (1,), (longer, moving, nothing))
    assert estimate(net, device, bounds_only=True).roofline.bound == "compute"


def test_the_least_times_are_those_of_the_estimate() -> None:
    for name, model, dtype, batch in (
        ("rtx3090", "resnet50", "fp32", 8),
        ("a100-sxm4-80gb", "vgg19", "fp16", 64),
        ("i9-10940x", "lenet5", "fp32", 1),
    ):
        found = estimate(MODELS[model], DEVICES[name], dtype, batch, bounds_only=True)
        assert least_times(MODELS[model], DEVICES[name], dtype, batch) == (found.ideal_time_s, found.roofline_time_s)
    thrice = Workload("w", "w", (1,), (Op("relu", (9,), input_elements=9**9, output_elements=9**9, count=3),))
    for net in (
        thrice,
        msgspec.structs.replace(thrice, ops=(msgspec.structs.replace(MODELS["alexnet"].ops[0], count=3),)),
    ):
        found = estimate(net, DEVICES["rtx3090"], batch=64)
        assert least_times(net, DEVICES["rtx3090"], "fp32", 64) == (found.ideal_time_s, found.roofline_time_s)
    assert least_times(thrice, DEVICES["rtx3090"], "fp32", 1) == (
        0.0,
        estimate(thrice, DEVICES["rtx3090"]).roofline_time_s,
    )
    bare = msgspec.structs.replace(DEVICES["rtx3090"], memory=Memory())
    assert least_times(ALEXNET, bare, "fp32", 1) == (estimate(ALEXNET, bare, bounds_only=True).ideal_time_s, None)


def test_the_bounds_of_a_device_with_tensor_cores_are_theirs_unless_strict() -> None:
    device, vgg = DEVICES["a100-sxm4-80gb"], MODELS["vgg19"]
    default, strict = (estimate(vgg, device, batch=64, math=math) for math in get_args(Math))
    assert (default.peak, strict.peak) == (device.peak("tf32").label, device.peak("fp32").label)
    assert [engine.dtype for engine in default.engines] == ["tf32", "fp32"]
    assert default.peak_flops_per_second == pytest.approx(default.least_flops / default.ideal_time_s)
    assert default.flops == default.least_flops == strict.flops
    assert [engine.dtype for engine in strict.engines] == ["fp32"]
    assert strict.peak_flops_per_second == pytest.approx(19.5e12, rel=0.01)
    assert 3 < strict.flops / strict.least_flops < 4  # Winograd's algorithm, in most convolutions
    for found in (default, strict):
        assert found.expected_time_s
        assert found.roofline_time_s
        assert found.ideal_time_s <= found.roofline_time_s <= found.expected_time_s


def test_a_runtime_without_kernels_of_a_dtype_has_no_forecast() -> None:
    found = estimate(ALEXNET, DEVICES["rtx3090"], "int8")
    assert (found.forecast, found.bound) == (None, None)
    assert found.roofline.bound == "memory"
    assert "no-kernels" in codes(found)
    assert "no-kernels" not in codes(estimate(ALEXNET, DEVICES["rtx3090"], "fp16"))


BUSY = Op("matmul", (1,), macs=1_000_000_000, input_elements=1000, columns=1, depth=1, name="busy", count=3)
MOVING = Op("copy", (1,), input_elements=3_000_000, output_elements=1_000_000, name="moving", count=2)
VECTORS = Rate("vector", "cuda", "fp32", 100)


def made_up(*units: Units, size: int | None = None, bandwidth: float | None = 4e6, **origins: Provenance) -> Device:
    """One class of units at 1 GFLOP/s unless others are given, and 4 MB/s."""
    memory = Memory(bandwidth=BytesPerSecond(bandwidth) if bandwidth else None, size=Bytes(size) if size else None)
    units = units or (Units("arch", 1, Clock(fixed=Hertz(1e7)), rates=(VECTORS,)),)
    origin = {name.replace("_", "."): value for name, value in origins.items()}
    return without_cache(Device("x", "gpu", "Nobody", units, memory, provenance=origin))


NET = Workload("w", "w", (1,), (BUSY, MOVING))


def test_bounds_of_a_batch_by_hand() -> None:
    """Of two samples: 3 × 4 GFLOP at 1 GFLOP/s, and 2 × 2 × 16 MB at 4 MB/s."""
    found = estimate(NET, made_up(), batch=2, bounds_only=True)
    busy, moving = found.layers
    assert (found.flops, found.traffic_bytes) == (12 * 10**9, 3 * 8000 + 2 * 32 * 10**6)
    assert (found.ideal_time_s, found.roofline_time_s) == pytest.approx((12, 28))
    assert (found.roofline.throughput_per_s, found.roofline.utilization) == pytest.approx((2 / 28, 12 / 28))
    assert (found.peak_flops_per_second, found.ridge_point) == pytest.approx((1e9, 250))
    assert found.bandwidth_bytes_per_second == 4e6
    assert (busy.count, busy.flops, busy.traffic_bytes, busy.intensity) == (3, 12 * 10**9, 24000, 500_000)
    assert (busy.ideal_time_s, busy.roofline_time_s, busy.least_flops) == pytest.approx((12, 12, 12e9))
    assert (moving.ideal_time_s, moving.intensity, moving.roofline_bound) == (0, 0, "memory")
    assert (moving.roofline_time_s, moving.least_traffic_bytes) == pytest.approx((16, 64e6))
    assert [(engine.dtype, engine.share) for engine in found.engines] == [("fp32", 1.0)]
    assert (busy.utilization, busy.expected_time_s, found.forecast) == (None, None, None)


def test_what_just_fits_fits() -> None:
    needed = estimate(NET, made_up(), bounds_only=True).memory_needed_bytes
    for size, fits in ((needed, True), (needed - 1, False)):
        found = estimate(NET, made_up(size=size), bounds_only=True)
        assert (found.fits, "does-not-fit" in codes(found)) == (fits, not fits)
        assert found.memory_size_bytes == size


def test_origins_of_peak_bandwidth_and_memory() -> None:
    known = estimate(NET, made_up(size=10**9), bounds_only=True)
    assert known.provenance == {"peak": "derived", "bandwidth": "spec", "memory": "spec"}
    assert codes(known) == set()
    assumed = estimate(NET, made_up(memory="assumed", units="assumed", size=10**9), bounds_only=True)
    assert assumed.provenance == {"peak": "assumed", "bandwidth": "assumed", "memory": "assumed"}
    assert codes(assumed) == {"peak-assumed", "bandwidth-assumed"}
    assert assumed.notices[0].data["fields"] == ["units"]
    unknown = estimate(NET, made_up(bandwidth=None), bounds_only=True)
    assert unknown.provenance == {"peak": "derived"}
    assert (unknown.roofline_time_s, unknown.ridge_point, unknown.roofline.bound) == (None, None, None)
    assert [(layer.roofline_time_s, layer.roofline_bound) for layer in unknown.layers] == [(None, None)] * 2


def test_classes_without_a_rate_are_told() -> None:
    clock = Clock(fixed=Hertz(1e7))
    other = Rate("vector", "cuda", "fp64", 10)
    units = (Units("a", 1, clock, rates=(VECTORS,), name="P"), Units("b", 1, clock, rates=(other,), name="E"))
    found = estimate(NET, made_up(*units, size=10**9), bounds_only=True)
    assert notice("rate-missing", units=["E"], dtype="fp32") in found.notices


def test_engines_by_their_share_of_the_time() -> None:
    """Two ops in fp16 of 2 GFLOP each at 4 GFLOP/s take half as long as one in fp32 at 1 GFLOP/s."""
    rates = (VECTORS, Rate("matrix", "cuda", "fp16", 400))
    units = Units("arch", 1, Clock(fixed=Hertz(1e7)), rates=rates)
    half, single = (msgspec.structs.replace(BUSY, dtype=dtype, count=1) for dtype in ("fp16", None))
    ops = (half, single, half)
    found = estimate(Workload("w", "w", (1,), ops), made_up(units), bounds_only=True)
    assert [(engine.dtype, engine.share) for engine in found.engines] == [("fp32", 1 / 3), ("fp16", 2 / 3)]
    assert (found.ideal_time_s, found.peak_flops_per_second) == pytest.approx((3, 2e9))
    assert found.ridge_point == pytest.approx(500)


def test_a_network_that_does_nothing_has_no_rates() -> None:
    found = estimate(Workload("w", "w", (1,), (Op("relu", (1,)),)), DEVICES["rtx3090"], bounds_only=True)
    assert (found.ideal_time_s, found.roofline_time_s) == (0, 0)
    assert (found.roofline.throughput_per_s, found.roofline.utilization) == (None, None)
