"""The matrix multiply touches nothing but its operands: they begin after, or end before, a page that nobody may touch.

What reads beyond dies of it, so that all runs in a process of its own, which says what it is about to do.
"""

import ctypes
import itertools
import mmap
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwbench.dtypes import QUANTIZED
from hwbench.machine.parts import Cache
from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import by_lane, widths
from hwbench.measure.gemm import blocking
from hwbench.measure.gemm import product as gemm
from hwbench.measure.gemm.narrow import bf16
from hwbench.measure.gemm.quantized import QuantizedMatrix, row_bytes, vector_for
from hwbench.units import Bytes

KINDS: dict[str, tuple[type, type]] = {"fp32": (np.float32, np.float32), "fp64": (np.float64, np.float64)}
"""Types of operands and of products; those of narrow dtypes where the CPU has dot products of them."""
KINDS |= {
    dtype: kinds
    for dtype, kinds in {"bf16": (np.uint16, np.float32), "int8": (np.int8, np.int32)}.items()
    if by_lane(dtype, vectors.target())
}
SHAPES = [
    (1, 1, 1), (1, 130, 70), (70, 130, 1), (1, 130, 1), (130, 1, 70), (90, 1, 35), (90, 3, 70), (90, 4, 35),
    (90, 17, 33), (6, 64, 8), (7, 33, 40), (12, 601, 65), (29, 700, 33), (44, 67, 130), (45, 64, 64), (61, 101, 67),
    (70, 160, 2),
]  # fmt: skip
CLOSED = ctypes.c_int(0)
"""PROT_NONE."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name != "posix", reason="pages are closed as POSIX does"),
]


def bounded(rows: int, columns: int, kind: type, gap: int, at_end: bool) -> np.ndarray:
    """A matrix right behind a closed page, or right before one; `gap` elements part its rows."""
    size = np.dtype(kind).itemsize
    taken = ((rows - 1) * (columns + gap) + columns) * size
    room = -(-taken // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, room + 2 * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    change = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (start, start + mmap.PAGESIZE + room):
        if change(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), CLOSED):
            raise OSError(ctypes.get_errno(), "mprotect")
    first = mmap.PAGESIZE + (room - taken if at_end else 0)
    return np.ndarray((rows, columns), kind, memory, first, ((columns + gap) * size, size))


def plans(dtype: str) -> list[gemm.GemmPlan]:
    """Each width of vectors with the caches of this machine, with tiny ones, and with some that make B far."""
    found, target = [], vectors.target()
    kind = by_lane(dtype, target)
    for bits in widths(kind, target) if kind else target.widths:
        lanes = vectors.lanes(dtype, bits)
        tile = gemm.make_plan(dtype, lanes=lanes).tile
        shallow = Cache("L2", Bytes(blocking.SHALLOW**2 * tile.bytes / blocking.SHALLOW_L2))
        far = Cache("L1d", Bytes(32 << 10)), shallow, Cache("L3", Bytes(4 << 10))
        tiny = Cache("L1d", Bytes(1 << 10)), Cache("L2", Bytes(12 << 10))
        found += [gemm.make_plan(dtype, caches=caches, lanes=lanes) for caches in (None, tiny, far)]
    return found


def main() -> None:
    """Multiply every shape at every end, and print each before it is computed."""
    rng = np.random.default_rng(0)
    for dtype, (kind, of_product) in KINDS.items():
        for how, shape, gap, at_end in itertools.product(plans(dtype), SHAPES, (0, 3), (False, True)):
            print(dtype, how.tile.lanes, shape, gap, at_end, flush=True)
            m, n, k = shape
            a, b = (bounded(*sides, kind, gap, at_end) for sides in ((m, k), (k, n)))
            c = bounded(m, n, of_product, gap, at_end)
            left, right = rng.integers(-8, 9, (m, k)), rng.integers(-8, 9, (k, n))
            a[:], b[:] = (bf16(values) if dtype == "bf16" else values for values in (left, right))
            c[:] = -1
            gemm.prepare(a, b, c, plan=how)()
            assert np.array_equal(c, left @ right), "wrong"  # whole numbers: exact
    for name, rows in itertools.product(QUANTIZED if "int8" in KINDS else (), (1, 3)):
        print(name, rows, flush=True)
        matrix = QuantizedMatrix(name, bounded(1, rows * row_bytes(name, 512), np.uint8, 0, True)[0], 512)
        out = bounded(1, rows, np.float32, 0, True)[0]
        matrix.multiply(vector_for(name, rng.uniform(-1, 1, 512)), out, 0, rows)


def ran(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).parents[3]
    known = {**os.environ, "PYTHONPATH": str(root), **environment}
    return subprocess.run([sys.executable, *words], env=known, capture_output=True, text=True, check=False, cwd=root)


def test_reading_one_element_beyond_is_noticed() -> None:
    code = "from tests.measure.gemm.test_page_ends import *; a = bounded(3, 5, np.float32, 0, {}); ctypes.string_at({})"
    for at_end, place in ((True, "a.ctypes.data + a.nbytes, 1"), (False, "a.ctypes.data - 1, 1")):
        done = ran("-c", code.format(at_end, place))
        assert done.returncode in (-signal.SIGSEGV, -signal.SIGBUS), done.stderr


@pytest.mark.parametrize("masks", [True, False])
def test_nothing_beyond_the_operands_is_touched(masks: bool) -> None:
    """Where vectors have no masks, too."""
    if not masks and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("masks are taken away from x86 only")
    plain = {} if masks else {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}
    done = ran("-m", "tests.measure.gemm.test_page_ends", **plain)
    assert done.returncode == 0, (done.stdout.splitlines()[-1:], done.stderr)
    assert len(done.stdout.splitlines()) >= (len(KINDS) if masks else 2) * 3 * len(SHAPES) * 4


if __name__ == "__main__":
    main()
