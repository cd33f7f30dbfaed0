"""Pairs of queries and keys that causal and windowed attention computes, by hand and next to a mask of ones."""

from typing import Any

import pytest

import hwbench
from hwbench.errors import InputError
from hwbench.workload.formulas import aten, attention, onnx_cost
from hwbench.workload.formulas.attention import Span
from hwbench.workload.formulas.cost import Call, Tensor


def tensor(*shape: int) -> Tensor:
    size = 1
    for each in shape:
        size *= each
    return Tensor(shape, size)


@pytest.mark.parametrize("queries", [1, 3, 8])
@pytest.mark.parametrize("keys", [1, 5, 8])
@pytest.mark.parametrize("left", [None, 0, 2, 9])
@pytest.mark.parametrize("right", [None, 0, 2])
@pytest.mark.parametrize("offset", [0, 4])
def test_pairs_are_those_of_a_mask(queries: int, keys: int, left: int | None, right: int | None, offset: int) -> None:
    met = 0
    for query in range(queries):
        for key in range(keys):
            after = key - query - offset
            met += (right is None or after <= right) and (left is None or -after <= left)
    assert Span(left, right, offset).pairs(queries, keys) == met


def call(name: str, *args: Any, **kwargs: Any) -> Call:
    return Call(f"aten.{name}", args, kwargs, (tensor(2, 4, 6, 8),))


QKV = (tensor(2, 4, 6, 8), tensor(2, 4, 9, 8), tensor(2, 4, 9, 16))
HEADS, EACH = 2 * 4, 8 + 16
CAUSAL = 1 + 2 + 3 + 4 + 5 + 6  # of 6 · 9
LAST = 4 + 5 + 6 + 7 + 8 + 9  # the last query has the position of the last key


@pytest.mark.parametrize(
    ("attention", "pairs"),
    [
        (call("scaled_dot_product_attention", *QKV), 54),
        (call("scaled_dot_product_attention", *QKV, is_causal=True), CAUSAL),
        (call("scaled_dot_product_attention", *QKV, None, 0.0, True), CAUSAL),
        (call("_scaled_dot_product_flash_attention", *QKV, 0.0, True), CAUSAL),
        (call("_scaled_dot_product_flash_attention_for_cpu", *QKV, 0.0, True), CAUSAL),
        (call("_scaled_dot_product_efficient_attention", *QKV, None, False, 0.0, True), CAUSAL),
        (call("_scaled_dot_product_cudnn_attention", *QKV, None, False, 0.0, True), CAUSAL),
        (
            call("scaled_dot_product_attention", *QKV, tensor(6, 9), window_size_left=1, window_size_right=0, offset=3),
            12,
        ),
    ],
)
def test_flags_of_torch(attention: Call, pairs: int) -> None:
    counted = aten.cost(attention, False, False)
    assert counted is not None
    assert counted.macs == HEADS * 54 * EACH
    assert counted.skipped_macs == HEADS * (54 - pairs) * EACH


TOKENS_FIRST = (tensor(2, 6, 4, 8), tensor(2, 9, 4, 8), tensor(2, 9, 4, 8))


@pytest.mark.parametrize(
    ("attention", "pairs"),
    [
        (call("_flash_attention_forward", *TOKENS_FIRST, None, None, 6, 9, 0.0, True, False), LAST),
        (call("_flash_attention_forward", *TOKENS_FIRST, None, None, 6, 9, 0.0, False, False, window_size_left=2,
              window_size_right=0), 18),
        (call("_efficient_attention_forward", *TOKENS_FIRST, None, None, None, 6, 9, 0.0, 1), CAUSAL),
        (call("_efficient_attention_forward", *TOKENS_FIRST, None, None, None, 6, 9, 0.0, 2), LAST),
        (call("_efficient_attention_forward", *TOKENS_FIRST, None, None, None, 6, 9, 0.0, 0), 54),
    ],
)  # fmt: skip
def test_flags_of_packed_kernels(attention: Call, pairs: int) -> None:
    counted = aten.cost(attention, False, False)
    assert counted is not None
    assert counted.skipped_macs == HEADS * (54 - pairs) * 16


