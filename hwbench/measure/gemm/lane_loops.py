"""Matrices of narrow elements as matrices of lanes of 32 bits: two bf16, or four bytes, of one row of A or column of B.

A product of lanes adds the products of all their elements, so that the kernels of fp32 multiply narrow matrices too.
Where the depth is no multiple of a lane's elements, zeros fill the last lane.
"""

from typing import Any

import numpy as np

from hwbench.measure.codegen.compile import compiled

FLIP = 0x80
"""What turns a byte with a sign into one without, larger by 128, and back."""


@compiled
def pair_rows(b: Any, lanes: Any) -> None:
    """Put each two rows of a matrix of 16-bit numbers side by side."""
    depth, columns = b.shape
    for row in range(depth // 2):
        for column in range(columns):
            lanes[row, column] = np.uint32(b[2 * row, column]) | (np.uint32(b[2 * row + 1, column]) << np.uint32(16))
    if depth % 2:
        for column in range(columns):
            lanes[depth // 2, column] = np.uint32(b[depth - 1, column])


@compiled
def quad_rows(b: Any, lanes: Any, sums: Any, factor: int) -> None:
    """Put each four rows of a matrix of bytes side by side, and compute a multiple of each column's sum."""
    depth, columns = b.shape
    sums[:] = 0
    for row in range(depth // 4):
        for column in range(columns):
            first, second = b[4 * row, column], b[4 * row + 1, column]
            third, fourth = b[4 * row + 2, column], b[4 * row + 3, column]
            low = np.uint32(np.uint8(first)) | (np.uint32(np.uint8(second)) << np.uint32(8))
            high = np.uint32(np.uint8(third)) | (np.uint32(np.uint8(fourth)) << np.uint32(8))
            lanes[row, column] = low | (high << np.uint32(16))
            sums[column] += np.int32(first) + np.int32(second) + np.int32(third) + np.int32(fourth)
    if depth % 4:
        for column in range(columns):
            lane = np.uint32(0)
            for row in range(depth // 4 * 4, depth):
                lane |= np.uint32(np.uint8(b[row, column])) << np.uint32(8 * (row % 4))
                sums[column] += np.int32(b[row, column])
            lanes[depth // 4, column] = lane
    for column in range(columns):
        sums[column] *= np.int32(factor)


@compiled
def flipped(a: Any, bytes_: Any) -> None:
    """Copy bytes, with or without a sign, as those of the other kind, larger or smaller by 128."""
    for row in range(a.shape[0]):
        for column in range(a.shape[1]):
            bytes_[row, column] = np.uint8(a[row, column]) ^ np.uint8(FLIP)
