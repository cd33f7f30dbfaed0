"""Language models and other architectures of transformers, from their config classes alone: no weights, no downloads.

`hf:llama?num_hidden_layers=4` is a llama with one value changed. A causal model runs in two phases: `prefill` reads a
prompt of n tokens, `decode` makes one token against a key-value cache of n.
"""

import inspect
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from hwbench.errors import InputError, nearest, shown
from hwbench.units import si
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.build import Built, build_module, import_package, stated, typed_input, usual_batch
from hwbench.workload.tracing.twins import keep_values, tensors

DEFAULT_TOKENS = 128
_GRID = "image_grid_thw"
"""The argument of models that take patches: frames, rows and columns of each image, whose values are needed."""
_PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "gemma3": {"vision_config": {"image_size": 896, "patch_size": 14}},
    "qwen3_vl": {"vision_config": {"out_hidden_size": 4096}},
    "glm4v": {"text_config": {"rope_parameters": {"mrope_section": [8, 12, 12], "partial_rotary_factor": 0.5}}},
}
"""Values of published models, where the defaults of a config do not make one that runs."""
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
    images = _images(module, config, batch, request)
    placeholders = _image_tokens(module, images, batch)
    tokens = request.context or min(DEFAULT_TOKENS + placeholders, _positions(config))
    kwargs = _inputs(module, config, batch, tokens) | images
    if _GRID in images:  # where images are in the text is read from its values
        kwargs["input_ids"] = _text(batch, tokens, placeholders, config.image_token_id)
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
    if kind == "blip-2":  # whose config has no placeholder of images
        changes.setdefault("image_token_index", 50265)
    own = {key: value for key, value in changes.items() if hasattr(default, key) or _is_read(known[kind], key)}
    nested: dict[str, Any] = {part: dict(values) for part, values in _PUBLISHED.get(kind, {}).items()}
    for key in [key for key in changes if "." in key and hasattr(default, key.partition(".")[0])]:
        part, _, name = key.partition(".")  # a value of one of its configs, such as vision_config.depth
        nested.setdefault(part, {})[name] = changes.pop(key)
    own |= {part: _stated(getattr(default, part)) | values for part, values in nested.items()}
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


def _stated(config: Any) -> dict[str, Any]:
    """Return the values of an inner config that are not its class's own; lists follow from others, such as layers."""
    return {key: value for key, value in config.to_diff_dict().items() if not isinstance(value, list)}


def _is_read(kind: Any, key: str) -> bool:
    """Return whether the model of a config reads a value that the config has no default for, such as `head_dim`."""
    path = Path(inspect.getfile(kind))
    source = path.with_name(path.name.replace("configuration_", "modeling_"))
    text = source.read_text(encoding="utf-8") if source.is_file() else ""
    return re.search(rf'config(\.|, "){re.escape(key)}\b', text) is not None


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
    build = task.from_config if causal or type(config) in transformers.MODEL_MAPPING else _class_of(config)._from_config
    try:
        return build(config, attn_implementation="sdpa"), causal
    except ValueError:  # architectures without it
        return build(config, attn_implementation="eager"), causal


def _class_of(config: Any) -> Any:
    """Return the class of a config that no task lists, such as the encoder of a larger model. Raises InputError."""
    home = type(config).__module__.replace("configuration_", "modeling_")
    modeling = import_package(home)
    classes = [
        each
        for each in vars(modeling).values()
        if getattr(each, "config_class", None) is type(config) and each.__module__ == home and "forward" in vars(each)
    ]
    classes.sort(key=lambda each: not each.__name__.endswith("Model"))
    if not classes:
        text = f"transformers has no model of its own for '{shown(config.model_type)}'."
        raise InputError("unknown-model", text, field="model")
    return classes[0]


def _ids(batch: int, tokens: int) -> torch.Tensor:
    return torch.empty(batch, tokens, dtype=torch.int64, device="meta")


def _inputs(module: Any, config: Any, batch: int, tokens: int) -> dict[str, Any]:
    main, kwargs = module.main_input_name, _required(module, batch, tokens)
    if main == "input_values":
        return kwargs | {main: torch.empty(batch, 16_000, device="meta")}
    if main == "input_features":
        bins = getattr(config, "num_mel_bins", None) or getattr(config, "feature_projection_input_dim", 80)
        frames = 2 * getattr(config, "max_source_positions", 1500)
        kwargs[main] = torch.empty(batch, bins, frames, device="meta")
    parameters = inspect.signature(module.forward).parameters
    if main == "input_ids" or "input_ids" in parameters:
        kwargs["input_ids"] = _ids(batch, tokens)
    if _GRID in parameters:  # or positions would be made of the values of ids
        kwargs["position_ids"] = torch.empty(3, 1, tokens, dtype=torch.int64, device="meta")
    if config.is_encoder_decoder:
        kwargs["decoder_input_ids"] = _ids(batch, tokens)
    return kwargs


def _required(module: Any, batch: int, tokens: int) -> dict[str, Any]:
    """Return the masks and indices that a model cannot do without, one a token."""
    needed = {name for name, each in inspect.signature(module.forward).parameters.items() if each.default is each.empty}
    return {name: _ids(batch, tokens) for name in sorted(needed) if name.endswith(("_mask", "_ids"))}


def _images(module: Any, config: Any, batch: int, request: ModelRequest) -> dict[str, Any]:
    """Return an image a sample for a model that takes images, as pixels or as patches with their grid."""
    parameters, vision = inspect.signature(module.forward).parameters, getattr(config, "vision_config", None)
    pixels = parameters.get("pixel_values")
    is_needed = pixels is not None and pixels.default is pixels.empty
    if module.main_input_name != "pixel_values" and vision is None and not is_needed:
        return {}
    vision = vision or config
    if _GRID not in parameters:
        return {"pixel_values": _pixels(vision, batch, request)}
    patch, merge = vision.patch_size, getattr(vision, "spatial_merge_size", 2)
    sides = (request.image_size or getattr(vision, "image_size", None) or 224) // (patch * merge) * merge
    width = getattr(vision, "in_channels", getattr(vision, "in_chans", 3)) * getattr(vision, "temporal_patch_size", 1)
    with torch.device("cpu"):
        grid = keep_values(torch.tensor([[1, sides, sides]] * batch))
    return {"pixel_values": torch.empty(batch, sides * sides, width * patch * patch, device="meta"), _GRID: grid}


def _image_tokens(module: Any, images: dict[str, Any], batch: int) -> int:
    """Return how many tokens an image becomes; 0 where the model does not tell."""
    features = getattr(module, "get_image_features", None)
    if features is None or not images or next(module.parameters()).device.type != "meta":
        return 0
    try:
        with torch.no_grad(), torch.device("meta"):
            features_of_images = features(**images)
    except Exception:  # whatever the model raises without data
        return 0
    vectors = getattr(features_of_images, "pooler_output", features_of_images)
    return int(sum(vector.numel() // vector.shape[-1] for vector in tensors(vectors)) // batch)


def _text(batch: int, tokens: int, placeholders: int, image_token: int) -> torch.Tensor:
    """Return token ids with values: those of images, then others."""
    with torch.device("cpu"):
        ids = torch.zeros(batch, tokens, dtype=torch.int64)
    ids[:, :placeholders] = image_token
    return keep_values(ids)


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
