"""Matrix multiply in fp32 and fp64 on the vectors of this CPU, as fast as the best libraries: `C = A · B`.

`matmul` is for a single product. What is to be timed is prepared first, so that the timed call allocates, compiles and
checks nothing. How it works: `microkernel` (a tile of C in registers), `gemm_loops` (blocks in the caches),
`blocking` (their sizes), `gemm_threads`.
"""

import mmap
import weakref
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar

import numpy as np
from msgspec import Struct

from hwbench.errors import InputError
from hwbench.machine.device import Cache
from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.vectors import SIZES
from hwbench.measure.gemm import blocking, microkernel
from hwbench.measure.gemm import threads as gemm_threads
from hwbench.measure.gemm.blocking import BlockLimits
from hwbench.measure.gemm.intrinsics import Job, vector_of
from hwbench.measure.gemm.loops import run
from hwbench.measure.gemm.microkernel import Tile
from hwbench.measure.gemm.threads import JOB_STRIDE, NOTHING, Share

DTYPES = {"float32": "fp32", "float64": "fp64"}
HUGE_PAGE = 2 << 20
SEARCH = 10_000
"""Steps that looking for an overlap of two arrays may take before they count as overlapping."""

Array = np.ndarray[Any, Any]


class GemmPlan(Struct, frozen=True):
    """How products of one dtype are computed: the tile in registers, limits of its blocks, a CPU for every thread."""

    dtype: str
    tile: Tile
    limits: BlockLimits
    cpus: tuple[int, ...]

    @property
    def threads(self) -> int:
        """Threads that work, the calling one included."""
        return len(self.cpus)


def plan(dtype: str, threads: int = 1, caches: Iterable[Cache] | None = None, lanes: int | None = None) -> GemmPlan:
    """The plan for a dtype (`fp32`, `fp64`) on so many threads, but no more than there are cores to use.

    `caches` are this machine's by default, `lanes` as many elements as its widest vector holds. Raises InputError for
    what cannot be: another dtype, no thread, vectors of another width.
    """
    if dtype not in SIZES:
        raise InputError(f"{dtype!r} is not a type that is multiplied here: choose fp32 or fp64", field="dtype")
    if threads < 1:
        raise InputError(f"{threads} threads cannot work: choose 1 or more", field="threads")
    target = vectors.target()
    widths = {vectors.lanes(dtype, bits): bits for bits in target.widths}
    if lanes is not None and lanes not in widths:
        choices = ", ".join(str(count) for count in widths)
        raise InputError(f"vectors here do not hold {lanes} of {dtype} but {choices}", field="lanes")
    tile = microkernel.tile_for(dtype, lanes or max(widths), target)
    limits = blocking.limits(tile, own_caches() if caches is None else caches)
    return GemmPlan(dtype, tile, limits, _cpus(threads))


@cache
def own_caches() -> tuple[Cache, ...]:
    """The caches that the operating system states."""
    from hwbench.machine.host.describe import host

    return host().device.caches


def _cpus(threads: int) -> tuple[int, ...]:
    """A CPU for each thread, the fastest cores first, one a physical core."""
    if threads == 1:
        return (0,)
    from hwbench.measure.settings import allowed

    return tuple(cpu for group in allowed() for cpu in group.cpus)[:threads]


def matmul(a: Array, b: Array, out: Array | None = None, threads: int = 1) -> Array:
    """The product of two matrices of float32 or of float64, rows × depth and depth × columns.

    Any distance between rows and columns is right, though one of rows only, as in a part of a matrix, is fastest.
    `out` is written if given. Raises InputError where shapes or types do not fit, for empty matrices, and where `out`
    overlaps an operand.
    """
    return prepare(a, b, out, threads)()


def prepare(
    a: Array, b: Array, out: Array | None = None, threads: int = 1, how: GemmPlan | None = None
) -> "GemmProduct":
    """A product to be called any number of times: it computes anew from what then stands in `a` and `b`.

    Compiles what is not compiled yet. Raises as `matmul` does. `how` stands in for the plan that `threads` makes.
    """
    dtype = _checked(a, b, out)
    if how is not None and how.dtype != dtype:
        raise InputError(f"a plan for {how.dtype} cannot multiply {dtype}", field="how")
    if out is None:
        out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    return GemmProduct(how or plan(dtype, threads), a, b, out)


