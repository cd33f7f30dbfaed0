"""Networks that must be traced: torchvision, timm, transformers, and modules of the user.

Modules are built on the `meta` device, so that no weights are allocated or downloaded; those that will run are built
on the CPU, with random weights. Only `torch:` runs code of the user.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from msgspec.structs import replace

from hwbench.errors import InputError, nearest, shown
from hwbench.workload import growth
from hwbench.workload.factory import FactoryName
from hwbench.workload.layers.network import ModelFile
from hwbench.workload.ops import Activations, Op, Workload, uncounted
from hwbench.workload.optimizers import OPTIMIZERS, update
from hwbench.workload.request import MERGED, ModelRequest
from hwbench.workload.tracing import batches, drawn_layers, layer_network, layer_zoo, transformers
from hwbench.workload.tracing.build import Built, build_module, import_package, stated, typed_input, usual_batch
from hwbench.workload.tracing.record import folded
from hwbench.workload.tracing.twins import tensors

CLIP = 16
"""Frames of a clip, at which torchvision states the operations of its video networks."""


def workload(request: ModelRequest) -> Workload:
    """Return the workload of `torchvision:NAME`, `timm:NAME`, `hf:TYPE` or `torch:module:factory`.

    Raises InputError.
    """
    try:
        return count_module(build(request), request)[1]
    except InputError as error:
        if request.model.startswith("hf:") and not (request.input or request.real):
            raise transformers.refusal(request.model, error) from error.__cause__
        raise


def build(request: ModelRequest, place: str = "meta") -> Built:
    """Return the module that a request means, with the arguments of one run on `meta`. Raises InputError.

    `place` is the torch device that weights are made on.
    """
    source, _, name = request.model.partition(":")
    return _BUILDERS[source](name, request, place)


def of_layers(file: ModelFile, request: ModelRequest, batch: int) -> Workload:
    """Return the workload of a list of layers as a module of torch, at the batch requested or else `batch`."""
    module = build_module(lambda: layer_network.module(file.layers, file.input, inplace=False), request.model)
    size = request.batch or batch
    data = torch.empty(size, *file.input, dtype=torch.int64 if module.rows else torch.float32, device="meta")
    return count_module(Built(module, (data,), {}, size, file.title, stated=True), request)[1]


def count_module(built: Built, request: ModelRequest) -> tuple[Built, Workload]:
    """Return the workload of a built module, and the module with its batch as far as that could be found.

    The workload is of exactly the inputs, or of the batch that is requested. Where the cost is a multiple of the
    batch, apart from traffic of weights, ops are those of one sample. Raises InputError where the module does not run
    without data.
    """
    if request.values:
        built = replace(built, kwargs={**built.kwargs, **dict(request.values)})
    built = batches.with_known_shapes(built)
    if request.batch_dim is not None:
        built = batches.along(built, request.batch_dim)
    built, first, second = batches.grown(built, request)
    ops, activations = None, None
    if second is not None and not request.training:
        sizes = (built.batch, built.batch + 1)
        ops = growth.per_sample(first.finished(), second.finished(), sizes)
        activations = growth.activations(first.activations, second.activations, sizes) if ops is not None else None
    default = built.batch if built.stated else 1
    batch = default if ops is not None else request.batch or default
    trace = first if ops is not None or batch == built.batch else batches.run(batches.resized(built, batch), request)
    shapes = [tuple(tensor.shape) for tensor in tensors((built.args, built.kwargs))] or [(built.batch,)]
    dim = built.batch_dim
    state = _cache_bytes(first.output) if built.cache else 0
    activations = activations or Activations(trace.activations.elements, trace.activations.bytes)
    listed = tuple(ops if ops is not None else map(_without_batch_of_one, trace.finished()))
    trained = [weight.numel() for weight in built.module.parameters() if weight.requires_grad]
    trainable = sum(trained)
    if request.optimizer:
        listed = (*listed, update(request.optimizer, trainable, len(trained)))
    workload = Workload(
        name=request.model,
        title=built.title + (", training step" if request.training and "training step" not in built.title else ""),
        input_shape=shapes[0] if dim is None else (*shapes[0][:dim], *shapes[0][dim + 1 :]) or shapes[0],
        ops=listed if request.unfolded else folded(listed),
        uncounted=uncounted(trace.uncounted, len(trace.ops)),
        assumed=tuple(trace.assumed),
        unused_params=trace.params.unclaimed,
        state_elements=-(-state // (4 * built.batch)),  # RUN_DTYPE is four bytes; half precision counts half
        samples=1 if ops is not None else batch,
        batch=batch,
        fixed="" if ops is not None else "training" if request.training else "unknown" if dim is None else "interplay",
        real=trace.real or trace.assumes,
        trainable_params=trainable,
        optimizer_elements=OPTIMIZERS[request.optimizer].states * trainable if request.optimizer else 0,
        activations=activations,
        passes=Activations(trace.passes.elements, trace.passes.bytes) if request.training else None,
    )
    return built, workload


def _without_batch_of_one(op: Op) -> Op:
    return replace(op, output_shape=op.output_shape[1:]) if op.output_shape[:1] == (1,) else op


def _cache_bytes(output: Any) -> int:
    """Return the bytes of a key-value cache."""
    cache = getattr(output, "past_key_values", None)
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors(cache) if tensor.is_floating_point())


def _of_images(module: Any, request: ModelRequest, size: int, channels: int, title: str) -> Built:
    """Return a module with the requested image input, or one of its usual size."""
    if request.input:
        return stated(module, (typed_input(request.input),), {}, title)
    side, batch = request.image_size or size, usual_batch(request)
    return Built(module, (torch.empty(batch, channels, side, side, device="meta"),), {}, batch, title)


def _torchvision(name: str, request: ModelRequest, place: str) -> Built:
    models = import_package("torchvision").models
    known = models.list_models()
    if name not in known:
        raise _unknown("torchvision", name, known)
    options: dict[str, Any] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    if "weights_backbone" in inspect.signature(models.get_model_builder(name)).parameters:
        options["weights_backbone"] = None
    module = build_module(lambda: models.get_model(name, **options), request.model, place)
    return _of_torchvision(models, module, name, request)


def _of_torchvision(models: Any, module: Any, name: str, request: ModelRequest) -> Built:
    """Return a model of torchvision with what it takes: images of its weights' own size, clips, pairs or lists."""
    title, weights = f"torchvision {name}", list(models.get_model_weights(name))
    if request.input or not weights:
        return _of_images(module, request, 224, 3, title)
    preset = getattr(weights[0].transforms, "keywords", {})
    size = getattr(module, "image_size", None) or preset.get("crop_size") or preset.get("resize_size") or 224
    size = request.image_size or (size[0] if isinstance(size, (tuple, list)) else size)
    batch, home = usual_batch(request), type(module).__module__
    if ".detection" in home:  # which takes a list of images, as many as the batch, and scales them itself
        batch = request.batch or 1
        images = [torch.empty(3, size, size, device="meta") for _ in range(batch)]
        return Built(module, (images,), {}, batch, title, batch_dim=None, stated=True)
    if ".optical_flow" in home:
        pair = torch.empty(batch, 3, 520, 960, device="meta")
        return Built(module, (pair, torch.empty_like(pair)), {}, batch, title)
    if ".video" in home or name.startswith(("swin3d", "mvit")):
        clip = torch.empty(batch, 3, CLIP, size, size, device="meta")
        return Built(module, (clip,), {}, batch, title)
    return _of_images(module, request, size, 3, title)


