"""An estimate of a language model on a device: bounds, forecast, memory, and the command that checks it."""

import math
import shlex
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from hwbench.answers import Answer
from hwbench.machine.device import Device
from hwbench.machine.parts import ClockKind, Kind
from hwbench.notices import Notice, notice
from hwbench.predict.language import memory, parameters
from hwbench.predict.language.hardware import Accelerator, accelerator_of
from hwbench.predict.language.memory import Budget, Remedy
from hwbench.predict.language.model import Parts, generation_time, prompt_time
from hwbench.predict.language.parameters import ErrorBand, RuntimeParameters
from hwbench.workload.language.formats import BlockFormat, block_format
from hwbench.workload.language.tensors import LanguageModel
from hwbench.workload.language.work import StepWork, decode_step, prompt_steps

MICROBATCH = 512
UNFITTED = {"other": "cuda"}
"""Classes of devices that nothing was fitted to, and the class whose parameters are used for them."""
UNFITTED_SPREAD = math.log(2.0)


class Scenario(Struct, frozen=True):
    """What is asked of a model: tokens of the prompt and to generate, sequences at once, formats, devices.

    `context` tokens of memory are reserved for each sequence, by default those of prompt and generation together.
    """

    prompt: int = 512
    generate: int = 128
    batch: int = 1
    context: int | None = None
    kv_dtype: str = "f16"
    devices: int = 1
    fused_attention: bool = False

    @property
    def reserved(self) -> int:
        """Tokens of context that memory is reserved for."""
        return self.context or self.prompt + self.generate


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


