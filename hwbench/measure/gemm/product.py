"""Products of two matrices: what can be multiplied, plans, and prepared products."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
from msgspec import Struct, structs

from hwbench.errors import InputError
from hwbench.machine.host.describe import host
from hwbench.machine.parts import Cache
from hwbench.measure.codegen import dots, vectors
from hwbench.measure.codegen.dots import ELEMENTS
from hwbench.measure.codegen.tiles import dtypes as tile_dtypes
from hwbench.measure.codegen.vectors import SIZES
from hwbench.measure.gemm import blocking, microkernel, tile_product
from hwbench.measure.gemm import threads as gemm_threads
from hwbench.measure.gemm.blocking import BlockLimits, Blocks
from hwbench.measure.gemm.intrinsics import vector_of
from hwbench.measure.gemm.job import Job
from hwbench.measure.gemm.loops import run
from hwbench.measure.gemm.microkernel import LINE, ROWS, Tile
from hwbench.measure.gemm.narrow import Lanes
from hwbench.measure.gemm.prepared import BlockMemory, GemmProduct
from hwbench.measure.gemm.threads import NOTHING, Share
from hwbench.measure.gemm.tile_product import FEW_ROWS, TileBlocks, TileProduct
from hwbench.measure.settings import allowed

DTYPES = {"float32": "fp32", "float64": "fp64", "float16": "fp16", "uint16": "bf16", "int8": "int8", "uint8": "int8"}
"""Names of numpy's dtypes; whole ones of 16 bits are the bits of bf16, which numpy lacks."""
OUT = {"fp32": np.float32, "fp64": np.float64, "fp16": np.float32, "bf16": np.float32, "int8": np.int32}
MIN_STEPS = 1 << 14
"""Multiply-adds of whole vectors for each thread: some 4 µs, as long as starting another and waiting for it takes."""
BRIEF = 1 << 20
"""Multiply-adds for each thread below which a product is brief: it takes some 300 µs."""
MAX_OVERLAP_WORK = 10_000
"""Steps of the search for an overlap of two arrays after which they count as overlapping."""

Array = np.ndarray[Any, Any]


class GemmPlan(Struct, frozen=True):
    """How products of one dtype are computed: the tile in registers, limits of its blocks, a CPU for every thread.

    Where `tiles` states blocks for AMX, all but products of a few rows go there.
    """

    dtype: str
    tile: Tile
    limits: BlockLimits
    cpus: tuple[int, ...]
    tiles: TileBlocks | None = None

    @property
    def threads(self) -> int:
        """Threads that work, the calling one included."""
        return len(self.cpus)


def make_plan(
    dtype: str,
    threads: int = 1,
    *,
    caches: Iterable[Cache] | None = None,
    cpus: Sequence[int] | None = None,
    lanes: int | None = None,
) -> GemmPlan:
    """Return the plan for a dtype (`fp32`, `fp64`, or a narrow one) on so many threads, up to those of the CPUs.

    `caches` and `cpus` default to this machine's, `lanes` to those of its widest vector, or to AMX where the CPU has
    it. Raises InputError for another dtype, for a narrow one that the CPU does not multiply, for no thread, or
    vectors of another width.
    """
    target = vectors.target()
    if dtype not in SIZES:
        raise InputError("unsupported-dtype", f"{dtype!r} is not one of {', '.join(SIZES)}.", field="dtype")
    kind = dots.by_lane(dtype, target)
    if dtype in ELEMENTS and dtype not in dots.multiplied(target):
        what = "conversion from fp16" if dtype == "fp16" else f"dot products of {dtype}"
        raise InputError("no-instruction", f"This CPU has no {what}.", field="dtype")
    if threads < 1:
        raise InputError("thread-range", f"{threads} threads cannot work: choose 1 or more.", field="threads")
    every = dots.widths(kind, target) if kind else target.widths
    widths = {vectors.lanes(dtype, bits): bits for bits in every}
    if lanes is not None and lanes not in widths:
        text = f"Vectors here hold {', '.join(map(str, widths))} elements of {dtype}, not {lanes}."
        raise InputError("vector-lanes", text, field="lanes")
    tile = microkernel.tile_for(dtype, lanes or max(widths), target)
    caches = _caches() if caches is None else tuple(caches)
    limits = blocking.limits(tile, caches)
    tiles = tile_product.blocks(caches) if lanes is None and dtype in tile_dtypes(target) else None
    if threads == 1:
        return GemmPlan(dtype, tile, limits, (0,), tiles)  # the calling thread, wherever it is
    if cpus is None:
        cpus = [cpu for group in allowed() for cpu in group.cpus]
    return GemmPlan(dtype, tile, limits, tuple(cpus)[:threads], tiles)


