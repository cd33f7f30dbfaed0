"""A fleet: a real scheduler and real workers on 127.0.0.1, .2, .3 …, some of which die, hang or lie."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from hwbench.cli.main import main
from hwbench.errors import HwbenchError, InputError
from hwbench.machine import catalog
from hwbench.measure import cluster as fleet
from hwbench.measure.cluster import Failure, Outcome, Success
from hwbench.notices import notice
from hwbench.study.sweep.sweep import Chunk, chunks, panel
from hwbench.workload import load

distributed = pytest.importorskip("distributed", reason="needs the extra hwbench[fleet]")
pytestmark = [
    pytest.mark.realtime,
    pytest.mark.skipif(sys.platform != "linux", reason="needs every 127.x.y.z to be this machine"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # sockets of distributed's own, closed when collected
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

STAND_IN = """
import json, os, platform, sys, time
from datetime import datetime, timezone
how = os.environ.get("STAND_IN", "honest")
if how == "slow":
    open(os.environ["STARTED"], "w").write(str(os.getpid()))
    time.sleep(120)
now = datetime.now(timezone.utc)
sample = {"wall_s": 0.02, "repetitions": 3, "cpu_s": 0.02}
run = {
    "schema": "hwbench.run/1", "id": f"{now:%Y%m%d-%H%M%S}-123-{os.getpid():06x}", "created": now.isoformat(),
    "hwbench_version": "0.2.0", "command": ["hwbench", "bench"], "before": {}, "after": {},
    "environment": {
        "hostname": platform.node(), "machine": "0123456789abcdef", "brand": "A CPU",
        "limited": sorted(name for name in os.environ if name.endswith("_NUM_THREADS") or name.startswith("DASK_")),
        "arguments": sys.argv[1:],
    },
    "measurements": [{"kernel": "clock", "variant": "scalar", "unit": "Hz", "work": 1e7, "samples": 9 * [sample]}],
}
if how == "garbage":
    print("Segmentation fault (core dumped)", run)
elif how == "nothing":
    pass
elif how == "fails":
    print("hwbench: there is no compiler", file=sys.stderr)
    sys.exit(1)
else:
    if how == "schema":
        run["schema"] = "hwbench.run/999"
    elif how == "host":
        run["environment"]["hostname"] = "somebody-else"
    elif how == "old":
        run["created"] = "2020-01-01T00:00:00+00:00"
    elif how == "undated":
        run["created"] = "yesterday"
    elif how == "empty":
        run["measurements"] = []
    elif how == "fields":
        run["measurements"][0]["samples"][0]["wall_s"] = "long"
    elif how == "same":
        run["id"] = f"{now:%Y%m%d}-000000-123-abcdef"
    print(json.dumps(run))
"""
ROOT = Path(__file__).parents[2]


class Cluster:
    """A scheduler with workers, each a process of its own on an address of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "stand_in.py"
        self.script.write_text(STAND_IN)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        place = folder / "scheduler.json"
        words = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self._start("scheduler", [*words, "--no-show", "--scheduler-file", str(place)])
        _until(lambda: place.exists() and place.read_text().endswith("}"), "the scheduler")
        self.address = json.loads(place.read_text())["address"]

    def worker(self, host: str, how: str = "honest", name: str | None = None) -> None:
        """Start a worker on an address; its stand-in benchmark answers as `how` says."""
        words = ["distributed.cli.dask_worker", self.address, "--host", host, "--no-nanny", "--nthreads", "2"]
        words += ["--no-dashboard", "--name", name or host, "--local-directory", str(self.folder)]
        self._start(name or host, words, STAND_IN=how, STARTED=str(self.folder / f"started-{host}"))

    def _start(self, name: str, words: list[str], **environment: str) -> None:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        log = (self.folder / f"{name}.log").open("wb")
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *words],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment},
        )
        log.close()

    def started(self, host: str) -> int:
        """Wait until the slow benchmark of a host runs; its process id."""
        place = self.folder / f"started-{host}"
        _until(lambda: place.exists() and place.read_text().isdigit(), f"the benchmark of {host}")
        return int(place.read_text())

    def kill(self, name: str) -> None:
        """End a process without a word."""
        self.processes[name].kill()
        self.processes[name].wait()

    def close(self) -> None:
        """End all that is left."""
        for process in self.processes.values():
            process.kill()
            process.wait()


