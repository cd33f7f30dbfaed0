"""Runs of several fresh processes, which show what differs between starts: the layout of memory, the clock."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from hwbench.errors import HwbenchError, InputError, shown
from hwbench.measure import session, store
from hwbench.measure.analysis import evidence
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
    if failures:
        failed = notice("processes-failed", failed=len(failures), count=count, reason=failures[0])
        whole = replace(whole, notices=(*whole.notices, failed))
    return _cut(whole, len(runs), count - len(failures))


class Setting(Struct, frozen=True):
    """What a fresh process is started with instead of what this one has; `name` is what people call it."""

    name: str
    python: str | None = None
    variables: dict[str, str] = {}
    threads: int | None = None


HERE = Setting(evidence.HERE)


def setting(text: str) -> Setting:
    """Return the setting of a text: `here`, or `python=PATH`, `threads=N` and `VARIABLE=value`, separated by spaces.

    Raises InputError.
    """
    values: dict[str, str] = {}
    variables: dict[str, str] = {}
    try:
        words = [word for word in shlex.split(text) if word != HERE.name]
    except ValueError as error:
        raise InputError("bad-setting", f"'{shown(text)}' cannot be read: {error}.", field="names") from None
    for word in words:
        name, separator, value = word.partition("=")
        if separator and name in ("python", "threads"):
            values[name] = value
        elif separator and name.isidentifier() and name.isupper():
            variables[name] = value
        else:
            known = ("here", "python=PATH", "threads=N", "VARIABLE=value")
            raise InputError("bad-setting", f"'{shown(word)}' is no setting.", field="names", nearest=known)
    threads, python = values.get("threads"), values.get("python")
    if threads is not None and not (threads.isascii() and threads.isdigit() and 0 < len(threads) < 5 and int(threads)):
        raise InputError("bad-setting", f"'{shown(threads)}' is no number of threads.", field="names")
    if python is not None and not shutil.which(python):
        raise InputError("bad-setting", f"'{shown(python)}' is not a Python that can be started.", field="names")
    return Setting(" ".join(words) or HERE.name, python, variables, int(threads) if threads else None)


def in_turns(
    settings: Sequence[Setting], request: BenchRequest, count: int, progress: Callable[[int], None] | None = None
) -> list[Record]:
    """Return a record of `count` processes for each setting, whose processes took turns: A B, B A, A B and so on.

    So a drift of the machine falls on all alike. An interrupt keeps the turns that are complete. Raises the error of a
    process.
    """
    sides: list[list[Record]] = [[] for _ in settings]
    order = [number for turn in range(count) for number in _order(len(settings), turn)]
    share = replace(request, budget_s=request.seconds / len(order))
    try:
        for done, number in enumerate(order):
            if progress:
                progress(done)
            sides[number].append(_of_setting(share, settings[number]))
    except KeyboardInterrupt:
        if not all(sides):
            raise
    complete, turns = min(map(len, sides)), store.new_id()
    records = [session.joined(side[:complete], request.command, turns) for side in sides]
    return [
        _cut(replace(record, environment={**record.environment, "setting": each.name}), complete, count)
        for each, record in zip(settings, records, strict=True)
    ]


def _of_setting(request: BenchRequest, setting: Setting) -> Record:
    try:
        return record_once(request, setting)
    except InputError:
        raise
    except HwbenchError as error:
        raise InputError(
            "setting-failed", f"Nothing was measured with '{setting.name}': {error}", field="names"
        ) from None


def _order(count: int, turn: int) -> list[int]:
    return list(range(count)) if turn % 2 == 0 else list(reversed(range(count)))


def _cut(run: Record, measured: int, count: int) -> Record:
    """Return a run that was interrupted, if fewer processes measured than should."""
    if measured == count:
        return run
    stopped = tuple(replace(measurement, stopped="interrupted") for measurement in run.measurements)
    notices = (*run.notices, notice("processes-interrupted", measured=measured, count=count))
    return replace(run, measurements=stopped, notices=unique(notices))


def record_once(request: BenchRequest, setting: Setting = HERE) -> Record:
    """Return the record of one fresh process. Raises the process's error, or KeyboardInterrupt if it was stopped."""
    run, stopped = run_process(request, setting)
    if stopped:
        raise KeyboardInterrupt
    return run


def run_process(request: BenchRequest, setting: Setting = HERE) -> tuple[Record, bool]:
    """Return the record of a fresh process, and whether it was interrupted.

    Raises KeyboardInterrupt where it was interrupted before its first sample.
    """
    threads = (setting.threads,) if setting.threads else request.threads
    words = arguments(replace(request, threads=threads))
    with subprocess.Popen(
        [setting.python or sys.executable, "-P", "-m", "hwbench", *words],  # -P: modules of the current folder stay out
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(setting),
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
    words = (
        ["run", "--model", request.model, "--batch", str(request.batch)] if request.model else ["bench", "--no-save"]
    )
    words += [*request.kernels, "--json", "--budget", exact(Seconds(request.seconds))]
    words += ["--quick"] if request.quick and not request.model else []
    words += ["--threads", ",".join(map(str, request.threads))] if request.threads else []
    words += ["--dtype", ",".join(request.dtypes)] if request.dtypes else []
    words += ["--size", ",".join("x".join(map(str, size)) for size in request.sizes)] if request.sizes else []
    return words


def _environment(setting: Setting) -> dict[str, str]:
    """Return the environment of a process, with a PYTHONPATH to this package unless another Python has its own."""
    variables = {**os.environ, **setting.variables}
    if setting.python is None:
        package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        paths = [package_parent, *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    return variables
