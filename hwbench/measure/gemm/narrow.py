"""The operands of products of bf16 or of bytes, whose sums are in fp32 or in 32-bit integers."""

from typing import Any

import numpy as np

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import ELEMENTS
from hwbench.measure.gemm import lane_loops

SHIFT = 128
"""What a byte without a sign is above one with it that has the same bits but the first."""


class Lanes:
    """The operands of a narrow product as matrices of lanes of 32 bits, made anew at each call.

    x86 multiplies bytes without a sign by bytes with one, Arm two with one. Where those of A are of the other kind, 128
    is added to them or taken from them, and `bias`, a multiple of the columns' sums of B, makes up for it.
    """

    def __init__(self, dtype: str, a: Any, b: Any) -> None:
        self.a, self.b = a, b
        few, unsigned = ELEMENTS[dtype], a.dtype == np.uint8
        depth, columns = -(-a.shape[1] // few), b.shape[1]
        self.of_b = np.zeros((depth, columns), np.uint32)
        self.shift = 0 if dtype == "bf16" or unsigned == vectors.target().x86 else SHIFT if unsigned else -SHIFT
        self.sums = np.zeros(columns, np.int32) if dtype == "int8" else None
        self.copy: Any = None
        if self.shift or a.shape[1] % few or not in_lanes(a):
            self.copy = np.zeros((a.shape[0], depth * few), np.uint8 if dtype == "int8" else np.uint16)
        self.of_a = (a if self.copy is None else self.copy).view(np.uint32)

    @property
    def bias(self) -> Any:
        """Return the row of 32-bit integers that is added to every row of the product; None where none is."""
        return self.sums if self.shift else None

    def make(self) -> None:
        """Fill the lanes from the current operands."""
        if self.sums is None:
            lane_loops.pair_rows(self.b, self.of_b)
        else:
            lane_loops.quad_rows(self.b, self.of_b, self.sums, self.shift)
        if self.shift:
            lane_loops.flipped(self.a, self.copy)
        elif self.copy is not None:
            self.copy[:, : self.a.shape[1]] = self.a.view(self.copy.dtype)


def in_lanes(a: Any) -> bool:
    """Return whether the rows of a matrix are lanes as they lie in memory."""
    return bool(a.strides[1] == a.itemsize and a.strides[0] % 4 == 0 and a.ctypes.data % 4 == 0)


def bf16(values: Any) -> Any:
    """Return fp32 numbers as the bits of bf16: their upper halves, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype(np.uint16)
