"""Products of quantized weights with a vector: against weights decoded one by one, as ggml's reference does."""

import re
import struct
from typing import Any

import numpy as np
import pytest
from llvmlite import ir
from numba import njit

from hwbench.dtypes import QUANTIZED
from hwbench.errors import InputError
from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import by_lane, widths
from hwbench.measure.gemm import quantized, quantized_loops
from hwbench.measure.gemm.quantized import QuantizedMatrix, dequantized, vector_for
from hwbench.measure.language.blocks import random_blocks
from hwbench.workload.language.formats import block_format
from tests.measure.codegen.assembly import assembly

FORMATS = list(QUANTIZED)
pytestmark = pytest.mark.skipif(by_lane("int8", vectors.target()) is None, reason="no dot products of bytes")


def test_formats_have_one_list() -> None:
    assert list(quantized_loops.SIZES) == list(quantized_loops.FORMATS) == FORMATS


def half(data: bytes) -> float:
    (value,) = struct.unpack("<e", data)
    return float(value)


def weights_of(name: str, block: bytes) -> list[float]:
    """The weights of one block, each by its formula."""
    if name == "q8_0":
        return [half(block[:2]) * code for code in struct.unpack("<32b", block[2:])]
    if name == "q4_0":
        return [half(block[:2]) * ((block[2 + i % 16] >> 4 * (i // 16) & 15) - 8) for i in range(32)]
    result = []
    scales = block[4:16]
    for i in range(256):
        part = i // 32
        if part < 4:
            scale, minimum = scales[part] & 63, scales[part + 4] & 63
        else:
            scale = scales[part + 4] & 15 | scales[part - 4] >> 6 << 4
            minimum = scales[part + 4] >> 4 | scales[part] >> 6 << 4
        code = block[16 + i // 64 * 32 + i % 32] >> 4 * (part % 2) & 15
        result.append(half(block[:2]) * scale * code - half(block[2:4]) * minimum)
    return result


def blocks_of(name: str, rows: int, depth: int) -> Any:
    """Random blocks whose scales differ, too, and may be negative."""
    random, block = np.random.default_rng(), block_format(name)
    data = random.integers(0, 256, (rows * depth // block.values, block.size)).astype(np.uint8)
    for start in (0, 2) if name == "q4_k" else (0,):
        data[:, start : start + 2] = random.uniform(-1, 1, (len(data), 1)).astype(np.float16).view(np.uint8)
    return data.reshape(-1)


@pytest.mark.parametrize("name", FORMATS)
def test_weights_are_decoded_as_files_hold_them(name: str) -> None:
    data = blocks_of(name, 3, 512)
    size = block_format(name).size
    expected = [
        value for start in range(0, data.size, size) for value in weights_of(name, data[start:][:size].tobytes())
    ]
    np.testing.assert_allclose(dequantized(name, data.reshape(3, -1)).reshape(-1), expected, rtol=1e-12)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("rows", "depth"), [(1, 256), (7, 512), (33, 4096)])
def test_products(name: str, rows: int, depth: int) -> None:
    data = blocks_of(name, rows, depth)
    values = np.random.default_rng().normal(0, 3, depth).astype(np.float32)
    values[32:64] = 0  # a block without a scale
    out = np.full(rows + 2, np.nan, np.float32)
    QuantizedMatrix(name, data, depth).multiply(vector_for(name, values), out, 0, rows)
    weights = dequantized(name, data.reshape(rows, -1))
    scale = np.repeat(np.abs(values).reshape(-1, 32).max(axis=1) / np.float32(127), 32)
    codes = np.divide(values, scale, out=np.zeros_like(values), where=scale > 0)  # in fp32: what is a half is rounded
    rounded = np.rint(codes).astype(np.float64) * scale
    size = np.abs(weights) @ np.abs(rounded)
    assert (np.abs(out[:rows] - weights @ rounded) <= 1e-6 * size).all()
    assert (np.abs(out[:rows] - weights @ values) <= 0.02 * size).all()  # with the rounding of the vector
    assert np.isnan(out[rows:]).all()


@pytest.mark.parametrize("name", FORMATS)
def test_rows_from_any_on(name: str) -> None:
    data, values = blocks_of(name, 9, 256), np.random.default_rng().uniform(-1, 1, 256)
    matrix, vector = QuantizedMatrix(name, data, 256), vector_for(name, values)
    whole, parts = np.empty((2, 9), np.float32)
    matrix.multiply(vector, whole, 0, 9)
    for first, rows in ((0, 4), (4, 1), (5, 4)):
        matrix.multiply(vector, parts, first, rows, repetitions=2)
    np.testing.assert_array_equal(whole, parts)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [128, 256])
def test_narrower_vectors_give_the_same_sums(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if bits not in widths(by_lane("int8", vectors.target()), vectors.target()):  # type: ignore[arg-type]
        pytest.skip("no such vectors")
    monkeypatch.setattr(quantized_loops, "widths", lambda kind, target: (bits,))
    narrow = njit(quantized_loops.multiply_rows.py_func)
    for number, name in enumerate(FORMATS):
        data, vector = blocks_of(name, 5, 512), vector_for(name, np.random.default_rng().uniform(-1, 1, 512))
        wide, other = np.empty((2, 5), np.float32)
        matrix = QuantizedMatrix(name, data, 512)
        matrix.multiply(vector, wide, 0, 5)
        narrow(number, data.ctypes.data, vector.ctypes.data, other.ctypes.data, 5, matrix.steps, 1)
        np.testing.assert_allclose(other, wide, rtol=1e-4, atol=1e-4)


CODE = [
    ("x86_64-unknown-linux-gnu", "+avx,+avx2,+fma,+f16c,+avxvnni", r"vpdpbusd\t.*%ymm"),
    ("aarch64-unknown-linux-gnu", "+neon,+fullfp16,+dotprod", r"\tsdot\tv\d+\.4s"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("triple", "features", "pattern"), CODE)
def test_code_for_other_cpus(
    name: str, triple: str, features: str, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "target", lambda: vectors.parse_target(triple, features))
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(vectors.VOID, [vectors.I64] * 5), "kernel")
    builder = ir.IRBuilder(function.append_basic_block())
    quantized_loops.emit_rows(builder, name, *function.args)
    builder.ret_void()
    text = assembly(module, triple, features=features)
    steps = 256 * 8 // (256 if "ymm" in pattern else 128)
    assert len(re.findall(pattern, text)) == steps, "a dot product for each vector of a step's 256 bytes"
    assert not re.search(r"\t(callq?|bl)\t", text), "nothing is left to a library"


def test_what_cannot_be_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.frombuffer(random_blocks("q4_0", 16, 1.0), np.uint8)
    cases = [("q5_0", data, 256, "unsupported-dtype"), ("q4_0", data, 100, "shape-mismatch")]
    cases += [("q4_0", other, 256, "shape-mismatch") for other in (data[1:], data.view(np.int8))]
    for name, bytes_, depth, code in cases:
        with pytest.raises(InputError) as caught:
            QuantizedMatrix(name, bytes_, depth)
        assert caught.value.code == code
    monkeypatch.setattr(vectors, "target", lambda: vectors.parse_target("x86_64-linux", "+avx,+avx2,+fma"))
    with pytest.raises(InputError) as caught:
        QuantizedMatrix("q4_0", data, 256)
    assert caught.value.code == "no-instruction"
    assert quantized.row_bytes("q8_0", 512) == 544
