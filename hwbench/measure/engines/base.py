"""What every engine does: prepare a network, run it, and state what it really used."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from hwbench.errors import HwbenchError, InputError, shown

Inputs = Sequence[tuple[Any, ...]]
"""Sets of tensors in fp32 or of integers, each the positional arguments of one inference, which rotate among them."""


PASSES = 5
"""Inferences of a profile, after the first ones."""


class EngineLayer(Struct, frozen=True):
    """One layer as the engine ran it: seconds in one inference, the dtype it computed in and the kernel's own name."""

    name: str
    kind: str
    time_s: float
    dtype: str | None = None
    kernel: str | None = None


class Prepared(ABC):
    """A network that an engine is ready to run in `dtype`; `version` is of the engine's package.

    `default_precision` is the dtype in which the engine computes fp32 networks where nothing is asked of it.
    """

    version: str
    default_precision: str = "fp32"

    def __init__(self, runtime: str, dtype: str, threads: int, batch: int) -> None:
        self.runtime, self.dtype, self.threads, self.batch = runtime, dtype, threads, batch

    def failed(self, error: Exception) -> Exception:
        """Return what the engine's package raised as an error that says what was run."""
        return failed(self.runtime, self.batch, self.dtype, error)

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
        raise InputError("engine-missing", text, field="runtimes") from None


def failed(engine: str, batch: int, dtype: str, error: Exception) -> Exception:
    """Return what an engine's package raised as a HwbenchError that says what was run."""
    if isinstance(error, MemoryError | HwbenchError | InputError):
        return error
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return HwbenchError(f"{engine} cannot run the network at batch {batch} in {dtype}: {shown(reason, 300)}")


def refuse_dtype(engine: str, dtype: str, known: Sequence[str], why: str = "") -> None:
    """Raise InputError for a dtype in which an engine runs no networks."""
    if dtype not in known:
        text = f"{engine} does not run networks in {dtype}{why}: choose from {', '.join(known)}."
        raise InputError("unsupported-dtype", text, field="dtype")


def refuse_gpu(engine: str, device: str) -> None:
    """Raise InputError for a GPU: inputs and outputs in the host's memory would be copied within the time."""
    if device != "cpu":
        text = f"{engine} is timed on CPUs only; on a GPU choose from torch-eager, torch-compile."
        raise InputError("engine-on-gpu", text, field="runtimes")


def least(passes: Sequence[tuple[EngineLayer, ...]]) -> tuple[EngineLayer, ...]:
    """Return the layers of several inferences, each with its least time: other work of the machine adds to some."""
    same = [layers for layers in passes if len(layers) == len(passes[-1])]
    return tuple(replace(rows[-1], time_s=min(row.time_s for row in rows)) for rows in zip(*same, strict=True))


def heaviest(layers: Sequence[EngineLayer], otherwise: str) -> str:
    """Return the dtype in which most time was computed."""
    times: dict[str, float] = {}
    for layer in layers:
        if layer.dtype:
            times[layer.dtype] = times.get(layer.dtype, 0.0) + layer.time_s
    return max(times, key=lambda dtype: times[dtype], default=otherwise)
