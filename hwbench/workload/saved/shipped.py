"""Traced workloads that come with hwbench, so that `timm:NAME` needs neither timm nor torch.

One zip file of the catalog holds what our tracer found for every model of one version of timm: an `index.json` and, a
member a family of names, its traces as msgpack, compressed by LZMA. Ops are stored by column, a list a field that is
not everywhere its default: neighbors in a column are alike, which is what makes thousands of traces a few megabytes.
`benchmarks/timm_workloads.py` traces and packs.
"""

import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from hwbench.errors import HwbenchError, InputError, nearest
from hwbench.files import folders
from hwbench.workload.ops import Assumption, Op, Workload
from hwbench.workload.request import ModelRequest

SCHEMA = "hwbench.workloads/1"
SOURCE = "timm"
INDEX = "index.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that zip knows: the same traces give the same file
_OPTIONAL = dict(zip(Op.__struct_fields__[-len(Op.__struct_defaults__) :], Op.__struct_defaults__, strict=True))


class PackedModel(Struct, frozen=True, array_like=True):
    """A model: the member that holds it, the side of its usual image, and the sides at which it was traced."""

    member: str
    usual: int
    sides: tuple[int, ...]


class TraceIndex(Struct, frozen=True):
    """What the file holds: models by name, with the versions of what traced them.

    `tags` are names of pretrained weights whose usual image is not that of the model; `other_heads` those whose
    classes differ from the model's, so that no trace of the model is theirs. `renamed` gives today's name, perhaps with
    a tag, of one that an earlier version of timm knew.
    """

    schema: str
    made_with: dict[str, str]
    models: dict[str, PackedModel]
    tags: dict[str, int] = {}
    other_heads: tuple[str, ...] = ()
    renamed: dict[str, str] = {}


class PackedTrace(Struct, frozen=True, array_like=True):
    """One trace: a model at a side and in a mode, its ops as columns of `length`."""

    model: str
    side: int
    mode: str
    title: str
    input_shape: tuple[int, ...]
    uncounted: tuple[str, ...]
    assumed: tuple[Assumption | str, ...]
    unused_params: int
    state_elements: int
    length: int
    columns: dict[str, list[Any]]


def path() -> str:
    """Where the file stands."""
    return os.path.join(folders.shipped(), "traced", f"{SOURCE}.zip")


def mode(request: ModelRequest) -> str | None:
    """The mode of tracing that a request asks for; None where it asks for more than any trace answers."""
    plain = ModelRequest(
        request.model,
        image_size=request.image_size,
        autocast=request.autocast,
        channels_last=request.channels_last,
        batch=request.batch,
    )
    if request != plain or request.autocast not in (None, "fp16"):
        return None
    return f"{'amp' if request.autocast else 'plain'}-{'nhwc' if request.channels_last else 'nchw'}"


def workload(request: ModelRequest) -> Workload | None:
    """The workload of a `timm:NAME` that was traced at the size and in the mode asked for, else None."""
    source, _, name = request.model.partition(":")
    wanted = mode(request)
    held = index() if source == SOURCE and wanted else None
    if held is None:
        return None
    name = held.renamed.get(name, name)
    model, known = _known(held, name)
    if known is None or name in held.other_heads:
        return None
    side = request.image_size or held.tags.get(name, known.usual)
    for trace in _member(path(), known.member):
        if (trace.model, trace.side, trace.mode) == (model, side, wanted):
            return _workload(trace, request.model, held)
    return None


def _known(held: TraceIndex, name: str) -> tuple[str, PackedModel | None]:
    """A name without the tag of its weights, and the model that it means."""
    model = name.partition(".")[0]
    return model, held.models.get(model)


def trusted(request: ModelRequest) -> bool:
    """Whether no other version of what made the traces is installed that would trace the model itself."""
    held = index() if request.model.startswith(f"{SOURCE}:") else None
    return held is not None and installed(SOURCE) in (None, held.made_with.get(SOURCE))


def why_not(request: ModelRequest) -> str:
    """Why there is no trace for a `timm:NAME`, after "not packaged: "."""
    held, name = index(), request.model.partition(":")[2]
    if held is None:
        return "no traces came with this installation"
    name = held.renamed.get(name, name)
    if name in held.other_heads:
        return "these weights have another number of classes than the traced model"
    _, known = _known(held, name)
    if known is None:
        return f"timm {held.made_with.get(SOURCE, '?')} has no such model, or it cannot be traced"
    sides = " and ".join(str(side) for side in known.sides)
    return f"it was traced at image size {sides}, for inference in one dtype or amp"


