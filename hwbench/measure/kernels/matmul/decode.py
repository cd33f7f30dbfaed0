"""Products of a matrix of quantized weights with a vector: what a language model does for each token on a CPU.

`numba` multiplies a matrix that is several times as large as the caches, `cached` one that fits one core's L2, which
shows how fast weights are decoded; `read` only reads the large one. All are in bytes of weights a second.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hwbench.dtypes import QUANTIZED
from hwbench.errors import InputError
from hwbench.measure.gemm.quantized import QuantizedMatrix, dequantized, row_bytes, vector_for
from hwbench.measure.harness import Task
from hwbench.measure.kernels.buffers import affordable, aligned
from hwbench.measure.kernels.memory.loops import read
from hwbench.measure.kernels.team import Placement, first
from hwbench.measure.language.blocks import random_blocks
from hwbench.measure.settings import Settings
from hwbench.units import Bytes
from hwbench.workload.language.formats import block_format

DEPTH = 4096
"""Weights of a row, as in many models of 7 to 8 billion parameters."""

TIMES_CACHE, MIN_BYTES = 4, 64 << 20
"""Size of the large matrix as a multiple of the last-level cache, and at least."""

CACHED_SHARE, SMALL_L2 = 0.5, 256 << 10
"""Share of L2 for the small matrix; L2 where its size is unknown."""

PIECE_BYTES = 16 << 20
"""Bytes of random weights that are made, and repeated in a larger matrix: more take longer than the measurement."""

READ_STEP, MIN_READ = 512, 1 << 20
"""Bytes of which `read` takes multiples, and bytes for each thread from which what is left over does not count."""

MAX_ERROR = 1e-5
"""Largest error as a share of |weights| · |vector|, of a sum of thousands of products in fp32."""

_CHECKED_ROWS = 16


class DecodeProduct:
    """A matrix of random weights and a vector; each member of a team has a part of its rows."""

    def __init__(self, name: str, rows: int, depth: int, cores: Placement) -> None:
        self.name, self.rows, self.depth, self.cores = name, rows, depth, cores
        self.size = rows * row_bytes(name, depth)
        cuts = [rows * part // len(cores) for part in range(len(cores) + 1)]
        self.parts = list(itertools.pairwise(cuts))
        self.matrix: Any = None

    def prepare(self) -> None:
        """Allocate; each member fills its part, so that it lies in the memory next to it."""
        if self.matrix is not None:
            return
        data, row = aligned(self.size), self.size // self.rows
        values = np.random.default_rng(1).uniform(-1, 1, self.depth)

        def fill(part: tuple[int, int]) -> None:
            place = data[part[0] * row : part[1] * row]
            blocks = -(-min(place.size, PIECE_BYTES) // block_format(self.name).size)
            piece = np.frombuffer(random_blocks(self.name, max(1, blocks), 1.0, seed=part[0]), np.uint8)
            for start in range(0, place.size, piece.size):
                place[start : start + piece.size] = piece[: place.size - start]

        self.cores.each(self.parts, fill)
        self.values, self.vector = values.astype(np.float32), vector_for(self.name, values)
        self.out = np.empty(self.rows, np.float32)
        self.matrix = QuantizedMatrix(self.name, data, self.depth)

    def multiply(self, repetitions: int) -> None:
        """Multiply all rows so many times."""

        def job(part: tuple[int, int]) -> None:
            self.matrix.multiply(self.vector, self.out, part[0], part[1] - part[0], repetitions)

        self.cores.each(self.parts, job)

    def read(self, repetitions: int) -> None:
        """Read all bytes so many times."""
        data, row = self.matrix.data, self.matrix.row

        def job(part: tuple[int, int]) -> None:
            size = (part[1] - part[0]) * row // READ_STEP * READ_STEP
            read(data.ctypes.data + part[0] * row, size, repetitions)

        self.cores.each(self.parts, job)

    def right(self) -> bool:
        """Return whether some rows are right: those of the weights in double precision with the vector's bytes."""
        self.out[:] = np.nan
        self.multiply(1)
        rows = np.unique(np.linspace(0, self.rows - 1, _CHECKED_ROWS).astype(int))
        weights = dequantized(self.name, self.matrix.data.reshape(self.rows, -1)[rows])
        blocks = self.values.reshape(-1, 32)
        scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)  # in fp32, as where halves are rounded
        rounded = (np.rint(blocks / scale).astype(np.float64) * scale).reshape(-1)
        error = np.abs(self.out[rows] - weights @ rounded)
        return bool((error <= MAX_ERROR * (np.abs(weights) @ np.abs(rounded))).all())

    def close(self) -> None:
        """Free the memory, end the threads."""
        self.matrix = None
        if self.cores.team is not None:
            self.cores.team.close()


def tasks(settings: Settings) -> list[Task]:
    """Return the tasks of the quantized formats that were asked for. Raises InputError for sizes of several rows."""
    result = []
    for name in [dtype for dtype in settings.dtypes or () if dtype in QUANTIZED]:
        for threads in settings.threads:
            for rows, depth in _shapes(settings, name):
                cores = first(settings, threads)
                large = DecodeProduct(name, rows, depth, cores)
                result.append(_task("numba", large, cores, large.multiply))
                if large.size >= MIN_READ * threads:
                    result.append(_task("read", large, cores, large.read))
            if settings.sizes is None and threads == 1:
                cores = first(settings, 1)
                l2 = min((cache.size for cache in settings.caches if cache.name.endswith("L2")), default=SMALL_L2)
                small = DecodeProduct(name, max(1, int(CACHED_SHARE * l2) // row_bytes(name, DEPTH)), DEPTH, cores)
                result.append(_task("cached", small, cores, small.multiply))
    return result


def _shapes(settings: Settings, name: str) -> Sequence[tuple[int, int]]:
    """Return rows and depth of the large matrices: those of sizes 1 × depth × rows, or one beyond the caches."""
    memory = affordable()
    if settings.sizes is None:
        last = max((cache.size for cache in settings.caches), default=0)
        wanted = min(max(MIN_BYTES, TIMES_CACHE * last), memory)
        return [(max(1, int(wanted) // row_bytes(name, DEPTH)), DEPTH)]
    for m, k, n in settings.sizes:
        if m != 1:
            text = f"Quantized weights are multiplied with one vector: a size such as 1x{DEPTH}x{DEPTH}."
            raise InputError("size-range", text, field="size")
        if (size := n * row_bytes(name, k)) > memory:
            text = (
                f"1x{k}x{n} in {name} takes {Bytes(size)}, more than the {Bytes(memory)} that a measurement may take."
            )
            raise InputError("out-of-memory", text, field="size")
    return [(n, k) for _, k, n in settings.sizes]


def _task(variant: str, product: DecodeProduct, cores: Placement, call: Callable[[int], None]) -> Task:
    return Task(
        kernel="matvec",
        variant=variant,
        unit="B/s",
        work=product.size,
        call=call,
        dtype=product.name,
        size=f"1x{product.depth}x{product.rows}",
        prepare=product.prepare,
        check=product.right,
        **{**cores.fields, "close": product.close},
    )
