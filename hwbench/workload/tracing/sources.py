"""Networks that must be traced: torchvision, timm, transformers, and modules that the user names.

Modules are built on the `meta` device, so that no weights are allocated and none is downloaded; those that are to run
are built on the CPU, with random weights. Only `torch:` runs code of the user's, which is why it is spelled out.
"""

import importlib
import inspect
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import msgspec
import torch

from hwbench.errors import InputError, nearest, shown
from hwbench.workload.ops import Op, Workload
from hwbench.workload.request import ModelRequest
from hwbench.workload.tracing import trace as torch_trace
from hwbench.workload.tracing.stand_ins import tensors, uninitialized

TRACED_BATCH = 2
"""Samples of a traced run: with one, torch takes short cuts that larger batches do not."""

_INSTALL = {
    "torchvision": "pip install torchvision", "timm": "pip install timm", "transformers": "pip install transformers",
}  # fmt: skip
_AUTOCAST = {"fp16": torch.float16, "bf16": torch.bfloat16}
_INPUT = re.compile(r"([0-9]+(?:x[0-9]+)*)(?::([a-z0-9]+))?")
_INPUT_DTYPES = {"float32": torch.float32, "int64": torch.int64, "int32": torch.int32, "bool": torch.bool}


_PLACE = ContextVar("_PLACE", default="meta")
"""The torch device that the weights of modules are made on."""


class Built(msgspec.Struct, frozen=True):
    """A module with the arguments of one run, which hold `batch` samples. It may return a `cache` to be kept."""

    module: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    batch: int
    title: str
    cache: bool = False


def workload(request: ModelRequest) -> Workload:
    """The workload of `torchvision:NAME`, `timm:NAME`, `hf:TYPE` or `torch:module:factory`. Raises InputError."""
    return counted(build(request), request)


def build(request: ModelRequest, place: str = "meta") -> Built:
    """The module that a request means, with the arguments of one run, which are on `meta`. Raises InputError.

    `place` is the torch device that weights are made on.
    """
    source, _, rest = request.model.partition(":")
    token = _PLACE.set(place)
    try:
        return _BUILDERS[source](rest, request)
    finally:
        _PLACE.reset(token)


def counted(built: Built, request: ModelRequest) -> Workload:
    """The workload of a module that was built. Raises InputError where it does not run without data."""
    found = torch_trace.trace(
        built.module,
        built.args,
        built.kwargs,
        batch=built.batch,
        training=request.training,
        autocast=_AUTOCAST.get(request.autocast or ""),
        channels_last=request.channels_last,
    )
    shape = next((tuple(t.shape) for t in tensors((built.args, built.kwargs))), (built.batch,))
    total = sum(found.uncounted.values())
    share = f" of {len(found.ops)} operators" if total else ""
    return Workload(
        name=request.model,
        title=built.title,
        input_shape=shape[1:] or shape,
        ops=fold(found.finished()),
        uncounted=tuple(f"{name} ({count}{share})" for name, count in sorted(found.uncounted.items())),
        assumed=tuple(f"{asked} was taken to be {told}".lower() for asked, told in found.assumed.items()),
        unused_params=found.unused_params,
        state_elements=_state_elements(found.output, built.batch) if built.cache else 0,
        samples=built.batch if request.training else 1,
    )


