"""Compile a C text with gcc, run contestants in turns, print ratios: shared by the benchmarks against C.

Contestants run in one process, in random order, each many times; CPU time of the thread counts. A ratio is of the best
times, followed by the one of the medians: above 1, hwbench is faster.
"""

import ctypes
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")


def library(source: str, *flags: str) -> ctypes.CDLL:
    """Return a C text compiled by gcc -O3 for this CPU and loaded; end the program if gcc is missing."""
    if shutil.which("gcc") is None:
        raise SystemExit("gcc is not installed (Debian: apt-get install gcc): there is nothing to compare with")
    with tempfile.TemporaryDirectory() as folder:
        text, result = Path(folder, "c.c"), Path(folder, "c.so")
        text.write_text(source)
        done = subprocess.run(
            ["gcc", *FLAGS, *flags, str(text), "-o", str(result)], check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"gcc cannot compile this for the CPU at hand:\n{done.stderr[-2000:]}")
        return ctypes.CDLL(str(result))


def times(contestants: dict[str, Callable[[], object]], seconds: float, fewest: int = 15) -> dict[str, list[float]]:
    """Return the CPU times in s of every contestant, by name, over about `seconds` of CPU time in all."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    for run in contestants.values():
        run()
    while sum(map(sum, found.values())) < seconds or len(found[order[0]]) < fewest:
        random.shuffle(order)
        for name in order:
            before = time.thread_time()
            contestants[name]()
            found[name].append(time.thread_time() - before)
    return found


def ratio(ours: list[float], theirs: list[float]) -> str:
    """Return how many times as fast hwbench is, by the best and by the median times."""
    best = min(theirs) / min(ours)
    median = statistics.median(theirs) / statistics.median(ours)
    return f"{best:>8.3f}{median:>10.3f}"


def rate(amount: float, measured: list[float]) -> str:
    """Return the amount per second in units of 10^9, best and median."""
    return f"{amount / min(measured) / 1e9:>10.3f}{amount / statistics.median(measured) / 1e9:>10.3f}"


HEAD = f"{'':28}{'ours best':>10}{'median':>10}{'C best':>10}{'median':>10}{'ratio':>8}{'of medians':>10}"
