"""Count every model of transformers, torchvision and timm, each in a process with limits: what counts, and why not.

python benchmarks/counting/scan.py [hf torchvision timm] [--only TEXT] [--each 1] [--first 0] [--seconds 60]
    [--gib 8] [-o FILE]
"""

import argparse
import csv
import os
import re
import resource
import select
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from hwbench.errors import InputError
from hwbench.workload.request import ModelRequest

STATES = ("counted", "with gaps", "refused", "over the limit")


def names(source: str) -> list[str]:
    """Return all models of a source, whose packages are thereby loaded before a process is forked for each."""
    if source == "hf":
        import transformers

        from hwbench.workload.tracing import sources

        sources.build(ModelRequest("hf:bert"))  # loads what all models need
        return sorted(transformers.CONFIG_MAPPING)
    if source == "torchvision":
        import torchvision

        return sorted(torchvision.models.list_models())
    import timm

    return sorted(timm.list_models())


def count(name: str) -> tuple[str, str]:
    """Return whether a model is counted, and else what is missing."""
    from hwbench.workload.tracing import sources

    try:
        workload = sources.workload(ModelRequest(name))
    except InputError as error:
        return "refused", f"{error.code}: {error.message}"
    gaps = ", ".join(line.partition(" ")[0] for line in workload.uncounted)
    return ("with gaps", gaps) if gaps else ("counted", f"{workload.macs} MAC, {workload.params} parameters")


def limited(work: Callable[[], tuple[str, str]], seconds: int, gib: int) -> tuple[str, str]:
    """Return what `work` returns in a process of its own, which is ended at a limit of time or memory."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        try:
            state, detail = work()
        except BaseException as error:  # a defect of ours, or memory
            state, detail = "over the limit" if isinstance(error, MemoryError) else "refused", repr(error)
        os.write(writer, f"{state}\t{' '.join(detail.split())[:400]}".encode()[:4000])
        os._exit(0)
    os.close(writer)
    end = time.monotonic() + 10 * seconds
    while not (ready := select.select([reader], [], [], 0.5)[0]) and time.monotonic() < end:
        with open(f"/proc/{child}/statm") as file:  # weights without values take addresses, but no memory
            if int(file.read().split()[1]) * resource.getpagesize() > gib << 30:
                break
    answer = os.read(reader, 4096).decode() if ready else "over the limit\ttime or memory"
    if not ready:
        os.kill(child, signal.SIGKILL)
    os.close(reader)
    os.waitpid(child, 0)
    state, _, detail = (answer or "over the limit\ttime").partition("\t")  # the system ends a process at its limit
    return state, detail


def reason(detail: str) -> str:
    """Return a refusal without what is particular to one model."""
    return re.sub(r"'[^']*'|\b\w*\d[\w×]*\b|^\S+ \w+ does not run on .* without data: ", "…", detail)[:110]


def main(arguments: Any) -> None:
    """Print a table of the sources, then the reasons of what is refused."""
    rows = []
    for source in arguments.sources:
        for name in (
            f"{source}:{name}" for name in names(source)[arguments.first :: arguments.each] if arguments.only in name
        ):
            begun = time.monotonic()
            state, detail = limited(lambda name=name: count(name), arguments.seconds, arguments.gib)
            rows.append((source, name, state, detail, f"{time.monotonic() - begun:.1f}"))
            if arguments.output:
                with open(arguments.output, "a", newline="") as file:
                    csv.writer(file).writerow(rows[-1])
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for source, _, state, _, _ in rows:
        table[source][state] += 1
    print(f"| source | models | {' | '.join(STATES)} |\n|{'---|' * (len(STATES) + 2)}")
    for source, states in table.items():
        print(f"| {source} | {states.total()} | {' | '.join(str(states[state]) for state in STATES)} |")
    print("\nNot counted, by reason:")
    reasons = Counter(reason(detail) for _, _, state, detail, _ in rows if state in STATES[2:])
    for text, times in reasons.most_common():
        print(f"{times:4} {text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="*", default=["hf", "torchvision", "timm"])
    parser.add_argument("--only", default="", help="models whose name contains this")
    parser.add_argument("--each", type=int, default=1, help="only every Nth model")
    parser.add_argument("--first", type=int, default=0, help="of those, counted from 0")
    parser.add_argument("--seconds", type=int, default=60, help="of the processor")
    parser.add_argument("--gib", type=int, default=8)
    parser.add_argument("-o", "--output", help="a CSV file to which each model is added as it ends")
    main(parser.parse_args())
