"""`config.json` of the hub as the description of a decoder.

Only fields that a model's shape depends on are read; their names and defaults are those of transformers'
configuration classes. An architecture whose blocks are not known is refused rather than guessed.
"""

import os
from typing import Any

import msgspec
from msgspec import Struct

from hwbench.errors import InputError, nearest, shown
from hwbench.files.content import read_bytes
from hwbench.notices import Notice, notice
from hwbench.workload.language.transformer import DeltaNet, Experts, Latent, Transformer, Window

MAX_BYTES = 1 << 22


class ReadConfiguration(Struct, frozen=True):
    """What a configuration says: the blocks, the format of the weights where they are quantized, remarks."""

    blocks: Transformer
    weights: str | None
    notices: tuple[Notice, ...]


def read(path: str) -> ReadConfiguration:
    """Return what a `config.json` says. Raises InputError with the field that is missing or wrong."""
    if not os.path.isfile(path):
        raise InputError("not-a-file", "There is no such file: a folder of a model needs config.json.", file=path)
    try:
        data = msgspec.json.decode(read_bytes(path, MAX_BYTES))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise InputError("bad-json", "It is not valid JSON.", file=path) from None
    if not isinstance(data, dict):
        raise InputError("not-a-mapping", "The file is not a mapping of fields to values.", file=path)
    return _Configuration(path, data).read()


