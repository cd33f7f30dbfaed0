"""One benchmark a host of a Dask cluster that somebody else started, and large computations spread over it.

The first worker of each host runs `hwbench bench` in a fresh subprocess, without the limits on threads that workers set
for themselves. What comes back is believed no further than it can be checked: a record of the right schema, new, and of
the host that was asked. The extra `[fleet]` brings `distributed`; docs/fleet.md says how to start a cluster.
"""

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from hwbench.errors import HwbenchError, InputError, shown
from hwbench.measure import store
from hwbench.measure.record import Record
from hwbench.notices import Notice, notice

T = TypeVar("T")
R = TypeVar("R")

BENCH = ("-m", "hwbench", "bench", "--json", "--no-save")
"""Arguments of the worker's Python that make it measure its host and write the record to standard output."""
LIMITS = (
    "OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS", "BLIS_NUM_THREADS", "GOTO_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "MALLOC_TRIM_THRESHOLD_",
)  # fmt: skip
"""Environment variables that Dask sets in its workers, and which would hold a benchmark down."""
CONNECT_S = 15.0
POLL_S = 0.2
GRACE_S = 30.0
"""Time beyond a benchmark's own limit after which a worker that still says nothing is given up."""
_SKEW_S = 120.0
_LARGEST = store.MAX_BYTES


class Answer(Struct, frozen=True):
    """What a worker says of the subprocess that it ran: its exit code and output, its host, and when it began (s)."""

    code: int
    out: str
    err: str
    hostname: str
    began: float


class Success(Struct, frozen=True):
    """The record of a host, as the worker at that address handed it in."""

    host: str
    worker: str
    run: Record


class Failure(Struct, frozen=True):
    """A host that gave no usable record, and why."""

    host: str
    worker: str
    reason: str


Outcome = Success | Failure


def first_workers(workers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Address of one worker by host, from what a scheduler says of its workers: the lowest of each host's addresses."""
    found: dict[str, str] = {}
    for address in sorted(workers):
        host = str(workers[address].get("host") or urlsplit(address).hostname or address)
        found.setdefault(host, address)
    return found


def cleaned(environment: Mapping[str, str]) -> dict[str, str]:
    """A worker's environment without the limits that it works under, and without what steers Dask itself."""
    return {name: value for name, value in environment.items() if name not in LIMITS and not name.startswith("DASK_")}


def run_here(arguments: Sequence[str], limit_s: float) -> Answer:
    """Run this worker's Python with the arguments in a clean subprocess; it is killed, with its children, at the limit.

    Runs on the worker.
    """
    began = time.time()
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=cleaned(os.environ),
        start_new_session=hasattr(os, "setsid"),
    ) as process:
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            _end(process)
            return Answer(-1, "", f"was stopped after {limit_s:g} s", platform.node(), began)
        except BaseException:
            _end(process)
            raise
    text = out[:_LARGEST].decode("utf-8", "replace")
    return Answer(process.returncode, text, err[-4000:].decode("utf-8", "replace"), platform.node(), began)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and all that it started, and collect it."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)  # its own session: it leads its group
    else:
        process.kill()
    process.wait()


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """A client of the scheduler at an address. Raises InputError where there is none, or no `distributed` here."""
    try:
        import distributed
    except ImportError:
        raise InputError("needs the extra hwbench[fleet]: pip install 'hwbench[fleet]'", field="--scheduler") from None
    import logging
    import warnings

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is reported by us, once
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False, name="hwbench")
    except (OSError, TimeoutError, ValueError) as error:
        reason = shown(str(error).partition("\n")[0] or type(error).__name__, 200)
        raise InputError(f"no scheduler answers at '{shown(scheduler)}': {reason}", field="--scheduler") from None
    try:
        yield client
    finally:
        client.close(timeout=2)


def bench(
    client: Any, arguments: Sequence[str] = BENCH, limit_s: float = 600.0, told: Callable[[str], None] | None = None
) -> Iterator[Outcome]:
    """Measure once on each host of the client's cluster; outcomes come as the hosts finish.

    `told` hears which hosts are being waited for. A worker that dies, leaves, hangs beyond the limit or hands in what
    is no record of its host is a Failure. Raises HwbenchError for a cluster without workers.
    """
    hosts = first_workers(_workers(client))
    if not hosts:
        raise HwbenchError("the cluster has no workers")
    mark = os.urandom(6).hex()
    pending = {}
    for host, worker in hosts.items():
        key = f"hwbench-{mark}-{host}"
        future = client.submit(
            run_here, tuple(arguments), limit_s, key=key, workers=[worker], allow_other_workers=False, pure=False
        )
        pending[host] = (worker, future)
    ids: dict[str, str] = {}
    end = time.monotonic() + limit_s + GRACE_S
    while pending:
        if told:
            told(", ".join(pending))
        alive = _alive(client)
        for host, (worker, future) in list(pending.items()):
            outcome = _outcome(host, worker, future, alive, time.monotonic() > end)
            if outcome is None:
                continue
            del pending[host]
            if future.status in ("pending", "lost"):
                future.cancel()
            yield _once(outcome, ids)
        if pending:
            time.sleep(POLL_S)


