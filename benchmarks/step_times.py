"""Time networks in torch on this machine, as a sample for the tests of forecasts.

python benchmarks/step_times.py [FOLDER]

Writes `step-times.csv`, in the form that `hwbench validate` reads, and `step-times-bench.json`, the record of the
microbenchmarks that the forecasts start from, to FOLDER (tests/golden by default). Two minutes at rest; the load
that it met is stated in the first lines of the table.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
NETWORKS = ("alexnet", "squeezenet1.0", "resnet18", "resnet50", "googlenet", "mobilenet-v2")
BATCHES = (1, 2, 3, 4, 8)
BUDGET = "5s"
THREADS = (1,)
"""One thread is timed by its own CPU time, which other work disturbs least; add 2 on a machine at rest."""
DEVICE = "sample"


def hwbench(*words: str) -> dict:
    """Return what a command printed as JSON."""
    command = [sys.executable, "-m", "hwbench", *words, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def bench(path: Path) -> str:
    """Save the record of quick microbenchmarks without names of the machine; return a line about it."""
    with tempfile.TemporaryDirectory() as folder:
        hwbench("bench", "--quick", "--save", folder)
        (saved,) = Path(folder).glob("*.json")
        record = json.loads(saved.read_text(encoding="utf-8"))
    record["environment"] |= {"machine": "0123456789abcdef", "hostname": "example"}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return f"{record['environment'].get('brand', '')}, {record['created'][:10]}, hwbench {record['hwbench_version']}"


def main(folder: Path) -> None:
    """Measure and write both files."""
    os.environ["HWBENCH_RESULTS"] = tempfile.mkdtemp(prefix="hwbench-step-times-")
    before = os.getloadavg()[0]
    about = bench(folder / "step-times-bench.json")
    cases = [(name, threads) for name in NETWORKS for threads in THREADS]
    lines, shares = [], []
    for name, threads in random.sample(cases, len(cases)):
        batches = ",".join(map(str, BATCHES))
        body = hwbench("run", "-m", name, "--batch", batches, "--threads", str(threads), "--budget", BUDGET)
        warnings = " ".join(body["warnings"])
        share = re.search(r"Other work took (\d+) %", warnings)
        shares.append(int(share.group(1)) if share else 0)
        for run in body["runs"]:
            version = run["runtime"].removeprefix("torch-")
            lines.append(
                f"{DEVICE} units={threads},{name},,{run['batch']},fp32,nchw,torch-{version},{1e3 * run['time_s']:.4g},"
                f"grade {run['grade']}; other work {shares[-1]} %"
            )
        print(f"{name}, {threads} threads: other work {shares[-1]} %", file=sys.stderr)
    load = f"load average {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    head = (
        f"# our own measurements by benchmarks/step_times.py: {about}; 2 virtual CPUs",
        f"# {load}; other work took {min(shares)} to {max(shares)} % of the CPUs, see each row",
        "device,model,image_size,batch,dtype,layout,runtime,time_ms,source",
    )
    (folder / "step-times.csv").write_text("\n".join((*head, *sorted(lines))) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests" / "golden")
