"""Reading the prompt and generating tokens, on one class of devices or on a device and a CPU one after the other."""

import math
from collections.abc import Callable, Iterator
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from hwbench.machine.language_calibration import LanguageCalibration
from hwbench.predict.language.hardware import Accelerator
from hwbench.predict.language.model import Parts, generation_time, link_time, prompt_time
from hwbench.predict.language.parameters import UNFITTED, ErrorBand, RuntimeParameters
from hwbench.workload.language.formats import BlockFormat, block_format
from hwbench.workload.language.tensors import LanguageModel
from hwbench.workload.language.work import StepWork, decode_step, prompt_steps

MICROBATCH = 512
LLAMA_CPP, SERVER = "llama.cpp", "vllm"
Split = Literal["layers", "tensor"]


class Scenario(Struct, frozen=True):
    """What is asked of a model: tokens of the prompt and to generate, sequences at once, formats, devices.

    `context` tokens of memory are reserved for each sequence, by default those of prompt and generation together.
    `gpu_layers` are on the device and the others on a CPU, None for all. Fused attention is llama.cpp's `-fa 1`.
    Devices that split `tensor`s share every layer over a `link` in B/s; those that split `layers` follow one another.
    """

    prompt: int = 512
    generate: int = 128
    batch: int = 1
    context: int | None = None
    kv_dtype: str = "f16"
    devices: int = 1
    gpu_layers: int | None = None
    fused_attention: bool = False
    runtime: str = LLAMA_CPP
    split: Split = "layers"
    link: float | None = None

    @property
    def reserved(self) -> int:
        """Tokens of context that memory is reserved for."""
        return self.context or self.prompt + self.generate


class Stage(Struct, frozen=True):
    """A part of a model on `devices` devices, with the parameters of their class and the factors of their own.

    With a `link` in B/s they share every layer, else they follow one another.
    """

    model: LanguageModel
    device: Accelerator
    known: RuntimeParameters
    devices: int = 1
    calibration: LanguageCalibration | None = None
    link: float | None = None

    def spend(self, formula: Callable[..., Parts], step: StepWork, fused_attention: bool) -> Parts:
        """Return the time of a step by `generation_time` or `prompt_time` on these devices."""
        if self.link is None:
            return formula(step, self.device, self.known, self.devices, fused_attention)
        parts = formula(step, self.device.times(self.devices), self.known, 1, fused_attention)
        return replace(parts, link=link_time(step, self.model.width, self.devices, self.link))


class Phase(Struct, frozen=True):
    """Reading the prompt, or generating all tokens: times in s of the whole batch, what they are spent on, bounds.

    `tokens_per_s` are those of all sequences.
    """

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
    tokens_per_s: float


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
    parts = stage.spend(prompt_time, step, fused_attention)
    band = stage.known.several or UNFITTED if stage.devices > 1 else stage.known.prompt
    band = stage.known.fused or UNFITTED if fused_attention else band
    band = UNFITTED if stage.model.used_experts or stage.link is not None else band
    return phase_of("prompt", step, 1, parts, "prompt", band, stage)


def generation_phase(
    stage: Stage, tokens: int, batch: int, past: int, cache: BlockFormat, fused_attention: bool = False
) -> Phase:
    """Return generating `tokens` after `past` cached ones in each sequence, at the mean context."""
    step = decode_step(stage.model, batch, past + tokens / 2, cache, MICROBATCH, fused=fused_attention)
    parts = stage.spend(generation_time, step, fused_attention)
    band = stage.known.batched if batch > 1 else stage.known.generation
    kind = "batched" if batch > 1 else "generation"
    band = UNFITTED if stage.model.used_experts or stage.link is not None else band
    return phase_of("generation", step, tokens, parts, kind, band, stage)


def phase_of(name: str, step: StepWork, times: float, parts: Parts, kind: str, band: ErrorBand, stage: Stage) -> Phase:
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
        tokens_per_s=times * step.tokens / expected,
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
        tokens_per_s=1 / sum(1 / phase.tokens_per_s for phase in each),
    )
