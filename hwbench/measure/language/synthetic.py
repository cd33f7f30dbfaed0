"""GGUF files of catalogued language models with random weights, so that their speed is measured without a download.

The layout is that of ggml's docs/gguf.md, version 3. Tokens have no meaning: nobody reads what such a model writes.
"""

import struct
from typing import IO, Any

import numpy as np
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.measure.language.blocks import random_blocks
from hwbench.workload.language.gguf import MAGIC
from hwbench.workload.language.tensors import LanguageModel, Weight
from hwbench.workload.language.transformer import Experts, Transformer

ALIGNMENT = 32
TILE = 1 << 23
"""Random weights of a format, which a longer tensor repeats."""
_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"query_key_value_bias": True},
    "qwen3": {"query_key_norm": "head"},
}
"""What the blocks of llama.cpp's architectures have that the plainest ones have not."""
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
"""llama.cpp's kinds of tokens."""
_SPECIAL = (("<unk>", _UNKNOWN), ("<s>", _CONTROL), ("</s>", _CONTROL), *((f"<0x{b:02X}>", _BYTE) for b in range(256)))
_UINT32, _INT32, _FLOAT32, _TEXT, _LIST = 4, 5, 6, 8, 9
"""GGUF's numbers of the types of values."""


def architecture(blocks: Transformer) -> str:
    """Return llama.cpp's architecture of these blocks. Raises InputError for blocks of none that is written."""
    experts = blocks.experts and Experts(blocks.experts.count, blocks.experts.used, blocks.experts.width)
    plain = Transformer(
        blocks.layers, blocks.width, blocks.vocabulary, blocks.heads, blocks.kv_heads, blocks.feed_forward,
        blocks.head_size, blocks.context, blocks.tied, experts=experts,
    )  # fmt: skip
    for name, more in _ARCHITECTURES.items():
        if replace(plain, **more) == blocks and not (experts and name == "qwen2"):
            return f"{name}moe" if experts and name == "qwen3" else name
    message = "Files are written of models with the blocks of Llama, Mixtral, Qwen 2 and Qwen 3 only."
    raise InputError("not-written", message, field="model", nearest=("llama3.2-1b", "qwen2.5-0.5b", "qwen3-0.6b"))


def write(file: IO[bytes], blocks: Transformer, model: LanguageModel) -> None:
    """Write a model with random weights. Raises InputError for blocks and formats that cannot be written."""
    tiles = {t.format: _tile(t.format) for t in model.tensors if t.is_matrix}
    fields = {**_shape(blocks, architecture(blocks)), **_tokens(blocks.vocabulary)}
    head = struct.pack("<4sIQQ", MAGIC, 3, len(model.tensors), len(fields))
    head += b"".join(_text(key) + _value(value) for key, value in fields.items())
    offset = 0
    for tensor in model.tensors:
        head += _described(tensor, offset)
        offset += _padded(tensor.size)
    file.write(head.ljust(_padded(len(head)), b"\0"))
    for tensor in model.tensors:
        _write_data(file, tensor, tiles)


def _shape(blocks: Transformer, name: str) -> dict[str, Any]:
    experts, size = blocks.experts, blocks.key_size
    values = {
        "block_count": blocks.layers, "context_length": blocks.context or 4096, "embedding_length": blocks.width,
        "feed_forward_length": experts.width if experts and name == "llama" else blocks.feed_forward,
        "attention.head_count": blocks.heads, "attention.head_count_kv": blocks.kv_heads,
        "attention.key_length": size, "attention.value_length": size, "rope.dimension_count": size,
        "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 10000.0, "vocab_size": blocks.vocabulary,
    }  # fmt: skip
    if experts:
        values |= {"expert_count": experts.count, "expert_used_count": experts.used,
                   "expert_feed_forward_length": experts.width}  # fmt: skip
    return {"general.architecture": name, **{f"{name}.{key}": value for key, value in values.items()}}


def _tokens(count: int) -> dict[str, Any]:
    """Return a vocabulary of `count` tokens that llama.cpp accepts: special ones, all bytes, and numbers."""
    named = [*_SPECIAL[:count], *((f"t{number}", _NORMAL) for number in range(len(_SPECIAL), count))]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [text for text, _ in named],
        "tokenizer.ggml.scores": [0.0] * count,
        "tokenizer.ggml.token_type": [kind for _, kind in named],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    """Return a value with its type: a text, a number, or a list of texts, whole numbers or fractions."""
    if isinstance(value, str):
        return struct.pack("<I", _TEXT) + _text(value)
    if isinstance(value, list):
        number = {str: _TEXT, float: _FLOAT32, int: _INT32}[type(value[0])]
        code = {float: "f", int: "i"}.get(type(value[0]))
        data = struct.pack(f"<{len(value)}{code}", *value) if code else b"".join(map(_text, value))
        return struct.pack("<IIQ", _LIST, number, len(value)) + data
    return struct.pack("<II", _UINT32, value) if isinstance(value, int) else struct.pack("<If", _FLOAT32, value)


def _described(tensor: Weight, offset: int) -> bytes:
    shape = [tensor.columns, tensor.rows, tensor.experts]
    while shape[-1] == 1:
        shape.pop()
    numbers = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, tensor.block.number, offset)
    return _text(tensor.name) + numbers


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _tile(name: str) -> bytes:
    """Return random weights of a format; those of norms are one, and biases and corrections nothing."""
    from hwbench.workload.language.formats import block_format

    return random_blocks(name, TILE // block_format(name).values, 0.05)


def _write_data(file: IO[bytes], tensor: Weight, tiles: dict[str, bytes]) -> None:
    """Write the data of a tensor: random weights of a product, ones of a norm, zeros of a bias."""
    if not tensor.is_matrix:
        value = 1.0 if "norm" in tensor.name else 0.0
        file.write(np.full(tensor.count, value, np.float32).tobytes().ljust(_padded(tensor.size), b"\0"))
        return
    tile = tiles[tensor.format]
    for start in range(0, tensor.size, len(tile)):
        file.write(tile[: tensor.size - start])
    file.write(b"\0" * (_padded(tensor.size) - tensor.size))
