"""Time `hwbench report`, its page's size and its scrolling: a usual page, and one of 100 runs with 2,000 layers.

Scrolling is timed in headless Chromium, which draws without a GPU, where it and selenium are installed: the whole page
in 200 steps, one a frame.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "run-1.json"
RUNS = 100
LAYERS = 2000
SCROLL = """
const done = arguments[0], end = document.body.scrollHeight - innerHeight, times = [];
let last = performance.now(), step = 0;
function frame(now) {
  times.push(now - last); last = now;
  if (++step > 200) return done(times.slice(2));
  scrollTo(0, end * step / 200); requestAnimationFrame(frame);
}
requestAnimationFrame(frame);
"""


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
    scroll(folder / "page.html")


def scroll(page: Path) -> None:
    """Print the milliseconds between two frames of scrolling."""
    try:
        from selenium import webdriver
    except ImportError:
        return
    if not shutil.which("chromium") or not (driver_path := shutil.which("chromedriver")):
        return
    options = webdriver.ChromeOptions()
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1440,1000"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    try:
        driver.get(page.as_uri())
        while driver.execute_script("return document.documentElement.dataset.drawn") != "all":
            time.sleep(0.1)
        frames = sorted(driver.execute_async_script(SCROLL))
    finally:
        driver.quit()
    late = frames[int(0.95 * len(frames))]
    print(
        f"{'':44}frames of {statistics.median(frames):.0f} ms, 95 % within {late:.0f} ms, longest {frames[-1]:.0f} ms"
    )


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