def _timm(name: str, request: ModelRequest, place: str) -> Built:
    timm, merged = import_package("timm"), name.endswith(MERGED)
    name = name.removesuffix(MERGED)
    if not timm.is_model(name):
        raise _unknown("timm", name, timm.list_models())
    options: dict[str, Any] = {"pretrained": False}
    config = timm.get_pretrained_cfg(name)
    channels, *sides = (config and config.input_size) or (3, 224, 224)
    if config and config.fixed_input_size and request.image_size not in (None, sides[0]):
        options["img_size"] = request.image_size
    weights_on = "cpu" if merged else place  # merging computes with weights
    module = build_module(lambda: timm.create_model(name, **options), request.model, weights_on)
    if merged:
        module = import_package("timm.utils").reparameterize_model(module.eval()).to(place)
    for part in module.modules() if request.autocast else ():
        if hasattr(part, "_fast_norm"):  # norms in half precision, as timm's published benchmarks run them
            part._fast_norm = True
    return _of_images(module, request, sides[0], channels, f"timm {name}")


def _unknown(source: str, name: str, known: list[str]) -> InputError:
    text = f"There is no {source} model '{shown(name)}'."
    return InputError("unknown-model", text, field="model", nearest=nearest(name, known))


def _factory(name: str, request: ModelRequest, place: str) -> Built:
    """Build `torch:package.module:factory`, which returns a module, `(module, args)` or `(module, args, kwargs)`."""
    result = build_module(FactoryName.parse(name).load(), request.model, place)
    parts = result if isinstance(result, tuple) else (result,)
    if not 1 <= len(parts) <= 3 or not isinstance(parts[0], torch.nn.Module):
        text = f"'{shown(name)}' must return a module, (module, args) or (module, args, kwargs)."
        raise InputError("not-a-factory", text, field="model")
    args = tuple(parts[1]) if len(parts) > 1 else ()
    kwargs = dict(parts[2]) if len(parts) > 2 else {}
    if request.input:
        args = tuple(typed_input(text) for text in request.input.split(","))
    if not args and not kwargs:
        text = f"'{shown(name)}' returns no arguments, so the shape of its input is needed, such as 1x3x224x224."
        raise InputError("input-needed", text, field="input")
    return Built(parts[0], args, kwargs, 1, f"{type(parts[0]).__name__} of {name}", None, stated=True)


def _layers(name: str, request: ModelRequest, place: str) -> Built:
    known = layer_zoo.LAYERS.get(name) or drawn_layers.drawn(name)
    if known is None:
        raise _unknown("layers", name, list(layer_zoo.LAYERS))
    make, shape = known
    module, title = build_module(make, request.model, place), f"layers {name}"
    if request.input:
        return stated(module, (typed_input(request.input),), {}, title)
    dtype = torch.int64 if name in layer_zoo.INDICES else torch.float32
    batch = usual_batch(request)
    return Built(module, (torch.empty(batch, *shape, dtype=dtype, device="meta"),), {}, batch, title)


_BUILDERS: dict[str, Callable[[str, ModelRequest, str], Built]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "layers": _layers,
    "torch": _factory,
    "hf": transformers.build,
}
"""What builds the module of each kind of name."""
