"""A language model from the description of its blocks and a format of weights."""

from hwbench.notices import Notice
from hwbench.workload.language import mixes, transformer
from hwbench.workload.language.tensors import LanguageModel
from hwbench.workload.language.transformer import Transformer

DEFAULT_WEIGHTS = "bf16"


def model_of(
    name: str, title: str, blocks: Transformer, weights: str, notices: tuple[Notice, ...] = (), path: str | None = None
) -> LanguageModel:
    """Return the model of a description in a format of weights. Raises InputError for an unknown format."""
    chosen = mixes.weight_format(weights)
    groups = blocks.heads // blocks.kv_heads
    return LanguageModel(
        name=name,
        title=title,
        weights=chosen,
        width=blocks.width,
        layers=transformer.layers(blocks),
        tensors=tuple(mixes.formatted(transformer.tensors(blocks), chosen, groups)),
        used_experts=blocks.experts.used if blocks.experts else 0,
        context=blocks.context,
        notices=notices,
        path=path,
    )
