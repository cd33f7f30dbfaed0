"""Language models of the catalog: a file each, in `configs/language/`."""

import os
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

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
    entry = described(name)
    return model_of(entry.name, entry.title, entry.blocks, weights or DEFAULT_WEIGHTS)


class DescribedModel(Struct, frozen=True):
    """What a name means: the name as the catalog spells it, a title, and the blocks."""

    name: str
    title: str
    blocks: Transformer


def described(name: str) -> DescribedModel:
    """Return what a catalog name or alias means; `llama3-8b?layers=4` has so many layers. Raises InputError."""
    base, question, wanted = name.partition("?")
    path = folders.locate(KIND, base)
    if path is None:
        known = folders.spellings(KIND)
        close = dict.fromkeys(known[spelling] for spelling in nearest(names.key(base), known, most=6))
        message = f"There is no language model named '{shown(base)}'."
        raise InputError("unknown-model", message, field="model", nearest=tuple(close)[:3])
    card = load_card(path)
    stem = os.path.splitext(os.path.basename(path))[0]
    if not question:
        return DescribedModel(stem, card.title, card.blocks)
    key, _, count = wanted.partition("=")
    if key != "layers" or not (count.isascii() and count.isdigit() and len(count) < 5 and int(count)):
        message = f"'{shown(wanted, 40)}' does not change a language model."
        raise InputError("invalid-field", message, field="model", nearest=(f"{stem}?layers={card.blocks.layers}",))
    blocks = replace(card.blocks, layers=int(count))
    return DescribedModel(f"{stem}?layers={count}", f"{card.title} with {count} layers", blocks)


def load_card(path: str) -> ModelCard:
    """Return the entry of the catalog in a YAML file. Raises InputError."""
    return documents.convert(documents.read(path), ModelCard)


def cards() -> dict[str, ModelCard]:
    """Return every language model of the catalog by name."""
    return {name: load_card(path) for name, path in folders.files(KIND).items()}
