"""Count instructions from process start to answer with callgrind: the same under any load. Print a table with ratios.

Run by `make bench`. Needs valgrind (Debian: apt-get install valgrind).
"""

import os
import re
import shutil
import subprocess
import sys

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import click, msgspec, yaml": ["-c", "import click, msgspec, yaml"],
    "estimate alexnet rtx3090": ["-m", "hwbench", "estimate", "--model", "alexnet", "--device", "rtx3090"],
    "estimate alexnet 'RTX 3090'": ["-m", "hwbench", "estimate", "--model", "alexnet", "--device", "RTX 3090"],
    "estimate resnet50 h100-sxm --json": [
        *("-m", "hwbench", "estimate", "--model", "resnet50", "--device", "h100-sxm", "--dtype", "fp16", "--json")
    ],
    "count alexnet": ["-m", "hwbench", "count", "--model", "alexnet"],
    "peak rtx3090": ["-m", "hwbench", "peak", "--device", "rtx3090"],
}
LIMIT = 250e6


def instructions(arguments: list[str]) -> int:
    """Return the instructions of one run of Python with warm bytecode."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
    subprocess.run(command, env=environment, capture_output=True, check=True)  # writes the bytecode
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run([*valgrind, *command], env=environment, capture_output=True, text=True, check=True)
    match = re.search(r"Collected : (\d+)", done.stderr)
    if match is None:
        raise SystemExit(f"callgrind printed no count: {done.stderr[-300:]}")
    return int(match.group(1))


def main() -> None:
    """Print the table."""
    if shutil.which("valgrind") is None:
        print("startup: valgrind is not installed; nothing measured")
        return
    print(f"{'start-up':36}{'instructions':>14}{'of the limit of 250 M':>24}")
    for name, arguments in COMMANDS.items():
        count = instructions(arguments)
        print(f"{name:36}{count / 1e6:>12.1f} M{count / LIMIT:>24.2f}")


if __name__ == "__main__":
    main()
