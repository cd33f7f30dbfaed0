"""An ONNX file counted in a process of its own, with limits: a graph may abort onnx's C++, or exhaust its memory.

What onnx is known to fail at is refused before (see `values`); this is for what is not known. The process imports onnx
instead of this one, so the file costs little more than the start of Python. Models of the catalog need none of it.
"""

import os
import sys

from msgspec import Struct, msgpack
from msgspec.structs import replace

from hwbench.errors import InputError
from hwbench.files import isolation
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
    body = msgpack.encode(replace(request, model=""))  # a path may have bytes that are no text
    try:
        answered = isolation.answer("hwbench.workload.onnx.isolated", body, path, OPENBLAS_NUM_THREADS="1")
    except isolation.EndedBySystemError as reason:
        text = f"Its shapes cannot be inferred: onnx was ended by the system ({reason})."
        raise InputError("not-inferable", text, file=path) from None
    counted, error = msgpack.decode(answered, type=tuple[Workload | None, RefusedFile | None])
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


def main() -> None:
    """Answer the request on standard input."""
    path = sys.argv[1]
    size = os.path.getsize(path) if os.path.isfile(path) else 0
    isolation.limit(MEMORY_BYTES, int(CPU_S + CPU_S_PER_MIB * size / 2**20))
    isolation.serve(lambda body: msgpack.encode(_answer(path, msgpack.decode(body, type=ModelRequest))))


if __name__ == "__main__":
    main()
