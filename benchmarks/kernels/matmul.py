"""Compare hwbench's matrix product with torch's (MKL), numpy's (OpenBLAS), BLIS and the multiply-add ceiling.

All contestants of a shape run in turns, in random order, in one process. One thread is judged by CPU time, more by
wall time; ratios are of the best times, in brackets of the medians: above 1 hwbench is faster. The last column is the
ratio to the fastest rival. BLIS takes part where the system has it (Debian: libblis4).

Usage: python benchmarks/kernels/matmul.py [fp32|fp64]... [threads=1] [set=square|odd|few|many|all] [seconds=3]
       [MxNxK]...
"""

import ctypes
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_ENABLE_INSTRUCTIONS"):
    os.environ.pop(name, None)  # what would choose a contestant's kernel by hand
THREADS = next((text.partition("=")[2] for text in sys.argv if text.startswith("threads=")), "1")
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = os.environ["BLIS_NUM_THREADS"] = (
    THREADS  # read when numpy and torch are imported
)

import numpy as np  # noqa: E402
import torch  # noqa: E402

from hwbench.measure.codegen import vectors  # noqa: E402
from hwbench.measure.gemm import product as gemm  # noqa: E402
from hwbench.measure.kernels.fma import loops as fma_loops  # noqa: E402

SQUARE = [(n, n, n) for n in (256, 512, 1024, 2048, 4096)]
ODD = [(n, n, n) for n in (33, 65, 97, 129, 200, 257, 385, 500, 769, 1000, 1023, 1025, 1500)]
FEW = [
    *[(m, 2048, 2048) for m in (1, 2, 3, 6, 12, 24, 44, 48, 64, 96)],
    *[(m, 500, 500) for m in (1, 4, 7, 16, 40)],
]
MANY = [
    *[(2048, n, 2048) for n in (1, 2, 4, 8, 16, 31, 64, 100)],
    *[(500, n, 500) for n in (1, 4, 16, 40)],
    *[(2048, 2048, k) for k in (1, 4, 16, 64, 100)],
    (20000, 64, 64), (64, 20000, 64), (64, 64, 20000), (300, 3000, 7),
]  # fmt: skip
SETS = {"square": SQUARE, "odd": ODD, "few": FEW, "many": MANY, "all": SQUARE + ODD + FEW + MANY}
RIVALS = ("torch", "numpy", "blis")
SAMPLE = 1e-3
"""Seconds of one sample at least."""
SETTLE = 0.1
"""Seconds between two contestants of several threads: idle workers of OpenBLAS and OpenMP spin on the others' CPUs."""


def ceiling(dtype: str) -> tuple[Callable[[], object], float]:
    """Return a loop of independent multiply-adds in registers, and the FLOP of one call."""
    target = vectors.target()
    bits, rounds = target.widths[-1], 20_000
    operands = fma_loops.operands(dtype, target.fused)
    count = fma_loops.accumulators(target.registers)
    flops = 2.0 * rounds * fma_loops.STEPS * count * vectors.lanes(dtype, bits)
    return lambda: fma_loops.throughput(bits, rounds, *operands), flops


def contest(shape: tuple[int, int, int], dtype: str, threads: int, seconds: float) -> dict[str, list[float]]:
    """Return the times in s of every contestant, by name."""
    m, n, k = shape
    rng = np.random.default_rng(0)
    kind = np.float32 if dtype == "fp32" else np.float64
    a, b = (rng.standard_normal(size).astype(kind) for size in ((m, k), (k, n)))
    mine, theirs, numpys = (np.empty((m, n), kind) for _ in range(3))
    left, right, result = (torch.from_numpy(array) for array in (a, b, theirs))
    contestants: dict[str, Callable[[], object]] = {
        "hwbench": gemm.prepare(a, b, mine, threads),
        "torch": lambda: torch.mm(left, right, out=result),
        "numpy": lambda: np.matmul(a, b, out=numpys),
    }
    if library := blis():
        contestants["blis"] = by_blis(library, a, b, np.empty((m, n), kind))
    if threads == 1:
        contestants["ceiling"] = ceiling(dtype)[0]
    clock = time.thread_time if threads == 1 else time.perf_counter
    return timed(contestants, clock, seconds, 0.0 if threads == 1 else SETTLE)


def blis() -> ctypes.CDLL | None:
    """Return the library, None where the system lacks it."""
    try:
        return ctypes.CDLL("libblis.so.4")
    except OSError:
        return None


