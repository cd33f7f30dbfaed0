"""What every engine does: prepare a network, run it, and state what it really used."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from msgspec import Struct

from hwbench.errors import HwbenchError, InputError, shown

Inputs = Sequence[tuple[Any, ...]]
"""Sets of tensors in fp32 or of integers, each the positional arguments of one inference, which rotate among them."""


class EngineLayer(Struct, frozen=True):
    """One layer as the engine ran it: seconds in one inference, the dtype it computed in and the kernel's own name."""

    name: str
    kind: str
    time_s: float
    dtype: str | None = None
    kernel: str | None = None


class Prepared(ABC):
    """A network that an engine is ready to run; `version` is of the engine's package.

    `default_precision` is the dtype in which the engine computes fp32 networks where nothing is asked of it.
    """

    version: str
    threads: int
    default_precision: str = "fp32"

    @abstractmethod
    def call(self, number: int = 0) -> None:
        """Run one inference on a set of inputs, which the running number selects."""

    @abstractmethod
    def outputs(self) -> tuple[Any, ...]:
        """Return the outputs of one inference on the first set of inputs, as arrays of numpy."""

    @property
    @abstractmethod
    def precision(self) -> str:
        """The dtype in which most of the time was computed, as the engine states it."""

    def profile(self) -> tuple[EngineLayer, ...] | None:
        """Return the time of each layer in one inference, None where the engine has no profile."""
        return None

    def close(self) -> None:
        """Free what the network takes: nothing, unless an engine holds more than memory."""
        return


class NetworkEngine(Protocol):
    """A module of this package."""

    def prepare(
        self, module: Any, inputs: Inputs, *, dtype: str = "fp32", threads: int = 1, batch: int = 1, device: str = "cpu"
    ) -> Prepared:
        """Return the network ready to run.

        `module` is a torch module with weights in fp32 on the CPU, or an ONNX graph as bytes, which has no location of
        external data; `inputs` are of `batch` samples. `device` is `cpu` or torch's name of a GPU. Raises InputError
        where the package is missing or does not run such a network, HwbenchError where it fails.
        """


def package(name: str, extra: str) -> Any:
    """Return the package of an engine. Raises InputError naming the extra where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        text = f"The runtime {name} needs its package ({shown(error)}): pip install 'hwbench[{extra}]'."
        raise InputError("engine-missing", text, field="runtime") from None


@contextmanager
def failures(engine: str, batch: int, dtype: str) -> Iterator[None]:
    """Turn whatever an engine's package raises into a HwbenchError that says what was run."""
    try:
        yield
    except (KeyboardInterrupt, MemoryError, HwbenchError, InputError):
        raise
    except Exception as error:  # a package of others, running a network of others
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        text = f"{engine} cannot run the network at batch {batch} in {dtype}: {shown(reason, 300)}"
        raise HwbenchError(text) from error


def refuse_dtype(engine: str, dtype: str, known: Sequence[str], why: str = "") -> None:
    """Raise InputError for a dtype in which an engine runs no networks."""
    if dtype not in known:
        text = f"{engine} does not run networks in {dtype}{why}: choose from {', '.join(known)}."
        raise InputError("unsupported-dtype", text, field="dtype")


def heaviest(layers: Sequence[EngineLayer], otherwise: str) -> str:
    """Return the dtype in which most time was computed."""
    times: dict[str, float] = {}
    for layer in layers:
        if layer.dtype:
            times[layer.dtype] = times.get(layer.dtype, 0.0) + layer.time_s
    return max(times, key=lambda dtype: times[dtype], default=otherwise)