def missing(request: ModelRequest, needs: str) -> InputError:
    """The error for a model that cannot be traced here (`needs` says what for) and is not packaged either."""
    held, (source, _, name) = index(), request.model.partition(":")
    if held is None or source != SOURCE:
        return InputError(needs)
    base = name.partition(".")[0]
    close = () if base in held.models else tuple(f"{SOURCE}:{one}" for one in nearest(base, held.models))
    return InputError(f"{needs}; not packaged: {why_not(request)}", nearest=close)


def index() -> TraceIndex | None:
    """The index of the file; None where there is no file. Raises HwbenchError for one that is not ours."""
    return _index(path())


@lru_cache(maxsize=2)
def _index(file: str) -> TraceIndex | None:
    if not os.path.isfile(file):
        return None
    try:
        found = msgspec.json.decode(_read(file, INDEX), type=TraceIndex)
    except msgspec.DecodeError as error:
        raise HwbenchError(f"{file}: is not a file of traces: {error}") from None
    if found.schema != SCHEMA:
        raise HwbenchError(f"{file}: has the schema '{found.schema}', this version reads {SCHEMA}")
    return found


@lru_cache(maxsize=4)
def _member(file: str, member: str) -> tuple[PackedTrace, ...]:
    try:
        return msgspec.msgpack.decode(_read(file, member), type=tuple[PackedTrace, ...])
    except msgspec.DecodeError as error:
        raise HwbenchError(f"{file}: {member} is damaged: {error}") from None


def _read(file: str, member: str) -> bytes:
    import zipfile

    try:
        with zipfile.ZipFile(file) as archive:
            return archive.read(member)
    except (OSError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise HwbenchError(f"{file}: cannot be read: {error}") from None


def _workload(trace: PackedTrace, name: str, held: TraceIndex) -> Workload:
    versions = ", ".join(f"{package} {version}" for package, version in held.made_with.items())
    return Workload(
        name=name,
        title=f"{trace.title} (traced by {versions})",
        input_shape=trace.input_shape,
        ops=_ops(trace),
        uncounted=trace.uncounted,
        assumed=trace.assumed,
        unused_params=trace.unused_params,
        state_elements=trace.state_elements,
    )


def _ops(trace: PackedTrace) -> tuple[Op, ...]:
    columns = [trace.columns.get(name) or [_OPTIONAL[name]] * trace.length for name in Op.__struct_fields__]
    shapes = Op.__struct_fields__.index("output_shape")
    columns[shapes] = [tuple(shape) for shape in columns[shapes]]
    return tuple(Op(*values) for values in zip(*columns, strict=True))


@lru_cache(maxsize=8)
def installed(package: str) -> str | None:
    """The version of an installed package, without importing it; None where it is not there."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def trace_of(found: Workload, model: str, side: int, in_mode: str) -> PackedTrace:
    """A workload as it is stored."""
    columns = {name: [getattr(op, name) for op in found.ops] for name in Op.__struct_fields__}
    for name, default in _OPTIONAL.items():
        if all(value == default for value in columns[name]):
            del columns[name]
    return PackedTrace(
        model, side, in_mode, found.title, found.input_shape, found.uncounted, found.assumed, found.unused_params,
        found.state_elements, len(found.ops), columns,
    )  # fmt: skip


def write(file: str, held: TraceIndex, members: Iterable[tuple[str, list[PackedTrace]]]) -> None:
    """Write the file, whole or not at all; equal traces give an equal file."""
    import zipfile

    beside = f"{file}.{os.getpid()}.tmp"
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_LZMA) as archive:
            archive.writestr(zipfile.ZipInfo(INDEX, _EPOCH), msgspec.json.encode(held), zipfile.ZIP_LZMA)
            for name, traces in members:
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), msgspec.msgpack.encode(traces), zipfile.ZIP_LZMA)
        with open(beside, "rb") as done:
            os.fsync(done.fileno())
        os.replace(beside, file)
    finally:
        if os.path.exists(beside):
            os.unlink(beside)
