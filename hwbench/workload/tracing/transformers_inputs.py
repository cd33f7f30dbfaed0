"""What a model of transformers takes, by the documentation of its forward: arguments, dimensions, usual layouts.

A forward states the shapes of its arguments by names of dimensions, whose sizes are the config's. Which arguments a
model needs, in which layout, is found by running it without data: the first that runs are taken.
"""

import inspect
import re
from collections.abc import Iterator
from itertools import islice, product
from math import prod
from operator import itemgetter
from traceback import walk_tb
from typing import Any

import torch
from msgspec import Struct
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import batches, twins
from hwbench.workload.tracing.build import Built
from hwbench.workload.tracing.twins import keep_values, repeat_rows, rows, tensors

DEFAULT_TOKENS = 128
_TRIES = 12
_FEW = 4
"""Values that a vector may have beside those that a layer takes, such as the place of a patch."""
_GRIDS = ("image_grid_thw", "grid_thw")
"""Arguments of models that take patches: frames, rows and columns of each image, whose values are needed."""
_SIZES = ("image_sizes", "target_sizes", "spatial_shapes", "merge_sizes", "image_merge_sizes")
_DOCUMENTED = re.compile(r"^ *(\w+) ?\((.*?)\bof shape *[`'\"]?\(([^)]*)\)", re.MULTILINE)
_KIND = re.compile(r"(Float|Long|Bool)Tensor")
_DTYPES = {"Float": torch.float32, "Long": torch.int64, "Bool": torch.bool}
_BATCHES = ("batch", "batch_size", "bs", "bsz", "num_images", "num_videos", "num_clips", "num_images_or_videos")
_SINGLE = re.compile(r"(max_)?num_(images|points|prompts|masks)\w*|point_batch_size")
_CALLED: dict[str, tuple[tuple[str, ...], int]] = {
    "hidden_size": (("hidden_size", "embed_dim", "hidden_dim", "d_model", "dim"), 768),
    "feature_dim": (
        (
            "num_mel_bins",
            "feature_projection_input_dim",
            "feature_size",
            "n_mels",
            "mel_bins",
            "input_feat_size",
            "input_dim",
        ),
        80,
    ),
    "image_size": (("image_size", "input_size", "img_size", "max_img_size"), 224),
    "num_channels": (("num_channels", "in_channels", "in_chans", "image_channels"), 3),
    "channels": (("audio_channels", "in_channels"), 1),
    "num_frames": (("num_frames",), 16),
    "num_tiles": (("max_num_tiles",), 1),
    "frames": (("max_length",), 1024),
    "samples": (("sampling_rate",), 16_000),
    "steps": ((), 3_000),
}
"""What configs call a dimension, and its size where none does: a second of sound, half a minute of its spectrum."""
_SYNONYMS = {
    "embed_dim": "hidden_size", "hidden_dim": "hidden_size", "d_model": "hidden_size", "height": "image_size",
    "width": "image_size", "frame_size": "image_size", "num_mel_bins": "feature_dim", "num_samples": "samples",
    "max_num_tiles": "num_tiles", "patch_height": "patch_size", "patch_width": "patch_size",
    "image_channels": "num_channels", "max_patches": "patches", "num_patches": "patches", "max_num_patches": "patches",
}  # fmt: skip
_INDEX = re.compile(r".*(ids|_mask|_padding|_sizes|_shapes|_thw|bbox|codes|freq|_indices)")
_REPLACED = re.compile(
    r".*(_mask|labels?|position_ids|_embeds|hidden_states|_embeddings?|cache|outputs|token_type_ids|masked_pos|_positions)"
    r"|past_\w+|input_(points|boxes|masks|labels)|mask_\w+"
)
"""Arguments that a model does without, or that stand for others."""
_PIXELS = (
    "batch, num_channels, height, width", "batch, 1, num_channels, height, width",
    "batch, num_frames, num_channels, height, width", "batch, 2, num_channels, height, width",
    "batch, 1, num_channels, 512, 512", "batch, 1, num_tiles, num_channels, height, width",
)  # fmt: skip
_VECTORS = ("batch, tokens, hidden_size", "batch, tokens, feature_dim", _PIXELS[0])
_LAYOUTS: dict[str, tuple[str, ...]] = {
    "pixel_values": _PIXELS,
    "pixel_values_videos": (_PIXELS[2],),
    "input_values": ("batch, samples", "batch, channels, samples", "batch, frames, feature_dim"),
    "input_features": (
        "batch, feature_dim, steps",
        "batch, steps, feature_dim",
        "batch, 1, frames, feature_dim",
        "batch, steps, 128",
    ),
    "hidden_states": _VECTORS,
}
"""Layouts that are tried besides the documented one, which is the second."""


