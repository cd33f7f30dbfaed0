"""Networks by name: files of the catalog, paths, matrix products, and models that are traced."""

import importlib
import os
import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from hwbench.errors import InputError, shown
from hwbench.files import folders, names
from hwbench.notices import Notice, notice
from hwbench.workload.layers import network
from hwbench.workload.ops import Shape, Workload
from hwbench.workload.request import ModelRequest, typed_shape
from hwbench.workload.shapes import format_shape

if TYPE_CHECKING:
    from hwbench.workload.audit.audit import Audit

TRACED = ("torchvision", "timm", "hf", "layers", "torch")
"""Sources of networks that torch runs without data."""
PICKLED = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".h5")
"""Ends of files of weights, which are not read."""


def workload(model: str | ModelRequest) -> Workload:
    """Return the workload of a name. Raises InputError.

    A catalog name or alias, a path of a YAML file, of an ONNX graph or of a saved workload, `matmul:MxNxO`, or a name
    for which torch is needed: `torchvision:`, `timm:`, `hf:`, `torch:`.
    """
    request = model if isinstance(model, ModelRequest) else ModelRequest(model)
    if ".py:" in request.model and not request.model.startswith("torch:"):
        request = replace(request, model=f"torch:{request.model}")
    source, colon, rest = request.model.partition(":")
    if source in TRACED and colon:
        _check_name(source, rest)
        result = _traced(request)
        return replace(result, phase=request.phase) if request.phase else result
    if (source == "onnx" and colon) or request.model.endswith(".onnx"):
        path = rest if source == "onnx" and colon else request.model
        _require("onnx", path, "model")
        from hwbench.workload.onnx import isolated

        return isolated.workload(path, request)
    for name in request.parameters_but("batch", "input", "training", "unfolded", "optimizer"):
        text = "This applies to traced models (torchvision:, timm:, hf:, torch: and ONNX), not to lists of layers."
        raise InputError("not-traced", text, field=name)
    if request.training:
        return _training_step(request)
    batch, shape = _stated_input(request)
    if source == "matmul" and colon:
        file = layer_list(request)
        return replace(network.of_layers(file.layers, file.input), name=request.model, title=file.title, batch=batch)
    path = _path(request.model)
    if path.endswith(names.SAVED) and shape:
        raise InputError("counted-already", "A saved workload is counted already and takes no inputs.", field="input")
    result = network.load(path, shape) if shape else load(path)
    return replace(result, batch=batch) if shape else result


def layer_list(request: ModelRequest) -> network.ModelFile:
    """Return the layers of a catalog name, a YAML file or `matmul:MxNxO`. Raises InputError for anything else."""
    source, _, sizes = request.model.partition(":")
    if source == "matmul":
        return _matmul(request.model, sizes)
    if source == "onnx" or request.model.endswith(".onnx"):
        text = "torch does not run ONNX graphs: choose the runtime onnxruntime or openvino, or name the torch module."
        raise InputError("not-runnable", text, file=request.model)
    path = _path(request.model)
    if path.endswith(names.SAVED):
        text = f"'{shown(request.model)}' holds counts, not layers: name the model from which it was counted."
        raise InputError("not-runnable", text, field="model")
    return network.read(path, _stated_input(request)[1])[1]


def _path(name: str) -> str:
    is_file = names.is_path(name) or name.endswith(names.SAVED)
    if is_file and (os.path.splitext(name)[1] in names.FILES or os.path.exists(name)):
        return name
    try:
        return folders.find("models", name)
    except InputError as error:
        from hwbench.workload.hub import HUB_HINT, family_of  # which names of the catalog do without
        from hwbench.workload.language.sources import is_language_model

        if is_language_model(name):
            text = f"'{shown(name)}' is a language model, which `hwbench estimate` takes, not a network."
            raise InputError(error.code, text) from None
        if name.endswith(".py"):
            text = "A Python file is named together with the function or class that makes the model."
            raise InputError(error.code, text, nearest=(f"torch:{shown(name)}:NAME",)) from None
        if name.lower().endswith(PICKLED):
            text = "A file of weights does not state the layers: name the module, or export it to ONNX."
            raise InputError(error.code, text, nearest=("torch:FILE.py:NAME", "model.onnx")) from None
        if error.code != "unknown-model":
            raise
        if folders.locate("devices", name):
            raise InputError(error.code, f"'{shown(name)}' is a device, not a model.") from None
        text = f"There is no network named '{shown(name)}'"
        if close := _of_timm(name):
            text += " in the catalog; traces of timm's models come with hwbench."
            raise InputError(error.code, text, nearest=close) from None
        if not error.nearest and (family := family_of(name)):
            text += f". {HUB_HINT.format(family=family)}"
            raise InputError(error.code, text, nearest=(f"hf:{family}",)) from None
        raise


def _of_timm(name: str) -> tuple[str, ...]:
    """Return the model of timm of that name."""
    from hwbench.workload.saved import shipped

    traces = shipped.index()
    return (f"timm:{name}",) if traces and traces.find(name)[2] else ()


