"""The blocks of a language model as its publisher's configuration gives them, and the tensors that follow."""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hwbench.workload.language.tensors import EMBEDDING, HEAD, Layer, Weight

Size = Annotated[int, Meta(ge=1, le=1 << 24)]
Number = Annotated[int, Meta(ge=0, le=1 << 24)]
LayerCount = Annotated[int, Meta(ge=1, le=4096)]


class Latent(Struct, frozen=True, forbid_unknown_fields=True):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): keys and values are kept as one vector a token.

    `query` is the rank of the queries' compression, absent where they are not compressed.
    """

    key_value: Size
    rope: Size
    nope: Size
    value: Size
    query: Size | None = None


class Experts(Struct, frozen=True, forbid_unknown_fields=True):
    """A mixture of `count` experts of `width`, `used` of them by a token, with a `shared` one that all tokens use.

    The first `dense` layers have none, and then only every `every`-th layer has. `bias`: each expert has biases;
    `correction`: the router has a bias for each expert; `shared_gate`: the shared expert is weighted by a gate.
    """

    count: Size
    used: Size
    width: Size
    shared: Number = 0
    dense: Number = 0
    every: Size = 1
    bias: bool = False
    router_bias: bool = False
    correction: bool = False
    shared_gate: bool = False


class Window(Struct, frozen=True, forbid_unknown_fields=True):
    """Sliding-window attention over `size` tokens; every `full`-th layer attends to all of them (0: none does)."""

    size: Size
    full: Number = 0


class DeltaNet(Struct, frozen=True, forbid_unknown_fields=True):
    """Gated linear attention (Qwen3-Next) in all layers but every `full`-th."""

    full: Size
    key_heads: Size
    value_heads: Size
    key_size: Size
    value_size: Size
    kernel: Size


class Transformer(Struct, frozen=True, forbid_unknown_fields=True):
    """The blocks of a decoder.

    `norms` is the number of norms of a layer; `norm` says whether one has a weight, a weight and a bias, or neither.
    `query_key_norm` is over each head or over all of them together. `gated` feed-forward layers have three matrices.
    """

    layers: LayerCount
    width: Size
    vocabulary: Size
    heads: Size
    kv_heads: Size
    feed_forward: Size
    head_size: Size | None = None
    context: Annotated[int, Meta(ge=1, le=1 << 32)] | None = None
    tied: bool = False
    gated: bool = True
    norm: Literal["weight", "weight and bias", "none"] = "weight"
    norms: Annotated[int, Meta(ge=0, le=8)] = 2
    query_key_norm: Literal["head", "all"] | None = None
    query_key_value_bias: bool = False
    output_bias: bool = False
    feed_forward_bias: bool = False
    head_bias: bool = False
    sinks: bool = False
    output_gate: bool = False
    latent: Latent | None = None
    experts: Experts | None = None
    window: Window | None = None
    delta_net: DeltaNet | None = None

    @property
    def key_size(self) -> int:
        """Values of one head's key."""
        return self.head_size or self.width // self.heads


def layers(model: Transformer) -> tuple[Layer, ...]:
    """Return what each layer keeps of past tokens and computes with them."""
    kinds: dict[tuple[bool, bool], Layer] = {}
    for index in range(model.layers):
        key = (_is_linear(model, index), _is_windowed(model, index))
        kinds.setdefault(key, _layer(model, *key))
    return tuple(kinds[_is_linear(model, i), _is_windowed(model, i)] for i in range(model.layers))


def _layer(model: Transformer, linear: bool, windowed: bool) -> Layer:
    if linear and (net := model.delta_net):
        convolved = 2 * net.key_heads * net.key_size + net.value_heads * net.value_size
        return Layer(state=net.value_heads * net.key_size * net.value_size + (net.kernel - 1) * convolved)
    if latent := model.latent:
        compared, summed = latent.key_value + latent.rope, latent.key_value
        return Layer(cached=compared, heads=model.heads, score_macs=model.heads * (compared + summed))
    window = model.window.size if model.window and windowed else None
    cached = 2 * model.kv_heads * model.key_size
    return Layer(cached=cached, window=window, heads=model.heads, score_macs=2 * model.heads * model.key_size)


def _is_windowed(model: Transformer, index: int) -> bool:
    window = model.window
    return bool(window) and not (window and window.full and (index + 1) % window.full == 0)


def _is_linear(model: Transformer, index: int) -> bool:
    return bool(model.delta_net and (index + 1) % model.delta_net.full)


