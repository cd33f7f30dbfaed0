"""Intel's AMX: products of tiles in bf16 and int8, the matrix engine of Xeons since Sapphire Rapids.

A tile is 16 rows of 64 bytes. One instruction multiplies two of them and adds the product to a third: 16 × 16 sums of
32 bf16 or 64 int8 products (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18, and
Intel Architecture Instruction Set Extensions Programming Reference, chapter 3). Six sums are kept, all of the same two
tiles: more than the 52 cycles of latency at one product in 16 cycles ask for.

Linux gives a process the state for tiles only when asked (Documentation/arch/x86/xstate.rst).
"""

import ctypes
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
from llvmlite import ir
from msgspec import Struct
from numba import types
from numba.extending import intrinsic

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled
from hwbench.measure.codegen.vectors import I8, I64, Target
from hwbench.measure.harness import Task
from hwbench.measure.kernels.clock import loops as clock_loops
from hwbench.measure.kernels.clock.kernel import calibrated
from hwbench.measure.kernels.team import Team

TileDtype = Literal["bf16", "int8"]

ROWS, ROW_BYTES = 16, 64
TILE_BYTES = ROWS * ROW_BYTES
SUMS = 6
"""Tiles that are added up in: 0 to 5. Tiles 6 and 7 hold the factors."""

LEFT, RIGHT = SUMS, SUMS + 1
CONFIG_BYTES = 64
PALETTE = 1

PAIRS_BESIDE = 10
"""Pairs of the chain beside each product in the loaded loop: 20 cycles, where a product takes 16."""

LOADED_CYCLES = 2 * PAIRS_BESIDE * SUMS
"""Clock cycles of one round of the loaded loop."""

ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA = 158, 0x1023, 18
"""Linux's system call for it on x86-64, what is asked of it, and the number of the tiles' state."""

CHECKED_ROUNDS = 3


