"""The software that a measurement depends on: versions, and the kernels that BLAS libraries chose for this CPU.

Nothing is imported: versions are those of the packages' metadata, the rest is asked of loaded modules.
"""

import ctypes
import platform
import re
import sys
from contextlib import suppress
from functools import cache
from importlib import metadata
from typing import Any

PACKAGES = ("numba", "llvmlite", "numpy", "scipy", "torch", "mkl", "threadpoolctl")
_SPELLINGS = ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}")


def versions() -> dict[str, str]:
    """Return versions by name: Python, installed packages, LLVM, and the BLAS of numpy and of torch."""
    known = {"python": f"{platform.python_implementation()} {platform.python_version()}"}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            known[name] = metadata.version(name)
    known |= {name: text for name, text in (("llvm", llvm()), ("blas", blas()), ("torch_blas", torch_blas())) if text}
    return known


def llvm() -> str | None:
    """Return the version of numba's LLVM, if llvmlite is loaded."""
    binding = sys.modules.get("llvmlite.binding")
    return ".".join(map(str, binding.llvm_version_info)) if binding else None


def blas() -> str | None:
    """Return the BLAS of numpy and the kernel that it chose, such as `scipy-openblas 0.3.31 (SkylakeX)`."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    try:
        built = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
        name = f"{built['name']} {'.'.join(str(built['version']).split('.')[:3])}"
    except (KeyError, TypeError):
        name = "unknown"
    kernel = openblas_kernel()
    return f"{name} ({kernel})" if kernel else name


def openblas_kernel() -> str | None:
    """Return OpenBLAS's name of the kernel that it chose in this process; None where it is not loaded."""
    function = _openblas("get_corename")
    if function is None:
        return None
    function.restype = ctypes.c_char_p
    return (function() or b"").decode("ascii", "replace") or None


def blas_threads(count: int) -> bool:
    """Set the number of threads of numpy's BLAS; return False where it has no function for that."""
    function = _openblas_threads()
    if function is None:
        return False
    if _set[0] != count:
        function(count)
        _set[0] = count
    return True


_set = [0]


@cache
def _openblas_threads() -> Any:
    return _openblas("set_num_threads")


def _openblas(name: str) -> Any:
    """Return a function of the loaded OpenBLAS; None without one, or where the system lists no loaded libraries."""
    paths: set[str] = set()
    with suppress(OSError), open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        paths = {"/" + line.rstrip("\n").partition("/")[2] for line in file if "openblas" in line and ".so" in line}
    for path in sorted(paths):
        with suppress(OSError):
            library = ctypes.CDLL(path)
            for pattern in _SPELLINGS:
                if function := getattr(library, pattern.format(name), None):
                    return function
    return None


def torch_blas() -> str | None:
    """Return the BLAS of torch and the instruction set of its own kernels, if torch is loaded."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    text = str(torch.__config__.show())
    mkl = re.search(r"Math Kernel Library Version ([\w.]+(?: Update \d+)?)", text)
    kind = re.search(r"BLAS_INFO=(\w+)", text)
    name = f"MKL {mkl[1]}" if mkl else kind[1] if kind else "unknown"
    capability = re.search(r"CPU capability usage: (\w+)", text)
    return f"{name}, torch kernels {capability[1]}" if capability else name