def _stated_input(request: ModelRequest) -> tuple[int, Shape | None]:
    """Return the batch and the shape of a sample that a request states: 1 and None where it states no input."""
    if request.input is None:
        return 1, None
    batch, *sample = typed_shape(request.input, ("float32", "int64"))[0]
    if not sample:
        raise InputError("not-a-shape", "The batch comes first, then the shape of one sample.", field="input")
    return batch, tuple(sample)


def _training_step(request: ModelRequest) -> Workload:
    """Trace a training step of a list of layers, as a module of torch."""
    file, batch = layer_list(request), _stated_input(request)[0]
    _require("torch", request.model, "model")
    from hwbench.workload.tracing import sources

    return sources.of_layers(file, request, batch)


def _check_name(source: str, name: str) -> None:
    """Raise InputError for a name that cannot be right, before packages that take seconds are imported."""
    if source == "torch":
        from hwbench.workload.factory import FactoryName  # which models of the catalog do without

        FactoryName.parse(name)
    elif source == "hf":
        from hwbench.workload.hub import check_type

        check_type(name)


def _traced(request: ModelRequest) -> Workload:
    """Trace a model here, or take a shipped trace of it unless another version of its package is installed."""
    from hwbench.workload.saved import shipped  # which lists of layers do without

    folded = replace(request, unfolded=False)
    wants_names = request.unfolded and shipped.installed(shipped.SOURCE)
    if not wants_names and shipped.matches_installed(request) and (packed := shipped.workload(folded)):
        return packed
    if request.model.startswith(f"{shipped.SOURCE}:") and not shipped.installed(shipped.SOURCE):
        remedy = f"pip install 'hwbench[torch]' {shipped.SOURCE}"
        raise shipped.missing(request, f"'{shown(request.model)}' needs {shipped.SOURCE}: run `{remedy}`.")
    try:
        _require("torch", request.model, "model")
    except InputError as error:
        if packed := shipped.workload(folded):
            return packed
        raise shipped.missing(request, error.message) from None
    from hwbench.workload.tracing import sources

    return sources.workload(request)


def audit(request: ModelRequest, ours: Workload) -> "tuple[Audit, ...]":
    """Return the counts of a traced model by other installed counters. Raises InputError for other models."""
    if request.model.partition(":")[0] not in TRACED or request.training or request.autocast:
        text = "Only a torch model in inference and in one dtype can be audited."
        raise InputError("not-auditable", text, field="audit")
    _require("torch", "An audit", "audit")
    from hwbench.workload.audit import audit as auditing
    from hwbench.workload.tracing import sources

    return auditing.audit(sources.count_module(sources.build(request), request)[0], ours)


def _require(package: str, name: str, field: str) -> None:
    """Raise InputError where a package that `name` needs cannot be imported."""
    try:
        importlib.import_module(package)
    except ImportError as error:
        text = f"'{shown(name)}' needs {package} ({shown(error)}): run `pip install 'hwbench[{package}]'`."
        raise InputError("missing-package", text, field=field) from None


def load(path: str) -> Workload:
    """Return the workload in a YAML file, or in a file that `hwbench models export` saved. Raises InputError."""
    if not path.endswith(".json"):
        return network.load(path)
    from hwbench.workload.saved import file as saved_file  # which lists of layers do without

    return saved_file.load(path)


def valid_workloads() -> tuple[dict[str, Workload], tuple[Notice, ...]]:
    """Return every network of the catalog whose file is valid, and a notice for each other file."""
    valid, notices = {}, []
    for name, path in folders.files("models").items():
        try:
            valid[name] = load(path)
        except InputError as error:
            notices.append(notice("file-left-out", error=str(error)))
    return valid, tuple(notices)


def workloads() -> dict[str, Workload]:
    """Return every network of the catalog by name, the user's included. Raises InputError."""
    return {name: load(path) for name, path in folders.files("models").items()}


def lint() -> tuple[list[str], int]:
    """Return one line per fault, and how many networks were checked."""
    faults: list[str] = []
    paths = folders.files("models")
    for path in paths.values():
        try:
            faults += [f"{path}: {fault}" for fault in _faults(load(path))]
        except InputError as error:
            faults.append(str(error))
    return [*faults, *folders.lint_names("models")], len(paths)


def _faults(listed: Workload) -> list[str]:
    published = listed.published
    if published is None:
        return ["has no published counts"]
    pairs = (("parameters", listed.params, published.params), ("MACs", listed.macs, published.macs))
    return [f"{ours} {what}, published are {theirs}" for what, ours, theirs in pairs if ours != theirs]


def _matmul(name: str, sizes: str) -> network.ModelFile:
    match = re.fullmatch(r"([0-9]{1,12})x([0-9]{1,12})x([0-9]{1,12})", sizes.lower())
    if match is None or "0" in (size.lstrip("0") or "0" for size in match.groups()):
        text = f"'{shown(name)}' is not a matrix product such as matmul:4096x4096x4096 (m×n by n×o)."
        raise InputError("not-a-matmul", text, field="model")
    m, n, o = (int(size) for size in match.groups())
    title = f"Matrix product {format_shape((m, n))} · {format_shape((n, o))}"
    return network.ModelFile(title, (m, n), [{"matmul": {"columns": o, "name": "matmul"}}])
