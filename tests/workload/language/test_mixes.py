"""Mixes of formats by the rules of llama.cpp: which tensors of which layers get more bits, worked out by hand."""

import pytest

from hwbench.workload.language.mixes import formatted
from hwbench.workload.language.tensors import EMBEDDING, HEAD, Weight


def model(layers: int, columns: int = 512, experts: int = 1, tied: bool = False) -> list[Weight]:
    """A decoder of matrices with so many columns."""
    found = [Weight(EMBEDDING, columns, 100), Weight("output_norm.weight", columns)]
    found += [] if tied else [Weight(HEAD, columns, 100)]
    for layer in range(layers):
        for kind in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate_inp"):
            found.append(Weight(f"blk.{layer}.{kind}.weight", columns, 8, layer=layer))
        for kind in ("ffn_gate", "ffn_up", "ffn_down"):
            suffix = "_exps" if experts > 1 else ""
            found.append(Weight(f"blk.{layer}.{kind}{suffix}.weight", columns, 8, experts, layer=layer))
    return found


def formats(mix: str, layers: int = 16, groups: int = 1, **more: int) -> dict[str, list[str]]:
    """The formats of each kind of tensor, in the order of the layers."""
    found: dict[str, list[str]] = {}
    for tensor in formatted(model(layers, **more), mix, groups):
        found.setdefault(tensor.kind.removesuffix("_exps"), []).append(tensor.format)
    return found


# of 16 layers the first two, the last two, and every third between them
MORE = [index for index in range(16) if index < 2 or index >= 14 or index in (4, 7, 10, 13)]


def those(wide: str, narrow: str, positions: list[int], layers: int = 16) -> list[str]:
    return [wide if index in positions else narrow for index in range(layers)]


@pytest.mark.parametrize(
    ("mix", "kind", "expected"),
    [
        ("q4_k_m", "attn_v", those("q6_k", "q4_k", MORE)),
        ("q4_k_m", "ffn_down", those("q6_k", "q4_k", MORE)),
        ("q5_k_m", "attn_v", those("q6_k", "q5_k", MORE)),
        ("q5_k_m", "ffn_down", those("q6_k", "q5_k", MORE)),
        ("q4_k_m", "attn_q", ["q4_k"] * 16),
        ("q4_k_s", "attn_v", those("q5_k", "q4_k", [0, 1, 2, 3])),
        ("q4_k_s", "ffn_down", those("q5_k", "q4_k", [0, 1])),
        ("q3_k_m", "attn_v", those("q5_k", "q4_k", [0, 1])),
        ("q3_k_m", "ffn_down", those("q5_k", "q4_k", [0])),
        ("q3_k_m", "attn_output", ["q4_k"] * 16),
        ("q3_k_l", "ffn_down", ["q5_k"] * 16),
        ("q2_k_s", "ffn_down", those("q4_k", "q2_k", [0, 1])),
        ("q2_k", "attn_v", ["q3_k"] * 16),
        ("iq3_xs", "ffn_up", those("iq3_xxs", "iq3_s", list(range(2, 14)))),
        ("iq3_m", "ffn_down", those("q4_k", "iq3_s", [0, 1])),
        ("iq2_m", "ffn_down", those("iq3_s", "iq2_s", [0, 1])),
        ("iq1_s", "ffn_down", those("q2_k", "iq1_s", [0, 1])),
        ("iq1_s", "attn_output", ["iq2_xxs"] * 16),
        ("iq2_m", "token_embd", ["iq3_s"]),
        ("iq2_xxs", "token_embd", ["q2_k"]),
        ("tq1_0", "token_embd", ["q4_k"]),
        ("q4_k_m", "token_embd", ["q4_k"]),
        ("q4_k_m", "output", ["q6_k"]),
        ("iq2_xxs", "output", ["q5_k"]),
        ("iq3_xxs", "output", ["q5_k"]),
        ("q8_0", "output", ["q8_0"]),
        ("iq3_xxs", "attn_k", ["iq2_s"] * 16),
        ("q4_k_m", "ffn_gate_inp", ["f32"] * 16),
        ("q4_k_m", "output_norm", ["f32"]),
        ("mxfp4_moe", "attn_q", ["q8_0"] * 16),
        ("fp8", "attn_q", ["fp8"] * 16),
        ("fp8", "token_embd", ["bf16"]),
        ("bf16", "ffn_gate_inp", ["f32"] * 16),
    ],
)
def test_formats_of_layers(mix: str, kind: str, expected: list[str]) -> None:
    assert formats(mix)[kind] == expected


