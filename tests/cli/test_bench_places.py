"""Places where measuring is hard, for real: nobody's account, quotas, one CPU, no /sys, no AVX, disks that are full.

What needs root (a control group, a mount, another user) is skipped with the reason where it is not given.
"""

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hwbench.machine.host import cgroup
from hwbench.machine.host.files import Files
from hwbench.measure import store

ROOT = Path(__file__).parents[2]
KERNELS = os.path.join(tempfile.gettempdir(), f"hwbench-test-kernels-{os.getuid() if hasattr(os, 'getuid') else 0}")
NOBODY = 65534
CLOCK = ("bench", "clock", "--quick", "--budget", "200ms", "--json")
DROPPED = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="places as Linux has them"),
]

Words = tuple[str, ...]


def process(
    *arguments: str, prefix: Words = (), program: Words = ("-m", "hwbench"), **environment: str
) -> "subprocess.CompletedProcess[str]":
    """hwbench behind a prefix, with nothing of our environment but what it is given and where things are."""
    known = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    known |= {"NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", KERNELS), "HOME": "/nonexistent"}
    command = [*prefix, sys.executable, *program, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={**known, **environment}, timeout=240, check=False, cwd=ROOT
    )


def answer(done: "subprocess.CompletedProcess[str]") -> Any:
    """The JSON of a command that went well."""
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def threads(found: Any) -> set[int]:
    return {one.get("threads", 1) for one in found["run"]["measurements"]}


def codes(found: Any) -> set[str]:
    """The codes of an answer's notices."""
    return {notice["code"] for notice in found["notices"]}


