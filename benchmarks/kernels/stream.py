"""Compare hwbench's STREAM with gcc's code for the same loops over the same arrays, in GB/s. Run by `make bench`.

Plain stores are what gcc -O3 makes of a loop (without turning the copy into a call of memcpy, which picks its own kind
of store; that is compared by itself). Non-temporal ones are C intrinsics of the widest vectors.

Usage: python benchmarks/kernels/stream.py [seconds=6] [mib=128]
"""

import ctypes
import sys
from collections.abc import Callable

from contest import HEAD, library, rate, ratio, times

from hwbench.measure.codegen import vectors
from hwbench.measure.kernels.memory import stream
from hwbench.measure.kernels.team import Placement

LOOPS = {"copy": "a[i]", "scale": "s * a[i]", "add": "a[i] + b[i]", "triad": "a[i] + s * b[i]"}
ARGUMENTS = "(double *restrict d, const double *restrict a, const double *restrict b, size_t n, double s)"
PLAIN = "#include <stddef.h>\n" + "\n".join(
    f"void {name}{ARGUMENTS} {{ for (size_t i = 0; i < n; i++) d[i] = {body}; }}" for name, body in LOOPS.items()
)
WIDE = {128: ("_mm", "__m128d"), 256: ("_mm256", "__m256d"), 512: ("_mm512", "__m512d")}


def streaming(bits: int) -> str:
    """Return the C text of the four loops with non-temporal stores of this width (x86)."""
    prefix, vector = WIDE[bits]
    left, right = f"{prefix}_load_pd(a + i)", f"{prefix}_load_pd(b + i)"
    multiplied = f"{prefix}_mul_pd(f, {right})"
    bodies = {
        "copy": left,
        "scale": f"{prefix}_mul_pd(f, {left})",
        "add": f"{prefix}_add_pd({left}, {right})",
        "triad": f"{prefix}_add_pd({left}, {multiplied})",
    }
    loops = [
        f"void {name}{ARGUMENTS} {{ {vector} f = {prefix}_set1_pd(s); for (size_t i = 0; i < n; i += {bits // 64}) "
        f"{prefix}_stream_pd(d + i, {body}); (void)f; _mm_sfence(); }}"
        for name, body in bodies.items()
    ]
    return "\n".join(["#include <immintrin.h>", "#include <stddef.h>", *loops])


def bound(side: ctypes.CDLL, name: str, arrays: stream.StreamArrays) -> Callable[[], object]:
    """Return a call of a C loop over the same arrays."""
    run = getattr(side, name)
    run.restype, run.argtypes = None, [*[ctypes.c_void_p] * 3, ctypes.c_size_t, ctypes.c_double]
    return lambda: run(*arrays.places, arrays.size // stream.ELEMENT, stream.FACTOR)


def main() -> None:
    """Print a line for each loop and kind of store."""
    options = dict(text.split("=") for text in sys.argv[1:])
    seconds, size = float(options.get("seconds", 6)), int(options.get("mib", 128)) << 20
    arrays = stream.StreamArrays(size, Placement())
    arrays.allocate()
    target = vectors.target()
    sides = {"": library(PLAIN, "-fno-tree-loop-distribute-patterns")}
    if target.x86:
        sides["-nt"] = library(streaming(target.widths[-1]))
    print(f"{'STREAM, GB/s':28}{HEAD[28:]}")
    for suffix, side in sides.items():
        for operation in stream.OPERATIONS:
            bits = arrays.best_width(operation, bool(suffix), target.widths)
            if not arrays.right(operation, bool(suffix), bits):
                raise SystemExit(f"{operation.name}{suffix} is wrong")
            ours = lambda o=operation, nt=bool(suffix), b=bits: arrays.passes(o, nt, b, 1)  # noqa: E731
            line(
                f"{operation.name}{suffix} ({bits} bit)",
                operation,
                arrays,
                ours,
                bound(side, operation.name, arrays),
                seconds,
            )
    copy = stream.OPERATIONS[0]
    bits = arrays.best_width(copy, True, target.widths)
    line(
        "copy-nt, C's memcpy",
        copy,
        arrays,
        lambda: arrays.passes(copy, True, bits, 1),
        bound(library(PLAIN), "copy", arrays),
        seconds,
    )


def line(
    name: str,
    operation: stream.Operation,
    arrays: stream.StreamArrays,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    seconds: float,
) -> None:
    """Measure one pair and print it."""
    amount = float(operation.arrays * arrays.size)
    found = times({"ours": ours, "C": theirs}, seconds)
    print(f"{name:28}{rate(amount, found['ours'])}{rate(amount, found['C'])}{ratio(found['ours'], found['C'])}")


if __name__ == "__main__":
    main()
