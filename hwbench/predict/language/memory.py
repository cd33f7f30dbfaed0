"""Does a language model fit in the memory of a device, and what would: context, batch, layers, formats, devices."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from hwbench.workload.language.formats import BlockFormat
from hwbench.workload.language.tensors import LanguageModel

LADDER = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k", "iq2_xxs")
"""Formats from large to small that are worth proposing."""
MAX_CONTEXT, MAX_BATCH = 1 << 24, 1 << 16


class Budget(Struct, frozen=True):
    """Bytes that a model needs on its devices, and what they have; `size` and `fits` are None where that is unknown.

    `cache` is that of every sequence, `buffers` what computing a step takes. `longest_context` is for the batch,
    `largest_batch` for the context, 0 where not even one fits.
    """

    weights: int
    cache: int
    buffers: int
    size: float | None
    fits: bool | None
    longest_context: int | None
    largest_batch: int | None

    @property
    def needed(self) -> int:
        """Bytes in all."""
        return self.weights + self.cache + self.buffers


class Remedy(Struct, frozen=True):
    """One thing that would make a model fit: a `format`, a `context`, `layers` on the device, or `devices`."""

    kind: str
    value: str | int


def cache_bytes(model: LanguageModel, context: int, batch: int, cache: BlockFormat, microbatch: int) -> int:
    """Return the bytes of the cache; layers with a window keep it and the tokens of one step."""
    values = 0
    for layer in model.layers:
        tokens = min(context, layer.window + microbatch) if layer.window else context
        values += layer.cached * tokens + 2 * layer.state  # states are kept in 32 bits
    return batch * cache.bytes_of(values)


def buffer_bytes(model: LanguageModel, context: int, microbatch: int, fused_attention: bool) -> int:
    """Return the bytes of intermediate results: the larger of a step's logits and scores, and its hidden state.

    llama.cpp reserves them for a whole step in fp32.
    """
    tokens = min(microbatch, max(context, 1))
    logits = model.head.rows if model.head else 0
    scores = 0 if fused_attention else max((layer.heads for layer in model.layers), default=0) * context
    return 4 * tokens * (max(logits, scores) + model.width)


def budget(
    model: LanguageModel,
    size: float | None,
    context: int,
    batch: int,
    cache: BlockFormat,
    microbatch: int = 512,
    fused_attention: bool = False,
) -> Budget:
    """Return what a model needs at a context and a batch, and the most of either that fits in `size` bytes."""

    def needed(tokens: int, sequences: int) -> int:
        own = cache_bytes(model, tokens, sequences, cache, microbatch)
        return model.size + own + buffer_bytes(model, tokens, microbatch, fused_attention)

    longest = largest = fits = None
    if size is not None:
        limit = model.context or MAX_CONTEXT
        longest = _most(lambda tokens: needed(tokens, batch) <= size, limit)
        largest = _most(lambda sequences: needed(context, sequences) <= size, MAX_BATCH)
        fits = needed(context, batch) <= size
    return Budget(
        weights=model.size,
        cache=cache_bytes(model, context, batch, cache, microbatch),
        buffers=buffer_bytes(model, context, microbatch, fused_attention),
        size=size,
        fits=fits,
        longest_context=longest,
        largest_batch=largest,
    )


def remedies(
    model: LanguageModel,
    need: Budget,
    devices: int,
    other: Callable[[str], LanguageModel] | None,
    divisible: bool = True,
) -> Iterator[Remedy]:
    """Yield what would make a model fit that does not; `other` returns it in another format of weights.

    Layers are left to a CPU where the model is `divisible`.
    """
    if need.size is None or need.fits:
        return
    if need.longest_context:
        yield Remedy("context", need.longest_context)
    if other is not None:
        for name in LADDER:
            smaller = other(name)
            if smaller.size < model.size and smaller.size + need.cache + need.buffers <= need.size:
                yield Remedy("format", name)
                break
    single = need.size / devices
    room = need.size - need.buffers
    per_layer = (need.weights + need.cache) / len(model.layers)
    if divisible and (count := int(room // per_layer)) > 0:
        yield Remedy("layers", count)
    if single > need.buffers:
        yield Remedy("devices", -int(-(need.weights + need.cache) // (single - need.buffers)))


def _most(holds: Callable[[int], bool], limit: int) -> int:
    """Return the largest number up to a limit for which a condition holds that holds below it too; 0 for none."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
