"""Intel's AMX as tasks of the kernel `fma`: products of tiles in bf16 and int8, on Xeons since Sapphire Rapids.

Linux gives a process the state for tiles only on request (Documentation/arch/x86/xstate.rst).
"""

import ctypes
import sys
from functools import cache
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from hwbench.measure.codegen.vectors import Target
from hwbench.measure.harness import Task
from hwbench.measure.kernels.clock.kernel import calibrated, cpu_seconds
from hwbench.measure.kernels.fma import amx_loops
from hwbench.measure.kernels.fma.amx_loops import LOOPS, ROW_BYTES, ROWS, SUMS, TileDtype
from hwbench.measure.kernels.team import Placement
from hwbench.measure.subject import MultiplyAdds

CONFIG_BYTES = 64
PALETTE = 1

ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA = 158, 0x1023, 18
"""Linux's system call on x86-64 that requests the state, its operation, and the number of the tiles' state."""

CHECKED_ROUNDS = 3


class AmxProduct(Struct, frozen=True):
    """One kind of product: the CPU's feature, and how many elements of a row are summed up."""

    feature: str
    depth: int
    unit: Literal["FLOP/s", "op/s"]

    @property
    def operations(self) -> int:
        """Operations of one instruction: a multiply and an add for each element of depth and each sum."""
        return 2 * ROWS * (ROW_BYTES // 4) * self.depth


PRODUCTS: dict[TileDtype, AmxProduct] = {
    "bf16": AmxProduct("amx-bf16", 32, "FLOP/s"),
    "int8": AmxProduct("amx-int8", 64, "op/s"),
}


def dtypes(target: Target) -> tuple[TileDtype, ...]:
    """Return the products that this process may run: the target has them, and the system grants it the tiles."""
    names: list[TileDtype] = [dtype for dtype, product in PRODUCTS.items() if product.feature in target.features]
    if not names or not target.x86 or "amx-tile" not in target.features or not permitted():
        return ()
    return tuple(names)


@cache
def permitted() -> bool:
    """Request the tiles' state from Linux, once a process; without it the first instruction would kill the process."""
    if not sys.platform.startswith("linux"):
        return False
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    system_call.restype = ctypes.c_long
    arguments = (ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA)
    return bool(system_call(*(ctypes.c_long(argument) for argument in arguments)) == 0)


class Tiles:
    """Factors and results of one thread: small whole numbers, whose sums are exact in any order."""

    def __init__(self, dtype: TileDtype) -> None:
        self.dtype = dtype
        depth = PRODUCTS[dtype].depth
        rng = np.random.default_rng(0)
        self.left = rng.integers(-3, 4, (ROWS, depth))
        self.right = rng.integers(-3, 4, (depth, ROW_BYTES // 4))
        self.memory = (configuration(), packed(self.left, dtype), packed(interleaved(self.right), dtype))
        self.result = np.zeros((SUMS, ROWS, ROW_BYTES // 4), np.float32 if dtype == "bf16" else np.int32)
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


def configuration() -> Any:
    """Return the 64 bytes that `ldtilecfg` reads: palette 1, and 16 rows of 64 bytes for each of the eight tiles."""
    config = np.zeros(CONFIG_BYTES, np.uint8)
    config[0] = PALETTE
    config[16:32].view(np.uint16)[:] = ROW_BYTES
    config[48:56] = ROWS
    return config


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
    members = [Tiles(dtype) for _ in range(len(cores))]

    def cycles() -> float:
        cores.each(members, Tiles.count)
        return sum(tiles.cycles for tiles in members)

    return Task(
        kernel="fma",
        variant="throughput",
        unit=PRODUCTS[dtype].unit,
        work=PRODUCTS[dtype].operations * SUMS * len(members),
        call=lambda rounds: cores.each(members, lambda tiles: tiles.timed(rounds)),
        dtype=dtype,
        isa="amx",
        subject=MultiplyAdds(amx_loops.INSTRUCTIONS[dtype].rpartition(".")[2], accumulators=SUMS),
        check=lambda: all(tiles.right_answer() for tiles in members),
        cycles=cycles,
        **cores.fields,
    )