def _state_elements(output: Any, batch: int) -> int:
    """Elements of the run's dtype that one sample's key-value cache takes; one in half precision takes half as many."""
    cache = getattr(output, "past_key_values", None)
    kept = (tensor for tensor in tensors(cache) if tensor.is_floating_point())
    taken = sum(int(tensor.numel() * tensor.element_size()) for tensor in kept)
    return -(-taken // (4 * batch))  # RUN_DTYPE is four bytes


def fold(ops: list[Op]) -> tuple[Op, ...]:
    """The ops with those that are alike in all but the name made one with a count, in order of first execution."""
    found: dict[Op, list[Any]] = {}
    for op in ops:
        key = msgspec.structs.replace(op, name=op.name.rpartition(":")[2], count=1)
        found.setdefault(key, [op.name, 0])[1] += op.count
    return tuple(msgspec.structs.replace(key, name=name, count=count) for key, (name, count) in found.items())


def module_named(name: str) -> Any:
    """An imported package. Raises InputError with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = name.partition(".")[0]
        how = f": {_INSTALL[missing]}" if missing in _INSTALL else ""
        raise InputError(f"{missing} cannot be imported ({shown(error)}){how}") from None


def made(make: Callable[[], Any], what: str) -> Any:
    """What `make` returns, its tensors where `build` wants them. Raises InputError where it cannot be made so."""
    try:
        with torch.device(_PLACE.get()), uninitialized():
            return make()
    except (InputError, KeyboardInterrupt):
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{what} cannot be built: {shown(reason, 300)}") from error


def _image(request: ModelRequest, size: int, channels: int = 3) -> tuple[tuple[Any, ...], int]:
    """The image input asked for, or one of the usual size, and its batch."""
    if request.input:
        tensor = typed_input(request.input)
        return (tensor,), tensor.shape[0]
    side = request.image_size or size
    batch = request.batch if request.training else TRACED_BATCH
    return (torch.empty(batch, channels, side, side, device="meta"),), batch


def typed_input(text: str) -> torch.Tensor:
    """A tensor without data of a shape such as `2x128:int64`. Raises InputError."""
    match = _INPUT.fullmatch(text)
    if match is None or "0" in match.group(1).split("x") or len(match.group(1)) > 60:
        raise InputError(f"'{shown(text)}' is not a shape: write it like 2x8x16x16 or 2x128:int64", field="--input")
    dtype = match.group(2) or "float32"
    if dtype not in _INPUT_DTYPES:
        choices = nearest(dtype, _INPUT_DTYPES) or tuple(_INPUT_DTYPES)
        raise InputError(f"there is no input dtype '{shown(dtype)}'", field="--input", nearest=choices)
    return torch.empty([int(size) for size in match.group(1).split("x")], dtype=_INPUT_DTYPES[dtype], device="meta")


def _torchvision(name: str, request: ModelRequest) -> Built:
    models = module_named("torchvision").models
    known = models.list_models()
    if name not in known:
        raise InputError(f"torchvision has no model '{shown(name)}'", nearest=nearest(name, known))
    options: dict[str, Any] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    if "weights_backbone" in inspect.signature(models.get_model_builder(name)).parameters:
        options["weights_backbone"] = None
    module = made(lambda: models.get_model(name, **options), f"torchvision:{name}")
    size = 299 if name == "inception_v3" else 518 if name == "vit_h_14" else 224
    args, batch = _image(request, size)
    return Built(module, args, {}, batch, f"torchvision {name}")


def _timm(name: str, request: ModelRequest) -> Built:
    timm = module_named("timm")
    if not timm.is_model(name):
        raise InputError(f"timm has no model '{shown(name)}'", nearest=nearest(name, timm.list_models()))
    options: dict[str, Any] = {"pretrained": False}
    config = timm.get_pretrained_cfg(name)
    channels, *sides = (config and config.input_size) or (3, 224, 224)
    if config and config.fixed_input_size and request.image_size not in (None, sides[0]):
        options["img_size"] = request.image_size
    module = made(lambda: timm.create_model(name, **options), f"timm:{name}")
    for part in module.modules() if request.autocast else ():
        if hasattr(part, "_fast_norm"):  # norms in half precision, as timm's published benchmarks run them
            part._fast_norm = True
    args, batch = _image(request, sides[0], channels)
    return Built(module, args, {}, batch, f"timm {name}")


def _factory(name: str, request: ModelRequest) -> Built:
    """`torch:package.module:factory`, which returns a module, `(module, args)` or `(module, args, kwargs)`."""
    path, colon, attribute = name.partition(":")
    if not colon or not path or not attribute:
        raise InputError("write it like torch:package.module:factory")
    factory = getattr(module_named(path), attribute, None)
    if not callable(factory):
        raise InputError(f"{shown(path)} has nothing to call named '{shown(attribute)}'")
    result = made(factory, f"torch:{name}")
    parts = result if isinstance(result, tuple) else (result,)
    if not 1 <= len(parts) <= 3 or not isinstance(parts[0], torch.nn.Module):
        raise InputError(f"{shown(name)} must return a module, (module, args) or (module, args, kwargs)")
    args = tuple(parts[1]) if len(parts) > 1 else ()
    kwargs = dict(parts[2]) if len(parts) > 2 else {}
    if request.input:
        args = tuple(typed_input(text) for text in request.input.split(","))
    if not args and not kwargs:
        raise InputError("needs the shape of its input", field="--input", nearest=("--input 1x3x224x224",))
    first = next(iter(tensors((args, kwargs))), None)
    batch = first.shape[0] if first is not None and first.dim() else 1
    return Built(parts[0], args, kwargs, batch, f"{type(parts[0]).__name__} of {name}")


def _transformers(name: str, request: ModelRequest) -> Built:
    from hwbench.workload.tracing import transformers

    return transformers.build(name, request)


_BUILDERS: dict[str, Callable[[str, ModelRequest], Built]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "torch": _factory,
    "hf": _transformers,
}
"""Who builds the module of each kind of name."""
