"""Put the local page's server under load and print the times of answers, its CPU time, and its memory before and after.

Usage: python benchmarks/explore.py [REQUESTS [AT_ONCE]]     10,000 requests, 50 at a time
"""

import concurrent.futures
import http.client
import itertools
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

QUESTIONS = (
    ("answer", "model=alexnet&device=rtx3090"),
    ("answer", "model=resnet50&device=rtx4090&dtype=fp16&batch=8&set.clock=2GHz"),
    ("roofline", "model=resnet50&device=h100-sxm&dtype=fp16"),
    ("layers", "model=vgg16&device=i9-10940x"),
    ("compare", "model=alexnet&device=rtx3090&device=rtx4090&device=a100-sxm4-80gb"),
    ("whatif", "model=alexnet&device=rtx3090&along=clock"),
    ("answer", "model=llama3-8b&device=rtx3090&weights=q4_k_m"),
)
_OF_THREAD = threading.local()


def memory_mib(process: int) -> float:
    """Return the resident memory of a process in MiB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else float("nan")


def cpu_s(process: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(port: int, view: str, query: str) -> tuple[str, float]:
    """Ask once on this thread's connection; return the view and the seconds."""
    if not hasattr(_OF_THREAD, "connection"):
        _OF_THREAD.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    start = time.perf_counter()
    _OF_THREAD.connection.request("GET", f"/api/view/{view}?{query}")
    response = _OF_THREAD.connection.getresponse()
    response.read()
    if response.status != 200:
        raise SystemExit(f"{view}?{query}: {response.status}")
    return f"{view} {query.partition('&')[0].removeprefix('model=')}", time.perf_counter() - start


def table(title: str, results: list[tuple[str, float]]) -> None:
    """Print the median, the 99th percentile and the largest time by question."""
    print(f"{title:34}{'n':>7}{'median':>11}{'99 %':>11}{'largest':>11}")
    every = sorted({name for name, _ in results})
    for name in [*every, "all"]:
        times = sorted(1e3 * seconds for own, seconds in results if name in (own, "all"))
        high = times[min(len(times) - 1, int(0.99 * len(times)))]
        print(f"{name:34}{len(times):>7}{statistics.median(times):>8.1f} ms{high:>8.1f} ms{times[-1]:>8.1f} ms")


def main() -> None:
    """Start a server, ask it one at a time and then many at once, and print."""
    count, at_once = (int(word) for word in (*sys.argv[1:], *("10000", "50")[len(sys.argv) - 1 :]))
    command = [sys.executable, "-m", "hwbench", "explore", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            match = re.search(r":(\d+)/", server.stdout.readline())
            assert match
            port = int(match[1])
            for view, query in QUESTIONS:
                timed(port, view, query)
            before = memory_mib(server.pid)
            table("one at a time", [timed(port, *question) for question in QUESTIONS * 30])
            asked = list(itertools.islice(itertools.cycle(QUESTIONS), count))
            start, cpu = time.perf_counter(), cpu_s(server.pid)
            with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
                results = list(pool.map(lambda question: timed(port, *question), asked))
            seconds = time.perf_counter() - start
            table(f"{at_once} at a time", results)
            memory = f"memory {before:.0f} MiB before, {memory_mib(server.pid):.0f} after"
            each = 1e3 * (cpu_s(server.pid) - cpu) / count
            print(f"{count / seconds:.0f} answers/s; {each:.1f} ms of CPU each; {memory}")
        finally:
            server.kill()


if __name__ == "__main__":
    main()
