"""Write files so that a reader sees the old content or the new one, never half of either."""

import os
import platform
import re
from binascii import crc32
from collections.abc import Iterable
from contextlib import suppress
from functools import cache

from hwbench.errors import InputError
from hwbench.files.content import reason

_TEMPORARY = re.compile(r"\.hwbench\.([0-9a-f]{8})\.([0-9]{1,10})\.[0-9a-f]{8}\.tmp")
"""Name of a temporary file: the machine, the process and a random number."""


def write_atomically(path: str, content: str | bytes | Iterable[str]) -> None:
    """Write a temporary file, sync it and rename it. Raises InputError where that fails; the old file then remains.

    Content that is too large to hold comes in pieces. A file keeps its mode, a link stays a link. A device or a pipe
    (`/dev/null`, `/dev/stdout`) is written to: root could replace it by a file. Temporary files that processes of this
    machine left when they were killed are removed.
    """
    whole = [content] if isinstance(content, (str, bytes)) else content
    pieces = (piece.encode() if isinstance(piece, str) else piece for piece in whole)
    temporary = None
    try:
        target = os.path.realpath(path)
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            with open(path, "wb") as device:
                device.writelines(pieces)
            return
        folder = os.path.dirname(target)
        mode = os.stat(target).st_mode & 0o777 if os.path.exists(target) else None
        _remove_abandoned(folder)
        # Threads of one process write too.
        temporary = os.path.join(folder, f".hwbench.{machine()}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        with open(os.open(temporary, flags, 0o666 if mode is None else 0o600), "wb") as file:
            file.writelines(pieces)
            file.flush()
            if mode is not None:
                os.chmod(temporary, mode)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except (OSError, ValueError) as error:
        raise InputError("not-writable", f"The file cannot be written: {reason(error)}.", file=path) from None
    finally:
        if temporary:
            with suppress(OSError):
                os.unlink(temporary)


@cache
def machine() -> str:
    """Return eight digits for this machine, or this container: processes of others have other numbers."""
    namespace = 0
    with suppress(OSError):
        namespace = os.stat("/proc/self/ns/pid").st_ino
    return f"{crc32(f'{platform.node()} {namespace}'.encode(errors='replace')):08x}"


def _remove_abandoned(folder: str) -> None:
    """Remove temporary files of processes of this machine that are no more."""
    if os.name != "posix":  # elsewhere, asking whether a process lives would end it
        return
    names: list[str] = []
    with suppress(OSError):  # a folder may be written to without being read
        names = os.listdir(folder)
    for name in names:
        match = _TEMPORARY.fullmatch(name)
        if match and match[1] == machine() and not _lives(int(match[2])):
            with suppress(OSError):
                os.unlink(os.path.join(folder, name))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True
