"""Memory for measurements: how much may be allocated, and buffers that begin at a boundary."""

from typing import Any

import numpy as np

from hwbench.machine.host.files import Files
from hwbench.machine.host.memory import free_memory

ALIGNMENT = 4096
"""Buffers begin at a page, so that vectors and cache lines are aligned alike in every run."""

HUGE_PAGE = 2 << 20
"""Bytes of the huge pages that the system uses where it can."""

SHARE = 0.25
"""Share of the free memory that a measurement may take, so that it never makes the machine swap."""

MAX_BYTES = 4 << 30
"""Bytes that suffice for every known cache."""

UNKNOWN_FREE = 1 << 30
"""Bytes assumed to be free where the system reports nothing."""


def affordable(files: Files | None = None) -> int:
    """Return the bytes that a measurement may allocate: a quarter of what is free to this process, up to 4 GiB."""
    free = free_memory(files or Files())
    return int(min(MAX_BYTES, SHARE * (UNKNOWN_FREE if free is None else free)))


def aligned(size: int, alignment: int = ALIGNMENT) -> Any:
    """Return `size` bytes from a multiple of `alignment` on, as an untouched array of uint8."""
    raw = np.empty(size + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size]


def natural(size: int) -> int:
    """Return the alignment in bytes at which `size` bytes cross no boundary of a larger power of two, up to 2 MiB.

    AMD's first-level cache predicts its way from a hash of the address, which two pages on either side of such a
    boundary may share: they then evict each other, and 8 KiB seem not to fit in a cache of 32 KiB.
    """
    return min(HUGE_PAGE, max(ALIGNMENT, 1 << max(0, size - 1).bit_length()))