def by_blis(library: ctypes.CDLL, a: Any, b: Any, out: Any) -> Callable[[], object]:
    """Return BLIS's product of matrices that lie row by row (101 of CBLAS), not transposed (111)."""
    (m, k), n = a.shape, b.shape[1]
    number = ctypes.c_float if a.dtype == np.float32 else ctypes.c_double
    multiply = library.cblas_sgemm if a.dtype == np.float32 else library.cblas_dgemm
    sizes = [ctypes.c_int(size) for size in (101, 111, 111, m, n, k)]
    left, right, result = (ctypes.c_void_p(array.ctypes.data) for array in (a, b, out))
    rows = [ctypes.c_int(size) for size in (k, n, n)]
    arguments = (*sizes, number(1), left, rows[0], right, rows[1], number(0), result, rows[2])

    def product(_operands: tuple[Any, ...] = (a, b, out)) -> None:
        multiply(*arguments)

    product()
    assert np.allclose(out, a @ b, rtol=1e-3, atol=1e-3 * k**0.5)
    return product


def timed(
    contestants: dict[str, Callable[[], object]], clock: Callable[[], float], seconds: float, settle: float
) -> dict[str, list[float]]:
    """Return samples of each, taken in turns and in random order for about `seconds`."""
    calls = [min(elapsed(function) for _ in range(5)) for function in contestants.values()]
    inner = max(1, int(SAMPLE / min(calls)))
    rounds = max(7, min(200, int(seconds / (inner * sum(calls)))))
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name in random.sample(list(contestants), len(contestants)):
            function = contestants[name]
            if settle:
                time.sleep(settle)
                function()
            begun = clock()
            for _ in range(inner):
                function()
            samples[name].append((clock() - begun) / inner)
    return samples


def elapsed(function: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def row(shape: tuple[int, int, int], dtype: str, threads: int, seconds: float) -> dict[str, float]:
    """Print one line; return hwbench's speed as a multiple of each rival's, and of the fastest's as `best`."""
    samples = contest(shape, dtype, threads, seconds)
    best = {name: min(times) for name, times in samples.items()}
    middle = {name: statistics.median(times) for name, times in samples.items()}
    flops = 2.0 * shape[0] * shape[1] * shape[2]
    top = ceiling(dtype)[1] / best["ceiling"] if "ceiling" in best else None
    share = f"{flops / best['hwbench'] / top:>9.1%}" if top else f"{'':9}"
    ratios = {name: best[name] / best["hwbench"] for name in RIVALS if name in best}
    cells = [f"{ratio:>9.3f} ({middle[name] / middle['hwbench']:.3f})" for name, ratio in ratios.items()]
    lowest = min(ratios, key=lambda name: ratios[name])
    print(f"{'x'.join(map(str, shape)):>16}{flops / best['hwbench'] / 1e9:>9.1f}{share}", *cells, end="")
    print(f"{ratios[lowest]:>9.3f} {lowest:6}{len(samples['hwbench']):>4}", flush=True)
    return {**ratios, "best": ratios[lowest]}


def main(arguments: list[str]) -> None:
    """Print a table for each dtype."""
    options = dict(argument.split("=") for argument in arguments if "=" in argument)
    dtypes = [argument for argument in arguments if argument in ("fp32", "fp64")] or ["fp32", "fp64"]
    given = [argument.split("x") for argument in arguments if "x" in argument and "=" not in argument]
    shapes = [(int(m), int(n), int(k)) for m, n, k in given] or SETS[options.get("set", "square")]
    threads = int(THREADS)
    torch.set_num_threads(threads)
    for dtype in dtypes:
        print(f"{dtype}, {threads} thread(s), {gemm.make_plan(dtype, threads)}")
        present = [name for name in RIVALS if name != "blis" or blis()]
        titles = "".join(f"{'× ' + name:>18}" for name in present)
        print(f"{'m x n x k':>16}{'GFLOP/s':>9}{'ceiling':>9}{titles}{'× best':>9}{'n':>11}")
        rows = [row(shape, dtype, threads, float(options.get("seconds", "3"))) for shape in shapes]
        for name in (*present, "best"):
            column = [ratios[name] for ratios in rows]
            print(f"× {name}: lowest {min(column):.3f}, geometric mean {statistics.geometric_mean(column):.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
