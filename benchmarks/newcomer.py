"""Time a newcomer's path step by step: a fresh clone, `make demo`, `hwbench report`, the page drawn by a browser.

python benchmarks/newcomer.py

The clone lies in a temporary folder, which is removed. Packages come from pip's index, or from its cache where it has
them. The browser is Chromium, headless; without one the last step is left out.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)


def step(title: str, *command: str, where: str) -> float:
    """Run a command, print its time in s and return it; end with its message if it fails."""
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"{title}: {done.stderr}")
    print(f"{title:<34}{taken:8.1f} s", flush=True)
    return taken


def main() -> None:
    """Time every step."""
    with tempfile.TemporaryDirectory(prefix="hwbench-newcomer-") as folder:
        clone = os.path.join(folder, "hwbench")
        total = step("git clone", "git", "clone", "-q", str(ROOT), clone, where=folder)
        total += step("make demo", "make", "demo", where=clone)
        total += step("hwbench report", ".venv/bin/hwbench", "report", "-d", "rtx3090", where=clone)
        if browser := shutil.which("chromium"):
            page = Path(clone, "report.html").as_uri()
            picture, profile = f"--screenshot={folder}/page.png", f"--user-data-dir={folder}/profile"
            total += step("the page, drawn by Chromium", browser, *FLAGS, profile, picture, page, where=folder)
        print(f"{'in all':<34}{total:8.1f} s")


if __name__ == "__main__":
    main()
