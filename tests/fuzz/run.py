"""Run many cases, judge what each left behind, make the faults small, and count.

    python -m tests.fuzz.run --count 20000 --seed 1 [--door "run record"] [--keep]

`--keep` adds the shrunk input of each new kind of fault to the file of its door in tests/fuzz/found/, where tests run
it for ever.
"""

import argparse
import base64
import csv
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from binascii import crc32
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from tests.fuzz import doors
from tests.fuzz.doors import ROOT, Case

FOUND = Path(__file__).parent / "found"
MAX_CPU_S = 10.0
MAX_MEMORY = 1 << 30
PATIENCE_S = 90.0
"""Wall time after which a worker that says nothing hangs: CPU time is what is limited, and machines may be busy."""
MEMORY = "/dev/shm"
"""Files of cases are many and small: a folder in memory, where there is one."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Worker:
    """A process that runs cases, started anew when one of them ends it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.results: Any = None
        self.folder: tempfile.TemporaryDirectory[str] | None = None

    def run(self, case: Case) -> dict[str, Any]:
        """Return the result of a case; `code` is the signal, negative, where the process was ended by it."""
        if self.process is None:
            self._start()
        assert self.process is not None
        assert self.process.stdin is not None
        files = {name: base64.b64encode(content).decode() for name, content in case.files.items()}
        line = {"door": case.door, "words": case.words, "files": files, "environment": case.environment}
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.results], [], [], PATIENCE_S)
        answer = self.results.readline() if ready else ""
        if answer:
            result: dict[str, Any] = json.loads(answer)
            return result
        self.process.kill() if not ready else None
        code = self.process.wait()
        self.close()
        return {"code": code, "out": "", "err": "" if ready else "hangs\n", "cpu_s": 0.0, "grown": 0}

    def _start(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="hwbench-fuzz-", dir=MEMORY if os.path.isdir(MEMORY) else None)
        reading, writing = os.pipe()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": self.folder.name}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker", str(writing)],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, pass_fds=(writing,), cwd=ROOT, env=environment,
        )  # fmt: skip
        os.close(writing)
        self.results = os.fdopen(reading)

    def close(self) -> None:
        """End the process and remove its files."""
        if self.process is not None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process.wait()
            self.results.close()
            self.process = None
        if self.folder is not None:
            self.folder.cleanup()
            self.folder = None


def fault(case: Case, result: dict[str, Any]) -> str | None:
    """Return what is wrong with a result, in words that are the same for the same kind of fault; None if nothing."""
    code, out, err = result["code"], result["out"], result["err"]
    if code < 0:
        return "hang" if err == "hangs\n" else f"abort by signal {-code}"
    if code not in (0, 2):
        return f"exit code {code}: {re.sub(r'0x[0-9a-f]+|[0-9]+', 'N', err.strip()[-160:])}"
    if result["cpu_s"] > MAX_CPU_S:
        return "slow"
    if result["grown"] > MAX_MEMORY:
        return "memory"
    lines = err.splitlines()
    if code == 2 and not any(line.startswith("hwbench: ") for line in lines):
        return "no message"
    odd = [line for line in lines if not line.startswith(("hwbench: ", "warning: "))]
    if odd and "--help" not in case.words and "HWBENCH_TRACEBACK" not in case.environment:
        return f"standard error: {re.sub(r'[0-9]+', 'N', odd[0][:80])}"
    if CONTROL.search(out.replace("\n", "")) or CONTROL.search(err.replace("\n", "")):
        return "control characters"
    if "csv" in case.words and code == 0 and _formulas(out):
        return "a formula in a cell of CSV"
    return _json_fault(out) if "--json" in case.words and code == 0 and out.startswith("{") else None


def _formulas(out: str) -> list[str]:
    """Return the cells that a spreadsheet would compute: text that begins with an operator."""
    cells = [cell for row in csv.reader(out.splitlines()) for cell in row]
    return [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell and not _is_number(cell)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _json_fault(out: str) -> str | None:
    try:
        json.loads(out, parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
    except ValueError as error:
        return f"JSON: {type(error).__name__}"
    return None


def shrunk(worker: Worker, case: Case, kind: str, tries: int = 150) -> Case:
    """Return a case with the same fault and less text in its largest file."""
    if not case.files:
        return case
    name = max(case.files, key=lambda name: len(case.files[name]))
    content, step = case.files[name], len(case.files[name]) // 2
    while step and tries:
        at = 0
        while at < len(content) and tries:
            tries -= 1
            less = content[:at] + content[at + step :]
            smaller = msgspec.structs.replace(case, files={**case.files, name: less})
            if fault(smaller, worker.run(smaller)) == kind:
                content = less
            else:
                at += step
        step //= 2
    return msgspec.structs.replace(case, files={**case.files, name: content})


class Tally:
    """Executions and faults by door, with the first case of each kind of fault."""

    def __init__(self) -> None:
        self.executions: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.faults: dict[tuple[str, str], list[Case]] = {}

    def lines(self) -> list[str]:
        """Return the table, then a line for each kind of fault."""
        lines = [f"{'door':20}{'executions':>12}{'accepted':>10}{'refused':>9}{'faults':>8}"]
        for door, count in self.executions.items():
            faults = sum(len(found) for (name, _), found in self.faults.items() if name == door)
            accepted = self.accepted[door]
            lines.append(f"{door:20}{count:12,}{accepted:10,}{count - accepted - faults:9,}{faults:8,}")
        lines.append(f"{'all':20}{self.executions.total():12,}{self.accepted.total():10,}")
        return lines + [f"{len(found)} x {door}: {kind}" for (door, kind), found in self.faults.items()]


def run(count: int, seed: int, names: list[str], workers: int) -> Tally:
    """Run `count` cases, the doors in turns of which the slow ones miss some, in several worker processes."""
    tally = Tally()
    turns = [name for turn in range(doors.TURNS) for name in names if turn == 0 or name not in doors.SLOW]

    def serve(first: int) -> None:
        worker = Worker()
        for number in range(first, count, workers):
            case = doors.case(turns[number % len(turns)], seed, number)
            result = worker.run(case)
            tally.executions[case.door] += 1
            kind = fault(case, result)
            if kind:
                tally.faults.setdefault((case.door, kind), []).append(case)
            elif result["code"] == 0:
                tally.accepted[case.door] += 1
        worker.close()

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(serve, range(workers)))
    return tally


def inputs(path: Path) -> dict[str, Case]:
    """Return the inputs of a file by name; none where there is no file."""
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Case]) if path.exists() else {}


def keep(tally: Tally) -> None:
    """Add the smallest input of each kind of fault to the file of its door, where tests run it for ever."""
    FOUND.mkdir(exist_ok=True)
    worker = Worker()
    for (door, kind), found in tally.faults.items():
        case = shrunk(worker, min(found, key=lambda case: sum(map(len, case.files.values()))), kind)
        path, name = FOUND / f"{door.replace(' ', '-')}.json", f"{crc32(kind.encode()):08x}"
        path.write_bytes(msgspec.json.format(msgspec.json.encode({**inputs(path), name: case}), indent=1) + b"\n")
        print(f"kept {name} in {path.name}: {kind}")
    worker.close()


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--door", action="append", choices=list(doors.DOORS))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    tally = run(options.count, options.seed, options.door or list(doors.DOORS), options.workers)
    print("\n".join(tally.lines()))
    print(f"{time.perf_counter() - began:.0f} s")
    if options.keep:
        keep(tally)
    sys.exit(1 if tally.faults else 0)


if __name__ == "__main__":
    main()