class _Sizes(Struct):
    """The sizes of dimensions in one run."""

    config: Any
    batch: int
    tokens: int
    image: int | None = None
    dtypes: dict[str, torch.dtype] = {}  # of arguments, as documented
    patch_values: int = 0  # that a patch of an image has
    steps: int = 0  # of the spectrum of a sound that is given as a wave too

    def of(self, dimension: str) -> int:
        """Return the size of a dimension by its name in documentation."""
        if dimension.isdigit():
            return int(dimension)
        if dimension in _BATCHES or _SINGLE.fullmatch(dimension):
            return self.batch if dimension in _BATCHES else 1
        name = _SYNONYMS.get(dimension, dimension)
        if name in ("patches", "patch_values") and self.patch_values:
            return self._side_in_patches() ** 2 if name == "patches" else self.patch_values
        if name == "image_size" and self.image:
            return self.image
        if name == "steps" and (steps := self.steps or 2 * int(find(self.config, "max_source_positions") or 0)):
            return steps
        known, usual = _CALLED.get(name, ((dimension, name), self.tokens))
        size = find(self.config, *known)
        if isinstance(size, (list, tuple)) and size:
            size = size[dimension == "width" and len(size) > 1]
        return size if isinstance(size, int) and size > 0 else usual

    def _side_in_patches(self) -> int:
        """Return how many patches an image is wide, a multiple of those that become one vector."""
        merged: int = find(self.config, "spatial_merge_size", "merge_size", "pooling_kernel_size") or 1
        return self.of("image_size") // (self.of("patch_size") * merged) * merged

    def empty(self, name: str, layout: str) -> torch.Tensor:
        """Return an argument of a model, without data."""
        dimensions = [part for part in layout.replace(" x ", "*").replace(" ", "").split(",") if part]
        shape = [sum(prod(map(self.of, product.split("*"))) for product in part.split("+")) for part in dimensions]
        dtype = self.dtypes.get(name, torch.int64 if _INDEX.fullmatch(name) else torch.float32)
        tensor = torch.empty(shape, dtype=dtype, device="meta")
        return repeat_rows(tensor, shape[0] // self.batch) if {*dimensions[0].split("*")} & {*_BATCHES} else tensor


def find(config: Any, *names: str) -> Any:
    """Return the first value of these names in a config, or else in the configs inside; None where there is none."""
    for name in names:
        if (value := getattr(config, name, None)) is not None:
            return value
    inner = (getattr(config, part, None) for part in getattr(config, "sub_configs", ()))
    values = (find(part, *names) for part in inner if part is not None)
    return next((value for value in values if value is not None), None)


class _ReachedError(BaseException):
    """A run has come to the module whose arguments are looked for."""


def fitting(
    module: Any, config: Any, request: ModelRequest, batch: int, causal: bool
) -> tuple[dict[str, Any], int, bool]:
    """Return the arguments that a model runs on, the tokens of its text, and whether it runs: the first if on none."""
    candidates = islice(_candidates(module, config, request, batch), _TRIES)
    first = next(candidates)
    if causal and set(first[0]) == {"input_ids"}:
        return *first, True
    wider: list[tuple[int, dict[str, Any], int]] = []
    for kwargs, tokens in (first, *candidates):
        error = _failure(module, kwargs, batch, request)
        if error is None:
            return kwargs, tokens, True
        if (other := _as_wide_as_taken(kwargs, error.__cause__)) is not None:
            wider.append((*other, tokens))
    for _, kwargs, tokens in sorted(wider, key=itemgetter(0)):
        if _failure(module, kwargs, batch, request) is None:
            return kwargs, tokens, True
    return *first, False


def _failure(module: Any, kwargs: dict[str, Any], batch: int, request: ModelRequest) -> InputError | None:
    """Return the error of a run on these arguments; None where it runs."""
    try:
        batches.run(Built(module, (), kwargs, batch, ""), ModelRequest(request.model))
    except InputError as error:
        return error
    return None


def _as_wide_as_taken(kwargs: dict[str, Any], error: BaseException | None) -> tuple[int, dict[str, Any]] | None:
    """Return arguments whose vectors are as wide as the linear layer takes that failed on them, and by how much wider.

    None where no such layer failed.
    """
    frames = [frame.f_locals for frame, _ in walk_tb(error.__traceback__)] if error else []
    layers = ((frame.get("self"), frame.get("input")) for frame in frames)
    failed = [(of, data) for of, data in layers if isinstance(of, torch.nn.Linear) and isinstance(data, torch.Tensor)]
    more, width = (failed[-1][0].in_features - failed[-1][1].shape[-1], failed[-1][1].shape[-1]) if failed else (0, 0)
    for name, value in kwargs.items():
        if more and isinstance(value, torch.Tensor) and value.dim() == 3 and 0 <= value.shape[-1] - width < _FEW:
            like = torch.empty(*value.shape[:-1], value.shape[-1] + more, dtype=value.dtype, device="meta")
            return abs(more), kwargs | {name: repeat_rows(like, rows(value))}
    return None


def arguments_of(
    inner: Any, whole: Any, config: Any, request: ModelRequest, batch: int
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Return the arguments that a model calls a module inside with; None where no run comes that far."""
    reached: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def stop(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        reached.append(twins.convert_all((args, kwargs), lambda tensor: _as_given(tensor, batch), False))
        raise _ReachedError

    handle = inner.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        fitting(whole, config, request, batch, False)
    except _ReachedError:
        return reached[0]
    finally:
        handle.remove()
    return None


def _as_given(tensor: torch.Tensor, batch: int) -> torch.Tensor:
    """Return a tensor like one that a run has made, without data but for numbers that are known."""
    if not (tensor.is_meta or tensor.is_floating_point()):
        return keep_values(tensor.clone())
    like = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    return repeat_rows(like, len(tensor) // batch) if tensor.dim() and len(tensor) % batch == 0 else like


def _candidates(module: Any, config: Any, request: ModelRequest, batch: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield arguments for a model and the tokens of its text: what it must have, all it takes, vectors for text."""
    parameters = inspect.signature(module.forward).parameters
    text = (module.forward.__doc__ or "").replace("{0}", "batch_size, sequence_length")
    described = _DOCUMENTED.findall(text)
    documented = {name: layout for name, _, layout in described}
    kinds = {name: str(each.annotation) for name, each in parameters.items()}
    kinds |= {name: kinds.get(name, "") + kind for name, kind, _ in described}
    dtypes = {name: _DTYPES[types.pop()] for name, kind in kinds.items() if len(types := {*_KIND.findall(kind)}) == 1}
    usual = [getattr(module, "main_input_name", "input_ids"), "input_ids"]
    usual += ["decoder_input_ids"] if config.is_encoder_decoder else []
    usual += ["pixel_values"] if getattr(config, "vision_config", None) is not None else []
    needed = [name for name, each in parameters.items() if each.default is each.empty and each.kind != each.VAR_KEYWORD]
    least = [name for name in parameters if name in needed or name in usual]
    more = {name for name in documented if not _REPLACED.fullmatch(name)} | {*least}
    masked = more | {name for name in documented if "mask" in name}
    vectors = more - {"input_ids"} | {"inputs_embeds", "encoder_hidden_states"}
    sets = ({*least}, {*least, *_SIZES}, more - {*_LAYOUTS} | {*least}, more, masked, vectors)
    seen = set()
    length = find(config, "context_length") if "past_values" in parameters and not request.context else None
    lengths = (request, replace(request, context=length)) if length else (request,)
    named = dict.fromkeys(tuple(name for name in parameters if name in each) for each in sets)
    for names, of_length in product(named, lengths):
        for inputs, tokens in _arguments(module, config, of_length, batch, names, documented, dtypes):
            shapes = tuple((name, tuple(tensor.shape)) for name, tensor in inputs.items())
            if shapes not in seen:
                seen.add(shapes)
                yield inputs, tokens


def _arguments(
    module: Any, config: Any, request: ModelRequest, batch: int, names: tuple[str, ...], documented: dict[str, str],
    dtypes: dict[str, torch.dtype],
) -> Iterator[tuple[dict[str, Any], int]]:  # fmt: skip
    """Yield arguments of these names in each layout."""
    vision = find(config, "vision_config") or config
    grid = next((name for name in inspect.signature(module.forward).parameters if name in _GRIDS), None)
    media = [name for name in names if name in _LAYOUTS or not (name in documented or _INDEX.fullmatch(name))]
    weights = (weight for path, weight in module.named_parameters() if "patch" in path and weight.dim() == 2)
    width = 0 if grid else next((weight.shape[1] for weight in weights), 0)
    packed = ("batch, patches, patch_values",) if width else ()
    known = [
        ((packed if name == "pixel_values" else ()) + _LAYOUTS.get(name, _VECTORS), documented.get(name, ""))
        for name in media
    ]
    usual = (dict.fromkeys((layouts[0], stated, *layouts)) for layouts, stated in known)
    timm = (part.default_cfg for part in module.modules() if hasattr(part, "default_cfg"))
    own = getattr(config, "image_size", None)  # of the whole, and not of a backbone of timm inside
    side = request.image_size or (None if own else next((each["input_size"][-1] for each in timm), None))
    for layouts in product(*([layout for layout in each if layout] for each in usual)):
        of_images = _Sizes(vision, batch, DEFAULT_TOKENS, side, dtypes, width)
        of_text = _Sizes(config, batch, DEFAULT_TOKENS, side, dtypes, width)
        of_waves = replace(of_text, tokens=of_text.of("samples"))
        hop = find(config, "hop_length") if {"input_values", "input_features"} <= {*names} else None
        of_spectra = replace(of_text, tokens=_CALLED["steps"][1], steps=of_waves.tokens // hop if hop else 0)
        inputs = {
            name: (of_images if name.startswith("pixel") else of_waves if name == "input_values" else of_spectra).empty(
                name, layout
            )
            for name, layout in zip(media, layouts, strict=True)
        }
        if grid and (patches := next((name for name in ("pixel_values", "hidden_states") if name in names), None)):
            inputs |= _patches(module, vision, patches, grid, batch, request)
        placeholders = _image_tokens(module, inputs, batch, find(vision, "spatial_merge_size", "merge_size"))
        positions = find(config.get_text_config(decoder=config.is_encoder_decoder or None), "max_position_embeddings")
        tokens = request.context or min(DEFAULT_TOKENS + placeholders, positions or DEFAULT_TOKENS)
        of_text.tokens = tokens if "input_ids" in names else max(map(_length, inputs.values()), default=0) or tokens
        inputs |= {
            name: of_text.empty(name, documented.get(name) or "batch, tokens") for name in names if name not in inputs
        }
        if grid in inputs and "input_ids" in inputs:  # where images are in the text is read from its values
            inputs["input_ids"] = _text(batch, tokens, placeholders, getattr(config, "image_token_id", 0))
        inputs |= _values(inputs, vision, request)
        axes = {"position_ids": torch.empty(3, 1, tokens, dtype=torch.int64, device="meta")}
        is_placed = grid in inputs and "input_ids" in inputs
        if is_placed and not _rotates_by_axes(module):
            yield {name: inputs[name] for name in names if name in inputs} | inputs, tokens
        inputs |= axes if is_placed else {}
        yield {name: inputs.pop(name) for name in names if name in inputs} | inputs, tokens


def _rotates_by_axes(module: Any) -> bool:
    """Return whether vectors of a text are turned by three positions each, of frames, rows and columns."""
    return any(hasattr(part, "mrope_section") for part in module.modules())


def _length(tensor: torch.Tensor) -> int:
    """Return the values or spectra of a sound, which has fewer channels or bins; 0 of an image."""
    return max(tensor.shape[1:]) if tensor.dim() < 4 and tensor.is_floating_point() else 0


def _values(inputs: dict[str, Any], vision: Any, request: ModelRequest) -> dict[str, Any]:
    """Return the arguments that state sizes of images, in pixels or in patches, with their values."""
    side = _Sizes(vision, 1, 1, request.image_size).of("image_size")
    patch = _Sizes(vision, 1, 1).of("patch_size")
    merged = find(vision, "spatial_merge_size", "merge_size") or 1
    stated = {"image_sizes": side, "merge_sizes": merged, "image_merge_sizes": merged}
    sizes = {name: stated.get(name, side // patch) for name in inputs if name in _SIZES}
    with torch.device("cpu"):
        return {
            name: keep_values(torch.full(inputs[name].shape, size, dtype=torch.int64)) for name, size in sizes.items()
        }


def _patches(module: Any, vision: Any, name: str, grid: str, batch: int, request: ModelRequest) -> dict[str, Any]:
    """Return an image a sample as patches, one a row, and the grids of patches."""
    sizes = _Sizes(vision, batch, 1, request.image_size)
    merge = find(vision, "spatial_merge_size", "merge_size") or 2
    patch = sizes.of("patch_size")
    sides = sizes.of("image_size") // (patch * merge) * merge
    weights = (weight for path, weight in module.named_parameters() if "patch" in path and weight.dim() > 1)
    width = next((weight[0].numel() for weight in weights), sizes.of("num_channels") * patch**2)
    with torch.device("cpu"):
        values = keep_values(torch.tensor([[1, sides, sides]] * batch))
    return {name: repeat_rows(torch.empty(batch * sides * sides, width, device="meta"), sides * sides), grid: values}


def _image_tokens(module: Any, inputs: dict[str, Any], batch: int, merged: int | None) -> int:
    """Return how many tokens an image becomes, of patches a square of `merged`; 0 where the model does not tell."""
    features = getattr(module, "get_image_features", None)
    images = {name: value for name, value in inputs.items() if name in ("pixel_values", *_GRIDS)}
    if merged and len(images) == 2:
        return rows(images["pixel_values"]) // merged**2
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
