"""Loops of products of tiles on Intel's AMX, alone and beside the chain of the clock.

A tile is 16 rows of 64 bytes. One instruction multiplies two of them and adds the product to a third: 16 × 16 sums of
32 bf16 or 64 int8 products (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18, and
Intel Architecture Instruction Set Extensions Programming Reference, chapter 3). Six sums are kept, all of the same two
tiles: more than a latency of 52 cycles at one product in 16 cycles needs.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled
from hwbench.measure.codegen.vectors import I8, I64, VOID
from hwbench.measure.kernels.clock.loops import MASK, STEP, pair

TileDtype = Literal["bf16", "int8"]
INSTRUCTIONS: dict[TileDtype, str] = {"bf16": "llvm.x86.tdpbf16ps", "int8": "llvm.x86.tdpbssd"}

ROWS, ROW_BYTES = 16, 64
TILE_BYTES = ROWS * ROW_BYTES
SUMS = 6
"""Tiles that hold sums: 0 to 5. Tiles 6 and 7 hold the factors."""

LEFT, RIGHT = SUMS, SUMS + 1

PAIRS_BESIDE = 10
"""Pairs of the chain beside each product in the loaded loop: 20 cycles, where a product takes 16."""

LOADED_CYCLES = 2 * PAIRS_BESIDE * SUMS
"""Clock cycles of one round of the loaded loop."""


def tiles_ir(
    builder: ir.IRBuilder, rounds: ir.Value, addresses: Sequence[ir.Value], link: ir.Value, dtype: TileDtype, pairs: int
) -> ir.Value:
    """Emit `SUMS` products a round, with `pairs` of the chain beside each; the value is the chain's last.

    `addresses`: of the configuration (64 bytes), the two factors, and `SUMS` tiles for the result, one after another.
    """
    config, left, right, result = addresses
    vectors.call(builder, "llvm.x86.ldtilecfg", VOID, [vectors.pointer(builder, config, I8)])
    for tile, address in ((LEFT, left), (RIGHT, right)):
        vectors.call(builder, "llvm.x86.tileloadd64", VOID, _place(builder, tile, address))
    for tile in range(SUMS):
        vectors.call(builder, "llvm.x86.tilezero", VOID, [_tile(tile)])
    step, mask = builder.xor(link, vectors.constant(STEP)), builder.xor(link, vectors.constant(MASK))

    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        value = values[0]
        for tile in range(SUMS):
            vectors.call(builder, INSTRUCTIONS[dtype], VOID, [_tile(tile), _tile(LEFT), _tile(RIGHT)])
            for _ in range(pairs):
                value = pair(builder, value, step, mask)
        return [value]

    last = vectors.loop(builder, rounds, [link], body)[0]
    for tile in range(SUMS):
        address = vectors.offset(builder, result, tile * TILE_BYTES)
        vectors.call(builder, "llvm.x86.tilestored64", VOID, _place(builder, tile, address))
    vectors.call(builder, "llvm.x86.tilerelease", VOID, [])
    return last


def _tile(number: int) -> ir.Constant:
    return ir.Constant(I8, number)


def _place(builder: ir.IRBuilder, tile: int, address: ir.Value) -> list[ir.Value]:
    """Return arguments of a load or store: the tile, the first row's address, the bytes from row to row."""
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


# A CPU may have one kind of product and not the other, so that each has functions of its own.
@compiled
def bf16(rounds: int, config: int, left: int, right: int, result: int, link: int) -> Any:
    """Run products of bf16 tiles and nothing else."""
    return _tiles(rounds, config, left, right, result, link, "bf16", 0)


@compiled
def int8(rounds: int, config: int, left: int, right: int, result: int, link: int) -> Any:
    """Run products of int8 tiles and nothing else."""
    return _tiles(rounds, config, left, right, result, link, "int8", 0)


@compiled
def loaded_bf16(rounds: int, config: int, left: int, right: int, result: int, link: int) -> Any:
    """Run products of bf16 tiles beside the chain."""
    return _tiles(rounds, config, left, right, result, link, "bf16", PAIRS_BESIDE)


@compiled
def loaded_int8(rounds: int, config: int, left: int, right: int, result: int, link: int) -> Any:
    """Run products of int8 tiles beside the chain."""
    return _tiles(rounds, config, left, right, result, link, "int8", PAIRS_BESIDE)


LOOPS: dict[TileDtype, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "bf16": (bf16, loaded_bf16), "int8": (int8, loaded_int8),
}  # fmt: skip
"""The plain and the loaded loop of each dtype."""
