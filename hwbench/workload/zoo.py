"""Networks by name: YAML files of the catalog, a YAML path, or a matrix product `matmul:MxNxO`."""

import os
import re
from typing import Annotated, Any

from msgspec import Meta, Struct

from hwbench import documents, folders
from hwbench.documents import Document
from hwbench.errors import InputError, shown
from hwbench.workload import network
from hwbench.workload.op import Op, Published, Workload
from hwbench.workload.shapes import Positive, format_shape

LATER = ("torchvision", "timm", "hf", "torch", "onnx")
"""Sources of networks that need tracing."""


class ModelFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A network file. `input` is one sample's shape; see `network.py` for `layers`."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    input: Annotated[tuple[Positive, ...], Meta(min_length=1, max_length=6)]
    layers: list[Any]
    published: Published | None = None
    released: str | None = None
    aliases: tuple[str, ...] = ()
    notes: str | None = None


def workload(name: str) -> Workload:
    """The workload that a catalog name, an alias, a YAML path or `matmul:MxNxO` means. Raises InputError."""
    source, colon, rest = name.partition(":")
    if source == "matmul" and colon:
        return _matmul(name, rest)
    if source in LATER and colon:
        extra = "onnx" if source == "onnx" else "torch"
        reason = f"{source}: models need tracing (extra hwbench[{extra}]), which this version does not do yet"
        raise InputError(f"{reason}: name a catalogued model or a YAML file")
    return load(name if folders.is_path(name) else folders.find("models", name))


def load(path: str) -> Workload:
    """The workload in a YAML file."""
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
