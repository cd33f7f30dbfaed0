"""What one step of a language model must do: bytes that it reads, weights that it decodes, multiply-adds, scores."""

import math
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from hwbench.workload.language.formats import BlockFormat
from hwbench.workload.language.tensors import EMBEDDING, LanguageModel, Layer

BLOCK = 256
"""Cells of the cache that fused attention reads at once: llama.cpp pads caches to multiples of them."""


class StepWork(Struct, frozen=True):
    """Passes through the layers, with `tokens` tokens in all, of all sequences of a batch.

    Products have `outputs` values. `weight_bytes` are read once a pass whatever the number of tokens, of the experts
    those that are expected to be used; `decoded` counts these weights by coding. `cache_bytes` are those of past tokens
    that are read and of new ones that are written, `masked_bytes` those of tokens before a window and of empty cells
    that are read all the same. `weight_macs` are multiply-adds with weights, `attention_macs` those of attention, whose
    `scores` a kernel that is not fused writes out.
    """

    passes: float
    tokens: float
    layers: int
    weight_bytes: float
    decoded: dict[str, float]
    cache_bytes: float
    weight_macs: float
    attention_macs: float
    scores: float
    outputs: float = 0.0
    masked_bytes: float = 0.0

    @property
    def flops(self) -> float:
        """Operations, two for each multiply-add."""
        return 2.0 * (self.weight_macs + self.attention_macs)

    @property
    def traffic(self) -> float:
        """Bytes of weights and cache."""
        return self.weight_bytes + self.cache_bytes


def decode_step(
    model: LanguageModel, batch: int, context: float, cache: BlockFormat, microbatch: int = 0, *, fused: bool = False
) -> StepWork:
    """Return the step that adds a token to each of `batch` sequences of `context` tokens.

    Cells of the cache beyond those that are attended to are read and masked; `fused` attention reads them in blocks.
    """
    step = _step(model, float(batch), float(batch), 1.0, context, cache)
    masked = sum(
        layer.cached * (_cells(layer, context, microbatch, batch, fused) - layer.tokens(context))
        for layer in model.layers
    )
    return replace(step, masked_bytes=batch * masked * cache.size / cache.values)


def _cells(layer: Layer, context: float, microbatch: int, batch: int, fused: bool) -> float:
    """Return the cells of a sequence that attention reads in a layer.

    A layer with a window keeps a microbatch of tokens more, in a ring: a token takes the cell of the oldest one. Of
    several sequences fused attention skips what is behind the newest token, unless the window reaches across the end.
    """
    cells = context
    if layer.window:
        ring = layer.window + microbatch
        newest = context % ring
        skips = fused and batch > 1 and context > ring and newest >= layer.window
        cells = newest if skips else min(context, ring)
    return math.ceil(cells / BLOCK) * BLOCK if fused else cells


