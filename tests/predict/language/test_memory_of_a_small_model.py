"""Bytes of a language model of two layers by hand: weights, caches, buffers, and what would fit."""

from typing import Any

import pytest
from msgspec.structs import replace

from hwbench.predict.language import memory
from hwbench.predict.language.memory import Budget, Remedy
from hwbench.workload.language.formats import block_format
from hwbench.workload.language.tensors import EMBEDDING, HEAD, LanguageModel, Layer, Weight

HALF, Q8 = block_format("f16"), block_format("q8_0")
TENSORS = (
    Weight(EMBEDDING, 32, 100, format="f16"), Weight(HEAD, 32, 100, format="f16"),
    *(Weight(f"blk.{layer}.ffn_up.weight", 32, 64, format="f16", layer=layer) for layer in (0, 1)),
)  # fmt: skip
LAYERS = (Layer(cached=8, heads=4, score_macs=64), Layer(cached=8, heads=2, score_macs=32, window=100, state=3))
MODEL = LanguageModel("tiny", "Tiny", "f16", 32, LAYERS, TENSORS, context=4000)
WEIGHTS = 2 * (2 * 3200 + 2 * 2048)


@pytest.mark.parametrize(
    ("context", "values"),
    [(1000, 8 * 1000 + 8 * 150 + 6), (151, 8 * 151 + 8 * 150 + 6), (149, 16 * 149 + 6), (0, 6)],
)
def test_a_window_keeps_itself_and_the_tokens_of_a_step(context: int, values: int) -> None:
    assert memory.cache_bytes(MODEL, context, 3, HALF, 50) == 3 * 2 * values
    assert memory.cache_bytes(MODEL, context, 3, Q8, 50) == 3 * 34 * -(-values // 32)


def test_buffers_hold_the_larger_of_logits_and_scores() -> None:
    assert memory.buffer_bytes(MODEL, 1000, 512, False) == 4 * 512 * (4 * 1000 + 32)
    assert memory.buffer_bytes(MODEL, 20, 512, False) == 4 * 20 * (100 + 32)
    assert memory.buffer_bytes(MODEL, 0, 512, False) == 4 * 1 * (100 + 32)
    assert memory.buffer_bytes(MODEL, 1000, 512, True) == 4 * 512 * (100 + 32)
    headless = replace(MODEL, tensors=TENSORS[2:])
    assert memory.buffer_bytes(headless, 1000, 512, True) == 4 * 512 * 32
    assert memory.buffer_bytes(replace(headless, layers=()), 1000, 512, False) == 4 * 512 * 32


def need(size: float | None, context: int = 1000, batch: int = 3, **more: Any) -> Budget:
    return memory.budget(MODEL, size, context, batch, HALF, 50, **more)


CACHE, BUFFERS = 3 * 2 * (8 * 1000 + 1206), 4 * 50 * 4032


def test_what_is_needed_and_the_most_that_fits() -> None:
    found = need(WEIGHTS + CACHE + BUFFERS)
    assert (found.weights, found.cache, found.buffers) == (WEIGHTS, CACHE, BUFFERS)
    assert found.needed == WEIGHTS + CACHE + BUFFERS == found.size
    assert (found.fits, found.longest_context, found.largest_batch) == (True, 1000, 3)
    less = need(WEIGHTS + CACHE + BUFFERS - 1)
    assert (less.fits, less.longest_context, less.largest_batch) == (False, 999, 2)
    assert need(1e12).longest_context == 4000  # that the model was made for
    assert need(1e12).largest_batch == 65536
    assert memory.budget(replace(MODEL, context=None), 1e15, 9, 1, HALF).longest_context == 1 << 24
    none = need(WEIGHTS)
    assert (none.fits, none.longest_context, none.largest_batch) == (False, 0, 0)
    unknown = need(None)
    assert (unknown.fits, unknown.longest_context, unknown.largest_batch) == (None, None, None)
    assert need(1e12, fused_attention=True).buffers == 4 * 50 * 132
    assert need(WEIGHTS + 3 * 2 * 6 + 4 * 132).longest_context == 0


def small(name: str) -> LanguageModel:
    """A model of 8192 bytes in q4_k_m, of 5632 in q3_k_m, of the same size in others."""
    layers = {"q4_k_m": 4096, "q3_k_m": 2816}.get(name, len(TENSORS) * WEIGHTS) // 2
    return replace(MODEL, weights=name, tensors=(Weight("a", layers, 2, format="f16"),))


def remedies(found: Budget, devices: int = 1, other: Any = small) -> dict[str, Any]:
    assert all(isinstance(each, Remedy) for each in memory.remedies(MODEL, found, devices, other))
    return {each.kind: each.value for each in memory.remedies(MODEL, found, devices, other)}


def test_what_would_fit() -> None:
    """Weights of 21 kB, caches of 55 kB and buffers of 806 kB; two layers share weights and caches."""
    assert remedies(need(WEIGHTS + CACHE + BUFFERS)) == remedies(need(None)) == {}
    assert remedies(need(8192 + CACHE + BUFFERS))["format"] == "q4_k_m"
    assert remedies(need(8192 + CACHE + BUFFERS - 1))["format"] == "q3_k_m"
    assert "format" not in remedies(need(5632 + CACHE + BUFFERS - 1))
    assert "format" not in remedies(need(8192 + CACHE + BUFFERS), other=None)
    half = need(BUFFERS + (WEIGHTS + CACHE) / 2)
    assert remedies(half, other=None) == {"context": half.longest_context, "layers": 1, "devices": 2}
    less = need(BUFFERS + (WEIGHTS + CACHE) / 2 - 1)
    assert remedies(less, other=None) == {"context": less.longest_context, "devices": 3}
    twice = replace(less, size=2 * (BUFFERS + (WEIGHTS + CACHE) / 4))  # two devices, each with a quarter
    assert remedies(twice, 2, None)["devices"] == 4
    assert "devices" not in remedies(need(BUFFERS), other=None)
    assert remedies(need(WEIGHTS), other=None) == {}
