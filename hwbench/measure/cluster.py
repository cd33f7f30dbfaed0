"""Benchmarks on each host of a running Dask cluster, and computations spread over its workers (docs/howto/fleet.md).

The first worker of each host runs `hwbench bench` in a fresh subprocess, without the limits on threads that workers set
for themselves. Its answer is checked: it must be a new record of the right schema, made on that host.
"""

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from hwbench.errors import HwbenchError, InputError, shown
from hwbench.measure import store
from hwbench.measure.analysis import evidence
from hwbench.measure.record import Record
from hwbench.notices import Notice, notice

T = TypeVar("T")
R = TypeVar("R")

BENCH = ("-P", "-m", "hwbench", "bench", "--json", "--no-save")
"""Arguments of the worker's Python that make it measure its host; `-P` keeps modules of its current folder out."""
LIMITS = (
    "OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS", "BLIS_NUM_THREADS", "GOTO_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "MALLOC_TRIM_THRESHOLD_",
)  # fmt: skip
"""Environment variables that Dask sets in its workers, and which would slow a benchmark down."""
CONNECT_S = 15.0
POLL_S = 0.2
GRACE_S = 30.0
"""Time beyond a benchmark's limit after which a worker without an answer is abandoned."""
_SKEW_S = 120.0
_DAY_S = 86400.0
"""Time by which the clocks of two hosts may differ before an id would sort as the newest for long."""


class WorkerAnswer(Struct, frozen=True):
    """A worker's report of the subprocess that it ran: exit code, output, host name, and start in s since 1970."""

    code: int
    out: str
    err: str
    hostname: str
    began: float


class Success(Struct, frozen=True):
    """The record of a host, from the worker at that address."""

    host: str
    worker: str
    run: Record


class Failure(Struct, frozen=True):
    """A host without a usable record: `code` names the reason for programs, `reason` states it for people."""

    host: str
    worker: str
    code: str
    reason: str


Outcome = Success | Failure


def first_workers(workers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the lowest address of a worker by host, from the scheduler's description of its workers."""
    first: dict[str, str] = {}
    for address in sorted(workers):
        host = str(workers[address].get("host") or urlsplit(address).hostname or address)
        first.setdefault(host, address)
    return first


def cleaned(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a worker's environment without its limits on threads and without Dask's own configuration."""
    return {name: value for name, value in environment.items() if name not in LIMITS and not name.startswith("DASK_")}


def run_here(arguments: Sequence[str], limit_s: float) -> WorkerAnswer:
    """Run this worker's Python with the arguments in a clean subprocess, killed with its children at the limit."""
    began = time.time()
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=cleaned(os.environ), start_new_session=hasattr(os, "setsid"),
    ) as process:  # fmt: skip
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            _end(process)
            return WorkerAnswer(-1, "", f"It was stopped after {limit_s:g} s.", platform.node(), began)
        except BaseException:
            _end(process)
            raise
    text = out[: store.MAX_BYTES].decode("utf-8", "replace")
    return WorkerAnswer(process.returncode, text, err[-4000:].decode("utf-8", "replace"), platform.node(), began)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own
    else:
        process.kill()
    process.wait()


@contextmanager
def connected(scheduler: str) -> Iterator[Any]:
    """Yield a client of the scheduler at an address. Raises InputError without a scheduler or without `distributed`."""
    import logging
    import warnings

    try:
        import distributed
    except ImportError:
        message = "Clusters need the package distributed: pip install 'hwbench[fleet]'."
        raise InputError("needs-fleet", message, field="scheduler") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # hwbench reports errors itself, once
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # A client waits for ever for what answers nothing, and one that fails is left half made, for the collector
            # of garbage to close in the thread of the next one, which waits for it: so ask before there is a client.
            distributed.utils.LoopRunner().run_sync(_find_scheduler, scheduler, callback_timeout=CONNECT_S)
            client = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False, name="hwbench")
    except Exception as error:  # OSError, ValueError, or whatever comes of an answer that is not a scheduler's
        message = f"No scheduler answers at '{shown(scheduler)}': {_first_line(error).rstrip('.')}."
        raise InputError("no-scheduler", message, field="scheduler") from None
    try:
        yield client
    finally:
        with suppress(OSError):  # a busy machine takes longer, and a lost scheduler does not answer
            client.close(timeout=2)


