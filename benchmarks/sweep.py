"""Time the comparison of the whole catalog and a sweep of a million points: CPU and wall time of the commands.

CPU time judges on a shared machine; a sweep computes on all cores, so that its wall time may be the shorter one.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

COMMANDS = (
    ("the whole catalog", ["compare", "--format", "csv"]),
    ("the whole catalog with alexnet", ["compare", "--model", "alexnet", "--format", "csv"]),
    ("the whole catalog with resnet50", ["compare", "--model", "resnet50", "--format", "csv"]),
    ("a million points of alexnet", ["sweep", "--model", "alexnet", "--dtype", "fp32,fp16", "--batch", "1..2400"]),
    ("a million points of resnet50", ["sweep", "--model", "resnet50", "--dtype", "fp32,fp16", "--batch", "1..2400"]),
)
ROUNDS = 3


def main() -> None:
    """Print the best of a few rounds of each command."""
    print(f"{'command':36}{'rows':>10}{'CPU s':>8}{'wall s':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for title, words in COMMANDS:
            place = os.path.join(folder, "points.csv")
            saved = ["-o", place] if words[0] == "sweep" else []
            best = min(measured([*words, *saved], place if not saved else None) for _ in range(ROUNDS))
            with open(place, encoding="utf-8") as file:
                rows = sum(1 for _ in file) - 1
            print(f"{title:36}{rows:>10,}{best[0]:>8.2f}{best[1]:>8.2f}")


def measured(words: list[str], place: str | None) -> tuple[float, float]:
    """Return CPU and wall time in s of a command, whose standard output goes to a file."""
    with open(place or os.devnull, "w", encoding="utf-8") as file:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-m", "hwbench", *words]
        subprocess.run(command, check=True, stdout=file, stderr=subprocess.DEVNULL)
        wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


if __name__ == "__main__":
    main()
