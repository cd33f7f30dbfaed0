"""Language models and other architectures of transformers, from their config classes alone: no weights, no downloads.

`hf:llama?num_hidden_layers=4` is a llama with one value changed. A causal model runs in two phases: `prefill` reads a
prompt of n tokens, `decode` makes one token against a key-value cache of n.
"""

import re
from typing import Any

import torch

from hwbench.errors import InputError, nearest, shown
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.sources import TRACED_BATCH, Built, made, module_named, typed_input

DEFAULT_TOKENS = 128
_OVERRIDE = re.compile(r"([a-z][a-z0-9_.]*)=(.*)")
_TASKS = ("causal", "seq2seq", "base")


def build(name: str, request: ModelRequest) -> Built:
    """The module of `hf:TYPE[?key=value&...]` with the arguments of one run. Raises InputError."""
    transformers = module_named("transformers")
    kind, _, query = name.partition("?")
    config = _config(transformers, kind, query)
    module, causal = made(lambda: _model(transformers, config), f"hf:{name}")
    batch = request.batch if request.training else TRACED_BATCH
    if request.phase and not causal:
        raise InputError(f"{shown(kind)} is no causal language model: it has no phases", field="--phase")
    title = f"transformers {type(module).__name__}"
    if request.input:
        tensor = typed_input(request.input)
        return Built(module, (tensor,), {}, tensor.shape[0], title)
    tokens = request.context or min(DEFAULT_TOKENS, _positions(config))
    kwargs = _inputs(module, config, batch, tokens, request)
    if causal:
        kwargs["use_cache"] = True  # the configs' own default
        title += f", {request.phase or 'forward'} of {tokens} tokens"
    if request.phase == "decode":
        kwargs |= {"input_ids": _ids(batch, 1), "past_key_values": _cache(module, kwargs, batch)}
        title = title.replace(f"decode of {tokens}", f"decode after {tokens}")
    return Built(module, (), kwargs, batch, title, cache=request.phase is not None)


def _cache(module: Any, kwargs: dict[str, Any], batch: int) -> Any:
    """The key-value cache that a prefill leaves, whatever the architecture keeps in it."""
    cache = getattr(torch_trace.trace(module, (), kwargs, batch=batch).output, "past_key_values", None)
    if cache is None:
        raise InputError(f"{type(module).__name__} returns no key-value cache to decode against", field="--phase")
    return cache


def _config(transformers: Any, kind: str, query: str) -> Any:
    known = transformers.CONFIG_MAPPING
    if kind not in known:
        raise InputError(f"transformers has no model type '{shown(kind)}'", nearest=nearest(kind, list(known)))
    changes: dict[str, Any] = {}
    for part in query.split("&") if query else ():
        match = _OVERRIDE.fullmatch(part)
        if match is None:
            raise InputError(f"'{shown(part)}' is not key=value, as in hf:bert?num_hidden_layers=4")
        changes[match.group(1)] = _value(match.group(2))
    default = known[kind]()
    own = {key: value for key, value in changes.items() if hasattr(default, key)}
    config = made(lambda: known[kind](**own), f"the config of {kind}")  # what follows from a change follows
    text = config.get_text_config()
    for key in changes.keys() - own.keys():
        if not hasattr(text, key):
            raise InputError(f"the config of {kind} has no '{shown(key)}'", nearest=nearest(key, vars(text)))
        setattr(text, key, changes[key])
    config._attn_implementation = "sdpa"
    return config


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _model(transformers: Any, config: Any) -> tuple[Any, bool]:
    """The causal model of a config where there is one, else its base model."""
    causal = type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING and not config.is_encoder_decoder
    masked = type(config) in transformers.MODEL_FOR_MASKED_LM_MAPPING
    task = transformers.AutoModelForCausalLM if causal and not masked else transformers.AutoModel
    for implementation in ("sdpa", "eager"):
        try:
            return task.from_config(config, attn_implementation=implementation), causal and not masked
        except ValueError:
            if implementation == "eager":
                raise
    raise AssertionError("unreachable")


def _ids(batch: int, tokens: int) -> torch.Tensor:
    return torch.empty(batch, tokens, dtype=torch.int64, device="meta")


def _inputs(module: Any, config: Any, batch: int, tokens: int, request: ModelRequest) -> dict[str, Any]:
    """Arguments by what the model's main input is called."""
    main = module.main_input_name
    kwargs = {}
    if main == "input_values":
        return {main: torch.empty(batch, 16_000, device="meta")}
    if main == "input_features":
        bins = getattr(config, "num_mel_bins", None) or getattr(config, "feature_projection_input_dim", 80)
        frames = 2 * getattr(config, "max_source_positions", 1500)
        kwargs[main] = torch.empty(batch, bins, frames, device="meta")
    vision = getattr(config, "vision_config", None)
    if main == "pixel_values" or vision is not None:
        kwargs["pixel_values"] = _pixels(vision or config, batch, request)
    if main == "input_ids":
        kwargs[main] = _ids(batch, tokens)
    if config.is_encoder_decoder:
        kwargs["decoder_input_ids"] = _ids(batch, tokens)
    return kwargs


def _pixels(config: Any, batch: int, request: ModelRequest) -> torch.Tensor:
    """An image of the size that the config says, or as many as it has frames."""
    size = request.image_size or getattr(config, "image_size", None) or 224
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    frames = [config.num_frames] if hasattr(config, "num_frames") else []
    channels = getattr(config, "num_channels", 3)
    return torch.empty(batch, *frames, channels, height, width, device="meta")


def _positions(config: Any) -> int:
    """Tokens that the model has positions for."""
    return getattr(config.get_text_config(), "max_position_embeddings", None) or DEFAULT_TOKENS
