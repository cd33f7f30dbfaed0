"""Costs of fused attention by the shapes of its tensors, and the pairs of queries and keys that flags leave out."""

from math import prod

import msgspec
from msgspec import Struct

from hwbench.workload.formulas.cost import Call, Cost, Tensor


class Span(Struct, frozen=True):
    """The keys that a query meets, from `left` before its own position to `right` after it; None: all on that side.

    The first query has the position of key `offset`.
    """

    left: int | None = None
    right: int | None = None
    offset: int = 0

    def pairs(self, queries: int, keys: int) -> int:
        """Count the pairs of queries and keys that meet."""
        end = queries * keys if self.right is None else _clamped(self.offset + self.right + 1, queries, keys)
        return end - (0 if self.left is None else _clamped(self.offset - self.left, queries, keys))


EVERY_PAIR = Span()


def _clamped(start: int, count: int, largest: int) -> int:
    """Return the sum of so many consecutive integers from `start`, each brought into 0..largest."""

    def below(end: int) -> int:
        inside = min(max(end, 0), largest)
        return inside * (inside - 1) // 2 + max(end - largest, 0) * largest

    return below(start + count) - below(start)


def attention(
    query: Tensor, key: Tensor, value: Tensor, kind: str = "attention", passes: tuple[int, int] = (1, 1),
    each: int = 6, span: Span = EVERY_PAIR,
) -> Cost:  # fmt: skip
    """Count fused attention: scores and their product with the values; softmax and scaling take six operations a score.

    Heads are the query's: grouped keys and values are read once and used by several. Pairs outside the `span` count,
    and are `skipped_macs` too. `passes` are the products over the width of the keys and that of the values, `each` the
    operations a score.
    """
    *leading, queries, width = query.shape
    scores, each_score = prod(leading) * queries * key.shape[-2], passes[0] * width + passes[1] * value.shape[-1]
    skipped = scores - prod(leading) * span.pairs(queries, key.shape[-2])
    macs = scores * each_score
    flops, heads = each * scores, prod(leading)
    return Cost(
        kind,
        macs,
        elementwise_flops=flops,
        groups=heads,
        columns=key.shape[-2],
        depth=width,
        skipped_macs=skipped * each_score,
    )


def attention_call(call: Call) -> Cost:
    """Count fused attention of a call, with a mask if its fourth argument is a tensor."""
    query, key, value = call.args[:3]
    cost = attention(query, key, value, span=_span(call))
    masked = any(isinstance(mask, Tensor) for mask in (*call.args[3:4], call.kwargs.get("attn_mask")))
    return msgspec.structs.replace(cost, masked=masked or bool(call.kwargs.get("masked")))


def attention_backward_call(call: Call) -> Cost:
    """Count scores again, and gradients of values, probabilities, queries and keys: five products instead of two."""
    query, key, value = call.args[1:4]
    return attention(query, key, value, "attention_backward", (3, 2), 10, _span(call))


_CAUSAL = {
    "scaled_dot_product_attention": 5, "_scaled_dot_product_attention_math": 5,
    "_scaled_dot_product_flash_attention": 4,
    "_scaled_dot_product_flash_attention_for_cpu": 4, "_scaled_dot_product_efficient_attention": 6,
    "_scaled_dot_product_cudnn_attention": 6, "_scaled_dot_product_fused_attention_overrideable": 5,
    "_scaled_dot_product_flash_attention_backward": 11, "_scaled_dot_product_flash_attention_for_cpu_backward": 7,
    "_scaled_dot_product_efficient_attention_backward": 11, "_scaled_dot_product_cudnn_attention_backward": 14,
    "_flash_attention_forward": 8, "_flash_attention_backward": 11,
}  # fmt: skip
"""The argument that states whether attention is causal."""


def _span(call: Call, offset: int = 0) -> Span:
    """Return which keys each query meets by the flags of a call: causal, and as many keys around it as a window has."""
    causal = bool(call.get(_CAUSAL.get(call.name.removeprefix("aten."), len(call.args)), "is_causal", False))
    sizes = (call.kwargs.get(f"window_size_{side}") for side in ("left", "right"))
    left, right = (None if size is None or size < 0 else size for size in sizes)
    return Span(left, 0 if causal else right, call.kwargs.get("offset", offset))


def packed_attention_call(call: Call) -> Cost:
    """Count attention of tokens before heads; sequences in one (`cum_seq`) are taken to be as long as the longest."""
    query, key, value = _heads_first(call, 0, 4 if "efficient" in call.name else 3)
    return attention(query, key, value, span=_packed_span(call, query, key, 9, 13))


def packed_attention_backward_call(call: Call) -> Cost:
    """Count the gradients of attention of tokens before heads."""
    query, key, value = _heads_first(call, 1, 6)
    span = _packed_span(call, query, key, 14, 18)
    return attention(query, key, value, "attention_backward", (3, 2), 10, span)


def _packed_span(call: Call, query: Tensor, key: Tensor, mask: int, window: int) -> Span:
    """Return which keys each query meets; of memory-efficient attention, by its arguments `mask` and `window`."""
    last = key.shape[-2] - query.shape[-2]  # the last query has the position of the last key
    if "efficient" not in call.name:
        return _span(call, last)
    kind, size = call.get(mask, "custom_mask_type") or 0, call.get(window, "window_size") or 0
    return Span(size - 1 if size > 0 else None, 0 if kind else None, last if kind == 2 else 0)


def _heads_first(call: Call, first: int, starts: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values as `(batch, heads, tokens, width)`; `starts` is the argument `cum_seq_q`."""
    parts = []
    for tensor, longest in zip(call.args[first : first + 3], (2, 3, 3), strict=True):
        *batch, tokens, heads, width = tensor.shape
        if call.get(starts, "") is not None:
            batch, tokens = [call.args[starts].shape[0] - 1], call.args[starts + longest]
        parts.append(msgspec.structs.replace(tensor, shape=(*batch, heads, tokens, width)))
    return parts[0], parts[1], parts[2]
