"""An ONNX file run in a process of its own with limits: files come from anybody, and engines read them in C++."""

import subprocess
from functools import cache, partial
from math import prod
from typing import Any

import numpy as np
from msgspec import Struct, json

from hwbench.errors import HwbenchError, InputError, shown
from hwbench.files import isolation
from hwbench.measure import harness
from hwbench.measure.engines.base import EngineLayer
from hwbench.measure.inference import tasks
from hwbench.measure.inference.tasks import RunSetting
from hwbench.measure.record import Measurement
from hwbench.units import Bytes
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

EXTRA_BYTES = 16 << 30
"""Address space beyond the memory that is free: libraries map more than they use."""
MAX_CPU_S = 3600


class FileRuns(Struct, frozen=True):
    """What is timed of a file: its counts, settings on `cpus`, for how long. `memory_bytes` are free, 0 if unknown."""

    path: str
    request: ModelRequest
    workload: Workload
    settings: tuple[RunSetting, ...]
    cpus: tuple[int, ...]
    budget_s: float
    memory_bytes: int


class EngineFacts(Struct, frozen=True):
    """What an engine states of a network that it ran: see `Prepared`."""

    version: str
    precision: str
    default_precision: str
    layers: tuple[EngineLayer, ...] = ()

    @property
    def network(self) -> "EngineFacts":
        """Itself, as a prepared model has a network."""
        return self

    def profile(self) -> tuple[EngineLayer, ...]:
        """Return the times of layers."""
        return self.layers


class FileTimes(Struct, frozen=True):
    """The measurements of settings with what their engines state, in the same order, and why others have none."""

    settings: tuple[RunSetting, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    facts: tuple[EngineFacts, ...] = ()
    failed: tuple[tuple[RunSetting, str], ...] = ()
    refused: tuple[str, str, str | None] | None = None


def measure(runs: FileRuns) -> FileTimes:
    """Return the times of a file in each setting, measured in a fresh process. Raises InputError about the file."""
    if shown(runs.path, len(runs.path)) != runs.path:  # it is in the record, which is JSON
        raise InputError("not-readable", "The path has characters that are no text: rename the file.", file=runs.path)
    try:
        answered = isolation.answer("hwbench.measure.inference.isolated", json.encode(runs), timeout=MAX_CPU_S)
    except subprocess.TimeoutExpired:
        raise InputError("too-slow", f"It takes longer than {MAX_CPU_S} s.", file=runs.path) from None
    except isolation.EndedBySystemError as reason:
        raise InputError("not-runnable", f"The system ended the engine ({reason}).", file=runs.path) from None
    times = json.decode(answered, type=FileTimes)
    if times.refused:
        code, message, field = times.refused
        raise InputError(code, message, field=field, file=None if field else runs.path)
    return times


def _answer(runs: FileRuns) -> FileTimes:
    try:
        return _measured(runs)
    except InputError as error:
        return FileTimes(refused=(error.code, error.message, error.field))
    except HwbenchError as error:  # of the engine that gives the reference
        return FileTimes(refused=("not-runnable", str(error), None))
    except MemoryError:
        return FileTimes(refused=("not-runnable", "It does not fit in the memory that it may take.", None))


def _measured(runs: FileRuns) -> FileTimes:
    """Prepare every setting, time those that engines run, and profile them."""
    able: list[RunSetting] = []
    failed: list[tuple[RunSetting, str]] = []
    ready: dict[RunSetting, Any] = {}
    for setting in runs.settings:
        try:
            ready[setting] = cache(partial(tasks.PreparedModel, _model(runs, setting.batch), setting))
            ready[setting]()
            able.append(setting)
        except HwbenchError as error:
            failed.append((setting, error.message if isinstance(error, InputError) else str(error)))
    if not able:
        raise InputError("not-runnable", failed[0][1])
    work = [tasks.task(ready[each]().model, each, runs.cpus, ready[each]) for each in able]
    pairs = tasks.paired(able, harness.measure(work, runs.budget_s))
    facts = []
    for setting, _ in pairs:
        prepared = ready[setting]()
        network = prepared.network
        layers = tuple(network.profile() or ())
        facts.append(EngineFacts(network.version, prepared.precision, network.default_precision, layers))
    settings, measurements = zip(*pairs, strict=True)
    return FileTimes(settings, measurements, tuple(facts), tuple(failed))


def _model(runs: FileRuns, batch: int) -> Any:
    """Return the file as a model at a batch."""
    import torch

    from hwbench.measure.inference.model import INPUTS, RunnableModel
    from hwbench.workload.onnx.runnable import runnable

    graph = runnable(runs.path, runs.request, batch)
    needed = INPUTS * sum(prod(shape) * max(np.dtype(kind).itemsize, 4) for shape, kind in graph.inputs)
    if needed > (runs.memory_bytes or EXTRA_BYTES):
        text = f"Its inputs at batch {batch} take {Bytes(needed)}, more than the memory that is free."
        raise InputError("out-of-memory", text, field="batch")
    args = tuple(torch.empty(shape, dtype=getattr(torch, kind), device="meta") for shape, kind in graph.inputs)
    return RunnableModel(runs.workload, graph.content, args, {}, batch, (), 2, batch_dim=None)


def main() -> None:
    """Answer the request on standard input."""
    isolation.serve(_respond)


def _respond(body: bytes) -> bytes:
    runs = json.decode(body, type=FileRuns)
    isolation.limit(runs.memory_bytes + EXTRA_BYTES, MAX_CPU_S)
    return json.encode(_answer(runs))


if __name__ == "__main__":
    main()
