"""A limit on the CPU time that files of others take: beyond it their command is refused, in one line."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hwbench.api.checks import check_duration
from hwbench.cli.options import budget_option
from hwbench.errors import InputError
from hwbench.units import Seconds

AGAIN_S = 0.01
"""Seconds of CPU time after which it is interrupted again, should a library or a finalizer have swallowed the first."""
OURS = (__name__.partition(".")[0],)
"""Packages whose code is interrupted: that of others may hold a lock, which would never be released."""

cpu_option = budget_option("9s", "CPU time that files may take; where they need more they are refused.")


class _OutOfTime(BaseException):
    """Like an interrupt from the keyboard, nothing that handles errors of its own handles this."""


@contextmanager
def cpu_limit(budget: str, *files: object) -> Iterator[None]:
    """Raise InputError in what needs more CPU time than the budget, if there are files.

    There is no limit without timers, as on Windows.
    """
    seconds = check_duration(budget, "budget")
    if not any(files) or not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before, hook = signal.signal(signal.SIGPROF, _interrupt), sys.unraisablehook

    def untold(lost: Any) -> None:
        if not isinstance(lost.exc_value, _OutOfTime):
            hook(lost)

    sys.unraisablehook = untold
    signal.setitimer(signal.ITIMER_PROF, seconds, AGAIN_S)
    try:
        yield
    except _OutOfTime:
        signal.setitimer(signal.ITIMER_PROF, 0)
        message = f"It needs more than {Seconds(seconds)} of CPU time: allow more, as with --budget 600s."
        raise InputError("over-budget", message, field="budget") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        sys.unraisablehook = hook


def _interrupt(_signal: int, frame: FrameType | None) -> None:
    if frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in OURS:
        raise _OutOfTime
