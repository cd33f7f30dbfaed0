"""Language models and other architectures of transformers, from their config classes alone: no weights, no downloads.

`hf:llama?num_hidden_layers=4` is a llama with one value changed. A causal model runs in two phases: `prefill` reads a
prompt of n tokens, `decode` makes one token against a key-value cache of n.
"""

import inspect
import linecache
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from traceback import walk_tb
from typing import Any

import torch

from hwbench.errors import InputError, nearest, shown
from hwbench.units import si
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.build import Built, build_module, import_package, stated, typed_input, usual_batch
from hwbench.workload.tracing.transformers_inputs import arguments_of, find, fitting

_PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "gemma3": {"vision_config": {"image_size": 896, "patch_size": 14}},
    "glm4v_moe": {"text_config": {"head_dim": 128}},
}
"""Values of published models, where the defaults of a config do not make one that runs."""
_READ = re.compile(r"config\.(?!dtype|\w*token_id)(\w+)")
_REQUIRED = re.compile(r"requires the (\w+) library")
_ASKS = re.compile(r"meta tensors?\b|unallocated storage|data-independent")
"""What torch says of a tensor without data whose values are asked for."""
_OVERRIDE = re.compile(r"([a-z][a-z0-9_.]*)=(.*)")


def build(name: str, request: ModelRequest, place: str = "meta") -> Built:
    """Return the module of `hf:TYPE[?key=value&...]` with the arguments of one run. Raises InputError."""
    transformers = import_package("transformers")
    kind, _, query = name.partition("?")
    config = _config(transformers, kind, query, place)
    module, causal = build_module(lambda: _model(transformers, config), request.model, place)
    if _rotate_as_stated(module):
        module, causal = build_module(lambda: _model(transformers, config), request.model, place)
    batch = usual_batch(request)
    if request.phase and not causal:
        text = f"'{shown(kind)}' is not a causal language model, so it has no phases."
        raise InputError("no-phases", text, field="phase")
    size = sum(parameter.numel() for parameter in module.parameters())
    title = f"transformers {type(module).__name__} ({si(size, '')} parameters)"
    if request.input:
        return stated(module, (typed_input(request.input),), {}, title)
    kwargs, tokens, runs = fitting(module, config, request, batch, causal)
    if not runs and (arguments := _given_by_whole(transformers, module, config, query, request, batch)):
        return Built(module, *arguments, batch, title)
    if causal:
        # The configs' own default; but the cache of a hybrid without attention layers does not know its length.
        has_length = {*getattr(config, "layers_block_type", ())} != {"linear_attention"}
        kwargs["use_cache"] = request.phase is not None or has_length
        run = request.phase or ("training step" if request.training else "forward")
        title += f", {run} {'after' if request.phase == 'decode' else 'of'} {tokens} tokens"
    if request.phase == "decode":
        kwargs |= {"input_ids": _ids(batch, 1), "past_key_values": _cache(module, kwargs, batch)}
    return Built(module, (), kwargs, batch, title, cache=request.phase is not None)


def refusal(name: str, error: InputError) -> InputError:
    """Return why a model is not counted, and the way out, for an error of its making or of its run."""
    cause, model = error.__cause__, shown(name)
    if error.code not in ("not-buildable", "not-traceable", "needs-values"):
        return error
    if of_config := _refusal_of_config(model, cause, error.code):
        return of_config
    if isinstance(cause, NotImplementedError) or _ASKS.search(str(cause)):
        text = (
            f"{model} decides by values that its weights make: --real runs it on random ones, in its memory and time."
        )
        return InputError("needs-values", text, field="model")
    if "?" in name:
        reason = shown(" ".join(str(cause).split()), 160)
        text = f"{model} does not run with the values that are stated of its config ({reason}): state others."
        return InputError("not-traceable", text, field="model")
    text = f"No usual input fits {model}: return it with its arguments from a factory, as in torch:net.py:make."
    return InputError("not-traceable", text, field="model")


