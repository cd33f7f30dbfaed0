"""What language models hold: parameters of all and of a token, sizes as published, and the cache."""

import pytest

from hwbench.api.language.estimates import count_language
from hwbench.workload.language import language_model


def test_a_dense_model() -> None:
    answer = count_language("llama3-8b", weights="q4_k_m")
    assert answer.params == 8_030_261_248
    assert answer.active_params == 8_030_261_248 - 128256 * 4096
    assert answer.kv_bytes_per_token == 2 * 32 * 2 * 8 * 128
    assert answer.weights_bytes == answer.sizes["q4_k_m"] == language_model("llama3-8b", "q4_k_m").size
    assert sum(each.params for each in answer.tensors) == answer.params
    assert sum(each.bytes for each in answer.tensors) == answer.weights_bytes
    sizes = [answer.sizes[name] for name in ("bf16", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")]
    assert sizes == sorted(sizes, reverse=True)


def test_a_mixture_uses_a_part_of_its_experts() -> None:
    answer = count_language("mixtral-8x7b")
    experts = [each for each in answer.tensors if each.kind.endswith("_exps")]
    assert all(each.active_params == each.params / 4 for each in experts)
    assert answer.flops_per_token == 2 * answer.active_params


@pytest.mark.parametrize(("kv_dtype", "size"), [("f16", 2.0), ("q8_0", 34 / 32), ("q4_0", 18 / 32)])
def test_the_cache_has_a_format(kv_dtype: str, size: float) -> None:
    assert count_language("llama3-8b", kv_dtype=kv_dtype).kv_bytes_per_token == 32 * 2 * 8 * 128 * size


def test_windows_are_counted() -> None:
    answer = count_language("gemma3-4b")
    assert 0 < answer.windowed_layers < answer.layers
