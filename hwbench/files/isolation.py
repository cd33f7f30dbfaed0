"""Files of others read in a process of its own, with limits: libraries in C++ may abort, hang or exhaust the memory.

A module that is run so has a `main` that calls `serve`; the process that needs its answer calls `answer`.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

from hwbench.errors import HwbenchError, shown
from hwbench.files import places


class EndedBySystemError(Exception):
    """The system ended the process: the text is its reason, such as `Aborted`."""


def answer(module: str, request: bytes, *arguments: str, timeout: float | None = None, **environment: str) -> bytes:
    """Return what a module answers to a request, in a fresh process.

    Raises EndedBySystemError, subprocess.TimeoutExpired, KeyboardInterrupt where the process was interrupted, and
    HwbenchError where it failed for another reason.
    """
    paths = (os.path.dirname(places.PACKAGE), os.environ.get("PYTHONPATH", ""))
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, *arguments],  # -P: no modules of the current folder
        input=request,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment},
        timeout=timeout,
    )
    if done.returncode in (-signal.SIGINT, 130):
        raise KeyboardInterrupt
    if done.returncode < 0:
        raise EndedBySystemError(signal.strsignal(-done.returncode) or f"signal {-done.returncode}")
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise HwbenchError(f"internal error in the process of {module}: {shown(last, 300)}")
    return done.stdout


def serve(respond: Callable[[bytes], bytes]) -> None:
    """Write the answer to the request on standard input, and leave: threads of libraries may outlive their purpose."""
    request = sys.stdin.buffer.read()
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    out.write(respond(request))
    out.close()
    os._exit(0)


def limit(memory_bytes: int, cpu_s: int) -> None:
    """Limit the memory and the CPU time of this process, and let it leave no core file, where the system can."""
    try:
        import resource
    except ImportError:
        return
    limits = (resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CPU, cpu_s), (resource.RLIMIT_CORE, 0)
    for kind, most in limits:
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
