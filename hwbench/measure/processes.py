"""Runs of several fresh processes, which show what differs between starts: the layout of memory, the clock."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from msgspec.structs import replace

from hwbench.errors import HwbenchError, InputError
from hwbench.measure import session, store
from hwbench.measure.record import Record
from hwbench.measure.session import BenchRequest
from hwbench.notices import notice, unique
from hwbench.units import Seconds, exact


def bench(request: BenchRequest, count: int, progress: Callable[[int], None] | None = None) -> Record:
    """Return one record of `count` processes, run one after another, each with its share of the budget.

    A process that fails gives a notice; if all fail, an error is raised. An interrupt reaches the running process,
    whose samples so far are kept.
    """
    runs: list[Record] = []
    failures: list[str] = []
    share = replace(request, budget_s=request.seconds / count)
    for number in range(count):
        if progress:
            progress(number)
        try:
            run, stopped = run_process(share)
            runs.append(run)
            if stopped:
                break
        except HwbenchError as error:
            failures.append(str(error))
            if isinstance(error, InputError) and not runs:
                raise
        except KeyboardInterrupt:
            if not runs:
                raise
            break
    if failures and not runs:
        raise HwbenchError(f"Every process failed: {failures[0]}")
    whole = session.joined(runs, request.command)
    notices, measurements = list(whole.notices), whole.measurements
    if failures:
        notices.append(notice("processes-failed", failed=len(failures), count=count, reason=failures[0]))
    if len(runs) + len(failures) < count:
        notices.append(notice("processes-interrupted", measured=len(runs), count=count))
        measurements = tuple(replace(measurement, stopped="interrupted") for measurement in measurements)
    return replace(whole, notices=unique(notices), measurements=measurements)


def record_once(request: BenchRequest) -> Record:
    """Return the record of one fresh process. Raises the process's error, or KeyboardInterrupt if it was stopped."""
    run, stopped = run_process(request)
    if stopped:
        raise KeyboardInterrupt
    return run


def run_process(request: BenchRequest) -> tuple[Record, bool]:
    """Return the record of a fresh process, and whether it was interrupted.

    Raises KeyboardInterrupt where it was interrupted before its first sample.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "hwbench", *arguments(request)],  # -P: modules of the current folder stay out
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(),
        start_new_session=hasattr(os, "setsid"),  # so that Ctrl-C reaches it once: through us
    ) as process:
        out, err, stopped = _answer(process)
    try:
        run = store.decode_answer(out.decode("utf-8", "replace"), err.decode("utf-8", "replace"), process.returncode)
    except HwbenchError:
        if stopped or process.returncode == 130:  # interrupted before its first sample
            raise KeyboardInterrupt from None
        raise
    return run, stopped or session.interrupted(run.measurements)


def _answer(process: "subprocess.Popen[bytes]") -> tuple[bytes, bytes, bool]:
    try:
        return *process.communicate(), False
    except KeyboardInterrupt:  # a second one kills it
        process.send_signal(signal.SIGINT)
        try:
            return *process.communicate(timeout=30), True
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            process.kill()
            raise KeyboardInterrupt from None


def arguments(request: BenchRequest) -> list[str]:
    """Return the arguments of hwbench that measure a request and write its record to standard output."""
    words = ["bench", *request.kernels, "--json", "--no-save", "--budget", exact(Seconds(request.seconds))]
    words += ["--quick"] if request.quick else []
    sizes = ["x".join(map(str, size)) for size in request.sizes or ()]
    for option, values in (("--threads", request.threads), ("--dtype", request.dtypes), ("--size", sizes)):
        words += [option, ",".join(map(str, values))] if values else []
    return words


def _environment() -> dict[str, str]:
    """Return our environment with a PYTHONPATH to this package."""
    package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = [package_parent, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
