"""Compare runs with forecasts on this machine: `hwbench run` and `hwbench estimate --device host`, after calibration.

python benchmarks/host.py [passes]

Microbenchmarks once; then, in each pass (3 by default), a calibration, the forecasts that it gives, and every network
in random order. Fifteen minutes on two cores; what is saved lies in a temporary folder. Two tables in
Markdown, as docs/explanation/accuracy.md shows them: medians over passes, and the errors of all forecasts.
"""

import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

from hwbench import units

NETWORKS = ("alexnet", "resnet50", "mobilenet-v2", "vgg16", "hf:vit", "hf:bert")
CALIBRATED_ON = {("alexnet", 1), ("mobilenet-v2", 1)}
"""Among these, what `calibrate` itself times: see measure/host_calibration.py."""


def hwbench(*words: str) -> str:
    """Return what a command printed as JSON; repeat its warnings of other work on standard error."""
    done = subprocess.run([sys.executable, "-m", "hwbench", *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr}")
    for found in re.findall(r"Other work took \d+ %", done.stdout + done.stderr):
        print(f"{time.strftime('%T')} {' '.join(words[:3])}: {found}", file=sys.stderr)
    return done.stdout


def main(passes: int) -> None:
    """Calibrate, forecast and run in every pass; print."""
    os.environ["HWBENCH_RESULTS"] = tempfile.mkdtemp(prefix="hwbench-host-")
    hwbench("bench", "--json")
    cases: dict[tuple[str, int], list[dict]] = {}
    for _ in range(passes):
        answer = hwbench("calibrate", "--device", "host", "--runtime", "torch", "--json")
        [factors] = json.loads(answer)["calibrations"]
        print(", ".join(f"{part} {factors[part]:.2f}" for part in ("compute", "memory", "overhead")), file=sys.stderr)
        for name in random.sample(NETWORKS, len(NETWORKS)):
            forecast = hwbench("estimate", "--model", name, "--device", "host", "--batch", "1,8", "--json")
            ran = hwbench("run", "--model", name, "--batch", "1,8", "--budget", "20s", "--json")
            pairs = zip(json.loads(forecast)["estimates"], json.loads(ran)["runs"], strict=True)
            for expected, measured in pairs:
                cases.setdefault((name, expected["batch"]), []).append({**expected, "time_s": measured["time_s"]})
    networks(cases)
    print("\n| | forecasts | MAPE | bias | in the interval | roofline | ideal |\n|---|---|---|---|---|---|---|")
    summary("all", [case for passes in cases.values() for case in passes])
    summary(
        "without those that calibration timed",
        [case for key, passes in cases.items() if key not in CALIBRATED_ON for case in passes],
    )


def networks(cases: dict[tuple[str, int], list[dict]]) -> None:
    """Print a row for each network and batch: medians over passes."""
    print("| model | batch | measured | lowest to highest pass | expected | errors of the passes | in the interval |")
    print("|---|---|---|---|---|---|---|")
    for (name, batch), passes in sorted(cases.items()):
        times = [case["time_s"] for case in passes]
        expected = statistics.median(case["expected_time_s"] for case in passes)
        shown = [units.si(value, "s", 3) for value in (statistics.median(times), min(times), max(times), expected)]
        errors = ", ".join(f"{error(case, 'expected_time_s'):+.0f}" for case in passes)
        print(
            f"| {name} | {batch} | {shown[0]} | {shown[1]} to {shown[2]} | {shown[3]} | {errors} %"
            f" | {sum(map(covered, passes))} of {len(passes)} |"
        )


def error(case: dict, field: str) -> float:
    """Return the error of a prediction in % of the measured time."""
    return 100 * (case[field] / case["time_s"] - 1)


def covered(case: dict) -> bool:
    """Return whether the measured time is inside the interval."""
    low, high = case["interval_s"]
    return low <= case["time_s"] <= high


def summary(title: str, cases: list[dict]) -> None:
    """Print the errors of these forecasts as one row."""
    names = ("expected_time_s", "roofline_time_s", "ideal_time_s")
    expected, roofline, ideal = (statistics.mean(abs(error(case, name)) for case in cases) for name in names)
    bias = statistics.mean(error(case, names[0]) for case in cases)
    share = 100 * statistics.mean(map(covered, cases))
    cells = f"{expected:.1f} % | {bias:+.1f} % | {share:.0f} % | {roofline:.0f} % | {ideal:.0f} %"
    print(f"| {title} | {len(cases)} | {cells} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
