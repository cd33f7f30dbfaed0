"""Tiles of Intel's AMX: eight registers of 16 rows of 64 bytes, and products of two of them that are added to a third.

One product adds 32 bf16 or 64 bytes of depth to 16 × 16 sums. The right factor has two or four of its rows side by side
in a row of its tile (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18, and Intel
Architecture Instruction Set Extensions Programming Reference, chapter 3). Linux gives a process the state for tiles
only on request (Documentation/arch/x86/xstate.rst).
"""

import ctypes
import sys
from functools import cache
from typing import Any, Literal

import numpy as np
from llvmlite import ir

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.vectors import I8, VOID, Target

TileDtype = Literal["bf16", "int8"]
FEATURES: dict[TileDtype, str] = {"bf16": "amx-bf16", "int8": "amx-int8"}
"""The CPU's feature for the products of a dtype."""

PRODUCTS = {"bf16": "llvm.x86.tdpbf16ps", "int8": "llvm.x86.tdpbssd", "uint8": "llvm.x86.tdpbusd"}
"""Products by the left factor's elements; the right one's are bf16, or bytes with a sign."""

ROWS, ROW_BYTES = 16, 64
COLUMNS = ROW_BYTES // 4
"""Sums in a row of a tile."""

TILE_BYTES = ROWS * ROW_BYTES
CONFIG_BYTES = 64
PALETTE = 1

ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XTILEDATA = 158, 0x1023, 18
"""Linux's system call on x86-64 that requests the state, its operation, and the number of the tiles' state."""


def dtypes(target: Target) -> tuple[TileDtype, ...]:
    """Return the products that this process may run: the target has them, and the system grants it the tiles."""
    names: list[TileDtype] = [dtype for dtype, feature in FEATURES.items() if feature in target.features]
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


def configuration() -> Any:
    """Return the 64 bytes that `ldtilecfg` reads: palette 1, and 16 rows of 64 bytes for each of the eight tiles."""
    config = np.zeros(CONFIG_BYTES, np.uint8)
    config[0] = PALETTE
    config[16:32].view(np.uint16)[:] = ROW_BYTES
    config[48:56] = ROWS
    return config


class Tiles:
    """Emits instructions on tiles, which go by their numbers. Rows in memory are any distance in bytes apart."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def configure(self, address: ir.Value) -> None:
        """Emit giving all tiles the shapes that a `configuration` at this address states."""
        self._call("ldtilecfg", vectors.pointer(self.builder, address, I8))

    def zero(self, tile: int) -> None:
        """Emit setting a tile to zeros."""
        self._call("tilezero", _number(tile))

    def load(self, tile: int, address: ir.Value, row: ir.Value) -> None:
        """Emit loading a tile from memory."""
        self._call("tileloadd64", _number(tile), vectors.pointer(self.builder, address, I8), row)

    def stream(self, tile: int, address: ir.Value, row: ir.Value) -> None:
        """Emit loading a tile that L1 need not keep."""
        self._call("tileloaddt164", _number(tile), vectors.pointer(self.builder, address, I8), row)

    def store(self, tile: int, address: ir.Value, row: ir.Value) -> None:
        """Emit storing a tile."""
        self._call("tilestored64", _number(tile), vectors.pointer(self.builder, address, I8), row)

    def multiply(self, kind: str, total: int, left: int, right: int) -> None:
        """Emit adding the product of two tiles, one of `PRODUCTS`, to a third."""
        vectors.call(self.builder, PRODUCTS[kind], VOID, [_number(tile) for tile in (total, left, right)])

    def release(self) -> None:
        """Emit giving the tiles back, so that the system need not save them."""
        self._call("tilerelease")

    def _call(self, name: str, *arguments: ir.Value) -> None:
        vectors.call(self.builder, f"llvm.x86.{name}", VOID, list(arguments))


def _number(tile: int) -> ir.Constant:
    return ir.Constant(I8, tile)