def tensors(model: Transformer) -> Iterator[Weight]:
    """Yield every tensor, unquantized, by the names of GGUF files."""
    yield Weight(EMBEDDING, model.width, model.vocabulary)
    yield from _norm(model, "output_norm")
    if not model.tied:
        yield Weight(HEAD, model.width, model.vocabulary)
    if model.head_bias:
        yield Weight("output.bias", model.vocabulary)
    for index in range(model.layers):
        for tensor in _layer_tensors(model, index):
            yield Weight(f"blk.{index}.{tensor.name}", tensor.columns, tensor.rows, tensor.experts, layer=index)


def _layer_tensors(model: Transformer, index: int) -> Iterator[Weight]:
    for name in ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")[: model.norms]:
        yield from _norm(model, name)
    if _is_linear(model, index):
        yield from _delta_net(model)
    elif model.latent:
        yield from _latent(model, model.latent)
    else:
        yield from _attention(model)
    experts = model.experts
    if experts and index >= experts.dense and (index - experts.dense + 1) % experts.every == 0:
        yield from _mixture(model, experts)
    else:
        yield from _feed_forward(model, "", model.feed_forward, model.feed_forward_bias)


def _norm(model: Transformer, name: str) -> Iterator[Weight]:
    if model.norm != "none":
        yield Weight(f"{name}.weight", model.width)
    if model.norm == "weight and bias":
        yield Weight(f"{name}.bias", model.width)


def _linear(name: str, columns: int, rows: int, bias: bool = False, experts: int = 1) -> Iterator[Weight]:
    yield Weight(f"{name}.weight", columns, rows, experts)
    if bias:
        yield Weight(f"{name}.bias", rows, 1, experts)


def _attention(model: Transformer) -> Iterator[Weight]:
    size, bias = model.key_size, model.query_key_value_bias
    gates = 2 if model.output_gate else 1
    yield from _linear("attn_q", model.width, gates * model.heads * size, bias)
    yield from _linear("attn_k", model.width, model.kv_heads * size, bias)
    yield from _linear("attn_v", model.width, model.kv_heads * size, bias)
    yield from _linear("attn_output", model.heads * size, model.width, model.output_bias)
    if model.query_key_norm:
        each = model.query_key_norm == "head"
        yield Weight("attn_q_norm.weight", size if each else model.heads * size)
        yield Weight("attn_k_norm.weight", size if each else model.kv_heads * size)
    if model.sinks:
        yield Weight("attn_sinks.weight", model.heads)


def _latent(model: Transformer, latent: Latent) -> Iterator[Weight]:
    heads, compared = model.heads, latent.nope + latent.rope
    if latent.query:
        yield from _linear("attn_q_a", model.width, latent.query)
        yield Weight("attn_q_a_norm.weight", latent.query)
        yield from _linear("attn_q_b", latent.query, heads * compared)
    else:
        yield from _linear("attn_q", model.width, heads * compared)
    yield from _linear("attn_kv_a_mqa", model.width, latent.key_value + latent.rope)
    yield Weight("attn_kv_a_norm.weight", latent.key_value)
    yield from _linear("attn_kv_b", latent.key_value, heads * (latent.nope + latent.value))
    yield from _linear("attn_output", heads * latent.value, model.width)


def _delta_net(model: Transformer) -> Iterator[Weight]:
    net = model.delta_net
    assert net is not None
    keys, values = net.key_heads * net.key_size, net.value_heads * net.value_size
    yield from _linear("ssm_in", model.width, 2 * keys + 2 * values)
    yield from _linear("ssm_ba", model.width, 2 * net.value_heads)
    yield Weight("ssm_conv1d.weight", net.kernel, 2 * keys + values)
    yield Weight("ssm_a", net.value_heads)
    yield Weight("ssm_dt.bias", net.value_heads)
    yield Weight("ssm_norm.weight", net.value_size)
    yield from _linear("ssm_out", values, model.width)


def _feed_forward(model: Transformer, suffix: str, width: int, bias: bool, experts: int = 1) -> Iterator[Weight]:
    if model.gated:
        yield from _linear(f"ffn_gate{suffix}", model.width, width, bias, experts)
    yield from _linear(f"ffn_up{suffix}", model.width, width, bias, experts)
    yield from _linear(f"ffn_down{suffix}", width, model.width, bias, experts)


def _mixture(model: Transformer, experts: Experts) -> Iterator[Weight]:
    yield from _linear("ffn_gate_inp", model.width, experts.count, experts.router_bias)
    if experts.correction:
        yield Weight("exp_probs_b.bias", experts.count)
    yield from _feed_forward(model, "_exps", experts.width, experts.bias, experts.count)
    if experts.shared:
        yield from _feed_forward(model, "_shexp", experts.shared, bias=False)
    if experts.shared_gate:
        yield Weight("ffn_gate_inp_shexp.weight", model.width)
