"""The operands of products of fp16, bf16 or bytes, whose sums are in fp32 or in 32-bit integers."""

from typing import Any

import numpy as np

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import ELEMENTS
from hwbench.measure.gemm.loops import widen_rows

SHIFT = 0x80
"""What a byte without a sign is above one with it that has the same bits but the first; and the bit itself."""


class Lanes:
    """A as a matrix of lanes of 32 bits, made anew at each call; `depth` is that of lanes.

    x86 multiplies bytes without a sign by bytes with one, Arm two with one. Where those of A are of the other kind, 128
    is added to them or taken from them; then `shift` is a row of lanes of that number, whose product with B makes up
    for it. An fp16 becomes an fp32, by instructions on the kind of vectors that `vector` tells.
    """

    def __init__(self, dtype: str, a: Any, vector: Any) -> None:
        self._vector = vector if dtype == "fp16" else None
        few, unsigned = ELEMENTS[dtype], a.dtype == np.uint8
        self.a, self.depth = a, -(-a.shape[1] // few)
        self.shift: Any = None
        if dtype == "int8" and unsigned != vectors.target().x86:
            self.shift = np.full(4 * self.depth, SHIFT, np.uint8)
        self.copy: Any = None
        if dtype == "fp16":
            self.copy = np.zeros(a.shape, np.float32)
        elif self.shift is not None or a.shape[1] % few or not in_lanes(a):
            self.copy = np.zeros((a.shape[0], self.depth * few), np.uint8 if dtype == "int8" else np.uint16)
        self.of_a = (a if self.copy is None else self.copy).view(np.float32 if dtype == "fp16" else np.uint32)

    def make(self) -> None:
        """Fill the lanes from the current operand."""
        if self._vector is not None:
            rows = np.ascontiguousarray(self.a)
            addresses = self.copy.ctypes.data, self.copy.strides[0], rows.ctypes.data, rows.strides[0]
            widen_rows(self._vector, *addresses, *rows.shape)
        elif self.copy is not None:
            bits, columns = self.a.view(self.copy.dtype), slice(self.a.shape[1])
            if self.shift is None:
                self.copy[:, columns] = bits
            else:
                np.bitwise_xor(bits, SHIFT, out=self.copy[:, columns])


def in_lanes(a: Any) -> bool:
    """Return whether the rows of a matrix are lanes as they lie in memory."""
    return bool(a.strides[1] == a.itemsize and a.strides[0] % 4 == 0 and a.ctypes.data % 4 == 0)


def bf16(values: Any) -> Any:
    """Return fp32 numbers as the bits of bf16: their upper halves, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype(np.uint16)
