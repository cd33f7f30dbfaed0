"""The handful of networks by which a CPU is calibrated: timed once, kept as factors beside the saved runs."""

import os
from collections.abc import Callable

import msgspec

from hwbench.errors import InputError
from hwbench.files import documents
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
"""Models and batches that weigh compute, weights and activations from memory, and overhead differently. Most of the
time is compute: without the larger batch of MobileNet, whose activations take almost half, memory is a guess."""
BUDGET_S = 40.0
NAMES = ("compute", "memory", "overhead", "spread")
"""The factors that are kept: see predict/fitting/host.py."""


def times(settings: Settings, progress: Callable[[float], None]) -> list[tuple[Workload, int, float]]:
    """Each network, its batch and its median time in seconds, eager on all cores. Raises InputError without torch.

    An interrupt is raised again, whatever was measured: some of the networks would give other factors.
    """
    try:
        from hwbench.measure.torch import inference
        from hwbench.measure.torch.device import CPU
    except ImportError as error:
        raise InputError(f"needs torch ({error}): pip install 'hwbench[torch]'") from None
    cpu, threads = CPU, max(settings.threads)
    models = {name: inference.build(ModelRequest(name)) for name, _ in NETWORKS}
    tasks = [
        inference.task(models[name], inference.Setting(cpu, batch=batch, threads=threads), settings.cpus[:threads])
        for name, batch in NETWORKS
    ]
    found = measure(tasks, BUDGET_S, progress=lambda at: progress(at.share))
    if interrupted(found):
        raise KeyboardInterrupt
    pairs = zip(NETWORKS, found, strict=True)
    return [(models[name].workload, batch, interval(one).value) for (name, batch), one in pairs]


def path(machine: Host) -> str:
    """The file of this machine's factors, whether or not it exists."""
    return os.path.join(store.folder(), f"calibration-{environment.machine_key(machine)}.json")


def save(machine: Host, factors: dict[str, float]) -> str:
    """Keep the factors of this machine; the path of their file."""
    where = path(machine)
    os.makedirs(os.path.dirname(where), exist_ok=True)
    documents.write_atomically(where, msgspec.json.encode(factors).decode() + "\n")
    return where


def load(machine: Host) -> dict[str, float]:
    """The factors that were kept of this machine; none where there are none, or the file is damaged."""
    try:
        with open(path(machine), "rb") as file:
            found = msgspec.json.decode(file.read(1 << 16), type=dict[str, float])
    except (OSError, msgspec.DecodeError, InputError):
        return {}
    sound = set(found) == set(NAMES) and all(1e-3 < value < 1e3 for value in found.values())
    return found if sound else {}
