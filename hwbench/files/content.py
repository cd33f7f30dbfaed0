"""Read files that may be anything: too large, no text, a pipe that nobody feeds."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from hwbench.errors import InputError

MAX_BYTES = 1 << 20


def read_text(path: str, limit: int = MAX_BYTES) -> str:
    """Return the UTF-8 text of a file of at most `limit` bytes. Raises InputError where it cannot be read as such."""
    content = read_bytes(path, limit)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError("not-utf8", "The file is not UTF-8 text.", file=path, line=line) from None


def read_bytes(path: str, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a file of at most `limit` bytes. Raises InputError where it cannot be read."""
    with _opened(path) as file:
        content = file.read(limit + 1)  # a device or a pipe has no size to check: read one byte past the limit instead
    if len(content) > limit:
        raise InputError("too-large", f"The file is larger than the limit of {limit >> 10} KiB.", file=path)
    return content


@contextmanager
def regular(path: str) -> Iterator[IO[bytes]]:
    """Yield a file of which a part is read, as large as it is. Raises InputError for a pipe, a device or a folder."""
    with _opened(path) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise InputError("not-readable", "This is not a file.", file=path)
        yield file


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    try:
        file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - others may raise ValueError in it
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    try:
        with file:
            yield file
    except OSError as error:
        raise _unreadable(path, error) from None


def _open_at_once(path: str, flags: int) -> int:
    """Return a descriptor without waiting for a writer: a pipe that nobody feeds is an empty file."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return descriptor


def _unreadable(path: str, error: Exception) -> InputError:
    return InputError("not-readable", f"The file cannot be read: {reason(error)}.", file=path)


def reason(error: Exception) -> str:
    """Return why the system refused something, without the path."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