def _refusal_of_config(model: str, cause: BaseException | None, code: str) -> InputError | None:
    """Return the refusal of a model for what its config or this environment lacks."""
    attribute = getattr(cause, "name", None) or ""  # of a config that does not have it
    owners = [part.model_type for part in _parts(getattr(cause, "obj", None)) if hasattr(part, attribute)]
    if isinstance(cause, ImportError):
        packages = ", ".join(dict.fromkeys(_REQUIRED.findall(str(cause)))) or "one that is not installed"
        code, text = "missing-package", f"{model} needs another package: {shown(packages)}."
    elif owners:
        text = f"{model} is built for a part of its config only: count hf:{shown(', hf:'.join(owners))}."
    elif lacking := _lacking(cause):
        names = shown(", ".join(lacking))
        code, text = (
            "config-needed",
            f"The config of {model} has no value for {names}, which its model needs: state it.",
        )
    elif code == "not-buildable":
        is_said = not isinstance(cause, (TypeError, AttributeError, KeyError))  # else in terms of Python
        reason = f" ({shown(str(cause).rpartition(': ')[2].strip(' .'), 160)})" if is_said else ""
        text = (
            f"{model} cannot be built: values of its config are missing or do not fit{reason}. State them: hf:T?key=V."
        )
    else:
        return None
    return InputError(code, text, field="model")


def _parts(config: Any) -> Iterator[Any]:
    """Yield the configs inside a config."""
    parts = (getattr(config, name, None) for name in getattr(config, "sub_configs", None) or ())
    yield from (part for part in parts if part is not None)


def _lacking(error: BaseException | None) -> list[str]:
    """Return the values that the code reads in which an error arose, and that the config does not have."""
    is_of_none = isinstance(error, (TypeError, AttributeError))
    for frame, line in reversed(list(walk_tb(error.__traceback__))) if error and is_of_none else ():
        if "modeling_" not in frame.f_code.co_filename:
            continue
        module, config = frame.f_locals.get("self"), frame.f_locals.get("config")
        read = _READ.findall(inspect.getsource(frame.f_code)) if config is not None else []
        lacking = {name for name in read if find(config, name) is None}
        for name in re.findall(r"self\.(\w+)", linecache.getline(frame.f_code.co_filename, line)):
            if isinstance(module, torch.nn.Module) and getattr(module, name, module) is None:
                lacking |= {*re.findall(rf"self\.{name} = config\.(\w+)", inspect.getsource(type(module).__init__))}
        if lacking:
            return sorted(lacking)
    return []


def _rotate_as_stated(module: Any) -> bool:
    """Let as much of each head rotate as the sections for the axes of positions state; return whether that is news."""
    changed = False
    for part in module.modules():
        config: Any = getattr(part, "config", None)
        sections, rotary = getattr(part, "mrope_section", None), getattr(config, "rope_parameters", None)
        if not sections or not isinstance(rotary, dict):
            continue
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        if 2 * sum(sections) < int(width * rotary.get("partial_rotary_factor", 1)):
            rotary["partial_rotary_factor"] = 2 * sum(sections) / width
            changed = True
    return changed


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
    default, stated = build_module(lambda: _of_whole(known[kind]), f"hf:{kind}", place)
    if kind == "blip-2":  # whose config has no placeholder of images
        changes.setdefault("image_token_index", 50265)
    own = {key: value for key, value in changes.items() if hasattr(default, key) or _is_read(known[kind], key)}
    nested: dict[str, Any] = {part: dict(values) for part, values in _PUBLISHED.get(kind, {}).items()}
    for key in [key for key in changes if "." in key and hasattr(default, key.partition(".")[0])]:
        part, _, name = key.partition(".")  # a value of one of its configs, such as vision_config.depth
        nested.setdefault(part, {})[name] = changes.pop(key)
    own |= {part: _stated(getattr(default, part)) | values for part, values in nested.items()}
    own = stated | own
    # Built anew, so that values that the config derives from a changed one change too.
    config = build_module(lambda: known[kind](**own), f"hf:{kind}", place)
    text_config = config.get_text_config(decoder=config.is_encoder_decoder or None)
    for key in changes.keys() - own.keys():
        if not hasattr(text_config, key):
            text = f"The config of {kind} has no '{shown(key)}'."
            raise InputError("unknown-override", text, field="model", nearest=nearest(key, vars(text_config)))
        setattr(text_config, key, changes[key])
    vision: Any = getattr(config, "vision_config", None)
    if hasattr(vision, "out_hidden_size") and "out_hidden_size" not in nested.get("vision_config", {}):
        vision.out_hidden_size = text_config.hidden_size  # what the text takes
    if vars(text_config).get("num_key_value_heads", 0) is None:
        text_config.num_key_value_heads = text_config.num_attention_heads  # what none of their own means
    config._attn_implementation = "sdpa"
    return config


