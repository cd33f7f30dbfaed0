"""The expected time: laws of the model, what it says of unknown things, and its interval."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine.device import Device
from hwbench.machine.parts import DeviceCalibration, Laptop, Memory, Sustained, SustainedRate
from hwbench.notices import notice
from hwbench.predict.forecast import WIDE, forecast
from hwbench.predict.model import scalar
from hwbench.predict.model.hardware import hardware_of, power_share
from hwbench.predict.model.interval import RELATED
from hwbench.predict.model.parameters import Spread, parameters
from hwbench.predict.model.time import device_time, launch_times
from hwbench.units import BytesPerSecond, FlopsPerSecond, Hertz, Seconds, Watts
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


def test_parts_add_up_to_alexnet_by_hand() -> None:
    found, hardware = forecast(ALEXNET, RTX3090), hardware_of(RTX3090, {"fp32", "tf32"})
    runtime = parameters().runtimes["torch-eager-cuda"]
    assert found is not None
    assert hardware is not None
    assert runtime.gpu is not None
    times = launch_times(scalar, ALEXNET, hardware, "fp32", 32, 1, runtime)
    index = [op.name for op in ALEXNET.ops].index("fc6")
    fc6, launch = found.ops[index], times[index]
    assert fc6.bound == "memory"
    weights = 4 * (9216 * 4096 + 4096)  # far more than a cache of 6 MiB holds
    fitted = runtime.factors("rtx3090", "ampere")
    streamed = weights / (936e9 * runtime.gpu.memory["linear"]) * fitted.memory
    least = weights * (1 - 6 * 2**20 / (4 * 62_378_344)) / 936e9  # that cache may keep its part of all weights
    alone = math.hypot(launch.compute, max(streamed, least)) + runtime.gpu.launch * fitted.overhead
    waiting = found.time_s - sum(device_time(scalar, time, runtime) * time.count for time in times)
    assert fc6.time_s - waiting * launch.host / found.host_s == pytest.approx(alone, rel=0.01)
    shares = (found.shares.compute, found.shares.memory, found.shares.overhead)
    assert shares == pytest.approx((0.144, 0.329, 0.527), abs=0.001)  # a single image waits for launches


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(MODELS)),
    st.sampled_from(["rtx3090", "h100-sxm", "mi300x", "titan-x-maxwell", "i9-10940x", "epyc-7763"]),
    st.sampled_from(["fp32", "fp16"]),
    st.integers(1, 2048),
    st.sampled_from([1.5, 2.0, 10.0]),
)
def test_better_machines_and_smaller_batches_are_never_slower(
    model: str, name: str, dtype: str, batch: int, factor: float
) -> None:
    device, workload = DEVICES[name], MODELS[model]
    before = time_of(workload, device, dtype, batch)
    assert device.memory.bandwidth
    wider = replace(device.memory, bandwidth=BytesPerSecond(device.memory.bandwidth * factor))
    assert time_of(workload, replace(device, memory=wider), dtype, batch) <= before * (1 + 1e-9)
    assert time_of(workload, device, dtype, batch + 1) >= before * (1 - 1e-9)
    assert time_of(workload, device, dtype, batch) == before


def test_a_higher_clock_shortens_what_computes_and_nothing_else() -> None:
    faster = RTX3090.with_(clock="3.39 GHz")  # twice the boost clock
    vgg = MODELS["vgg16"]
    assert time_of(vgg, faster, batch=64) < 0.65 * time_of(vgg, RTX3090, batch=64)
    fc = Workload("fc", "fc", (4096,), tuple(op for op in ALEXNET.ops if op.name == "fc7"))
    assert time_of(fc, faster) > 0.9 * time_of(fc, RTX3090)


def test_elasticities_are_the_derivatives() -> None:
    vgg = MODELS["vgg16"]
    found = forecast(vgg, RTX3090, batch=64)
    assert found is not None
    faster = replace(RTX3090.memory, bandwidth=BytesPerSecond(936e9 * 1.001))
    less = 1 - time_of(vgg, replace(RTX3090, memory=faster), batch=64) / found.time_s
    assert found.elasticities.bandwidth == pytest.approx(less / 0.001, rel=0.01)
    clocked = 1 - time_of(vgg, RTX3090.with_(clock="1.696695 GHz"), batch=64) / found.time_s
    assert found.elasticities.clock == pytest.approx(clocked / 0.001, rel=0.01)
    assert found.shares.whole == pytest.approx(1)
    small = forecast(MODELS["mobilenet-v2"], RTX3090)
    assert small is not None
    assert small.bound == "overhead"
    assert small.elasticities.overhead > 5 * small.elasticities.clock


def test_a_run_that_fuses_is_no_slower() -> None:
    for device, kind in (("rtx4090", "cuda"), ("i9-10940x", "cpu")):
        eager = time_of(MODELS["resnet50"], DEVICES[device], batch=8, runtime=f"torch-eager-{kind}")
        assert time_of(MODELS["resnet50"], DEVICES[device], batch=8, runtime=f"torch-compile-{kind}") <= eager


def test_odd_ops_are_memory_and_widen_the_interval() -> None:
    odd = Op(kind="never seen", output_shape=(3, 224, 224), input_elements=10**6, output_elements=10**6, name="odd")
    found = forecast(Workload("odd", "Odd", (3,), (odd,)), RTX3090, batch=100)
    plain = forecast(Workload("plain", "Plain", (3,), (replace(odd, kind="elementwise"),)), RTX3090, batch=100)
    assert found is not None
    assert plain is not None
    assert found.ops[0].bound == "memory"
    assert found.interval_s[1] / found.time_s > plain.interval_s[1] / plain.time_s
    nothing = Op(kind="elementwise", output_shape=())
    bare = Op(kind="linear", output_shape=(5,), macs=10**9)  # a product of unknown shape
    for op in (nothing, bare, replace(bare, kind="attention"), replace(bare, kind="conv_backward")):
        for device in (RTX3090, DEVICES["k80"], DEVICES["i9-10940x"]):
            assert time_of(Workload("w", "w", (1,), (op,)), device) > 0


def test_no_bandwidth_no_forecast() -> None:
    assert forecast(ALEXNET, replace(RTX3090, memory=Memory())) is None


def test_without_a_cache_size_one_is_assumed_and_said() -> None:
    found = forecast(ALEXNET, replace(RTX3090, caches=()))
    known = forecast(ALEXNET, RTX3090)
    assert found is not None
    assert known is not None
    assert notice("cache-assumed") in found.notices
    assert found.interval_s[1] / found.time_s > known.interval_s[1] / known.time_s


def test_an_interval_is_wider_for_what_was_not_measured() -> None:
    def width(device: Device, dtype: str = "amp", foreign: str | None = None) -> float:
        found = forecast(MODELS["vgg16"], device, dtype, 256, foreign=foreign)
        assert found is not None
        return found.interval_s[1] / found.interval_s[0]

    own = width(RTX3090)
    assert own < width(DEVICES["rtx3080"]) < width(DEVICES["mi300x"])
    assert own < width(RTX3090, "fp32")
    assert own < width(RTX3090, foreign="another")


def test_measured_ceilings_replace_the_data_sheet_and_narrow_the_interval() -> None:
    rate = SustainedRate("matmul", "matrix", "fp16", FlopsPerSecond(30e12), 142)
    sustained = Sustained("run", (rate,), BytesPerSecond(400e9), op_overhead=Seconds(5e-6))
    device = DEVICES["l40s"]
    measured = replace(device, sustained=sustained)
    assert device.count == 142
    before, after = (forecast(MODELS["vgg16"], d, "fp16", 64) for d in (device, measured))
    assert before is not None
    assert after is not None
    assert after.time_s > 3 * before.time_s  # a card that is held at a fraction of its rates
    assert after.interval_s[1] / after.interval_s[0] < before.interval_s[1] / before.interval_s[0]
    assert after.host_s == pytest.approx(5e-6 * sum(op.count for op in MODELS["vgg16"].ops))


def test_a_runtime_of_another_kind_of_device_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        forecast(ALEXNET, RTX3090, runtime="torch-eager-cpu")
    assert caught.value.code == "runtime-for-other-device"
    with pytest.raises(InputError) as caught:
        forecast(ALEXNET, RTX3090, runtime="torch-eger-cuda")
    assert caught.value.code == "unknown-runtime"
    assert "torch-eager-cuda" in caught.value.nearest


SPREAD = Spread(
    level=0.8, low=0.1, high=0.2, device=0.3, timed=0.05, power=0.5, unmeasured=0.4, foreign=0.6, assumed=0.7,
    unknown=0.8, overhead=0.9, devices={"rtx3090": (0.1, 0.2)}, architectures=("ampere-ga10x",), vendors=("NVIDIA",),
    dtypes=("fp32",),
)  # fmt: skip


def ends(
    device: Device, dtype: str = "fp32", foreign: str | None = None, workload: Workload = ALEXNET, overhead: float = 0.0
) -> list[float]:
    """Logarithms of the interval's ends over the time, the launches' own uncertainty left out by default."""
    known = parameters()
    name = "torch-eager-cuda"
    spread = replace(SPREAD, overhead=overhead)
    known = replace(known, runtimes={**known.runtimes, name: replace(known.runtimes[name], spread=spread)})
    found = forecast(workload, device, dtype, foreign=foreign, known=known)
    assert found is not None
    assert found.interval_level == 0.8
    return [math.log(end / found.time_s) for end in found.interval_s]


def widened(*terms: float) -> object:
    wider = sum(term**2 for term in terms)
    return pytest.approx([-math.sqrt(0.1**2 + wider), math.sqrt(0.2**2 + wider)])


def test_each_thing_that_was_not_measured_widens_the_interval_by_its_own_term() -> None:
    other = replace(DEVICES["rtx4070"], name="another")
    assert ends(RTX3090) == widened()
    assert ends(other) == widened(0.3)
    assert ends(DEVICES["rtx3080"]) == widened(0.3 * math.sqrt(RELATED))
    capped = DEVICES["rtx-pro-6000-blackwell-max-q"]
    kept = power_share(capped, 512)  # of tf32; fp32 needs less
    assert kept < 0.7
    assert ends(capped) == widened(0.3, 0.5 * math.log(kept))
    halved = replace(RTX3090, power=Watts(175.0))  # a card that was fitted at another power
    assert ends(halved) == widened(0.5 * math.log(power_share(halved, 256)))
    assert ends(RTX3090, "fp16") == widened(0.4)
    assert ends(replace(RTX3090, laptop=Laptop(power=(Watts(80.0), Watts(350.0))))) == widened()
    assert ends(replace(RTX3090, vendor="Nobody"), "fp16") == widened(0.4, 0.4)
    assert ends(RTX3090, foreign="another") == widened(0.6)
    assert ends(replace(RTX3090, caches=())) == widened(0.7)
    assumed = {**RTX3090.provenance, "memory.bandwidth": "assumed"}
    assert ends(replace(other, caches=(), provenance=assumed)) == widened(0.3, 0.7, 0.7)


def test_the_clocks_that_a_laptops_maker_may_have_chosen_widen_each_end() -> None:
    """From 0.8 to 1.2 times the printed clock of the RTX 3090, 1.695 GHz, unless somebody says which."""
    card = replace(RTX3090, laptop=Laptop(boost=(Hertz(1.356e9), Hertz(2.034e9))))
    assert ends(card) == pytest.approx([-math.hypot(0.1, math.log(1.2)), math.hypot(0.2, math.log(0.8))])
    assert ends(card.with_(clock="1.695 GHz")) == widened()
    kept = DeviceCalibration("rtx3090", "2026-11-30", "made-up times", 7, 1.0, 1.0, 1.0, 0.15)
    assert ends(replace(card, calibrations=(kept,))) == ends(replace(RTX3090, calibrations=(kept,)))
    hardware = hardware_of(card, {"fp32"}, "base")
    assert hardware is not None
    assert hardware.choices == (1.0, 1.0)


def test_few_launches_widen_what_is_seen_and_not_what_is_assumed() -> None:
    """The ends of networks of many launches, (0.1, 0.2), and 0.3 for another device."""
    known, name, launches = parameters(), "torch-eager-cuda", ALEXNET.launches
    spread = replace(SPREAD, overhead=0.0, few=3.0 * launches)
    file = replace(known, runtimes={**known.runtimes, name: replace(known.runtimes[name], spread=spread)})
    for device, more in ((RTX3090, 0.0), (replace(DEVICES["rtx4070"], name="another"), 0.3)):
        found = forecast(ALEXNET, device, known=file)
        assert found is not None
        low, high = (math.log(end / found.time_s) for end in found.interval_s)
        assert (low, high) == (pytest.approx(-math.hypot(0.2, more)), pytest.approx(math.hypot(0.4, more)))


def test_unknown_ops_and_an_unknown_host_widen_by_their_share_of_the_time() -> None:
    strange = Workload("w", "w", (1,), (Op("mystery", (10**9,), input_elements=10**9, output_elements=10**9),))
    assert ends(RTX3090, workload=strange) == widened(0.8)
    tiny = Workload("w", "w", (1,), (Op("add", (1,), input_elements=1, output_elements=1),))
    assert ends(RTX3090, workload=tiny, overhead=0.9) == widened(0.9)
    hosted = replace(RTX3090, sustained=Sustained("here", op_overhead=Seconds(1e-6)))
    assert ends(hosted, workload=tiny, overhead=0.9) == widened()


def test_a_measured_device_is_known_better_than_a_data_sheet() -> None:
    rates = tuple(
        SustainedRate("fma", "vector", dtype, FlopsPerSecond(2e13), units=RTX3090.count) for dtype in ("fp32", "tf32")
    )
    here = Sustained("here", bandwidth=BytesPerSecond(8e11), rates=rates)
    measured = replace(RTX3090, name="mine", sustained=here)
    assert ends(measured) == widened(0.05)
    half = replace(measured, sustained=Sustained("here", bandwidth=BytesPerSecond(8e11)))
    assert ends(half) == widened(0.3 * math.sqrt(RELATED))
    kept = DeviceCalibration("mine", "2026-11-30", "made-up times", 7, 1.0, 1.0, 1.0, 0.15)
    timed = replace(measured, calibrations=(kept,))
    assert ends(timed) == pytest.approx([-0.15, 0.15])
    assert ends(timed, foreign="another") == widened(0.05, 0.6)


def test_an_interval_too_wide_to_be_of_use_says_so() -> None:
    def codes(device: Device, foreign: str | None) -> list[str]:
        found = forecast(MODELS["vgg16"], device, "amp", 256, foreign=foreign)
        assert found is not None
        wide = found.interval_s[1] > WIDE * found.interval_s[0]
        assert wide == ("interval-wide" in [each.code for each in found.notices])
        return [each.code for each in found.notices]

    assert "interval-wide" in codes(DEVICES["mi300x"], foreign="another")
    assert "interval-wide" not in codes(RTX3090, foreign=None)


def test_an_earlier_torch_computes_unfused_attention_in_half_precision() -> None:
    scores = Op("attention", (3, 16, 196, 32), macs=10**9, groups=48, columns=196, depth=32, output_elements=10**6)
    workload = Workload("nest", "Nest", (3,), (scores,))
    now, old = (forecast(workload, RTX3090, "amp", 64, version=version) for version in ((2, 5), (2, 4)))
    assert now is not None
    assert old is not None
    assert now.time_s > 1.5 * old.time_s
    assert now.time_s == time_of(workload, RTX3090, "amp", 64)
