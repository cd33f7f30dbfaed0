"""Tensors and layers of small decoders by hand: attention of every kind, experts, gated linear attention, norms."""

from typing import Any

import msgspec
import pytest

from hwbench.workload.language.tensors import Layer
from hwbench.workload.language.transformer import DeltaNet, Experts, Latent, Transformer, Window, layers, tensors

PLAIN: dict[str, Any] = {
    "layers": 2, "width": 6, "vocabulary": 50, "heads": 4, "kv_heads": 2, "head_size": 3, "feed_forward": 10,
}  # fmt: skip


def sizes(layer: int | None = None, **changes: Any) -> dict[str, tuple[int, ...]]:
    """The tensors of a layer, or outside of layers, by name without prefix and `.weight`: columns, rows, experts."""
    found = {}
    for tensor in tensors(Transformer(**{**PLAIN, **changes})):
        assert (tensor.layer < 0) == (not tensor.name.startswith("blk."))
        if tensor.layer == (-1 if layer is None else layer):
            name = tensor.name.removeprefix(f"blk.{layer}.").removesuffix(".weight")
            found[name] = (tensor.columns, tensor.rows) + ((tensor.experts,) if tensor.experts > 1 else ())
    return found


ATTENTION = {"attn_q": (6, 12), "attn_k": (6, 6), "attn_v": (6, 6), "attn_output": (12, 6)}
FEED_FORWARD = {"ffn_gate": (6, 10), "ffn_up": (6, 10), "ffn_down": (10, 6)}
NORMS = {"attn_norm": (6, 1), "ffn_norm": (6, 1)}


def test_what_is_outside_of_layers() -> None:
    assert sizes() == {"token_embd": (6, 50), "output_norm": (6, 1), "output": (6, 50)}
    assert sizes(tied=True, norm="none") == {"token_embd": (6, 50)}
    biased = sizes(head_bias=True, norm="weight and bias")
    assert biased == sizes() | {"output.bias": (50, 1), "output_norm.bias": (6, 1)}


def test_a_dense_layer() -> None:
    assert sizes(1) == NORMS | ATTENTION | FEED_FORWARD
    assert sizes(0, norms=0, gated=False, head_size=None, heads=3) == {
        "attn_q": (6, 6), "attn_k": (6, 4), "attn_v": (6, 4), "attn_output": (6, 6), "ffn_up": (6, 10),
        "ffn_down": (10, 6),
    }  # fmt: skip
    assert set(sizes(0, norms=4)) - set(sizes(0)) == {"post_attention_norm", "post_ffw_norm"}


@pytest.mark.parametrize(
    ("change", "added"),
    [
        ({"query_key_norm": "head"}, {"attn_q_norm": (3, 1), "attn_k_norm": (3, 1)}),
        ({"query_key_norm": "all"}, {"attn_q_norm": (12, 1), "attn_k_norm": (6, 1)}),
        ({"query_key_value_bias": True}, {"attn_q.bias": (12, 1), "attn_k.bias": (6, 1), "attn_v.bias": (6, 1)}),
        ({"output_bias": True}, {"attn_output.bias": (6, 1)}),
        ({"feed_forward_bias": True}, {"ffn_gate.bias": (10, 1), "ffn_up.bias": (10, 1), "ffn_down.bias": (6, 1)}),
        ({"sinks": True}, {"attn_sinks": (4, 1)}),
        ({"output_gate": True}, {"attn_q": (6, 24)}),
    ],
)
def test_what_an_option_adds(change: dict[str, Any], added: dict[str, tuple[int, ...]]) -> None:
    assert sizes(0, **change) == sizes(0) | added


def test_latent_attention() -> None:
    latent = Latent(key_value=7, rope=2, nope=5, value=3)
    own = {"attn_kv_a_mqa": (6, 9), "attn_kv_a_norm": (7, 1), "attn_kv_b": (7, 4 * 8), "attn_output": (12, 6)}
    assert sizes(0, latent=latent) == NORMS | FEED_FORWARD | own | {"attn_q": (6, 4 * 7)}
    compressed = {"attn_q_a": (6, 11), "attn_q_a_norm": (11, 1), "attn_q_b": (11, 4 * 7)}
    latent = msgspec.structs.replace(latent, query=11)
    assert sizes(0, latent=latent) == NORMS | FEED_FORWARD | own | compressed
    assert layers(Transformer(**PLAIN, latent=latent)) == (Layer(cached=9, heads=4, score_macs=4 * (9 + 7)),) * 2


