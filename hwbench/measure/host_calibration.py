"""The networks that calibrate a CPU: timed once, their factors saved with the records."""

import os
from collections.abc import Callable

import msgspec

from hwbench.errors import InputError
from hwbench.files import atomic
from hwbench.machine.host.describe import Host
from hwbench.measure import store
from hwbench.measure.environment import machine as environment
from hwbench.measure.harness import measure
from hwbench.measure.session import interrupted
from hwbench.measure.settings import Settings
from hwbench.measure.summary import interval
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

NETWORKS = (
    ("alexnet", 1),
    ("resnet18", 1),
    ("resnet18", 4),
    ("mobilenet-v2", 1),
    ("mobilenet-v1", 8),
    ("squeezenet1.0", 1),
    ("vit-b-16", 1),
)
"""Models and batches with different shares of compute, of weights and activations from memory, and of overhead. Most of
the time is compute: only the larger batch of MobileNet, where activations take almost half, determines memory."""
BUDGET_S = 40.0
NAMES = ("compute", "memory", "overhead", "spread")
"""The factors that are saved: see predict/fitting/host.py."""


def times(settings: Settings, progress: Callable[[float], None]) -> list[tuple[Workload, int, float]]:
    """Return each network, its batch and its median time in s, eager on all cores. Raises InputError without torch.

    An interrupt is raised again, whatever was measured: fewer networks would give other factors.
    """
    try:
        from hwbench.measure.torch import inference
        from hwbench.measure.torch.device import CPU
    except ImportError as error:
        message = f"Calibration of this machine needs torch ({error}): pip install 'hwbench[torch]'."
        raise InputError("needs-torch", message) from None
    cpu, threads = CPU, max(settings.threads)
    models = {name: inference.build(ModelRequest(name)) for name, _ in NETWORKS}
    tasks = [
        inference.task(models[name], inference.RunSetting(cpu, batch=batch, threads=threads), settings.cpus[:threads])
        for name, batch in NETWORKS
    ]
    measurements = measure(tasks, BUDGET_S, progress=lambda at: progress(at.share))
    if interrupted(measurements):
        raise KeyboardInterrupt
    pairs = zip(NETWORKS, measurements, strict=True)
    return [(models[name].workload, batch, interval(measured).value) for (name, batch), measured in pairs]


def path(machine: Host) -> str:
    """Return the path of this machine's factors, whether or not the file exists."""
    return os.path.join(store.folder(), f"calibration-{environment.machine_key(machine)}.json")


def save(machine: Host, factors: dict[str, float]) -> str:
    """Save the factors of this machine and return the path of their file."""
    file = path(machine)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    atomic.write_atomically(file, msgspec.json.encode(factors).decode() + "\n")
    return file


def load(machine: Host) -> dict[str, float]:
    """Return the saved factors of this machine; none without a file, or where it is damaged."""
    try:
        with open(path(machine), "rb") as file:
            factors = msgspec.json.decode(file.read(1 << 16), type=dict[str, float])
    except (OSError, msgspec.DecodeError, InputError):
        return {}
    valid = set(factors) == set(NAMES) and all(1e-3 < value < 1e3 for value in factors.values())
    return factors if valid else {}