class GemmProduct:
    """A prepared product; calling it computes and returns `out`. Not for two threads at once."""

    def __init__(self, how: GemmPlan, a: Array, b: Array, out: Array) -> None:
        self.plan, self.out = how, out
        self._a, self._b, self._c = (in_rows(array) for array in (a, b, out))
        self._before = [(mine, given) for mine, given in ((self._a, a), (self._b, b)) if mine is not given]
        self._vector = vector_of(how.tile)
        self._crew = gemm_threads.crew(how.cpus, how.tile) if how.threads > 1 else None
        self._room = Room(how)
        parts = gemm_threads.shares(out.shape[0], out.shape[1], how.threads, how.tile)
        self._jobs = np.zeros((how.threads, JOB_STRIDE), np.int64)
        for position in range(how.threads):
            share = parts[position] if position < len(parts) else NOTHING
            self._jobs[position, : len(Job._fields)] = self._job(share, position)
        self._numbers = self._jobs[0]
        nothing = self._numbers.copy()
        nothing[: len(Job._fields)] = self._job(NOTHING, 0)
        run(self._vector, nothing, 0, 0, 0)  # compiles

    def __call__(self) -> Array:
        """Compute `out` from the operands as they are now."""
        for mine, given in self._before:
            np.copyto(mine, given)
        if self._crew is None:
            run(self._vector, self._numbers, 0, 0, 0)
        else:
            self._crew.multiply(self._jobs, self)
        if self._c is not self.out:
            np.copyto(self.out, self._c)
        return self.out

    def _job(self, share: Share, position: int) -> Job:
        tile, depth = self.plan.tile, self._a.shape[1]
        row_a, row_b, row_c = (array.strides[0] for array in (self._a, self._b, self._c))
        blocks, masks = blocking.NOTHING, vectors.target().masks
        if share.rows and share.columns:
            blocks = blocking.fitted(self.plan.limits, tile, share.rows, share.columns, depth, row_b, masks)
        buffer, spare = self._room.addresses(position)
        size = SIZES[tile.dtype]
        c = self._c.ctypes.data + share.row * row_c + share.column * size
        return Job(
            a=self._a.ctypes.data + share.row * row_a,
            row_a=row_a,
            b=self._b.ctypes.data + share.column * size,
            row_b=row_b,
            c=c,
            row_c=row_c,
            rows=share.rows,
            columns=share.columns - blocks.few,
            depth=depth,
            buffer=buffer,
            spare=spare,
            block_depth=blocks.depth,
            block_columns=blocks.columns,
            in_place=int(blocks.in_place),
            in_order=int(blocks.in_order),
            together=blocks.together,
            head=blocking.head(blocks, tile, share.columns, c, row_c) if masks else 0,
            thin=int(blocks.thin),
            few=blocks.few,
            aside=int(blocks.aside),
            chain=blocks.chain,
            unroll=tile.unroll,
            tile_columns=tile.columns,
            size=size,
        )


class Room:
    """Memory for packed blocks, two for each thread, in huge pages where there are any; later products use it again."""

    _free: ClassVar[dict[int, list[mmap.mmap]]] = {}

    def __init__(self, how: GemmPlan) -> None:
        self._half = blocking.buffer_bytes(how.limits, how.tile)
        self._each = -(-2 * self._half // HUGE_PAGE) * HUGE_PAGE
        size = (how.threads + 1) * self._each
        free = self._free.setdefault(size, [])
        memory = free.pop() if free else mapped(size)
        self._start = np.frombuffer(memory, np.uint8).ctypes.data
        self._start += -self._start % HUGE_PAGE
        weakref.finalize(self, free.append, memory)

    def addresses(self, position: int) -> tuple[int, int]:
        """Where the two blocks of a thread begin."""
        start = self._start + position * self._each
        return start, start + self._half


def mapped(size: int) -> mmap.mmap:
    """Memory that no page stands behind before it is touched, by then by the thread that uses it."""
    memory = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def in_rows(array: Array) -> Array:
    """The array if a row's elements lie side by side and no rows overlap, else an empty one of which that is so."""
    size = array.itemsize
    dense = array.shape[1] == 1 or array.strides[1] == size
    apart = array.shape[0] == 1 or not array.flags.writeable or abs(array.strides[0]) >= size * array.shape[1]
    return array if dense and apart and array.flags.aligned else np.empty(array.shape, array.dtype)


def _checked(a: Array, b: Array, out: Array | None) -> str:
    """The dtype of a product that can be computed; raises InputError for one that cannot."""
    given = {"a": a, "b": b} if out is None else {"a": a, "b": b, "out": out}
    for name, array in given.items():
        if not isinstance(array, np.ndarray) or array.ndim != 2:
            raise InputError(f"{name} is no matrix: a numpy array of two dimensions is needed", field=name)
        if array.dtype != a.dtype or array.dtype.name not in DTYPES or not array.dtype.isnative:
            raise InputError(f"{name} holds {array.dtype}: all must hold float32 or all float64", field=name)
        if not array.size:
            raise InputError(f"{name} is empty ({_size(array)})", field=name)
    if a.shape[1] != b.shape[0]:
        raise InputError(f"a ({_size(a)}) has as many columns as b ({_size(b)}) should have rows", field="b")
    if out is not None:
        if out.shape != (a.shape[0], b.shape[1]):
            raise InputError(f"out is {_size(out)}, the product {a.shape[0]} × {b.shape[1]}", field="out")
        if not out.flags.writeable:
            raise InputError("out cannot be written", field="out")
        for name in ("a", "b"):
            if _overlap(out, given[name]):
                raise InputError(f"out overlaps {name}", field="out")
    return DTYPES[a.dtype.name]


def _size(array: Array) -> str:
    return " × ".join(str(length) for length in array.shape)


def _overlap(one: Array, other: Array) -> bool:
    try:
        return np.shares_memory(one, other, max_work=SEARCH)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
