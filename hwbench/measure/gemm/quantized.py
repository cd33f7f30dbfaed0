"""Products of a matrix of quantized weights with a vector, as language models need for every token.

The weights are blocks as GGUF files hold them. The vector is in fp32; each 32 of its numbers become bytes with a scale,
as in llama.cpp, whose rounding is the only one besides that of sums in fp32.
"""

from typing import Any

import numpy as np

from hwbench.errors import InputError
from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import by_lane
from hwbench.measure.gemm.microkernel import LINE
from hwbench.measure.gemm.quantized_loops import SIZES, STEP, VECTOR_BYTES, multiply_rows

BLOCK = 32
"""Numbers of the vector that share a scale."""

MAX_INT8 = 127
"""Largest byte of the vector."""

Array = np.ndarray[Any, Any]


def row_bytes(name: str, depth: int) -> int:
    """Return the bytes of a row of weights. Raises InputError for another format, and for no multiple of 256."""
    if name not in SIZES:
        text = f"Weights in {name} are not multiplied here."
        raise InputError("unsupported-dtype", text, field="dtype", nearest=tuple(SIZES))
    if depth < STEP or depth % STEP:
        text = f"Rows of quantized weights need a multiple of {STEP} weights, not {depth}."
        raise InputError("shape-mismatch", text, field="size")
    return depth // STEP * SIZES[name]


class QuantizedMatrix:
    """Rows of quantized weights in memory: `depth` weights each, in blocks of the format `name`.

    Raises InputError as `row_bytes`, for bytes that are no whole rows, and on a CPU without dot products of bytes.
    """

    def __init__(self, name: str, data: Array, depth: int) -> None:
        self.row = row_bytes(name, depth)
        if by_lane("int8", vectors.target()) is None:
            raise InputError("no-instruction", "This CPU has no dot products of int8.", field="dtype")
        self.name, self.depth, self.steps = name, depth, depth // STEP
        if data.dtype != np.uint8 or not data.flags.c_contiguous or not data.size or data.size % self.row:
            raise InputError("shape-mismatch", f"Weights must be bytes of whole rows, {self.row} each.", field="data")
        self.data, self.rows = data, data.size // self.row

    def multiply(self, vector: Array, out: Array, first: int, rows: int, repetitions: int = 1) -> None:
        """Write the products of rows from `first` on with a vector from `vector_for` to their places in `out`."""
        weights, target = self.data.ctypes.data + first * self.row, out.ctypes.data + 4 * first
        multiply_rows(list(SIZES).index(self.name), weights, vector.ctypes.data, target, rows, self.steps, repetitions)


def vector_for(name: str, values: Array) -> Array:
    """Return numbers, a multiple of 256 of them, as the dot products of a format read them: see `VECTOR_BYTES`."""
    blocks = values.astype(np.float32).reshape(-1, 8, BLOCK)
    scale = np.abs(blocks).max(axis=2) / np.float32(MAX_INT8)
    codes = np.rint(blocks / np.where(scale == 0, 1, scale)[:, :, None]).astype(np.int8)
    sums = scale * codes.sum(axis=2, dtype=np.int32)
    before, after = np.zeros((2, len(blocks), 16), np.float32)
    if name == "q4_k":  # weights i and i + 32 of 64 in one byte; minima are subtracted
        before[:, :8] = scale / np.tile([1, 16], 4)
        after[:, 8:] = -sums
    else:
        before[:, :8], before[:, 8:] = scale, scale / 16
        after[:, :8] = -sums * (8 if name == "q4_0" else 128 if vectors.target().x86 else 0)
    if name == "q4_0":  # weights i and i + 16 of 32 in one byte: lower halves of two blocks, then upper ones
        codes = codes.reshape(-1, 4, 2, 2, 16).transpose(0, 1, 3, 2, 4)
    parts = [part.reshape(len(blocks), -1).view(np.uint8) for part in (np.ascontiguousarray(codes), before, after)]
    memory = np.empty(len(blocks) * VECTOR_BYTES + LINE, np.uint8)
    lines = memory[-memory.ctypes.data % LINE :][: len(blocks) * VECTOR_BYTES]
    np.concatenate(parts, axis=1, out=lines.reshape(len(blocks), -1))
    return lines


def dequantized(name: str, rows: Array) -> Array:
    """Return weights in fp64 from rows of bytes, by the formulas of `quantized_loops`: the reference for products."""
    if name == "q4_k":
        blocks = rows.reshape(-1, SIZES[name])
        first, second = (blocks[:, start : start + 2].copy().view(np.float16).astype(np.float64) for start in (0, 2))
        bits = blocks[:, 4:16].astype(np.int64)
        low, middle, high = bits[:, :4], bits[:, 4:8], bits[:, 8:]
        scales = np.concatenate([low & 63, high & 15 | low >> 6 << 4], axis=1) * first
        minima = np.concatenate([middle & 63, high >> 4 | middle >> 6 << 4], axis=1) * second
        pairs = blocks[:, 16:].reshape(-1, 4, 1, 32)
        codes = np.concatenate([pairs & 15, pairs >> 4], axis=2).reshape(-1, 8, 32)
        values = scales[:, :, None] * codes - minima[:, :, None]
    else:
        blocks = rows.reshape(-1, SIZES[name] // 8)
        scales, codes = blocks[:, :2].copy().view(np.float16).astype(np.float64), blocks[:, 2:]
        if name == "q4_0":
            codes = np.concatenate([codes & 15, codes >> 4], axis=1).astype(np.int64) - 8
        values = scales * (codes if name == "q4_0" else codes.view(np.int8))
    result: Array = values.reshape(len(rows), -1)
    return result