def _until(condition: Any, what: str, limit_s: float = 60) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"{what} did not start"
        time.sleep(0.05)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        yield made
    finally:
        made.close()


def _gathered(cluster: Cluster, workers: int, limit_s: float = 60.0, meanwhile: Any = None) -> dict[str, Outcome]:
    """Outcomes by host, in the order in which they came."""
    found: dict[str, Outcome] = {}
    with fleet.connected(cluster.address) as client:
        client.wait_for_workers(workers, timeout=60)
        outcomes = fleet.bench(client, (str(cluster.script), "--quick"), limit_s, meanwhile)
        for outcome in outcomes:
            found[outcome.host] = outcome
    return found


def test_three_hosts_and_one_killed_while_it_measures(cluster: Cluster) -> None:
    cluster.worker("127.0.0.1")
    cluster.worker("127.0.0.1", name="second-of-the-first-host")
    cluster.worker("127.0.0.2", "slow")
    cluster.worker("127.0.0.3")
    killed: list[int] = []

    def kill_when_alone(waiting: str) -> None:
        if waiting == "127.0.0.2" and not killed:
            killed.append(cluster.started("127.0.0.2"))
            cluster.kill("127.0.0.2")

    found = _gathered(cluster, 4, meanwhile=kill_when_alone)
    *others, last = found
    assert (set(others), last) == ({"127.0.0.1", "127.0.0.3"}, "127.0.0.2")
    failure = found["127.0.0.2"]
    assert isinstance(failure, Failure)
    assert failure.worker.startswith("tcp://127.0.0.2:")
    assert failure.code == "worker-gone"
    for host in ("127.0.0.1", "127.0.0.3"):
        success = found[host]
        assert isinstance(success, Success)
        assert success.run.measurements[0].samples
        assert success.run.environment["limited"] == []  # the worker itself had OMP_NUM_THREADS=1
        assert success.run.environment["arguments"] == ["--quick"]
    assert fleet.shared(found.values()) == (notice("hosts-share-machine", hosts=others),)
    os.kill(killed[0], signal.SIGKILL)  # the benchmark outlives its worker


LIES = {
    "garbage": "not-a-record",
    "nothing": "not-a-record",
    "fails": "bench-failed",
    "schema": "not-a-record",
    "host": "other-host",
    "old": "old-record",
    "undated": "undated",
    "empty": "no-measurement",
    "fields": "not-a-record",
}


def test_workers_that_lie_are_reported_by_name_and_the_others_kept(cluster: Cluster) -> None:
    hosts = {f"127.0.0.{number}": how for number, how in enumerate(["honest", *LIES, "same", "same"], start=2)}
    for host, how in hosts.items():
        cluster.worker(host, how)
    found = _gathered(cluster, len(hosts), limit_s=120)
    assert set(found) == set(hosts)
    for host, how in hosts.items():
        outcome = found[host]
        if how in LIES:
            assert isinstance(outcome, Failure), how
            assert outcome.code == LIES[how], outcome.reason
        elif how == "honest":
            assert isinstance(outcome, Success)
    twins = [found[host] for host, how in hosts.items() if how == "same"]
    assert sorted(type(twin).__name__ for twin in twins) == ["Failure", "Success"]
    late = next(twin for twin in twins if isinstance(twin, Failure))
    assert late.code == "repeated"


def test_a_benchmark_that_hangs_is_stopped_with_its_children(cluster: Cluster) -> None:
    cluster.worker("127.0.0.2", "slow")
    found = _gathered(cluster, 1, limit_s=3)
    outcome = found["127.0.0.2"]
    assert isinstance(outcome, Failure)
    assert outcome.code == "bench-failed"
    assert "stopped after 3 s" in outcome.reason
    with pytest.raises(ProcessLookupError):
        os.kill(cluster.started("127.0.0.2"), 0)


