"""Configurations and weights of the hub: the same parameters as transformers' models, and one line for bad files."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.workload.language import configuration, is_language_model, language_model

LLAMA = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "vocab_size": 300,
    "num_attention_heads": 8, "num_key_value_heads": 2, "max_position_embeddings": 512,
}  # fmt: skip
SMALL = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "vocab_size": 300, "num_attention_heads": 4,
    "num_key_value_heads": 2,
}  # fmt: skip
EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LATENT = {
    "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 12, "n_routed_experts": 8,
    "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_shared_experts": 2, "first_k_dense_replace": 1,
    "num_key_value_heads": 4, "topk_group": 1, "n_group": 1, "head_dim": 8,
}  # fmt: skip
SIZES: dict[str, dict[str, Any]] = {
    "llama": SMALL, "mistral": {**SMALL, "head_dim": 16}, "phi3": {**SMALL, "pad_token_id": 0},
    "mixtral": {**SMALL, "num_local_experts": 4}, "qwen2": SMALL, "qwen3": {**SMALL, "head_dim": 32},
    "qwen2_moe": {**SMALL, **EXPERTS, "shared_expert_intermediate_size": 48},
    "qwen3_moe": {**SMALL, **EXPERTS, "head_dim": 32},
    "qwen3_next": {
        **SMALL, **EXPERTS, "shared_expert_intermediate_size": 48, "head_dim": 32, "linear_num_key_heads": 2,
        "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 16, "linear_conv_kernel_dim": 4,
    },
    "gemma": {**SMALL, "head_dim": 32, "pad_token_id": 0}, "gemma2": {**SMALL, "head_dim": 32, "pad_token_id": 0},
    "gemma3_text": {**SMALL, "head_dim": 32, "pad_token_id": 0}, "olmo": {**SMALL, "pad_token_id": 0},
    "olmo2": {**SMALL, "pad_token_id": 0, "eos_token_id": 1}, "deepseek_v2": {**SMALL, **LATENT, "q_lora_rank": None},
    "deepseek_v3": {**SMALL, **LATENT, "q_lora_rank": 24},
    "gpt_oss": {**SMALL, "num_local_experts": 4, "head_dim": 16, "num_experts_per_tok": 2},
    "glm4": {**SMALL, "head_dim": 16, "pad_token_id": 0}, "phi": {**SMALL, "num_key_value_heads": 4},
    "smollm3": {**SMALL, "pad_token_id": 0}, "granite": SMALL,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", SIZES)
def test_parameters_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    config = transformers.AutoConfig.for_model(kind, **SIZES[kind])
    with torch.device("meta"):
        module = transformers.AutoModelForCausalLM.from_config(config)
    config.save_pretrained(tmp_path)
    data = {**config.to_dict(), "model_type": kind}
    (tmp_path / "config.json").write_text(json.dumps(data, default=str))
    theirs = sum(parameter.numel() for parameter in module.parameters())
    theirs += sum(each.numel() for name, each in module.named_buffers() if name.endswith("e_score_correction_bias"))
    assert language_model(str(tmp_path)).params == theirs


def configure(folder: Path, **changes: Any) -> str:
    (folder / "config.json").write_text(json.dumps({**LLAMA, **changes}))
    return str(folder / "config.json")


def test_a_configuration_alone(tmp_path: Path) -> None:
    path = configure(tmp_path)
    model = language_model(path, "q8_0")
    assert model.weights == "q8_0"
    assert model.params == 2 * 300 * 64 + 64 + 3 * (2 * 64 + 2 * 64 * 64 + 2 * 64 * 16 + 3 * 64 * 128)
    assert (model.layers[0].cached, model.context) == (2 * 2 * 8, 512)
    assert is_language_model(str(tmp_path))


def test_towers_are_left_out_with_a_notice(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "llava", "text_config": LLAMA, "vision_config": {"hidden_size": 8}}))
    model = language_model(str(path))
    assert [notice.code for notice in model.notices] == ["tower-left-out"]


BAD: dict[str, dict[str, Any]] = {
    "num_hidden_layers": {"num_hidden_layers": 10**9}, "hidden_size": {"hidden_size": "64"},
    "vocab_size": {"vocab_size": None}, "model_type": {"model_type": "resnet"},
    "num_key_value_heads": {"num_key_value_heads": 3}, "num_attention_heads": {"num_attention_heads": 0},
    "quantization_config": {"quantization_config": {"quant_method": "magic"}},
}  # fmt: skip


@pytest.mark.parametrize("field", BAD)
def test_bad_configurations(field: str, tmp_path: Path) -> None:
    path = configure(tmp_path, **BAD[field])
    with pytest.raises(InputError) as caught:
        language_model(path)
    assert caught.value.file == path
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", "[" * 100_000])
def test_no_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError):
        configuration.read(str(path))


@pytest.mark.parametrize(
    ("stated", "weights"),
    [({"quant_method": "awq", "bits": 4}, "int4-awq"), ({"quant_method": "gptq", "bits": 8}, "int8"),
     ({"quant_method": "fp8"}, "fp8"), ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "nf4")],
)  # fmt: skip
def test_quantized_configurations(stated: dict[str, Any], weights: str, tmp_path: Path) -> None:
    assert language_model(configure(tmp_path, quantization_config=stated)).weights == weights


def store(path: Path, entries: dict[str, Any], data: int) -> None:
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(data))


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_a_folder_has_the_format_of_its_weights(tmp_path: Path) -> None:
    configure(tmp_path)
    entries = {"__metadata__": {"format": "pt"}, "a": entry("F16", [10, 10], 0, 200), "b": entry("F32", [4], 200, 216)}
    store(tmp_path / "model.safetensors", entries, 216)
    model = language_model(str(tmp_path))
    assert model.weights == "f16"
    assert [notice.code for notice in model.notices] == ["parameters-differ"]
    assert model.notices[0].data["stored"] == 104
    assert language_model(str(tmp_path / "model.safetensors")).weights == "f16"


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 4, struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 4) + b"{}",
     struct.pack("<Q", 16) + b'{"a": {"b": 1}} ',
     struct.pack("<Q", 60) + b'{"a": {"dtype":"F32","shape":[4],"data_offsets":[-8,8]}}    ',
     struct.pack("<Q", 60) + b'{"a": {"dtype":"F32","shape":[4],"data_offsets":[0,16]}}    '],
)  # fmt: skip
def test_hostile_weights(content: bytes, tmp_path: Path) -> None:
    configure(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        language_model(str(tmp_path))
    assert caught.value.file == str(path)


def test_weights_need_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    store(path, {"a": entry("F16", [2], 0, 4)}, 4)
    with pytest.raises(InputError) as caught:
        language_model(str(path))
    assert caught.value.code == "no-configuration"