@cache
def _caches() -> tuple[Cache, ...]:
    return host().device.caches


def matmul(a: Array, b: Array, out: Array | None = None, threads: int = 1) -> Array:
    """Return the product of two matrices, rows × depth and depth × columns, of floats, bf16 or bytes.

    float16, and bf16 as their bits in uint16, give float32; int8, or uint8 times int8, give int32, which may wrap.

    Any strides are accepted; matrices whose rows are contiguous are fastest. `out` is written if given. Raises
    InputError where shapes or types do not fit, for empty matrices, and where `out` overlaps an operand.
    """
    return prepare(a, b, out, threads)()


def prepare(
    a: Array, b: Array, out: Array | None = None, threads: int = 1, plan: GemmPlan | None = None,
    constant: bool = False,
) -> GemmProduct:  # fmt: skip
    """Return a product to be called any number of times, each time with the current values of `a` and `b`.

    Compiles what is not compiled yet. Raises as `matmul` does. Works with fewer than `threads` where the product is too
    small to occupy them; `plan` replaces what `threads` would give. Where `b` is `constant`, as weights are, narrow
    elements become lanes once.
    """
    dtype = _checked(a, b, out)
    if plan is not None and plan.dtype != dtype:
        raise InputError("plan-dtype", f"A plan for {plan.dtype} cannot multiply {dtype}.", field="plan")
    if out is None:
        out = np.empty((a.shape[0], b.shape[1]), OUT[dtype])
    plan = plan or _plan_for(dtype, threads, out.size * a.shape[1])
    if plan.tiles is not None and a.shape[0] > FEW_ROWS:
        return TileProduct(plan.tiles, plan.cpus, a, b, out, constant)
    return VectorProduct(plan, a, b, out, constant)


