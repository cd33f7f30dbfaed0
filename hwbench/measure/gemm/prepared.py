"""Prepared products: operands in rows, memory for blocks, a job for every thread."""

import mmap
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np

from hwbench.measure.gemm.threads import JOB_STRIDE, team

HUGE_PAGE = 2 << 20

Array = np.ndarray[Any, Any]


class GemmProduct:
    """A prepared product; calling it computes and returns `out`. Not for two threads at once.

    `run` is the compiled loop that does a job, for the kind of product that the type of `kind` tells.
    """

    def __init__(self, run: Callable[..., int], kind: Any, cpus: Sequence[int], a: Array, b: Array, out: Array) -> None:
        self.out, self._run, self._kind = out, run, kind
        self._a, self._b, self._c = (in_rows(array) for array in (a, b, out))
        self._copies = [(rows, array) for rows, array in ((self._a, a), (self._b, b)) if rows is not array]
        self._team = team(tuple(cpus), run, kind) if len(cpus) > 1 else None
        self._jobs = np.zeros((len(cpus), JOB_STRIDE), np.int64)
        self._memory: list[Array] = []
        self._brief = False

    def __call__(self) -> Array:
        """Compute `out` from the current operands."""
        for rows, array in self._copies:
            np.copyto(rows, array)
        if self._team is None:
            self._run(self._kind, self._jobs[0], 0, 0, 0)
        else:
            self._team.multiply(self._jobs, self, brief=self._brief)
        if self._c is not self.out:
            np.copyto(self.out, self._c)
        return self.out


class BlockMemory:
    """Memory of so many bytes for each thread, in huge pages where there are any; later products reuse it."""

    _free: ClassVar[dict[int, list[mmap.mmap]]] = {}

    def __init__(self, each: int, threads: int) -> None:
        self._each = -(-each // HUGE_PAGE) * HUGE_PAGE
        size = (threads + 1) * self._each
        free = self._free.setdefault(size, [])
        memory = free.pop() if free else mapped(size)
        self._start = np.frombuffer(memory, np.uint8).ctypes.data
        self._start += -self._start % HUGE_PAGE
        weakref.finalize(self, free.append, memory)

    def address(self, position: int) -> int:
        """Return where the memory of a thread begins."""
        return self._start + position * self._each


def mapped(size: int) -> mmap.mmap:
    """Return memory without pages: each is allocated when the thread that uses it touches it first."""
    memory = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def in_rows(array: Array) -> Array:
    """Return the array if its rows are contiguous and do not overlap, else an empty one of that kind."""
    size = array.itemsize
    dense = array.shape[1] == 1 or array.strides[1] == size
    apart = array.shape[0] == 1 or not array.flags.writeable or abs(array.strides[0]) >= size * array.shape[1]
    return array if dense and apart and array.flags.aligned else np.empty(array.shape, array.dtype)
