"""Files of language models with random weights: read back exactly, in every format that is written."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.measure.language import synthetic
from hwbench.measure.language.blocks import PLAIN, SCALES, random_blocks
from hwbench.workload.language import language_model
from hwbench.workload.language.catalog import described
from hwbench.workload.language.formats import block_format
from hwbench.workload.language.mixes import MIXES


def written(path: Path, name: str, weights: str) -> str:
    """The path of a file of a catalogued model."""
    with path.open("wb") as file:
        synthetic.write(file, described(name).blocks, language_model(name, weights))
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("smollm2-135m?layers=2", "q4_k_m"),
        ("qwen2.5-0.5b?layers=1", "q4_0"),
        ("qwen3-0.6b?layers=1", "f16"),
        ("qwen3-30b-a3b?layers=1", "q2_k"),
    ],
)
def test_a_file_is_the_model_that_was_asked_for(tmp_path: Path, name: str, weights: str) -> None:
    asked, read = language_model(name, weights), language_model(written(tmp_path / f"{weights}.gguf", name, weights))
    assert {t.name: (t.columns, t.rows, t.experts, t.format) for t in read.tensors} == {
        t.name: (t.columns, t.rows, t.experts, t.format) for t in asked.tensors
    }
    assert read.layers == asked.layers
    assert (read.weights, read.used_experts) == (weights, asked.used_experts)


def test_blocks_have_the_size_of_their_format_and_scales_that_are_finite() -> None:
    for name, offsets in SCALES.items():
        block = block_format(name)
        data = np.frombuffer(random_blocks(name, 7, 0.05), np.uint8).reshape(7, block.size)
        for offset in offsets:
            scales = data[:, offset : offset + 2].copy().view(np.float16)
            assert np.all((scales > 0) & (scales <= 0.05))


@pytest.mark.parametrize(("name", "dtype"), [("f32", np.float32), ("f16", np.float16)])
def test_plain_weights_are_in_range(name: str, dtype: type) -> None:
    values = np.frombuffer(random_blocks(name, 1000, 0.05), dtype)
    assert len(values) == 1000
    assert 0.04 < np.abs(values.astype(np.float32)).max() <= 0.0501


def test_bf16_is_the_upper_half_of_fp32() -> None:
    upper = np.frombuffer(random_blocks("bf16", 100, 0.05), np.uint16).astype(np.uint32) << 16
    exact = np.frombuffer(random_blocks("f32", 100, 0.05), np.float32)
    assert upper.view(np.float32) == pytest.approx(exact, rel=1 / 128)


def test_every_usual_mix_can_be_written() -> None:
    model = described("llama3.2-1b?layers=1")
    cannot = set()
    for mix in MIXES:
        formats = {tensor.format for tensor in language_model(model.name, mix).tensors}
        if not formats <= {*SCALES, *PLAIN}:
            cannot.add(mix)
    assert cannot == {"iq1_m", "tq1_0", "tq2_0"}


@pytest.mark.parametrize("name", ["gemma3-1b", "deepseek-v2-lite", "phi-2", "gpt-oss-20b", "qwen1.5-moe-a2.7b"])
def test_other_blocks_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="not-written|Files are written") as caught:
        synthetic.architecture(described(name).blocks)
    assert caught.value.code == "not-written"


@pytest.mark.parametrize(
    ("name", "architecture"),
    [("llama3-8b", "llama"), ("mixtral-8x7b", "llama"), ("qwen2.5-7b", "qwen2"), ("qwen3-8b", "qwen3"),
     ("qwen3-30b-a3b", "qwen3moe")],
)  # fmt: skip
def test_architectures(name: str, architecture: str) -> None:
    assert synthetic.architecture(described(name).blocks) == architecture


def test_a_format_of_other_fields_is_refused() -> None:
    model = language_model("smollm2-135m?layers=1", "q4_0")
    odd = replace(model, tensors=tuple(replace(t, format="fp8") if t.is_matrix else t for t in model.tensors))
    with pytest.raises(InputError) as caught:
        synthetic.write(BytesIO(), described("smollm2-135m?layers=1").blocks, odd)
    assert caught.value.code == "not-written"
