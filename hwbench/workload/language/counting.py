"""What a language model holds: parameters by kind of tensor, bytes in formats of weights, and the cache of a token."""

from collections.abc import Callable
from typing import ClassVar

from msgspec import Struct

from hwbench.answers import Answer
from hwbench.notices import Notice
from hwbench.workload.language.formats import BlockFormat
from hwbench.workload.language.tensors import LanguageModel

FORMATS = ("bf16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "q3_k_m", "q2_k")
"""Formats of weights whose sizes are listed."""


class TensorCount(Struct, frozen=True):
    """Tensors of one kind and format: how many, their parameters in all, those that one token uses, and bytes."""

    kind: str
    format: str
    count: int
    params: int
    active_params: int
    bytes: int


class LanguageCount(Answer, Struct, frozen=True):
    """A language model counted. `sizes` are the bytes of its weights by format, of a file in its own alone.

    A token adds `kv_bytes_per_token` to the cache, less where layers have a window that is full; layers of linear
    attention keep `state_bytes` instead. `flops_per_token` are those of weights, two for each that a token uses.
    """

    SCHEMA: ClassVar[str] = "language-count"
    MAIN: ClassVar[tuple[str, ...]] = ("model", "weights", "params", "active_params", "weights_bytes")
    ROWS: ClassVar[str] = "tensors"

    model: str
    title: str
    weights: str
    kv_dtype: str
    params: int
    active_params: int
    layers: int
    width: int
    context: int | None
    weights_bytes: int
    sizes: dict[str, int]
    kv_bytes_per_token: float
    windowed_layers: int
    state_bytes: int
    flops_per_token: int
    tensors: tuple[TensorCount, ...]
    notices: tuple[Notice, ...] = ()


def count(model: LanguageModel, cache: BlockFormat, other: Callable[[str], LanguageModel] | None) -> LanguageCount:
    """Return what a model holds; `other` returns it in another format of weights, where it has any."""
    kinds: dict[tuple[str, str], list[float]] = {}
    for tensor in model.tensors:
        own = kinds.setdefault((tensor.kind, tensor.format), [0, 0, 0, 0])
        for index, value in enumerate((1, tensor.count, tensor.count * model.used_share(tensor), tensor.size)):
            own[index] += value
    sizes = {name: other(name).size for name in FORMATS} if other else {}
    return LanguageCount(
        model=model.name,
        title=model.title,
        weights=model.weights,
        kv_dtype=cache.name,
        params=model.params,
        active_params=model.active_params,
        layers=len(model.layers),
        width=model.width,
        context=model.context,
        weights_bytes=model.size,
        sizes={**sizes, model.weights: model.size},
        kv_bytes_per_token=sum(layer.cached for layer in model.layers) * cache.size / cache.values,
        windowed_layers=sum(layer.window is not None for layer in model.layers),
        state_bytes=4 * sum(layer.state for layer in model.layers),
        flops_per_token=2 * model.active_params,
        tensors=tuple(TensorCount(*key, *map(round, values)) for key, values in kinds.items()),
        notices=model.notices,
    )
