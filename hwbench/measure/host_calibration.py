"""The networks that calibrate the CPU or a GPU of this machine, and their times."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hwbench.errors import InputError
from hwbench.measure.harness import measure
from hwbench.measure.session import interrupted
from hwbench.measure.settings import Settings
from hwbench.measure.summary import interval
from hwbench.workload.ops import Workload
from hwbench.workload.request import ModelRequest

if TYPE_CHECKING:
    from hwbench.measure.torch.device import TorchDevice

NETWORKS = (
    ("alexnet", 1), ("resnet18", 1), ("resnet18", 4), ("mobilenet-v2", 1), ("mobilenet-v1", 8), ("squeezenet1.0", 1),
    ("vit-b-16", 1),
)  # fmt: skip
"""Models and batches with different shares of compute, of weights and activations from memory, and of overhead. Most of
the time is compute: only the larger batch of MobileNet, where activations take almost half, determines memory."""
GPU_NETWORKS = (
    ("alexnet", 128), ("resnet18", 64), ("resnet50", 64), ("mobilenet-v2", 64), ("mobilenet-v1", 128), ("vgg16", 32),
    ("squeezenet1.0", 64), ("vit-b-16", 32), ("resnet18", 1), ("mobilenet-v2", 1),
)  # fmt: skip
"""The same for a GPU, whose overhead is seen at batch 1."""
BUDGET_S = 40.0


def times(
    settings: Settings, progress: Callable[[float], None], gpu: "TorchDevice | None" = None, dtype: str = "fp32"
) -> list[tuple[Workload, int, float]]:
    """Return each network, its batch and its median time in s, eager, on all cores or on a GPU.

    Raises InputError without torch.

    An interrupt is raised again, whatever was measured: fewer networks would give other factors.
    """
    try:
        from hwbench.measure.inference import model, tasks
        from hwbench.measure.torch.device import CPU
    except ImportError as error:
        message = f"Calibration of this machine needs torch ({error}): pip install 'hwbench[torch]'."
        raise InputError("needs-torch", message) from None
    threads, networks, place = max(settings.threads), GPU_NETWORKS if gpu else NETWORKS, gpu or CPU
    models = {name: model.build(ModelRequest(name)) for name, _ in networks}
    work = [
        tasks.task(models[name], tasks.RunSetting(place, dtype, batch, threads), settings.cpus[:threads])
        for name, batch in networks
    ]
    measurements = measure(work, BUDGET_S, progress=lambda at: progress(at.share))
    if interrupted(measurements):
        raise KeyboardInterrupt
    pairs = zip(networks, measurements, strict=True)
    return [(models[name].workload, batch, interval(measured).value) for (name, batch), measured in pairs]
