"""Compare hwbench's products of fp16, bf16 and int8 with torch's (oneDNN), onnxruntime's (MLAS) and the ceiling.

All contestants of a shape run in turns, in random order, in one process: see matmul.py. Operands lie row by row; what
each does to them for its kernels is part of its time, as hwbench's is. onnxruntime multiplies bytes without a sign by
bytes with one (MatMulInteger), and has B as a constant, which it packs once, as does the product that it meets.

fp16 is multiplied in fp32 by both, so that its ceiling is that of multiply-adds in fp32. The largest errors of both, in
units of |A|·|B| · 2⁻²⁴ against fp64, are printed beside: torch's product is rounded to fp16 or bf16, hwbench's to fp32.

Usage:
    python benchmarks/kernels/lowprecision.py [fp16|bf16|int8]... [threads=1] [set=square|thin] [seconds=3] [MxNxK]...
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import matmul  # sets the variables that libraries read when they are imported
import numpy as np
import torch

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.dots import by_lane, dots, multiplied, widths
from hwbench.measure.codegen.tiles import dtypes as tile_dtypes
from hwbench.measure.gemm import product as gemm
from hwbench.measure.gemm.narrow import bf16
from hwbench.measure.kernels.fma import amx, amx_loops, dot_loops
from hwbench.measure.kernels.fma import loops as fma_loops
from hwbench.measure.kernels.fma.loops import accumulators

SETS = {"square": [(n, n, n) for n in (512, 1024, 2048, 4096)], "thin": [(m, 4096, 4096) for m in (1, 4, 16)]}

HALVES: dict[str, tuple[Callable[[Any], Any], torch.dtype]] = {
    "fp16": (lambda values: values.astype(np.float16), torch.float16), "bf16": (bf16, torch.bfloat16),
}  # fmt: skip
"""What makes numbers of fp32 hwbench's operands, and torch's name of their dtype."""

ERROR_ROWS = 64
"""Rows of a product whose errors are looked at."""

RIVALS = (("hwbench", "torch"), ("hwbench-constant", "onnxruntime"))
"""Which product of hwbench's meets which rival's: onnxruntime prepares a constant B once."""


def ceiling(dtype: str) -> tuple[Callable[[], object], float]:
    """Return a loop of independent products in registers, of tiles where the CPU has them, and its operations."""
    target = vectors.target()
    if kind := next((kind for kind in tile_dtypes(target) if kind == dtype), None):
        factors = amx.TileFactors(kind)
        return lambda: factors.run(2000), 2000.0 * amx_loops.SUMS * amx.operations(kind)
    rounds, count = 20_000, accumulators(target.registers)
    if dtype == "fp16":
        bits, factors = target.widths[-1], fma_loops.operands("fp32", target.fused)
        work = 2.0 * rounds * fma_loops.STEPS * count * bits / 32
        return lambda: fma_loops.throughput(bits, rounds, *factors), work
    dot = by_lane(dtype, target)
    assert dot is not None
    number, bits = dots(target).index(dot), widths(dot, target)[-1]
    operands = dot_loops.operands(dot.dtype)
    work = 2.0 * rounds * dot_loops.STEPS * count * dot.products * bits / 128
    return lambda: dot_loops.throughput(number, bits, rounds, *operands), work


def contestants(shape: tuple[int, int, int], dtype: str, threads: int) -> dict[str, Callable[[], object]]:
    """Return what computes the product, by name."""
    m, n, k = shape
    rng = np.random.default_rng(0)
    result: dict[str, Callable[[], object]]
    if dtype in HALVES:
        narrow, kind = HALVES[dtype]
        a, b = (rng.uniform(-1, 1, size).astype(np.float32) for size in ((m, k), (k, n)))
        left, right = (torch.from_numpy(array).to(kind) for array in (a, b))
        out = torch.empty(m, n, dtype=kind)
        result = {
            "hwbench": gemm.prepare(narrow(a), narrow(b), threads=threads),
            "torch": lambda: torch.mm(left, right, out=out),
        }
    else:
        x, y = (rng.integers(-128, 128, size).astype(np.int8) for size in ((m, k), (k, n)))
        first, second, whole = torch.from_numpy(x), torch.from_numpy(y), torch.empty(m, n, dtype=torch.int32)
        result = {
            "hwbench": gemm.prepare(x, y, threads=threads),
            "hwbench-constant": gemm.prepare(x, y, threads=threads, constant=True),
            "torch": lambda: torch._int_mm(first, second, out=whole),
        }
        result |= _onnxruntime(x.view(np.uint8), y, threads)
    if threads == 1:
        result["ceiling"] = ceiling(dtype)[0]
    return result


def errors(shape: tuple[int, int, int], dtype: str, threads: int) -> dict[str, float]:
    """Return the largest error of hwbench's product and of torch's, in |A|·|B| · 2⁻²⁴, for new random numbers."""
    m, n, k = shape
    narrow, kind = HALVES[dtype]
    rng = np.random.default_rng()
    a, b = (rng.uniform(-1, 1, size).astype(np.float32) for size in ((min(m, ERROR_ROWS), k), (k, n)))
    left, right = (torch.from_numpy(array).to(kind) for array in (a, b))
    x, y = (array.double().numpy() for array in (left, right))
    ours, theirs = gemm.prepare(narrow(a), narrow(b), threads=threads)(), torch.mm(left, right).double().numpy()
    unit = np.abs(x) @ np.abs(y) * 2.0**-24
    return {
        name: float((np.abs(product - x @ y) / unit).max()) for name, product in (("hwbench", ours), ("torch", theirs))
    }


def _onnxruntime(a: Any, b: Any, threads: int) -> dict[str, Callable[[], object]]:
    """Return onnxruntime's product of bytes, where it is installed."""
    try:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return {}
    node = helper.make_node("MatMulInteger", ["a", "b"], ["c"])
    graph = helper.make_graph(
        [node], "product", [helper.make_tensor_value_info("a", TensorProto.UINT8, a.shape)],
        [helper.make_tensor_value_info("c", TensorProto.INT32, (a.shape[0], b.shape[1]))],
        [numpy_helper.from_array(b, "b")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return {"onnxruntime": lambda: session.run(None, {"a": a})}


def row(shape: tuple[int, int, int], dtype: str, threads: int, seconds: float) -> dict[str, float]:
    """Print one line; return hwbench's speed as a multiple of each rival's."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    samples = matmul.timed(contestants(shape, dtype, threads), clock, seconds, 0.0 if threads == 1 else matmul.SETTLE)
    best = {name: min(times) for name, times in samples.items()}
    middle = {name: statistics.median(times) for name, times in samples.items()}
    work = 2.0 * shape[0] * shape[1] * shape[2]
    top = ceiling(dtype)[1] / best["ceiling"] if "ceiling" in best else None
    share = f"{work / best['hwbench'] / top:>8.1%}" if top else f"{'':8}"
    rivals = [pair for pair in RIVALS if set(pair) <= set(best)]
    ratios = {name: best[name] / best[ours] for ours, name in rivals}
    text = "".join(f"  {name} {ratios[name]:.3f} ({middle[name] / middle[ours]:.3f})" for ours, name in rivals)
    if dtype in HALVES:
        text += "  errors" + "".join(f" {name} {size:.2g}" for name, size in errors(shape, dtype, threads).items())
    print(f"{'x'.join(map(str, shape)):>16}{work / best['hwbench'] / 1e9:>9.1f}{share}{text}", flush=True)
    return ratios


def main(arguments: list[str]) -> None:
    """Print a table for each dtype."""
    options = dict(argument.split("=") for argument in arguments if "=" in argument)
    have = list(multiplied(vectors.target()))
    given = [argument.split("x") for argument in arguments if "x" in argument and "=" not in argument]
    shapes = [(int(m), int(n), int(k)) for m, n, k in given] or SETS[options.get("set", "square")]
    threads = int(matmul.THREADS)
    torch.set_num_threads(threads)
    if not have:
        print("lowprecision: this CPU has no products of fp16, bf16 or int8; nothing measured")
    for dtype in [argument for argument in arguments if argument in have] or have:
        print(f"{dtype}, {threads} thread(s): Gop/s, share of the ceiling, ratio of the best times (of the medians)")
        for shape in shapes:
            row(shape, dtype, threads, float(options.get("seconds", "3")))


if __name__ == "__main__":
    main(sys.argv[1:])
