"""Compare the clock by a chain of dependent operations with a C program's, in GHz. Run by `make bench`; needs gcc.

C's chain is written with inline assembly, so that it is exactly `add` and `xor` of registers.

Usage: python benchmarks/kernels/clock.py [seconds=6]
"""

import ctypes
import sys

from contest import HEAD, library, rate, ratio, times

from hwbench.measure.kernels.clock import loops as clock_loops

X86 = '__asm__ volatile("add %1, %0\\n xor %2, %0" : "+r"(v) : "r"(y), "r"(z));'
ARM = '__asm__ volatile("add %0, %0, %1\\n eor %0, %0, %2" : "+r"(v) : "r"(y), "r"(z));'
SOURCE = f"""
#if defined(__x86_64__)
#define PAIR {X86}
#elif defined(__aarch64__)
#define PAIR {ARM}
#else
#error "no chain is written for this CPU"
#endif
#define FOUR PAIR PAIR PAIR PAIR
#define SIXTEEN FOUR FOUR FOUR FOUR
long chain(long rounds, long v, long y, long z) {{
    for (long i = 0; i < rounds; i++) {{ SIXTEEN SIXTEEN SIXTEEN SIXTEEN }}
    return v;
}}
"""
ROUNDS = 400_000


def main() -> None:
    """Print the clocks and their ratio."""
    seconds = next((float(text.partition("=")[2]) for text in sys.argv[1:] if text.startswith("seconds=")), 6.0)
    theirs = library(SOURCE).chain
    theirs.restype, theirs.argtypes = ctypes.c_long, [ctypes.c_long] * 4
    arguments = (ROUNDS, 1, clock_loops.STEP, clock_loops.MASK)
    if theirs(*arguments) != clock_loops.chain(*arguments):
        raise SystemExit("the two chains do not compute the same")
    found = times({"ours": lambda: clock_loops.chain(*arguments), "C": lambda: theirs(*arguments)}, seconds)
    cycles = ROUNDS * clock_loops.CYCLES
    print(f"{'clock, GHz':28}{HEAD[28:]}")
    print(f"{'scalar':28}{rate(cycles, found['ours'])}{rate(cycles, found['C'])}{ratio(found['ours'], found['C'])}")


if __name__ == "__main__":
    main()
