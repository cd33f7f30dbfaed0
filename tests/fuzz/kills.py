"""Kill commands that write, at random moments, and look at what they leave.

    python -m tests.fuzz.kills --count 1000 --seed 1 [--command "run --save"]

Half of the kills come at any moment of a command, half within 10 ms of the moment at which it begins a file. After
each, every file must be whole and every file of before there; after the next run that completes, no temporary file may
be left.
"""

import argparse
import importlib
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from msgspec import Struct
from msgspec.structs import replace

from tests.fuzz.doors import ROOT

COMPLETE = 10
"""Every so many kills the command runs to its end."""
WINDOW_S = 0.01
FEW = "model,device,dtype,batch,time_ms,runtime\n" + "".join(
    f"{model},rtx3090,fp32,{batch},{1 + batch / 9},torch-eager-cuda\n"
    for model in ("alexnet", "resnet50", "vgg16")
    for batch in (1, 8, 64)
)


class Command(Struct, frozen=True):
    """A command that writes: its words, and which share of the kills it gets."""

    words: str
    share: int = 1


SAVE = "--json --save runs"
COMMANDS = {
    "bench --save": Command(f"bench clock --quick --threads 1 --budget 0.3s {SAVE}", 4),
    "run --save": Command(f"run --model lenet5 --threads 1 --budget 0.3s {SAVE}"),
    "compare --live --save": Command(
        f"compare --live A=1 --kernel clock --processes 1 --budget 0.5s --format json {SAVE.removeprefix('--json ')}"
    ),
    "results rename": Command("results rename latest other --from runs", 4),
    "results remove": Command("results remove latest --from runs", 4),
    "calibrate --device": Command("calibrate --device rtx3090 few.csv", 4),
    "report -o": Command("report -m lenet5 -d rtx3090 -o out/report.html", 2),
    "sweep -o .csv": Command("sweep --model lenet5 --device rtx3090 --batch 1..300 -o out/points.csv", 4),
    "sweep -o .json": Command("sweep --model lenet5 --device rtx3090 --batch 1..300 -o out/points.json", 4),
    "models export -o": Command("models export lenet5 -o out/trace.json", 4),
    "the catalog's cache": Command("peak --device rtx3090", 4),
}
QUICK = ("results rename", "results remove", "calibrate --device", "sweep -o .csv", "models export -o")
"""Commands of which a few kills run in the tests."""


class Place:
    """A folder that a command works in, and what must be true of the files there."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        (self.folder / "out").mkdir()
        (self.folder / "few.csv").write_text(FEW)
        self.number = 0
        self.replenish()

    def replenish(self) -> None:
        """Save what the command takes away, and take away what it would find done."""
        from hwbench.measure import store

        if self.name.startswith("results") and len(store.names(str(self.folder / "runs"))) < 3:
            run = store.load(str(ROOT / "tests" / "golden" / "run-1.json"))
            for _ in range(3):
                store.save(replace(run, id=store.new_id()), str(self.folder / "runs"))
        if self.name == "the catalog's cache":
            shutil.rmtree(self.folder / "cache", ignore_errors=True)
        if self.name == "results rename":
            self.number += 1

    @property
    def words(self) -> list[str]:
        """The words of the command."""
        return [f"n{self.number}" if word == "other" else word for word in COMMANDS[self.name].words.split()]

    def files(self) -> dict[str, Path]:
        """Return the files that are there, temporary ones left out, by their names."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and not path.name.endswith(".tmp"))
        return {str(path.relative_to(self.folder)): path for path in found}

    def temporary(self) -> list[Path]:
        """Return the temporary files."""
        return [*self.folder.rglob(".hwbench.*.tmp")]

    def broken(self) -> list[str]:
        """Return the files that are not whole."""
        return [name for name, path in self.files().items() if not _is_whole(path)]


def _is_whole(path: Path) -> bool:
    from hwbench.errors import InputError
    from hwbench.measure import store

    text = path.read_bytes()
    if path.parent.name == "runs":
        try:
            store.load(str(path))
        except InputError:
            return False
    if path.suffix == ".json":
        try:
            json.loads(text)
        except ValueError:
            return False
    if path.suffix == ".csv" and path.parent.name == "out":
        return text.count(b"\n") == 301 and text.endswith(b"\n")
    return path.suffix != ".html" or text.rstrip().endswith(b"</html>")