def as_root(*lines: str) -> Words:
    """A prefix for a command in a mount namespace of its own, made by these lines of shell; skips without one."""
    if os.getuid() != 0:
        pytest.skip("needs root")
    if not shutil.which("unshare"):
        pytest.skip("needs unshare")
    made = ("unshare", "-m", "sh", "-ec", "\n".join((*lines, 'exec "$@"')), "sh")
    tried = subprocess.run([*made, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {tried.stderr.strip()}")
    return made


def opened(hold: Path) -> list[str]:
    """Lines of shell that let anybody reach the interpreter and the sources, also where they lie in somebody's home.

    A folder that is closed is hidden by an empty one, in which what is needed of it is mounted again.
    """
    lines = []
    for number, needed in enumerate({Path(sys.executable).resolve(), Path(sys.executable), ROOT / "hwbench"}):
        closed = [one for one in reversed(needed.parents) if not one.stat().st_mode & 1]
        if closed:
            home, kept = closed[0], closed[0] / needed.relative_to(closed[0]).parts[0]
            lines += [f'mkdir "{hold}/{number}"', f'mount --bind "{kept}" "{hold}/{number}"']
            lines += [f'mountpoint -q "{home}" || mount -t tmpfs -o mode=755 none "{home}"', f'mkdir -p "{kept}"']
            lines += [f'mount --bind "{hold}/{number}" "{kept}"']
    return lines


@pytest.fixture
def hold() -> Iterator[Path]:
    """A folder that anybody can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="hwbench-places-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def folders(hold: Path) -> tuple[Path, Path]:
    """A folder that nobody may write, and one that is nobody's own."""
    closed, own = hold / "closed", hold / "own"
    for folder in (closed, own, hold / "mounts"):
        folder.mkdir()
    if os.getuid() == 0:
        os.chown(own, NOBODY, NOBODY)
    closed.chmod(0o555)
    return closed, own


@pytest.fixture
def nobody(hold: Path, folders: tuple[Path, Path]) -> Words:
    """A prefix for a command without root's rights: as nobody where we are root."""
    if os.getuid() != 0:
        return ()
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    prefix = (*as_root(f'mount -t tmpfs -o mode=755 none "{hold}/mounts"', *opened(hold / "mounts")), *DROPPED)
    tried = process(prefix=prefix, program=("-c", f"import os, hwbench; assert os.access('{folders[1]}', os.W_OK)"))
    if tried.returncode != 0:
        pytest.skip(f"nobody cannot reach what is needed: {tried.stderr.strip()[-200:]}")
    return prefix


def test_as_nobody_who_can_write_only_to_one_folder(folders: tuple[Path, Path], nobody: Words) -> None:
    closed, own = folders
    places = {name: str(closed) for name in ("HOME", "TMPDIR", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
    done = process(*CLOCK, "--save", str(own), prefix=nobody, NUMBA_CACHE_DIR="", **places)
    found = answer(done)
    assert {"scalar"} <= {one["variant"] for one in found["results"]}
    assert [str(path) for path in own.iterdir()] == [found["path"]]
    assert store.load(found["path"]).measurements
    if os.getuid() == 0:
        assert os.stat(found["path"]).st_uid == NOBODY
    assert list(closed.iterdir()) == []
    assert answer(process("peak", "--device", "host", "--json", prefix=nobody, **places))["units"] >= 1
    refused = process(*CLOCK[:-1], "--save", str(closed), prefix=nobody, NUMBA_CACHE_DIR="", **places)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.count("\n") == 1
    assert "cannot be written: Permission denied" in refused.stderr


@pytest.fixture
def quota() -> Iterator[Callable[[float], Words]]:
    """Makes a control group of its own with a quota in CPUs, and gives the prefix that runs a command in it."""
    made: list[Path] = []

    def group(cpus: float) -> Words:
        files = Files()
        found = cgroup.limits(files).quota
        if found is not None and found <= cpus:
            pytest.skip(f"a quota of {found:g} CPUs is there already")
        groups = cgroup.parse_groups(files.text("/proc/self/cgroup") or "")
        for mount in cgroup.parse_mounts(files.text("/proc/self/mountinfo") or ""):
            here = Path(cgroup.levels(files, mount, groups)[0])
            controllers = (files.text(str(here / "cgroup.controllers")) or "").split()
            if "cpu" in (mount.controllers or controllers):
                made.append(_limited(here, cpus, version_1=bool(mount.controllers)))
                prefix = ("sh", "-ec", f'echo $$ > "{made[-1]}/cgroup.procs"; exec "$@"', "sh")
                tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
                if tried.returncode != 0:
                    pytest.skip(f"a control group cannot be entered here: {tried.stderr.strip()}")
                return prefix
        pytest.skip("no hierarchy of control groups has the cpu controller here")

    yield group
    for folder in made:
        folder.rmdir()


def _limited(parent: Path, cpus: float, version_1: bool) -> Path:
    folder = parent / f"hwbench-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"a control group cannot be made here: {error}")
    try:
        if version_1:
            (folder / "cpu.cfs_period_us").write_text("100000")
            (folder / "cpu.cfs_quota_us").write_text(f"{cpus * 100_000:.0f}")
        else:
            (folder / "cpu.max").write_text(f"{cpus * 100_000:.0f} 100000")
    except OSError as error:  # version 2, whose parent does not hand the controller down
        folder.rmdir()
        pytest.skip(f"a control group cannot be limited here: {error}")
    return folder


@pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")
def test_a_quota_of_one_cpu_of_several(quota: Callable[[float], Words]) -> None:
    prefix = quota(1.0)
    found = answer(process(*CLOCK, "--no-save", prefix=prefix))
    assert threads(found) == {1}
    assert found["run"]["environment"]["quota"] == 1.0
    assert found["run"]["environment"]["usable"] >= 2
    assert {"quota", "quota-below-cores"} & codes(found)
    assert "throttled_s" in found["run"]["after"]
    assert answer(process("peak", "--json", prefix=prefix))["units"] == 1


def test_a_quota_of_less_than_a_cpu_is_said_to_stop_us(quota: Callable[[float], Words]) -> None:
    found = answer(process(*CLOCK, "--no-save", "--threads", "1", prefix=quota(0.25)))
    assert found["run"]["environment"]["quota"] == 0.25
    assert {"quota-below-one-cpu", "quota-throttled"} <= codes(found)
    before, after = (found["run"][name]["throttled_s"] for name in ("before", "after"))
    assert after > before
    clocks = [one["value"] for one in found["results"]]  # by CPU time, so that being stopped makes no core slower
    assert all(5e8 < value < 1e10 for value in clocks)


@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
@pytest.mark.parametrize("cpu", CPUS[:4])
def test_on_each_one_of_several_cpus(cpu: int) -> None:
    prefix = ("taskset", "-c", str(cpu))
    found = answer(process(*CLOCK, "--no-save", prefix=prefix))
    assert threads(found) == {1}
    assert {tuple(one["cpus"]) for one in found["run"]["measurements"]} == {(cpu,)}
    assert found["run"]["environment"]["usable"] == 1
    assert answer(process("peak", "--json", prefix=prefix))["units"] == 1


def test_without_sys() -> None:
    prefix = as_root("mount -t tmpfs none /sys", 'test -z "$(ls -A /sys)"')
    found = answer(process(*CLOCK, "--no-save", prefix=prefix))
    known = found["run"]["environment"]
    assert {one["variant"] for one in found["results"]} > {"scalar"}
    assert known["usable"] == len(os.sched_getaffinity(0))
    assert {"governor", "driver", "numa_nodes", "huge_pages", "quota"}.isdisjoint(known)
    assert answer(process("peak", "--json", prefix=prefix))["peaks"]


def test_without_proc_and_sys() -> None:
    """Nothing says what this machine is: CPUs are counted as Python does, and measured all the same."""
    prefix = as_root("mount -t tmpfs none /sys", "mount -t tmpfs none /proc")
    found = answer(process(*CLOCK, "--no-save", prefix=prefix))
    assert {one["variant"] for one in found["results"]} > {"scalar"}
    assert found["run"]["environment"]["usable"] >= 1


def test_a_cpu_without_avx_runs_every_kernel() -> None:
    """As far as code generation goes: numba is told so."""
    arguments = ("bench", "clock", "fma", "matmul", "memory", "--quick", "--budget", "200ms", "--no-save", "--json")
    name = "x86-64" if platform.machine() in ("x86_64", "AMD64") else "generic"
    done = process(*arguments, NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES="")
    found = answer(done)
    ours = [one for one in found["run"]["measurements"] if "bits" in one.get("subject", {})]
    assert {one["kernel"] for one in ours} >= {"clock", "fma", "stream"}
    assert {one["subject"]["bits"] for one in ours} == {128}
    assert {"fma", "clock", "matmul", "stream", "working-set", "latency"} <= {
        one["kernel"] for one in found["run"]["measurements"]
    }
    assert all(one.get("checked") is not False for one in found["run"]["measurements"])
    assert {one["isa"] for one in found["results"] if one["kernel"] == "fma"} <= {"sse2", "neon"}
    assert "numba-target-chosen" in {one["code"] for one in found["notices"]}


COUNTED = """
import sys
from numba.core import event
passes = event.RecordingListener()
event.register("numba:run_pass", passes)
from hwbench.__main__ import main
try:
    main()
finally:
    print(*sorted({one.data["qualname"] for _, one in passes.buffer}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("kernels", "compiled"),
    [("fma memory --quick", {"read", "chase", "stream_pass", "throughput"}),
     ("matmul --size 64", {"run", "ikj", "parallel"})],
)  # fmt: skip
def test_the_second_start_compiles_nothing(kernels: str, compiled: set[str], tmp_path: Path) -> None:
    """Every kernel that `bench` times (`fma` reads the clock too): no pass of numba's compiler runs once more."""
    arguments = ("bench", *kernels.split(), "--dtype", "fp32", "--budget", "100ms", "--no-save")
    first, second = (
        process(*arguments, program=("-c", COUNTED), NUMBA_CACHE_DIR=str(tmp_path / "kernels")) for _ in range(2)
    )
    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert compiled <= set(first.stderr.split())
    assert second.stderr.split() == []


def test_killed_while_it_compiles_or_measures_it_breaks_nothing(tmp_path: Path) -> None:
    """Neither the kernels that are kept nor the runs: the next start goes well, and what was saved is there."""
    golden = store.load(str(ROOT / "tests" / "golden" / "run-1.json"))
    store.save(golden, str(tmp_path / "runs"))
    places = {"NUMBA_CACHE_DIR": str(tmp_path / "kernels"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "hwbench", "bench", "clock", "--threads", "1", "--save", str(tmp_path / "runs")]
    for wanted in (1, 1, 2, 2):  # right after a kernel is there, the next one is on its way
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **places}) as running:
            while running.poll() is None and len(list((tmp_path / "kernels").rglob("*.nbc"))) < wanted:
                time.sleep(0.005)
            running.kill()
        assert running.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path / "runs") == [f"{golden.id}.json"]
    found = answer(process(*CLOCK, "--threads", "1", "--save", str(tmp_path / "runs"), **places))
    assert {one["variant"] for one in found["results"]} > {"scalar"}
    assert store.names(str(tmp_path / "runs")) == [golden.id, found["run"]["id"]]


def test_a_cache_on_a_disk_that_cannot_be_written_costs_time_alone(tmp_path: Path) -> None:
    prefix = as_root(f'mount -t tmpfs -o ro none "{tmp_path}"')
    found = answer(process(*CLOCK, "--threads", "1", "--no-save", prefix=prefix, NUMBA_CACHE_DIR=str(tmp_path)))
    assert found["results"]


def test_a_cache_on_a_full_disk_costs_time_alone(tmp_path: Path) -> None:
    prefix = as_root(f'mount -t tmpfs -o size=4k,nr_inodes=8 none "{tmp_path}"')
    found = answer(process(*CLOCK, "--threads", "1", "--no-save", prefix=prefix, NUMBA_CACHE_DIR=str(tmp_path)))
    assert found["results"]


FILLING = """
import pathlib, sys
from hwbench.__main__ import main
from hwbench.measure import harness
measure, full = harness.measure, pathlib.Path(sys.argv[-1], "full")
def filling(*given, **options):
    with open(full, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    return measure(*given, **options)
harness.measure = filling
main()
"""


def test_a_full_disk_is_refused_before_measuring(tmp_path: Path) -> None:
    prefix = as_root(f'mount -t tmpfs -o size=4k none "{tmp_path}"')
    done = process(*CLOCK, "--threads", "1", "--save", str(tmp_path), prefix=prefix)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert json.loads(done.stdout)["error"]["code"] == "not-writable"
    assert "No space left on device" in done.stderr


def test_a_disk_that_fills_while_measuring_costs_the_record_alone(tmp_path: Path) -> None:
    prefix = as_root(f'mount -t tmpfs -o size=2m none "{tmp_path}"')
    done = process(*CLOCK, "--threads", "1", "--save", str(tmp_path), prefix=prefix, program=("-c", FILLING))
    assert done.returncode == 2
    assert done.stderr.startswith("hwbench: the run was not saved: ")
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    found = json.loads(done.stdout)
    assert found["results"]
    assert found["path"] is None
    assert "run-not-saved" in codes(found)