async def _find_scheduler(address: str) -> None:
    import distributed

    options = distributed.Security().get_connection_args("client")
    async with distributed.rpc(address, connection_args=options) as peer:
        if "workers" not in await peer.identity():
            raise ValueError("it is another part of a cluster")


def bench(
    client: Any, arguments: Sequence[str] = BENCH, limit_s: float = 600.0, waiting: Callable[[str], None] | None = None
) -> Iterator[Outcome]:
    """Measure once on each host of a cluster, and yield the outcomes as the hosts finish.

    `waiting` is called with the names of the hosts that have not finished. A worker that dies, leaves, exceeds the
    limit or answers without a record of its host is a Failure. Raises HwbenchError for a cluster without workers.
    """
    hosts = first_workers(_workers(client))
    if not hosts:
        raise HwbenchError("The cluster has no workers.")
    mark = os.urandom(6).hex()
    pending = {}
    for host, worker in hosts.items():
        where = {"workers": [worker], "allow_other_workers": False, "pure": False, "key": f"hwbench-{mark}-{host}"}
        pending[host] = (worker, client.submit(run_here, tuple(arguments), limit_s, **where))
    ids: dict[str, str] = {}
    end = time.monotonic() + limit_s + GRACE_S
    while pending:
        if waiting:
            waiting(", ".join(pending))
        alive = _alive(client)
        for host, (worker, future) in list(pending.items()):
            if (outcome := _outcome(host, worker, future, alive, time.monotonic() > end)) is None:
                continue
            del pending[host]
            if future.status in ("pending", "lost"):
                future.cancel()
            first = ids.setdefault(outcome.run.id, host) if isinstance(outcome, Success) else host
            repeated = Failure(host, worker, "repeated", f"its record is the one that {first} sent")
            yield outcome if first == host else repeated
        if pending:
            time.sleep(POLL_S)


def _workers(client: Any) -> Mapping[str, Mapping[str, Any]]:
    identity = client.scheduler.identity
    try:
        workers: Mapping[str, Mapping[str, Any]] = client.sync(identity, n_workers=-1)["workers"]
    except TypeError:  # an older distributed, which always describes all of them
        workers = client.sync(identity)["workers"]
    return workers


def _alive(client: Any) -> set[str] | None:
    """Return the addresses of the workers that the scheduler sees; None where the scheduler itself is gone."""
    try:
        return set(_workers(client)) if client.status == "running" else None
    except (OSError, TimeoutError):
        return None


def _outcome(host: str, worker: str, future: Any, alive: set[str] | None, late: bool) -> Outcome | None:
    """Return the outcome of a host's benchmark; None while it runs."""
    if future.status == "finished":
        try:
            return checked(host, worker, future.result(timeout=CONNECT_S))
        except Exception as error:  # the result is lost with its worker, or cannot be unpacked
            return Failure(host, worker, "answer-lost", f"its answer was lost: {_first_line(error)}")
    if future.status == "error":
        return Failure(host, worker, *_cause(future.exception(timeout=CONNECT_S)))
    losses = (
        (alive is None, "scheduler-gone", "the scheduler went away"),
        (worker not in (alive or ()), "worker-gone", "the worker died or left before it answered"),
        (future.status in ("cancelled", "lost"), "task-dropped", f"the scheduler dropped the task ({future.status})"),
        (late, "timeout", "no answer in time"),
    )
    return next((Failure(host, worker, code, reason) for is_lost, code, reason in losses if is_lost), None)


def _cause(error: BaseException) -> tuple[str, str]:
    name = type(error).__name__
    if name == "KilledWorker":
        return "worker-gone", "the worker died while it measured"
    if isinstance(error, ModuleNotFoundError):
        return "no-hwbench", f"hwbench cannot be imported there: {_first_line(error)}"
    return "worker-failed", f"the worker failed: {name}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return shown(str(error).partition("\n")[0] or type(error).__name__, 200)


