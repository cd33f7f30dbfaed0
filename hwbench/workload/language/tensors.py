"""The tensors of a language model, its layers as attention sees them, and the model that they make up.

Tensors have the names of GGUF files: `blk.0.attn_q.weight`, `token_embd.weight`, `blk.3.ffn_gate_exps.weight`.
"""

import math
from collections.abc import Iterable
from functools import cached_property

from msgspec import Struct

from hwbench.notices import Notice
from hwbench.workload.language.formats import BlockFormat, block_format

EMBEDDING, HEAD = "token_embd.weight", "output.weight"


class Weight(Struct, frozen=True):
    """A tensor: `columns` values a row, `rows` of them, for each of `experts`; `layer` is -1 outside of layers."""

    name: str
    columns: int
    rows: int = 1
    experts: int = 1
    format: str = "f32"
    layer: int = -1

    @property
    def kind(self) -> str:
        """The name without layer and suffix: `attn_q`, `ffn_down_exps`, `output`."""
        parts = self.name.split(".")
        return parts[2] if parts[0] == "blk" and len(parts) > 2 else parts[0]

    @property
    def count(self) -> int:
        """Values in all experts."""
        return self.columns * self.rows * self.experts

    @property
    def is_matrix(self) -> bool:
        """True for weights of a product, False for norms, biases and tables of the router's corrections."""
        return self.rows > 1

    @property
    def block(self) -> BlockFormat:
        """The number format."""
        return block_format(self.format)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.block.bytes_of(self.columns) * self.rows * self.experts


class Layer(Struct, frozen=True):
    """What one layer keeps of past tokens, and what attention computes for one.

    `cached` values are kept a token, for the last `window` tokens where there is a window; `state` values are kept
    whatever the context. A token's query takes `score_macs` multiply-adds for every token that it attends to, and
    attention without a fused kernel writes `heads` scores.
    """

    cached: int = 0
    window: int | None = None
    state: int = 0
    heads: int = 0
    score_macs: int = 0

    def tokens(self, context: float) -> float:
        """Return how many tokens are attended to at a context."""
        return min(context, self.window) if self.window else context

    def mean_tokens(self, first: float, growth: float, steps: int) -> float:
        """Return how many tokens are attended to in the mean of steps whose contexts grow from `first`."""
        free = steps  # steps before the window is full
        if self.window and first + growth * (steps - 1) > self.window:
            free = max(math.ceil((self.window - first) / growth), 0)
        return (free * (first + growth * (free - 1) / 2) + (steps - free) * (self.window or 0)) / steps


class LanguageModel(Struct, frozen=True, dict=True):
    """A language model in one format of weights: its tensors, its layers, and how many experts a token uses.

    `weights` names the format or the mix of formats, `context` is the longest that the model was made for.
    """

    name: str
    title: str
    weights: str
    width: int
    layers: tuple[Layer, ...]
    tensors: tuple[Weight, ...]
    used_experts: int = 0
    context: int | None = None
    notices: tuple[Notice, ...] = ()
    path: str | None = None

    @cached_property
    def params(self) -> int:
        """Parameters, a tied embedding counted once."""
        return sum(tensor.count for tensor in self.tensors)

    @cached_property
    def active_params(self) -> int:
        """Parameters that one token uses: of the experts those that it is sent to, of the embedding none but its row.

        A tied embedding counts, because it is the head.
        """
        tied = self.head is self.embedding
        used = (tensor.count * self.used_share(tensor) for tensor in self.tensors)
        return round(sum(used)) - (0 if tied or self.embedding is None else self.embedding.count)

    @cached_property
    def size(self) -> int:
        """Bytes of all weights."""
        return sum(tensor.size for tensor in self.tensors)

    @cached_property
    def coding(self) -> str:
        """How most weights of products are decoded."""
        counts: dict[str, int] = {}
        for tensor, count in self.groups:
            if tensor.is_matrix and tensor.name != EMBEDDING:
                counts[tensor.block.coding] = counts.get(tensor.block.coding, 0) + tensor.count * count
        return max(counts, key=lambda coding: counts[coding], default="plain")

    @cached_property
    def groups(self) -> tuple[tuple[Weight, int], ...]:
        """The different tensors, each with how many of them there are, those outside of layers apart."""
        groups: dict[tuple[str, int, int, int, str], tuple[Weight, int]] = {}
        for tensor in self.tensors:
            key = (tensor.name if tensor.layer < 0 else "", tensor.columns, tensor.rows, tensor.experts, tensor.format)
            first, count = groups.get(key, (tensor, 0))
            groups[key] = (first, count + 1)
        return tuple(groups.values())

    @cached_property
    def embedding(self) -> Weight | None:
        """The table of embeddings."""
        return _first(self.tensors, EMBEDDING)

    @cached_property
    def head(self) -> Weight | None:
        """The matrix that gives the scores of the vocabulary: the embeddings where these are tied."""
        return _first(self.tensors, HEAD) or self.embedding

    def used_share(self, tensor: Weight, tokens: float = 1.0) -> float:
        """Return the expected share of a tensor's experts that `tokens` tokens together are sent to.

        Tokens choose independently: an expert is left out by all of them with (1 - used / experts) ** tokens.
        """
        if tensor.experts <= 1:
            return 1.0
        return float(1.0 - (1.0 - min(self.used_experts / tensor.experts, 1.0)) ** tokens)


def _first(tensors: Iterable[Weight], name: str) -> Weight | None:
    return next((tensor for tensor in tensors if tensor.name == name), None)
