"""Compile functions with numba once a machine, cached on disk where that works.

The key of numba's own cache is a function's file with its date and size. Kernels here are built from parts in other
files, and packages are often installed with one fixed date, so that the sources themselves are part of the key. A
folder that cannot be written, a full disk or a broken file only cost the time to compile again.
"""

import hashlib
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from llvmlite import ir
from numba import njit
from numba.core.caching import FunctionCache
from numba.extending import intrinsic

PACKAGE = __name__.partition(".")[0]


def compiled(function: Callable[..., Any], *, parallel: bool = False) -> Any:
    """Let numba compile a function at its first call, without the interpreter's lock, cached on disk if possible."""
    dispatcher = njit(nogil=True, parallel=parallel)(function)
    try:
        dispatcher._cache = SourceCache(function)
    except RuntimeError:  # numba can write to none of its folders
        return dispatcher
    return dispatcher


def inlined(function: Callable[..., Any]) -> Any:
    """Let numba copy a function into its compiled callers, so that it is not compiled by itself."""
    return njit(inline="always")(function)


def emits(signature: Any) -> Callable[[Callable[..., ir.Value | None]], Any]:
    """Make a function that emits LLVM's instructions, given a builder and arguments, one that numba's code calls.

    `signature` is numba's, or a function that returns it for the types of the arguments.
    """

    def decorate(emit: Callable[..., ir.Value | None]) -> Any:
        @wraps(emit)
        def typed(_context: Any, *kinds: Any) -> Any:
            def build(context: Any, builder: ir.IRBuilder, _signature: Any, arguments: list[ir.Value]) -> ir.Value:
                value = emit(builder, *arguments)
                return context.get_dummy_value() if value is None else value

            return signature(*kinds) if callable(signature) else signature, build

        return intrinsic(typed)

    return decorate


class SourceCache(FunctionCache):  # type: ignore[misc]
    """numba's cache of one function, with its sources in the key, that ignores every trouble with files."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), digest(self._py_func.__module__))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the cached code, None where there is none; files that cannot be read are removed."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # unpickling a truncated file, or one of another version, can raise anything
            with suppress(OSError):
                self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save the compiled code if the disk allows it."""
        with suppress(OSError):
            super().save_overload(sig, data)


def digest(module: str) -> str:
    """Return a digest of the sources of a module and of all modules of this package that it takes names from."""
    summary = hashlib.sha256()
    for name in sorted(reached(module)):
        file = getattr(sys.modules[name], "__file__", None)
        try:
            with open(file or "", "rb") as source:
                summary.update(source.read())
        except OSError:  # in an archive, whose path has the version's name
            summary.update(repr(file).encode())
    return summary.hexdigest()


def reached(module: str) -> set[str]:
    """Return a module with the modules of this package from which its names come, theirs, and so on."""
    result, waiting = {module}, [module]
    while waiting:
        for value in list(vars(sys.modules[waiting.pop()]).values()):
            name = value.__name__ if isinstance(value, type(sys)) else getattr(value, "__module__", None)
            if isinstance(name, str) and name.partition(".")[0] == PACKAGE and name in sys.modules:
                if name not in result:
                    waiting.append(name)
                result.add(name)
    return result