def checked(host: str, worker: str, answer: object) -> Outcome:
    """Return the record in a worker's answer, if it is new and of the host that was asked; else a Failure."""
    verdict = _believed(answer)
    return Success(host, worker, verdict) if isinstance(verdict, Record) else Failure(host, worker, *verdict)


def _believed(answer: object) -> Record | tuple[str, str]:
    """Return the record in an answer, or the code and the reason why it cannot be the one that was asked for."""
    if not isinstance(answer, WorkerAnswer):
        return "not-a-record", f"it answered with {shown(type(answer).__name__, 40)} instead of a record"
    if len(answer.out) > store.MAX_BYTES:
        return "not-a-record", f"its answer is longer than the limit of {store.MAX_BYTES >> 20} MiB"
    try:
        run = store.decode_answer(answer.out, answer.err, answer.code)
    except HwbenchError as error:
        message = shown(error.message if isinstance(error, InputError) else error, 300).rstrip(".")
        if answer.code:
            return "bench-failed", f"hwbench bench failed there: {message}"
        return "not-a-record", f"its record cannot be read: {message}"
    record = replace(run, name=None, environment={**run.environment, "setting": evidence.WORKER})  # runs are named here
    return next(_doubts(record, answer), record)


def _doubts(run: Record, answer: WorkerAnswer) -> Iterator[tuple[str, str]]:
    if not store.is_id(run.id):
        yield "bad-id", f"its record has no id of a run: '{shown(run.id, 40)}'"
    hostname = run.environment.get("hostname")
    if hostname != answer.hostname:
        names = f"{shown(hostname or 'unnamed', 80)}, not {shown(answer.hostname, 80)}"
        yield "other-host", f"its record is of another host: {names}"
    try:
        created = datetime.fromisoformat(run.created).timestamp()
    except (ValueError, OverflowError):
        yield "undated", f"its record has no date: '{shown(run.created, 40)}'"
        return
    if created < answer.began - _SKEW_S:
        yield "old-record", f"its record is an old one, of {shown(run.created, 40)}"
    if created > time.time() + _DAY_S or abs(store.time_of(run.id) - created) > _DAY_S:
        yield "other-time", f"its record is of another time, {shown(run.created, 40)} or that of its id"
    if not any(measurement.samples for measurement in run.measurements):
        yield "no-measurement", "its record has no measurement"


def shared(outcomes: Iterable[Outcome]) -> tuple[Notice, ...]:
    """Return a notice for each set of hosts that are one machine: they measured at once, and disturbed one another."""
    machines: dict[str, list[str]] = {}
    for outcome in outcomes:
        if isinstance(outcome, Success):
            machine = str(outcome.run.environment.get("machine", outcome.host))
            machines.setdefault(machine, []).append(outcome.host)
    return tuple(notice("hosts-share-machine", hosts=hosts) for hosts in machines.values() if len(hosts) > 1)


def spread(client: Any, function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Yield `function` of each item, computed by the cluster's workers, in order.

    An item whose worker dies is computed by another. Raises HwbenchError where no worker is left or an item failed, and
    any HwbenchError that the function raised.
    """
    if not _workers(client):
        raise HwbenchError("The cluster has no workers.")
    mark = os.urandom(6).hex()
    futures = [
        client.submit(function, item, key=f"hwbench-{mark}-{number}", pure=False, retries=2)
        for number, item in enumerate(items)
    ]
    for number, future in enumerate(futures):
        while not future.done():
            if not _alive(client):
                raise HwbenchError(f"No worker is left; {number} of {len(futures)} parts were computed.")
            time.sleep(POLL_S / 10)
        if future.status != "finished":
            error = future.exception(timeout=CONNECT_S) if future.status == "error" else None
            if isinstance(error, HwbenchError):
                raise error
            raise HwbenchError(f"Part {number + 1} failed: {_cause(error)[1] if error else future.status}.")
        result: R = future.result(timeout=600)
        future.release()
        yield result
