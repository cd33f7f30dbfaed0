"""Torch modules as ONNX graphs, by torch's own exporter: the same graph for every engine that reads ONNX."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from hwbench.errors import HwbenchError, InputError, shown
from hwbench.measure.engines.base import package

MAX_BYTES = 1 << 31
"""Of a graph with its weights: protobuf's limit."""

_GRAPHS: WeakKeyDictionary[Any, tuple[Any, bytes]] = WeakKeyDictionary()
"""The last graph of each module, with the shapes of its inputs."""


def graph(module: Any, arguments: tuple[Any, ...]) -> bytes:
    """Return a module for inputs of these shapes as an ONNX graph in fp32; bytes are a graph already.

    Raises InputError where the exporter cannot express the module.
    """
    if isinstance(module, bytes):
        return module
    shapes = tuple((tuple(tensor.shape), tensor.dtype) for tensor in arguments)
    known = _GRAPHS.get(module)
    if known is None or known[0] != shapes:
        known = _GRAPHS[module] = (shapes, _exported(module, arguments))
    return known[1]


def _exported(module: Any, arguments: tuple[Any, ...]) -> bytes:
    torch = package("torch", "torch")
    package("onnxscript", "onnxruntime")
    size = sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
    if size >= MAX_BYTES:
        raise InputError("too-large", "The network has 2 GiB of weights or more, too many for one ONNX graph.")
    try:
        with warnings.catch_warnings(), _quiet("torch.onnx"):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(module.eval(), arguments, dynamo=True, verbose=False)
            return bytes(program.model_proto.SerializeToString())
    except (KeyboardInterrupt, MemoryError, HwbenchError):
        raise
    except Exception as error:  # the exporter runs the module and fails in many ways
        reason = " ".join(f"{error}".split())
        text = f"torch cannot export the network to ONNX: {type(error).__name__}: {shown(reason, 200)}"
        raise InputError("not-exportable", text, field="runtimes") from None


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a logger and those below it silent about anything but errors."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
