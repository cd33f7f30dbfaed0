"""Fresh processes: what differs from one start to the next (memory's layout, the clock) shows only in several."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import msgspec

from hwbench.errors import HwbenchError, InputError
from hwbench.measure import session, store
from hwbench.measure.record import Measurement, Record
from hwbench.measure.session import BenchRequest
from hwbench.notices import notice, unique
from hwbench.units import Seconds, exact

Told = Callable[[int], None]


def bench(request: BenchRequest, count: int, progress: Told | None = None) -> Record:
    """One run out of `count` processes, one after another, each with its share of the budget.

    A process that fails is a warning, all of them are an error. An interrupt reaches the process that runs and keeps
    what it had.
    """
    runs: list[Record] = []
    stopped = False
    failures: list[str] = []
    share = msgspec.structs.replace(request, budget_s=request.seconds / count)
    for number in range(count):
        if progress:
            progress(number)
        try:
            run, stopped = _one(share)
            runs.append(run)
        except HwbenchError as error:
            failures.append(str(error))
            if isinstance(error, InputError) and not runs:
                raise
        except KeyboardInterrupt:
            if not runs:
                raise
            break
        if stopped:
            break
    if not runs:
        raise HwbenchError(f"every process failed: {failures[0]}" if failures else "no process measured anything")
    whole = session.joined(runs, request.command)
    notices = list(whole.notices)
    if failures:
        notices.append(notice("processes-failed", failed=len(failures), count=count, reason=failures[0]))
    if len(runs) + len(failures) < count:
        notices.append(notice("processes-interrupted", measured=len(runs), count=count))
        whole = msgspec.structs.replace(whole, measurements=tuple(map(_cut, whole.measurements)))
    return msgspec.structs.replace(whole, notices=unique(notices))


def _cut(measurement: Measurement) -> Measurement:
    return msgspec.structs.replace(measurement, stopped="interrupted")


def one(request: BenchRequest) -> Record:
    """The run of one fresh process. Raises what it complained of, KeyboardInterrupt where it was stopped."""
    run, stopped = _one(request)
    if stopped:
        raise KeyboardInterrupt
    return run


def _one(request: BenchRequest) -> tuple[Record, bool]:
    """The run of a fresh process, and whether it was interrupted. Raises KeyboardInterrupt where it has no samples."""
    with subprocess.Popen(
        [sys.executable, "-m", "hwbench", *arguments(request)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        start_new_session=hasattr(os, "setsid"),  # so that Ctrl-C reaches it once: from us
    ) as process:
        out, err, stopped = _answer(process)
    try:
        run = _run(out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), process.returncode)
    except HwbenchError:
        if stopped or process.returncode == 130:  # interrupted before its first sample
            raise KeyboardInterrupt from None
        raise
    return run, stopped or session.interrupted(run.measurements)


def _answer(process: "subprocess.Popen[bytes]") -> tuple[bytes, bytes, bool]:
    """What it wrote, and whether it was interrupted; a second interrupt kills it."""
    try:
        return *process.communicate(), False
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            return *process.communicate(timeout=30), True
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            process.kill()
            raise KeyboardInterrupt from None


def arguments(request: BenchRequest) -> list[str]:
    """The command line that measures the request in a process of its own and writes its record to standard output."""
    words = ["bench", *request.kernels, "--json", "--no-save", "--budget", exact(Seconds(request.seconds))]
    words += ["--quick"] if request.quick else []
    words += ["--threads", ",".join(map(str, request.threads))] if request.threads else []
    words += ["--dtype", ",".join(request.dtypes)] if request.dtypes else []
    words += ["--size", ",".join("x".join(map(str, size)) for size in request.sizes)] if request.sizes else []
    return words


def _environment() -> dict[str, str]:
    """Ours, with the place that this package was imported from, wherever the process starts."""
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _run(out: str, err: str, code: int) -> Record:
    if code in (0, 130) and out.strip():
        return store.decode(out)
    message = err.strip().rpartition("\n")[2].removeprefix("hwbench: ") or f"it left with {code} and no word"
    raise InputError(message) if code == 2 else HwbenchError(message)