class AmxProduct(Struct, frozen=True):
    """One kind of product: its instruction, the CPU's feature, and how many elements of a row are summed up."""

    instruction: str
    feature: str
    depth: int
    unit: Literal["FLOP/s", "op/s"]

    @property
    def operations(self) -> int:
        """Operations of one instruction: a multiply and an add for each element of depth and each sum."""
        return 2 * ROWS * (ROW_BYTES // 4) * self.depth


PRODUCTS: dict[TileDtype, AmxProduct] = {
    "bf16": AmxProduct("llvm.x86.tdpbf16ps", "amx-bf16", 32, "FLOP/s"),
    "int8": AmxProduct("llvm.x86.tdpbssd", "amx-int8", 64, "op/s"),
}


def dtypes(target: Target) -> tuple[TileDtype, ...]:
    """Which products this process may run: code can be made for them, and the system gives it the tiles."""
    found: list[TileDtype] = [dtype for dtype, product in PRODUCTS.items() if product.feature in target.features]
    if not found or not target.x86 or "amx-tile" not in target.features or not permitted():
        return ()
    return tuple(found)


@cache
def permitted() -> bool:
    """Ask Linux for the tiles' state, once a process; without it the first instruction would kill the process."""
    if not sys.platform.startswith("linux"):
        return False
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    system_call.restype = ctypes.c_long
    arguments = (ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA)
    return bool(system_call(*(ctypes.c_long(argument) for argument in arguments)) == 0)


def tiles_ir(
    builder: ir.IRBuilder, rounds: ir.Value, addresses: Sequence[ir.Value], link: ir.Value, dtype: TileDtype, pairs: int
) -> ir.Value:
    """`SUMS` products a round, with `pairs` of the chain beside each; gives the chain's last value.

    `addresses`: of the configuration (64 bytes), the two factors, and `SUMS` tiles for the result, one after another.
    """
    config, left, right, result = addresses
    _call(builder, "llvm.x86.ldtilecfg", [vectors.pointer(builder, config, I8)])
    for tile, address in ((LEFT, left), (RIGHT, right)):
        _call(builder, "llvm.x86.tileloadd64", _place(builder, tile, address))
    for tile in range(SUMS):
        _call(builder, "llvm.x86.tilezero", [_tile(tile)])
    step, mask = (
        builder.xor(link, vectors.constant(clock_loops.STEP)),
        builder.xor(link, vectors.constant(clock_loops.MASK)),
    )

    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        value = values[0]
        for tile in range(SUMS):
            _call(builder, PRODUCTS[dtype].instruction, [_tile(tile), _tile(LEFT), _tile(RIGHT)])
            for _ in range(pairs):
                value = clock_loops.pair(builder, value, step, mask)
        return [value]

    last = vectors.loop(builder, rounds, [link], body)[0]
    for tile in range(SUMS):
        address = vectors.offset(builder, result, tile * TILE_BYTES)
        _call(builder, "llvm.x86.tilestored64", _place(builder, tile, address))
    _call(builder, "llvm.x86.tilerelease", [])
    return last


def _call(builder: ir.IRBuilder, name: str, arguments: Sequence[ir.Value]) -> None:
    kinds = [argument.type for argument in arguments]
    builder.call(vectors.declared(builder, name, ir.VoidType(), kinds), list(arguments))


def _tile(number: int) -> ir.Constant:
    return ir.Constant(I8, number)


def _place(builder: ir.IRBuilder, tile: int, address: ir.Value) -> list[ir.Value]:
    """Arguments of a load or store: the tile, the first row's address, the bytes from row to row."""
    return [_tile(tile), vectors.pointer(builder, address, I8), ir.Constant(I64, ROW_BYTES)]


@intrinsic(prefer_literal=True)
def _tiles(
    _context: Any, _rounds: Any, _config: Any, _left: Any, _right: Any, _result: Any, _link: Any, dtype: Any, pairs: Any
) -> Any:
    def generate(_context: Any, builder: ir.IRBuilder, _signature: Any, arguments: list[ir.Value]) -> ir.Value:
        rounds, *addresses, link = arguments[:6]
        return tiles_ir(builder, rounds, addresses, link, dtype.literal_value, pairs.literal_value)

    whole = types.int64
    return whole(whole, whole, whole, whole, whole, whole, dtype, pairs), generate


@compiled
def bf16(rounds: int, config: int, left: int, right: int, result: int, link: int) -> Any:
    """Products of bf16 tiles and nothing else."""
    return _tiles(rounds, config, left, right, result, link, "bf16", 0)


@compiled
def int8(rounds: int, config: int, left: int, right: int, result: int, link: int) -> Any:
    """Products of int8 tiles and nothing else."""
    return _tiles(rounds, config, left, right, result, link, "int8", 0)


@compiled
def loaded_bf16(rounds: int, config: int, left: int, right: int, result: int, link: int) -> Any:
    """Products of bf16 tiles beside the chain."""
    return _tiles(rounds, config, left, right, result, link, "bf16", PAIRS_BESIDE)


@compiled
def loaded_int8(rounds: int, config: int, left: int, right: int, result: int, link: int) -> Any:
    """Products of int8 tiles beside the chain."""
    return _tiles(rounds, config, left, right, result, link, "int8", PAIRS_BESIDE)


KERNELS: dict[TileDtype, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "bf16": (bf16, loaded_bf16), "int8": (int8, loaded_int8),
}  # fmt: skip
"""The plain and the loaded loop of each dtype."""


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
        """So many rounds on this thread, whose CPU time is kept."""
        before = time.thread_time()
        self.run(rounds)
        self.elapsed = time.thread_time() - before

    def count(self) -> None:
        """The clock cycles of the last timed run, by the highest of three readings of the clock under this load."""
        rounds = calibrated(lambda rounds: self.run(rounds, loaded=True))
        times = []
        for _ in range(3):
            before = time.thread_time()
            self.run(rounds, loaded=True)
            times.append(max(time.thread_time() - before, 1e-9))
        self.cycles = self.elapsed * LOADED_CYCLES * rounds / min(times)

    def run(self, rounds: int, loaded: bool = False) -> None:
        """So many rounds of `SUMS` products."""
        KERNELS[self.dtype][loaded](rounds, *self.addresses, 1)

    def right_answer(self) -> bool:
        """Whether a few rounds give numpy's product, as many times, in every sum and from both loops."""
        known = CHECKED_ROUNDS * (self.left @ self.right)
        for loaded in (False, True):
            self.result[:] = -1
            self.run(CHECKED_ROUNDS, loaded)
            if not all(np.array_equal(tile, known) for tile in self.result):
                return False
        return True


def configuration() -> Any:
    """The 64 bytes that `ldtilecfg` reads: palette 1, and 16 rows of 64 bytes for each of the eight tiles."""
    config = np.zeros(CONFIG_BYTES, np.uint8)
    config[0] = PALETTE
    config[16:32].view(np.uint16)[:] = ROW_BYTES
    config[48:56] = ROWS
    return config


def interleaved(right: Any) -> Any:
    """The right factor (depth × 16) as its instruction reads it: each row of a tile holds one column's next few rows.

    Two rows of bf16 and four of int8 make 32 bits: element (k, n) stands in row k // few at n · few + k % few.
    """
    depth, columns = right.shape
    few = depth // ROWS
    return right.reshape(ROWS, few, columns).transpose(0, 2, 1).reshape(ROWS, columns * few)


def packed(values: Any, dtype: TileDtype) -> Any:
    """Whole numbers as a tile's bytes: a bf16 is the upper half of a fp32."""
    if dtype == "int8":
        return np.ascontiguousarray(values, np.int8)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16
    return np.ascontiguousarray(bits, np.uint16)


def task(dtype: TileDtype, cpus: tuple[int, ...], core_class: str | None, team: Team | None = None) -> Task:
    """Products of tiles on one core, or on all that a team has, as a task of the kernel `fma`."""
    members = [Tiles(dtype) for _ in cpus] if team else [Tiles(dtype)]

    def together(job: Callable[[Tiles], None]) -> None:
        if team is None:
            job(members[0])
        else:
            team.run(lambda position: job(members[position]))

    def cycles() -> float:
        together(lambda tiles: tiles.count())
        return sum(tiles.cycles for tiles in members)

    return Task(
        kernel="fma",
        variant="throughput",
        unit=PRODUCTS[dtype].unit,
        work=PRODUCTS[dtype].operations * SUMS * len(members),
        call=lambda rounds: together(lambda tiles: tiles.timed(rounds)),
        dtype=dtype,
        isa="amx",
        threads=len(members),
        clock="wall" if team else "cpu",
        cpus=cpus,
        core_class=core_class,
        parameters={"instructions": PRODUCTS[dtype].instruction.rpartition(".")[2], "accumulators": SUMS},
        check=lambda: all(tiles.right_answer() for tiles in members),
        cycles=cycles,
        close=team.close if team else None,
    )