def test_gated_linear_attention() -> None:
    net = DeltaNet(full=3, key_heads=2, value_heads=4, key_size=5, value_size=7, kernel=4)
    own = {
        "ssm_in": (6, 2 * 10 + 2 * 28), "ssm_ba": (6, 8), "ssm_conv1d": (4, 2 * 10 + 28), "ssm_a": (4, 1),
        "ssm_dt.bias": (4, 1), "ssm_norm": (7, 1), "ssm_out": (28, 6),
    }  # fmt: skip
    changes = {"delta_net": net, "layers": 6}
    assert sizes(0, **changes) == NORMS | FEED_FORWARD | own
    assert sizes(2, **changes) == NORMS | FEED_FORWARD | ATTENTION
    linear, full = Layer(state=4 * 5 * 7 + 3 * (2 * 2 * 5 + 4 * 7)), Layer(cached=12, heads=4, score_macs=24)
    assert layers(Transformer(**{**PLAIN, **changes})) == (linear, linear, full) * 2


@pytest.mark.parametrize(
    ("full", "windowed"), [(0, [0, 1, 2, 3]), (1, []), (2, [0, 2]), (3, [0, 1, 3])]
)  # every `full`-th layer attends to all
def test_windows(full: int, windowed: list[int]) -> None:
    found = layers(Transformer(**{**PLAIN, "layers": 4, "window": Window(9, full) if full else Window(9)}))
    assert [index for index, layer in enumerate(found) if layer.window] == windowed
    assert {layer.window for layer in found} <= {9, None}


def test_experts_and_where_they_are() -> None:
    experts = Experts(count=8, used=2, width=5)
    own = {"ffn_gate_inp": (6, 8), "ffn_gate_exps": (6, 5, 8), "ffn_up_exps": (6, 5, 8), "ffn_down_exps": (5, 6, 8)}
    assert sizes(0, experts=experts) == NORMS | ATTENTION | own
    more = msgspec.structs.replace(
        experts, shared=4, bias=True, router_bias=True, correction=True, shared_gate=True, dense=1, every=2
    )
    added = {
        "ffn_gate_inp.bias": (8, 1), "exp_probs_b.bias": (8, 1), "ffn_gate_exps.bias": (5, 1, 8),
        "ffn_up_exps.bias": (5, 1, 8), "ffn_down_exps.bias": (6, 1, 8), "ffn_gate_shexp": (6, 4),
        "ffn_up_shexp": (6, 4), "ffn_down_shexp": (4, 6), "ffn_gate_inp_shexp": (6, 1),
    }  # fmt: skip
    assert sizes(2, experts=more, layers=6) == NORMS | ATTENTION | own | added
    mixed = [index for index in range(6) if "ffn_gate_inp" in sizes(index, experts=more, layers=6)]
    assert mixed == [2, 4]


@pytest.mark.parametrize(
    ("field", "value"),
    [("layers", 0), ("layers", 4097), ("width", 0), ("width", (1 << 24) + 1), ("norms", 9), ("context", (1 << 32) + 1)],
)
def test_sizes_have_limits(field: str, value: int) -> None:
    whole = {"layers": 4096, "width": 1 << 24, "norms": 8, "context": 1 << 32}
    assert msgspec.convert({**PLAIN, **whole}, Transformer).layers == 4096
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**PLAIN, field: value}, Transformer)
    most = {"count": 1, "used": 1, "width": 1 << 24, "shared": 1 << 24, "dense": 0}
    assert msgspec.convert(most, Experts).count == 1
    for name in ("width", "shared", "dense"):
        for beyond in (-1, (1 << 24) + 1):
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert({**most, name: beyond}, Experts)
