"""Language models of the catalog: a file each, in `configs/language/`."""

import os
from typing import Annotated

from msgspec import Meta, Struct

from hwbench.errors import InputError, nearest, shown
from hwbench.files import documents, folders, names
from hwbench.workload.language.build import DEFAULT_WEIGHTS, model_of
from hwbench.workload.language.tensors import LanguageModel
from hwbench.workload.language.transformer import Transformer

KIND = "language"
"""The folder of the catalog."""
_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class PublishedSize(Struct, frozen=True, forbid_unknown_fields=True):
    """How many parameters the publisher states, as printed (`8.03B`): test data, never used to compute."""

    params: Annotated[str, Meta(pattern=r"^[0-9][0-9.,]{0,20} ?[KMBT]?$")]
    source: _Name
    url: str | None = None
    embedding: bool = True


class ModelCard(Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the catalog: the blocks of a model, where they are stated, and what they should add up to."""

    title: _Name
    blocks: Transformer
    source: _Name
    url: str | None = None
    released: Annotated[str, Meta(pattern=r"^20[0-9]{2}(-(0[1-9]|1[0-2]))?$")] | None = None
    aliases: tuple[_Name, ...] = ()
    published: PublishedSize | None = None
    notes: str | None = None


def load(name: str, weights: str | None = None) -> LanguageModel:
    """Return the model of a catalog name or alias in a format of weights. Raises InputError with the nearest names."""
    path = folders.locate(KIND, name)
    if path is None:
        known = folders.spellings(KIND)
        close = dict.fromkeys(known[spelling] for spelling in nearest(names.key(name), known, most=6))
        message = f"There is no language model named '{shown(name)}'."
        raise InputError("unknown-model", message, field="model", nearest=tuple(close)[:3])
    card = load_card(path)
    stem = os.path.splitext(os.path.basename(path))[0]
    return model_of(stem, card.title, card.blocks, weights or DEFAULT_WEIGHTS)


def load_card(path: str) -> ModelCard:
    """Return the entry of the catalog in a YAML file. Raises InputError."""
    return documents.convert(documents.read(path), ModelCard)


def cards() -> dict[str, ModelCard]:
    """Return every language model of the catalog by name."""
    return {name: load_card(path) for name, path in folders.files(KIND).items()}
