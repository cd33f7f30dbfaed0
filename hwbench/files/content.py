"""Read files that may be anything: too large, no text, a pipe that nobody feeds."""

import os

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
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            # A device or a pipe has no size to check: read one byte past the limit instead.
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise InputError("not-readable", f"The file cannot be read: {reason(error)}.", file=path) from None
    if len(content) > limit:
        raise InputError("too-large", f"The file is larger than the limit of {limit >> 10} KiB.", file=path)
    return content


def reason(error: Exception) -> str:
    """Return why the system refused something, without the path."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _open_at_once(path: str, flags: int) -> int:
    """Return a descriptor without waiting for a writer: a pipe that nobody feeds is an empty file."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return descriptor