def test_gradients_leave_out_the_same_pairs() -> None:
    flash = call("_scaled_dot_product_flash_attention_backward", tensor(2, 4, 6, 16), *QKV, *[None] * 6, 0.0, True)
    assert attention.attention_backward_call(flash).skipped_macs == HEADS * (54 - CAUSAL) * (3 * 8 + 2 * 16)


def test_graphs() -> None:
    past = tensor(2, 4, 3, 8)
    standard = onnx_cost.attention(Call("Attention", (*QKV, None), {"is_causal": 1}, ()))
    assert standard.skipped_macs == HEADS * (54 - CAUSAL) * EACH
    windowed = onnx_cost.attention(
        Call("Attention", (*QKV, None, past, tensor(2, 4, 3, 16)), {"left_window_size": 1, "right_window_size": 0}, ())
    )
    assert windowed.skipped_macs == HEADS * (6 * 12 - 6 * 2) * EACH
    kv = tensor(2, 6, 2 * 8)
    grouped = Call("GroupQueryAttention", (tensor(2, 6, 32), kv, kv, None), {"num_heads": 4, "kv_num_heads": 2}, ())
    assert onnx_cost.grouped_query_attention(grouped).skipped_macs == HEADS * 15 * 16
    local = Call(grouped.name, grouped.args, {**grouped.kwargs, "local_window_size": 2}, ())
    assert onnx_cost.grouped_query_attention(local).skipped_macs == HEADS * (36 - 11) * 16


class TestCounts:
    torch = pytest.importorskip("torch")

    def attention(self, **flags: Any) -> Any:
        functional = self.torch.nn.functional

        class Attention(self.torch.nn.Module):  # type: ignore[misc,name-defined]
            def forward(self, q: Any, k: Any) -> Any:
                return functional.scaled_dot_product_attention(q, k, k, **flags)

        return Attention(), (self.torch.empty(2, 4, 6, 8), self.torch.empty(2, 2, 6, 8))

    def test_both_ways_name_the_other(self) -> None:
        full = hwbench.count(*self.attention(is_causal=True, enable_gqa=True))
        computed = hwbench.count(*self.attention(is_causal=True, enable_gqa=True), attention="computed")
        assert full.macs == 2 * 4 * 36 * 16
        assert computed.macs == 2 * 4 * 21 * 16
        assert full.skipped_macs == computed.skipped_macs == full.macs - computed.macs
        assert computed.elementwise_flops == 2 * 4 * 21 * 6
        assert computed.traffic_bytes == full.traffic_bytes
        assert [n.code for n in full.notices] == ["attention-in-full"]
        assert full.notices[0].data == {"flops": computed.flops, "of": full.flops}
        assert [n.code for n in computed.notices] == ["attention-as-computed"]

    def test_an_explicit_mask_is_not_known(self) -> None:
        mask = self.torch.ones(6, 6, dtype=self.torch.bool).tril()
        answer = hwbench.count(*self.attention(attn_mask=mask, enable_gqa=True), attention="computed")
        assert (answer.macs, answer.unknown_masks) == (2 * 4 * 36 * 16, 1)
        assert [n.code for n in answer.notices] == ["attention-masks"]

    def test_training(self) -> None:
        module, inputs = self.attention(is_causal=True, enable_gqa=True)
        inputs[0].requires_grad_()
        answer = hwbench.count(module, inputs, mode="training", attention="computed")
        assert answer.macs == 2 * 4 * 21 * (2 + 5) * 8

    def test_windows_of_transformers(self) -> None:
        pytest.importorskip("transformers")
        sizes = "num_hidden_layers=1&hidden_size=32&intermediate_size=64&vocab_size=100&num_attention_heads=4"
        model = f"hf:mistral?{sizes}&num_key_value_heads=2&head_dim=8&sliding_window=4"
        answer = hwbench.count(model, context=16, attention="computed")
        pairs = 1 + 2 + 3 + 13 * 4
        assert answer.skipped_macs == 4 * (16 * 16 - pairs) * 16
        assert not answer.unknown_masks


def test_there_are_two_ways() -> None:
    with pytest.raises(InputError) as error:
        hwbench.count("alexnet", attention="half")  # type: ignore[arg-type]
    assert error.value.field == "attention"
