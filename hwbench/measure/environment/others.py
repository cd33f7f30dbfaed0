"""Other measurements of hwbench at the same time, which disturb each other more than ordinary work does."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from hwbench.files import places

try:
    import fcntl
except ImportError:  # Windows: other work is measured there too
    fcntl = None  # type: ignore[assignment]


@contextmanager
def alone(folder: str | None = None) -> Iterator[Callable[[], bool]]:
    """Yield what tells whether no other hwbench of this user measured since then.

    Whoever measures holds a file locked with others, and touches it at the start: a lock for one alone shows who was
    there before, and the time of the file who came later. Where there can be no such file, nobody is noticed.
    """
    place = folder or places.user("cache")
    number, before, since = None, False, 0
    if fcntl is not None:
        with suppress(OSError):
            os.makedirs(place, exist_ok=True)
            number = os.open(os.path.join(place, "measuring.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            before = not _locked(number, fcntl.LOCK_EX)
            _locked(number, fcntl.LOCK_SH)
            os.utime(number)
            since = os.fstat(number).st_mtime_ns
    try:
        yield lambda: not before and (number is None or os.fstat(number).st_mtime_ns == since)
    finally:
        if number is not None:
            os.close(number)


def _locked(number: int, kind: int) -> bool:
    """Take a lock, or one of another kind, and return whether it was free."""
    try:
        fcntl.flock(number, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
