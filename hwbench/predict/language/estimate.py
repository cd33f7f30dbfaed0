"""An estimate of a language model on a device: bounds, forecast, memory, and the command that checks it."""

import shlex
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from hwbench.answers import Answer
from hwbench.machine.device import Device, highest, peaks
from hwbench.machine.language_calibration import LanguageCalibration
from hwbench.machine.parts import ClockKind, Kind
from hwbench.notices import Notice, notice
from hwbench.predict.language import memory, parameters
from hwbench.predict.language.gains import LanguageGain, gains
from hwbench.predict.language.hardware import Accelerator, accelerator_of, usable_share
from hwbench.predict.language.memory import Budget, Remedy
from hwbench.predict.language.model import Parts
from hwbench.predict.language.parameters import UNFITTED, RuntimeParameters
from hwbench.predict.language.phases import LLAMA_CPP, MICROBATCH, SERVER, Phase, Scenario, Stage, phases
from hwbench.predict.language.server import BUDGET, server_phases
from hwbench.workload.language.formats import block_format
from hwbench.workload.language.parts import split_layers
from hwbench.workload.language.tensors import LanguageModel

SERVER_FAMILY = "server"
SUBSTITUTES = {"other": "cuda"}
"""Classes of devices that nothing was fitted to, and the class whose parameters are used for them."""


class LanguageEstimate(Answer, Struct, frozen=True):
    """One language model on one device: `phases` are the prompt, if there is one, and the generation.

    In a server the batch is that of requests under way, and the prompt the time to the first token of one of them.
    """

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
    host: str | None = None
    improvements: tuple[LanguageGain, ...] = ()

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
    def tokens_per_s_all(self) -> float | None:
        """Generated tokens a second of all sequences."""
        generation = self.phase("generation")
        return generation.tokens_per_s if generation else None

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
                "split": scenario.split,
                "link_bytes_per_second": scenario.link,
                "gpu_layers": scenario.gpu_layers,
                "params": self.params,
                "active_params": self.active_params,
                "ttft_s": self.ttft_s,
                "ttft_interval_s": [*prompt.interval_s] if prompt else None,
                "tokens_per_s": self.tokens_per_s,
                "tokens_per_s_interval": _list(self.tokens_per_s_interval),
                "tokens_per_s_all": self.tokens_per_s_all,
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
        if self.power_w is None or not self.tokens_per_s_all:
            return None
        return self.power_w * self.scenario.devices / self.tokens_per_s_all


def estimate_language(
    model: LanguageModel,
    device: Device,
    scenario: Scenario,
    clock: ClockKind | None = None,
    other: Callable[[str], LanguageModel] | None = None,
    host: Device | None = None,
    calibration: LanguageCalibration | None = None,
    *,
    improve: bool = False,
) -> LanguageEstimate:
    """Return the estimate of a model on `scenario.devices` devices that share its layers, or every one of them.

    `other` returns the model in another format of weights, where it has any. `host` is the CPU that has the layers
    beyond `scenario.gpu_layers`; the memory that is budgeted and the `calibration` are those of the device. To
    `improve` a model that is on devices alone, changes are tried. Raises InputError where the bandwidth or the rates of
    a device are unknown.
    """
    is_server = scenario.runtime == SERVER
    accelerator, known = (server_class if is_server else class_of)(model, device, clock)
    cache = block_format(scenario.kv_dtype)
    size = accelerator.size * scenario.devices if accelerator.size else None
    resident = model
    if is_server:
        calibration = None  # which is of llama.cpp
    whole = Stage(model, accelerator, known, scenario.devices, calibration, scenario.link)
    stages: tuple[Stage, ...] = (whole,)
    if scenario.gpu_layers is not None and host is not None:
        resident, rest = split_layers(model, scenario.gpu_layers)
        stages = tuple(
            Stage(part, *class_of(model, where, clock), count, own)
            for part, where, count, own in ((resident, device, scenario.devices, calibration), (rest, host, 1, None))
            if part.tensors
        )
    step, fused = (BUDGET, True) if is_server else (MICROBATCH, scenario.fused_attention)
    need = memory.budget(resident, size, scenario.reserved, scenario.batch, cache, step, fused)
    return LanguageEstimate(
        model=model.name,
        title=model.title,
        device=device.label,
        kind=device.kind,
        runtime=scenario.runtime,
        weights=model.weights,
        params=model.params,
        active_params=model.active_params,
        peak_flops_per_second=accelerator.bound.flops_per_second,
        peak=accelerator.bound.label,
        peak_dtype=accelerator.bound.dtype,
        bandwidth_bytes_per_second=accelerator.bandwidth,
        scenario=scenario,
        phases=tuple(server_phases(whole, scenario) if is_server else phases(stages, scenario)),
        budget=need,
        remedies=tuple(
            memory.remedies(resident, need, scenario.devices, None if resident is not model else other, not is_server)
        ),
        interval_level=parameters.shipped().level,
        host=host.label if len(stages) > 1 and host else None,
        improvements=gains(whole, scenario, other) if improve and stages == (whole,) and not is_server else (),
        check_command=check_command(model, scenario, device.kind),
        provenance={"bandwidth": device.provenance_of("memory.bandwidth"), "peak": accelerator.bound.provenance},
        notices=(
            *model.notices,
            *_notices(model, device, accelerator, known, need, scenario),
            *_calibrated(calibration),
        ),
        power_w=float(device.power) if device.power and len(stages) == 1 else None,
    )