def test_a_scheduler_that_goes_away(cluster: Cluster) -> None:
    cluster.worker("127.0.0.2", "slow")

    def end(waiting: str) -> None:
        cluster.started("127.0.0.2")
        cluster.kill("scheduler")

    outcome = _gathered(cluster, 1, meanwhile=end)["127.0.0.2"]
    assert isinstance(outcome, Failure)
    assert outcome.code == "scheduler-gone"
    os.kill(cluster.started("127.0.0.2"), signal.SIGKILL)


def test_a_spread_sweep_is_the_same_and_outlives_a_worker(cluster: Cluster) -> None:
    devices = tuple(list(catalog.devices().values())[:40])
    items = list(chunks(load.workload("lenet5"), "fp32", devices, range(1, 60_001)))
    assert len(items) > 3
    for host in ("127.0.0.2", "127.0.0.3"):
        cluster.worker(host)
    with fleet.connected(cluster.address) as client:
        client.wait_for_workers(2, timeout=60)
        for number, (item, found) in enumerate(zip(items, fleet.spread(client, panel, items), strict=True)):
            own = panel(item)
            assert found.devices == own.devices
            assert np.array_equal(found.roofline, own.roofline, equal_nan=True)
            assert np.array_equal(found.rank, own.rank)
            if number == 0:
                cluster.kill("127.0.0.3")
        cluster.kill("127.0.0.2")
        with pytest.raises(HwbenchError, match="No worker|no workers"):
            list(fleet.spread(client, panel, items))


def test_what_a_part_raises_is_raised_here(cluster: Cluster) -> None:
    cluster.worker("127.0.0.2")
    training = msgspec.structs.replace(load.workload("lenet5"), samples=8, fixed="training")
    item = Chunk(training, "fp32", (catalog.device("rtx3090"),), (16,))
    with fleet.connected(cluster.address) as client:
        client.wait_for_workers(1, timeout=60)
        with pytest.raises(InputError) as caught:
            list(fleet.spread(client, panel, [item]))
        assert (caught.value.code, caught.value.field) == ("batch-not-traced", "batch")
        with pytest.raises(HwbenchError, match="Part 1 failed: the worker failed: ValueError: invalid literal"):
            list(fleet.spread(client, int, ["x"]))


