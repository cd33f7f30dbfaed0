"""How fast language models run: `estimate_language`.

    import hwbench
    hwbench.estimate_language("llama3-8b", "rtx3090", weights="q4_k_m", prompt=512, generate=128)

Neither torch nor the weights are needed: models are those of the catalog (also by their names on the hub), `.gguf`
files, `config.json`, or folders with it and `.safetensors` files.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from msgspec.structs import replace

from hwbench.api.checks import check_batch, check_clock, check_quantity
from hwbench.api.lookup import LANGUAGE_RUNTIMES, calibration_key, locate
from hwbench.errors import InputError, shown
from hwbench.files import folders
from hwbench.machine import calibrations
from hwbench.machine.device import Device
from hwbench.notices import Notice, notice, unique
from hwbench.predict.language import LanguageEstimate, Scenario
from hwbench.predict.language import estimate_language as estimated
from hwbench.predict.language.phases import LLAMA_CPP, SERVER, Split
from hwbench.units import BytesPerSecond
from hwbench.workload.language import LanguageModel, language_model
from hwbench.workload.language.formats import HUB_FORMATS, block_format

if TYPE_CHECKING:
    from hwbench.workload.language.counting import LanguageCount

MAX_TOKENS, MAX_DEVICES = 100_000_000, 4096
PCIE = 31.5e9
"""B/s of 16 lanes of PCIe 4.0 in one direction."""


def estimate_language(
    model: str,
    device: str | Device,
    *,
    weights: str | None = None,
    kv_dtype: str | None = None,
    prompt: int | None = None,
    generate: int | None = None,
    batch: int | None = None,
    context: int | None = None,
    devices: int | None = None,
    split: str | None = None,
    link: float | str | None = None,
    gpu_layers: int | None = None,
    cpu: str | Device | None = None,
    fused_attention: bool = False,
    runtime: str | None = None,
    clock: str | None = None,
    settings: Mapping[str, str] | None = None,
) -> LanguageEstimate:
    """Return time to first token, tokens a second and memory of a language model on a device, with intervals.

    `weights` is a format such as `q4_k_m`, `f16` or `fp8` (by default that of the file, bf16 for the catalog),
    `kv_dtype` that of the cache. `batch` sequences run at once; memory is reserved for `context` tokens of each, by
    default those of the prompt (512) and to generate (128). `devices` have different layers, or with the `split`
    "tensor" a part of each, over a `link` in B/s; with `gpu_layers`, so many of them are on the device and the others
    on `cpu`. Fused attention is llama.cpp's `-fa 1`. The `runtime` is `llama.cpp`, or `vllm` (a server with `batch`
    requests under way), which formats have that llama.cpp lacks. Raises InputError.
    """
    described = model_in_format(model, weights)
    scenario = scenario_of(
        kv_dtype=kv_dtype, prompt=prompt, generate=generate, batch=batch, context=context, devices=devices, split=split,
        link=link, gpu_layers=gpu_layers, fused_attention=fused_attention, runtime=runtime,
    )  # fmt: skip
    if "overhead" in (settings or {}):
        message = "The model of llama.cpp has no overhead of launches to multiply."
        raise InputError("not-for-language-models", message, field="settings.overhead")
    located, host = locate(device, settings), None if cpu is None else locate(cpu).device
    scenario, remarks = completed(scenario, described, located.device)
    if (scenario.gpu_layers is None) != (host is None):
        message = "Layers on a CPU need both: how many are on the device, and which CPU has the others."
        raise InputError("missing", message, field="cpu" if host is None else "gpu_layers")
    if host is not None and (host.kind != "cpu" or located.device.kind != "gpu"):
        raise InputError("not-a-cpu", "Layers are divided between a GPU and a CPU.", field="cpu")
    other = None if described.path else lambda name: language_model(model, name)
    own = calibrations.load_language(calibration_key(device))
    answer = estimated(
        described, located.device, scenario, check_clock(clock), other, host, own, improve=scenario.generate > 0
    )
    return replace(answer, notices=unique((*located.notices, *remarks, *answer.notices)))


def runtime_of(scenario: Scenario, model: LanguageModel) -> str:
    """Return the runtime that is asked for, else llama.cpp where it has the format of the weights."""
    return scenario.runtime or (SERVER if model.weights in HUB_FORMATS else LLAMA_CPP)


def completed(scenario: Scenario, model: LanguageModel, device: Device) -> tuple[Scenario, tuple[Notice, ...]]:
    """Return a scenario with the runtime of the format and the link of the device, and remarks. Raises InputError."""
    runtime = runtime_of(scenario, model)
    if not device.units:
        message = f"There is no model of language models on {device.label}: its clocks and rates are not published."
        raise InputError("no-time-model", message, field="device")
    if model.weights in HUB_FORMATS and runtime == LLAMA_CPP:
        message = f"llama.cpp has no weights in {model.weights}."
        raise InputError("format-of-other-runtime", message, field="weights", nearest=("q8_0", "q4_k_m"))
    if runtime == SERVER and (device.kind != "gpu" or scenario.gpu_layers is not None):
        raise InputError("not-a-gpu", "The model of servers is for whole models on GPUs.", field="runtime")
    remarks, link = [], scenario.link
    if scenario.split == "tensor" and link is None:
        link = float(device.link or PCIE)
        remarks += [] if device.link else [notice("link-assumed", device=device.label)]
    if device.kind == "cpu" and device.vendor == "Apple" and folders.locate("devices", gpu := f"{device.label}-gpu"):
        remarks.append(notice("gpu-on-chip", gpu=gpu))
    return replace(scenario, runtime=runtime, link=link), tuple(remarks)


def count_language(model: str, *, weights: str | None = None, kv_dtype: str | None = None) -> "LanguageCount":
    """Return parameters, sizes by format and the cache of a token of a language model. Raises InputError."""
    from hwbench.workload.language import counting  # which estimates do without

    described, cache = model_in_format(model, weights), block_format(check_cache(kv_dtype or "f16"))
    return counting.count(described, cache, None if described.path else lambda name: language_model(model, name))


def model_in_format(model: str, weights: str | None) -> LanguageModel:
    """Return a language model in a format of weights. Raises InputError that names the parameter."""
    if not isinstance(model, str):
        raise InputError("unknown-model", f"A language model has a name, not a {type(model).__name__}.", field="model")
    try:
        return language_model(model, weights)
    except InputError as error:
        raise error.at(field=error.field or "model") if error.file is None else error from None


def scenario_of(
    *,
    kv_dtype: str | None = None,
    prompt: int | None = None,
    generate: int | None = None,
    batch: int | None = None,
    context: int | None = None,
    devices: int | None = None,
    split: str | None = None,
    link: float | str | None = None,
    gpu_layers: int | None = None,
    fused_attention: bool = False,
    runtime: str | None = None,
) -> Scenario:
    """Return what is asked of a model, with the defaults of what is not given. Raises InputError.

    The runtime is empty and the link None where they are not given: they depend on the model and the device.
    """
    for field, value, known in (("split", split, get_args(Split)), ("runtime", runtime, LANGUAGE_RUNTIMES)):
        if value is not None and value not in known:
            message = f"Language models have no {field} '{shown(value, 40)}'."
            raise InputError(f"unknown-{field}", message, field=field, nearest=known)
    scenario = Scenario(
        prompt=_count(prompt, 512, "prompt", 0),
        generate=_count(generate, 128, "generate", 0),
        batch=1 if batch is None else check_batch(batch),
        context=None if context is None else _count(context, 0, "context", 1),
        kv_dtype=check_cache(kv_dtype or "f16"),
        devices=_count(devices, 1, "devices", 1, MAX_DEVICES),
        gpu_layers=None if gpu_layers is None else _count(gpu_layers, 0, "gpu_layers", 0),
        fused_attention=fused_attention,
        runtime=runtime or "",
        split="tensor" if split == "tensor" else "layers",
        link=None if link is None else check_quantity(BytesPerSecond, link, "link"),
    )
    if scenario.split == "tensor" and (scenario.devices == 1 or gpu_layers is not None):
        raise InputError("single-device", "Tensors are split between several devices alone.", field="split")
    if link is not None and scenario.split != "tensor":
        raise InputError("needs-split", "The link matters where tensors are split.", field="link")
    if scenario.prompt + scenario.generate == 0:
        raise InputError("nothing-to-do", "There is neither a prompt nor anything to generate.", field="generate")
    if scenario.reserved < scenario.prompt + scenario.generate:
        message = f"The context holds {scenario.prompt + scenario.generate} tokens of prompt and generation."
        raise InputError("context-too-short", message, field="context")
    return scenario


def _count(value: int | None, default: int, field: str, low: int, high: int = MAX_TOKENS) -> int:
    """Return a number of tokens or devices. Raises InputError for one out of range."""
    number = default if value is None else value
    if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
        message = f"'{shown(number, 40)}' is not a whole number from {low} to {high}."
        raise InputError("number-range", message, field=field)
    return number


def check_cache(name: str) -> str:
    """Return the format of the cache by llama.cpp's name. Raises InputError for one that is not for caches."""
    aliases = {"fp16": "f16", "fp32": "f32", "fp8": "q8_0", "int8": "q8_0"}
    try:
        block = block_format(aliases.get(name.lower(), name))
    except InputError as error:
        raise error.at(field="kv_dtype") from None
    known = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
    if block.name not in known:
        raise InputError("not-for-caches", f"No cache is kept as {block.name}.", field="kv_dtype", nearest=known)
    return block.name
