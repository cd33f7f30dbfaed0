"""The software that runs a network: torch eager and compiled, onnxruntime, OpenVINO. Each is a module with `prepare`.

An engine's module is imported when it is asked for, and imports its package when it prepares a network.
"""

import importlib
from importlib.util import find_spec
from typing import Any

from hwbench.errors import InputError, nearest, shown

__all__ = ["ENGINES", "engine", "installed", "named", "require"]

ENGINES = {
    "torch-eager": "hwbench.measure.engines.torch_eager",
    "torch-compile": "hwbench.measure.engines.torch_compile",
    "onnxruntime": "hwbench.measure.engines.onnxruntime",
    "openvino": "hwbench.measure.engines.openvino",
}
"""The module of each engine by the name of the runtime."""


_ALIASES = {"torch": "torch-eager"}


def named(name: str) -> str:
    """Return the name of an engine from what a user types. Raises InputError for an unknown one."""
    known = _ALIASES.get(name.lower(), name.lower())
    if known not in ENGINES:
        message = f"There is no runtime '{shown(name)}' that runs networks."
        raise InputError(
            "unknown-runtime", message, field="runtimes", nearest=nearest(known, ENGINES) or tuple(ENGINES)
        )
    return known


def engine(name: str) -> Any:
    """Return the module of an engine, whose `prepare` is described in `base.NetworkEngine`. Raises InputError."""
    return importlib.import_module(ENGINES[named(name)])


def installed() -> list[str]:
    """Return the engines whose packages are installed."""
    return [name for name in ENGINES if _package(name)]


def require(name: str) -> None:
    """Raise InputError naming the extra of an engine whose package is not installed."""
    if not _package(name):
        extra = name.partition("-")[0]
        text = f"The runtime {name} needs its package: pip install 'hwbench[{extra}]'."
        raise InputError("engine-missing", text, field="runtimes")


def _package(name: str) -> bool:
    try:
        return find_spec(name.partition("-")[0]) is not None
    except ValueError:  # a module without a specification
        return False