def _plan_for(dtype: str, threads: int, multiplies: int) -> GemmPlan:
    """Return the plan of a product of so many multiplies: only as many threads as it occupies longer than they take."""
    plan = make_plan(dtype, threads)
    useful = max(1, _steps(plan, multiplies) // MIN_STEPS)
    return plan if useful >= plan.threads else make_plan(dtype, useful)


def _steps(plan: GemmPlan, multiplies: int) -> int:
    """Return the multiply-adds of whole vectors that so many multiplies take."""
    return multiplies // (plan.tile.lanes * ELEMENTS.get(plan.dtype, 1))


class VectorProduct(GemmProduct):
    """A prepared product by vectors."""

    def __init__(self, plan: GemmPlan, a: Array, b: Array, out: Array, constant: bool = False) -> None:
        self.plan, self._constant = plan, constant
        self._lanes = Lanes(plan.dtype, a, vector_of(plan.tile)) if plan.dtype in ELEMENTS else None
        if self._lanes is not None:
            a = self._lanes.of_a
        super().__init__(run, vector_of(plan.tile), plan.cpus, a, b, out)
        self._brief = _steps(plan, out.size * a.shape[1]) < BRIEF * plan.threads
        self._half = blocking.buffer_bytes(plan.limits, plan.tile)
        self._blocks = BlockMemory(2 * self._half, plan.threads)
        parts = gemm_threads.shares(out.shape[0], out.shape[1], plan.threads, ROWS, plan.tile.lanes)
        for position in range(plan.threads):
            share = parts[position] if position < len(parts) else NOTHING
            self._jobs[position, : len(Job._fields)] = self._job(share, position)
        nothing = self._jobs[0].copy()
        nothing[: len(Job._fields)] = self._job(NOTHING, 0)
        self._run(self._kind, nothing, 0, 0, 0)  # compiles

    def __call__(self) -> Array:
        """Compute `out` from the current operands."""
        if self._lanes is not None:
            self._lanes.make()
        super().__call__()
        if self._constant:
            self._jobs[:, Job._fields.index("elements")] = 0  # lanes stay
        return self.out

    def _job(self, share: Share, position: int) -> Job:
        tile, lanes, size = self.plan.tile, self._lanes, self._b.itemsize
        row_a, row_b, row_c = (array.strides[0] for array in (self._a, self._b, self._c))
        if lanes is not None:
            row_b = -(-share.columns * tile.size // LINE) * LINE
        blocks, masks, shifted = blocking.NOTHING, vectors.target().masks, lanes is not None and lanes.shift is not None
        if share.rows and share.columns:
            depth = self._a.shape[1]
            makes = lanes is not None and not self._constant
            blocks = blocking.fitted(
                self.plan.limits, tile, share.rows, share.columns, depth, row_b, masks, makes, shifted
            )
        buffer = self._blocks.address(position)
        b = self._b.ctypes.data + share.column * size
        c = self._c.ctypes.data + share.row * row_c + share.column * tile.size
        return Job(
            a=self._a.ctypes.data + share.row * row_a,
            row_a=row_a,
            b=b,
            row_b=row_b,
            c=c,
            row_c=row_c,
            rows=share.rows,
            columns=share.columns - blocks.few,
            depth=self._a.shape[1],
            buffer=buffer,
            spare=buffer + self._half,
            head=blocking.head(blocks, tile, share.columns, c, row_c) if masks else 0,
            **{name: int(value) for name, value in structs.asdict(blocks).items()},
            unroll=tile.unroll,
            tile_columns=tile.columns,
            size=tile.size,
            **NO_LANES,
        )._replace(**({} if lanes is None or blocks is blocking.NOTHING else self._narrow(lanes, blocks, b, row_b)))

    def _narrow(self, lanes: Lanes, blocks: Blocks, narrow: int, row_b: int) -> dict[str, int]:
        """Return the fields of a job whose lanes of B are made of what is at `narrow`; allocate what it needs."""
        fields = {
            "elements": ELEMENTS[self.plan.dtype],
            "narrow_size": self._b.itemsize,
            "narrow": narrow,
            "row_narrow": self._b.strides[0],
            "narrow_depth": self._b.shape[0],
        }
        if not blocks.by_block:
            fields["b"] = self._allocated(lanes.depth * row_b)
        if lanes.shift is not None:
            adds = not (blocks.thin or blocks.by_block)
            fields |= {"shift": lanes.shift.ctypes.data, "sums": self._allocated(row_b), "adds": int(adds)}
            if adds:
                fields |= {"zeros": self._allocated(row_b), "bias": self._allocated(row_b)}
        return fields

    def _allocated(self, size: int) -> int:
        """Return the address, a multiple of a cache line's size, of so many bytes of zeros."""
        memory = np.zeros(size + LINE, np.uint8)
        self._memory.append(memory)
        return memory.ctypes.data + -memory.ctypes.data % LINE


NO_LANES = dict.fromkeys(
    ("elements", "narrow_size", "narrow", "row_narrow", "narrow_depth", "shift", "sums", "zeros", "adds", "bias"), 0
)
"""The fields of a job where B lies as its kernels read it."""


def _checked(a: Array, b: Array, out: Array | None) -> str:
    """Return the dtype of a product that can be computed; raise InputError for any other."""
    arrays = {"a": a, "b": b} if out is None else {"a": a, "b": b, "out": out}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.ndim != 2:
            raise InputError("not-a-matrix", f"`{name}` is not a numpy array of two dimensions.", field=name)
        kind = DTYPES.get(a.dtype.name)
        expected = OUT.get(kind or "") if name == "out" else np.int8 if kind == "int8" and name == "b" else a.dtype
        if kind is None or array.dtype != expected or not array.dtype.isnative:
            text = f"`{name}` holds {array.dtype}: both must hold float32, float64, float16, bf16 as uint16, or bytes."
            raise InputError("unsupported-dtype", text, field=name)
        if not array.size:
            raise InputError("empty-matrix", f"`{name}` is empty ({_size(array)}).", field=name)
    if a.shape[1] != b.shape[0]:
        text = f"`b` ({_size(b)}) must have as many rows as `a` ({_size(a)}) has columns."
        raise InputError("shape-mismatch", text, field="b")
    if out is not None:
        if out.shape != (a.shape[0], b.shape[1]):
            text = f"`out` is {_size(out)}, but the product is {a.shape[0]} × {b.shape[1]}."
            raise InputError("shape-mismatch", text, field="out")
        if not out.flags.writeable:
            raise InputError("not-writable", "`out` cannot be written.", field="out")
        for name in ("a", "b"):
            if _overlap(out, arrays[name]):
                raise InputError("overlap", f"`out` overlaps `{name}`.", field="out")
    return DTYPES[a.dtype.name]


def _size(array: Array) -> str:
    return " × ".join(str(length) for length in array.shape)


def _overlap(array: Array, other: Array) -> bool:
    try:
        return np.shares_memory(array, other, max_work=MAX_OVERLAP_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
