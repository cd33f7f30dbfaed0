"""How long `hwbench report` takes and how large its page is: the usual one, and one of 100 runs and 2,000 layers."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "run-1.json"
RUNS = 100
LAYERS = 2000


def timed(folder: Path, *words: str) -> None:
    """Print CPU and wall seconds and the size of one page."""
    command = [sys.executable, "-m", "hwbench", "report", *words, "-o", "page.html"]
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    size = (folder / "page.html").stat().st_size
    name = " ".join(words[-4:])
    print(f"{name:44}{len(words):>6} words{cpu:>8.2f} s CPU{wall:>8.2f} s{size / 1e6:>8.2f} MB")


def main() -> None:
    """Print the table."""
    text = GOLDEN.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        layers = "\n".join(f"  - linear: {{name: fc{index}, features: 64}}" for index in range(LAYERS))
        (folder / "deep.yaml").write_text(f"title: Deep\ninput: [64]\nlayers:\n{layers}\n", encoding="utf-8")
        runs = []
        for index in range(RUNS):
            runs.append(f"run-{index}.json")
            (folder / runs[-1]).write_text(text, encoding="utf-8")
        timed(folder, "-m", "alexnet", "-d", "rtx3090")
        timed(folder, *runs, "-m", "deep.yaml", "-d", "rtx3090")


if __name__ == "__main__":
    main()
