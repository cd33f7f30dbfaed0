"""Products of bf16 and bytes by tiles of AMX, where A has more than a few rows.

Run on an Intel Xeon of the fifth generation (Emerald Rapids); elsewhere tests run the loops with the instructions'
results computed in memory.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from msgspec import Struct

from hwbench.machine.parts import Cache
from hwbench.measure.codegen import tiles
from hwbench.measure.codegen.tiles import ROW_BYTES
from hwbench.measure.gemm import blocking, tile_loops
from hwbench.measure.gemm import threads as gemm_threads
from hwbench.measure.gemm.job import TileJob
from hwbench.measure.gemm.prepared import BlockMemory, GemmProduct
from hwbench.measure.gemm.threads import NOTHING, Share
from hwbench.measure.gemm.tile_kernel import SIDE, STRIP_BYTES

FEW_ROWS = 8
"""Rows of A up to which the vector units multiply: half a tile."""

Array = np.ndarray[Any, Any]


SHARE_L1 = 2 / 3
"""Share of L1 for 32 packed rows of A, which panels of B pass by."""

ONE_BLOCK = 2
"""Depth up to which there is one block, as a multiple of a block's: sums are then neither kept nor read again."""


class TileBlocks(Struct, frozen=True):
    """The largest blocks: so many bytes of depth, a multiple of a step's 64, and columns where that is all the depth;
    `side`: rows and columns of C whose sums stay in L2 where it is not.
    """

    depth: int
    columns: int
    side: int


def blocks(caches: Iterable[Cache]) -> TileBlocks:
    """Return the largest blocks for these caches: 32 packed rows of A for L1, packed B and sums of C for L2."""
    known = tuple(caches)
    l1 = blocking.cache_bytes(known, "L1d") or blocking.SMALL_L1
    l2 = blocking.SHARE_L2 * (blocking.cache_bytes(known, "L2") or blocking.SMALL_L2)
    depth = max(ROW_BYTES, int(SHARE_L1 * l1 / SIDE) // ROW_BYTES * ROW_BYTES)
    side = (math.sqrt(depth**2 + 16 * l2) - depth) / 8  # 4 side² + depth · side = l2
    return TileBlocks(depth, *(max(SIDE, int(most) // SIDE * SIDE) for most in (l2 / depth, side)))


class TileProduct(GemmProduct):
    """A prepared product by tiles."""

    def __init__(
        self, limits: TileBlocks, cpus: tuple[int, ...], a: Array, b: Array, out: Array, constant: bool
    ) -> None:
        super().__init__(tile_loops.run, np.zeros(1, a.dtype), cpus, a, b, out)
        self._constant = constant
        size, columns = a.itemsize, out.shape[1]
        every = blocking.up(a.shape[1] * size, ROW_BYTES)
        deep = every > ONE_BLOCK * limits.depth
        depth = blocking.even(every, limits.depth, ROW_BYTES) if deep else every
        most = (
            limits.side if deep else max(SIDE, limits.columns * limits.depth // max(depth, limits.depth) // SIDE * SIDE)
        )
        wide = blocking.even(columns, most, SIDE)
        tall = blocking.even(out.shape[0], limits.side, SIDE) if deep else out.shape[0]
        sums = blocking.up(tall, SIDE) * wide * 4 if deep else 0
        whole = every * blocking.up(columns, SIDE) if constant else depth * wide
        self._blocks = BlockMemory(depth * SIDE + SIDE * STRIP_BYTES + sums + whole, len(cpus))
        self._config = tiles.configuration()
        parts = gemm_threads.shares(out.shape[0], columns, len(cpus), SIDE, SIDE)
        for position in range(len(cpus)):
            share = parts[position] if position < len(parts) else NOTHING
            self._jobs[position, : len(TileJob._fields)] = self._job(share, (tall, depth // size, wide), sums, position)
        nothing = np.zeros_like(self._jobs[0])
        self._run(self._kind, nothing, 0, 0, 0)  # compiles

    def __call__(self) -> Array:
        """Compute `out` from the current operands."""
        super().__call__()
        if self._constant:
            self._jobs[:, TileJob._fields.index("packs")] = 0  # B stays packed
        return self.out

    def _job(self, share: Share, block: tuple[int, int, int], sums: int, position: int) -> TileJob:
        row_a, row_b, row_c = (array.strides[0] for array in (self._a, self._b, self._c))
        packed_a = self._blocks.address(position)
        scratch = packed_a + SIDE * block[1] * self._a.itemsize
        return TileJob(
            a=self._a.ctypes.data + share.row * row_a,
            row_a=row_a,
            b=self._b.ctypes.data + share.column * self._b.itemsize,
            row_b=row_b,
            c=self._c.ctypes.data + share.row * row_c + share.column * 4,
            row_c=row_c,
            rows=share.rows,
            columns=share.columns,
            depth=self._a.shape[1],
            size=self._a.itemsize,
            block_rows=block[0],
            block_depth=block[1],
            block_columns=block[2],
            config=self._config.ctypes.data,
            packed_a=packed_a,
            scratch=scratch,
            sums=scratch + SIDE * STRIP_BYTES,
            packed_b=scratch + SIDE * STRIP_BYTES + sums,
            packs=1,
            keeps=int(self._constant),
        )
