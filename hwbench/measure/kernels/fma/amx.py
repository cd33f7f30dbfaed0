"""Intel's AMX as tasks of the kernel `fma`: products of tiles in bf16 and int8, on Xeons since Sapphire Rapids."""

from typing import Any

import numpy as np

from hwbench.measure.codegen.tiles import COLUMNS, PRODUCTS, ROWS, TileDtype, configuration
from hwbench.measure.harness import Task
from hwbench.measure.kernels.clock.kernel import calibrated, cpu_seconds
from hwbench.measure.kernels.fma import amx_loops
from hwbench.measure.kernels.fma.amx_loops import LOOPS, SUMS
from hwbench.measure.kernels.team import Placement
from hwbench.measure.subject import MultiplyAdds

CHECKED_ROUNDS = 3

DEPTHS: dict[TileDtype, int] = {"bf16": 32, "int8": 64}
"""Elements of a row of a tile, which are summed up."""


def operations(dtype: TileDtype) -> int:
    """Return the operations of one instruction: a multiply and an add for each element of depth and each sum."""
    return 2 * ROWS * COLUMNS * DEPTHS[dtype]


class TileFactors:
    """Factors and results of one thread: small whole numbers, whose sums are exact in any order."""

    def __init__(self, dtype: TileDtype) -> None:
        self.dtype = dtype
        depth = DEPTHS[dtype]
        rng = np.random.default_rng(0)
        self.left = rng.integers(-3, 4, (ROWS, depth))
        self.right = rng.integers(-3, 4, (depth, COLUMNS))
        self.memory = (configuration(), packed(self.left, dtype), packed(interleaved(self.right), dtype))
        self.result = np.zeros((SUMS, ROWS, COLUMNS), np.float32 if dtype == "bf16" else np.int32)
        self.addresses = tuple(part.ctypes.data for part in (*self.memory, self.result))
        self.cycles = 0.0
        self.elapsed = 0.0

    def timed(self, rounds: int) -> None:
        """Run so many rounds on this thread, and keep its CPU time."""
        self.elapsed = cpu_seconds(self.run, rounds)

    def count(self) -> None:
        """Count the cycles of the last timed run, by the highest of three readings of the clock under this load."""
        rounds = calibrated(lambda rounds: self.run(rounds, loaded=True))
        fastest = min(cpu_seconds(self.run, rounds, True) for _ in range(3))
        self.cycles = self.elapsed * amx_loops.LOADED_CYCLES * rounds / max(fastest, 1e-9)

    def run(self, rounds: int, loaded: bool = False) -> None:
        """Run so many rounds of `SUMS` products."""
        LOOPS[self.dtype][loaded](rounds, *self.addresses, 1)

    def right_answer(self) -> bool:
        """Return whether a few rounds give numpy's product, as many times, in every sum and from both loops."""
        expected = CHECKED_ROUNDS * (self.left @ self.right)
        for loaded in (False, True):
            self.result[:] = -1
            self.run(CHECKED_ROUNDS, loaded)
            if not all(np.array_equal(tile, expected) for tile in self.result):
                return False
        return True


def interleaved(right: Any) -> Any:
    """Return the right factor (depth × 16) as its instruction reads it: a row of a tile holds each column's next rows.

    Two rows of bf16 and four of int8 make 32 bits: element (k, n) lies in row k // few at n · few + k % few.
    """
    depth, columns = right.shape
    few = depth // ROWS
    return right.reshape(ROWS, few, columns).transpose(0, 2, 1).reshape(ROWS, columns * few)


def packed(values: Any, dtype: TileDtype) -> Any:
    """Return whole numbers as a tile's bytes: a bf16 is the upper half of an fp32."""
    if dtype == "int8":
        return np.ascontiguousarray(values, np.int8)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16
    return np.ascontiguousarray(bits, np.uint16)


def task(dtype: TileDtype, cores: Placement) -> Task:
    """Return the task that measures products of tiles on one core, or on all cores of a team."""
    members = [TileFactors(dtype) for _ in range(len(cores))]

    def cycles() -> float:
        cores.each(members, TileFactors.count)
        return sum(tiles.cycles for tiles in members)

    return Task(
        kernel="fma",
        variant="throughput",
        unit="FLOP/s" if dtype == "bf16" else "op/s",
        work=operations(dtype) * SUMS * len(members),
        call=lambda rounds: cores.each(members, lambda tiles: tiles.timed(rounds)),
        dtype=dtype,
        isa="amx",
        subject=MultiplyAdds(PRODUCTS[dtype].rpartition(".")[2], accumulators=SUMS),
        check=lambda: all(tiles.right_answer() for tiles in members),
        cycles=cycles,
        **cores.fields,
    )
