"""Networks by name: files of the catalog, paths, matrix products, and models that are traced."""

import os
import re
from typing import Annotated, Any

from msgspec import Meta, Struct

from hwbench.errors import InputError, shown
from hwbench.files import documents, folders
from hwbench.files.documents import Document
from hwbench.workload.layers import network
from hwbench.workload.ops import Op, Published, Workload
from hwbench.workload.request import ModelRequest
from hwbench.workload.saved import file as saved_file
from hwbench.workload.shapes import Positive, format_shape

TRACED = ("torchvision", "timm", "hf", "torch")
"""Sources of networks that torch runs without data."""


class ModelFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A network file. `input` is one sample's shape; see `network.py` for `layers`."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    input: Annotated[tuple[Positive, ...], Meta(min_length=1, max_length=6)]
    layers: list[Any]
    published: Published | None = None
    released: str | None = None
    aliases: tuple[str, ...] = ()
    notes: str | None = None


def workload(model: str | ModelRequest) -> Workload:
    """The workload that a name means. Raises InputError.

    A catalog name or alias, a path of a YAML file, of an ONNX graph or of a saved workload, `matmul:MxNxO`, or a name
    for which torch is needed: `torchvision:`, `timm:`, `hf:`, `torch:`.
    """
    request = model if isinstance(model, ModelRequest) else ModelRequest(model)
    source, colon, rest = request.model.partition(":")
    if source in TRACED and colon:
        return _traced(request)
    if (source == "onnx" and colon) or request.model.endswith(".onnx"):
        return _graph(rest if source == "onnx" and colon else request.model, request)
    _refuse_options(request)
    if source == "matmul" and colon:
        return _matmul(request.model, rest)
    return load(request.model if _is_path(request.model) else folders.find("models", request.model))


def _is_path(name: str) -> bool:
    return folders.is_path(name) or name.endswith(".json")


def _traced(request: ModelRequest) -> Workload:
    """A model traced here, or a packaged trace of it where no other version of its package is installed."""
    from hwbench.workload.saved import shipped

    if shipped.trusted(request) and (held := shipped.workload(request)):
        return held
    if request.model.startswith(f"{shipped.SOURCE}:") and not shipped.installed(shipped.SOURCE):
        needs = f"{shown(request.model)} needs {shipped.SOURCE}: pip install 'hwbench[torch]' {shipped.SOURCE}"
        raise shipped.missing(request, needs)
    try:
        from hwbench.workload.tracing import sources
    except ImportError as error:
        if held := shipped.workload(request):
            return held
        needs = f"{shown(request.model)} needs torch ({shown(error)}): pip install 'hwbench[torch]'"
        raise shipped.missing(request, needs) from None
    return sources.workload(request)


def audit(request: ModelRequest, ours: Workload) -> tuple[Any, ...]:
    """What other installed counters find for a traced model (`workload.audit.Audit`). Raises InputError for others."""
    if request.model.partition(":")[0] not in TRACED or request.training or request.autocast:
        raise InputError("is for the inference in one dtype of a torch model", field="--audit")
    try:
        from hwbench.workload.audit import audit as auditing
        from hwbench.workload.tracing import sources
    except ImportError as error:
        raise InputError(f"needs torch ({shown(error)}): pip install 'hwbench[torch]'", field="--audit") from None
    return auditing.audit(sources.build(request), ours)


def _graph(path: str, request: ModelRequest) -> Workload:
    try:
        from hwbench.workload.onnx import graph as onnx_graph
    except ImportError as error:
        raise InputError(f"needs onnx ({shown(error)}): pip install 'hwbench[onnx]'", file=path) from None
    return onnx_graph.workload(path, request)


def _refuse_options(request: ModelRequest) -> None:
    """A network of layers has its own input, and no mode of torch's. Raises InputError for what it cannot follow."""
    plain = ModelRequest(request.model, batch=request.batch)
    for name in ModelRequest.__struct_fields__:
        if getattr(request, name) != getattr(plain, name):
            option = {"training": "--mode", "autocast": "--dtype amp"}.get(name, f"--{name.replace('_', '-')}")
            raise InputError("is for traced models: torchvision:, timm:, hf:, torch: and ONNX", field=option)


def load(path: str) -> Workload:
    """The workload in a YAML file, or in a file that `hwbench models export` saved."""
    if path.endswith(".json"):
        return saved_file.load(path)
    document = documents.read(path)
    model = documents.convert(document, ModelFile)
    name = os.path.splitext(os.path.basename(path))[0]
    return Workload(name, model.title, model.input, _ops(document, model), model.published)


def sound_workloads() -> tuple[dict[str, Workload], tuple[str, ...]]:
    """Every network of the catalog whose file is in order, and what is wrong with the others, a line each."""
    sound, faults = {}, []
    for name, path in folders.files("models").items():
        try:
            sound[name] = load(path)
        except InputError as error:
            faults.append(f"left out: {error}")
    return sound, tuple(faults)


def workloads() -> dict[str, Workload]:
    """Every network of the catalog by name, the user's included."""
    return {name: load(path) for name, path in folders.files("models").items()}


def _ops(document: Document, model: ModelFile) -> tuple[Op, ...]:
    try:
        return network.build(model.layers, model.input)
    except InputError as error:
        raise document.error(error.message, error.field or "", error.nearest) from None


def _matmul(name: str, sizes: str) -> Workload:
    match = re.fullmatch(r"([0-9]{1,12})x([0-9]{1,12})x([0-9]{1,12})", sizes.lower())
    if match is None or "0" in (size.lstrip("0") or "0" for size in match.groups()):
        raise InputError(f"'{shown(name)}' is not a matrix product: write it like matmul:4096x4096x4096 (m×n by n×o)")
    m, n, o = (int(size) for size in match.groups())
    op = network.build([{"matmul": {"columns": o, "name": "matmul"}}], (m, n))
    title = f"Matrix product {format_shape((m, n))} · {format_shape((n, o))}"
    return Workload(name, title, (m, n), op)
