"""Attention of com.microsoft whose pairs follow from constants of an ONNX file: blocks, global tokens, lengths.

Every pair counts, and those that the definition in onnxruntime/docs/ContribOperators.md leaves out are `skipped_macs`
too. A function raises KeyError where the file does not state what it needs.
"""

from math import prod

from msgspec.structs import replace

from hwbench.workload.formulas.attention import EVERY_PAIR, Span, attention
from hwbench.workload.formulas.cost import Call, Cost, Tensor, joined

STATED: dict[str, dict[int, str]] = {
    "com.microsoft.SparseAttention": {5: "block_row_indices", 6: "block_col_indices", 7: "total_sequence_length"},
    "com.microsoft.LongformerAttention": {6: "global"},
    "com.microsoft.PagedAttention": {5: "cumulative_sequence_length", 6: "past_seqlens"},
}
"""Inputs whose elements formulas find among the attributes, by operator and position; each by its name."""


def block_sparse(call: Call) -> Cost:
    """Count SparseAttention: a query meets the keys before it in the blocks of its row of blocks, by head cyclically.

    Its input is `(batch, tokens, heads × width)`, or packed with keys and values. The last query is the last key.
    """
    batch, tokens, packed = call.args[0].shape
    heads, each = int(call.kwargs["num_heads"]), int(call.kwargs["sparse_block_size"])
    width = packed // (heads if call.get(1, "") is not None else heads + 2 * int(call.kwargs["kv_num_heads"]))
    (keys,) = map(int, call.kwargs["total_sequence_length"])
    rows, columns = (_layouts(call, position) for position in (5, 6))
    layouts = [_pairs_of_blocks(*layout, each, tokens, keys) for layout in zip(rows, columns, strict=True)]
    pairs = batch * sum(layouts[head % len(layouts)] for head in range(heads))
    return _left_out(_of_heads(batch, heads, tokens, keys, width), pairs, 2 * width)


def _layouts(call: Call, position: int) -> list[list[int]]:
    """Return the rows of a matrix of integers that the file states."""
    length = call.args[position].shape[1]
    flat = [int(number) for number in call.kwargs[STATED["com.microsoft.SparseAttention"][position]]]
    return [flat[start : start + length] for start in range(0, len(flat), length)]


def _pairs_of_blocks(starts: list[int], columns: list[int], each: int, tokens: int, keys: int) -> int:
    """Count the pairs of the last `tokens` of `keys` positions with those before them in the blocks of a CSR layout."""
    pairs, first = 0, keys - tokens
    for row in range(first // each, -(-keys // each)):
        queries = range(max(first, row * each), min(keys, (row + 1) * each))
        blocks = columns[starts[row] : starts[row + 1]]
        pairs += len(queries) * each * sum(block < row for block in blocks)
        pairs += sum(query - row * each + 1 for query in queries) if row in blocks else 0
    return pairs


def windowed_with_global_tokens(call: Call) -> Cost:
    """Count LongformerAttention: tokens meet those at most `window` away and the global ones, global ones meet all.

    Global tokens have queries, and give all tokens keys and values, by weights of their own. Where the file does not
    state which are global, none is.
    """
    batch, tokens, width = call.args[0].shape
    heads, reach = int(call.kwargs["num_heads"]), int(call.kwargs["window"])
    flags = [int(flag) for flag in call.kwargs.get("global", [0] * batch * tokens)]
    pairs = 0
    for start in range(0, batch * tokens, tokens):
        chosen = [position for position, flag in enumerate(flags[start : start + tokens]) if flag]
        pairs += len(chosen) * tokens + sum(
            min(query + reach, tokens - 1) - max(query - reach, 0) + 1 + sum(abs(query - at) > reach for at in chosen)
            for query in set(range(tokens)) - set(chosen)
        )
    projected = 3 * batch * tokens + (2 * batch * tokens + sum(map(bool, flags)) if any(flags) else 0)
    cost = _left_out(_of_heads(batch, heads, tokens, tokens, width // heads), heads * pairs, 2 * width // heads)
    return replace(cost, macs=cost.macs + projected * width * width, bias_adds=projected * width)


def paged(call: Call) -> Cost:
    """Count PagedAttention: the new tokens of each sequence stand one after another, and meet those in its cache."""
    heads, window = int(call.kwargs["num_heads"]), int(call.kwargs.get("local_window_size", -1))
    width = call.args[0].shape[-1] // (heads if call.get(1, "") is not None else heads + 2 * _kv_heads(call))
    last = int(call.kwargs.get("v_head_size", 0)) or width
    ends = [int(end) for end in call.kwargs["cumulative_sequence_length"]]
    costs = []
    for begin, end, past in zip(ends, ends[1:], call.kwargs["past_seqlens"], strict=False):
        queries, keys = end - begin, end - begin + int(past)
        right = 0 if int(call.kwargs.get("is_causal", 1)) else None
        span = Span(window - 1 if window > 0 else None, right, int(past))
        costs.append(_of_heads(1, heads, queries, keys, width, last, span))
    return joined(costs)


def _kv_heads(call: Call) -> int:
    """Return the heads of keys that are packed with queries: none where one cache holds keys and values."""
    return 0 if call.kwargs.get("kv_cache_layout") == "LATENT" else int(call.kwargs["kv_num_heads"])


def _of_heads(
    batch: int, heads: int, queries: int, keys: int, width: int, value_width: int = 0, span: Span = EVERY_PAIR
) -> Cost:
    shapes = ((queries, width), (keys, width), (keys, value_width or width))
    query, key, value = (Tensor((batch, heads, *shape), batch * heads * prod(shape)) for shape in shapes)
    return attention(query, key, value, span=span)


def _left_out(cost: Cost, pairs: int, each: int) -> Cost:
    """Return the cost of all pairs with what `pairs` of them leave out, `each` multiply-adds a pair."""
    return replace(cost, skipped_macs=cost.macs - pairs * each)
