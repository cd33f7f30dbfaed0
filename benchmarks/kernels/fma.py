"""Compare hwbench's multiply-adds with a loop of C intrinsics, in GFLOP/s, by width and dtype. Run by `make bench`.

Needs gcc. C's loop does the same operations on as many accumulators; on Intel's AMX a loop of tile products is compared
too. Without FMA, a multiply and an add are compared.

Usage: python benchmarks/kernels/fma.py [seconds=3]
"""

import ctypes
import functools
import sys
from collections.abc import Callable

from contest import HEAD, library, rate, ratio, times

from hwbench.measure.codegen import vectors
from hwbench.measure.codegen.tiles import TileDtype
from hwbench.measure.codegen.tiles import dtypes as tile_dtypes
from hwbench.measure.kernels.fma import amx, amx_loops
from hwbench.measure.kernels.fma import loops as fma_loops

ROUNDS = 100_000

X86 = {
    (128, "fp32"): ("__m128", "float", "_mm_set1_ps", "_mm_fmadd_ps", "_mm_add_ps", "_mm_mul_ps"),
    (128, "fp64"): ("__m128d", "double", "_mm_set1_pd", "_mm_fmadd_pd", "_mm_add_pd", "_mm_mul_pd"),
    (256, "fp32"): ("__m256", "float", "_mm256_set1_ps", "_mm256_fmadd_ps", "_mm256_add_ps", "_mm256_mul_ps"),
    (256, "fp64"): ("__m256d", "double", "_mm256_set1_pd", "_mm256_fmadd_pd", "_mm256_add_pd", "_mm256_mul_pd"),
    (512, "fp32"): ("__m512", "float", "_mm512_set1_ps", "_mm512_fmadd_ps", "_mm512_add_ps", "_mm512_mul_ps"),
    (512, "fp64"): ("__m512d", "double", "_mm512_set1_pd", "_mm512_fmadd_pd", "_mm512_add_pd", "_mm512_mul_pd"),
}
ARM = {
    (128, "fp32"): ("float32x4_t", "float", "vdupq_n_f32", "vfmaq_f32", "vaddq_f32", "vmulq_f32"),
    (128, "fp64"): ("float64x2_t", "double", "vdupq_n_f64", "vfmaq_f64", "vaddq_f64", "vmulq_f64"),
}


def source(bits: int, dtype: str, count: int, target: vectors.Target) -> str:
    """Return the C text of the throughput loop of fma/loops.py: `count` accumulators, four steps and back a round."""
    vector, scalar, fill, fused, add, multiply = (X86 if target.x86 else ARM)[bits, dtype]
    lines = []
    for step in range(fma_loops.STEPS):
        one, other = ("c", "d") if step % 2 else ("a", "b")
        for k in range(count):
            if not target.fused:
                lines.append(f"x{k} = {add}({multiply}(x{k}, {one}), {other});")
            elif target.x86:
                lines.append(f"x{k} = {fused}({one}, {other}, x{k});")
            else:
                lines.append(f"x{k} = {fused}(x{k}, {one}, {other});")
    starts = "\n".join(f"{vector} x{k} = {fill}(pa + {k} / 16.0f);" for k in range(count))
    sums = "\n".join(f"t = {add}(t, x{k});" for k in range(1, count))
    lanes = vectors.lanes(dtype, bits)
    return f"""
    #include <{"immintrin" if target.x86 else "arm_neon"}.h>
    {scalar} run(long rounds, {scalar} pa, {scalar} pb, {scalar} pc, {scalar} pd) {{
        {vector} a = {fill}(pa), b = {fill}(pb), c = {fill}(pc), d = {fill}(pd);
        {starts}
        for (long i = 0; i < rounds; i++) {{ {" ".join(lines)} }}
        {vector} t = x0;
        {sums}
        {scalar} total = 0, lanes[{lanes}];
        __builtin_memcpy(lanes, &t, sizeof t);
        for (int k = 0; k < {lanes}; k++) total += lanes[k];
        return total;
    }}
    """


