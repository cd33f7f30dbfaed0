"""The software that runs a network: torch eager and compiled, onnxruntime, OpenVINO. Each is a module with `prepare`.

An engine's module is imported when it is asked for, and imports its package when it prepares a network.
"""

import importlib
from typing import Any

from hwbench.errors import InputError, nearest, shown

__all__ = ["ENGINES", "engine"]

ENGINES = {
    "torch-eager": "hwbench.measure.engines.torch_eager",
    "torch-compile": "hwbench.measure.engines.torch_compile",
    "onnxruntime": "hwbench.measure.engines.onnxruntime",
    "openvino": "hwbench.measure.engines.openvino",
}
"""The module of each engine by the name of the runtime."""


def engine(name: str) -> Any:
    """Return the module of an engine, whose `prepare` is described in `base.prepare`. Raises InputError."""
    if name not in ENGINES:
        message = f"There is no runtime '{shown(name)}' that networks can be run by."
        raise InputError("unknown-runtime", message, field="runtime", nearest=nearest(name, ENGINES) or tuple(ENGINES))
    return importlib.import_module(ENGINES[name])