def prompt_steps(
    model: LanguageModel, tokens: int, batch: int, past: int, microbatch: int, cache: BlockFormat
) -> StepWork:
    """Return the sum of the steps that read a prompt of `tokens` in each of `batch` sequences.

    A step takes at most `microbatch` tokens, of one sequence after the other; only the last token of each is given to
    the head. `past` tokens are cached already.
    """
    if tokens < 1:
        raise ValueError("a prompt has at least one token")
    whole = (tokens - 1) // microbatch
    rest = tokens - whole * microbatch
    together = min(batch, max(microbatch // rest, 1))
    # whole steps of `together` sequences, the last one of fewer counted as a part of one
    last = _step(model, float(rest * together), float(together), float(rest), past + tokens - (rest - 1) / 2, cache)
    total = _sum(None, last, batch / together)
    if not whole:
        return total
    step = _step(model, float(microbatch), 0.0, float(microbatch), past + (microbatch + 1) / 2, cache, whole)
    return _sum(total, step, batch * whole)


def mixed_step(
    model: LanguageModel, sequences: float, context: float, piece: float, prompt: int, cache: BlockFormat
) -> StepWork:
    """Return the step that adds a token to each of `sequences` and reads `piece` tokens of prompts; weights once."""
    steps = []
    if sequences:
        steps.append((_step(model, sequences, sequences, 1.0, context, cache), 1.0))
    heads = piece / prompt if piece else 0.0
    if piece:
        steps.append((_step(model, piece, heads, min(piece, float(prompt)), (prompt + 1) / 2, cache), 1.0))
    size, decoded, macs, outputs = _weights(model, sequences + piece, sequences + heads)
    return replace(weighted(steps), passes=1.0, weight_bytes=size, decoded=decoded, weight_macs=macs, outputs=outputs)


def _step(
    model: LanguageModel, tokens: float, heads: float, each: float, context: float, cache: BlockFormat, steps: int = 1
) -> StepWork:
    """Return a step of `tokens` tokens, `each` of one sequence, that attend to `context` tokens on average.

    `heads` of the tokens are given to the head. Of several `steps`, one behind the other, it is the mean.
    """
    sequences = tokens / each
    per_value = cache.size / cache.values
    attended = [(layer, layer.mean_tokens(context, each, steps)) for layer in model.layers]
    read = sum(layer.cached * seen + 2 * layer.state for layer, seen in attended)
    written = sum(layer.cached for layer in model.layers)
    totals = _weights(model, tokens, heads)
    return StepWork(
        passes=1.0,
        tokens=tokens,
        layers=len(model.layers),
        weight_bytes=totals[0],
        decoded=totals[1],
        cache_bytes=per_value * (sequences * read + tokens * written),
        weight_macs=totals[2],
        attention_macs=tokens * sum(layer.score_macs * seen for layer, seen in attended),
        scores=tokens * sum(layer.heads * seen for layer, seen in attended),
        outputs=totals[3],
    )


def _weights(model: LanguageModel, tokens: float, heads: float) -> tuple[float, dict[str, float], float, float]:
    """Return the bytes of weights that are read, those decoded by coding, multiply-adds with them, and outputs."""
    size, macs, outputs = 0.0, 0.0, 0.0
    decoded: dict[str, float] = {}
    tied = model.head is model.embedding
    for tensor, count in model.groups:
        if tensor.name == EMBEDDING:
            row = tensor.block.bytes_of(tensor.columns)
            size += min(tokens, tensor.rows) * row
            if not tied:
                continue
        is_head = tensor is model.head
        if is_head and not heads:
            continue
        share = model.used_share(tensor, tokens) * count
        size += tensor.size * share
        if not tensor.is_matrix:
            continue
        coding = tensor.block.coding
        decoded[coding] = decoded.get(coding, 0.0) + tensor.count * share
        single = model.used_share(tensor) * count
        macs += tensor.count * single * (heads if is_head else tokens)
        outputs += tensor.rows * tensor.experts * single * (heads if is_head else tokens)
    return size, decoded, macs, outputs


def weighted(steps: Iterable[tuple[StepWork, float]]) -> StepWork:
    """Return the sum of steps, each taken so many times; there is at least one."""
    total: StepWork | None = None
    for step, times in steps:
        total = _sum(total, step, times)
    assert total is not None
    return total


def _sum(total: StepWork | None, step: StepWork, times: float) -> StepWork:
    """Return the sum of steps, the second one taken several times."""
    if total is None:
        total = StepWork(0.0, 0.0, step.layers, 0.0, {}, 0.0, 0.0, 0.0, 0.0)
    codings = total.decoded.keys() | step.decoded.keys()
    return StepWork(
        passes=total.passes + times * step.passes,
        tokens=total.tokens + times * step.tokens,
        layers=step.layers,
        weight_bytes=total.weight_bytes + times * step.weight_bytes,
        decoded={name: total.decoded.get(name, 0.0) + times * step.decoded.get(name, 0.0) for name in codings},
        cache_bytes=total.cache_bytes + times * step.cache_bytes,
        weight_macs=total.weight_macs + times * step.weight_macs,
        attention_macs=total.attention_macs + times * step.attention_macs,
        scores=total.scores + times * step.scores,
        outputs=total.outputs + times * step.outputs,
        masked_bytes=total.masked_bytes + times * step.masked_bytes,
    )
