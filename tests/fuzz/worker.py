"""Run cases one after another in this process, and say of each what it left behind. Started by `run.Worker`.

Reads a line of JSON a case on standard input, writes one a result on the descriptor that it is given. A native abort
ends the process: whoever started it sees that.
"""

import base64
import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from typing import Any

MEMORY = 6 << 30
CACHE = os.path.join(tempfile.gettempdir(), "cache")
"""Of the parsed catalog, which no case parses anew; in the folder that `run.Worker` makes and removes."""


class _Stream(io.TextIOWrapper):
    """A standard stream in memory."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="surrogateescape", write_through=True)

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode("utf-8", "surrogateescape")  # type: ignore[attr-defined]


def execute(case: dict[str, Any]) -> dict[str, Any]:
    """Run one case in an empty folder; return exit code, output, CPU time in s and growth of memory in bytes."""
    folder = tempfile.mkdtemp(prefix="hwbench-fuzz-")
    for name, content in case["files"].items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(content))
    before = dict(os.environ)
    own = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), folder)
    os.environ |= {**own, "XDG_CACHE_HOME": CACHE, **case["environment"]}
    os.chdir(folder)
    out, err = _Stream(), _Stream()
    memory, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("always")
            code = DIRECT.get(case["door"], _command)(case["words"])
    finally:
        os.chdir("/")
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "code": code,
        "out": out.text,
        "err": err.text,
        "cpu_s": time.process_time() - cpu,
        "grown": 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory),
    }


def _command(words: list[str]) -> int:
    from hwbench.cli.main import main

    sys.argv = ["hwbench", *words]
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0)
    raise AssertionError("main returned")


def _answer(_words: list[str]) -> int:
    """Hold what a worker answered against what is believed of workers; save it as `fleet bench --save` does."""
    from hwbench.errors import InputError, shown
    from hwbench.measure import cluster, store

    with open("answer", "rb") as file:
        text = file.read().decode(errors="replace")
    outcome = cluster.checked("host", "tcp://worker", cluster.WorkerAnswer(0, text, "", "example", 0.0))
    if isinstance(outcome, cluster.Success):
        with contextlib.suppress(InputError):
            store.save(outcome.run, "saved")
    outside = [name for name in os.listdir() if name not in ("answer", "saved")]
    if outside:
        raise AssertionError(f"written outside: {outside}")
    if isinstance(outcome, cluster.Failure):
        print(f"hwbench: {shown(outcome.reason, 1000)}", file=sys.stderr)
        return 2
    return 0


def _setting(words: list[str]) -> int:
    """Read a setting of `compare --live`, without measuring under it."""
    from hwbench.errors import InputError, shown
    from hwbench.measure import processes
    from hwbench.measure.session import BenchRequest

    try:
        print(shown(processes.setting(words[0]).name), len(processes.arguments(BenchRequest(kernels=(words[0],)))))
    except InputError as error:
        print(f"hwbench: {error}", file=sys.stderr)
        return 2
    return 0


def _onnx(words: list[str]) -> int:
    """Count a graph in this process: what would end a process of its own is a fault too."""
    from hwbench.workload.onnx import graph, isolated

    isolated.workload = graph.workload
    return _command(words)


def _file_run(words: list[str]) -> int:
    """Run a file by engines, in copies of this process where the command starts others, with little CPU time."""
    from hwbench.errors import HwbenchError
    from hwbench.files import isolation

    try:
        import onnxruntime  # noqa: F401

        from hwbench.measure.engines import openvino
        from hwbench.measure.inference import isolated

        openvino._openvino()
        isolated.MAX_CPU_S = 15
    except (ImportError, HwbenchError):  # as the command says
        pass
    isolation.answer = _copy_answer
    return _onnx(words)


def _nothing_measured(words: list[str]) -> int:
    """Run a command up to what it would measure, ask of a cluster, or serve."""
    from unittest import mock

    from hwbench.api import sweeps
    from hwbench.errors import InputError
    from hwbench.explore import server
    from hwbench.files import isolation
    from hwbench.measure import cluster, harness, host_calibration, processes

    error = InputError("not-measured", "Nothing is measured here.")
    with contextlib.ExitStack() as stack:
        for module, name in (
            (harness, "measure"), (processes, "run_process"), (host_calibration, "times"), (cluster, "connected"),
            (sweeps, "connected"), (isolation, "answer"), (server, "serve"),
        ):  # fmt: skip
            stack.enter_context(mock.patch.object(module, name, side_effect=error))
        return _command(words)


def _page(words: list[str]) -> int:
    """Ask a view of the local page, as its server does."""
    from urllib.parse import parse_qsl

    from hwbench.errors import InputError
    from hwbench.explore import question, view, views

    try:
        asked = question.parse(parse_qsl(words[1], keep_blank_values=True))
        print(json.dumps(view.plain(views.view(words[0], asked)), allow_nan=False))
    except InputError as error:
        print(f"hwbench: {error}", file=sys.stderr)
        return 2
    return 0


def _api(words: list[str]) -> int:
    """Call a function of Python's with values by name, those of `*names` by place; print the answer."""
    import inspect

    import hwbench
    from hwbench.errors import InputError

    function, given = getattr(hwbench, words[0]), json.loads(words[1])
    parameters = list(inspect.signature(function).parameters.values())
    kinds = [each.kind for each in parameters]
    count = kinds.index(parameters[0].VAR_POSITIONAL) + 1 if parameters[0].VAR_POSITIONAL in kinds else 0
    first = [given.pop(each.name) for each in parameters[:count]]
    try:
        print(function(*first, **given))
    except InputError as error:
        print(f"hwbench: {error}", file=sys.stderr)
        return 2
    return 0


def _copy_answer(module: str, request: bytes, timeout: float | None = None) -> bytes:
    """Do what `isolation.answer` does in a copy of this process."""
    from hwbench.errors import HwbenchError, shown
    from hwbench.files import isolation

    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            with os.fdopen(writing, "wb") as out:
                out.write(sys.modules[module]._respond(request))
            os._exit(0)
        except BaseException as error:  # whatever it is, it is a fault of the case
            with open("error", "w", encoding="utf-8") as file:
                file.write(repr(error))
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        told = answer.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        raise isolation.EndedBySystemError(signal.strsignal(-code))
    if code:
        with open("error", encoding="utf-8") as file:
            raise HwbenchError(f"internal error in the process of {module}: {shown(file.read(), 300)}")
    return told


DIRECT = {
    "worker answer": _answer,
    "live setting": _setting,
    "ONNX": _onnx,
    "run of a file": _file_run,
    "every command": _nothing_measured,
    "API": _api,
    "local page": _page,
}
"""Doors that the command line opens only to measure, or in another process."""


def main() -> None:
    """Serve until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as results:
        for line in sys.stdin:
            try:
                result = execute(json.loads(line))
            except BaseException as error:  # whatever it is, it is a fault of the case
                result = {"code": 1, "out": "", "err": f"{type(error).__name__}: {error}\n", "cpu_s": 0.0, "grown": 0}
            results.write(json.dumps(result) + "\n")
            results.flush()


if __name__ == "__main__":
    main()
