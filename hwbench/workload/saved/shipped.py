"""Traced workloads that come with hwbench, so that `timm:NAME` needs neither timm nor torch.

One zip file of the catalog holds the traces of every model of one version of timm: an `index.json` and one member per
family of names with its traces as msgpack, compressed by LZMA. Ops are stored by column, one list per field that is not
its default everywhere: neighbors in a column are alike, so that thousands of traces take a few megabytes.
`benchmarks/counting/timm_workloads.py` traces and packs.
"""

import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from hwbench.errors import HwbenchError, InputError, nearest
from hwbench.files import atomic, places
from hwbench.workload.ops import AssumedAnswer, Op, Workload
from hwbench.workload.request import ModelRequest

SCHEMA = "hwbench.workloads/1"
SOURCE = "timm"
INDEX = "index.json"
_UNCHANGED = ("input_shape", "uncounted", "assumed", "unused_params", "state_elements")
"""Fields of a workload that a packed trace has too."""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that zip knows: the same traces give the same file
_OPTIONAL = dict(zip(Op.__struct_fields__[-len(Op.__struct_defaults__) :], Op.__struct_defaults__, strict=True))


class PackedModel(Struct, frozen=True, array_like=True):
    """A model: the member that holds it, the side of its usual image, and the sides at which it was traced."""

    member: str
    usual: int
    sides: tuple[int, ...]


class TraceIndex(Struct, frozen=True):
    """The models of the file by name, with the versions of the packages that traced them.

    `tags` are names of pretrained weights whose usual image is not that of the model; `other_heads` those whose
    number of classes is not the traced model's. `renamed` maps names of earlier versions of timm to the current one,
    perhaps with a tag.
    """

    schema: str
    made_with: dict[str, str]
    models: dict[str, PackedModel]
    tags: dict[str, int] = {}
    other_heads: tuple[str, ...] = ()
    renamed: dict[str, str] = {}

    def find(self, name: str) -> tuple[str, str, PackedModel | None]:
        """Return a model's current name with and without its tag, and the model if it was traced."""
        name = self.renamed.get(name, name)
        base = name.partition(".")[0]
        return name, base, self.models.get(base)


class PackedTrace(Struct, frozen=True, array_like=True):
    """One trace: a model at a side and in a mode, its ops as columns of `length`."""

    model: str
    side: int
    mode: str
    title: str
    input_shape: tuple[int, ...]
    uncounted: tuple[str, ...]
    assumed: tuple[AssumedAnswer | str, ...]
    unused_params: int
    state_elements: int
    length: int
    columns: dict[str, list[Any]]


def path() -> str:
    """Return the path of the file."""
    return os.path.join(places.shipped(), "traced", f"{SOURCE}.zip")


def mode(request: ModelRequest) -> str | None:
    """Return the mode of tracing that a request needs; None where no shipped trace can answer it."""
    traced = ("image_size", "autocast", "channels_last", "batch")
    if request.parameters_but(*traced) or request.autocast not in (None, "fp16"):
        return None
    return f"{'amp' if request.autocast else 'plain'}-{'nhwc' if request.channels_last else 'nchw'}"


def workload(request: ModelRequest) -> Workload | None:
    """Return the workload of a `timm:NAME` that was traced at the requested size and mode, else None."""
    source, _, name = request.model.partition(":")
    wanted = mode(request)
    traces = index() if source == SOURCE and wanted else None
    if traces is None:
        return None
    name, base, model = traces.find(name)
    if model is None or name in traces.other_heads:
        return None
    side = request.image_size or traces.tags.get(name, model.usual)
    for trace in _member(path(), model.member):
        if (trace.model, trace.side, trace.mode) == (base, side, wanted):
            return _workload(trace, request.model, traces)
    return None


def matches_installed(request: ModelRequest) -> bool:
    """Return whether the installed timm, if any, is the version that was traced."""
    traces = index() if request.model.startswith(f"{SOURCE}:") else None
    return traces is not None and installed(SOURCE) in (None, traces.made_with.get(SOURCE))


