"""Formats of weights: those of the package gguf, and mixes whose files have the published sizes."""

import pytest

from hwbench.errors import InputError
from hwbench.workload.language import language_model
from hwbench.workload.language.formats import GGUF_TYPES, block_format
from hwbench.workload.language.mixes import HUB, MIXES, weight_format

SIZES = {  # GiB of Llama 3.1 8B as llama-bench prints them: github.com/ikawrakow/ik_llama.cpp, discussion 164
    "bf16": 14.96, "q8_0": 7.95, "q2_k_s": 2.78, "q3_k_s": 3.41, "q4_k_s": 4.36, "q5_k_s": 5.21, "q6_k": 6.14,
    "iq4_xs": 4.13, "iq2_xxs": 2.23, "iq2_xs": 2.42, "iq2_m": 2.74, "iq3_xxs": 3.04, "iq3_s": 3.42,
}  # fmt: skip
OTHERS = [  # github.com/XiongjieDai/GPU-Benchmarks-on-LLM-Inference and llama.cpp's benches/dgx-spark.md
    ("llama3-8b", "q4_k_m", 4.58), ("llama3-8b", "f16", 14.96), ("llama3-70b", "q4_k_m", 39.59),
    ("llama3-70b", "f16", 131.42), ("llama2-7b", "q4_0", 3.56), ("qwen2.5-7b", "q8_0", 7.54),
    ("gemma3-27b", "q8_0", 26.73),
]  # fmt: skip


def test_block_sizes_are_those_of_gguf() -> None:
    constants = pytest.importorskip("gguf.constants")
    theirs = {kind.value: (kind.name.lower(), *sizes) for kind, sizes in constants.GGML_QUANT_SIZES.items()}
    assert theirs == {number: (block.name, block.values, block.size) for number, block in GGUF_TYPES.items()}


@pytest.mark.parametrize(("name", "weights", "gib"), [*(("llama3.1-8b", *each) for each in SIZES.items()), *OTHERS])
def test_files_have_the_published_size(name: str, weights: str, gib: float) -> None:
    assert language_model(name, weights).size / 2**30 == pytest.approx(gib, rel=0.007)


@pytest.mark.parametrize("weights", [*MIXES, *HUB])
@pytest.mark.parametrize("name", ["qwen2.5-0.5b", "mixtral-8x7b", "gpt-oss-20b"])
def test_every_format_suits_every_model(name: str, weights: str) -> None:
    model = language_model(name, weights)
    assert model.weights == weights
    assert 1.0 < 8 * model.size / model.params < 33.0


def test_rows_of_no_whole_block_fall_back() -> None:
    model = language_model("qwen2.5-0.5b", "q4_k_m")  # 896 columns are 3.5 blocks of 256
    assert {tensor.format for tensor in model.tensors if tensor.kind == "attn_q" and tensor.is_matrix} == {"q5_0"}


BITS = {  # as llama.cpp's tools and pull requests state them
    1: {"i8": 8, "fp8": 8, "f16": 16, "bf16": 16, "i16": 16, "f32": 32, "i32": 32, "i64": 64, "f64": 64},
    32: {"q4_0": 4.5, "q4_1": 5, "q5_0": 5.5, "q5_1": 6, "q8_0": 8.5, "q8_1": 10, "iq4_nl": 4.5, "mxfp4": 4.25},
    64: {"nvfp4": 4.5, "nf4": 4.125},
    128: {"q1_0": 1.125, "int8": 8.125, "int4-awq": 4.1875, "gptq": 4.1875},
    256: {
        "q2_k": 2.625, "q3_k": 3.4375, "q4_k": 4.5, "q5_k": 5.5, "q6_k": 6.5625, "q8_k": 9.125, "iq1_s": 1.5625,
        "iq1_m": 1.75, "iq2_xxs": 2.0625, "iq2_xs": 2.3125, "iq2_s": 2.5625, "iq3_xxs": 3.0625, "iq3_s": 3.4375,
        "iq4_xs": 4.25, "tq1_0": 1.6875, "tq2_0": 2.0625,
    },
}  # fmt: skip
NUMBERS = {
    0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 6: "q5_0", 7: "q5_1", 8: "q8_0", 9: "q8_1", 10: "q2_k", 11: "q3_k",
    12: "q4_k", 13: "q5_k", 14: "q6_k", 15: "q8_k", 16: "iq2_xxs", 17: "iq2_xs", 18: "iq3_xxs", 19: "iq1_s",
    20: "iq4_nl", 21: "iq3_s", 22: "iq2_s", 23: "iq4_xs", 24: "i8", 25: "i16", 26: "i32", 27: "i64", 28: "f64",
    29: "iq1_m", 30: "bf16", 34: "tq1_0", 35: "tq2_0", 39: "mxfp4", 40: "nvfp4", 41: "q1_0",
}  # fmt: skip


@pytest.mark.parametrize(("values", "name"), [(values, name) for values, of in BITS.items() for name in of])
def test_bits_of_a_weight(values: int, name: str) -> None:
    block = block_format(name)
    assert (block.values, block.bits) == (values, BITS[values][name])
    assert block.bytes_of(values + 1) == 2 * block.size


def test_numbers_of_types() -> None:
    assert {number: block.name for number, block in GGUF_TYPES.items()} == NUMBERS
    assert all(block.number == number for number, block in GGUF_TYPES.items())


def test_synonyms_and_unknown_formats() -> None:
    assert weight_format("FP16") == "f16"
    assert weight_format("Q4-K-M") == "q4_k_m"
    with pytest.raises(InputError) as caught:
        weight_format("q4_k_x")
    assert caught.value.field == "weights"
    for name, nearest in (("q4_kk", "q4_k"), ("?" * 9, "q8_0")):
        with pytest.raises(InputError) as of_block:
            block_format(name)
        assert nearest in of_block.value.nearest
    assert "q4_k_m" in caught.value.nearest
