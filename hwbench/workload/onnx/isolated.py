"""An ONNX file counted in a process of its own, with limits: a graph may abort onnx's C++, or exhaust its memory.

What onnx is known to fail at is refused before (see `values`); this is for what is not known. The process imports onnx
instead of this one, so the file costs little more than the start of Python. Models of the catalog need none of it.
"""

import os
import signal
import subprocess
import sys

from msgspec import Struct, msgpack
from msgspec.structs import replace

from hwbench.errors import HwbenchError, InputError, shown
from hwbench.files import places
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

MEMORY_BYTES = 8 << 30
CPU_S, CPU_S_PER_MIB = 10.0, 60.0
"""Limit of the CPU time: that of any file, and that of each MiB of it besides."""


class RefusedFile(Struct, frozen=True):
    """An InputError: `in_file` where it is about the file, whose path may be no text."""

    code: str
    message: str
    field: str | None = None
    nearest: tuple[str, ...] = ()
    in_file: bool = True


def workload(path: str, request: ModelRequest) -> Workload:
    """Return the workload of an `.onnx` file, as `graph.workload` does. Raises InputError that names the file."""
    paths = (os.path.dirname(places.PACKAGE), os.environ.get("PYTHONPATH", ""))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hwbench.workload.onnx.isolated", path],  # -P: no modules of the current folder
        input=msgpack.encode(replace(request, model="")),  # a path may have bytes that are no text
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OPENBLAS_NUM_THREADS": "1"},
    )
    if done.returncode in (-signal.SIGINT, 130):
        raise KeyboardInterrupt
    if done.returncode < 0:
        reason = signal.strsignal(-done.returncode) or f"signal {-done.returncode}"
        text = f"Its shapes cannot be inferred: onnx was ended by the system ({reason})."
        raise InputError("not-inferable", text, file=path)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise HwbenchError(f"internal error in the process that reads ONNX: {shown(last, 300)}")
    counted, error = msgpack.decode(done.stdout, type=tuple[Workload | None, RefusedFile | None])
    if error:
        place = path if error.in_file else None
        raise InputError(error.code, error.message, file=place, field=error.field, nearest=error.nearest)
    assert counted
    return replace(counted, name=request.model)


def _answer(path: str, request: ModelRequest) -> tuple[Workload | None, RefusedFile | None]:
    from hwbench.workload.onnx import graph

    try:
        return graph.workload(path, request), None
    except InputError as error:
        return None, RefusedFile(error.code, error.message, error.field, error.nearest, error.file is not None)
    except MemoryError:
        return None, RefusedFile("too-large", "Its shapes cannot be inferred in the memory that a file may take.")


def _limit(path: str) -> None:
    """Limit this process, where the system can."""
    try:
        import resource
    except ImportError:
        return
    size = os.path.getsize(path) if os.path.isfile(path) else 0
    cpu = int(CPU_S + CPU_S_PER_MIB * size / 2**20)
    for kind, limit in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def main() -> None:
    """Answer the request on standard input."""
    path, request = sys.argv[1], msgpack.decode(sys.stdin.buffer.read(), type=ModelRequest)
    _limit(path)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    out.write(msgpack.encode(_answer(path, request)))
    out.close()


if __name__ == "__main__":
    main()
