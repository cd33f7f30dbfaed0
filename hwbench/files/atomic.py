"""Write files so that a reader sees the old content or the new one, never half of either."""

import os
from collections.abc import Iterable

from hwbench.errors import InputError
from hwbench.files.content import reason


def write_atomically(path: str, content: str | bytes | Iterable[str]) -> None:
    """Write a temporary file, sync it and rename it. Raises InputError where that fails; the old file then remains.

    Content that is too large to hold comes in pieces. A link stays a link. A device or a pipe (`/dev/null`,
    `/dev/stdout`) is written to: root could replace it by a file.
    """
    pieces = (
        [content] if isinstance(content, bytes)
        else (piece.encode() for piece in ([content] if isinstance(content, str) else content))
    )  # fmt: skip
    temporary = None
    try:
        target = os.path.realpath(path)
        if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
            with open(path, "wb") as device:
                device.writelines(pieces)
            return
        temporary = f"{target}.{os.getpid()}.{os.urandom(4).hex()}.tmp"  # threads of one process write too
        with open(temporary, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except (OSError, ValueError) as error:
        raise InputError("not-writable", f"The file cannot be written: {reason(error)}.", file=path) from None
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