def missing(request: ModelRequest, needs: str) -> InputError:
    """Return the error for a model that cannot be traced here (`needs` says why) and has no shipped trace either."""
    traces, (source, _, name) = index(), request.model.partition(":")
    if traces is None or source != SOURCE:
        return InputError("missing-package", needs, field="model")
    name, base, model = traces.find(name)
    close: tuple[str, ...] = ()
    if name in traces.other_heads:
        reason = "these weights have another number of classes than the traced model"
    elif model is None:
        reason = f"timm {traces.made_with.get(SOURCE, '?')} has no such model, or it cannot be traced"
        close = tuple(f"{SOURCE}:{choice}" for choice in nearest(base, traces.models))
    else:
        sides = " and ".join(map(str, model.sides))
        reason = f"it was traced at image size {sides}, for inference in one dtype or amp"
    text = f"{needs} The shipped traces do not contain it: {reason}."
    return InputError("missing-package", text, field="model", nearest=close)


def index() -> TraceIndex | None:
    """Return the index of the file; None where there is no file. Raises HwbenchError for another format."""
    return _index(path())


@lru_cache(maxsize=2)
def _index(file: str) -> TraceIndex | None:
    if not os.path.isfile(file):
        return None
    try:
        traces = msgspec.json.decode(_read(file, INDEX), type=TraceIndex)
    except msgspec.DecodeError as error:
        raise HwbenchError(f"{file} is not a file of traces: {error}") from None
    if traces.schema != SCHEMA:
        raise HwbenchError(f"{file} has the schema '{traces.schema}'; this version of hwbench reads {SCHEMA}.")
    return traces


@lru_cache(maxsize=4)
def _member(file: str, member: str) -> tuple[PackedTrace, ...]:
    try:
        return msgspec.msgpack.decode(_read(file, member), type=tuple[PackedTrace, ...])
    except msgspec.DecodeError as error:
        raise HwbenchError(f"{file} is damaged in {member}: {error}") from None


def _read(file: str, member: str) -> bytes:
    import zipfile

    try:
        with zipfile.ZipFile(file) as archive:
            return archive.read(member)
    except (OSError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise HwbenchError(f"{file} cannot be read: {error}") from None


def _workload(trace: PackedTrace, name: str, traces: TraceIndex) -> Workload:
    versions = ", ".join(f"{package} {version}" for package, version in traces.made_with.items())
    columns = [trace.columns.get(name) or [_OPTIONAL[name]] * trace.length for name in Op.__struct_fields__]
    shapes = Op.__struct_fields__.index("output_shape")
    columns[shapes] = [tuple(shape) for shape in columns[shapes]]
    ops = tuple(Op(*values) for values in zip(*columns, strict=True))
    fields = {field: getattr(trace, field) for field in _UNCHANGED}
    return Workload(name, f"{trace.title} (traced by {versions})", ops=ops, **fields)


@lru_cache(maxsize=8)
def installed(package: str) -> str | None:
    """Return the version of an installed package, without importing it; None where it is not installed."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def pack(workload: Workload, model: str, side: int, mode: str) -> PackedTrace:
    """Return a workload as it is stored."""
    columns = {name: [getattr(op, name) for op in workload.ops] for name in Op.__struct_fields__}
    for name, default in _OPTIONAL.items():
        if all(value == default for value in columns[name]):
            del columns[name]
    fields = {field: getattr(workload, field) for field in _UNCHANGED}
    return PackedTrace(model, side, mode, workload.title, length=len(workload.ops), columns=columns, **fields)


def write(file: str, traces: TraceIndex, members: Iterable[tuple[str, list[PackedTrace]]]) -> None:
    """Write the file atomically; equal traces give an equal file."""
    import io
    import zipfile

    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(zipfile.ZipInfo(INDEX, _EPOCH), msgspec.json.encode(traces), zipfile.ZIP_LZMA)
        for name, packed in members:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), msgspec.msgpack.encode(packed), zipfile.ZIP_LZMA)
    atomic.write_atomically(file, content.getvalue())