def check_command(model: LanguageModel, scenario: Scenario, kind: Kind) -> str:
    """Return the command of the runtime that measures the scenario."""
    if scenario.runtime == SERVER:
        name, several = shlex.quote(model.path or model.name), scenario.devices
        tensor = f" --{'tensor' if scenario.split == 'tensor' else 'pipeline'}-parallel-size {several}"
        lengths = f"--random-input-len {scenario.prompt} --random-output-len {scenario.generate}"
        load = f"--max-concurrency {scenario.batch} --num-prompts {8 * scenario.batch}"
        serve = f"vllm serve {name}{tensor if several > 1 else ''}"
        return f"{serve} & vllm bench serve --model {name} --dataset-name random {lengths} {load}"
    path = shlex.quote(model.path or f"{model.name}-{model.weights}.gguf")
    cache = scenario.kv_dtype
    formats = "" if cache == "f16" else f" -ctk {cache} -ctv {cache}"
    formats += " -fa 1" if scenario.fused_attention else ""
    count = 99 if scenario.gpu_layers is None else scenario.gpu_layers
    layers = f" -ngl {count}" if kind == "gpu" else ""
    layers += " -sm row" if scenario.split == "tensor" else ""
    if scenario.batch > 1:
        total = scenario.batch * scenario.reserved
        prompt = f"-npp {scenario.prompt} -ntg {scenario.generate} -npl {scenario.batch}"
        return f"llama-batched-bench -m {path}{layers} -c {total} {prompt}{formats}"
    depth = f" -d {scenario.prompt}" if scenario.prompt else ""
    bench = f"llama-bench -m {path}{layers}{formats}"
    prompt, generation = f"{bench} -p {scenario.prompt} -n 0", f"{bench} -p 0 -n {scenario.generate}{depth}"
    return " && ".join(([prompt] if scenario.prompt else []) + ([generation] if scenario.generate else []))


def class_of(model: LanguageModel, device: Device, clock: ClockKind | None) -> tuple[Accelerator, RuntimeParameters]:
    """Return a device as the model sees it, and the parameters of its class or of the one that is used for it."""
    quantized = any(tensor.block.coding != "plain" for tensor, _ in model.groups)
    accelerator = accelerator_of(device, clock, quantized=quantized)
    families = parameters.shipped().families
    family = SUBSTITUTES.get(accelerator.family, accelerator.family)
    if family != accelerator.family:
        return accelerator, _widened(families[family])
    return accelerator, families[family] if _is_measured(device, families[family]) else _doubled(families[family])


def _is_measured(device: Device, known: RuntimeParameters) -> bool:
    """Return whether devices of the same architecture were measured, where that matters to the class."""
    return not known.architectures or device.units[0].architecture in known.architectures


def _doubled(known: RuntimeParameters) -> RuntimeParameters:
    """Return the parameters with spreads that are twice as wide."""
    names = ("generation", "prompt", "batched", "several", "fused")
    return replace(known, **{name: band.times(2.0) for name in names if (band := getattr(known, name))})


def server_class(
    model: LanguageModel, device: Device, clock: ClockKind | None
) -> tuple[Accelerator, RuntimeParameters]:
    """Return a device as a server sees it: 16-bit products summed in fp32, or those of its weights' own 8 bits."""
    accelerator, _ = class_of(model, device, clock)
    every = peaks(device, clock)
    usable = [peak for name in ("fp16", "bf16", "fp32") if (peak := highest(every, name))]
    best = highest(every, model.weights) or max(usable, key=lambda peak: peak.flops_per_second)
    return replace(accelerator, rate=best.flops_per_second), parameters.shipped().families[SERVER_FAMILY]


def _widened(known: RuntimeParameters) -> RuntimeParameters:
    """Return the parameters with the spread of a class that nothing was fitted to."""
    return replace(known, generation=UNFITTED, prompt=UNFITTED, batched=UNFITTED, several=UNFITTED, fused=UNFITTED)


_BOUNDS = {
    "weights": "memory", "cache": "memory", "decoding": "compute", "arithmetic": "compute", "launches": "overhead",
    "link": "overhead",
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


def _calibrated(calibration: LanguageCalibration | None) -> Iterator[Notice]:
    if calibration:
        yield notice("language-calibrated", device=calibration.device, source=calibration.source)


def _notices(
    model: LanguageModel,
    device: Device,
    accelerator: Accelerator,
    known: RuntimeParameters,
    need: Budget,
    scenario: Scenario,
) -> Iterator[Notice]:
    """Yield what a reader must know: memory, and what nothing was fitted to."""
    if (share := usable_share(device)) < 1:
        yield notice("memory-kept-by-system", part="two thirds" if share < 0.7 else "three quarters")
    if need.size is None:
        yield notice("memory-size-unknown", device=device.label)
    if model.context and scenario.reserved > model.context:
        yield notice("context-beyond-model", context=scenario.reserved, longest=model.context)
    if scenario.gpu_layers is not None:
        yield notice("layers-on-cpu", layers=len(model.layers) - min(scenario.gpu_layers, len(model.layers)))
    if scenario.runtime == SERVER:
        yield notice("server-unfitted", budget=BUDGET)
    elif accelerator.family in SUBSTITUTES:
        yield notice("class-unfitted", device=device.label)
    elif not _is_measured(device, known):
        yield notice("architecture-unfitted", architecture=device.units[0].architecture)
    if scenario.runtime == LLAMA_CPP and any(weight.experts > 1 for weight, _ in model.groups):
        yield notice("experts-unfitted")
    if model.weights in ("fp8", "int8") and all(peak.dtype != model.weights for peak in peaks(device)):
        yield notice("weights-decoded", device=device.label, weights=model.weights)
    if scenario.split == "tensor":
        yield notice("devices-split-tensors", devices=scenario.devices, link=scenario.link)
    elif scenario.devices > 1:
        yield notice("devices-split-by-layers", devices=scenario.devices)
    if device.provenance_of("memory.bandwidth") == "assumed":
        yield notice("bandwidth-assumed", device=device.label)