def _workers(client: Any) -> Mapping[str, Mapping[str, Any]]:
    """What the scheduler says of all its workers."""
    try:
        found: Mapping[str, Mapping[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
    except TypeError:  # an older distributed, which always tells of all
        found = client.scheduler_info()["workers"]
    return found


def _alive(client: Any) -> set[str] | None:
    """Addresses of the workers that the scheduler sees; None where the scheduler itself is gone."""
    if client.status != "running":
        return None
    try:
        return set(client.sync(client.scheduler.identity, n_workers=-1)["workers"])
    except TypeError:
        return set(client.sync(client.scheduler.identity)["workers"])
    except (OSError, TimeoutError):
        return None


def _outcome(host: str, worker: str, future: Any, alive: set[str] | None, late: bool) -> Outcome | None:
    """What became of a host's benchmark; None while it runs."""
    status, reason = future.status, None
    if status == "finished":
        try:
            return _checked(host, worker, future.result(timeout=CONNECT_S))
        except Exception as error:  # the result is lost with its worker, or cannot be unpacked
            reason = f"its answer was lost: {_said(error)}"
    elif status == "error":
        reason = _told(future.exception(timeout=CONNECT_S))
    elif alive is None:
        reason = "the scheduler went away"
    elif worker not in alive:
        reason = "the worker died or left before it answered"
    elif status in ("cancelled", "lost"):
        reason = f"the scheduler gave the task up ({status})"
    elif late:
        reason = "no answer in time"
    return Failure(host, worker, reason) if reason else None


def _told(error: BaseException) -> str:
    """Why a task failed on its worker."""
    name = type(error).__name__
    if name == "KilledWorker":
        return "the worker died while it measured"
    if isinstance(error, ModuleNotFoundError):
        return f"hwbench cannot be imported there: {_said(error)}"
    return f"the worker failed: {name}: {_said(error)}"


def _said(error: BaseException) -> str:
    return shown(str(error).partition("\n")[0] or type(error).__name__, 200)


def _checked(host: str, worker: str, answer: object) -> Outcome:
    """The record in a worker's answer, if it is one, new, and of the host that was asked."""
    if not isinstance(answer, Answer):
        return Failure(host, worker, f"answered with {shown(type(answer).__name__, 40)} instead of a record")
    try:
        run = store.decode(answer.out)
    except InputError as error:
        if answer.code:  # then standard output is empty, or holds the error as JSON
            last = answer.err.strip().rpartition("\n")[2].removeprefix("hwbench: ") or f"exit code {answer.code}"
            return Failure(host, worker, f"hwbench bench failed there: {shown(last, 300)}")
        return Failure(host, worker, f"its record {shown(error.message, 300)}")
    reason = _doubt(run, answer)
    return Failure(host, worker, reason) if reason else Success(host, worker, run)


def _doubt(run: Record, answer: Answer) -> str | None:
    """Why a record cannot be what was asked for; None where it can."""
    hostname = run.environment.get("hostname")
    if hostname != answer.hostname:
        return f"its record is of another host: {shown(hostname or 'unnamed', 80)}, not {shown(answer.hostname, 80)}"
    try:
        created = datetime.fromisoformat(run.created).timestamp()
    except ValueError:
        return f"its record has no date: '{shown(run.created, 40)}'"
    if created < answer.began - _SKEW_S:
        return f"its record is an old one, of {shown(run.created, 40)}"
    if not any(one.samples for one in run.measurements):
        return "its record holds no measurement"
    return None


def _once(outcome: Outcome, ids: dict[str, str]) -> Outcome:
    """The outcome, or a Failure where another host has handed in the same record."""
    if isinstance(outcome, Success):
        first = ids.setdefault(outcome.run.id, outcome.host)
        if first != outcome.host:
            return Failure(outcome.host, outcome.worker, f"its record is the one that {first} handed in")
    return outcome


def shared(outcomes: Iterable[Outcome]) -> tuple[Notice, ...]:
    """Return a notice for each set of hosts that are one machine: they measured at once, and disturbed one another."""
    machines: dict[str, list[str]] = {}
    for one in outcomes:
        if isinstance(one, Success):
            machines.setdefault(str(one.run.environment.get("machine", one.host)), []).append(one.host)
    several = (hosts for hosts in machines.values() if len(hosts) > 1)
    return tuple(notice("hosts-share-machine", hosts=hosts) for hosts in several)


def spread(client: Any, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`function` of each item, computed by the cluster's workers, in order.

    An item whose worker dies is computed by another. Raises HwbenchError where no worker is left, or where an item
    failed; what the function itself raises as HwbenchError is raised here.
    """
    if not _workers(client):
        raise HwbenchError("the cluster has no workers")
    mark = os.urandom(6).hex()
    futures = [
        client.submit(function, item, key=f"hwbench-{mark}-{number}", pure=False, retries=2)
        for number, item in enumerate(items)
    ]
    for number, future in enumerate(futures):
        while not future.done():
            if not _alive(client):
                raise HwbenchError(f"no worker is left: {number} of {len(futures)} parts were computed")
            time.sleep(POLL_S / 10)
        if future.status != "finished":
            error = future.exception(timeout=CONNECT_S) if future.status == "error" else None
            if isinstance(error, HwbenchError):
                raise error
            raise HwbenchError(f"part {number + 1} failed: {_told(error) if error else future.status}")
        result: R = future.result(timeout=600)
        future.release()
        yield result
