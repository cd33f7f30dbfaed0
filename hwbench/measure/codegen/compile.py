"""Compile kernels with numba once a machine: kept on disk where that works, and never failing where it does not.

numba's own cache knows a kernel by the file that holds it, its date and its size. Kernels here are made of building
blocks from other files, and packages are often installed with one fixed date: so the sources themselves are part of
the key. A folder that cannot be written, a full disk and a broken file cost the time to compile again, nothing else.
"""

import hashlib
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

PACKAGE = __name__.partition(".")[0]


def compiled(function: Callable[..., Any], *, parallel: bool = False) -> Any:
    """The function compiled by numba at its first call, without the interpreter's lock, cached on disk if it can be."""
    dispatcher = njit(nogil=True, parallel=parallel)(function)
    try:
        dispatcher._cache = SourceCache(function)
    except RuntimeError:  # no folder of all that numba tries can be written
        return dispatcher
    return dispatcher


def inlined(function: Callable[..., Any]) -> Any:
    """A part of a compiled function: its code becomes the caller's, so that it is compiled once and not by itself."""
    return njit(inline="always")(function)


class SourceCache(FunctionCache):  # type: ignore[misc]
    """numba's cache of one function, with its sources in the key and every trouble with files forgiven."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), digest(self._py_func.__module__))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What the cache holds, None where it holds nothing; files that cannot be understood are given up."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a file that was cut off, or of another version, raises anything when unpickled
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled, if the disk lets us."""
        with suppress(OSError):
            super().save_overload(sig, data)


def digest(module: str) -> str:
    """A digest of the source of a module and of all modules of this package that it takes anything from."""
    summary = hashlib.sha256()
    for name in sorted(reached(module)):
        file = getattr(sys.modules[name], "__file__", None)
        try:
            with open(file or "", "rb") as source:
                summary.update(source.read())
        except OSError:  # in an archive: the place holds the version's name
            summary.update(repr(file).encode())
    return summary.hexdigest()


def reached(module: str) -> set[str]:
    """A module's name with those of this package's modules that its names come from, theirs, and so on."""
    found, waiting = {module}, [module]
    while waiting:
        for value in list(vars(sys.modules[waiting.pop()]).values()):
            name = value.__name__ if isinstance(value, type(sys)) else getattr(value, "__module__", None)
            if isinstance(name, str) and name.partition(".")[0] == PACKAGE and name in sys.modules:
                if name not in found:
                    waiting.append(name)
                found.add(name)
    return found