def begin(place: Place) -> tuple[int, int]:
    """Start the command in a process forked off this one; return it, and a pipe that tells of each file it begins."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        os.close(reading)
        os.chdir(place.folder)
        for number in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w") for number in (1, 2))
        homes = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
        cache = place.folder / "cache" if place.name == "the catalog's cache" else CACHE
        os.environ |= dict.fromkeys(homes, str(place.folder)) | {"XDG_CACHE_HOME": str(cache)}
        sys.addaudithook(lambda event, details: _tell(writing, event, details))
        sys.argv = ["hwbench", *place.words]
        from hwbench.cli.main import main

        main()
    except SystemExit as left:
        os._exit(int(left.code or 0))
    finally:
        os._exit(1)


CACHE = Path(tempfile.gettempdir()) / f"hwbench-kills-cache-{os.getuid() if hasattr(os, 'getuid') else 0}"


def _tell(pipe: int, event: str, details: tuple[object, ...]) -> None:
    if event == "open" and str(details[0]).endswith(".tmp"):
        os.write(pipe, b"w")


class Complete(Struct, frozen=True):
    """A run to the end: its time, the files that it began, its exit code."""

    seconds: float
    begun: int
    code: int


def complete(place: Place) -> Complete:
    """Run the command to its end."""
    place.replenish()
    began = time.perf_counter()
    child, pipe = begin(place)
    begun = 0
    while os.read(pipe, 1):
        begun += 1
    os.close(pipe)
    _, status = os.waitpid(child, 0)
    return Complete(time.perf_counter() - began, begun, os.waitstatus_to_exitcode(status))


def kill(place: Place, usual: Complete, random: Random) -> bool:
    """Run the command and kill it; return whether it had begun a file, and not ended."""
    place.replenish()
    child, pipe = begin(place)
    begun = 0
    wanted = random.randint(1, usual.begun) if usual.begun and random.random() < 0.5 else 0
    until = time.perf_counter() + (60.0 if wanted else random.uniform(0, 1.1) * usual.seconds)
    while (left := until - time.perf_counter()) > 0 and (not wanted or begun < wanted):
        ready, _, _ = select.select([pipe], [], [], left)
        if ready and not os.read(pipe, 1):  # it ended
            break
        begun += bool(ready)
    if wanted:
        time.sleep(random.uniform(0, WINDOW_S))
    os.kill(child, signal.SIGKILL)
    os.close(pipe)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == -signal.SIGKILL and begun > 0


class Tally(Struct):
    """What the kills of one command left."""

    kills: int = 0
    writing: int = 0
    broken: int = 0
    missing: int = 0
    left: int = 0
    stale: int = 0
    failed: int = 0


def run(name: str, count: int, seed: int, folder: Path) -> Tally:
    """Kill a command `count` times in an empty folder; return what that left."""
    random, place, tally = Random(f"{seed}/{name}"), Place(name, folder), Tally()
    usual = complete(place)
    tally.failed += usual.code != 0
    for number in range(count):
        before = place.files()
        tally.writing += kill(place, usual, random)
        tally.kills += 1
        missing = before.keys() - place.files().keys()
        allowed = 1 if name == "results remove" else 0
        tally.missing += max(0, len([gone for gone in missing if not gone.startswith("cache")]) - allowed)
        tally.broken += len(place.broken())
        if (number + 1) % COMPLETE == 0 or number + 1 == count:
            tally.left += len(place.temporary())
            tally.failed += complete(place).code != 0
            tally.stale += len(place.temporary())
            tally.broken += len(place.broken())
    return tally


def preload() -> None:
    """Import what the commands need, so that a process forked off this one begins at once."""
    from hwbench.cli.main import COMMANDS as EVERY

    for name in EVERY:
        importlib.import_module(f"hwbench.cli.commands.{name.replace('-', '_')}")
    for module in ("numpy", "numba", "hwbench.measure.kernels", "hwbench.explore.report", "hwbench.api.sweeps"):
        importlib.import_module(module)


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", action="append", choices=list(COMMANDS))
    options = parser.parse_args()
    preload()
    chosen = options.command or list(COMMANDS)
    shares = sum(COMMANDS[name].share for name in chosen)
    total: Counter[str] = Counter()
    print(f"{'command':24}{'kills':>7}{'writing':>9}{'broken':>8}{'missing':>9}{'left':>6}{'stale':>7}{'failed':>8}")
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="hwbench-kills-") as folder:
            tally = run(name, -(-options.count * COMMANDS[name].share // shares), options.seed, Path(folder))
        cells = [getattr(tally, field) for field in tally.__struct_fields__]
        total.update(dict(zip(tally.__struct_fields__, cells, strict=True)))
        print(_row(name, cells), flush=True)
    print(_row("all", [total[field] for field in Tally.__struct_fields__]))
    sys.exit(1 if total["broken"] + total["missing"] + total["stale"] + total["failed"] else 0)


def _row(name: str, cells: list[int]) -> str:
    widths = (7, 9, 8, 9, 6, 7, 8)
    return f"{name:24}" + "".join(f"{cell:{width},}" for cell, width in zip(cells, widths, strict=True))


if __name__ == "__main__":
    main()