TILES = """
#include <immintrin.h>
void run(long rounds, void *config, void *left, void *right, char *result, long unused) {
    _tile_loadconfig(config);
    _tile_loadd(6, left, 64); _tile_loadd(7, right, 64);
    _tile_zero(0); _tile_zero(1); _tile_zero(2); _tile_zero(3); _tile_zero(4); _tile_zero(5);
    for (long i = 0; i < rounds; i++) {
        OP(0, 6, 7); OP(1, 6, 7); OP(2, 6, 7); OP(3, 6, 7); OP(4, 6, 7); OP(5, 6, 7);
    }
    _tile_stored(0, result, 64); _tile_stored(1, result + 1024, 64); _tile_stored(2, result + 2048, 64);
    _tile_stored(3, result + 3072, 64); _tile_stored(4, result + 4096, 64); _tile_stored(5, result + 5120, 64);
    _tile_release();
}
"""


def vector_pair(bits: int, dtype: str, target: vectors.Target) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return hwbench's loop and C's, ready to run, after checking that they give the same answer."""
    count = fma_loops.accumulators(target.registers)
    theirs = library(source(bits, dtype, count, target)).run
    kind = ctypes.c_float if dtype == "fp32" else ctypes.c_double
    theirs.restype, theirs.argtypes = kind, [ctypes.c_long, kind, kind, kind, kind]
    operands = fma_loops.operands(dtype, target.fused)
    plain = tuple(float(operand) for operand in operands)
    ours = functools.partial(fma_loops.throughput, bits)
    if abs(theirs(3, *plain) / ours(3, *operands) - 1) > 1e-5:
        raise SystemExit(f"the loops of {bits} bits in {dtype} do not compute the same")
    return lambda: ours(ROUNDS, *operands), lambda: theirs(ROUNDS, *plain)


def tile_pair(dtype: TileDtype) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return hwbench's loop of tile products and C's."""
    operation = {"bf16": "_tile_dpbf16ps", "int8": "_tile_dpbssd"}[dtype]
    theirs = library(TILES, f"-DOP={operation}", "-mamx-tile", "-mamx-bf16", "-mamx-int8").run
    theirs.argtypes = [ctypes.c_long, *[ctypes.c_void_p] * 4, ctypes.c_long]
    tiles = amx.TileFactors(dtype)
    return lambda: tiles.run(ROUNDS // 4), lambda: theirs(ROUNDS // 4, *tiles.addresses, 0)


def line(name: str, amount: float, pair: tuple[Callable[[], object], Callable[[], object]], seconds: float) -> None:
    """Measure one pair and print it."""
    found = times({"ours": pair[0], "C": pair[1]}, seconds)
    print(f"{name:28}{rate(amount, found['ours'])}{rate(amount, found['C'])}{ratio(found['ours'], found['C'])}")


def main() -> None:
    """Print a line for every width and dtype."""
    seconds = next((float(text.partition("=")[2]) for text in sys.argv[1:] if text.startswith("seconds=")), 3.0)
    target = vectors.target()
    print(f"{'multiply-adds, GFLOP/s':28}{HEAD[28:]}")
    for bits in target.widths:
        for dtype in ("fp32", "fp64"):
            count = fma_loops.accumulators(target.registers)
            flops = 2.0 * ROUNDS * fma_loops.STEPS * count * vectors.lanes(dtype, bits)
            line(f"{target.isa(bits)} {bits} bit {dtype}", flops, vector_pair(bits, dtype, target), seconds)
    for tile in tile_dtypes(target):
        operations = float(ROUNDS // 4 * amx_loops.SUMS * amx.operations(tile))
        line(f"amx {tile}", operations, tile_pair(tile), seconds)


if __name__ == "__main__":
    main()
