"""Small files of language models with what a seeded random source does to them: GGUF, configurations, weights."""

import csv
import io
import json
import struct
from random import Random
from typing import Any

from tests.fuzz import mutate

_SCALARS = {4: "I", 5: "i", 6: "f", 7: "?", 10: "Q"}
_SIZES = (0, 1, 255, 4096, 2**16, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1)
FIELDS: dict[str, tuple[int, Any]] = {
    "general.architecture": (8, "llama"), "general.basename": (8, "tiny"), "general.file_type": (4, 15),
    "general.alignment": (4, 32), "llama.block_count": (4, 1), "llama.embedding_length": (4, 32),
    "llama.attention.head_count": (4, 4), "llama.attention.head_count_kv": (4, 2), "llama.context_length": (4, 512),
    "llama.attention.sliding_window": (4, 64), "llama.expert_used_count": (4, 0), "llama.ssm.inner_size": (4, 8),
    "llama.attention.kv_lora_rank": (4, 0), "split.count": (4, 1), "tokenizer.ggml.scores": (9, (6, [0.0, 1.0])),
    "tokenizer.ggml.tokens": (9, (8, ["a", "b"])),
}  # fmt: skip
TENSORS = (
    ("token_embd.weight", (32, 64), 0),
    ("blk.0.attn_q.weight", (32, 32), 2),
    ("blk.0.ffn_up.weight", (32, 8), 1),
)
CONFIGURATIONS: tuple[dict[str, Any], ...] = tuple(
    {
        "model_type": kind, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "vocab_size": 300,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 512,
        "tie_word_embeddings": False, **more,
    }
    for kind, more in (
        ("llama", {}), ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}), ("phi", {}),
        ("gemma2", {"sliding_window": 64}), ("qwen3", {"quantization_config": {"quant_method": "gptq", "bits": 4}}),
        ("gpt_oss", {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8, "layer_types": ["a", "b"]}),
        ("deepseek_v3", {
            "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 12, "n_routed_experts": 8,
            "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_shared_experts": 2, "first_k_dense_replace": 1,
        }),
        ("gemma3", {"text_config": {"hidden_size": 64, "num_hidden_layers": 2}, "vision_config": {"hidden_size": 8}}),
    )
)  # fmt: skip


def gguf(random: Random) -> bytes:
    """Return a GGUF file: wrong values in a good form, or a good file that is cut or overwritten."""
    whole = random.random() < 0.4
    fields = dict(FIELDS)
    if not whole:
        for _ in range(random.choice((1, 1, 2, 4))):
            name = random.choice(list(fields))
            fields[name] = random.choice((_changed(random, *fields[name]), (random.choice((*_SCALARS, 8, 9, 99)), 1)))
            if random.random() < 0.2:
                del fields[name]
    tensors = [_tensor(random, *tensor, exact=whole or random.random() < 0.6) for tensor in TENSORS]
    counts = [len(tensors), len(fields)]
    if not whole and random.random() < 0.2:
        counts[random.randrange(2)] = random.choice(_SIZES)
    version = random.choice((3, 3, 3, 3, 2, 1, 2**24))
    described = b"".join(_text(name) + _field(*field) for name, field in fields.items())
    content = b"GGUF" + struct.pack("<IQQ", version, *counts) + described + b"".join(tensors)
    content += bytes(random.choice((20_000, 20_000, 100)))
    return mutate.content(random, content) if whole else content


def _text(text: str) -> bytes:
    encoded = text.encode(errors="surrogatepass")
    return struct.pack("<Q", len(encoded)) + encoded


def _changed(random: Random, kind: int, value: Any) -> tuple[int, Any]:
    if isinstance(value, str):
        return kind, str(mutate.scalar(random))
    if isinstance(value, tuple):
        return kind, (random.choice((4, 6, 8, 9, 99)), random.choice((value[1], [1, 2], [], [7] * 5000)))
    return 10, random.choice(_SIZES)


def _field(kind: int, value: Any) -> bytes:
    if kind == 8:
        return struct.pack("<I", kind) + _text(str(value))
    if kind in _SCALARS:
        number = value if isinstance(value, (int, float)) else 1
        number = bool(number) if kind == 7 else float(min(number, 2**60)) if kind == 6 else int(number) % 2**31
        return struct.pack(f"<I{_SCALARS[kind]}", kind, int(value) % 2**64 if kind == 10 else number)
    if not isinstance(value, tuple):
        return struct.pack("<IIQ", kind, 4, 2**40)
    item, values = value
    packed = b"".join(
        _text(str(one)) if item == 8 else struct.pack("<f" if item == 6 else "<I", 1)
        for one in values
    )  # fmt: skip
    return struct.pack("<IIQ", kind, item, len(values)) + packed


def _tensor(random: Random, name: str, shape: tuple[int, ...], kind: int, exact: bool) -> bytes:
    offset = 0
    if not exact:
        name = random.choice(
            (name, name, "v.x", "blk.99999.attn_k.weight", "blk.0.ssm_in.weight", "blk.0.ffn_up_exps.weight")
        )
        shape = tuple(random.choice((*shape, *_SIZES)) for _ in range(random.choice((0, 1, 2, 2, 3, 4, 5))))
        kind, offset = random.choice((kind, 8, 12, 39, 77)), random.choice((0, 0, *_SIZES))
    return _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def configuration(random: Random) -> bytes:
    """Return a `config.json`."""
    chosen = random.choice(CONFIGURATIONS)
    if random.random() < 0.2:
        return mutate.content(random, json.dumps(chosen).encode())
    return mutate.as_json(mutate.tree(random, chosen))