def _of_whole(kind: Any) -> tuple[Any, dict[str, Any]]:
    """Return the default config of a class, and what the config of the model that it is a part of states in it."""
    default = kind()
    for whole, key in _wholes(kind):
        own = _stated(getattr(_of_whole(whole)[0], key, None) or default)
        return default, own | _PUBLISHED.get(whole.model_type, {}).get(key, {})
    return default, {}


def _wholes(kind: Any) -> Iterator[tuple[Any, str]]:
    """Yield the classes of configs that a config of this class is inside of, and its name there."""
    home: list[Any] = [*vars(sys.modules[kind.__module__]).values()]
    for whole in (each for each in home if getattr(each, "__module__", "") == kind.__module__):
        yield from ((whole, key) for key, part in (getattr(whole, "sub_configs", None) or {}).items() if part is kind)


def _given_by_whole(
    transformers: Any, part: Any, config: Any, query: str, request: ModelRequest, batch: int
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Return the arguments that a whole model calls its part with; None where it does not come that far."""
    for kind, key in _wholes(type(config)):
        changes = "&".join(f"{key}.{change}" for change in query.split("&") if change)
        with suppress(InputError):  # of the whole: the refusal of the part itself is reported
            of_whole = _config(transformers, kind.model_type, changes, "meta")
            whole, _ = build_module(partial(_model, transformers, of_whole), request.model)
            inner = next((each for each in whole.modules() if type(each) is type(part)), None)
            if inner is not None and (arguments := arguments_of(inner, whole, of_whole, request, batch)):
                return arguments
    return None


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
    listed = causal or type(config) in transformers.MODEL_MAPPING
    build = task.from_config if listed else getattr(kind := _class_of(config), "_from_config", None)
    if build is None:
        return kind(config), False
    try:
        return build(config, attn_implementation="sdpa"), causal
    except ValueError:  # architectures without it
        return build(config, attn_implementation="eager"), causal


def _class_of(config: Any) -> Any:
    """Return the class of a config that no task lists, such as the encoder of a larger model. Raises InputError."""
    home = type(config).__module__.replace("configuration_", "modeling_")
    modeling = vars(import_package(home)) if find_spec(home) else {}
    part = modeling.get(type(config).__name__.removesuffix("Config"))  # which may be a plain module
    classes = [
        each
        for each in modeling.values()
        if isinstance(each, type) and each.__module__ == home and "forward" in vars(each)
        and (each is part or getattr(each, "config_class", None) is type(config))
    ]  # fmt: skip
    classes.sort(key=lambda each: not each.__name__.endswith("Model"))
    if not classes:
        text = f"transformers has no model of its own for '{shown(config.model_type)}'."
        raise InputError("unknown-model", text, field="model")
    return classes[0]


def _ids(batch: int, tokens: int) -> torch.Tensor:
    return torch.empty(batch, tokens, dtype=torch.int64, device="meta")
