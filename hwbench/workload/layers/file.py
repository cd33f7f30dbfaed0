"""YAML files of networks: title, input, layers and published counts."""

import os
from typing import Annotated, Any

from msgspec import Meta, Struct

from hwbench.errors import InputError
from hwbench.files import documents
from hwbench.files.documents import Document
from hwbench.workload.layers import network
from hwbench.workload.ops import Published, Workload
from hwbench.workload.shapes import Positive


class ModelFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A network file. `input` is one sample's shape; see `network.py` for `layers`."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    input: Annotated[tuple[Positive, ...], Meta(min_length=1, max_length=6)]
    layers: list[Any]
    published: Published | None = None
    released: str | None = None
    aliases: tuple[str, ...] = ()
    notes: str | None = None


def read(path: str) -> tuple[Document, ModelFile]:
    """Return a network file as text and data. Raises InputError at the first field that is wrong."""
    document = documents.read(path)
    return document, documents.convert(document, ModelFile)


def load(path: str) -> Workload:
    """Return the workload of a network file. Raises InputError at the layer that is wrong."""
    document, model = read(path)
    try:
        ops = network.build(model.layers, model.input)
    except InputError as error:
        raise document.error(error.code, error.message, error.field or "", error.nearest) from None
    name = os.path.splitext(os.path.basename(path))[0]
    return Workload(name, model.title, model.input, ops, model.published)