RATES: dict[str, Any] = {
    "cpu_info": "AMD Ryzen 9 7950X 16-Core Processor", "gpu_info": "NVIDIA GeForce RTX 3090", "backends": "CUDA",
    "model_filename": "models/Meta-Llama-3-8B-Instruct-Q4_K_M.gguf", "model_type": "llama 8B Q4_K - Medium",
    "model_size": 4912898304, "model_n_params": 8030261248, "n_ubatch": 512, "n_threads": 16, "type_k": "f16",
    "n_gpu_layers": 99, "flash_attn": False, "n_prompt": 512, "n_gen": 0, "n_depth": 0, "avg_ts": 3865.39,
}  # fmt: skip
GENERATION = {**RATES, "n_prompt": 0, "n_gen": 128, "n_depth": 512, "avg_ts": 111.74}
OWN = {
    "device": "rtx3090", "model": "llama3-8b", "weight_dtype": "q4_k_m", "phase": "tg", "n_tokens": 128,
    "tokens_per_s": 111.74, "context": 512, "batch": 1, "n_devices": 1, "kv_dtype": "f16", "size_gib": 4.6,
    "note": "fa=1 threads=16 ubatch=512",
}  # fmt: skip
SHOWN = {
    "model": "llama 8B Q4_K - Medium", "size": "4.58 GiB", "params": "8.03 B", "backend": "CUDA", "ngl": 99,
    "test": "tg128 @ d512", "t/s": "111.74 ± 0.20",
}  # fmt: skip


def rates(random: Random) -> bytes:
    """Return a table of tokens a second: JSON, JSON lines, CSV or Markdown of llama-bench, or our own CSV."""
    form = random.choice(("json", "jsonl", "csv", "md", "own"))
    rows: Any = [dict({"md": SHOWN, "own": OWN}.get(form, row)) for row in (RATES, GENERATION, GENERATION)]
    if form == "json" and random.random() < 0.6:
        return mutate.as_json(mutate.tree(random, rows))
    if random.random() < 0.7:
        for _ in range(random.choice((1, 1, 2, 5))):
            row = random.choice(rows)
            row[random.choice(list(row))] = mutate.scalar(random)
    return _table(random, form, rows)


def _table(random: Random, form: str, rows: list[dict[str, Any]]) -> bytes:
    if form == "json":
        content = mutate.as_json(rows)
    elif form == "jsonl":
        content = b"\n".join(map(mutate.as_json, rows))
    else:
        cells = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
        if form == "md":
            lines = [f"| {' | '.join(line)} |" for line in cells]
            lines.insert(1, "|" + " --- |" * len(rows[0]))
            content = "\n".join(lines).encode(errors="surrogatepass")
        else:
            text = io.StringIO()
            csv.writer(text).writerows(cells)
            content = text.getvalue().encode(errors="surrogatepass")
    return mutate.content(random, content) if random.random() < 0.3 else content


def safetensors(random: Random) -> bytes:
    """Return a `.safetensors` file."""
    described = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [300, 64], "data_offsets": [0, 38_400]},
        "b": {"dtype": "F32", "shape": [8], "data_offsets": [38_400, 38_432]},
    }
    header = mutate.as_json(mutate.tree(random, described)) if random.random() < 0.7 else json.dumps(described).encode()
    length = len(header) if random.random() < 0.8 else random.choice(_SIZES)
    content = struct.pack("<Q", length) + header + bytes(38_432)
    return mutate.content(random, content) if random.random() < 0.3 else content


OPTIONS = (
    "--weights", "--kv-dtype", "--prompt", "--generate", "--gpu-layers", "--devices", "--cpu", "--context", "--batch",
    "--clock", "--set", "--runtime", "--dtype", "--fused-attention", "--math", "--layers",
)  # fmt: skip
VALUES = (
    "q4_k_m", "Q8_0", "f16", "bf16", "fp8", "int4", "q4_0", "iq1_s", "mxfp4", "q", "host", "i9-10940x", "rtx3090", "0",
    "1", "7", "512", "128", "100000000", "100000001", "4096", "00000000000000000000001999", "-1", "1e3", "1,8", "1..64",
    "llama.cpp", "torch-eager", "strict", "default", "boost", "memory.size=0B", "memory.size=1e400GB", "clock=1Hz",
    "memory.bandwidth=1B/s", "units=00000000000000000001999", "fp64",
)  # fmt: skip
MODELS = (
    "llama3-8b", "mixtral-8x7b", "qwen3-0.6b", "meta-llama/Meta-Llama-3-8B", "gpt-oss-20b", "deepseek-v3", "llama",
    "llama3-8b-instruct", "a/b", "/", "../x", "alexnet",
    "llama3-8b?layers=4", "llama3-8b?layers=00000000000000000001999", "llama3-8b?layers=0", "llama3-8b?x=1&layers=",
)  # fmt: skip


def options(random: Random) -> list[str]:
    """Return options of language models with values that belong to them, to others, or to nobody."""
    words: list[str] = []
    for _ in range(random.randrange(5)):
        option = random.choice(OPTIONS)
        words.append(option)
        if option not in ("--fused-attention", "--layers"):
            value = random.choice(VALUES) if random.random() < 0.85 else str(mutate.scalar(random))
            words.append(value.replace("\0", ""))
    return words