@pytest.mark.parametrize(
    ("mix", "groups", "value"),
    [
        ("q2_k", 3, "q3_k"), ("q2_k", 4, "q4_k"), ("iq2_xs", 3, "q2_k"), ("iq2_xs", 4, "q4_k"), ("iq2_m", 1, "iq3_s"),
        ("iq4_xs", 4, "q5_k"), ("iq4_xs", 1, "iq4_xs"), ("iq3_s", 4, "q4_k"), ("q3_k_l", 8, "q5_k"),
    ],
)  # fmt: skip
def test_keys_and_values_that_many_queries_share_get_more_bits(mix: str, groups: int, value: str) -> None:
    assert formats(mix, groups=groups)["attn_v"] == [value] * 16


def test_llama_of_70_billion_is_known_by_its_layers_and_groups() -> None:
    assert formats("q3_k_m", 80, 8)["attn_v"] == ["q5_k"] * 80
    assert formats("iq3_m", 80, 8)["attn_v"] == ["q5_k"] * 80
    assert formats("q3_k_m", 80, 7)["attn_v"] == those("q5_k", "q4_k", [0, 1], 80)
    assert formats("q3_k_m", 79, 8)["attn_v"] == those("q5_k", "q4_k", [0, 1], 79)
    assert formats("q3_k_m", 80, 8)["ffn_down"] == those("q5_k", "q4_k", [0, 1, 2, 3, 4], 80)


def test_eight_experts_have_wider_attention() -> None:
    found = formats("q4_k_m", experts=8)
    assert (found["attn_k"], found["attn_v"], found["attn_output"]) == (["q8_0"] * 16, ["q8_0"] * 16, ["q5_k"] * 16)
    assert found["attn_q"] == ["q4_k"] * 16
    narrow = formats("iq2_xs", experts=8)
    assert (narrow["attn_k"], narrow["attn_v"]) == (["q4_k"] * 16, ["q4_k"] * 16)
    assert formats("iq2_xs", experts=3)["attn_v"] == ["q2_k"] * 16
    assert formats("iq2_xs", experts=4)["attn_v"] == ["q4_k"] * 16
    assert formats("q6_k", experts=8)["attn_output"] == ["q6_k"] * 16
    assert formats("iq3_m", experts=8)["ffn_down"] == those("q4_k", "iq3_s", MORE)
    assert formats("mxfp4_moe", experts=8)["ffn_up"] == ["mxfp4"] * 16
    assert formats("q4_k_m", experts=7)["attn_k"] == ["q4_k"] * 16


def test_a_tied_table_is_the_head() -> None:
    assert formats("q4_k_m", tied=True)["token_embd"] == ["q6_k"]
    assert formats("mxfp4_moe", tied=True)["token_embd"] == ["q8_0"]


@pytest.mark.parametrize(
    ("mix", "columns", "query"),
    [("q4_k_m", 256, "q4_k"), ("q4_k_m", 128, "q5_0"), ("q6_k", 128, "q8_0"), ("q2_k", 32, "q4_0"),
     ("iq4_xs", 32, "iq4_nl"), ("q5_k_m", 96, "q5_1"), ("q4_k_m", 33, "f16"), ("q8_0", 48, "f16"),
     ("gptq", 96, "gptq")],
)  # fmt: skip
def test_rows_of_no_whole_block(mix: str, columns: int, query: str) -> None:
    assert formats(mix, columns=columns)["attn_q"] == [query] * 16
    if mix.endswith("_m"):
        assert formats(mix, columns=columns)["output"] == [
            "q6_k" if columns == 256 else "q8_0" if columns > 33 else "f16"
        ]
