"""Reading the prompt and generating tokens, on one class of devices or on a device and a CPU one after the other."""

import math
from collections.abc import Iterator

from msgspec import Struct

from hwbench.predict.language.hardware import Accelerator
from hwbench.predict.language.model import Parts, generation_time, prompt_time
from hwbench.predict.language.parameters import ErrorBand, RuntimeParameters
from hwbench.workload.language.formats import block_format
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
    """A part of a model on `devices` devices of a class, with the parameters of that class."""

    model: LanguageModel
    device: Accelerator
    known: RuntimeParameters
    devices: int = 1


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
    experts = any(weight.experts > 1 for stage in stages for weight, _ in stage.model.groups)
    if scenario.prompt:
        each = []
        for stage in stages:
            step = prompt_steps(stage.model, scenario.prompt, scenario.batch, 0, MICROBATCH, cache)
            parts = prompt_time(step, stage.device, stage.known, stage.devices, scenario.fused_attention)
            band = UNFITTED if experts or scenario.fused_attention else stage.known.prompt
            each.append(_phase("prompt", step, 1, parts, band, stage))
        yield _joined(each)
    if scenario.generate:
        each = []
        for stage in stages:
            step = decode_step(stage.model, scenario.batch, scenario.prompt + scenario.generate / 2, cache)
            parts = generation_time(step, stage.device, stage.known, stage.devices, scenario.fused_attention)
            band = stage.known.batched if scenario.batch > 1 else stage.known.generation
            band = UNFITTED if experts else band
            each.append(_phase("generation", step, scenario.generate, parts, band, stage))
        yield _joined(each)


def _phase(name: str, step: StepWork, times: int, parts: Parts, band: ErrorBand, stage: Stage) -> Phase:
    """Return a phase of `times` such steps.

    The roofline lets all devices work at once, as splitting every layer would.
    """
    device = stage.device
    ideal = times * step.flops / device.bound.flops_per_second / stage.devices
    roofline = max(ideal, times * step.traffic / device.bandwidth / stage.devices)
    expected = max(times * parts.total, roofline)
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
