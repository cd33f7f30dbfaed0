"""What a step of a small model reads, decodes and computes, by hand."""

import pytest
from msgspec.structs import replace

from hwbench.workload.language.formats import block_format
from hwbench.workload.language.tensors import EMBEDDING, HEAD, LanguageModel, Layer, Weight
from hwbench.workload.language.work import StepWork, decode_step, prompt_steps

Q8 = block_format("q8_0")
TENSORS = (
    Weight(EMBEDDING, 32, 100, format="q8_0"), Weight(HEAD, 32, 100, format="f16"),
    Weight("output_norm.weight", 32),
    Weight("blk.0.attn_q.weight", 32, 64, format="q8_0", layer=0),
    Weight("blk.1.attn_q.weight", 32, 64, format="q8_0", layer=1),
    Weight("blk.1.ffn_up_exps.weight", 32, 16, 8, format="f16", layer=1),
)  # fmt: skip
LAYERS = (Layer(cached=8, heads=4, score_macs=64), Layer(cached=16, heads=2, score_macs=32, window=100, state=3))
MODEL = LanguageModel("tiny", "Tiny", "mix", 32, LAYERS, TENSORS, used_experts=2)
ROW, NORM, HEADS, QUERIES, EXPERTS = 34, 4 * 32, 2 * 3200, 2 * 34 * 64, 2 * 32 * 16 * 8


def left_out(tokens: float) -> float:
    return float((1 - 2 / 8) ** tokens)


def test_a_step_of_three_sequences() -> None:
    found, used = decode_step(MODEL, 3, 1000, Q8), 1 - left_out(3)
    assert (found.passes, found.tokens, found.layers) == (1, 3, 2)
    assert found.weight_bytes == pytest.approx(3 * ROW + NORM + HEADS + QUERIES + EXPERTS * used)
    assert found.decoded == pytest.approx({"plain": 3200 + 4096 * used, "legacy": 2 * 2048})
    assert found.weight_macs == pytest.approx(3 * (3200 + 2 * 2048 + 4096 / 4))
    assert found.outputs == pytest.approx(3 * (100 + 2 * 64 + 16 * 8 / 4))
    assert found.attention_macs == 3 * (64 * 1000 + 32 * 100)
    assert found.scores == 3 * (4 * 1000 + 2 * 100)
    assert found.cache_bytes == pytest.approx(34 / 32 * 3 * (8 * 1000 + 16 * 100 + 2 * 3 + 24))
    assert found.flops == 2 * (found.weight_macs + found.attention_macs)
    assert found.traffic == found.weight_bytes + found.cache_bytes


def test_rows_of_a_table_that_is_smaller_than_the_batch() -> None:
    assert decode_step(MODEL, 200, 0, Q8).weight_bytes == pytest.approx(
        100 * ROW + NORM + HEADS + QUERIES + EXPERTS, rel=1e-6
    )


def test_a_tied_table_is_read_twice() -> None:
    tied = replace(MODEL, tensors=(TENSORS[0], *TENSORS[2:]))
    found = decode_step(tied, 1, 0, Q8)
    assert found.weight_bytes == pytest.approx(ROW + 34 * 100 + NORM + QUERIES + EXPERTS / 4)
    assert found.decoded == pytest.approx({"legacy": 3200 + 2 * 2048, "plain": 1024})
    assert found.weight_macs == 3200 + 2 * 2048 + 1024


def test_a_prompt_in_whole_steps_and_a_rest() -> None:
    """130 tokens of two sequences in steps of 50: two whole ones each, and one for the last 30 of one after another."""
    found = prompt_steps(MODEL, 130, 2, 7, 50, Q8)
    assert (found.passes, found.tokens, found.layers) == (2 * 2 + 2, 260, 2)
    whole, rest = 1 - left_out(50), 1 - left_out(30)
    heads = 2 * HEADS
    assert found.weight_bytes == pytest.approx(
        260 * ROW + 6 * (NORM + QUERIES) + heads + EXPERTS * (4 * whole + 2 * rest)
    )
    assert found.weight_macs == pytest.approx(2 * 3200 + 260 * (2 * 2048 + 1024))
    assert found.outputs == pytest.approx(2 * 100 + 260 * (2 * 64 + 32))
    decoded = 2 * 3200 + 4096 * (4 * whole + 2 * rest)
    assert found.decoded == pytest.approx({"plain": decoded, "legacy": 6 * 2 * 2048})
    contexts = [(50, 7 + 25.5), (50, 7 + 75.5), (30, 7 + 115.5)]  # the mean of those of a step's tokens
    assert found.scores == pytest.approx(2 * sum(n * (4 * seen + 2 * min(seen, 100)) for n, seen in contexts))
    compared = 2 * sum(n * (64 * seen + 32 * min(seen, 100)) for n, seen in contexts)
    assert found.attention_macs == pytest.approx(compared, rel=1e-12)
    read = sum(8 * seen + 16 * min(seen, 100) + 6 for _, seen in contexts)
    assert found.cache_bytes == pytest.approx(34 / 32 * 2 * (read + 130 * 24))


def test_short_prompts_are_read_together() -> None:
    found = prompt_steps(MODEL, 20, 5, 0, 50, Q8)  # two at a time
    assert (found.passes, found.tokens) == (5 / 2, 100)
    assert found.weight_macs == pytest.approx(5 * 3200 + 100 * (2 * 2048 + 1024))
    assert prompt_steps(MODEL, 50, 1, 0, 50, Q8).passes == 1
    assert prompt_steps(MODEL, 51, 1, 0, 50, Q8).passes == 2
    assert prompt_steps(MODEL, 1, 1, 0, 50, Q8).tokens == 1
    with pytest.raises(ValueError, match="at least one token"):
        prompt_steps(MODEL, 0, 1, 0, 50, Q8)


def test_outputs_of_a_step_are_none_unless_stated() -> None:
    assert StepWork(1, 1, 1, 0, {}, 0, 0, 0, 0).outputs == 0


def test_tokens_before_a_window_are_read_as_far_as_they_are_kept() -> None:
    layers = (Layer(cached=8, window=100), Layer(cached=8))
    model = replace(MODEL, layers=layers)
    for context, kept, masked in ((90, 50, 0), (120, 50, 20), (400, 50, 50), (400, 0, 0)):
        step = decode_step(model, 3, context, block_format("f16"), kept)
        assert step.masked_bytes == 3 * 2 * 8 * masked
        assert step.cache_bytes == decode_step(model, 3, context, block_format("f16")).cache_bytes


def test_fused_attention_reads_blocks_and_of_several_sequences_up_to_the_newest_cell_of_a_ring() -> None:
    window, kept = 1024, 2048
    layers = (Layer(cached=8, window=window), Layer(cached=4))
    model = replace(MODEL, layers=layers)
    for context, alone, several in (
        (100, 256, 256), (1500, 1536, 1536), (4112, 3072, 1280), (6000, 3072, 3072), (6200, 3072, 3072),
        (8208, 3072, 2304),
    ):  # fmt: skip
        for batch, cells in ((1, alone), (2, several)):
            step = decode_step(model, batch, context, block_format("f16"), kept, fused=True)
            block = -(-context // 256) * 256
            masked = 8 * (cells - min(context, window)) + 4 * (block - context)
            assert step.masked_bytes == batch * 2 * masked, (context, batch)
