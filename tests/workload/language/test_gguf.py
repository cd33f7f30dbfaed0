"""Headers of GGUF files: written by the package gguf and read the same; hostile ones give one line."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from hwbench.errors import InputError
from hwbench.workload import load
from hwbench.workload.language import gguf, language_model
from hwbench.workload.language.formats import GGUF_TYPES

TEXT = b"\x05\x00\x00\x00\x00\x00\x00\x00hello"


CONFIGURATION = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "vocab_size": 300,
    "num_attention_heads": 8,
}  # fmt: skip


def header(tensors: int = 0, fields: int = 0, version: int = 3, magic: bytes = b"GGUF") -> bytes:
    return magic + struct.pack("<IQQ", version, tensors, fields)


def tensor(name: bytes = b"a", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    sizes = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return struct.pack("<Q", len(name)) + name + sizes + struct.pack("<IQ", kind, offset)


HOSTILE = {
    "empty": b"",
    "other magic": header(magic=b"GGML"),
    "old version": header(version=1),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "a great many tensors": header(tensors=2**63),
    "a great many fields": header(fields=2**63),
    "more tensors than bytes": header(tensors=1000) + bytes(100),
    "a long key": header(fields=1) + struct.pack("<Q", 2**62) + bytes(20),
    "an unknown type": header(fields=1) + TEXT + struct.pack("<I", 99) + bytes(8),
    "a long text": header(fields=1) + TEXT + struct.pack("<IQ", 8, 2**63) + bytes(8),
    "a list of lists": header(fields=1) + TEXT + struct.pack("<IIQ", 9, 9, 1) + bytes(20),
    "a long list": header(fields=1) + TEXT + struct.pack("<IIQ", 9, 10, 2**61) + bytes(20),
    "a list of long texts": header(fields=1) + TEXT + struct.pack("<IIQQ", 9, 8, 2, 2**63) + bytes(20),
    "no dimensions": header(tensors=1) + tensor(shape=()) + bytes(40),
    "many dimensions": header(tensors=1) + tensor(shape=(1,) * 9) + bytes(400),
    "an empty dimension": header(tensors=1) + tensor(shape=(0, 4)) + bytes(400),
    "a huge product": header(tensors=1) + tensor(shape=(2**40, 2**40)) + bytes(400),
    "an unknown number format": header(tensors=1) + tensor(kind=77) + bytes(400),
    "no whole blocks": header(tensors=1) + tensor(shape=(33,), kind=2) + bytes(400),
    "a negative offset": header(tensors=1) + tensor(offset=2**64 - 32) + bytes(400),
    "data that are cut": header(tensors=1) + tensor(shape=(4096,)) + bytes(400),
    "a header that is cut": (header(tensors=1) + tensor())[:-3],
    "no architecture": header(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_give_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(InputError) as caught:
        language_model(str(path))
    assert caught.value.code in ("bad-gguf", "file-cut")
    assert caught.value.file == str(path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("name", ["m.gguf", "m.safetensors", "m.onnx"])
def test_a_pipe_that_nobody_feeds_is_no_model(name: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIGURATION))
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError) as caught:
        load.workload(str(tmp_path / name)) if name.endswith("onnx") else language_model(str(tmp_path / name))
    assert (caught.value.code, caught.value.file) == ("not-readable", str(tmp_path / name))


def write(path: Path, shapes: dict[str, tuple[tuple[int, ...], int]], **fields: Any) -> None:
    """Write a file with tensors of zeros by the package gguf: name, shape with rows first, and type."""
    package, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    writer = package.GGUFWriter(str(path), "llama")
    for name, value in fields.items():
        writer.add_uint32(f"llama.{name.replace('__', '.')}", value)
    writer.add_array("tokenizer.ggml.tokens", [f"token {i}" for i in range(6000)])
    writer.add_array("tokenizer.ggml.scores", [float(i) for i in range(6000)])
    for name, (shape, kind) in shapes.items():
        block = GGUF_TYPES[kind]
        data = numpy.zeros((*shape[:-1], shape[-1] // block.values * block.size), dtype=numpy.uint8)
        writer.add_tensor(name, data, raw_shape=data.shape, raw_dtype=package.GGMLQuantizationType(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("kind", [number for number in GGUF_TYPES if number not in range(24, 29)])
def test_files_of_the_package_gguf(kind: int, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    shapes = {
        "token_embd.weight": ((300, 256), kind), "blk.0.attn_q.weight": ((256, 256), kind),
        "blk.0.ffn_down_exps.weight": ((4, 256, 512), kind), "output_norm.weight": ((256,), 0),
    }  # fmt: skip
    write(path, shapes, block_count=1, embedding_length=256, attention__head_count=4, expert_used_count=2)
    model = language_model(str(path))
    package = pytest.importorskip("gguf")
    theirs = {
        field.name: (int(field.n_elements), int(field.n_bytes)) for field in package.GGUFReader(str(path)).tensors
    }
    assert {tensor.name: (tensor.count, tensor.size) for tensor in model.tensors} == theirs
    assert model.tensors[2].experts == 4
    assert model.used_share(model.tensors[2]) == 0.5


def test_split_files(tmp_path: Path) -> None:
    common = {"block_count": 1, "embedding_length": 256, "attention__head_count": 4}
    package = pytest.importorskip("gguf")
    paths = [tmp_path / f"model-{number:05d}-of-00002.gguf" for number in (1, 2)]
    for number, path in enumerate(paths):
        name = f"blk.0.attn_{'qk'[number]}.weight"
        write(path, {name: ((256, 256), 8)}, **common)
        writer = package.GGUFWriter(str(path), "llama")
        for field, value in common.items():
            writer.add_uint32(f"llama.{field.replace('__', '.')}", value)
        writer.add_uint16("split.count", 2)
        writer.add_tensor_info(name, (256, 256), __import__("numpy").dtype("float32"), 256 * 256 * 4)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        path.write_bytes(path.read_bytes() + bytes(256 * 256 * 4 + 64))
    assert [tensor.kind for tensor in language_model(str(paths[0])).tensors] == ["attn_q", "attn_k"]
    paths[1].unlink()
    with pytest.raises(InputError) as caught:
        gguf.read(str(paths[0]))
    assert caught.value.code == "split-missing"
    assert caught.value.file == str(paths[1])


def test_a_file_has_its_own_weights(tmp_path: Path) -> None:
    path = tmp_path / "tiny-q8_0.gguf"
    write(path, {"blk.0.attn_q.weight": ((256, 256), 8)}, block_count=1, embedding_length=256, attention__head_count=4)
    assert language_model(str(path)).weights == "q8_0"
    with pytest.raises(InputError) as caught:
        language_model(str(path), "q4_k_m")
    assert caught.value.nearest == ("q8_0",)
