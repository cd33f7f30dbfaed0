"""Reading the prompt and generating tokens, on one class of devices or on a device and a CPU one after the other."""

import math
from collections.abc import Iterator

from msgspec import Struct

from hwbench.machine.parts import LanguageCalibration
from hwbench.predict.language.hardware import Accelerator
from hwbench.predict.language.model import Parts, generation_time, prompt_time
from hwbench.predict.language.parameters import ErrorBand, RuntimeParameters
from hwbench.workload.language.formats import BlockFormat, block_format
from hwbench.workload.language.tensors import LanguageModel
from hwbench.workload.language.work import StepWork, decode_step, prompt_steps

MICROBATCH = 512
UNFITTED = ErrorBand(-math.log(2.0), math.log(2.0))
"""The interval of times that nothing was fitted to: a factor of two."""


class Scenario(Struct, frozen=True):
    """What is asked of a model: tokens of the prompt and to generate, sequences at once, formats, devices.

    `context` tokens of memory are reserved for each sequence, by default those of prompt and generation together.
    `gpu_layers` are on the device and the others on a CPU, None for all. Fused attention is llama.cpp's `-fa 1`.
    """

    prompt: int = 512
    generate: int = 128
    batch: int = 1
    context: int | None = None
    kv_dtype: str = "f16"
    devices: int = 1
    gpu_layers: int | None = None
    fused_attention: bool = False

    @property
    def reserved(self) -> int:
        """Tokens of context that memory is reserved for."""
        return self.context or self.prompt + self.generate


class Stage(Struct, frozen=True):
    """A part of a model on `devices` devices, with the parameters of their class and the factors of their own."""

    model: LanguageModel
    device: Accelerator
    known: RuntimeParameters
    devices: int = 1
    calibration: LanguageCalibration | None = None


class Phase(Struct, frozen=True):
    """Reading the prompt, or generating all tokens: times in s of the whole batch, what they are spent on, bounds."""

    name: str
    kind: str
    flops: int
    traffic_bytes: int
    ideal_time_s: float
    roofline_time_s: float
    expected_time_s: float
    interval_s: tuple[float, float]
    bound: str
    limited_by: str
    parts: Parts


def phases(stages: tuple[Stage, ...], scenario: Scenario) -> Iterator[Phase]:
    """Yield the prompt and the generation, where the scenario has them, through the stages one after the other."""
    cache = block_format(scenario.kv_dtype)
    if scenario.prompt:
        yield _joined([
            prompt_phase(stage, scenario.prompt, scenario.batch, 0, cache, fused_attention=scenario.fused_attention)
            for stage in stages
        ])  # fmt: skip
    if scenario.generate:
        yield _joined([
            generation_phase(stage, scenario.generate, scenario.batch, scenario.prompt, cache, scenario.fused_attention)
            for stage in stages
        ])  # fmt: skip


def prompt_phase(
    stage: Stage,
    tokens: int,
    batch: int,
    past: int,
    cache: BlockFormat,
    *,
    fused_attention: bool = False,
    microbatch: int = MICROBATCH,
) -> Phase:
    """Return reading `tokens` after `past` cached ones in each sequence."""
    step = prompt_steps(stage.model, tokens, batch, past, microbatch, cache)
    parts = prompt_time(step, stage.device, stage.known, stage.devices, fused_attention)
    band = UNFITTED if stage.model.used_experts or fused_attention else stage.known.prompt
    return _phase("prompt", step, 1, parts, "prompt", band, stage)


def generation_phase(
    stage: Stage, tokens: int, batch: int, past: int, cache: BlockFormat, fused_attention: bool = False
) -> Phase:
    """Return generating `tokens` after `past` cached ones in each sequence, at the mean context."""
    step = decode_step(stage.model, batch, past + tokens / 2, cache)
    parts = generation_time(step, stage.device, stage.known, stage.devices, fused_attention)
    band = stage.known.batched if batch > 1 else stage.known.generation
    kind = "batched" if batch > 1 else "generation"
    return _phase("generation", step, tokens, parts, kind, UNFITTED if stage.model.used_experts else band, stage)


def _phase(name: str, step: StepWork, times: int, parts: Parts, kind: str, band: ErrorBand, stage: Stage) -> Phase:
    """Return a phase of `times` such steps, which a calibration of the device corrects by the `kind` of time.

    The roofline lets all devices work at once, as splitting every layer would.
    """
    device = stage.device
    ideal = times * step.flops / device.bound.flops_per_second / stage.devices
    roofline = max(ideal, times * step.traffic / device.bandwidth / stage.devices)
    factor, band = _corrected(kind, band, stage)
    expected = max(times * parts.total * factor, roofline)
    scale = expected / parts.total
    return Phase(
        name=name,
        kind="prefill" if name == "prompt" else "decode",
        flops=round(times * step.flops),
        traffic_bytes=round(times * step.traffic),
        ideal_time_s=ideal,
        roofline_time_s=roofline,
        expected_time_s=expected,
        interval_s=(max(expected * math.exp(band.low), roofline), expected * math.exp(band.high)),
        bound="memory" if roofline > ideal else "compute",
        limited_by=parts.largest,
        parts=Parts(*(scale * getattr(parts, field) for field in Parts.__struct_fields__)),
    )


def _corrected(kind: str, band: ErrorBand, stage: Stage) -> tuple[float, ErrorBand]:
    """Return the factor of a calibrated device and the interval that is left; a coding that was timed has its own."""
    if stage.calibration is None:
        return 1.0, band
    factors = stage.calibration.factors
    if own := factors.get(f"{kind} {stage.model.coding}"):
        width = max(own.spread, stage.known.calibrated.get(kind, own.spread))
        return own.factor, ErrorBand(-width, width)
    other = factors.get(kind)
    return (other.factor if other else 1.0), band


def _joined(each: list[Phase]) -> Phase:
    """Return the sum of a phase's stages, which err together."""
    if len(each) == 1:
        return each[0]
    first = each[0]
    parts = Parts(*(sum(getattr(phase.parts, field) for phase in each) for field in Parts.__struct_fields__))
    ideal, roofline = sum(phase.ideal_time_s for phase in each), sum(phase.roofline_time_s for phase in each)
    return Phase(
        name=first.name,
        kind=first.kind,
        flops=sum(phase.flops for phase in each),
        traffic_bytes=sum(phase.traffic_bytes for phase in each),
        ideal_time_s=ideal,
        roofline_time_s=roofline,
        expected_time_s=sum(phase.expected_time_s for phase in each),
        interval_s=(sum(phase.interval_s[0] for phase in each), sum(phase.interval_s[1] for phase in each)),
        bound=max(each, key=lambda phase: phase.roofline_time_s).bound,
        limited_by=parts.largest,
        parts=parts,
    )
