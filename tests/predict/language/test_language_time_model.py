"""The time of a language model by hand: a device, parameters and a model of round numbers."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.machine.device import Device, Peak, PeakTerm
from hwbench.machine.language_calibration import LanguageCalibration, LanguageFactor
from hwbench.machine.parts import Clock, Memory, Rate, Sustained, Units
from hwbench.predict.language import phases as language_phases
from hwbench.predict.language.hardware import Accelerator, accelerator_of
from hwbench.predict.language.model import Parts, generation_time, prompt_time
from hwbench.predict.language.parameters import ErrorBand, RuntimeParameters
from hwbench.predict.language.phases import MICROBATCH, UNFITTED, Phase, Scenario, Stage, generation_phase, prompt_phase
from hwbench.units import Bytes, BytesPerSecond, Hertz
from hwbench.workload.language.formats import block_format
from hwbench.workload.language.work import StepWork, decode_step
from tests.predict.language.test_memory_of_a_small_model import MODEL

HALF = block_format("f16")
PEAK = Peak("matrix", "t", "fp16", None, "dense", (PeakTerm("u", "a", 1, 8e12, "boost", 1, "spec"),))
DEVICE = Accelerator(family="cuda", bandwidth=1e9, cycles=1e6, bound=PEAK, rate=4e12, size=1e9)
KNOWN = RuntimeParameters(
    how="by hand", devices=(), stream=0.5, decode={"quantized": 2.0, "plain": 4.0}, power=2.0, cache=0.25,
    fused_cache=0.8, layer=1e-3, hop=5e-3, compute={"quantized": 0.5, "plain": 0.8}, batched_compute=0.2, tile=6.0,
    prompt_power=2.0, dequantize=5.0, score=3.0, token=1e-6, output=7.0, generation=ErrorBand(-0.1, 0.2),
    prompt=ErrorBand(-0.3, 0.4), batched=ErrorBand(-0.5, 0.6), calibrated={"generation": 0.05},
)  # fmt: skip
STEP = StepWork(
    passes=2.0, tokens=2.0, layers=10, weight_bytes=1.9e6, decoded={"plain": 4000.0, "k": 1000.0}, cache_bytes=1e6,
    weight_macs=3e9, attention_macs=1e9, scores=2e5, outputs=5e3,
)  # fmt: skip


def test_a_token_reads_and_decodes_weights_and_reads_its_cache() -> None:
    found = generation_time(STEP, DEVICE, KNOWN)
    reading, decoding = 1.9e6 / 0.5e9, (4000 / 4 + 1000 / 2) / 1e6
    total = math.hypot(reading, decoding)
    assert found.weights == pytest.approx(reading**2 / total)
    assert found.decoding == pytest.approx(decoding**2 / total)
    assert (found.arithmetic, found.cache) == (0, pytest.approx(1e6 / 0.25e9))
    assert found.launches == pytest.approx(1e-3 * 10 * 2)
    assert found.total == pytest.approx(total + 4e-3 + 20e-3)
    assert found.largest == "launches"
    assert generation_time(STEP, DEVICE, KNOWN, 3).launches == pytest.approx(20e-3 + 5e-3 * 2 * 2)
    assert generation_time(STEP, DEVICE, KNOWN, 1, True).cache == pytest.approx(1e6 / 0.8e9)


def test_a_few_tokens_take_as_long_as_a_tile_more() -> None:
    found = generation_time(replace(STEP, tokens=3.0), DEVICE, KNOWN)
    assert found.arithmetic == pytest.approx(8e9 * (1 + 6 / 3) / (0.2 * 4e12))


def test_a_prompt_multiplies_reads_and_decodes() -> None:
    found = prompt_time(STEP, DEVICE, KNOWN)
    slowness = (4000 / 0.8 + 1000 / 0.5) / 5000
    products, reading = 8e9 * slowness / 4e12 + 7 * 5e3 / 1e6, 1.9e6 / 0.95e9
    total = math.hypot(products, reading)
    assert found.arithmetic == pytest.approx(products**2 / total)
    assert found.weights == pytest.approx(reading**2 / total)
    assert found.decoding == pytest.approx(1000 / (5 * 1e6))
    assert found.cache == pytest.approx(3 * 2e5 / 1e9)
    assert found.launches == pytest.approx(1e-3 * 10 * 2 + 1e-6 * 10 * 2)
    assert prompt_time(STEP, DEVICE, KNOWN, 1, True).cache == 0
    assert prompt_time(STEP, DEVICE, replace(KNOWN, dequantize=0.0)).decoding == 0


@pytest.mark.parametrize(("passes", "share"), [(2.0, 4 / 6), (4.0, 6 / 12), (9.0, 6 / 12), (1.0, 1.0)])
def test_passes_follow_one_another_through_three_devices(passes: float, share: float) -> None:
    step = replace(STEP, passes=passes)
    one, three = prompt_time(step, DEVICE, KNOWN), prompt_time(step, DEVICE, KNOWN, 3)
    for field in ("weights", "decoding", "arithmetic", "cache"):
        assert getattr(three, field) == pytest.approx(share * getattr(one, field))
    assert three.launches == pytest.approx(share * one.launches + 2 * 5e-3)


def test_devices_reach_a_share_of_the_overlap() -> None:
    step = replace(STEP, passes=4.0)
    one, three = prompt_time(step, DEVICE, KNOWN), prompt_time(step, DEVICE, replace(KNOWN, overlap=0.25), 3)
    assert three.arithmetic == pytest.approx((1 - 0.25 * 0.5) * one.arithmetic)


def test_fused_attention_has_a_share_of_the_rate_of_its_own() -> None:
    bare, usually = replace(STEP, weight_bytes=0.0), replace(KNOWN, output=0.0)
    slow = prompt_time(bare, DEVICE, replace(usually, attention=0.01), 1, True).arithmetic
    usual = prompt_time(bare, DEVICE, usually, 1, True).arithmetic
    weights = usual * STEP.weight_macs / (STEP.weight_macs + STEP.attention_macs)
    assert slow - weights == pytest.approx(2 * STEP.attention_macs / 0.01 / DEVICE.rate)
    assert prompt_time(bare, DEVICE, replace(usually, attention=0.01)).arithmetic == usual


def test_masked_tokens_are_read() -> None:
    masked = replace(STEP, masked_bytes=STEP.cache_bytes)
    assert generation_time(masked, DEVICE, KNOWN).cache == pytest.approx(2 * generation_time(STEP, DEVICE, KNOWN).cache)
    assert masked.traffic == STEP.traffic


def test_prompts_on_several_devices_and_with_fused_attention_have_bands_of_their_own() -> None:
    bands = replace(KNOWN, several=ErrorBand(-0.4, 0.4), fused=ErrorBand(-0.5, 0.5))
    stage = replace(STAGE, known=bands)
    for each, width in ((replace(stage, devices=2), 0.4), (stage, KNOWN.prompt.high)):
        phase = prompt_phase(each, 1300, 1, 300, HALF)
        assert math.log(phase.interval_s[1] / phase.expected_time_s) == pytest.approx(width)
    phase = prompt_phase(stage, 1300, 1, 300, HALF, fused_attention=True)
    assert math.log(phase.interval_s[1] / phase.expected_time_s) == pytest.approx(0.5)
    assert ErrorBand(-0.1, 0.2).times(2.0) == ErrorBand(-0.2, 0.4)


def test_no_weights_take_no_time() -> None:
    nothing = replace(STEP, weight_bytes=0.0, decoded={"plain": 0.0})
    assert generation_time(nothing, DEVICE, KNOWN).weights == 0


STAGE = Stage(MODEL, DEVICE, KNOWN)


def check(found: Phase, step: StepWork, times: int, parts: Parts, band: ErrorBand, factor: float = 1.0) -> None:
    expected = times * parts.total * factor
    assert (found.flops, found.traffic_bytes) == (round(times * step.flops), round(times * step.traffic))
    assert found.ideal_time_s == pytest.approx(times * step.flops / 8e12)
    assert found.roofline_time_s == pytest.approx(times * step.traffic / 1e9)
    assert (found.bound, found.limited_by) == ("memory", parts.largest)
    assert (found.expected_time_s, found.parts.total) == pytest.approx((expected, expected))
    assert found.parts.cache == pytest.approx(times * factor * parts.cache)
    assert found.interval_s == pytest.approx((expected * math.exp(band.low), expected * math.exp(band.high)))


def test_a_generation_is_at_its_mean_context() -> None:
    step = decode_step(MODEL, 1, 300 + 20 / 2, HALF, MICROBATCH)
    found = generation_phase(STAGE, 20, 1, 300, HALF)
    assert (found.name, found.kind) == ("generation", "decode")
    check(found, step, 20, generation_time(step, DEVICE, KNOWN), KNOWN.generation)
    several = decode_step(MODEL, 2, 310, HALF, MICROBATCH)
    check(
        generation_phase(STAGE, 20, 2, 300, HALF), several, 20, generation_time(several, DEVICE, KNOWN), KNOWN.batched
    )
    experts = replace(STAGE, model=replace(MODEL, used_experts=2))
    check(generation_phase(experts, 20, 1, 300, HALF), step, 20, generation_time(step, DEVICE, KNOWN), UNFITTED)


def test_a_prompt_is_one_sum_of_steps() -> None:
    found = prompt_phase(STAGE, 1300, 1, 300, HALF)
    step = language_phases.prompt_steps(MODEL, 1300, 1, 300, 512, HALF)
    assert (found.name, found.kind) == ("prompt", "prefill")
    check(found, step, 1, prompt_time(step, DEVICE, KNOWN), KNOWN.prompt)
    fused = prompt_phase(STAGE, 1300, 1, 300, HALF, fused_attention=True)
    check(fused, step, 1, prompt_time(step, DEVICE, KNOWN, 1, True), UNFITTED)
    assert (UNFITTED.low, UNFITTED.high) == (-math.log(2), math.log(2))


def test_a_calibration_corrects_its_kind_of_time() -> None:
    step = decode_step(MODEL, 1, 310, HALF, MICROBATCH)
    parts = generation_time(step, DEVICE, KNOWN)

    def calibrated(**factors: LanguageFactor) -> Stage:
        named = {name.replace("_", " "): factor for name, factor in factors.items()}
        return replace(STAGE, calibration=LanguageCalibration("d", "2026-11-30", "mine", named))

    timed = calibrated(generation=LanguageFactor(9.0, 0.3, 3), generation_plain=LanguageFactor(1.5, 0.01, 3))
    check(generation_phase(timed, 20, 1, 300, HALF), step, 20, parts, ErrorBand(-0.05, 0.05), 1.5)
    wide = calibrated(generation_plain=LanguageFactor(1.5, 0.07, 3))
    check(generation_phase(wide, 20, 1, 300, HALF), step, 20, parts, ErrorBand(-0.07, 0.07), 1.5)
    other = calibrated(generation=LanguageFactor(1.25, 0.01, 3), prompt=LanguageFactor(3.0, 0.01, 3))
    check(generation_phase(other, 20, 1, 300, HALF), step, 20, parts, KNOWN.generation, 1.25)
    several = decode_step(MODEL, 2, 310, HALF, MICROBATCH)
    batched = calibrated(generation=LanguageFactor(9.0, 0.3, 3), batched=LanguageFactor(1.25, 0.3, 3))
    check(generation_phase(batched, 20, 2, 300, HALF), several, 20, generation_time(several, DEVICE, KNOWN),
          KNOWN.batched, 1.25)  # fmt: skip
    check(generation_phase(calibrated(prompt=LanguageFactor(3.0, 0.01, 3)), 20, 1, 300, HALF), step, 20, parts,
          KNOWN.generation)  # fmt: skip


def test_no_forecast_is_below_the_roofline_of_all_devices() -> None:
    quick = replace(KNOWN, stream=9.0, cache=9.0)
    slow_memory = Stage(MODEL, replace(DEVICE, bandwidth=1e3), quick, 4)
    found = generation_phase(slow_memory, 20, 1, 300, HALF)
    step = decode_step(MODEL, 1, 310, HALF, MICROBATCH)
    assert found.roofline_time_s == pytest.approx(20 * step.traffic / 1e3 / 4)
    assert found.expected_time_s == found.roofline_time_s == found.interval_s[0]
    assert found.parts.total == pytest.approx(found.roofline_time_s)
    assert found.ideal_time_s == pytest.approx(20 * step.flops / 8e12 / 4)
    slow = replace(PEAK, terms=(replace(PEAK.terms[0], clock_hz=1e3),))
    assert generation_phase(replace(STAGE, device=replace(DEVICE, bound=slow)), 20, 1, 300, HALF).bound == "compute"


def test_stages_follow_one_another() -> None:
    slower = Stage(MODEL, replace(DEVICE, bandwidth=1e7), KNOWN)
    found = list(language_phases.phases((STAGE, slower), Scenario(prompt=20, generate=5, batch=2, context=100)))
    apart = [list(language_phases.phases((stage,), Scenario(20, 5, 2))) for stage in (STAGE, slower)]
    for both, first, second in zip(found, *apart, strict=True):
        for field in ("flops", "traffic_bytes", "ideal_time_s", "roofline_time_s", "expected_time_s"):
            assert getattr(both, field) == pytest.approx(getattr(first, field) + getattr(second, field)), field
        assert both.interval_s == pytest.approx(
            tuple(a + b for a, b in zip(first.interval_s, second.interval_s, strict=True))
        )
        assert both.parts.launches == pytest.approx(first.parts.launches + second.parts.launches)
        assert (both.name, both.kind) == (first.name, first.kind)
        assert both.limited_by == both.parts.largest
        assert both.bound == second.bound
    whole = generation_phase(STAGE, 5, 2, 20, HALF)
    assert apart[0] == [prompt_phase(STAGE, 20, 2, 0, HALF), whole]
    assert [each.name for each in language_phases.phases((STAGE,), Scenario(0, 5))] == ["generation"]
    assert [each.name for each in language_phases.phases((STAGE,), Scenario(5, 0))] == ["prompt"]
    assert (Scenario(3, 4).reserved, Scenario(3, 4, context=9).reserved) == (7, 9)


def test_the_stage_with_the_longest_roofline_bounds() -> None:
    slow = Stage(MODEL, replace(DEVICE, bound=replace(PEAK, terms=(replace(PEAK.terms[0], clock_hz=1e3),))), KNOWN)
    (both,) = language_phases.phases((STAGE, slow), Scenario(prompt=0, generate=5))
    assert both.bound == "compute"
    assert (Scenario().prompt, Scenario().generate, Scenario().batch, Scenario().devices) == (512, 128, 1, 1)


RATES = (
    Rate("vector", "cuda", "fp32", 256), Rate("matrix", "t", "fp16", 1024, "fp32"), Rate("matrix", "t", "int8", 2048),
    Rate("matrix", "t", "fp16", 4096, "fp32", "2:4"),
)  # fmt: skip
GPU = Device(
    "g", "gpu", "NVIDIA", (Units("a", 10, Clock(base=Hertz(1e9), boost=Hertz(2e9)), rates=RATES),),
    Memory(bandwidth=BytesPerSecond(1e11), size=Bytes(8e9)),
)  # fmt: skip


def test_a_gpu_as_language_models_see_it() -> None:
    found = accelerator_of(GPU)
    assert (found.family, found.bandwidth, found.cycles, found.size) == ("cuda", 1e11, 2e10, 8e9)
    assert (found.bound.dtype, found.bound.flops_per_second, found.rate) == ("int8", 4.096e13, 2.048e13)
    assert accelerator_of(GPU, quantized=False).bound.dtype == "fp16"
    base = accelerator_of(GPU, "base")
    assert (base.cycles, base.rate) == (1e10, 1.024e13)
    assert accelerator_of(replace(GPU, vendor="Apple")).family == "metal"
    assert accelerator_of(replace(GPU, vendor="AMD")).family == "amd"
    assert accelerator_of(replace(GPU, vendor="Intel")).family == "other"
    newer = replace(GPU, vendor="Apple", units=(replace(GPU.units[0], architecture="apple-m3-gpu"),))
    assert accelerator_of(newer).family == "metal-m3"
    assert accelerator_of(replace(GPU, memory=Memory(bandwidth=BytesPerSecond(1e11)))).size is None
    measured = replace(GPU, sustained=Sustained("here", bandwidth=BytesPerSecond(9e10)))
    assert accelerator_of(measured).bandwidth == 9e10
    assert accelerator_of(replace(GPU, sustained=Sustained("here"))).bandwidth == 1e11


def test_a_cpu_has_cycles_of_two_vectors() -> None:
    rates = (
        Rate("vector", "avx512", "fp32", 64),
        Rate("vector", "avx2", "fp32", 32),
        Rate("vector", "avx512", "fp16", 128),
        Rate("vector", "v", "int8", 256),
    )
    found = accelerator_of(replace(GPU, kind="cpu", units=(replace(GPU.units[0], rates=rates),)))
    assert (found.family, found.rate, found.cycles) == ("cpu", 1.28e12, 4e10)
    assert found.bound.dtype == "int8"


@pytest.mark.parametrize(
    ("device", "code"),
    [
        (replace(GPU, memory=Memory()), "bandwidth-unknown"),
        (replace(GPU, units=(replace(GPU.units[0], rates=RATES[2:3]),)), "unknown-rate"),
    ],
)
def test_what_is_not_known_of_a_device(device: Any, code: str) -> None:
    with pytest.raises(InputError) as caught:
        accelerator_of(device)
    assert (caught.value.code, caught.value.field) == (code, "device")
