"""Write files so that a reader sees the old content or the new one, never half of either."""

import errno
import os
import platform
import re
import time
from binascii import crc32
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import BinaryIO

from hwbench.errors import InputError
from hwbench.files.content import reason

_TEMPORARY = re.compile(r"\.hwbench\.([0-9a-f]{8})\.([0-9]{1,10})\.[0-9a-f]{8}\.tmp")
"""Name of a temporary file: the machine, the process and a random number."""

PROBE_BYTES = 1 << 20
ABANDONED_S = 86400.0
_WITHOUT_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EACCES)
"""What file systems that have no hard links answer."""


def write_atomically(
    path: str, content: str | bytes | Iterable[str], *, new: bool = False, modified_ns: int | None = None
) -> None:
    """Write a temporary file, sync it and rename it. Raises InputError where that fails; the old file then remains.

    Content that is too large to hold comes in pieces. A file keeps its mode, a link stays a link. A device or a pipe
    (`/dev/null`, `/dev/stdout`) is written to: root could replace it by a file. A `new` file replaces none: where there
    is one, the code of the error is `file-exists`. `modified_ns` is the time of the file. Temporary files of
    processes of this machine that were killed are removed.
    """
    whole = [content] if isinstance(content, (str, bytes)) else content
    pieces = (piece.encode() if isinstance(piece, str) else piece for piece in whole)
    with _explained(path):
        target = os.path.realpath(path)
        if _is_stream(path):
            with open(path, "wb") as device:
                device.writelines(pieces)
            return
        mode = os.stat(target).st_mode & 0o777 if os.path.exists(target) else None
        with _temporary(os.path.dirname(target), 0o666 if mode is None else 0o600) as (temporary, file):
            file.writelines(pieces)
            file.flush()
            if mode is not None:
                os.chmod(temporary, mode)
            os.fsync(file.fileno())
            if modified_ns is not None:
                os.utime(temporary, ns=(modified_ns, modified_ns))
            written = os.fstat(file.fileno())
            file.close()
            _publish(temporary, written, target, new)


def refuse_unwritable(path: str, size: int = PROBE_BYTES) -> None:
    """Raise InputError where a file of `size` bytes cannot be written: asked before the work whose result it will hold.

    The folder, the name, and space on the disk are tried; a device or a pipe is left alone.
    """
    with _explained(path):
        target = os.path.realpath(path)
        if os.path.isdir(target):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not _is_stream(path):
            with _temporary(os.path.dirname(target), 0o600) as (_, file):
                file.write(bytes(size))
                file.flush()
                os.fsync(file.fileno())


def make_folder(path: str) -> None:
    """Make a folder and those above it, unless it is there. Raises InputError."""
    try:
        os.makedirs(path, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError("not-writable", f"The folder cannot be made: {reason(error)}.", file=path) from None


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError("not-writable", f"The file cannot be written: {reason(error)}.", file=path) from None


def _is_stream(path: str) -> bool:
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


@contextmanager
def _temporary(folder: str, mode: int) -> Iterator[tuple[str, BinaryIO]]:
    """Yield the name of a file of its own, which is gone in the end under that name, and the file."""
    _remove_abandoned(folder)
    # Threads of one process write too.
    path = os.path.join(folder, f".hwbench.{machine()}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags, mode)
    try:
        with open(descriptor, "wb") as file:
            yield path, file
    finally:
        with suppress(OSError):
            os.unlink(path)


def _publish(temporary: str, written: os.stat_result, target: str, new: bool) -> None:
    """Give a temporary file its name. An error counts only where the name is not that file's afterwards.

    On a file server a rename may succeed and its answer be lost; the request is then repeated and fails.
    """
    try:
        try:
            (os.link if new else os.replace)(temporary, target)
        except OSError as error:
            with suppress(OSError):
                if os.path.samestat(written, os.stat(target)):
                    return
            if not new or error.errno not in _WITHOUT_LINKS:
                raise
            os.close(os.open(target, os.O_CREAT | os.O_EXCL))  # the name is taken before it is replaced
            os.replace(temporary, target)
    except FileExistsError:
        raise InputError("file-exists", "There is a file of this name.", file=target) from None


@cache
def machine() -> str:
    """Return eight digits for this machine, or this container: processes of others have other numbers."""
    namespace = 0
    with suppress(OSError):
        namespace = os.stat("/proc/self/ns/pid").st_ino
    return f"{crc32(f'{platform.node()} {namespace}'.encode(errors='replace')):08x}"


def _remove_abandoned(folder: str) -> None:
    """Remove temporary files of processes of this machine that are no more, and those of a day without a write."""
    if os.name != "posix":  # elsewhere, asking whether a process lives would end it
        return
    names: list[str] = []
    with suppress(OSError):  # a folder may be written to without being read
        names = os.listdir(folder)
    for path, match in ((os.path.join(folder, name), _TEMPORARY.fullmatch(name)) for name in names):
        with suppress(OSError):
            ended = match and match[1] == machine() and not _lives(int(match[2]))
            if match and (ended or os.lstat(path).st_mtime < time.time() - ABANDONED_S):
                os.unlink(path)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True