def _command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of a command."""
    monkeypatch.setattr(sys, "argv", ["hwbench", *words])
    with pytest.raises(SystemExit) as left:
        main()
    return (int(left.value.code or 0), *capsys.readouterr())


def test_the_commands(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for host, how in {"127.0.0.2": "honest", "127.0.0.3": "garbage", "127.0.0.4": "honest"}.items():
        cluster.worker(host, how)
    with fleet.connected(cluster.address) as client:
        client.wait_for_workers(3, timeout=60)
    monkeypatch.setattr(fleet, "BENCH", (str(cluster.script),))
    place = tmp_path / "runs"
    words = ("fleet", "bench", "clock", "--scheduler", cluster.address)
    code, out, err = _command(capsys, monkeypatch, *words, "--save", str(place), "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["schema"] == "hwbench.fleet-bench/1"
    assert {one["host"] for one in found["runs"]} == {"127.0.0.2", "127.0.0.4"}
    assert [one["host"] for one in found["failures"]] == ["127.0.0.3"]
    assert any("127.0.0.3 (tcp://127.0.0.3:" in warning for warning in found["warnings"])
    assert sorted(one["path"] for one in found["runs"]) == sorted(str(path) for path in place.iterdir())
    assert found["runs"][0]["run"]["environment"]["arguments"] == ["clock", "--quick", "--processes", "1"]
    (comparison,) = found["comparisons"]
    assert [metric["kernel"] for metric in comparison["metrics"]] == ["clock"]
    assert comparison["metrics"][0]["ratio"] == 1
    code, out, _ = _command(capsys, monkeypatch, *words, "--no-save")
    assert code == 0
    assert out.startswith("2 of 3 hosts measured\n")
    assert len(list(place.iterdir())) == 2
    cluster.kill("127.0.0.2")
    cluster.kill("127.0.0.4")
    code, _, err = _command(capsys, monkeypatch, *words, "--no-save")
    assert code == 1
    assert "127.0.0.3: its record cannot be read" in err
    sweep = ("sweep", "--model", "alexnet", "--kind", "cpu", "--batch", "1..8", "--format", "csv")
    local = _command(capsys, monkeypatch, *sweep)
    assert _command(capsys, monkeypatch, "fleet", *sweep, "--scheduler", cluster.address) == local
    assert local[1].count("\n") > 500


def test_a_real_benchmark(cluster: Cluster) -> None:
    cluster.worker("127.0.0.2")
    with fleet.connected(cluster.address) as client:
        client.wait_for_workers(1, timeout=60)
        (outcome,) = fleet.bench(client, (*fleet.BENCH, "clock", "--budget", "1s"), 300)
    assert isinstance(outcome, Success), outcome
    assert outcome.run.environment.get("variables", {}).get("OMP_NUM_THREADS") is None
    hertz = next(one for one in outcome.run.measurements if one.unit == "Hz")
    assert 1e8 < hertz.value(hertz.samples[0]) < 2e10


def test_no_scheduler_and_no_workers(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with fleet.connected(cluster.address) as client:
        with pytest.raises(HwbenchError, match="no workers"):
            list(fleet.bench(client))
        with pytest.raises(HwbenchError, match="no workers"):
            list(fleet.spread(client, len, ["a"]))
    monkeypatch.setattr(fleet, "CONNECT_S", 1.0)
    cluster.worker("127.0.0.2")
    with fleet.connected(cluster.address) as client:
        client.wait_for_workers(1, timeout=60)
        (worker,) = client.scheduler_info()["workers"]
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as mute:  # which accepts, and never says a word
        silent = f"127.0.0.1:{mute.getsockname()[1]}"
        for address in ("tcp://127.0.0.1:1", "nonsense", "ftp://x:1", silent, worker):
            with pytest.raises(InputError) as caught, fleet.connected(address):
                pass
            assert (caught.value.code, caught.value.field) == ("no-scheduler", "scheduler")
    assert threading.active_count() == threads  # no client is left for the collector of garbage to close


def test_the_first_worker_of_each_host() -> None:
    workers = {
        "tcp://10.0.0.2:4002": {"host": "10.0.0.2"},
        "tcp://10.0.0.2:4001": {"host": "10.0.0.2"},
        "tcp://10.0.0.1:9999": {},
        "inproc://10/1": {"host": None},
    }
    assert fleet.first_workers(workers) == {
        "10.0.0.1": "tcp://10.0.0.1:9999",
        "10.0.0.2": "tcp://10.0.0.2:4001",
        "10": "inproc://10/1",
    }


def test_a_cleaned_environment() -> None:
    before = {
        "OMP_NUM_THREADS": "1",
        "DASK_SCHEDULER": "x",
        "PATH": "/bin",
        "MKL_NUM_THREADS": "1",
        "OMP_PROC_BIND": "1",
    }
    assert fleet.cleaned(before) == {"PATH": "/bin", "OMP_PROC_BIND": "1"}


def test_answers_that_are_none() -> None:
    for answer in (None, {"code": 0}, "a text", 3):
        outcome = fleet.checked("host", "tcp://host:1", answer)
        assert isinstance(outcome, Failure)
        assert outcome.code == "not-a-record"


def test_a_benchmark_that_fails_is_reported_in_its_own_words() -> None:
    """With --json the error is on standard output too, which makes it no broken record."""
    for out in ("", '{"error":{"message":"there is no kernel","exit_code":2,"nearest":[]}}\n'):
        answer = fleet.WorkerAnswer(2, out, "a warning\nhwbench: there is no kernel 'clok'\n", "host", 0.0)
        outcome = fleet.checked("host", "tcp://host:1", answer)
        assert isinstance(outcome, Failure)
        assert outcome.code == "bench-failed"
        assert "there is no kernel" in outcome.reason
