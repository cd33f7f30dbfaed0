"""The matrix multiply as people write it: plain loops, compiled by numba, for comparison.

`ijk` is the definition, `ikj` walks along rows, `blocked` cuts all three loops so that blocks stay in a cache,
`parallel` is `ikj` with its rows shared by all threads.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from numba import get_num_threads, prange, set_num_threads

from hwbench.measure.codegen.compile import compiled

BLOCK = 64
"""Edge of a block, the usual choice: three blocks of fp32 fill 48 KiB."""


@compiled
def ijk(a: Any, b: Any, out: Any) -> None:
    """Compute every element of the product by itself: a row of A times a column of B."""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = a[i, 0] * b[0, j]
            for k in range(1, a.shape[1]):
                total += a[i, k] * b[k, j]
            out[i, j] = total


@compiled
def ikj(a: Any, b: Any, out: Any) -> None:
    """Compute every row of the product as a sum of rows of B, which are contiguous in memory."""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            out[i, j] = 0
        for k in range(a.shape[1]):
            factor = a[i, k]
            for j in range(b.shape[1]):
                out[i, j] += factor * b[k, j]


@compiled
def blocked(a: Any, b: Any, out: Any) -> None:
    """Compute `ikj` within blocks of 64 × 64, each used while it is in a cache."""
    rows, depth, columns = a.shape[0], a.shape[1], b.shape[1]
    out[:] = 0
    for first_i in range(0, rows, BLOCK):
        for first_k in range(0, depth, BLOCK):
            for first_j in range(0, columns, BLOCK):
                last_j = min(columns, first_j + BLOCK)
                for i in range(first_i, min(rows, first_i + BLOCK)):
                    for k in range(first_k, min(depth, first_k + BLOCK)):
                        factor = a[i, k]
                        for j in range(first_j, last_j):
                            out[i, j] += factor * b[k, j]


@partial(compiled, parallel=True)
def parallel(a: Any, b: Any, out: Any) -> None:
    """Compute `ikj` with its rows shared by numba's threads: see `numba.set_num_threads`."""
    for i in prange(a.shape[0]):
        for j in range(b.shape[1]):
            out[i, j] = 0
        for k in range(a.shape[1]):
            factor = a[i, k]
            for j in range(b.shape[1]):
                out[i, j] += factor * b[k, j]


LOOPS: tuple[tuple[str, Callable[[Any, Any, Any], None]], ...] = (
    ("ijk", ijk),
    ("ikj", ikj),
    ("blocked", blocked),
    ("parallel", parallel),
)
"""Name and loop, called with A, B and the product: matrices of one dtype that fit and are not empty."""


def on_threads(threads: int, a: Any, b: Any, out: Any) -> None:
    """Run `parallel` on so many threads, up to those that numba has; restores the number of threads."""
    before = get_num_threads()
    set_num_threads(threads)
    try:
        parallel(a, b, out)
    finally:
        set_num_threads(before)
