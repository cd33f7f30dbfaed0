"""Language models and other architectures of transformers, from their config classes alone: no weights, no downloads.

`hf:llama?num_hidden_layers=4` is a llama with one value changed. A causal model runs in two phases: `prefill` reads a
prompt of n tokens, `decode` makes one token against a key-value cache of n.
"""

import re
from contextlib import suppress
from typing import Any

import torch

from hwbench.errors import InputError, nearest, shown
from hwbench.units import si
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.build import (
    Built,
    build_module,
    import_package,
    stated,
    typed_input,
    usual_batch,
)

DEFAULT_TOKENS = 128
_OVERRIDE = re.compile(r"([a-z][a-z0-9_.]*)=(.*)")


def build(name: str, request: ModelRequest, place: str = "meta") -> Built:
    """Return the module of `hf:TYPE[?key=value&...]` with the arguments of one run. Raises InputError."""
    transformers = import_package("transformers")
    kind, _, query = name.partition("?")
    config = _config(transformers, kind, query, place)
    module, causal = build_module(lambda: _model(transformers, config), request.model, place)
    batch = usual_batch(request)
    if request.phase and not causal:
        text = f"'{shown(kind)}' is not a causal language model, so it has no phases."
        raise InputError("no-phases", text, field="phase")
    size = sum(parameter.numel() for parameter in module.parameters())
    title = f"transformers {type(module).__name__} ({si(size, '')} parameters)"
    if request.input:
        return stated(module, (typed_input(request.input),), {}, title)
    tokens = request.context or min(DEFAULT_TOKENS, _positions(config))
    kwargs = _inputs(module, config, batch, tokens, request)
    if causal:
        kwargs["use_cache"] = True  # the configs' own default
        run = request.phase or ("training step" if request.training else "forward")
        title += f", {run} {'after' if request.phase == 'decode' else 'of'} {tokens} tokens"
    if request.phase == "decode":
        kwargs |= {"input_ids": _ids(batch, 1), "past_key_values": _cache(module, kwargs, batch)}
    return Built(module, (), kwargs, batch, title, cache=request.phase is not None)


def _cache(module: Any, kwargs: dict[str, Any], batch: int) -> Any:
    """Return the key-value cache that a prefill leaves, whatever the architecture keeps in it."""
    cache = getattr(torch_trace.trace(module, (), kwargs, batch=batch).output, "past_key_values", None)
    if cache is None:
        text = f"{type(module).__name__} returns no key-value cache to decode against."
        raise InputError("no-cache", text, field="phase")
    return cache


def _config(transformers: Any, kind: str, query: str, place: str) -> Any:
    known = transformers.CONFIG_MAPPING
    if kind not in known:
        text = f"There is no transformers model type '{shown(kind)}'."
        raise InputError("unknown-model", text, field="model", nearest=nearest(kind, list(known)))
    changes: dict[str, Any] = {}
    for part in query.split("&") if query else ():
        match = _OVERRIDE.fullmatch(part)
        if match is None:
            text = f"'{shown(part)}' is not key=value, as in hf:bert?num_hidden_layers=4."
            raise InputError("not-an-override", text, field="model")
        changes[match.group(1)] = _value(match.group(2))
    default = known[kind]()
    own = {key: value for key, value in changes.items() if hasattr(default, key)}
    # Built anew, so that values that the config derives from a changed one change too.
    config = build_module(lambda: known[kind](**own), f"hf:{kind}", place)
    text_config = config.get_text_config()
    for key in changes.keys() - own.keys():
        if not hasattr(text_config, key):
            text = f"The config of {kind} has no '{shown(key)}'."
            raise InputError("unknown-override", text, field="model", nearest=nearest(key, vars(text_config)))
        setattr(text_config, key, changes[key])
    config._attn_implementation = "sdpa"
    return config


def _value(text: str) -> Any:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _model(transformers: Any, config: Any) -> tuple[Any, bool]:
    """Return the causal model of a config where there is one, else its base model, and whether it is causal."""
    causal = type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING and not config.is_encoder_decoder
    causal = causal and type(config) not in transformers.MODEL_FOR_MASKED_LM_MAPPING
    task = transformers.AutoModelForCausalLM if causal else transformers.AutoModel
    try:
        return task.from_config(config, attn_implementation="sdpa"), causal
    except ValueError:  # architectures without it
        return task.from_config(config, attn_implementation="eager"), causal


def _ids(batch: int, tokens: int) -> torch.Tensor:
    return torch.empty(batch, tokens, dtype=torch.int64, device="meta")


def _inputs(module: Any, config: Any, batch: int, tokens: int, request: ModelRequest) -> dict[str, Any]:
    main, kwargs = module.main_input_name, {}
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
    """Return an image of the size in the config, or as many as the config has frames."""
    size = request.image_size or getattr(config, "image_size", None) or 224
    height, width = size if isinstance(size, (list, tuple)) else (size, size)
    frames = [config.num_frames] if hasattr(config, "num_frames") else []
    channels = getattr(config, "num_channels", 3)
    return torch.empty(batch, *frames, channels, height, width, device="meta")


def _positions(config: Any) -> int:
    """Return the number of tokens that the model has positions for."""
    return getattr(config.get_text_config(), "max_position_embeddings", None) or DEFAULT_TOKENS
