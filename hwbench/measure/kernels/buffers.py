"""Memory to measure: how much may be taken, and buffers whose pages are there before anything is timed."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from hwbench.machine.host import cgroup
from hwbench.machine.host.facts import Files

ALIGNMENT = 4096
"""Buffers begin at a page, so that vectors and cache lines lie alike in every run."""

HUGE_PAGE = 2 << 20
"""Bytes of the pages that the system makes where it can."""

SHARE = 0.25
"""Part of the free memory that a measurement may take: it must never push the machine into swapping."""

MOST = 4 << 30
"""Bytes that are enough for any cache known."""

UNKNOWN_FREE = 1 << 30
"""Bytes taken for free where the system does not say."""


def affordable(files: Files | None = None) -> int:
    """Bytes that a measurement may allocate: a quarter of what is free to this process, 4 GiB at most."""
    return int(min(MOST, SHARE * free_memory(files or Files())))


def free_memory(files: Files) -> int:
    """Bytes free to this process: /proc/meminfo's `MemAvailable`, less where a control group allows less.

    What the group uses already counts as taken, caches of files included, so that the answer is on the safe side.
    """
    known = [_available(files), *_left_by_groups(files)]
    return max(0, min((amount for amount in known if amount is not None), default=UNKNOWN_FREE))


def _available(files: Files) -> int | None:
    for line in (files.text("/proc/meminfo") or "").splitlines():
        name, _, value = line.partition(":")
        number = value.split()
        if name == "MemAvailable" and number and number[0].isdigit():
            return int(number[0]) << 10
    if files.root != "/":
        return None
    try:  # not Linux: half of all memory is as good a guess as any
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return None


def _left_by_groups(files: Files) -> Iterable[int]:
    limit = cgroup.limits(files).memory
    if limit is not None:
        mount = f"{cgroup.MOUNT}/memory"
        names = (f"{cgroup.MOUNT}/memory.current", f"{mount}/memory.usage_in_bytes")
        used = next((number for name in names if (number := files.number(name)) is not None), 0)
        yield limit - used if used < limit else limit // 8


def aligned(size: int, alignment: int = ALIGNMENT) -> Any:
    """`size` bytes from a multiple of `alignment`, as an array of uint8 that nobody has touched yet."""
    raw = np.empty(size + alignment, np.uint8)
    start = -raw.ctypes.data % alignment
    return raw[start : start + size]


def natural(size: int) -> int:
    """The alignment in bytes at which `size` bytes cross no boundary of a larger power of two, 2 MiB at most.

    AMD's first-level cache predicts its way by a hash of the address, and two pages on either side of such a boundary
    may share it: they then push each other out, and a working set of 8 KiB reads as if it did not fit in 32.
    """
    return min(HUGE_PAGE, max(ALIGNMENT, 1 << max(0, size - 1).bit_length()))