class LanguageEstimate(Answer, Struct, frozen=True):
    """One language model on one device in llama.cpp: `phases` are the prompt, if there is one, and the generation."""

    SCHEMA: ClassVar[str] = "estimate/2"
    MAIN: ClassVar[tuple[str, ...]] = (
        "model", "device", "weights", "fits", "ttft_s", "tokens_per_s", "expected_time_s",
    )  # fmt: skip
    ROWS: ClassVar[str] = "phases"
    CONTEXT: ClassVar[tuple[str, ...]] = ("scenario", "budget", "remedies", "phases", "peak_dtype")

    model: str
    title: str
    device: str
    kind: Kind
    runtime: str
    weights: str
    params: int
    active_params: int
    peak_flops_per_second: float
    peak: str
    peak_dtype: str
    bandwidth_bytes_per_second: float
    scenario: Scenario
    phases: tuple[Phase, ...]
    budget: Budget
    remedies: tuple[Remedy, ...]
    interval_level: float
    check_command: str
    provenance: dict[str, str]
    notices: tuple[Notice, ...]
    power_w: float | None = None

    def phase(self, name: str) -> Phase | None:
        """Return a phase, None where the scenario has no such."""
        return next((phase for phase in self.phases if phase.name == name), None)

    @property
    def fits(self) -> bool | None:
        """True where the model fits in the memory of the devices, None where that is unknown."""
        return self.budget.fits

    @property
    def ttft_s(self) -> float | None:
        """Seconds to the first token: reading the prompt."""
        prompt = self.phase("prompt")
        return prompt.expected_time_s if prompt else None

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens a second of one sequence, at the mean context of the generation."""
        generation = self.phase("generation")
        return self.scenario.generate / generation.expected_time_s if generation else None

    @property
    def tokens_per_s_interval(self) -> tuple[float, float] | None:
        """The interval of these."""
        generation = self.phase("generation")
        if generation is None:
            return None
        low, high = generation.interval_s
        return self.scenario.generate / high, self.scenario.generate / low

    @property
    def expected_time_s(self) -> float:
        """Seconds of prompt and generation."""
        return sum(phase.expected_time_s for phase in self.phases)

    @property
    def interval_s(self) -> tuple[float, float]:
        """The interval of these, where both phases err together."""
        return sum(phase.interval_s[0] for phase in self.phases), sum(phase.interval_s[1] for phase in self.phases)

    def body(self) -> dict[str, Any]:
        """Return the JSON keys of every estimate, with `language` for those of a language model."""
        body = super().body()
        flops, ideal = sum(p.flops for p in self.phases), sum(p.ideal_time_s for p in self.phases)
        roofline, scenario, prompt = sum(p.roofline_time_s for p in self.phases), self.scenario, self.phase("prompt")
        limit = max(self.phases, key=lambda phase: phase.roofline_time_s)
        shares = _shares(self.phases)
        body |= {
            "math": "default",
            "dtype": self.weights,
            "batch": scenario.batch,
            "flops": flops,
            "least_flops": flops,
            "engines": [
                {
                    "dtype": self.peak_dtype,
                    "peak": self.peak,
                    "flops_per_second": self.peak_flops_per_second,
                    "share": 1.0,
                }
            ],
            "boost": 1.0,
            "ridge_point": self.peak_flops_per_second / self.bandwidth_bytes_per_second,
            "shares": shares,
            "elasticities": None,
            "calibration": None,
            "memory_needed_bytes": self.budget.needed,
            "memory_size_bytes": self.budget.size,
            "fits": self.budget.fits,
            "traffic_bytes": sum(phase.traffic_bytes for phase in self.phases),
            "ideal_time_s": ideal,
            "roofline_time_s": roofline,
            "expected_time_s": self.expected_time_s,
            "interval_s": [*self.interval_s],
            "throughput_per_s": scenario.batch / self.expected_time_s,
            "utilization": ideal / self.expected_time_s,
            "bound": max(shares, key=lambda name: shares[name]),
            "roofline": {
                "throughput_per_s": scenario.batch / roofline,
                "utilization": ideal / roofline,
                "bound": limit.bound,
            },
            "layers": [_row(phase) for phase in self.phases],
            "language": {
                "weights": self.weights,
                "kv_dtype": scenario.kv_dtype,
                "prompt": scenario.prompt,
                "generate": scenario.generate,
                "devices": scenario.devices,
                "params": self.params,
                "active_params": self.active_params,
                "ttft_s": self.ttft_s,
                "ttft_interval_s": [*prompt.interval_s] if prompt else None,
                "tokens_per_s": self.tokens_per_s,
                "tokens_per_s_interval": _list(self.tokens_per_s_interval),
                "tokens_per_s_all": self.tokens_per_s and self.tokens_per_s * scenario.batch,
                "total_s": self.expected_time_s,
                "total_interval_s": [*self.interval_s],
                "energy_per_token_bound_j": self.energy_bound_j,
                "memory": {
                    "weights_bytes": self.budget.weights,
                    "kv_bytes": self.budget.cache,
                    "buffers_bytes": self.budget.buffers,
                    "needed_bytes": self.budget.needed,
                    "device_bytes": self.budget.size,
                    "fits": self.budget.fits,
                    "longest_context": self.budget.longest_context,
                    "largest_batch": self.budget.largest_batch,
                    "would_fit": [{"kind": each.kind, "value": each.value} for each in self.remedies],
                },
                "check_command": self.check_command,
            },
        }
        return body

    @property
    def energy_bound_j(self) -> float | None:
        """Joules of a generated token at the most power that the devices may take, None where that is unknown."""
        if self.power_w is None or not self.tokens_per_s:
            return None
        return self.power_w * self.scenario.devices / (self.tokens_per_s * self.scenario.batch)


def estimate_language(
    model: LanguageModel,
    device: Device,
    scenario: Scenario,
    clock: ClockKind | None = None,
    other: Callable[[str], LanguageModel] | None = None,
) -> LanguageEstimate:
    """Return the estimate of a model on `scenario.devices` devices with layers split between them.

    `other` returns the model in another format of weights, where it has any. Raises InputError where the bandwidth or
    the rates of the device are unknown.
    """
    quantized = any(tensor.block.coding != "plain" for tensor, _ in model.groups)
    accelerator, cache = accelerator_of(device, clock, quantized=quantized), block_format(scenario.kv_dtype)
    shipped = parameters.shipped()
    family = UNFITTED.get(accelerator.family, accelerator.family)
    known = _widened(shipped.families[family]) if family != accelerator.family else shipped.families[family]
    size = accelerator.size * scenario.devices if accelerator.size else None
    need = memory.budget(model, size, scenario.reserved, scenario.batch, cache, MICROBATCH, scenario.fused_attention)
    return LanguageEstimate(
        model=model.name,
        title=model.title,
        device=device.label,
        kind=device.kind,
        runtime="llama.cpp",
        weights=model.weights,
        params=model.params,
        active_params=model.active_params,
        peak_flops_per_second=accelerator.bound.flops_per_second,
        peak=accelerator.bound.label,
        peak_dtype=accelerator.bound.dtype,
        bandwidth_bytes_per_second=accelerator.bandwidth,
        scenario=scenario,
        phases=tuple(_phases(model, scenario, accelerator, known, cache)),
        budget=need,
        remedies=tuple(memory.remedies(model, need, scenario.devices, other)),
        interval_level=shipped.level,
        check_command=check_command(model, scenario, device.kind),
        provenance={"bandwidth": device.provenance_of("memory.bandwidth"), "peak": accelerator.bound.provenance},
        notices=(*model.notices, *_notices(model, device, accelerator, need, scenario)),
        power_w=float(device.power) if device.power else None,
    )


def check_command(model: LanguageModel, scenario: Scenario, kind: Kind) -> str:
    """Return the command of llama.cpp that measures the scenario."""
    path = shlex.quote(model.path or f"{model.name}-{model.weights}.gguf")
    cache = scenario.kv_dtype
    formats = "" if cache == "f16" else f" -ctk {cache} -ctv {cache}"
    formats += " -fa 1" if scenario.fused_attention else ""
    layers = " -ngl 99" if kind == "gpu" else ""
    if scenario.batch > 1:
        total = scenario.batch * scenario.reserved
        prompt = f"-npp {scenario.prompt} -ntg {scenario.generate} -npl {scenario.batch}"
        return f"llama-batched-bench -m {path}{layers} -c {total} {prompt}{formats}"
    depth = f" -d {scenario.prompt}" if scenario.prompt else ""
    bench = f"llama-bench -m {path}{layers}{formats}"
    prompt, generation = f"{bench} -p {scenario.prompt} -n 0", f"{bench} -p 0 -n {scenario.generate}{depth}"
    return " && ".join(([prompt] if scenario.prompt else []) + ([generation] if scenario.generate else []))


def _phases(
    model: LanguageModel, scenario: Scenario, device: Accelerator, known: RuntimeParameters, cache: BlockFormat
) -> Iterator[Phase]:
    """Yield the prompt and the generation."""
    if scenario.prompt:
        step = prompt_steps(model, scenario.prompt, scenario.batch, 0, MICROBATCH, cache)
        parts = prompt_time(step, device, known, scenario.devices, scenario.fused_attention)
        yield _phase("prompt", step, 1, parts, known.prompt, device, scenario.devices)
    if scenario.generate:
        step = decode_step(model, scenario.batch, scenario.prompt + scenario.generate / 2, cache)
        parts = generation_time(step, device, known, scenario.devices, scenario.fused_attention)
        spread = known.batched if scenario.batch > 1 else known.generation
        yield _phase("generation", step, scenario.generate, parts, spread, device, scenario.devices)


def _phase(
    name: str, step: StepWork, times: int, parts: Parts, spread: ErrorBand, device: Accelerator, devices: int
) -> Phase:
    """Return a phase of `times` such steps.

    The roofline lets prompts use all devices at once, as splitting every layer would; a generated token too.
    """
    ideal = times * step.flops / device.bound.flops_per_second / devices
    roofline = max(ideal, times * step.traffic / device.bandwidth / devices)
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
        interval_s=(max(expected * math.exp(spread.low), roofline), expected * math.exp(spread.high)),
        bound="memory" if roofline > ideal else "compute",
        limited_by=parts.largest,
        parts=Parts(*(scale * getattr(parts, field) for field in Parts.__struct_fields__)),
    )


def _widened(known: RuntimeParameters) -> RuntimeParameters:
    """Return the parameters with the spread of a class that nothing was fitted to."""
    wide = ErrorBand(-UNFITTED_SPREAD, UNFITTED_SPREAD)
    return replace(known, generation=wide, prompt=wide, batched=wide)


_BOUNDS = {
    "weights": "memory", "cache": "memory", "decoding": "compute", "arithmetic": "compute", "launches": "overhead",
}  # fmt: skip
"""Which resource each part of a time is spent on."""


def _shares(phases: tuple[Phase, ...]) -> dict[str, float]:
    """Return the shares of the time that memory, compute and overhead take."""
    total = sum(phase.parts.total for phase in phases)
    shares = dict.fromkeys(("compute", "memory", "overhead"), 0.0)
    for phase in phases:
        for part, bound in _BOUNDS.items():
            shares[bound] += getattr(phase.parts, part) / total
    return shares


def _list(values: tuple[float, float] | None) -> list[float] | None:
    return [*values] if values else None


def _row(phase: Phase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "kind": phase.kind,
        "flops": phase.flops,
        "least_flops": phase.flops,
        "traffic_bytes": phase.traffic_bytes,
        "least_traffic_bytes": phase.traffic_bytes,
        "intensity": phase.flops / phase.traffic_bytes,
        "ideal_time_s": phase.ideal_time_s,
        "roofline_time_s": phase.roofline_time_s,
        "roofline_bound": phase.bound,
        "expected_time_s": phase.expected_time_s,
        "interval_s": [*phase.interval_s],
        "bound": _BOUNDS[phase.limited_by],
        "count": 1,
        "limited_by": phase.limited_by,
        "utilization": phase.ideal_time_s / phase.expected_time_s,
        "parts_s": {name: getattr(phase.parts, name) for name in Parts.__struct_fields__},
    }


def _notices(
    model: LanguageModel, device: Device, accelerator: Accelerator, need: Budget, scenario: Scenario
) -> Iterator[Notice]:
    """Yield what a reader must know: memory, and what nothing was fitted to."""
    if need.size is None:
        yield notice("memory-size-unknown", device=device.label)
    if model.context and scenario.reserved > model.context:
        yield notice("context-beyond-model", context=scenario.reserved, longest=model.context)
    if accelerator.family in UNFITTED:
        yield notice("class-unfitted", device=device.label)
    if scenario.devices > 1:
        yield notice("devices-split-by-layers", devices=scenario.devices)
    if device.provenance_of("memory.bandwidth") == "assumed":
        yield notice("bandwidth-assumed", device=device.label)