class _Configuration:
    """The fields of one file, those of a nested `text_config` before the others."""

    def __init__(self, path: str, data: dict[str, Any]) -> None:
        nested = data.get("text_config")
        self.path, self.outer = path, data
        self.data = {**data, **nested} if isinstance(nested, dict) else data
        self.kind = str(self.data.get("model_type", "")).removesuffix("_text")

    def read(self) -> ReadConfiguration:
        if self.kind not in _KINDS:
            known = nearest(self.kind, _KINDS) or ("llama", "qwen3", "mixtral")
            message = f"The architecture '{shown(self.kind, 40)}' is not known."
            raise InputError("unknown-architecture", message, file=self.path, field="model_type", nearest=known)
        towers = [name for name in ("vision_config", "audio_config") if isinstance(self.outer.get(name), dict)]
        notices = tuple(notice("tower-left-out", tower=name.removesuffix("_config")) for name in towers)
        try:
            blocks = msgspec.convert(self.blocks(), Transformer)
        except msgspec.ValidationError as error:
            message = f"A value does not fit a decoder: {shown(error, 200)}."
            raise InputError("bad-configuration", message, file=self.path) from None
        if blocks.heads % blocks.kv_heads:
            message = f"{blocks.heads} heads cannot share {blocks.kv_heads} heads of keys."
            raise InputError("bad-configuration", message, file=self.path, field="num_key_value_heads")
        return ReadConfiguration(blocks, self.weights(), notices)

    def blocks(self) -> dict[str, Any]:
        heads = self.whole("num_attention_heads")
        common: dict[str, Any] = {
            "layers": self.whole("num_hidden_layers"),
            "width": self.whole("hidden_size"),
            "vocabulary": self.whole("vocab_size"),
            "heads": heads,
            "kv_heads": self.whole("num_key_value_heads", heads),
            "feed_forward": self.whole("intermediate_size"),
            "head_size": self.whole("head_dim", 0) or None,
            "context": self.whole("max_position_embeddings", 0) or None,
            "tied": self.flag("tie_word_embeddings", self.kind.startswith("gemma")),
        }
        return common | _KINDS[self.kind](self)

    def whole(self, name: str, default: int | None = None) -> int:
        value = self.data.get(name, default)
        value = default if value is None else value
        if value is None:
            raise InputError("missing", f"The field '{name}' is missing.", file=self.path, field=name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1 << 32:
            message = f"{shown(value, 40)} is not a whole number."
            raise InputError("invalid-field", message, file=self.path, field=name)
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.data.get(name)
        return value if isinstance(value, bool) else default

    def window(self, full: int = 0) -> Window | None:
        """Return the sliding window, None where there is none or it is not used."""
        size = self.whole("sliding_window", 0)
        kinds = self.data.get("layer_types")
        if isinstance(kinds, list) and kinds:
            firsts = [index for index, kind in enumerate(kinds) if kind == "full_attention"]
            full = firsts[0] + 1 if firsts else 0
            size = 0 if len(firsts) == len(kinds) else size
        return Window(size, full) if size and self.flag("use_sliding_window", True) else None

    def experts(self, width: str, shared: int = 0, **more: Any) -> Experts:
        """Return the mixture of experts, with its count under whichever name the configuration has it."""
        names = ("num_local_experts", "num_experts", "n_routed_experts")
        count = next((self.whole(name) for name in names if self.data.get(name) is not None), 0)
        if not count:
            raise InputError("missing", "The number of experts is missing.", file=self.path, field="num_experts")
        used = self.whole("num_experts_per_tok", 2)
        return Experts(count, used, self.whole(width), shared, **more)

    def weights(self) -> str | None:
        """Return the format of quantized weights. Raises InputError for a method that is not known."""
        stated = self.outer.get("quantization_config")
        if not isinstance(stated, dict):
            return None
        method, bits = str(stated.get("quant_method", "")), stated.get("bits")
        if method == "bitsandbytes":
            return "nf4" if stated.get("load_in_4bit") else "int8"
        known = {"awq": "int4-awq", "gptq": "gptq" if bits in (None, 4) else "int8", "fp8": "fp8", "mxfp4": "mxfp4",
                 "modelopt": "nvfp4", "fbgemm_fp8": "fp8"}  # fmt: skip
        if method not in known or (method in ("awq", "gptq") and bits not in (None, 4, 8)):
            message = f"The quantization '{shown(method, 40)}' is not known."
            raise InputError("unknown-format", message, file=self.path, field="quantization_config", nearest=known)
        return known[method]


def _llama(c: _Configuration) -> dict[str, Any]:
    bias = c.flag("attention_bias")
    return {
        "query_key_value_bias": bias,
        "output_bias": bias,
        "feed_forward_bias": c.flag("mlp_bias"),
        "window": c.window() if c.kind in ("mistral", "mixtral", "phi3") else None,
    }


def _mixtral(c: _Configuration) -> dict[str, Any]:
    return {**_llama(c), "experts": c.experts("intermediate_size")}


def _qwen2(c: _Configuration) -> dict[str, Any]:
    return {"query_key_value_bias": True, "window": c.window() if c.flag("use_sliding_window") else None}


def _qwen2_moe(c: _Configuration) -> dict[str, Any]:
    shared = c.whole("shared_expert_intermediate_size")
    return {**_qwen2(c), "experts": c.experts("moe_intermediate_size", shared, shared_gate=True)}


def _qwen3(c: _Configuration) -> dict[str, Any]:
    window = c.window() if c.flag("use_sliding_window") else None
    bias = c.flag("attention_bias")
    size = c.whole("head_dim", 128)
    return {"query_key_norm": "head", "query_key_value_bias": bias, "output_bias": bias, "window": window,
            "head_size": size}  # fmt: skip


def _qwen3_moe(c: _Configuration) -> dict[str, Any]:
    return {**_qwen3(c), "experts": c.experts("moe_intermediate_size")}


def _qwen3_next(c: _Configuration) -> dict[str, Any]:
    net = DeltaNet(
        full=c.whole("full_attention_interval", 4),
        key_heads=c.whole("linear_num_key_heads"),
        value_heads=c.whole("linear_num_value_heads"),
        key_size=c.whole("linear_key_head_dim"),
        value_size=c.whole("linear_value_head_dim"),
        kernel=c.whole("linear_conv_kernel_dim"),
    )
    shared = c.whole("shared_expert_intermediate_size")
    experts = c.experts("moe_intermediate_size", shared, shared_gate=True)
    return {"query_key_norm": "head", "output_gate": True, "delta_net": net, "experts": experts}


def _gemma(c: _Configuration) -> dict[str, Any]:
    defaults = {"gemma": (0, 2), "gemma2": (2, 4), "gemma3": (6, 4)}
    full, norms = defaults[c.kind]
    full = c.whole("sliding_window_pattern", full)
    norm = "head" if c.kind == "gemma3" else None
    return {
        "norms": norms,
        "query_key_norm": norm,
        "window": c.window(full) if full else None,
        "head_size": c.whole("head_dim", 256),
        "heads": c.whole("num_attention_heads", 8),
        "kv_heads": c.whole("num_key_value_heads", 4),
        "vocabulary": c.whole("vocab_size", 262208),
    }


def _olmo(c: _Configuration) -> dict[str, Any]:
    return {"norm": "none"} if c.kind == "olmo" else {"query_key_norm": "all"}


def _deepseek(c: _Configuration) -> dict[str, Any]:
    latent = Latent(
        key_value=c.whole("kv_lora_rank"),
        rope=c.whole("qk_rope_head_dim"),
        nope=c.whole("qk_nope_head_dim"),
        value=c.whole("v_head_dim"),
        query=c.whole("q_lora_rank", 0) or None,
    )
    width = c.whole("moe_intermediate_size")
    experts = c.experts(
        "moe_intermediate_size",
        c.whole("n_shared_experts", 0) * width,
        dense=c.whole("first_k_dense_replace", 0),
        correction=c.kind != "deepseek_v2",
    )
    return {"latent": latent, "experts": experts, "head_size": None, "kv_heads": c.whole("num_attention_heads")}


def _gpt_oss(c: _Configuration) -> dict[str, Any]:
    return {
        "query_key_value_bias": True,
        "output_bias": True,
        "sinks": True,
        "window": c.window(2),
        "experts": c.experts("intermediate_size", bias=True, router_bias=True),
    }


def _llama4(c: _Configuration) -> dict[str, Any]:
    step, dense = c.whole("interleave_moe_layer_step", 1), c.whole("intermediate_size_mlp", 0)
    experts = c.experts("intermediate_size", c.whole("intermediate_size"), every=step)
    chunk = c.whole("attention_chunk_size", 0)
    return {"experts": experts, "feed_forward": dense or c.whole("intermediate_size"), "window":
            Window(chunk, 4) if chunk else None}  # fmt: skip


def _glm4(c: _Configuration) -> dict[str, Any]:
    return {"norms": 4, "query_key_value_bias": c.flag("attention_bias")}


def _phi(_c: _Configuration) -> dict[str, Any]:
    return {"norm": "weight and bias", "norms": 1, "gated": False, "query_key_value_bias": True, "output_bias": True,
            "feed_forward_bias": True, "head_bias": True}  # fmt: skip


_KINDS = {
    **dict.fromkeys(("llama", "mistral", "phi3", "smollm3", "granite"), _llama),
    "mixtral": _mixtral, "qwen2": _qwen2, "qwen2_moe": _qwen2_moe, "qwen3": _qwen3, "qwen3_moe": _qwen3_moe,
    "qwen3_next": _qwen3_next, "gemma": _gemma, "gemma2": _gemma, "gemma3": _gemma, "olmo": _olmo, "olmo2": _olmo,
    "deepseek_v2": _deepseek, "deepseek_v3": _deepseek, "kimi_k2": _deepseek, "gpt_oss": _gpt_oss, "llama4": _llama4,
    "glm4": _glm4, "phi": _phi,
}  # fmt: skip
"""What each architecture adds to the fields that all have."""
