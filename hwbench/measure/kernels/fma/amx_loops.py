"""Loops of products of tiles on Intel's AMX, alone and beside the chain of the clock.

Six sums are kept, all of the same two tiles: more than a latency of 52 cycles at one product in 16 cycles needs.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.compile import compiled
from hwbench.measure.codegen.tiles import ROW_BYTES, TILE_BYTES, TileDtype, Tiles
from hwbench.measure.kernels.clock.loops import MASK, STEP, pair

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
    tiles, row = Tiles(builder), vectors.constant(ROW_BYTES)
    tiles.configure(config)
    for tile, address in ((LEFT, left), (RIGHT, right)):
        tiles.load(tile, address, row)
    for tile in range(SUMS):
        tiles.zero(tile)
    step, mask = builder.xor(link, vectors.constant(STEP)), builder.xor(link, vectors.constant(MASK))

    def body(_number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        value = values[0]
        for tile in range(SUMS):
            tiles.multiply(dtype, tile, LEFT, RIGHT)
            for _ in range(pairs):
                value = pair(builder, value, step, mask)
        return [value]

    last = vectors.loop(builder, rounds, [link], body)[0]
    for tile in range(SUMS):
        tiles.store(tile, vectors.offset(builder, result, tile * TILE_BYTES), row)
    tiles.release()
    return last


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
