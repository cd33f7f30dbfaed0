"""The networks that calibrate the CPU or a GPU of this machine, and their times by runtime."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwbench.errors import HwbenchError, InputError
from hwbench.measure import engines
from hwbench.measure.engines.base import refuse_gpu
from hwbench.measure.harness import Progress, measure
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
"""Seconds for the networks of one runtime; importing and building them come on top."""
SLOW = ("torch-compile",)
"""Runtimes that prepare the networks for minutes: they have to be asked for by name."""
Times = list[tuple[Workload, int, float]]
"""Networks, their batches and their median times in s."""


def chosen(names: Sequence[str], on_gpu: bool) -> list[str]:
    """Return the runtimes that are timed: those named, `all` that are installed, by default those that are not SLOW.

    On a GPU torch's eager mode is the default. Raises InputError for one that is unknown or not installed.
    """
    if not names:
        return ["torch-eager"] if on_gpu else [name for name in engines.installed() if name not in SLOW]
    runtimes = list(dict.fromkeys(known for each in names for known in _meant(each, on_gpu)))
    for name in runtimes:
        engines.require(name)
        if on_gpu and not name.startswith("torch-"):
            refuse_gpu(name, "cuda")
    return runtimes


def _meant(name: str, on_gpu: bool) -> list[str]:
    if name != "all":
        return [engines.named(name)]
    return [each for each in engines.installed() if not on_gpu or each.startswith("torch-")]


def times(
    settings: Settings,
    runtimes: Sequence[str],
    progress: Callable[[float, str], None],
    gpu: "TorchDevice | None" = None,
    dtype: str = "fp32",
) -> dict[str, Times]:
    """Return the times of each network by runtime, on all cores or on a GPU, one runtime after another.

    Raises InputError without torch, which makes the networks, and HwbenchError where outputs are not those of torch.

    An interrupt is raised again, whatever was measured: fewer networks would give other factors.
    """
    try:
        from hwbench.measure.inference import model
    except ImportError as error:
        message = f"Calibration of this machine needs torch ({error}): pip install 'hwbench[torch]'."
        raise InputError("needs-torch", message) from None
    networks = GPU_NETWORKS if gpu else NETWORKS
    models = {name: model.build(ModelRequest(name)) for name, _ in networks}
    result = {}
    for number, runtime in enumerate(runtimes):

        def show(at: Progress, number: int = number, runtime: str = runtime) -> None:
            progress((number + at.share) / len(runtimes), f"timing networks in {runtime}")

        result[runtime] = _timed(models, networks, runtime, settings, show, gpu, dtype)
    return result


def _timed(
    models: Mapping[str, Any],
    networks: Sequence[tuple[str, int]],
    runtime: str,
    settings: Settings,
    show: Callable[[Progress], None],
    gpu: "TorchDevice | None",
    dtype: str,
) -> Times:
    """Return the times of networks in one runtime."""
    from hwbench.measure.inference import tasks
    from hwbench.measure.torch.device import CPU

    threads = max(settings.threads)
    work = [
        tasks.task(models[name], tasks.RunSetting(gpu or CPU, dtype, batch, threads, runtime), settings.cpus[:threads])
        for name, batch in networks
    ]
    measurements = measure(work, BUDGET_S, progress=show)
    if interrupted(measurements):
        raise KeyboardInterrupt
    for (name, batch), measured in zip(networks, measurements, strict=True):
        if measured.checked is False:
            raise HwbenchError(f"{runtime} gave another output of {name} at batch {batch} than torch does.")
    pairs = zip(networks, measurements, strict=True)
    return [(models[name].workload, batch, interval(measured).value) for (name, batch), measured in pairs]
